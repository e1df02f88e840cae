"""The I/O manager between a walk and the tables; whole runs are tested with the definitions."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import pytest

from hotjar_assets.defs.assets import IO_MANAGER_KEY, survey_responses
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, add_surveys
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.materializations import FAILED_SURVEYS
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    Fault,
)

from . import model
from .conftest import responses_path, sent


class Runs:
    """Runs `survey_responses` over all partitions."""

    def __init__(self, server, path, instance: dg.DagsterInstance) -> None:
        self.server = server
        self.instance = instance
        self.resources = {
            "hotjar": HotjarResource(
                api_url=server.url,
                client_id=SANDBOX_CLIENT_ID,
                client_secret=SANDBOX_CLIENT_SECRET,
                site_id=SANDBOX_SITE_ID,
                requests_per_minute=1_000_000,
            ),
            IO_MANAGER_KEY: HotjarDuckDBIOManager(database=str(path), lock_timeout_seconds=0),
        }

    def run(self) -> dg.ExecuteInProcessResult:
        keys = sorted(self.server.account.survey_ids())
        add_surveys(self.instance, keys)
        return dg.materialize(
            [survey_responses],
            resources=self.resources,
            instance=self.instance,
            tags={RANGE_START: keys[0], RANGE_END: keys[-1]},
            raise_on_error=False,
        )

    def figures(self, result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
        """Map partition to its figures; fails if one was recorded twice."""
        records = self.instance.get_records_for_run(
            result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        ).records
        made = [record.asset_materialization for record in records]
        assert len({each.partition for each in made if each}) == len(made)
        return {
            str(each.partition): {name: item.value for name, item in each.metadata.items()}
            for each in made
            if each
        }

    def failed(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        """Map survey to what happened to it."""
        (event,) = result.get_step_failure_events()
        failure = event.step_failure_data.user_failure_data
        assert failure
        failed: dict[str, str] = failure.metadata[FAILED_SURVEYS].value  # type: ignore[assignment]
        return failed

    def told(self, result: dg.ExecuteInProcessResult) -> str:
        """Return everything that was recorded of the run."""
        return "".join(str(entry) for entry in self.instance.all_logs(result.run_id))


@pytest.fixture
def runs(server, path) -> Iterator[Runs]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(server, path, instance)


def test_each_partition_gets_figures_that_agree_with_its_rows(account, runs, path, survey_id):
    other = account.add_survey(responses=30)
    figures = runs.figures(runs.run())
    for key, rows, pages in ((survey_id, 250, 3), (other, 30, 1)):
        assert len(model.responses(path, key)) == rows
        expected = {
            "dagster/partition_row_count": rows,
            "new": rows,
            "updated": 0,
            "deleted": 0,
            "pages": pages,
            "stopped_early": False,
            "account": "sandbox",
            "database": str(path),
        }
        assert figures[key].items() >= expected.items()
        newest = account.responses(key)[0]["created_time"]
        assert model.micros(figures[key]["newest_created_at"]) == model.micros(newest)


def test_rows_that_vanished_from_a_page_make_the_survey_read_whole(account, runs, path, survey_id):
    runs.run()
    gone = [account.responses(survey_id)[place]["id"] for place in (10, 240)]
    for each in gone:
        account.delete_response(survey_id, each)
    runs.server.clear_requests()
    figures = runs.figures(runs.run())[survey_id]
    cursors = [query.get("cursor") for path, query in sent(runs.server) if "responses" in path]
    # The first page again, then the whole survey.
    assert [bool(cursor) for cursor in cursors] == [False, False, True, True]
    assert (figures["deleted"], figures["pages"]) == (2, 4)
    rows = model.responses(path)
    assert {key for key, row in rows.items() if row["deleted_at"]} == set(gone)


def test_pages_that_overlap_make_the_survey_read_whole_once_more(runs, path, survey_id):
    once = Fault("overlap", path="responses", page=2, rows=3, times=1)
    runs.server.faults.add(once)
    figures = runs.figures(runs.run())[survey_id]
    assert runs.server.faults.hits(once) == 1
    cursors = [query.get("cursor") for path, query in sent(runs.server) if "responses" in path]
    assert [bool(cursor) for cursor in cursors] == [False, True, True] * 2
    assert (figures["new"], figures["dagster/partition_row_count"]) == (250, 250)
    assert len(model.responses(path)) == 250


def test_a_survey_that_cannot_be_read_whole_after_rows_vanished_is_failed(
    account, runs, path, survey_id
):
    runs.run()
    account.delete_response(survey_id, account.responses(survey_id)[10]["id"])
    aside = path.with_name("aside")

    def replace_the_file(rows: list[Any]) -> list[Any]:
        path.rename(aside)
        path.mkdir()
        return rows

    second_walk = Fault(
        "mutate_rows", path="responses", after=1, times=1, transform=replace_the_file
    )
    runs.server.faults.add(second_walk)
    result = runs.run()
    assert runs.server.faults.hits(second_walk) == 1
    assert not result.success
    assert "is a folder" in runs.failed(result)[survey_id]
    path.rmdir()
    aside.rename(path)
    runs.server.clear_requests()
    assert runs.figures(runs.run())[survey_id]["deleted"] == 1
    assert [path for path, _ in sent(runs.server) if "responses" in path] == [
        responses_path(survey_id)
    ] * 3


def test_a_value_the_database_refuses_is_nowhere_in_the_record_of_the_run(account, runs, path):
    good, bad = account.add_survey(), account.add_survey()
    runs.run()
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE hotjar.survey_responses ALTER hotjar_user_id TYPE INTEGER")
    account.add_responses(good, hotjar_user_id="12345")
    account.add_responses(bad, hotjar_user_id="somebody-private")
    result = runs.run()
    assert runs.figures(result)[good]["new"] == 1
    failed = runs.failed(result)
    assert failed.keys() == {bad}
    assert "refused the rows" in failed[bad]
    assert "somebody" not in runs.told(result)


def test_a_database_of_a_real_account_fails_every_survey_and_says_why(
    account, runs, path, store, survey_id
):
    store.warehouse.check("real")
    other = account.add_survey(responses=5)
    result = runs.run()
    assert runs.figures(result) == {}
    failed = runs.failed(result)
    assert failed.keys() == {survey_id, other}
    for problem in failed.values():
        assert "holds the data of a real account and these answers come from a sandbox" in problem
    assert model.responses(path) == {}
