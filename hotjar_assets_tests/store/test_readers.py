"""How units are read at once and handed over: real threads, and walks that read nothing."""

import re
import threading
from datetime import UTC, datetime
from errno import ENOSPC
from itertools import count

import pytest

from hotjar_assets.commits import Figures
from hotjar_assets.errors import HotjarConfigError, HotjarStoreError
from hotjar_assets.readers import Read, Readers
from hotjar_assets.spool import Segment
from hotjar_assets.sync import StoredResponses, SurveyRead

ROWS = 7
PATIENCE_SECONDS = 30


class NoClient:
    """Nothing is asked for."""

    def resume(self):
        """Do nothing."""

    def cancel(self):
        """Do nothing."""


@pytest.fixture
def readers(tmp_path):
    def make(walk, *, concurrency):
        def walk_whole(unit, turns):
            walk(unit, turns)
            segment = Segment(tmp_path / unit, ROWS, 1, has_duplicates=False)
            return Read(unit, datetime.now(UTC), segments=[segment])

        def failed(unit, error):
            return Read(unit, datetime.now(UTC), error=error)

        return Readers(NoClient(), walk_whole, failed, concurrency, tmp_path)

    return make


def test_an_unexpected_error_fails_its_unit_alone_and_shows_nothing_of_it(readers):
    def walk(unit, _turns):
        if unit == "bad":
            raise KeyError("what somebody answered")

    reads = [
        read for group in readers(walk, concurrency=2).read(["a", "bad", "b"]) for read in group
    ]
    failed = {read.key: str(read.error) for read in reads if read.error}
    assert keys(reads) == {"a", "bad", "b"}
    assert failed.keys() == {"bad"}
    assert re.fullmatch(r"unexpected KeyError in walk, line \d+", failed["bad"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(ENOSPC, "No space left on device"), "cannot spool to .*: No space left on device"),
        (HotjarConfigError("HOTJAR_SITE_ID", "is empty"), "HOTJAR_SITE_ID: is empty"),
        (KeyboardInterrupt("pressed"), "pressed"),
    ],
    ids=["full disk", "of no unit", "a signal"],
)
def test_an_error_that_no_unit_can_get_over_ends_everything(readers, error, told):
    def walk(unit, _turns):
        if unit == "bad":
            raise error

    expected = HotjarStoreError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected, match=told):
        list(readers(walk, concurrency=1).read(["bad", "a"]))


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr("hotjar_assets.readers.GROUP_SECONDS", 2.0 * PATIENCE_SECONDS)


def keys(group):
    return {read.key for read in group}


@pytest.mark.usefixtures("patient")
def test_rows_are_handed_over_at_once_when_readers_have_nothing_left_to_read(readers, monkeypatch):
    monkeypatch.setattr("hotjar_assets.readers.LAST_GROUP_ROWS", 4 * ROWS)
    handed_over = threading.Event()

    def walk(unit, _):
        assert unit != "late" or handed_over.wait(PATIENCE_SECONDS)

    groups = readers(walk, concurrency=6).read(["late", *"abcd"])
    assert keys(next(groups)) == set("abcd")
    handed_over.set()
    (last,) = groups
    assert keys(last) == {"late"}
    assert last[0].error is None


@pytest.mark.usefixtures("patient")
def test_too_few_rows_wait_for_those_that_are_still_read(readers, monkeypatch):
    monkeypatch.setattr("hotjar_assets.readers.LAST_GROUP_ROWS", 5 * ROWS + 1)
    (group,) = readers(lambda *_: None, concurrency=6).read([*"abcde"])
    assert keys(group) == set("abcde")


def test_the_last_units_share_the_seats_page_by_page(readers):
    third_begun = threading.Event()
    at_once, lock, most = set(), threading.Lock(), 0

    def walk(unit, turns):
        nonlocal most
        # The first two have pages until the third, for which there is no seat, has had its turn.
        for page in turns.taken(range(3) if unit == "third" else count()):
            with lock:
                at_once.add(unit)
                most = max(most, len(at_once))
            if unit == "third":
                third_begun.set()
            has_begun = third_begun.wait(0.001)
            with lock:
                at_once.discard(unit)
            if has_begun and unit != "third":
                return
            assert page < PATIENCE_SECONDS * 1000

    (*groups,) = readers(walk, concurrency=2).read(["first", "second", "third"])
    read = {each.key: each.error for group in groups for each in group}
    assert read == {"first": None, "second": None, "third": None}
    assert most == 2


def test_a_unit_is_read_to_its_end_while_many_wait(readers):
    order, lock = [], threading.Lock()

    def walk(unit, turns):
        for _ in turns.taken(range(4)):
            with lock:
                order.append(unit)

    units = [str(number) for number in range(20)]
    assert sum(map(len, readers(walk, concurrency=1).read(units))) == 20
    assert order == [unit for unit in units for _ in range(4)]


def test_figures_of_two_commits_add_up():
    first = Figures(rows=9, new=1, updated=2, deleted=3, purged=4, vanished=5)
    later = Figures(rows=8, new=10, updated=20, deleted=30, purged=40, vanished=50)
    assert first + later == Figures(rows=8, new=11, updated=22, deleted=33, purged=44, vanished=50)


def test_two_walks_through_a_survey_are_told_as_one():
    stored = StoredResponses()
    for requests, pages, figures in (
        (3, 2, Figures(rows=5, new=5)),
        (4, 1, Figures(rows=6, new=1)),
    ):
        read = SurveyRead("101", datetime.now(UTC), requests=requests, pages=pages)
        stored.add(read, figures)
    read, figures = stored.walks["101"]
    assert (read.requests, read.pages) == (7, 3)
    assert figures == Figures(rows=6, new=6)
