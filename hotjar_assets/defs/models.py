"""When the dbt models run: after whatever committed rows. What they are is in `dbt_project/`.

The sensor asks what Dagster recorded and nothing else, so that a sync from the command line, a
schedule, the UI, and one that failed for some of its surveys are all the same to it. Nothing here
imports dbt or dagster-dbt, which take a second to load: `defs/dbt.py` does, and only where the
extra `dbt` is installed.
"""

import json
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dagster as dg
from pydantic import Field

from hotjar_assets.config import Settings, environment_variable, set_names
from hotjar_assets.defs.abandoned import fail_abandoned_runs
from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.sync import Depth

MODELS_JOB = "models_job"
RETRY_SECONDS = 3600
"""Pause after a failed run of the models, unless new rows come before."""
_CHANGES = ("new", "updated", "deleted", "purged")
_RECORDS_AT_ONCE = 1000
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class ModelsDatabase(dg.ConfigurableResource[None]):
    """The DuckDB file that the models read and fill; the one that the syncs write."""

    database: str = Field(description=Settings.model_fields["database"].description)
    max_models_mb: int = Field(
        default=Settings.model_fields["max_models_mb"].default,
        description=Settings.model_fields["max_models_mb"].description,
    )

    @classmethod
    def from_environment(cls, database: str) -> "ModelsDatabase":
        """Name the variable of the limit if it is set; Dagster reads it when a run starts."""
        if "max_models_mb" not in set_names():
            return cls(database=database)
        limit = dg.EnvVar.int(environment_variable("max_models_mb"))
        return cls(database=database, max_models_mb=limit)


def has_dbt() -> bool:
    """Tell whether the extra `dbt` is installed, without importing any of it."""
    try:
        version("dagster-dbt")
        version("dbt-duckdb")
    except PackageNotFoundError:
        return False
    return True


def has_changes(figures: Mapping[str, Any]) -> bool:
    """Tell whether a materialization with this metadata changed rows; one without figures did.

    A full sync may have rewritten personal values, which it does not count.
    """
    counts = [figures[name] for name in _CHANGES if name in figures]
    return not counts or any(counts) or figures.get("depth") == Depth.ALL.value


def newest_run(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> dg.RunRecord | None:
    """Return the newest run of the models with one of the statuses, or with any."""
    wanted = dg.RunsFilter(job_name=MODELS_JOB, statuses=list(statuses) or None)
    return next(iter(instance.get_run_records(wanted, limit=1)), None)


def began_at(run: dg.RunRecord | None) -> float:
    """Return when a run began, in seconds since 1970; without a run, 0.

    Rows that were committed earlier are in the models of a run that succeeded: dbt opens the
    database later, and nobody else can write while it is open.
    """
    return (run.start_time or run.create_timestamp.timestamp()) if run else 0.0


def has_unseen_changes(instance: dg.DagsterInstance) -> bool:
    """Tell whether rows were committed that no successful run of the models has seen."""
    made_at = began_at(newest_run(instance, dg.DagsterRunStatus.SUCCESS))
    return any(
        _look(instance, asset.key, None, made_at)[1] for asset in (surveys, survey_responses)
    )


def reason_to_wait(*, changed_at: float, failed_at: float, now: float) -> str | None:
    """Decide whether the models are to be made; return why not, or None if they are.

    Args:
        changed_at: When rows came that no successful run has seen, in seconds since 1970; else 0.
        failed_at: When the last failed run of the models began; 0 if none failed.
        now: The time.
    """
    if not changed_at:
        return "no sync committed anything since the models were made"
    if changed_at < failed_at and now < failed_at + RETRY_SECONDS:
        return f"the models failed; they run again {RETRY_SECONDS} seconds after, or with new rows"
    return None


@dg.sensor(
    name="models_sensor",
    job_name=MODELS_JOB,
    minimum_interval_seconds=60,
    description="Runs the dbt models after every sync that committed rows, one run at a time.",
)
def models_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Ask for the models once rows came since they were made last.

    The tick cursor is, by asset, the last event up to which none changed any rows.
    """
    instance = context.instance
    fail_abandoned_runs(instance)
    if run := newest_run(instance, *_UNDER_WAY):
        return dg.SkipReason(f"run {run.dagster_run.run_id} makes the models just now")
    made_at = began_at(newest_run(instance, dg.DagsterRunStatus.SUCCESS))
    seen: dict[str, int] = json.loads(context.cursor or "{}")
    changed_at = 0.0
    for asset in (surveys, survey_responses):
        name = asset.key.to_user_string()
        newest, asset_changed_at = _look(instance, asset.key, seen.get(name), made_at)
        if newest and not asset_changed_at:
            seen[name] = newest
        changed_at = max(changed_at, asset_changed_at)
    failed_at = began_at(newest_run(instance, dg.DagsterRunStatus.FAILURE))
    reason = reason_to_wait(changed_at=changed_at, failed_at=failed_at, now=time.time())
    if reason:
        context.update_cursor(json.dumps(seen))
        return dg.SkipReason(reason)
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=json.dumps(seen))


def _look(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, seen: int | None, made_at: float
) -> tuple[int | None, float]:
    """Return the newest event of an asset, and when one changed rows after the models were made."""
    wanted = dg.AssetRecordsFilter(asset_key, after_storage_id=seen, after_timestamp=made_at)
    newest, cursor, has_more = None, None, True
    while has_more:
        page = instance.fetch_materializations(wanted, limit=_RECORDS_AT_ONCE, cursor=cursor)
        for record in page.records:
            newest = newest or record.storage_id
            materialization = record.asset_materialization
            figures = materialization.metadata if materialization else {}
            if has_changes({name: value.value for name, value in figures.items()}):
                return newest, record.timestamp
        cursor, has_more = page.cursor, page.has_more
    return newest, 0.0
