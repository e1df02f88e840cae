"""What Dagster is told of an output: the figures of each partition, and which of them failed.

The figures are metadata of materializations. `runs` reads them back, and Dagster's UI shows them
and draws the numbers among them: few, and each with the same name for ever.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from textwrap import shorten
from typing import Any

import dagster as dg

from hotjar_assets.commits import Figures
from hotjar_assets.errors import HotjarApiError, HotjarError
from hotjar_assets.extras import can_draw
from hotjar_assets.printable import counted, is_printable, printable
from hotjar_assets.resources import failure
from hotjar_assets.streams.sync import StoredUnits, StreamRead, StreamSync
from hotjar_assets.sync import Depth, ResponseSync, StoredResponses, SurveyListing, SurveyRead
from hotjar_assets.warehouse.trends import Trend

ROW_COUNT = "dagster/row_count"
PARTITION_ROW_COUNT = "dagster/partition_row_count"
RESPONSES_COUNTED = "responses_counted"
"""Metadata of a partition that was read whole: how many responses the API has."""
FAILED_SURVEYS = "failed_surveys"
"""Metadata of a failed step: survey id to what happened."""
FAILED_PARENTS = "failed_parents"
"""Metadata of a failed step: unit to what happened."""
FAILED_CAUSE = "failed_cause"
"""Metadata of a failed step: what happened to each that failed, if that is the same."""
PICTURE = "picture"
ANSWERS = "answers"
MOST_PICTURES = 20
"""A run over more surveys shows none: what it adds to a run is not to grow with their number."""
MOST_RESPONSES = 200_000
"""A survey with more shows none: all are counted anew, 120,000 in 0.7 s, though few are new."""
_DATA_VERSION = "dagster/data_version"
"""The tag by which Dagster tells whether what is downstream is behind."""
_QUESTION_CHARACTERS = 200
_FAILURES_SHOWN = 20
_SURVEYS_SHOWN = 500


def survey_figures(listing: SurveyListing, figures: Figures) -> dict[str, Any]:
    """Describe a listing of the surveys."""
    return {
        ROW_COUNT: figures.rows,
        "new": figures.new,
        "updated": figures.updated,
        "deleted": figures.deleted,
        "requests": listing.requests,
        "account": listing.account,
        "listed": _names(listing),
    }


def _names(listing: SurveyListing) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "survey_id": printable(survey.id),
                "name": printable(survey.name or ""),
                "site_id": printable(survey.site_id or ""),
                "enabled": {True: "yes", False: "no", None: ""}[survey.is_enabled],
            }
        )
        for survey in islice(listing.surveys, _SURVEYS_SHOWN)
    ]
    names = ("survey_id", "name", "site_id", "enabled")
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(each) for each in names]))


def begun(sync: ResponseSync) -> str:
    """Return the first line of the log of a sync: how many surveys, and how far back."""
    since = {
        Depth.NEW: "from the newest stored response of each on",
        Depth.LOOKBACK: f"the last {counted(sync.lookback_days, 'day')} again",
        Depth.ALL: "everything",
    }[sync.depth]
    start = f", nothing before {sync.start_at.isoformat()}" if sync.start_at else ""
    return f"reading {counted(len(sync.survey_ids), 'survey')}: {since}{start}"


def ended(stored: StoredResponses, *, retries: int, seconds: float) -> str:
    """Return the last line of the log of a sync: what it did to the rows, and what that took."""
    figures = [each for _, each in stored.walks.values()]
    failed = f", {len(stored.failed)} failed" if stored.failed else ""
    requests = counted(sum(read.requests for read, _ in stored.walks.values()), "request")
    return (
        f"{counted(len(stored.committed), 'survey')} stored{failed}; "
        f"{sum(each.new for each in figures)} new, {sum(each.updated for each in figures)} updated "
        f"and {sum(each.deleted for each in figures)} deleted rows; {requests}, "
        f"{counted(retries, 'retry', 'retries')}, {seconds:.1f} s"
    )


def response_figures(read: SurveyRead, figures: Figures, sync: ResponseSync) -> dict[str, Any]:
    """Describe the walk through one survey."""
    return {
        **({"name": printable(read.name)} if read.name else {}),
        PARTITION_ROW_COUNT: figures.rows,
        "new": figures.new,
        "updated": figures.updated,
        "deleted": figures.deleted,
        **({"purged": figures.purged} if sync.purge else {}),
        "requests": read.requests,
        "pages": read.pages,
        "depth": sync.depth.value,
        "stopped_early": read.stopped_early,
        **({RESPONSES_COUNTED: read.rows} if read.counts_all else {}),
        **({"newest_created_at": read.newest_at.isoformat()} if read.newest_at else {}),
        **({"out_of_order": True} if read.out_of_order else {}),
        **({"skipped": read.skipped} if read.skipped else {}),
        **_link_to(read.url),
        "account": sync.client.account,
    }


def record_units(
    context: dg.OutputContext,
    sync: StreamSync,
    stored: StoredUnits,
    *,
    version: str,
) -> None:
    """Give each partition of a stream its own figures, and fail if one of them did.

    Args:
        context: The output.
        sync: The stream, with its `report`.
        stored: What became of its units.
        version: The data version of the table.

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
    assert sync.report is not None  # noqa: S101 - else the figures of the whole table are wanted
    record(context, sync.report, committed, stored.failed, FAILED_PARENTS, version=version)


