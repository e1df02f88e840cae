"""The schedules: new surveys first, then one run over every partition, as deep as they say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.defs.jobs import run_config
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, known_surveys, survey_partitions
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import Fault
from hotjar_assets.sync import Depth
from hotjar_assets_tests.dagster.model import (
    SITE,
    SURVEY_IDS,
    Deployment,
    sent,
    settings_for,
    tables_after_a_first_sync,
)

DEPTHS = [
    pytest.param("sync_schedule", Depth.NEW, id="hourly"),
    pytest.param("lookback_schedule", Depth.LOOKBACK, id="daily"),
    pytest.param("reconcile_schedule", Depth.ALL, id="weekly"),
]


@pytest.fixture(scope="module")
def _disk() -> Iterator[dg.DagsterInstance]:
    with TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        yield instance


@pytest.fixture
def disk(_disk: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """An instance on disk, the only kind a schedule accepts, without partitions."""
    yield _disk
    for key in known_surveys(_disk):
        _disk.delete_dynamic_partition(str(survey_partitions.name), key)


@pytest.fixture
def scheduled(deployment: Deployment, disk: dg.DagsterInstance) -> Deployment:
    """A deployment on disk; its runs are made in a copy, which is quicker."""
    return replace(deployment, instance=disk)


@pytest.fixture
def known(known: Deployment, scheduled: Deployment) -> Deployment:
    """The copy in which runs are made; both have a partition for every survey."""
    scheduled.add_partitions()
    return known


def evaluate(deployment: Deployment, name: str) -> Any:
    """Evaluate one tick as the daemon does, and return the run it requests."""
    repository = deployment.repository
    with dg.build_schedule_context(
        instance=deployment.instance,
        scheduled_execution_time=datetime(2026, 3, 1, tzinfo=UTC),
        repository_def=repository,
        resources=dict(repository.get_top_level_resources()),
    ) as context:
        done = repository.get_schedule_def(name).evaluate_tick(context)
    (request,) = done.run_requests or ()
    return request


def launch(deployment: Deployment, name: str, request: Any) -> dg.ExecuteInProcessResult:
    """Run what a schedule requested."""
    job = deployment.repository.get_schedule_def(name).job_name
    return deployment.repository.get_job(job).execute_in_process(
        instance=deployment.instance,
        tags=request.tags,
        run_config=request.run_config,
        asset_selection=request.asset_selection,
        raise_on_error=False,
    )


@pytest.mark.parametrize(("name", "depth"), DEPTHS)
def test_a_schedule_requests_every_partition_as_deep_as_it_says(known, scheduled, name, depth):
    request = evaluate(scheduled, name)

    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("101", "104")
    assert request.run_config == run_config(depth)
    assert request.run_key is None


@pytest.mark.parametrize(("name", "depth"), DEPTHS)
def test_a_requested_run_reads_every_survey_that_deep(known, scheduled, name, depth):
    result = launch(known, name, evaluate(scheduled, name))

    assert result.success
    figures = dict(known.materialized(result))
    assert {key: own["depth"] for key, own in figures.items()} == dict.fromkeys(
        SURVEY_IDS, depth.value
    )


def test_a_schedule_registers_new_surveys_before_it_requests(known, scheduled):
    known.account.add_survey("New", survey_id="050", responses=2)

    request = evaluate(scheduled, "sync_schedule")

    assert sent(known.server) == [
        ("POST", "/v1/oauth/token", {}),
        ("GET", SITE, {"limit": "100", "with_questions": "false"}),
    ]
    assert list(known_surveys(scheduled.instance)) == [*SURVEY_IDS, "050"]
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("101", "050")


def test_a_failed_listing_raises_and_registers_nothing(scheduled):
    scheduled.server.faults.add(Fault("403", path="surveys"))

    with pytest.raises(dg.DagsterUserCodeExecutionError) as raised:
        evaluate(scheduled, "sync_schedule")

    assert "not allowed" in str(raised.value.__cause__)
    assert list(known_surveys(scheduled.instance)) == []


@pytest.mark.parametrize("name", ["sync_schedule", "reconcile_schedule"])
def test_an_account_without_surveys_gets_a_run_over_the_surveys_alone(deployment, scheduled, name):
    for survey_id in SURVEY_IDS:
        deployment.account.remove_survey(survey_id)

    request = evaluate(scheduled, name)

    assert request.asset_selection == [dg.AssetKey(["hotjar", "surveys"])]
    assert RANGE_START not in request.tags
    assert launch(deployment, name, request).success


def test_the_lookback_reads_the_days_that_the_settings_say(known, scheduled):
    known.database.write_bytes(tables_after_a_first_sync())
    request = evaluate(scheduled, "lookback_schedule")
    pages = {}

    for days in ("1", "36500"):
        settings = settings_for(known.server, known.database, HOTJAR_LOOKBACK_DAYS=days)
        hotjar = HotjarResource.from_settings(settings)
        later = Deployment(known.server, settings, known.instance, hotjar)
        result = launch(later, "lookback_schedule", request)
        pages[days] = dict(later.materialized(result))["102"]["pages"]

    assert pages == {"1": 1, "36500": 2}
