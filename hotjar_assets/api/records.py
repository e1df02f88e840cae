"""The objects of the API: their shape, declared once, and how a page becomes them.

A page that has exactly the declared shape is decoded at once. Anything else goes row by row through
a tolerant decoder that coerces as declared and keeps the rest in `extra`, by its place, so that an
unknown field, a number where text is documented or a lone surrogate never costs a row. Only a row
without an id or a usable `created_time` is refused: nothing could be keyed or ordered by it.

Source: "Hotjar API Reference" (help.hotjar.com, read 2026-11-20). Which fields may be null is not
documented; all but the keys may be here.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Generic, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct

from hotjar_assets.errors import HotjarSchemaError

Instant = Annotated[datetime, Meta(tz=True)]
_Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Text = str | _Integer
"""Text, which some sources send as a number."""
Id = Annotated[str, Meta(min_length=1)] | _Integer
Scalar = str | _Integer | float | bool


class WindowSize(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`{"width": 1280, "height": 720}`, in CSS pixels."""

    width: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    height: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class UserAttribute(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`{"name": "plan", "value": "pro"}`; the value is any JSON value."""

    name: Text | None = None
    value: Scalar | None = None


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

    `responses_url` repeats the ids and is not kept.
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


def decode_response_page(body: bytes) -> Page[Response]:
    """Decode a page of responses.

    Raises:
        ValueError: Not JSON, or not a page.
        HotjarSchemaError: A row without a usable id or `created_time`.
    """
    return _decode_page(body, _RESPONSES.decode, _tolerant_response)


def decode_survey_page(body: bytes) -> Page[Survey]:
    """Decode a page of surveys; errors as in `decode_response_page`."""
    return _decode_page(body, None, survey_from_json)


def decode_survey(body: bytes) -> Survey:
    """Decode one survey; errors as in `decode_response_page`."""
    return survey_from_json(parse_json(body), "survey")


def decode_rows(body: bytes) -> list[Any]:
    """Decode a list of objects, bare or in an envelope.

    Raises:
        ValueError: Not JSON.
        HotjarSchemaError: No list, several it could be, or one that goes on elsewhere.
    """
    value = parse_json(body)
    lists = [value] if isinstance(value, list) else []
    if isinstance(value, dict):
        if any(value.get(name) for name in ("next_cursor", "next", "next_page")):
            raise HotjarSchemaError("body", "goes on on another page, which is not documented")
        lists = [value[name] for name in _LIST_NAMES if isinstance(value.get(name), list)][:1]
        lists = lists or [item for item in value.values() if isinstance(item, list)]
    if len(lists) != 1:
        raise HotjarSchemaError("body", f"a list was expected, and there are {len(lists)}")
    return lists[0]


def decode_object(body: bytes) -> Any:
    """Decode an object, bare or as the only object of an envelope.

    Raises:
        ValueError: Not JSON.
    """
    value = parse_json(body)
    if isinstance(value, dict) and "id" not in value:
        inner = [item for item in value.values() if isinstance(item, dict)]
        return inner[0] if len(inner) == 1 else value
    return value


def survey_from_json(row: Any, path: str) -> Survey:
    """Build a survey from an object.

    Raises:
        HotjarSchemaError: It has no usable id.
    """
    survey, extra = _tolerant(Survey, row, path)
    for position, question in enumerate(survey.questions or ()):
        question.position = position
    survey.extra = extra or None
    return survey


def encode_lines(records: Iterable[Struct]) -> bytes:
    """Encode records as JSON lines in the declared shape; absent fields are null."""
    return _ENCODER.encode_lines(records)


_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RESPONSES = msgspec.json.Decoder(list[Response])
_BOM = b"\xef\xbb\xbf"
_LIST_NAMES = ("results", "surveys", "polls", "questions", "data")
_ESCAPED_NUL = b"\\u0000"
_LONG_NUMBER = re.compile(rb":\s*-?(?:(?=[\d.]{17})\d+\.|\d[\d.]*[eE][-+]?\d{3}|[\d.]{16,}[eE])")
"""A number whose digits or exponent may be more than a double holds; msgspec would round it."""


def _decode_page(
    body: bytes,
    strict: Callable[[msgspec.Raw], list[RecordT]] | None,
    tolerant: Callable[[Any, str], RecordT],
) -> Page[RecordT]:
    if strict is not None and _ESCAPED_NUL not in body:
        try:
            envelope = _ENVELOPE.decode(body.removeprefix(_BOM))
            rows = strict(envelope.pop("results"))
            cursor = envelope.pop("next_cursor", b"null")
            if not (_hold_floats(rows) and _LONG_NUMBER.search(body)):
                return Page(rows, _cursor(parse_json(bytes(cursor))), _decode_values(envelope))
        except (msgspec.MsgspecError, KeyError, RecursionError, UnicodeDecodeError):
            # Whatever is wrong, the tolerant decoder says it better or gets over it.
            pass
    page = parse_json(body)
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise ValueError("a page needs a list `results`")  # noqa: TRY004 - a malformed body
    rows = [tolerant(row, f"results[{n}]") for n, row in enumerate(page.pop("results"))]
    return Page(rows, _cursor(page.pop("next_cursor", None)), page)


def _hold_floats(responses: Iterable[Any]) -> bool:
    """Tell whether any row holds a float, which the search for long numbers costs more than."""
    return any(
        type(attribute.value) is float
        for response in responses
        for attribute in response.user_attributes or ()
    )


def _decode_values(envelope: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: parse_json(bytes(value)) for name, value in envelope.items()}


def _cursor(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("next_cursor is neither text nor null")


class _Number(str):
    """The JSON text of a number that neither 64 bits nor a double can hold."""

    __slots__ = ()


def _parse_int(text: str) -> int | _Number:
    # int() refuses thousands of digits, and JSON readers downstream round beyond 64 bits.
    fits = len(text) <= 20 and -(2**63) <= int(text) < 2**63  # noqa: PLR2004
    return int(text) if fits else _Number(text)


def _parse_float(text: str) -> float | _Number:
    value = float(text)
    try:
        exact = abs(value) != float("inf") and Decimal(repr(value)) == Decimal(text)
    except InvalidOperation:
        # The exponent is beyond what even a Decimal holds.
        exact = False
    return value if exact else _Number(text)


def parse_json(body: bytes) -> Any:
    """Return a JSON value; a number that 64 bits or a double would round is its text.

    Raises:
        ValueError: It is not JSON; the text holds none of the value's.
    """
    try:
        return json.loads(
            body.removeprefix(_BOM).decode("utf-8", "replace"),
            strict=False,
            parse_int=_parse_int,
            parse_float=_parse_float,
            parse_constant=_Number,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at {error.pos} of {len(body)} bytes") from None


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(value: Any) -> Any:
    """Replace what no text column can hold (NUL, lone surrogates) by U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


class _UnusableError(Exception):
    """The value cannot become what is declared."""


class _Coercion:
    """Builds one record in its declared shape; what does not fit goes to `extra`, by its path."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.extra: dict[str, Any] = {}

    def struct(self, kind: type[Struct], value: Any, path: str = "") -> Any:
        """Build a struct from an object, or from the scalar that stands for it."""
        if kind in _FROM_SCALAR and isinstance(value, str | int | float):
            value = {_FROM_SCALAR[kind]: value}
        if not isinstance(value, dict):
            raise _UnusableError
        known, fields = _fields(kind), {}
        for name, item in value.items():
            place = f"{path}.{name}" if path else name
            if name not in known:
                self.extra[clean(place)] = clean(item)
                continue
            field_name, coerce, required = known[name]
            if item is None and not required:
                continue
            try:
                fields[field_name] = coerce(self, item, place)
            except _UnusableError:
                if required:
                    problem = f"is not the {required} it is documented to be"
                    raise HotjarSchemaError(f"{self._root}.{place}", problem) from None
                self.extra[clean(place)] = clean(item)
        for name, (field_name, _, required) in known.items():
            if required and field_name not in fields:
                raise HotjarSchemaError(f"{self._root}.{path}{name}", "is missing")
        return kind(**fields)

    def text(self, value: Any, _path: str) -> str:
        if isinstance(value, str):
            return str(clean(value))
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return json.dumps(value)
        raise _UnusableError

    def identifier(self, value: Any, path: str) -> str:
        return self.text(value, path) or _unusable()

    def integer(self, value: Any, _path: str) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        raise _UnusableError

    def boolean(self, value: Any, _path: str) -> bool:
        known = {True: True, False: False, "true": True, "false": False}
        if isinstance(value, bool | int | str) and value in known:
            return known[value]
        raise _UnusableError

    def instant(self, value: Any, _path: str) -> datetime:
        if isinstance(value, str) and len(value) >= len("2026-01-31T00:00"):
            try:
                # Rounds to microseconds as the fast decoder does.
                moment = msgspec.convert(value, datetime)
            except ValueError:
                moment = _lenient_instant(value)
            # An instant without a zone is UTC: the API has no other.
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        raise _UnusableError

    def anything(self, value: Any, _path: str) -> Any:
        return clean(value)

    def list_of(self, kind: type[Struct], value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _UnusableError
        items = []
        for n, item in enumerate(value):
            place = f"{path}[{n}]"
            try:
                items.append(self.struct(kind, item, place))
            except _UnusableError:
                if item is not None:
                    self.extra[place] = clean(item)
                # An item keeps its place, so that the paths in `extra` keep their meaning.
                items.append(kind())
        return items


def _unusable() -> NoReturn:
    raise _UnusableError


def _lenient_instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise _UnusableError from None


_Coerce = Callable[[_Coercion, Any, str], Any]
_FROM_SCALAR: dict[type[Struct], str] = {Choice: "text", Tag: "name"}
_LEAVES: dict[Any, tuple[_Coerce, str]] = {
    Text: (_Coercion.text, "text"),
    Id: (_Coercion.identifier, "id"),
    Scalar: (_Coercion.anything, "value"),
    bool: (_Coercion.boolean, "boolean"),
    Instant: (_Coercion.instant, "instant"),
}


@cache
def _fields(kind: type[Struct]) -> Mapping[str, tuple[str, _Coerce, str]]:
    """Map the API's field names to (ours, how to coerce, what a required one must be)."""
    return {
        field.encode_name: (field.name, *_coercion(field.type, required=field.required))
        for field in msgspec.structs.fields(kind)
        if not field.encode_name.startswith("hotjar_assets:")
    }


def _coercion(annotation: Any, *, required: bool) -> tuple[_Coerce, str]:
    """Derive the tolerant decoder of a field from its declared type."""
    members = set(getattr(annotation, "__args__", ())) - {type(None)}
    for leaf, (coerce, kind) in _LEAVES.items():
        if (
            annotation == leaf
            or members == set(getattr(leaf, "__args__", (leaf,)))
            or members == {leaf}
        ):
            return coerce, kind if required else ""
    member = next(iter(members), annotation)
    if getattr(member, "__origin__", None) is list:
        (item,) = member.__args__
        return (lambda self, value, path: self.list_of(item, value, path)), ""
    if isinstance(member, type) and issubclass(member, Struct):
        return (lambda self, value, path: self.struct(member, value, path)), ""
    return _Coercion.integer, ""


def _tolerant_response(row: Any, path: str) -> Response:
    response, extra = _tolerant(Response, row, path)
    _move_to_answer(response, extra)
    response.extra = extra or None
    return response


def _move_to_answer(response: Response, extra: dict[str, Any]) -> None:
    """Accept `comment` and `tags` on the response: they are the only answer's, if there is one."""
    if not response.answers or len(response.answers) > 1 or not {"comment", "tags"} & extra.keys():
        return
    (answer,) = response.answers
    coercion = _Coercion("")
    for name in ("comment", "tags"):
        if name in extra and getattr(answer, name) in (None, []):
            moved = coercion.struct(Answer, {name: extra[name]}, "")
            if not coercion.extra:
                setattr(answer, name, getattr(moved, name))
                del extra[name]


def _tolerant(kind: type[RecordT], row: Any, path: str) -> tuple[RecordT, dict[str, Any]]:
    coercion = _Coercion(path)
    try:
        return coercion.struct(kind, row), coercion.extra
    except _UnusableError:
        raise HotjarSchemaError(path, "is not an object") from None
