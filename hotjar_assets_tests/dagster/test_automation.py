"""Declarative automation: what Dagster would request, tick by tick, on real instances."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.config import Settings, is_automated
from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.defs.automation import automated
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START
from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.dagster.model import QUIET, SURVEY_IDS, Deployment

SURVEYS, RESPONSES, SCORES = "hotjar/surveys", "hotjar/survey_responses", "scores"
ALL = set(SURVEY_IDS)


@dg.asset(deps=[surveys])
def scores() -> None:
    """Stands where a model stands, one of the surveys alone: it too waits for the responses."""


@dataclass
class Daemon:
    """Evaluates the conditions as Dagster's daemon does, at times that a test sets."""

    deployment: Deployment
    now: datetime = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    cursor: Any = field(default=None)

    def tick(self, *, minutes: int = 1) -> dict[str, set[str | None]]:
        """Return the partitions requested, by asset; of one without partitions, {None}."""
        self.now += timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            self.deployment.definitions,
            self.deployment.instance,
            evaluation_time=self.now,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        keys = (surveys.key, survey_responses.key, scores.key)
        requested = {
            key.to_user_string(): set(result.get_requested_partitions(key)) for key in keys
        }
        return {name: partitions for name, partitions in requested.items() if partitions}

    def updated(self, asset: dg.AssetsDefinition, *keys: str) -> None:
        """Record that an asset was materialized, or some of its partitions."""
        for key in keys or (None,):
            materialization = dg.AssetMaterialization(asset.key, partition=key)
            self.deployment.instance.report_runless_asset_event(materialization)

    def run(self, *assets: dg.AssetsDefinition, keys: tuple[str, ...] = ()) -> bool:
        """Run assets as the daemon does: over a range of partitions, in the job of all assets."""
        result = self.deployment.repository.get_job("__ASSET_JOB").execute_in_process(
            instance=self.deployment.instance,
            asset_selection=[asset.key for asset in assets],
            tags={RANGE_START: keys[0], RANGE_END: keys[-1]} if keys else None,
            run_config=QUIET,
            raise_on_error=False,
        )
        return bool(result.success)


@pytest.fixture
def daemon(known: Deployment) -> Daemon:
    """A daemon that has begun, of a deployment that has read nothing yet."""
    deployment = replace(known, automation=True, more=automated([scores]))
    daemon = Daemon(deployment)
    assert daemon.tick() == {}
    return daemon


def test_the_surveys_are_read_every_hour_and_once(daemon):
    assert daemon.tick(minutes=15) == {}
    assert daemon.tick(minutes=15) == {SURVEYS: {None}}
    daemon.updated(surveys)
    assert SURVEYS not in daemon.tick(minutes=15)
    assert daemon.tick(minutes=45)[SURVEYS] == {None}


def test_after_the_surveys_every_partition_is_requested_at_once_missing_ones_included(daemon):
    assert daemon.run(surveys)

    assert daemon.tick()[RESPONSES] == ALL
    assert daemon.run(survey_responses, keys=("101", "104"))
    assert set(daemon.deployment.statuses().values()) == {"MATERIALIZED"}
    assert RESPONSES not in daemon.tick()
    assert RESPONSES not in daemon.tick()


def test_a_partition_that_was_never_read_holds_up_nothing_downstream(daemon):
    daemon.updated(survey_responses, "101")

    assert daemon.tick() == {SCORES: {None}}
    daemon.updated(scores)
    assert daemon.tick() == {}


def test_a_survey_that_fails_holds_up_nothing_and_is_read_again_in_the_next_hour(daemon):
    daemon.deployment.server.faults.add(Fault("403", path="responses", survey_id="102"))
    assert daemon.run(surveys)
    assert daemon.tick()[RESPONSES] == ALL
    assert not daemon.run(survey_responses, keys=("101", "104"))

    assert daemon.tick() == {SCORES: {None}}
    assert daemon.tick(minutes=5) == {}
    assert daemon.tick(minutes=60) == {SURVEYS: {None}}
    assert daemon.run(surveys)
    assert daemon.tick()[RESPONSES] == ALL


def test_what_is_downstream_waits_for_a_run_that_is_at_its_parents(daemon):
    run = daemon.deployment.instance.create_run_for_job(
        daemon.deployment.repository.get_job("sync_job"),
        tags={RANGE_START: "103", RANGE_END: "104"},
    )
    daemon.updated(survey_responses, "101", "102")

    assert daemon.tick() == {}
    daemon.deployment.instance.report_run_failed(run)
    assert daemon.tick()[SCORES] == {None}


def test_a_sync_by_a_schedule_is_followed_downstream_and_not_by_another_sync(daemon):
    assert daemon.deployment.run(keys=SURVEY_IDS).success

    assert daemon.tick() == {SCORES: {None}}
    assert daemon.run(scores)
    assert daemon.tick() == {}


def test_nothing_runs_downstream_of_rows_that_stand_twice_until_they_are_mended(daemon):
    def judged(*, passed: bool) -> None:
        verdict = dg.AssetCheckEvaluation(
            asset_key=survey_responses.key,
            check_name="unique_key",
            passed=passed,
            metadata={},
            blocking=True,
        )
        daemon.deployment.instance.report_runless_asset_event(verdict)

    daemon.updated(survey_responses, "101")
    judged(passed=False)

    assert daemon.tick() == {}
    judged(passed=True)
    assert daemon.tick() == {SCORES: {None}}


def test_a_new_partition_is_left_to_the_sensor_that_adds_it(daemon):
    daemon.updated(surveys)
    assert daemon.tick() == {RESPONSES: ALL}
    daemon.deployment.add_partitions(["105"])

    assert daemon.tick() == {}


# --- Instead of what ---------------------------------------------------------------------------


def names(definitions: dg.Definitions) -> set[str]:
    """Return the names of the schedules and sensors."""
    repository = definitions.get_repository_def()
    schedules = {schedule.name for schedule in repository.schedule_defs}
    return schedules | {sensor.name for sensor in repository.sensor_defs}


def test_what_automation_does_nothing_else_does():
    by_clock = names(build_defs(models=False))
    by_condition = names(build_defs(models=False, automation=True))

    assert by_clock - by_condition == {"sync_schedule"}
    assert by_condition - by_clock == {"default_automation_condition_sensor"}


def test_its_sensor_is_stopped_until_somebody_starts_it():
    sensors = build_defs(models=False, automation=True).get_repository_def().sensor_defs

    assert {each.default_status for each in sensors} == {dg.DefaultSensorStatus.STOPPED}


@pytest.mark.parametrize(
    ("value", "is_asked_for"), [("1", True), ("0", False)], ids=["set", "not set"]
)
def test_the_setting_asks_for_it(value, is_asked_for, monkeypatch):
    monkeypatch.setenv("HOTJAR_AUTOMATION", value)

    assert is_automated() is is_asked_for
    assert Settings.parse({"sandbox": "1", "automation": value}).automation is is_asked_for
