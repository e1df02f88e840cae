"""Checks on the two tables, cheap enough to run with every sync: a step and a query for each table.

What is found is told in numbers, ids of surveys and names of fields, never in anybody's answers.
How the tables are looked at is in `warehouse/health.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import dagster as dg

from hotjar_assets.api.exports import USER
from hotjar_assets.config import Platform, Settings, Source
from hotjar_assets.defs.assets import IO_MANAGER_KEY, LATE_AFTER, survey_responses, surveys
from hotjar_assets.defs.partitions import known_surveys
from hotjar_assets.defs.progress import Progress, not_read_by, progress_of
from hotjar_assets.materializations import RESPONSES_COUNTED
from hotjar_assets.printable import counted, printable
from hotjar_assets.resources import as_failure
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS, Table
from hotjar_assets.warehouse import Health

KEY_LIFETIME_DAYS = 365
"""Source: help.hotjar.com "How to set up the Hotjar API", docs.contentsquare.com "Authentication";
both read 2026-11-20."""
WARN_DAYS = 30
NAMES_SHOWN = 20
ROW_COUNTS = dg.AssetCheckKey(survey_responses.key, "row_counts")
"""The check that only a full sync can tell something."""
_WARN, _ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
_RESOURCES = {"hotjar", IO_MANAGER_KEY}


def key_age(
    created_on: date, *, today: date, platform: Platform = Platform.HOTJAR
) -> dg.AssetCheckResult:
    """Judge the age of the API key: a warning 30 days before it expires, an error afterwards.

    Some pages of Contentsquare still say that its credentials do not expire: there it only warns.
    """
    days_left = KEY_LIFETIME_DAYS - (today - created_on).days
    is_expired = days_left <= 0
    advice = f"make a new key in {platform.value.title()} and put it into the settings"
    return dg.AssetCheckResult(
        passed=days_left > WARN_DAYS,
        severity=_ERROR if is_expired and platform is Platform.HOTJAR else _WARN,
        description=f"the API key has expired; {advice}"
        if is_expired
        else f"the API key expires in {counted(days_left, 'day')}"
        + (f"; {advice} before" if days_left <= WARN_DAYS else ""),
        metadata={"days_left": days_left},
    )


def account_key_age(settings: Settings, *, today: date) -> dg.AssetCheckResult | None:
    """Judge the age of an account's API key by its settings; no request is made.

    None: nobody said when it was made, or an export is read, by e-mail and password.
    """
    if settings.source is Source.INSIGHTS or settings.key_created_on is None:
        return None
    return key_age(settings.key_created_on, today=today, platform=settings.platform)


def unique_key(health: Health, table: Table) -> dg.AssetCheckResult:
    """Judge whether a key stands in a table once."""
    repeated, key = health.repeated, ", ".join(table.key)
    return dg.AssetCheckResult(
        passed=not repeated,
        severity=_ERROR,
        description=f"{key} stands more than once for {_named(repeated, 'survey')}; no sync writes "
        f"a row twice, so delete the rows of these surveys from {table.schema}.{table.name} and "
        "sync again"
        if repeated
        else f"each {key} stands once",
        metadata={"rows": health.rows, "rows_too_many": sum(repeated.values())},
    )


def unknown_fields(health: Health) -> dg.AssetCheckResult:
    """Judge whether Hotjar sent fields that no column holds."""
    # That column of an export is known, and kept in `extra` on purpose.
    known = {USER} if health.source == Source.INSIGHTS.value else set()
    rows = {
        place: count for place, count in health.unknown_fields.items() if place.lower() not in known
    }
    shown = [f"{place} ({counted(count, 'row')})" for place, count in _most_first(rows)]
    return dg.AssetCheckResult(
        passed=not rows,
        severity=_WARN,
        description=f"no column holds {_listed(shown)}; what they said is kept in the column extra"
        if rows
        else "a column holds every field",
        metadata={"rows": health.rows, "unknown_fields": len(rows)},
    )


def known_questions(health: Health) -> dg.AssetCheckResult:
    """Judge whether the question of every answer is in the survey."""
    unknown = health.unknown_questions
    return dg.AssetCheckResult(
        passed=not unknown,
        severity=_WARN,
        description="hotjar.surveys does not have the question of "
        f"{counted(sum(unknown.values()), 'answer')} of {_named(unknown, 'survey')}; was it taken "
        "out of the survey?"
        if unknown
        else "hotjar.surveys has the question of every answer",
        metadata={"answers": sum(unknown.values()), "surveys": len(unknown)},
    )


def row_counts(health: Health, counts: Mapping[str, int]) -> dg.AssetCheckResult | None:
    """Compare what full walks counted with the rows that are not marked as deleted.

    None: no survey was read whole last, so there is nothing to compare.

    Args:
        health: The table.
        counts: Responses that the API has, by survey, of those that were read whole last.
    """
    if not counts:
        return None
    off = {
        survey_id: abs(there - count)
        for survey_id, count in counts.items()
        # What was erased here may have been erased at Hotjar too.
        if not count - health.forgotten.get(survey_id, 0)
        <= (there := health.live.get(survey_id, 0))
        <= count
    }
    there = sum(health.live.get(survey_id, 0) for survey_id in counts)
    return dg.AssetCheckResult(
        passed=not off,
        severity=_ERROR,
        description=f"the rows that are not deleted are not as many as Hotjar has for "
        f"{_named(off, 'survey')}; was the table changed by hand? Read them again with "
        "reconcile_job (hotjar-assets sync --full)"
        if off
        else "the rows are as many as Hotjar has, of "
        f"{counted(len(counts), 'survey')} that were read whole",
        metadata={
            "surveys_compared": len(counts),
            "surveys_off": len(off),
            "responses_counted": sum(counts.values()),
            "rows": there,
        },
    )


def partitions_behind(
    progress: Mapping[str, Progress], health: Health, *, partitions: int, now: datetime
) -> dg.AssetCheckResult:
    """Judge whether every survey that Hotjar has was read lately, and its last run was good.

    Args:
        progress: Of the partitions that were not read just now.
        health: The table.
        partitions: How many partitions there are.
        now: The time.
    """
    behind: dict[str, str] = {}
    for survey_id, partition in progress.items():
        if survey_id not in health.removed and (why := partition.why_behind(now, LATE_AFTER)):
            behind[survey_id] = why
    shown = [f"{survey_id} ({why})" for survey_id, why in behind.items()]
    return dg.AssetCheckResult(
        passed=not behind,
        severity=_WARN,
        description=f"{counted(len(behind), 'survey')} {'is' if len(behind) == 1 else 'are'} "
        f"behind: {_listed(shown)}; run sync_job over {'it' if len(behind) == 1 else 'them'}"
        if behind
        else f"every survey was read in the last {LATE_AFTER / timedelta(hours=1):.0f} hours",
        metadata={"partitions": partitions, "behind": len(behind)},
    )


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _named(counts: Mapping[str, int], noun: str) -> str:
    """Name what was found, the most first: `2 surveys: 101, 102`."""
    return f"{counted(len(counts), noun)}: {_listed([name for name, _ in _most_first(counts)])}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(map(printable, islice(names, NAMES_SHOWN))) + (
        f" and {more} more" if more > 0 else ""
    )


def _selected(
    context: dg.AssetCheckExecutionContext,
    asset: dg.AssetsDefinition,
    results: Mapping[str, dg.AssetCheckResult | None],
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of a run's checks, but of those alone that could check something."""
    selected = {key.name for key in context.selected_asset_check_keys}
    for name, result in results.items():
        if result is not None and name in selected:
            yield result._replace(asset_key=asset.key, check_name=name)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "unique_key",
            asset=surveys,
            # The responses are read, and marked as deleted, by what these rows say.
            blocking=True,
            description="No survey stands in the table twice.",
        ),
        dg.AssetCheckSpec(
            "unknown_fields",
            asset=surveys,
            description="Hotjar sends no field of a survey that no column holds.",
        ),
    ],
    required_resource_keys={IO_MANAGER_KEY},
)
def surveys_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Look at `hotjar.surveys`."""
    with as_failure():
        health = getattr(context.resources, IO_MANAGER_KEY).health(SURVEYS)
    results = {
        "unique_key": unique_key(health, SURVEYS),
        "unknown_fields": unknown_fields(health),
    }
    yield from _selected(context, surveys, results)


@dg.asset_check(
    asset=surveys,
    name="api_key_age",
    description="The API key is not about to expire, one year after it was made.",
    required_resource_keys={"hotjar"},
)
def api_key_age(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Warn when the API key is about to expire; defined only if HOTJAR_KEY_CREATED_ON is set."""
    with as_failure():
        settings = context.resources.hotjar.settings
    result = account_key_age(settings, today=datetime.now(UTC).date())
    return result or dg.AssetCheckResult(
        passed=False,
        severity=_WARN,
        description="HOTJAR_KEY_CREATED_ON was given when the definitions were loaded, and now no "
        "API key is used or the day is gone; load the definitions again",
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "unique_key",
            asset=survey_responses,
            blocking=True,
            description="No response stands in the table twice.",
        ),
        dg.AssetCheckSpec(
            "unknown_fields",
            asset=survey_responses,
            description="Hotjar sends no field of a response that no column holds.",
        ),
        dg.AssetCheckSpec(
            "known_questions",
            asset=survey_responses,
            description="The question of every answer is in `hotjar.surveys`.",
        ),
        dg.AssetCheckSpec(
            "partitions_behind",
            asset=survey_responses,
            description=f"Every survey that Hotjar has was read in the last "
            f"{LATE_AFTER / timedelta(hours=1):.0f} hours, and its last run was good.",
        ),
        dg.AssetCheckSpec(
            ROW_COUNTS.name,
            asset=survey_responses,
            description="A survey that was read whole has as many rows as Hotjar has responses; "
            "not evaluated until one was.",
        ),
    ],
    # Only a full sync has counted what there is, so the others leave that check out.
    can_subset=True,
    required_resource_keys=_RESOURCES,
)
def responses_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Look at `hotjar.survey_responses` and its partitions."""
    with as_failure():
        settings = context.resources.hotjar.settings
        health = getattr(context.resources, IO_MANAGER_KEY).health(
            SURVEY_RESPONSES, since=settings.start_at
        )
    instance, partitions = context.instance, known_surveys(context.instance)
    counts_rows = ROW_COUNTS in context.selected_asset_check_keys
    progress = progress_of(
        instance,
        partitions if counts_rows else not_read_by(context.run, instance, partitions),
    )
    counts = {
        survey_id: int(each.figures[RESPONSES_COUNTED])
        for survey_id, each in progress.items()
        if RESPONSES_COUNTED in each.figures and not each.is_in_progress
    }
    results = {
        "unique_key": unique_key(health, SURVEY_RESPONSES),
        "unknown_fields": unknown_fields(health),
        "known_questions": known_questions(health),
        "partitions_behind": partitions_behind(
            progress, health, partitions=len(partitions), now=datetime.now(UTC)
        ),
        ROW_COUNTS.name: row_counts(health, counts),
    }
    yield from _selected(context, survey_responses, results)
