"""The tolerant decoder: one object at a time, coerced as declared, the rest kept in `extra`.

An unknown field, a number where text is documented or a lone surrogate never costs a row. Only a
row without an id or a usable `created_time` is refused: nothing could be keyed or ordered by it.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from hotjar_assets.api.json_values import clean
from hotjar_assets.api.records import (
    Answer,
    Choice,
    Id,
    Instant,
    RecordT,
    Response,
    Survey,
    Tag,
    Text,
    UserAttribute,
)
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError
from hotjar_assets.printable import is_printable

MAX_ITEMS = 300
"""Most answers, attributes or tags: a database holds those of 2,000 responses at once."""
_MAX_CHOICES = 5000
"""Most questions of a survey, or choices of a question."""
_OF_A_RESPONSE = {Answer, UserAttribute, Tag}
MAX_UNKNOWN_FIELDS = 1000
"""Most fields of one record that no column holds: each costs far more than its bytes."""


def survey_from_json(row: Any, path: str) -> Survey:
    """Build a survey from an object.

    Raises:
        HotjarSchemaError: It has no usable id; it names a partition, so it must be readable too.
    """
    survey, extra = _tolerant(Survey, row, path)
    if not is_printable(str(survey.id)):
        raise HotjarSchemaError(f"{path}.id", "holds control or invisible characters")
    for position, question in enumerate(survey.questions or ()):
        question.position = position
    survey.extra = extra or None
    return survey


def response_from_json(row: Any, path: str) -> Response:
    """Build a response from an object.

    Raises:
        HotjarSchemaError: It has no usable id or `created_time`.
    """
    response, extra = _tolerant(Response, row, path)
    _move_to_answer(response, extra)
    response.extra = extra or None
    return response


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
                self._keep(place, item)
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
                self._keep(place, item)
        for name, (field_name, _, required) in known.items():
            if required and field_name not in fields:
                raise HotjarSchemaError(f"{self._root}.{path}{name}", "is missing")
        return kind(**fields)

    def _keep(self, place: str, value: Any) -> None:
        if len(self.extra) == MAX_UNKNOWN_FIELDS:
            problem = "has too many fields that are not documented"
            limit = str(MAX_UNKNOWN_FIELDS)
            raise HotjarLimitError(self._root, problem, limit=limit)
        self.extra[clean(place)] = clean(value)

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
        most = MAX_ITEMS if kind in _OF_A_RESPONSE else _MAX_CHOICES
        if len(value) > most:
            limit = f"{most} items"
            raise HotjarLimitError(f"{self._root}.{path}", "is too long", limit=limit)
        items = []
        for n, item in enumerate(value):
            place = f"{path}[{n}]"
            try:
                items.append(self.struct(kind, item, place))
            except _UnusableError:
                if item is not None:
                    self._keep(place, item)
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
    Any: (_Coercion.anything, "value"),
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
