"""The surveys that a file holds: their names, rows and newest responses, for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from hotjar_assets.config import environment_variable
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.schema import SCHEMA, SURVEY_RESPONSES, SURVEYS
from hotjar_assets.warehouse.database import Database, qualified, rows_if_any, tables_of


@dataclass(frozen=True)
class StoredSurvey:
    """A survey in the file.

    Attributes:
        survey_id: Its id.
        name: Its name; null for one that was only imported.
        platform: The API it was read from; null if it was only imported.
        rows: Its rows, those that are marked as deleted included.
        newest_response_at: When its newest response was begun, UTC.
        last_sync_at: When it was last listed, or a row of it last written, UTC.
        is_deleted: Whether it is marked as deleted in Hotjar.
    """

    survey_id: str
    name: str | None
    platform: str | None
    rows: int
    newest_response_at: datetime | None
    last_sync_at: datetime | None
    is_deleted: bool


def read_surveys(path: Path, *, lock_timeout_seconds: float) -> list[StoredSurvey]:
    """Read the surveys of a file, by name.

    Raises:
        HotjarConfigError: There is no such file, or it has no tables of ours.
        HotjarStoreError: The file cannot be used.
    """
    with reading_surveys(path, lock_timeout_seconds=lock_timeout_seconds) as connection:
        surveys, responses = (
            qualified(connection, table.name) for table in (SURVEYS, SURVEY_RESPONSES)
        )
        # As text: DuckDB needs pytz for a TIMESTAMPTZ, and `fromisoformat` does not.
        rows = connection.execute(
            f"""WITH counted AS (
                    SELECT survey_id, count(*) AS rows, max(created_at) AS newest_response_at,
                        max(synced_at) AS written_at
                    FROM {responses} GROUP BY survey_id
                )
                SELECT survey_id, name, platform, coalesce(rows, 0), newest_response_at::VARCHAR,
                    greatest(synced_at, written_at)::VARCHAR, deleted_at IS NOT NULL
                FROM {surveys} FULL JOIN counted USING (survey_id)
                ORDER BY name IS NULL, lower(name), survey_id"""
        ).fetchall()
    return [
        StoredSurvey(survey_id, name, platform, count, _instant(newest), _instant(last), is_deleted)
        for survey_id, name, platform, count, newest, last, is_deleted in rows
    ]


def survey_names(connection: duckdb.DuckDBPyConnection | None) -> dict[str, str]:
    """Map the ids of the surveys that Hotjar still has, or that were imported, to names."""
    listed = rows_if_any(
        connection, SURVEYS, "SELECT survey_id, name, deleted_at IS NULL FROM {table}"
    )
    stored = rows_if_any(
        connection,
        SURVEY_RESPONSES,
        "SELECT DISTINCT survey_id FROM {table} WHERE deleted_at IS NULL",
    )
    names = {survey_id: name or "" for survey_id, name, is_there in listed if is_there}
    known = {survey_id for survey_id, *_ in listed}
    return names | {survey_id: "" for (survey_id,) in stored if survey_id not in known}


@contextmanager
def reading_surveys(
    path: Path, *, lock_timeout_seconds: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a file that has the two tables.

    Raises:
        HotjarConfigError: There is no such file, or it has no tables of ours.
        HotjarStoreError: The file cannot be used.
    """
    database = Database(path, lock_timeout_seconds=lock_timeout_seconds, connection_config={})
    with database.reading() as connection:
        there = tables_of(connection, SCHEMA) if connection else {}
        if connection is None or not {SURVEYS.name, SURVEY_RESPONSES.name} <= there.keys():
            problem = "has no tables of Hotjar's" if connection else "does not exist"
            raise HotjarConfigError(
                environment_variable("database"), f"{path} {problem}; run hotjar-assets sync first"
            )
        yield connection


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
