"""Pages that shift because responses come and go between two requests of one walk.

What is promised: nothing that was there before the sync and is still there is missing after the
next sync. Cursors that keep their place (keyset) keep the promise whatever happens. Cursors that
count rows (offset) hide a row for each one that is deleted above; what the next plain sync can see
of that is a row of ours missing from the pages it reads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from hotjar_assets.sandbox import Fault, SandboxServer
from hotjar_assets.sync import Depth
from hotjar_assets_tests.promises import model
from hotjar_assets_tests.promises.harness import (
    PAGE_ROWS,
    Killed,
    Outcome,
    ShortPages,
    Tables,
    once,
)

PAGES = 3
ROWS = PAGES * PAGE_ROWS - 2
FOR_EVER = 36_500


@dataclass(frozen=True)
class Change:
    """What happens to a survey of three pages between a page and the next.

    Attributes:
        after_page: When.
        deleted: Which responses go, by their place at the start, the newest being 0.
        added: How many come, newer than all.
        later: How many come between this sync and the next.
    """

    after_page: int
    deleted: tuple[int, ...] = ()
    added: int = 0
    later: int = 0


def of_one_row() -> Iterator[Change]:
    """Every row that was served already is deleted, after each page, with rows coming or not."""
    for page, later in product(range(1, PAGES), (0, 2 * PAGE_ROWS + 1)):
        yield from (Change(page, (place,), later=later) for place in range(page * PAGE_ROWS))


def of_many_rows() -> Iterator[Change]:
    for page, added, count in product(range(1, PAGES), (0, 1, PAGE_ROWS + 2), (1, PAGE_ROWS)):
        yield Change(page, tuple(range(count)), added)
        # The oldest of what was served, and of what was not.
        yield Change(page, tuple(range(page * PAGE_ROWS - count, page * PAGE_ROWS)), added)
        yield Change(page, tuple(range(ROWS - count, ROWS)), added)


class Story:
    """A survey for each change; all of them are walked through in one sync."""

    def __init__(self, server: SandboxServer, tables: Tables, changes: Iterable[Change]) -> None:
        self.account = server.account
        self.tables = tables
        self.changes = {self._survey(): change for change in dict.fromkeys(changes)}
        self.tables.list_surveys()
        self.there = {key: set(model.given(self.account, key)) for key in self.changes}

    def _survey(self) -> str:
        survey_id = self.account.add_survey()
        self.account.add_responses(survey_id, ROWS)
        return survey_id

    def change_while_syncing(self) -> None:
        def after_page(survey_id: str, page: int) -> None:
            change = self.changes[survey_id]
            if page == change.after_page and self.there[survey_id] == set(
                model.given(self.account, survey_id)
            ):
                rows = self.account.responses(survey_id)
                for place in change.deleted:
                    self.account.delete_response(survey_id, rows[place]["id"])
                self.account.add_responses(survey_id, change.added)

        self._check(self.tables.sync([*self.changes], after_page=after_page))
        for survey_id, change in self.changes.items():
            self.account.add_responses(survey_id, change.later)

    def sync(self, depth: Depth = Depth.NEW, *, lookback_days: int = 7) -> None:
        self._check(self.tables.sync([*self.changes], depth, lookback_days=lookback_days))

    def _check(self, outcome: Outcome) -> None:
        assert outcome.stored.keys() == self.changes.keys()

    def with_evidence(self) -> set[Change]:
        """The changes of which the next plain sync sees a row that is gone: on pages it reads."""
        held = model.held_responses(self.tables.path)
        return {
            change for key, change in self.changes.items() if self._has_evidence(key, held[key])
        }

    def _has_evidence(self, key: str, held: model.Rows) -> bool:
        there = [row["created_at"] for row in model.given(self.account, key).values()]
        watermark = max(row["created_at"] for row in held.values())
        pages = [there[start : start + PAGE_ROWS] for start in range(0, len(there), PAGE_ROWS)]
        last = next((page[-1] for page in pages[:-1] if page[-1] < watermark), 0)
        gone = held.keys() - model.given(self.account, key).keys()
        return any(held[row]["created_at"] > last for row in gone)

    def missing(self) -> dict[Change, set[str]]:
        """The responses, by change, that were there before, still are, and are not in the table."""
        held = model.held_responses(self.tables.path)
        found = {}
        for key, change in self.changes.items():
            ours = {row for row, cells in held[key].items() if not cells["is_marked"]}
            if lost := (self.there[key] & set(model.given(self.account, key))) - ours:
                found[change] = lost
        return found


@pytest.fixture(params=["keyset", "offset"])
def paging(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(account: ShortPages, paging: str) -> Iterator[SandboxServer]:
    with SandboxServer(account, paging=paging) as running:  # type: ignore[arg-type]
        yield running


keyset = pytest.mark.parametrize("paging", ["keyset"], indirect=True)
offset = pytest.mark.parametrize("paging", ["offset"], indirect=True)


@keyset
@pytest.mark.parametrize("changes", [of_one_row, of_many_rows])
def test_cursors_that_keep_their_place_lose_nothing(server, tables, changes):
    story = Story(server, tables, changes())
    story.change_while_syncing()
    assert story.missing() == {}
    story.sync()
    assert story.missing() == {}


@offset
def test_a_shift_is_not_made_up(server, tables):
    """Deleting rows already served does hide others from a walk that counts rows."""
    story = Story(server, tables, [Change(1, (0,)), Change(2, (0, 1, 2))])
    story.change_while_syncing()
    assert sorted(len(rows) for rows in story.missing().values()) == [1, 3]


@offset
@pytest.mark.parametrize(
    ("changes", "deeper"),
    [(of_one_row, Depth.LOOKBACK), (of_many_rows, Depth.ALL)],
    ids=["one row, then a lookback", "many rows, then a full sync"],
)
def test_hidden_rows_are_found_where_something_tells_of_them_and_by_every_deeper_sync(
    server, tables, changes, deeper
):
    story = Story(server, tables, changes())
    story.change_while_syncing()
    hidden, evident = story.missing().keys(), story.with_evidence()
    assert hidden & evident
    story.sync()
    # What nothing tells of on the pages that a plain sync reads is hidden from it still.
    assert story.missing().keys() == hidden - evident
    story.sync(deeper, lookback_days=FOR_EVER)
    assert story.missing() == {}


@offset
def test_rows_that_come_twice_tell_of_a_shift_at_once(server, tables):
    story = Story(server, tables, [Change(1, (), 1), Change(1, (PAGE_ROWS + 1,), PAGE_ROWS + 2)])
    story.change_while_syncing()
    assert story.missing() == {}


@offset
@pytest.mark.parametrize("end", ["failed", "killed"])
def test_evidence_of_a_shift_outlives_a_sync_that_could_not_follow_it(server, tables, end):
    """The rows that came meanwhile push the gap out of the pages that the next plain sync reads."""
    story = Story(server, tables, [Change(1, (1,), later=2 * PAGE_ROWS + 1)])
    story.change_while_syncing()
    assert story.missing()
    (survey_id,) = story.changes
    # The plain walk ends with the third page, and passes the gap; reading on to the end goes wrong.
    if end == "failed":
        server.faults.add(Fault("404", path="responses", page=PAGES + 1))
        assert tables.sync([survey_id]).failed.keys() == {survey_id}
    else:
        assert tables.sync([survey_id], after_page=once(die, page=PAGES)).is_killed
    server.faults.clear()
    story.sync()
    assert story.missing() == {}


def die() -> None:
    raise Killed
