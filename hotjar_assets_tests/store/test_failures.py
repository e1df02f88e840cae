"""What is left when something goes wrong: the old rows, or better, and an error that helps."""

import re
import traceback
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pytest

from hotjar_assets import readers
from hotjar_assets.api.records import Response
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarNotFoundError,
    HotjarPaginationError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStoreError,
    HotjarTransportError,
)
from hotjar_assets.sandbox import Fault, SandboxAccount, SandboxServer
from hotjar_assets.schema import SURVEY_RESPONSES
from hotjar_assets.spool import ResponseSpool
from hotjar_assets.sync import Depth, ResponseSync, SurveySync

from . import model
from .conftest import CLOCK, Store, Synced, new_client, sent


def without_created_time(rows: list[Any]) -> list[Any]:
    del rows[3]["created_time"]
    return rows


FAULTS = {
    "the API fails": (Fault("500", path="responses", page=2), HotjarServerError),
    "the plan ends": (Fault("403", path="responses", page=2), HotjarAuthError),
    "the survey is gone": (Fault("404", path="responses", page=2), HotjarNotFoundError),
    "a cut body": (Fault("cut", path="responses", page=2), HotjarTransportError),
    "no answer": (Fault("disconnect", path="responses", page=2), HotjarTransportError),
    "a web page": (Fault("html", path="responses", page=2), HotjarBodyError),
    "no results": (Fault("results_missing", path="responses", page=2), HotjarBodyError),
    "null results": (Fault("results_null", path="responses", page=2), HotjarBodyError),
    "the cursor repeats": (Fault("repeat_cursor", path="responses", page=2), HotjarPaginationError),
    "a row without a time": (
        Fault("mutate_rows", path="responses", page=2, transform=without_created_time),
        HotjarSchemaError,
    ),
}


# --- One survey of several -----------------------------------------------------------------------


@dataclass(frozen=True)
class Outage:
    """A sync in which a survey failed in each way, and one did not."""

    surveys: dict[str, str]
    good: str
    synced: dict[str, Synced]
    before: dict[str, dict[str, Any]]
    after: dict[str, dict[str, Any]]
    truth: dict[str, Any]


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    account = SandboxAccount(clock=CLOCK, blueprints=())
    with SandboxServer(account) as server:
        client = new_client(server)
        store = Store(client, tmp_path_factory.mktemp("outage") / "warehouse.duckdb")
        surveys = {name: account.add_survey(responses=150) for name in FAULTS}
        good = account.add_survey(responses=150)
        store.sync(good, *surveys.values())
        before = {key: model.responses(store.path, key) for key in surveys.values()}
        for key in (good, *surveys.values()):
            account.add_responses(key, 230)
        server.faults.add(
            *(replace(FAULTS[name][0], survey_id=key) for name, key in surveys.items())
        )
        synced = store.sync(good, *surveys.values())
        client.close()
    after = {key: model.responses(store.path, key) for key in (good, *surveys.values())}
    truth = model.truth(account.responses(good), survey_id=good)
    return Outage(surveys, good, synced, before, after, truth)


@pytest.mark.parametrize("name", FAULTS)
def test_a_survey_that_fails_keeps_its_old_rows_and_says_on_which_page(outage, name):
    survey_id = outage.surveys[name]
    error = outage.synced[survey_id].error
    assert isinstance(error, FAULTS[name][1])
    assert isinstance(error, HotjarApiError)
    assert (error.page, "page 2" in str(error)) == (2, True)
    assert outage.after[survey_id] == outage.before[survey_id]
    assert len(outage.before[survey_id]) == 150


def test_a_survey_among_failing_ones_is_committed(outage):
    assert outage.synced[outage.good].figures.new == 230
    assert model.cells(outage.after[outage.good]) == outage.truth


def test_a_first_walk_that_fails_stores_no_row(server, store, survey_id):
    server.faults.add(Fault("404", path="responses", page=3))
    assert isinstance(store.sync_one(survey_id).error, HotjarNotFoundError)
    assert model.responses(store.path) == {}


