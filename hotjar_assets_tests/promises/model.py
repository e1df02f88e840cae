"""What the tables must hold after each thing that happened, in plain Python.

The model never says which pages a walk reads. It says what a walk owes: every response that the API
had all the while and that is not older than the walk's cutoff must stand in the table as the API
gave it; any other row may stand as it was, or as the API gave it, and as nothing else. What was
found is then what must be kept.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from hotjar_assets.sandbox import SandboxAccount
from hotjar_assets_tests.store.model import Row, micros, response_row, stored, survey_row

Rows = dict[str, Row]
KEPT = ("recording_url", "user_attributes")
"""What stays when Hotjar's retention removed it."""
YOUNG = ("country", "os", "recording_url", "answers", "is_complete")
"""Columns that a table made by an older release may lack."""


def given(account: SandboxAccount, survey_id: str) -> Rows:
    """The rows that the API gives of a survey now; none when it is gone."""
    try:
        objects = account.responses(survey_id)
    except KeyError:
        return {}
    rows = [response_row(item, survey_id=survey_id, site_id="1001") for item in objects]
    return {row["response_id"]: _with_flag(row) for row in rows}


def listed(account: SandboxAccount) -> Rows:
    """The surveys that the API lists now."""
    rows = [survey_row(item, site_id="1001") for item in account.surveys()]
    return {row["survey_id"]: _with_flag(row) for row in rows}


def held_surveys(path: Path) -> Rows:
    return _unique([_with_flag(row) for row in _read(path, "surveys")], "survey_id")


def held_responses(path: Path) -> dict[str, Rows]:
    """The responses in the table, by survey and id; fails on one that is there twice."""
    by_survey: dict[str, list[Row]] = {}
    for stored_row in _read(path, "survey_responses"):
        row = dict.fromkeys(YOUNG) | _with_flag(stored_row)
        by_survey.setdefault(str(row["survey_id"]), []).append(row)
    return {survey_id: _unique(rows, "response_id") for survey_id, rows in by_survey.items()}


def _read(path: Path, table: str) -> list[Row]:
    return stored(path, table) if _has_table(path, table) else []


def _has_table(path: Path, table: str) -> bool:
    """A process that was killed early leaves a file without tables, or none."""
    if not path.exists():
        return False
    with duckdb.connect(str(path)) as connection:
        sql = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'hotjar' AND table_name = $table"
        return bool(connection.execute(sql, {"table": table}).fetchall())


def _unique(rows: list[Row], key: str) -> Rows:
    mapped = {row[key]: row for row in rows}
    assert len(mapped) == len(rows), f"a {key} is there twice"
    return mapped


def _with_flag(row: Row) -> Row:
    """Whether a row is marked is known to the model, when it was marked and written is not."""
    row["is_marked"] = row.pop("deleted_at") is not None
    row.pop("synced_at", None)
    return row


def watermark(rows: Rows) -> int | None:
    """The newest instant among the rows believed to exist that is not of the future."""
    now = now_micros()
    times = [row["created_at"] for row in rows.values() if not row["is_marked"]]
    return max((time for time in times if time <= now), default=None)


def now_micros(*, days_ago: float = 0) -> int:
    instant = micros(datetime.now(UTC) - timedelta(days=days_ago))
    assert instant is not None
    return instant


@dataclass(frozen=True)
class Owed:
    """What one walk over one survey owes.

    Attributes:
        cutoff: Everything from this instant on is read; None: everything.
        is_full: Whether deletions are told.
        may_purge: Whether rows that were marked may go.
        is_removed: The survey was known to be gone: its rows are marked and nothing is read.
    """

    cutoff: int | None = None
    is_full: bool = False
    may_purge: bool = False
    is_removed: bool = False

    @classmethod
    def by_depth(
        cls, depth: str, before: Rows, *, lookback_days: int, purge: bool, is_removed: bool
    ) -> "Owed":
        cutoff = watermark(before)
        if cutoff is not None and depth == "lookback":
            cutoff = min(cutoff, now_micros(days_ago=lookback_days))
        is_full = depth == "all"
        return cls(None if is_full else cutoff, is_full, purge, is_removed)


