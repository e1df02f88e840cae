"""A person's way through the UI; each figure seen is compared with /graphql and with the table."""

import json
import re
import subprocess

import duckdb
import pytest

from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.browser.conftest import HOTJAR_ASSETS, NPS, stored_rows
from hotjar_assets_tests.browser.dagster_dev import RESPONSES, SURVEYS, wait_for
from hotjar_assets_tests.browser.ui import GROUNDS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROWS = "dagster/partition_row_count"


def sync(folder, environ, *, models=False):
    """Run `hotjar-assets sync` and return its summary."""
    command = [str(HOTJAR_ASSETS), "sync", "--json", *([] if models else ["--no-models"])]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def responses_path(survey_id):
    return f"/v1/sites/1001/surveys/{survey_id}/responses"


def truth(server):
    """Return how many responses each survey of the account has."""
    account = server.account
    return {survey_id: account.response_count(survey_id) for survey_id in account.survey_ids()}


def test_surveys_and_all_responses_are_materialized_from_the_ui(window, start_dev, folder, server):
    database = folder / "data" / "warehouse.duckdb"
    ids = set(server.account.survey_ids())
    with start_dev() as dev:
        ui = window(dev)

        # The surveys, from the asset graph.
        ui.select_in_graph("surveys")
        ui.sees("Never materialized")
        run = dev.wait_for_run(ui.materialize())
        assert run["status"] == "SUCCESS"
        figures = {"new": 12, "updated": 0, "deleted": 0, "requests": 1, "account": "sandbox"}
        (stored,) = dev.materializations(SURVEYS)
        assert stored == stored | figures | {"run_id": run["runId"], "dagster/row_count": 12}
        ui.sees("Materialized")
        ui.sees_figures(**{"dagster/row_count": 12}, **figures)
        ui.picture("surveys")
        with duckdb.connect(str(database), read_only=True) as connection:
            listed = connection.execute("SELECT survey_id FROM hotjar.surveys").fetchall()
        assert {survey_id for (survey_id,) in listed} == ids

        # The sensor: every survey gets a partition and a first run.
        assert not set().union(*dev.partitions().values())
        ui.turn_on_sensor("new_surveys_sensor")
        wait_for(lambda: set().union(*dev.partitions().values()) == ids, "partition a survey")
        run = dev.wait_for_run_with("dagster/sensor_name", "new_surveys_sensor")
        assert run["status"] == "SUCCESS"
        ui.picture("sensor")
        ui.open_asset(RESPONSES, "partitions")
        ui.sees("12 Partitions Selected")
        ui.sees("Materialized (12)")
        assert stored_rows(database) == {key: rows for key, rows in truth(server).items() if rows}

        # All partitions, from the UI, after some people answered.
        server.account.add_responses(NPS, 3)
        server.clear_requests()
        run = dev.wait_for_run_with("dagster/backfill", ui.materialize_all_partitions())
        assert run["status"] == "SUCCESS"
        asked = [request.path for request in server.requests if request.method == "GET"]
        assert sorted(asked) == sorted(map(responses_path, ids))
        assert all("authorization" in request.headers for request in server.requests[1:])
        found = dict(dev.by_partition(run["runId"]))
        assert {key: figures[ROWS] for key, figures in found.items()} == truth(server)
        assert {key: figures["new"] for key, figures in found.items() if figures["new"]} == {NPS: 3}
        assert {figures["requests"] for figures in found.values()} == {1}
        assert {figures["account"] for figures in found.values()} == {"sandbox"}
        assert dev.partitions()["materialized"] == ids
        assert stored_rows(database) == {key: rows for key, rows in truth(server).items() if rows}

        # One partition's figures, in both themes.
        for theme, ground in GROUNDS.items():
            ui = window(dev, theme)
            ui.open_partition(RESPONSES, NPS)
            ui.sees("Materialized (12)")
            ui.sees_figures(
                **{ROWS: found[NPS][ROWS]},
                new=3,
                updated=0,
                deleted=0,
                requests=1,
                pages=1,
                depth="new",
                stopped_early=True,
                account="sandbox",
                database="data/warehouse.duckdb",
            )
            assert ui.ground() == ground
            ui.picture(f"partition-{theme}")


def test_runs_of_the_command_line_show_in_the_ui(window, start_dev, folder, environ, server):
    summary = sync(folder, environ)
    with start_dev() as dev:
        ui = window(dev)
        (run,) = dev.runs()
        assert (run["jobName"], run["status"]) == ("sync_job", "SUCCESS")
        found = dict(dev.by_partition(run["runId"]))
        assert {key: figures[ROWS] for key, figures in found.items()} == truth(server)
        names = {"rows": ROWS, "new": "new", "updated": "updated", "requests": "requests"}
        assert {
            key: {name: figures[label] for name, label in names.items()}
            for key, figures in found.items()
        } == {
            key: {name: figures[name] for name in names}
            for key, figures in summary["partitions"].items()
        }
        ui.open("/runs")
        ui.sees("sync_job")
        ui.sees(run["runId"][:8])
        ui.picture("runs")
        ui.open_partition(RESPONSES, NPS)
        ui.sees_figures(**{ROWS: found[NPS][ROWS]}, new=found[NPS][ROWS])

        # And one that is made while the UI is up.
        server.account.add_responses(NPS, 4)
        assert sync(folder, environ)["partitions"][NPS]["new"] == 4
        ui.open_partition(RESPONSES, NPS)
        ui.sees_figures(**{ROWS: found[NPS][ROWS] + 4}, new=4)
        assert len(dev.runs()) == 2


def test_failing_survey_shows_its_reason_and_the_others_their_figures(
    window, start_dev, folder, server
):
    server.faults.add(Fault("404", path="responses", survey_id=NPS))
    with start_dev() as dev:
        ui = window(dev)
        ui.turn_on_sensor("new_surveys_sensor")
        run = dev.wait_for_run_with("dagster/sensor_name", "new_surveys_sensor")
        assert run["status"] == "FAILURE"

        rows = {survey_id: count for survey_id, count in truth(server).items() if survey_id != NPS}
        statuses = dev.partitions()
        assert statuses["materialized"] == set(rows)
        assert statuses["failed"] == {NPS}
        assert not statuses["materializing"]
        found = dict(dev.by_partition(run["runId"]))
        assert {key: (figures[ROWS], figures["new"]) for key, figures in found.items()} == {
            key: (count, count) for key, count in rows.items()
        }
        stored = stored_rows(folder / "data" / "warehouse.duckdb")
        assert stored == {key: count for key, count in rows.items() if count}

        ui.open_partition(RESPONSES, NPS)
        ui.sees("Failed (1)")
        ui.sees("Materialized (11)")
        ui.sees(re.compile(f"Run {run['runId'][:8]} failed, and did not materialize this asset"))
        ui.picture("partition-failed")
        other = max(rows, key=lambda survey_id: rows[survey_id])
        ui.open_partition(RESPONSES, other)
        ui.sees_figures(
            **{ROWS: rows[other]}, new=rows[other], requests=rows[other] // 100, account="sandbox"
        )
        ui.picture("partition-beside-a-failed-one")
        ui.open(f"/runs/{run['runId']}")
        reason = rf"{NPS} \(.+\): not found: .*HTTP 404.*{re.escape(responses_path(NPS))}"
        ui.sees("1 of 12 surveys failed; the others are stored")
        ui.sees(re.compile(reason))
        ui.picture("run-failed")
        (failure,) = dev.events(run["runId"], "ExecutionStepFailureEvent")
        assert re.search(reason, failure["failureMetadata"]["description"])
