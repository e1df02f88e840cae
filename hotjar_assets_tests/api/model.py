"""What the tests of the client share: time that a test moves, rows, and what is stored of them."""

import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from hotjar_assets.api.decoding import encode_lines
from hotjar_assets.api.records import Response, Survey
from hotjar_assets.schema import Table

CLIENT_ID = "made-up-client"
CLIENT_SECRET = "made up/secret+7"
"""Holds what a form, a URL and JSON escape."""
SITE_ID = "1001"
SURVEY_ID = "42"
SURVEY_PATH = f"/v1/sites/{SITE_ID}/surveys/{SURVEY_ID}"
RESPONSES_PATH = f"{SURVEY_PATH}/responses"


class FakeTime:
    """A clock that only a sleep moves, and every look at it by `step_seconds`."""

    def __init__(self, *, step_seconds: float = 0.0) -> None:
        self.slept: list[float] = []
        self.step_seconds = step_seconds
        self._now = 1_000.0
        self._lock = threading.Lock()

    def clock(self) -> float:
        with self._lock:
            self._now += self.step_seconds
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


def response_row(response_id: Any = "r1", **fields: Any) -> dict[str, Any]:
    return {"id": response_id, "created_time": "2026-01-31T09:00:00Z", **fields}


def survey_row(survey_id: Any = SURVEY_ID, **fields: Any) -> dict[str, Any]:
    return {"id": survey_id, "name": "Checkout", **fields}


def stored(
    records: Iterable[Response] | Iterable[Survey], table: Table, folder: Path
) -> list[dict[str, Any]]:
    """Return the columns that the table would get, read by DuckDB as the warehouse reads them."""
    path = folder / "lines.jsonl"
    path.write_bytes(encode_lines(records))
    types = ", ".join(f"\"{name}\": '{kind}'" for name, kind in table.record.items())
    columns = ", ".join(f"{column.source} AS {column.name}" for column in table.sourced)
    cursor = _database().execute(
        f"SELECT {columns} FROM read_json('{path}', format = 'newline_delimited', "
        f"columns = {{{types}}})"
    )
    names = [description[0] for description in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@cache
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    return database
