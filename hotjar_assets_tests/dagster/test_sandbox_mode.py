"""Made-up data never looks like real data, and never lands among it."""

import dagster as dg
import pytest

from hotjar_assets.config import Settings
from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.resources import HotjarResource
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.dagster.model import (
    QUIET,
    SURVEY_IDS,
    Deployment,
    pages_sent,
    query,
    step_failure,
)

SMALL = "1204511"
"""A survey of the built-in account that fills one page."""


@pytest.fixture
def sandbox(server, monkeypatch, tmp_path):
    """Ask for the built-in sandbox, and for nothing else."""
    monkeypatch.setenv("HOTJAR_SANDBOX", "1")
    monkeypatch.setenv("HOTJAR_REQUESTS_PER_MINUTE", "1000000")
    with dg.DagsterInstance.ephemeral() as instance:
        settings = Settings.from_environment()
        yield Deployment(server, settings, instance, HotjarResource.from_environment())


def test_sandbox_mode_needs_no_account_and_says_sandbox_everywhere(sandbox, caplog):
    sandbox.add_partitions([SMALL])
    job = build_defs(models=False).resolve_job_def("sync_job")

    result = job.execute_in_process(
        instance=sandbox.instance, tags={RANGE_START: SMALL, RANGE_END: SMALL}, run_config=QUIET
    )

    assert result.success
    recorded = [
        figures
        for asset in ("surveys", "survey_responses")
        for _, figures in sandbox.materialized(result, dg.AssetKey(["hotjar", asset]))
    ]
    assert [figures["account"] for figures in recorded] == ["sandbox", "sandbox"]
    assert {figures["database"] for figures in recorded} == {"data/sandbox.duckdb"}
    assert "using the built-in sandbox account at http://127.0.0.1:" in caplog.text
    account = "SELECT value FROM hotjar.meta WHERE name = 'account'"
    assert query(sandbox.database, account) == [("sandbox",)]


def test_the_sensor_finds_the_surveys_of_the_export(sandbox, monkeypatch):
    monkeypatch.setenv("HOTJAR_SOURCE", "insights")
    hotjar = HotjarResource.from_environment()

    with dg.build_sensor_context(
        instance=sandbox.instance, resources={"hotjar": hotjar}
    ) as context:
        tick = new_surveys_sensor(context)

    assert isinstance(tick, dg.SensorResult)
    (request,) = tick.dynamic_partitions_requests or ()
    assert len(request.partition_keys) == 12
    assert SMALL in request.partition_keys


def test_a_real_accounts_database_refuses_a_sandbox_reached_by_its_address(known):
    """The answers say where they come from, whatever the settings say."""
    Warehouse(known.database).check("real")

    result = known.run(keys=SURVEY_IDS)

    step, failure = step_failure(result)
    assert step == "hotjar__surveys"
    assert "holds the data of a real account" in failure.description
    assert "set HOTJAR_DATABASE to another file" in failure.description
    assert pages_sent(known.server) == {}
    assert query(known.database, "SELECT count(*) FROM hotjar.surveys") == [(0,)]


def test_a_real_accounts_database_refuses_responses_of_a_sandbox(known):
    """The surveys step may be left out of a run."""
    Warehouse(known.database).check("real")
    job = known.repository.get_job("sync_job")

    result = job.execute_in_process(
        instance=known.instance,
        tags={RANGE_START: "101", RANGE_END: "104"},
        asset_selection=[dg.AssetKey(["hotjar", "survey_responses"])],
        run_config=QUIET,
        raise_on_error=False,
    )

    _, failure = step_failure(result)
    assert "4 of 4 surveys failed" in failure.description
    assert "holds the data of a real account" in failure.description
    assert query(known.database, "SELECT count(*) FROM hotjar.survey_responses") == [(0,)]
    assert known.statuses() == dict.fromkeys(SURVEY_IDS, "FAILED")