def test_after_a_failure_the_others_cost_one_request_each_and_the_failed_one_is_whole(
    account, server, store, survey_id
):
    other = account.add_survey(responses=150)
    store.list_surveys()
    fault = Fault("404", path="responses", survey_id=survey_id, page=2)
    server.faults.add(fault)
    store.sync(survey_id, other)
    server.faults.clear()
    sent(server)
    synced = store.sync(survey_id, other)
    assert (synced[survey_id].read.requests, synced[other].read.requests) == (3, 1)
    assert len(sent(server)) == 4
    assert model.cells(model.responses(store.path, survey_id)) == model.truth(
        account.responses(survey_id), survey_id=survey_id
    )


def test_a_full_walk_that_fails_marks_nothing(account, server, store, survey_id):
    store.sync(survey_id)
    account.delete_response(survey_id, account.responses(survey_id)[0]["id"])
    server.faults.add(Fault("404", path="responses", page=3))
    assert store.sync_one(survey_id, depth=Depth.ALL).error
    assert {row["deleted_at"] for row in model.responses(store.path).values()} == {None}


def test_a_page_that_fails_twice_and_passes_is_no_failure(account, server, store, survey_id):
    fault = Fault("500", path="responses", page=2, times=2)
    server.faults.add(fault)
    synced = store.sync_one(survey_id)
    assert server.faults.hits(fault) == 2
    assert (synced.figures.new, synced.read.pages, synced.read.requests) == (250, 3, 6)


# --- Rows the database refuses -------------------------------------------------------------------


def make_table(store: Store, **types: str) -> None:
    """Make the table of responses as its user might have, with other types here and there."""
    columns = {column.name: column.type for column in SURVEY_RESPONSES.columns} | types
    ddl = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    with duckdb.connect(str(store.path)) as connection:
        connection.execute(f"CREATE SCHEMA hotjar; CREATE TABLE hotjar.survey_responses ({ddl})")


def test_a_group_that_fails_is_committed_one_by_one(account, store):
    good, bad, fine = (account.add_survey(responses=3) for _ in range(3))
    account.add_responses(bad, country="XX")
    make_table(store, country="VARCHAR CHECK (country IS DISTINCT FROM 'XX')")
    synced = store.sync(good, bad, fine)
    assert (synced[good].figures.new, synced[fine].figures.new) == (3, 3)
    assert isinstance(synced[bad].error, HotjarStoreError)
    assert {row["survey_id"] for row in model.stored(store.path, "survey_responses")} == {
        good,
        fine,
    }


@pytest.mark.parametrize(
    "kind",
    ["INTEGER", "VARCHAR CHECK (hotjar_user_id NOT LIKE 'somebody%')", "VARCHAR UNIQUE"],
    ids=["another type", "a check", "a unique column"],
)
def test_the_error_of_refused_rows_never_shows_a_value(account, store, survey_id, caplog, kind):
    make_table(store, hotjar_user_id=kind)
    account.add_responses(survey_id, 2, hotjar_user_id="somebody-private")
    with caplog.at_level(0):
        error = store.sync_one(survey_id).error
    assert isinstance(error, HotjarStoreError)
    told = "".join(traceback.format_exception(error)) + caplog.text
    assert "somebody" not in told
    assert str(store.path) in str(error)
    assert "nothing was changed" in str(error)


# --- Files of somebody else ----------------------------------------------------------------------


def test_a_file_of_a_real_account_refuses_the_sandboxs_answers(store, survey_id):
    store.warehouse.check("real")
    with pytest.raises(
        HotjarStoreError, match=r"of a real account .* from a sandbox one; set HOTJ"
    ):
        store.list_surveys()
    with pytest.raises(HotjarStoreError, match="set HOTJAR_DATABASE to another file"):
        store.sync(survey_id)
    assert model.surveys(store.path) == {}
    assert model.responses(store.path) == {}


def test_a_file_of_the_sandbox_refuses_a_real_accounts_answers(store, survey_id, tmp_path):
    store.list_surveys()
    store.sync(survey_id)
    before = (model.surveys(store.path), model.responses(store.path))
    listing = replace(SurveySync(store.client).read({}), account="real")
    with pytest.raises(HotjarStoreError, match=r"of a sandbox account .* from a real one"):
        store.warehouse.merge_surveys(listing)
    walk = replace(store.walk(survey_id, tmp_path), account="real")
    with pytest.raises(HotjarStoreError, match=r"of a sandbox account .* from a real one"):
        store.warehouse.commit_responses([walk])
    assert (model.surveys(store.path), model.responses(store.path)) == before


