"""What workspace.yaml, dagster.yaml and `make dev` promise: logs, restarts, killed workers."""

import os
import re
import signal
import sys
from collections import Counter

import duckdb
import pytest

from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.browser.conftest import NPS, stored_rows
from hotjar_assets_tests.browser.dagster_dev import (
    RESPONSES,
    SURVEYS,
    DagsterDev,
    clean_environment,
    free_port,
    wait_for,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

TROUBLE = re.compile("ERROR|CRITICAL|Traceback|WARN|Warning")
MEANT = re.compile("No cursor for event type|using the built-in sandbox account")
"""Dagster's daemon warns so once, on a new instance; and a run on the sandbox is to say so."""


def troubles(dev: DagsterDev) -> list[str]:
    """Lines of what it printed that a reader would have to learn to ignore."""
    lines = dev.output.splitlines()
    return [line for line in lines if TROUBLE.search(line) and not MEANT.search(line)]


@pytest.fixture
def checkout(tmp_path, project):
    """A checkout as far as `make dev` looks at one, without data and without an instance."""
    files = ("Makefile", "workspace.yaml", "dg.toml", "pyproject.toml", "setup.py")
    for name in (*files, "requirements.lock", "hotjar_assets"):
        (tmp_path / name).symlink_to(project / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def make_dev(checkout, project):
    """Start `make dev` on the sandbox; what is installed is not looked at again."""
    port = free_port()
    environ = clean_environment(
        HOTJAR_SANDBOX="1",
        PYTHONPATH=str(project),
    )
    command = ["make", "--old-file=.venv/.installed", "dev", f"PORT={port}"]
    return DagsterDev(command, folder=checkout, environ=environ, port=port)


COMMITTED = re.compile(r"(\d+) surveys committed; new rows: (.+)")
PROGRESS = re.compile(r"\d+ of \d+ surveys")


def test_make_dev_keeps_its_instance_and_says_that_it_is_the_sandbox(window, checkout, project):
    notice = re.compile(r"using the built-in sandbox account at http://127\.0\.0\.1:\d+")
    with make_dev(checkout, project) as dev:
        assert dev.locations() == {"hotjar_assets", "hotjar_models"}
        ui = window(dev)
        ui.open_asset(SURVEYS)
        run = dev.wait_for_run(ui.materialize())
        assert run["status"] == "SUCCESS"
        (line,) = dev.logged(run["runId"])
        assert notice.fullmatch(line)
        ui.open(f"/runs/{run['runId']}")
        ui.sees(notice)
        ui.picture("run")
        (stored,) = dev.materializations(SURVEYS)
        assert stored["account"] == "sandbox"
        assert stored["database"] == "data/sandbox.duckdb"
        assert [path.name for path in (checkout / "data").glob("*.duckdb")] == ["sandbox.duckdb"]
        # Read before the end: a web server that ends under an open window prints a traceback.
        assert troubles(dev) == []
        assert dev.stop()
    with make_dev(checkout, project) as dev:
        assert dev.run(run["runId"])["status"] == "SUCCESS"
        assert dev.materializations(SURVEYS) == [stored]
        ui = window(dev)
        ui.open_asset(SURVEYS)
        ui.sees("Row count")
        assert troubles(dev) == []
        assert dev.stop()


def test_what_the_package_logs_stands_once_in_the_log_of_its_run(window, start_dev, folder, server):
    database = folder / "data" / "warehouse.duckdb"
    database.parent.mkdir()
    waiting = f"waiting for data/warehouse.duckdb, held by PID {os.getpid()}"
    out_of_order = re.compile(
        rf"survey {NPS} \(.+\): page \d+ is not newest first; reading to the end"
    )
    server.faults.add(Fault("unsorted", path="responses", survey_id=NPS))
    with start_dev() as dev:
        ui = window(dev)
        ui.open_asset(SURVEYS)
        with duckdb.connect(str(database)):
            held = ui.materialize()
            wait_for(
                lambda: any(line.startswith(waiting) for line in dev.logged(held)),
                "line about the held database",
            )
            assert dev.run(held)["status"] == "STARTED"
        assert dev.wait_for_run(held)["status"] == "SUCCESS"
        assert {line[: len(waiting)] for line in dev.logged(held)} == {waiting}
        ui.search_log(held, "held by")
        ui.sees(waiting)
        ui.picture("run-waiting")

        ui.turn_on_sensor("new_surveys_sensor")
        run = dev.wait_for_run_with("dagster/sensor_name", "new_surveys_sensor")
        assert run["status"] == "SUCCESS"
        logged = Counter(dev.logged(run["runId"]))
        assert set(logged.values()) == {1}
        groups = [found for line in logged if (found := COMMITTED.fullmatch(line))]
        ordinary = {group.string for group in groups}
        first, last = dev.logged(run["runId"])[0], dev.logged(run["runId"])[-1]
        assert first.startswith(f"reading {len(server.account.survey_ids())} surveys: ")
        assert last.startswith(f"{len(server.account.survey_ids())} surveys stored; ")
        ordinary |= {first, last, *(line for line in logged if PROGRESS.match(line))}
        (rest,) = logged.keys() - ordinary
        assert out_of_order.fullmatch(rest)
        assert sum(int(group[1]) for group in groups) == len(server.account.survey_ids())
        # Behind each id stands the survey's name.
        new = [found for group in groups for found in re.findall(r"(\d+) in (\S+) \(", group[2])]
        assert {key: int(count) for count, key in new} == stored_rows(database)
        ui.search_log(run["runId"], "newest first")
        ui.sees(out_of_order)
        ui.picture("run-out-of-order")


def test_run_whose_process_is_killed_is_started_again(window, start_dev, folder, server):
    slow = Fault("slow", path="responses", survey_id=NPS, delay_seconds=60, times=1)
    server.faults.add(slow)
    with start_dev() as dev:
        ui = window(dev)
        ui.turn_on_sensor("new_surveys_sensor")
        wait_for(lambda: server.faults.hits(slow), "request that is not answered")
        (killed,) = (run["runId"] for run in dev.runs())
        (process,) = (
            int(match.group(1))
            for event in dev.events(killed, "EngineEvent")
            if (
                match := re.fullmatch(r"Started process for run \(pid: (\d+)\)\.", event["message"])
            )
        )
        assert process in dev.processes
        os.kill(process, signal.SIGKILL)

        assert dev.wait_for_run(killed)["status"] == "FAILURE"
        again = wait_for(
            lambda: next((run for run in dev.runs() if run["parentRunId"] == killed), None),
            "second run",
        )
        assert dev.wait_for_run(again["runId"])["status"] == "SUCCESS"
        assert again["tags"]["dagster/retry_number"] == "1"
        ids = set(server.account.survey_ids())
        assert dict(dev.by_partition(again["runId"])).keys() == ids
        assert dev.partitions()["materialized"] == ids
        account = server.account
        assert stored_rows(folder / "data" / "warehouse.duckdb") == {
            key: count for key in ids if (count := account.response_count(key))
        }
        ui.open("/runs")
        ui.sees(killed[:8])
        ui.sees(again["runId"][:8])
        ui.picture("runs")
        ui.open_asset(RESPONSES, "partitions")
        ui.sees("Materialized (12)")
