"""The two assets."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from hotjar_assets.defs.beta import asset
from hotjar_assets.defs.catalogue import PERSONAL_DATA, RAW, table_metadata, version_setter
from hotjar_assets.defs.partitions import survey_partitions
from hotjar_assets.materializations import MOST_PICTURES
from hotjar_assets.privacy import Privacy
from hotjar_assets.resources import HotjarResource, as_failure
from hotjar_assets.schema import SCHEMA, SURVEY_RESPONSES, SURVEYS
from hotjar_assets.sync import Depth, ResponseSync, SurveySync

IO_MANAGER_KEY = "hotjar_io_manager"
"""The resource that stores both. A name of its own leaves `io_manager` to the project that these
are merged into."""

LATE_AFTER = timedelta(hours=26)
STALE_AFTER = timedelta(days=7)
"""Not read for so long: a daily sync would be late, and a weekly one gone."""
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER, warn_window=LATE_AFTER)

RECONCILE_JOB = "reconcile_job"
"""The job that reads everything. Its own configuration does not reach a run over a range."""


class ResponsesConfig(dg.Config):
    """How a run reads the responses."""

    depth: Literal["new", "lookback", "all"] = Field(
        default="new", description="How far back: what is new, the last days again, or everything."
    )
    lookback_days: int | None = Field(
        default=None,
        ge=1,
        le=36500,
        description="Days that `lookback` reads; default HOTJAR_LOOKBACK_DAYS.",
    )
    purge: bool = Field(
        default=False, description="With `all`: delete what an earlier full sync had marked."
    )
    pictures: bool = Field(
        default=True,
        description=f"Show each survey in a run over at most {MOST_PICTURES}: responses a day, the "
        "trend of its score, counts of answers.",
    )


@dg.asset(
    key=[SCHEMA, SURVEYS.name],
    group_name=SCHEMA,
    kinds={"python", "duckdb"},
    tags=RAW,
    io_manager_key=IO_MANAGER_KEY,
    metadata=table_metadata(SURVEYS),
    freshness_policy=FRESHNESS,
)
def surveys(context: dg.AssetExecutionContext, hotjar: HotjarResource) -> SurveySync:
    """One row is a survey of a configured site, with its questions.

    The key is `survey_id`. Refreshed by every sync. A survey that a complete listing no longer has
    keeps its row, with `deleted_at` set.
    """
    with as_failure():
        return SurveySync(hotjar.client(), version_setter(context))


@asset(
    key=[SCHEMA, SURVEY_RESPONSES.name],
    deps=[surveys],
    group_name=SCHEMA,
    kinds={"python", "duckdb"},
    tags={**RAW, **PERSONAL_DATA},
    io_manager_key=IO_MANAGER_KEY,
    partitions_def=survey_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={**table_metadata(SURVEY_RESPONSES), "partition_expr": "survey_id"},
    freshness_policy=FRESHNESS,
)
def survey_responses(
    context: dg.AssetExecutionContext, config: ResponsesConfig, hotjar: HotjarResource
) -> ResponseSync:
    """One row is a response to a survey, with its answers; each survey is a partition.

    The key is `(survey_id, response_id)`. Refreshed by every sync, from the newest response in the
    table on; the daily lookback sees what was completed, tagged or scored later, and the weekly
    reconcile run marks what Hotjar no longer has (`deleted_at`).
    """

    def report(figures: Mapping[str, Mapping[str, Any]]) -> None:
        with survey_partitions.held():
            for survey_id, metadata in figures.items():
                context.add_asset_metadata(metadata, partition_key=survey_id)

    def shown(survey_id: str) -> Mapping[str, Any]:
        wanted = dg.AssetRecordsFilter(context.asset_key, asset_partitions=[survey_id])
        for last in context.instance.fetch_materializations(wanted, limit=1).records:
            return last.asset_materialization.metadata if last.asset_materialization else {}
        return {}

    has_partitions = context.has_partition_key or context.has_partition_key_range
    if not has_partitions:
        context.log.warning("this run is over no partition: no survey was read")
    with as_failure():
        settings = hotjar.settings
        return ResponseSync(
            hotjar.client(),
            survey_ids=context.partition_keys if has_partitions else (),
            depth=Depth.ALL if context.job_name == RECONCILE_JOB else Depth(config.depth),
            lookback_days=config.lookback_days or settings.lookback_days,
            start_at=settings.start_at,
            concurrency=settings.concurrency,
            purge=config.purge,
            privacy=Privacy.from_settings(settings),
            report=report,
            set_version=version_setter(context),
            shown=shown if config.pictures else None,
            progress=hotjar.progress,
        )
