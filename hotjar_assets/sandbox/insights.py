"""The export of insights.hotjar.com as the sandbox plays it: the wide CSV and where it is fetched.

Source: the open-source client tap-hotjar (read 2026-11-20). What it does not say is chosen here:
`Number` counts responses in the order they came in, `Date Submitted` has whole seconds, several
choices stand in one cell, and a statement or thanks has no column.
"""

import csv
import io
import secrets
import threading
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from hotjar_assets.sandbox.catalog import JsonObject
from hotjar_assets.sandbox.limits import MAX_EXPORTS
from hotjar_assets.sandbox.wire import Answer, ReceivedRequest, error_answer, json_answer

ExportFormat = Literal["zip", "csv"]

_STANDARD = (
    "Number",
    "User",
    "Date Submitted",
    "Country",
    "Source URL",
    "Device",
    "Browser",
    "OS",
    "Hotjar User ID",
)
_SILENT_TYPES = frozenset({"statement", "thank-you"})


def wide_csv(survey: JsonObject, numbered: Iterable[tuple[int, JsonObject]]) -> str:
    """Return the rows of an export, in the order given, below their header.

    Args:
        survey: The survey, with questions.
        numbered: Its responses, each with its number.
    """
    rows = list(numbered)
    attributes = sorted(
        {attribute["name"] for _, row in rows for attribute in row["user_attributes"]}
    )
    questions = [each for each in survey["questions"] if each["type"] not in _SILENT_TYPES]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_STANDARD, *attributes, *(question["text"] for question in questions)])
    for number, row in rows:
        values = {each["name"]: each["value"] for each in row["user_attributes"]}
        writer.writerow(
            [
                number,
                values.get("user_id", ""),
                _whole_seconds(row["created_time"]),
                row["country"],
                row["response_origin_url"],
                (row["device"] or "").title(),
                row["browser"],
                row["os"],
                row["hotjar_user_id"],
                *(_cell(values.get(name)) for name in attributes),
                *(_answer(row, question["id"]) for question in questions),
            ]
        )
    return text.getvalue()


def export_file(text: str, export_format: ExportFormat) -> bytes:
    """Return an export as a ZIP of one CSV, or as a CSV with a byte order mark."""
    if export_format == "csv":
        return text.encode("utf-8-sig")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("responses.csv", text.encode())
    return packed.getvalue()


class _SurveyQuery(msgspec.Struct):
    """What its clauses look like is not public, so they are taken and leave nothing out."""

    sort_by: Literal["-index", "index"]
    clauses: list[Any]


class Downloads:
    """The files that were exported, each behind a link that is its own permission."""

    def __init__(self, url: str) -> None:
        """Hand files out at this address."""
        self._url = url
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}

    @property
    def host(self) -> str:
        """Host and port, as a request's Host header names them."""
        return urlsplit(self._url).netloc

    def export(
        self,
        request: ReceivedRequest,
        survey: JsonObject,
        numbered: list[tuple[int, JsonObject]],
        export_format: ExportFormat,
    ) -> Answer:
        """Export responses, the highest number first, and answer with the link of the file."""
        try:
            query = msgspec.json.decode(request.query.get("survey_query", ""), type=_SurveyQuery)
        except (msgspec.MsgspecError, RecursionError) as error:
            return error_answer(400, message=str(error))
        if (request.query.get("format"), request.query.get("async_export")) != ("csv", "false"):
            return error_answer(400, message="Only format=csv and async_export=false are known.")
        text = wide_csv(survey, numbered if query.sort_by == "-index" else numbered[::-1])
        return json_answer({"download_url": self._add(export_file(text, export_format))})

    def _add(self, body: bytes) -> str:
        """Keep a file and return its link."""
        name = secrets.token_hex(8)
        with self._lock:
            self._files[name] = body
            if len(self._files) > MAX_EXPORTS:
                del self._files[next(iter(self._files))]
        return f"{self._url}/exports/{name}?signature={secrets.token_hex(16)}"

    def answer(self, request: ReceivedRequest) -> Answer:
        """Return the file that a link names."""
        with self._lock:
            body = self._files.get(request.path.rpartition("/")[2])
        if body is None:
            return error_answer(404)
        return Answer(200, body, content_type="application/octet-stream")


def _whole_seconds(created_time: str) -> str:
    return datetime.fromisoformat(created_time).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _answer(row: JsonObject, question_id: str) -> str:
    given = [each["answer"] for each in row["answers"] if each["question_id"] == question_id]
    return ", ".join(answer for answer in given if answer is not None)