def record_stream(
    context: dg.OutputContext,
    sync: StreamSync,
    stored: StoredUnits,
    facts: Callable[[], Mapping[str, Any]],
    *,
    version: str,
) -> None:
    """Give the table of a stream its figures, and fail if a unit did.

    Args:
        context: The output.
        sync: The stream.
        stored: What became of its units.
        facts: Tells what the table is like, once it is complete.
        version: The data version of the table.

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

    committed: dict[str, dict[str, Any]] = {key: {} for key in stored.walks}
    record(context, report, committed, stored.failed, FAILED_PARENTS, version=version)


def record(
    context: dg.OutputContext,
    report: Callable[[Mapping[str, Mapping[str, Any]]], None],
    committed: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, HotjarError],
    name: str,
    *,
    version: str,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Give each partition its own figures, and fail if one of them did.

    Args:
        context: The output.
        report: Takes the figures by partition where none failed.
        committed: Those figures; empty ones of a table without partitions.
        failed: What happened to the others.
        name: The metadata that names these.
        version: The data version of the table.
        labels: What people call the partitions, where that is not their key.

    Raises:
        dagster.Failure: Some failed; names them under the metadata `name`.
    """
    if not failed:
        report(committed)
        return
    record_stored(context, committed, version=version)
    lines = {key: str(error) for key, error in failed.items()}
    causes = {error.cause for error in failed.values()}
    shown = "\n".join(
        f"- {(labels or {}).get(key) or printable(key)}: {line}"
        for key, line in islice(lines.items(), _FAILURES_SHOWN)
    )
    raise dg.Failure(
        f"{len(failed)} of {len(failed) + len(committed)} {name.removeprefix('failed_')} failed; "
        f"the others are stored, and the next sync reads of them only what is new:\n{shown}",
        metadata={
            name: dg.MetadataValue.json(lines),
            **({FAILED_CAUSE: causes.pop()} if len(causes) == 1 else {}),
        },
        allow_retries=any(
            isinstance(error, HotjarApiError) and error.retryable for error in failed.values()
        ),
    )


def record_stored(
    context: dg.OutputContext, committed: Mapping[str, Mapping[str, Any]], *, version: str
) -> None:
    """Record the partitions that are stored though their step does not succeed.

    Dagster records a failing step's partitions as failed, those that are stored included.

    Args:
        context: The output.
        committed: The figures by partition; empty ones of a table without partitions.
        version: The data version of the table.
    """
    for key, metadata in committed.items():
        if metadata:
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=key,
                    metadata=metadata,
                    tags={_DATA_VERSION: version},
                )
            )


def pictures(
    sync: ResponseSync,
    walks: Mapping[str, tuple[SurveyRead, Figures]],
    trends: Callable[[Sequence[str]], Mapping[str, Trend]],
) -> dict[str, dict[str, Any]]:
    """Show the survey of each partition: a picture, and a table of what was chosen how often.

    A picture is drawn when rows changed; else that of the last materialization is shown again.

    Args:
        sync: The sync.
        walks: Its stored walks.
        trends: Reads what pictures show.

    Returns:
        Metadata by survey id, for those that have responses, but not too many; none of a run over
        too many surveys.
    """
    if sync.shown is None or len(sync.survey_ids) > MOST_PICTURES:
        return {}
    with_rows = [key for key, (_, each) in walks.items() if 0 < each.rows <= MOST_RESPONSES]
    found: dict[str, dict[str, Any]] = {}
    for survey_id in with_rows:
        if not walks[survey_id][1].has_changes:
            shown = sync.shown(survey_id)
            found[survey_id] = {name: shown[name] for name in (PICTURE, ANSWERS) if name in shown}
    due = [survey_id for survey_id in with_rows if PICTURE not in found.get(survey_id, {})]
    for survey_id, trend in (trends(due) if due else {}).items():
        if trend.spans:
            found[survey_id] = {**_picture(trend), **_answers(trend)}
    return found


def _picture(trend: Trend) -> dict[str, dg.MarkdownMetadataValue]:
    if not can_draw():
        return {}
    # It would tell of its cache of fonts, which a picture does not use.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # A run that draws nothing must not wait for matplotlib.
    from hotjar_assets.pictures import picture  # noqa: PLC0415

    return {PICTURE: dg.MetadataValue.md(picture(trend))}


def _answers(trend: Trend) -> dict[str, dg.TableMetadataValue]:
    if not trend.answers:
        return {}
    records = [
        dg.TableRecord(
            {
                # A question stands above its answers, once.
                "question": ""
                if before and before.question_id == each.question_id
                else printable(shorten(each.question, _QUESTION_CHARACTERS, placeholder=" …")),
                "answer": printable(each.answer),
                "answers": each.answers,
                "percent": round(each.percent, 1),
            }
        )
        for before, each in zip([None, *trend.answers], trend.answers, strict=False)
    ]
    types = {"question": "string", "answer": "string", "answers": "int", "percent": "float"}
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in types.items()])
    return {ANSWERS: dg.MetadataValue.table(records, schema)}


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


def _link_to(url: str | None) -> dict[str, dg.UrlMetadataValue]:
    """Link to the survey, if its address is one that a click may open."""
    is_web_page = url is not None and url.startswith(("https://", "http://")) and is_printable(url)
    return {"survey": dg.MetadataValue.url(str(url))} if is_web_page else {}