def problems(before: Rows, after: Rows, seen: Collection[Rows], owed: Owed | None) -> list[str]:
    """List what is wrong with the rows of one survey.

    Args:
        before: The rows in the table before.
        after: The rows in the table now.
        seen: What the API gave at any time while it was read: the same rows, or changed ones.
        owed: What was stored according to who stored it; None: perhaps nothing.
    """
    found = []
    for key in before.keys() - after.keys():
        may_go = owed is not None and owed.may_purge and before[key]["is_marked"]
        # A row marked by this very sync is a later one's to delete.
        if not may_go:
            found.append(f"{key} was lost")
    for key, row in after.items():
        allowed = list(_allowed(before.get(key), [rows.get(key) for rows in seen]))
        if row not in allowed:
            found.append(f"{key} holds what the API never gave: {_difference(row, allowed)}")
    if owed is None:
        return found
    return found + [f"{key} {problem}" for key, problem in _unpaid(before, after, seen, owed)]


def _allowed(before: Row | None, versions: list[Row | None]) -> Iterable[Row]:
    if before is not None:
        yield before
        if None in versions:
            yield before | {"is_marked": True}
    for version in versions:
        if version is not None:
            yield _merged(before, version)
            if None in versions:
                yield _merged(before, version) | {"is_marked": True}


def _merged(before: Row | None, version: Row) -> Row:
    """The row as given, with what retention removed kept: it may leave a null or an empty value."""
    kept = {
        name: before[name]
        for name in KEPT
        if before and not version[name] and before[name] is not None
    }
    return version | kept


def _unpaid(
    before: Rows, after: Rows, seen: Collection[Rows], owed: Owed
) -> Iterable[tuple[str, str]]:
    gone = {key for key in before if not any(key in rows for rows in seen)}
    cutoff, is_full = owed.cutoff, owed.is_full
    if owed.is_removed:
        left = before.keys() & after.keys()
        yield from ((key, "is not marked") for key in left if not after[key]["is_marked"])
        return
    in_range = {key for key in gone if cutoff is None or before[key]["created_at"] >= cutoff} - {
        key for key, row in before.items() if row["is_marked"]
    }
    if in_range:
        # A row vanished from where it was looked for: then all of the survey is read.
        cutoff, is_full = None, True
    always = set.intersection(*(set(rows) for rows in seen)) if seen else set()
    for key in always:
        versions = [rows[key] for rows in seen]
        if cutoff is not None and min(row["created_at"] for row in versions) < cutoff:
            continue
        if key not in after:
            yield key, "is missing"
        elif after[key] not in [_merged(before.get(key), version) for version in versions]:
            yield key, "is not as the API gives it"
    if is_full:
        for key in gone & after.keys():
            if not after[key]["is_marked"]:
                yield key, "is gone from the API and not marked"


def hidden(after: Rows, there: Rows, late: Collection[str]) -> list[str]:
    """List the responses that no later incremental walk would find: the watermark is beyond them.

    Args:
        after: The rows in the table.
        there: What the API gives.
        late: Responses that came below the newest, which only a deeper walk owes.
    """
    newest = watermark(after)
    return [
        f"{key} is missing behind the watermark"
        for key, row in there.items()
        if newest is not None
        and row["created_at"] < newest
        and key not in after
        and key not in late
    ]


def _difference(row: Row, allowed: Iterable[Row]) -> list[Mapping[str, Any]]:
    """What is in the row and what may be, for each row that may be there."""
    return [
        {name: (value, other[name]) for name, value in row.items() if value != other[name]}
        for other in allowed
    ]


def listing_problems(before: Rows, after: Rows, there: Rows) -> list[str]:
    """List what is wrong with the table of surveys after a complete listing."""
    expected = {key: row | {"is_marked": True} for key, row in before.items()} | there
    return [
        f"survey {key} is not as listed"
        for key in expected.keys() | after.keys()
        if expected.get(key) != after.get(key)
    ]
