"""The objects of the API: their shape, declared once.

Source: "Hotjar API Reference" (help.hotjar.com, read 2026-11-20). Which fields may be null is not
documented; all but the keys may be here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

Instant = Annotated[datetime, Meta(tz=True)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Text = str | _Integer
"""Text, which some sources send as a number."""
Id = Annotated[str, Meta(min_length=1)] | _Integer


class WindowSize(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`{"width": 1280, "height": 720}`, in CSS pixels."""

    width: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    height: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class UserAttribute(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`{"name": "plan", "value": "pro"}`; the value is any JSON value."""

    name: Text | None = None
    value: Any = None


class Tag(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`{"name": "pricing"}`, or just the name."""

    name: Text | None = None


class Answer(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One answer to one question.

    {"question_id": "q1", "answer": "9", "comment": null, "tags": [{"name": "pricing"}],
     "sentiment": "positive"}
    """

    question_id: Text | None = None
    answer: Text | None = None
    comment: Text | None = None
    tags: list[Tag] | None = None
    sentiment: Text | None = None


class Response(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One person's response to a survey.

    {"id": "r1", "created_time": "2026-01-31T09:00:00Z", "is_complete": true, "device": "desktop",
     "browser": "Chrome", "os": "Linux", "country": "MT", "hotjar_user_id": "…",
     "recording_url": null, "response_origin_url": "https://…", "window_size": {…},
     "user_attributes": [{…}], "answers": [{…}]}

    `site_id`, `survey_id`, `platform`, `ordinal` (its place in the walk) and `extra` are ours.
    """

    id: Id
    created_time: Instant
    is_complete: bool | None = None
    device: Text | None = None
    browser: Text | None = None
    os: Text | None = None
    country: Text | None = None
    hotjar_user_id: Text | None = None
    recording_url: Text | None = None
    response_origin_url: Text | None = None
    window_size: WindowSize | None = None
    user_attributes: list[UserAttribute] | None = None
    answers: list[Answer] | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name="hotjar_assets:extra")
    site_id: str | None = msgspec.field(default=None, name="hotjar_assets:site_id")
    survey_id: str | None = msgspec.field(default=None, name="hotjar_assets:survey_id")
    platform: str | None = msgspec.field(default=None, name="hotjar_assets:platform")
    ordinal: int = msgspec.field(default=-1, name="hotjar_assets:ordinal")


class Choice(Struct, omit_defaults=True, gc=False):
    """`{"text": "Price", "allow_comment": false}`, or just the text."""

    text: Text | None = None
    allow_comment: bool | None = None


class Labels(Struct, omit_defaults=True, gc=False):
    """`{"low_label": "Not likely", "high_label": "Very likely"}`."""

    low_label: Text | None = None
    high_label: Text | None = None


class Question(Struct, omit_defaults=True, gc=False):
    """One question of a survey.

    {"id": "q1", "text": "How likely …?", "type": "nps", "is_required": true, "choices": null,
     "labels": {…}, "image_url": null}
    """

    id: Text | None = None
    text: Text | None = None
    type: Text | None = None
    is_required: bool | None = None
    choices: list[Choice] | None = None
    labels: Labels | None = None
    image_url: Text | None = None
    position: int = msgspec.field(default=-1, name="hotjar_assets:position")


class Survey(Struct, omit_defaults=True, gc=False):
    """One survey; `questions` only where they were asked for.

    {"id": "1", "name": "Checkout", "type": "popover", "url": "https://…", "responses_url": "…",
     "is_enabled": true, "created_time": "…", "updated_time": null,
     "sentiment_analysis_enabled": false, "questions": [{…}]}

    `responses_url` repeats the ids and is not kept. At Contentsquare both are paths of the API
    (`/v1/public/projects/…`), not pages.
    """

    id: Id
    name: Text | None = None
    type: Text | None = None
    language: Text | None = None
    url: Text | None = None
    responses_url: Text | None = None
    is_enabled: bool | None = None
    created_time: Instant | None = None
    updated_time: Instant | None = None
    sentiment_analysis_enabled: bool | None = None
    questions: list[Question] | None = None
    extra: dict[str, Any] | None = msgspec.field(default=None, name="hotjar_assets:extra")
    site_id: str | None = msgspec.field(default=None, name="hotjar_assets:site_id")
    platform: str | None = msgspec.field(default=None, name="hotjar_assets:platform")


RecordT = TypeVar("RecordT", Response, Survey)


@dataclass(frozen=True)
class Page(Generic[RecordT]):
    """One page of a listing.

    Attributes:
        results: The rows, in the API's order.
        next_cursor: Cursor of the next page; None at the end.
        metadata: The other root-level fields of the answer.
        is_unsorted: Whether the listing is known not to come newest first, here or further on.
    """

    results: list[RecordT]
    next_cursor: str | None
    metadata: Mapping[str, Any]
    is_unsorted: bool = False
