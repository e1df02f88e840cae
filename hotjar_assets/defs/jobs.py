"""Jobs and schedules: the same two assets, read to different depths."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from hotjar_assets.api.records import Survey
from hotjar_assets.api.source import SurveySource
from hotjar_assets.defs.abandoned import fail_abandoned_runs
from hotjar_assets.defs.assets import RECONCILE_JOB, survey_responses, surveys
from hotjar_assets.defs.checks import ROW_COUNTS
from hotjar_assets.defs.models import MODELS_JOB
from hotjar_assets.defs.partitions import add_surveys, known_surveys, range_tags
from hotjar_assets.defs.retention import delete_old_runs, delete_superseded_runs
from hotjar_assets.errors import HotjarApiError
from hotjar_assets.resources import HotjarResource, as_failure
from hotjar_assets.sync import Depth

_ASSETS = dg.AssetSelection.assets(surveys, survey_responses)
_CHECKS = dg.AssetSelection.checks_for_assets(surveys, survey_responses)
_OF_FULL_SYNCS = dg.AssetSelection.checks(ROW_COUNTS)
"""What only a full sync can tell."""


def run_config(
    depth: Depth, *, lookback_days: int | None = None, purge: bool = False
) -> dict[str, Any]:
    """Configure how deep a run of `sync_job` reads."""
    config = {"depth": depth.value, "lookback_days": lookback_days, "purge": purge}
    return {"ops": {survey_responses.op.name: {"config": config}}}


sync_job = dg.define_asset_job(
    "sync_job",
    selection=_ASSETS - _OF_FULL_SYNCS,
    executor_def=dg.in_process_executor,
    description="The surveys, then what is new in every survey. Deeper by run configuration.",
)
reconcile_job = dg.define_asset_job(
    RECONCILE_JOB,
    selection=_ASSETS,
    config=run_config(Depth.ALL),
    executor_def=dg.in_process_executor,
    description="The surveys, then every response, marking those that Hotjar no longer has.",
)
checks_job = dg.define_asset_job(
    "checks_job",
    selection=_CHECKS - _OF_FULL_SYNCS,
    executor_def=dg.in_process_executor,
    description="The checks alone: they run with every sync that succeeds, and here without one.",
)


def register_surveys(instance: dg.DagsterInstance, client: SurveySource) -> list[Survey]:
    """List the surveys of every site and add a partition for each that has none.

    Keys added inside a run are invisible to that run, so whoever requests one comes here first.

    Raises:
        HotjarApiError: A listing failed; no partition was added.
    """
    fail_abandoned_runs(instance)
    listed = client.list_surveys()
    add_surveys(instance, (str(survey.id) for survey in listed))
    return listed


def sync_request(instance: dg.DagsterInstance, config: Mapping[str, Any]) -> dg.RunRequest:
    """Request one run over every partition; over the surveys alone while there is none."""
    known = known_surveys(instance)
    if not known:
        return dg.RunRequest(asset_selection=[surveys.key])
    (tags,) = range_tags(known, known)
    return dg.RunRequest(tags=tags, run_config=config)


def _schedule(
    name: str, cron_schedule: str, *, job_name: str, depth: Depth, description: str
) -> dg.ScheduleDefinition:
    @dg.schedule(name=name, cron_schedule=cron_schedule, job_name=job_name, description=description)
    def evaluate(context: dg.ScheduleEvaluationContext, hotjar: HotjarResource) -> dg.RunRequest:
        instance = context.instance
        with as_failure():
            try:
                register_surveys(instance, hotjar.client())
            except HotjarApiError as error:
                # What is known can be read all the same, and a weekly tick does not come again.
                if not (error.retryable and known_surveys(instance)):
                    raise
                context.log.warning("new surveys are not registered this time: %s", error)
            delete_old_runs(instance, (sync_job.name, reconcile_job.name))
            delete_superseded_runs(instance, MODELS_JOB)
            return sync_request(instance, run_config(depth))

    return evaluate


sync_schedule = _schedule(
    "sync_schedule",
    "0 * * * *",
    job_name=sync_job.name,
    depth=Depth.NEW,
    description="Hourly: what is new in every survey.",
)
lookback_schedule = _schedule(
    "lookback_schedule",
    "30 3 * * *",
    job_name=sync_job.name,
    depth=Depth.LOOKBACK,
    description="Daily: the last HOTJAR_LOOKBACK_DAYS again, for what changed after it came.",
)
reconcile_schedule = _schedule(
    "reconcile_schedule",
    "30 4 * * 0",
    job_name=reconcile_job.name,
    depth=Depth.ALL,
    description="Weekly: everything, marking the responses that Hotjar no longer has.",
)
checks_schedule = dg.ScheduleDefinition(
    name="checks_schedule",
    cron_schedule="30 6 * * *",
    job=checks_job,
    description="Daily: the checks, for the days on which no sync succeeds.",
)
