"""What the tables must hold, worked out from the API's objects in plain Python.

Nothing of the package is used here, so that a mistake there is not repeated here. Instants are
microseconds since 1970 and JSON is decoded, on both sides.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

JsonObject = dict[str, Any]
Row = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANTS = {
    "surveys": ("created_at", "updated_at", "deleted_at", "synced_at"),
    "survey_responses": ("created_at", "deleted_at", "synced_at"),
}


def micros(instant: str | datetime | None) -> int | None:
    if instant is None:
        return None
    if isinstance(instant, str):
        instant = datetime.fromisoformat(instant)
    return (instant - _EPOCH) // timedelta(microseconds=1)


def response_row(response: JsonObject, *, survey_id: str, site_id: str) -> Row:
    """Map a response that has the documented shape."""
    window = response.get("window_size") or {}
    return {
        "response_id": str(response["id"]),
        "survey_id": survey_id,
        "site_id": site_id,
        "platform": "hotjar",
        "created_at": micros(response["created_time"]),
        "is_complete": response.get("is_complete"),
        "device": response.get("device"),
        "browser": response.get("browser"),
        "os": response.get("os"),
        "country": response.get("country"),
        "hotjar_user_id": response.get("hotjar_user_id"),
        "response_origin_url": response.get("response_origin_url"),
        "recording_url": response.get("recording_url"),
        "window_width": window.get("width"),
        "window_height": window.get("height"),
        "user_attributes": response.get("user_attributes"),
        "answers": [
            {
                "question_id": answer["question_id"],
                "answer": answer["answer"],
                "comment": answer.get("comment"),
                "tags": [tag["name"] for tag in answer["tags"]],
                "sentiment": answer["sentiment"],
            }
            for answer in response["answers"]
        ],
        "extra": None,
        "deleted_at": None,
    }


def survey_row(survey: JsonObject, *, site_id: str) -> Row:
    """Map a survey that has the documented shape."""
    return {
        "survey_id": str(survey["id"]),
        "site_id": site_id,
        "platform": "hotjar",
        "name": survey["name"],
        "type": survey["type"],
        "language": survey.get("language"),
        "is_enabled": survey["is_enabled"],
        "is_sentiment_enabled": survey["sentiment_analysis_enabled"],
        "created_at": micros(survey["created_time"]),
        "updated_at": micros(survey.get("updated_time")),
        "url": survey["url"],
        "questions": [
            {
                "question_id": question["id"],
                "position": position,
                "type": question["type"],
                "text": question["text"],
                "is_required": question["is_required"],
                "choices": _choices(question["choices"]),
                "low_label": (question["labels"] or {}).get("low_label"),
                "high_label": (question["labels"] or {}).get("high_label"),
                "image_url": question.get("image_url"),
            }
            for position, question in enumerate(survey["questions"])
        ],
        "extra": None,
        "deleted_at": None,
    }


def _choices(choices: list[Any] | None) -> list[JsonObject] | None:
    if choices is None:
        return None
    return [
        {"text": choice, "allow_comment": None} if isinstance(choice, str) else choice
        for choice in choices
    ]


def stored(path: Path, table: str) -> list[Row]:
    """Read a table of the schema `hotjar`, every column."""
    instants = ", ".join(f"epoch_us({name}) AS {name}" for name in _INSTANTS[table])
    with duckdb.connect(str(path)) as connection:
        ((catalog,),) = connection.execute("SELECT current_database()").fetchall()
        result = connection.execute(
            f'SELECT * REPLACE ({instants}) FROM "{catalog}".hotjar.{table} ORDER BY ALL'
        )
        names = [column[0] for column in result.description or ()]
        rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    return [_decoded(row) for row in rows]


def _decoded(row: Row) -> Row:
    row["extra"] = None if row["extra"] is None else json.loads(row["extra"])
    for attribute in row.get("user_attributes") or ():
        value = attribute["value"]
        attribute["value"] = None if value is None else json.loads(value)
    return row


def responses(path: Path, survey_id: str | None = None) -> dict[str, Row]:
    """Map response id to row; fails on a response that is there twice."""
    rows = [
        row for row in stored(path, "survey_responses") if survey_id in {None, row["survey_id"]}
    ]
    return _by("response_id", rows)


def surveys(path: Path) -> dict[str, Row]:
    """Map survey id to row; fails on a survey that is there twice."""
    return _by("survey_id", stored(path, "surveys"))


def _by(key: str, rows: list[Row]) -> dict[str, Row]:
    mapped = {row[key]: row for row in rows}
    assert len(mapped) == len(rows), f"a {key} is there twice"
    return mapped


def cells(rows: dict[str, Row]) -> dict[str, Row]:
    """Leave out when each row was written, which no API object tells."""
    assert all(row["synced_at"] for row in rows.values())
    return {
        key: {name: value for name, value in row.items() if name != "synced_at"}
        for key, row in rows.items()
    }


def truth(
    objects: Iterable[JsonObject], *, survey_id: str, site_id: str = "1001"
) -> dict[str, Row]:
    """Map response id to the row that must be there."""
    return _by(
        "response_id",
        [response_row(item, survey_id=survey_id, site_id=site_id) for item in objects],
    )
