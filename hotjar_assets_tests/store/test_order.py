"""A platform that does not promise newest-first: a walk stops early only where pages proved it.

Whatever the order, nothing is lost; what it costs is counted in requests.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from hotjar_assets.api import client as api_client
from hotjar_assets.api.dialects import CONTENTSQUARE
from hotjar_assets.sandbox import SANDBOX_PROJECT_ID, Fault, SandboxAccount, SandboxServer
from hotjar_assets.sandbox.contentsquare import survey_id_here
from hotjar_assets.sync import Depth

from . import model
from .conftest import CLOCK, Store, Synced, new_client

PROJECT = f"/v1/public/projects/{SANDBOX_PROJECT_ID}/surveys"


class Project:
    """A survey of a project, the database it is synced into, and the account behind it."""

    def __init__(self, server: SandboxServer, path: Path, account_survey: str) -> None:
        self.server = server
        self.account_survey = account_survey
        self.survey_id = survey_id_here(account_survey)
        client = new_client(server, dialect=CONTENTSQUARE, site_ids=(SANDBOX_PROJECT_ID,))
        self.store = Store(client, path)

    def sync(self, depth: Depth = Depth.NEW) -> Synced:
        """Sync and check that every row the API has is there, with every value, once."""
        self.server.clear_requests()
        synced = self.store.sync_one(self.survey_id, depth=depth)
        stored = model.responses(self.store.path, self.survey_id)
        truth = model.truth(
            self.server.contentsquare.responses(self.survey_id),
            survey_id=self.survey_id,
            site_id=SANDBOX_PROJECT_ID,
        )
        rows = {key: row for key, row in model.cells(stored).items() if key in truth}
        assert rows == {key: row | {"platform": "contentsquare"} for key, row in truth.items()}
        return synced

    @property
    def pages_sent(self) -> int:
        """Count the pages asked for by the latest sync; fails if the cursors were not followed."""
        path = f"{PROJECT}/{self.survey_id}/responses"
        sent = [each for each in self.server.requests if each.path == path]
        cursors = [each.query.get("cursor") for each in sent]
        assert cursors[0] is None
        assert all(cursors[1:])
        assert len(set(cursors)) == len(cursors)
        return len(sent)


@pytest.fixture
def serve(account: SandboxAccount, path: Path, survey_id: str) -> Iterator[Callable[..., Project]]:
    """Return what serves the survey of 250 responses, or another one, in some order."""
    opened: list[Project] = []

    def served(order: str, account_survey: str = survey_id) -> Project:
        server = SandboxServer(account, order=order)  # type: ignore[arg-type]
        server.start()
        opened.append(Project(server, path, account_survey))
        opened[-1].store.list_surveys()
        return opened[-1]

    yield served
    for project in opened:
        project.store.client.close()
        project.server.stop()


@pytest.fixture
def one_row_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "PAGE_SIZE", 1)


# --- Newest first ------------------------------------------------------------------------------


def test_a_first_page_that_proves_the_order_is_all_that_nothing_new_costs(serve):
    project = serve("newest_first")
    assert project.sync().figures.new == 250
    assert project.pages_sent == 3
    synced = project.sync()
    assert (project.pages_sent, synced.figures.new, synced.read.stopped_early) == (1, 0, True)


def test_new_rows_are_read_and_no_more_than_them(serve, account):
    project = serve("newest_first")
    project.sync()
    account.add_responses(project.account_survey, 120)
    assert project.sync().figures.new == 120
    assert project.pages_sent == 2


def test_a_lookback_stops_where_its_days_end(serve, account):
    project = serve("newest_first")
    project.sync()
    assert project.sync(Depth.LOOKBACK).read.stopped_early
    assert project.pages_sent == 1


@pytest.mark.usefixtures("one_row_pages")
def test_pages_of_one_row_prove_the_order_together(serve, account):
    small = account.add_survey(responses=6)
    project = serve("newest_first", small)
    assert project.sync().figures.new == 6
    account.add_responses(small, 2)
    synced = project.sync()
    assert synced.figures.new == 2
    # The two new rows, the row of the watermark, and the first that is older.
    assert project.pages_sent == 4
    assert synced.read.stopped_early


@pytest.mark.usefixtures("one_row_pages")
def test_a_page_that_is_old_enough_but_proves_nothing_does_not_end_the_walk(serve, account):
    """What one page of one row says of the order is nothing, however old the row is."""
    small = account.add_survey()
    account.add_responses(small, 3, created_at=CLOCK)
    project = serve("newest_first", small)
    (newest,) = account.add_responses(small, 1)
    project.sync()
    # Without the newest row the first page is older than the watermark at once.
    account.delete_response(small, newest)
    synced = project.sync()
    assert project.pages_sent == 3
    assert not synced.read.stopped_early


# --- Any other order ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["oldest_first", "unsorted"])
def test_pages_that_are_not_newest_first_are_read_to_the_end_every_time(order, serve, account):
    project = serve(order)
    assert project.sync().figures.new == 250
    for added in (0, 1, 120):
        account.add_responses(project.account_survey, added)
        synced = project.sync()
        assert synced.figures.new == added
        assert synced.read.out_of_order
        assert not synced.read.stopped_early
        assert project.pages_sent == -(-account.response_count(project.account_survey) // 100)


@pytest.mark.usefixtures("one_row_pages")
@pytest.mark.parametrize("order", ["oldest_first", "unsorted"])
@pytest.mark.parametrize("seed", range(3))
def test_pages_of_one_row_in_another_order_lose_nothing(order, seed, serve, account):
    small = account.add_survey()
    for minutes in range(7):
        created_at = CLOCK + timedelta(minutes=minutes, seconds=seed)
        account.add_responses(small, 1, created_at=created_at)
    project = serve(order, small)
    project.sync()
    for _ in range(3):
        account.add_responses(small, 1)
        assert project.sync().figures.new == 1
        assert project.pages_sent == account.response_count(small)


def test_pages_that_are_in_order_within_alone_hide_nothing(serve, account):
    """The first page is older than the watermark at once, and what is new is on the last."""
    small = account.add_survey()
    account.add_responses(small, 100)
    project = serve("oldest_page_first", small)
    assert project.sync().figures.new == 100
    for added in (1, 99, 150):
        account.add_responses(small, added)
        synced = project.sync()
        assert (synced.figures.new, synced.read.out_of_order) == (added, True)


def test_a_start_date_does_not_end_a_walk_that_proved_nothing_either(serve, account):
    small = account.add_survey()
    account.add_responses(small, 100, created_at=CLOCK - timedelta(days=9))
    account.add_responses(small, 1, created_at=CLOCK - timedelta(days=8))
    account.add_responses(small, 99, created_at=CLOCK - timedelta(days=1))
    project = serve("oldest_page_first", small)
    start_at = CLOCK - timedelta(days=2)
    assert project.store.sync_one(project.survey_id, start_at=start_at).figures.new == 99
    account.add_responses(small, 1, created_at=CLOCK)
    assert project.store.sync_one(project.survey_id, start_at=start_at).figures.new == 1


def test_a_page_without_the_newest_known_row_does_not_end_the_walk(serve, account):
    """It is gone, or it is on a later page with others that are new."""
    project = serve("newest_first")
    project.sync()
    for row in account.responses(project.account_survey)[:2]:
        account.delete_response(project.account_survey, str(row["id"]))
    synced = project.sync()
    assert (synced.read.stopped_early, synced.figures.vanished) == (False, 2)


def test_an_order_that_was_broken_once_is_not_trusted_when_it_looks_right_by_chance(serve):
    project = serve("newest_first")
    project.server.faults.add(Fault("unsorted", path="responses", times=1))
    assert project.sync().read.out_of_order
    synced = project.sync()
    assert (project.pages_sent, synced.read.is_full, synced.read.out_of_order) == (3, True, False)
    # That walk was whole and in order, and settles it.
    project.sync()
    assert project.pages_sent == 1


def test_one_survey_is_noted_once_however_often_its_order_is_broken(serve):
    project = serve("unsorted")
    for _ in range(3):
        project.sync()
    with duckdb.connect(str(project.store.path)) as connection:
        noted = connection.execute("SELECT survey_id FROM hotjar.unsettled").fetchall()
    assert noted == [(project.survey_id,)]


# --- No order at all ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "unsorted"])
def test_rows_of_one_instant_prove_nothing_and_are_read_to_the_end(order, serve, account):
    flat = account.add_survey()
    account.add_responses(flat, 250, created_at=CLOCK)
    project = serve(order, flat)
    assert project.sync().figures.new == 250
    account.add_responses(flat, 30, created_at=CLOCK)
    synced = project.sync()
    assert (synced.figures.new, synced.read.stopped_early) == (30, False)
    assert project.pages_sent == 3


def test_a_deletion_is_marked_by_a_full_sync_in_any_order(serve, account):
    project = serve("unsorted")
    project.sync()
    gone = account.responses(project.account_survey)[7]["id"]
    account.delete_response(project.account_survey, gone)
    assert project.sync(Depth.ALL).figures.deleted == 1


# --- What is promised needs no proof -----------------------------------------------------------


def test_hotjar_promises_its_order_and_a_page_of_one_row_ends_the_walk(
    account, server, store, one_row_pages
):
    small = account.add_survey()
    account.add_responses(small, 3, created_at=CLOCK)
    (newest,) = account.add_responses(small, 1)
    store.sync(small)
    account.delete_response(small, newest)
    server.clear_requests()
    assert store.sync_one(small).read.stopped_early
    paths = [each.path for each in server.requests if each.path.endswith("/responses")]
    assert len(paths) == 1
