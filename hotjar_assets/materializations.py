"""What Dagster is told of an output: the figures of each partition, and which of them failed.

The figures are metadata of materializations. `runs` reads them back, and Dagster's UI shows them
and draws the numbers among them: few, and each with the same name for ever.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import dagster as dg

from hotjar_assets.commits import Figures
from hotjar_assets.errors import HotjarApiError, HotjarError
from hotjar_assets.resources import failure
from hotjar_assets.streams.sync import StoredUnits, StreamRead, StreamSync
from hotjar_assets.sync import ResponseSync, SurveyListing, SurveyRead

ROW_COUNT = "dagster/row_count"
PARTITION_ROW_COUNT = "dagster/partition_row_count"
FAILED_SURVEYS = "failed_surveys"
"""Metadata of a failed step: survey id to what happened."""
FAILED_PARENTS = "failed_parents"
"""Metadata of a failed step: unit to what happened."""
_FAILURES_SHOWN = 20


def survey_figures(listing: SurveyListing, figures: Figures) -> dict[str, Any]:
    """Describe a listing of the surveys."""
    return {
        ROW_COUNT: figures.rows,
        "new": figures.new,
        "updated": figures.updated,
        "deleted": figures.deleted,
        "requests": listing.requests,
        "account": listing.account,
    }


def response_figures(read: SurveyRead, figures: Figures, sync: ResponseSync) -> dict[str, Any]:
    """Describe the walk through one survey."""
    return {
        PARTITION_ROW_COUNT: figures.rows,
        "new": figures.new,
        "updated": figures.updated,
        "deleted": figures.deleted,
        **({"purged": figures.purged} if sync.purge else {}),
        "requests": read.requests,
        "pages": read.pages,
        "depth": sync.depth.value,
        "stopped_early": read.stopped_early,
        **({"newest_created_at": read.newest_at.isoformat()} if read.newest_at else {}),
        **({"out_of_order": True} if read.out_of_order else {}),
        **({"skipped": read.skipped} if read.skipped else {}),
        "account": sync.client.account,
    }


def record_units(
    context: dg.OutputContext,
    sync: StreamSync,
    stored: StoredUnits,
) -> None:
    """Give each partition of a stream its own figures, and fail if one of them did.

    Args:
        context: The output.
        sync: The stream, with its `report`.
        stored: What became of its units.

    Raises:
        dagster.Failure: Names the parents that failed.
    """
    committed: dict[str, dict[str, Any]] = {
        key: {PARTITION_ROW_COUNT: figures.rows, **_stream_figures([(read, figures)])}
        for key, (read, figures) in stored.walks.items()
    }
    known = {*stored.walks, *stored.gone, *stored.failed}
    absent = dict.fromkeys(
        (key for key in sync.keys or () if key not in known), "the parent is not in its table"
    )
    skipped = {
        key: str(read.skipped) for key, read in stored.gone.items() if key not in stored.failed
    }
    committed |= {key: {"skipped": why} for key, why in (absent | skipped).items()}
    report = sync.report or context.add_output_metadata
    record(context, report, committed, stored.failed, FAILED_PARENTS)


def record_stream(
    context: dg.OutputContext,
    sync: StreamSync,
    stored: StoredUnits,
    facts: Callable[[], Mapping[str, Any]],
) -> None:
    """Give the table of a stream its figures, and fail if a unit did.

    Args:
        context: The output.
        sync: The stream.
        stored: What became of its units.
        facts: Tells what the table is like, once it is complete.

    Raises:
        dagster.Failure: Names the parents that failed.
    """
    if sync.stream.parent is None and stored.failed:
        raise failure(stored.failed[""])

    def report(_: Mapping[str, Mapping[str, Any]]) -> None:
        context.add_output_metadata(
            {
                **_stream_figures(stored.walks.values()),
                **({"parents": len(stored.walks)} if sync.stream.parent else {}),
                **({"parents_gone": len(stored.gone)} if stored.gone else {}),
                **facts(),
            }
        )

    record(context, report, {key: {} for key in stored.walks}, stored.failed, FAILED_PARENTS)


def record(
    context: dg.OutputContext,
    report: Callable[[Mapping[str, Mapping[str, Any]]], None],
    committed: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, HotjarError],
    name: str,
) -> None:
    """Give each partition its own figures, and fail if one of them did.

    Args:
        context: The output.
        report: Takes the figures by partition where none failed.
        committed: Those figures; empty ones of a table without partitions.
        failed: What happened to the others.
        name: The metadata that names these.

    Raises:
        dagster.Failure: Some failed; names them under the metadata `name`.
    """
    if not failed:
        report(committed)
        return
    # Dagster records a failing step's partitions as failed, those that are stored included. Of a
    # table without partitions there are no figures by key.
    for key, metadata in committed.items():
        if metadata:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata)
            )
    lines = {key: str(error) for key, error in failed.items()}
    shown = "\n".join(f"- {key}: {line}" for key, line in islice(lines.items(), _FAILURES_SHOWN))
    raise dg.Failure(
        f"{len(failed)} of {len(failed) + len(committed)} {name.removeprefix('failed_')} failed; "
        f"the others are stored and cost the next sync one request each:\n{shown}",
        metadata={name: dg.MetadataValue.json(lines)},
        allow_retries=any(
            isinstance(error, HotjarApiError) and error.retryable for error in failed.values()
        ),
    )


def _stream_figures(walks: Iterable[tuple[StreamRead, Figures]]) -> dict[str, Any]:
    """Describe the walks through some units of a stream."""
    walks = list(walks)
    return {
        "new": sum(figures.new for _, figures in walks),
        "updated": sum(figures.updated for _, figures in walks),
        "requests": sum(read.requests for read, _ in walks),
        "pages": sum(read.pages for read, _ in walks),
        **({"stopped_early": True} if any(read.stopped_early for read, _ in walks) else {}),
        **({"out_of_order": True} if any(read.out_of_order for read, _ in walks) else {}),
    }