def test_the_file_says_whose_it_is_and_of_which_schema(store):
    store.list_surveys()
    with duckdb.connect(str(store.path)) as connection:
        facts = dict(connection.execute("SELECT name, value FROM hotjar.meta").fetchall())
    assert facts.items() >= {"account": "sandbox", "schema_version": "1"}.items()


def test_a_file_of_a_newer_release_is_refused(store, survey_id):
    store.list_surveys()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE hotjar.meta SET value = '1000' WHERE name = 'schema_version'")
    with pytest.raises(HotjarStoreError, match="newer release; upgrade hotjar-assets"):
        store.sync(survey_id)
    assert model.responses(store.path) == {}


def test_a_second_pass_that_fails_half_way_fails_what_it_did_not_reach(
    account, server, store, survey_id, monkeypatch
):
    for name in ("GROUP_ROWS", "LAST_GROUP_ROWS"):
        monkeypatch.setattr(readers, name, 1)
    quiet, other = (account.add_survey(responses=120) for _ in range(2))
    shifted = {survey_id, other}
    for each in sorted(shifted):
        server.faults.add(Fault("overlap", path="responses", survey_id=each, rows=2))
    commit = store.warehouse.commit_responses
    committed: list[list[str]] = []

    def commit_or_fail(reads, *, purge):
        if len(committed) == 4:
            raise HotjarStoreError("the disk is full")
        committed.append([read.survey_id for read in reads])
        return commit(reads, purge=purge)

    monkeypatch.setattr(store.warehouse, "commit_responses", commit_or_fail)
    sync = ResponseSync(store.client, [survey_id, quiet, other], concurrency=1)
    stored = sync.run(store.warehouse)

    first, (reached,) = committed[:3], committed[3]
    assert sorted(key for (key,) in first) == sorted([survey_id, quiet, other])
    (missed,) = shifted - {reached}
    assert {key: str(error) for key, error in stored.failed.items()} == {missed: "the disk is full"}
    assert stored.committed.keys() == {quiet, reached}
    # What it did not reach is read whole the next time.
    states = store.warehouse.survey_states([survey_id, quiet, other])
    assert {key for key, state in states.items() if state.unsettled} == {missed}


def test_an_unexpected_error_in_one_survey_does_not_stop_the_others(
    account, store, survey_id, monkeypatch, path
):
    other = account.add_survey(responses=120)

    class Spool(ResponseSpool):
        def write(self, rows: list[Response]) -> None:
            if self._unit == other:
                raise KeyError(rows[0].id)
            super().write(rows)

    monkeypatch.setattr("hotjar_assets.sync.ResponseSpool", Spool)
    stored = ResponseSync(store.client, [survey_id, other]).run(store.warehouse)
    assert stored.committed.keys() == {survey_id}
    told = {key: str(error) for key, error in stored.failed.items()}
    assert told.keys() == {other}
    assert re.fullmatch(r"unexpected KeyError in write, line \d+", told[other])
    assert {row["survey_id"] for row in model.responses(path).values()} == {survey_id}


@pytest.mark.parametrize("has_responses", [True, False], ids=["another one", "a new one"])
def test_a_file_that_took_the_place_of_the_one_a_sync_began_with_stays_as_it_is(
    store, survey_id, path, tmp_path, has_responses
):
    store.sync(survey_id)
    with store.warehouse.spool() as folder:
        walk = store.walk(survey_id, folder)
        other = Store(store.client, tmp_path / "other.duckdb")
        if has_responses:
            other.sync(survey_id)
        else:
            other.warehouse.check("sandbox")
        other.path.replace(path)
        before = model.responses(path)
        with pytest.raises(HotjarStoreError, match="is not the file it was when the sync began"):
            store.warehouse.commit_responses([walk])
    assert model.responses(path) == before
    assert len(before) == (250 if has_responses else 0)
