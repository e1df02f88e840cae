"""From JSON values to DuckDB types: what is declared, what is found, and what a value becomes.

A declared type is a promise: a value that does not fit it is an error, never a null. A type that
is found holds every value seen, and widens when a later one needs it.

| JSON Schema | DuckDB |
|---|---|
| string; with `format` date-time, date | VARCHAR; TIMESTAMPTZ (UTC), DATE |
| integer, number, boolean | BIGINT, DOUBLE, BOOLEAN |
| array with `items` of one of these | a list of it |
| object, any other array, several types, none | JSON |

Objects are JSON and no STRUCT: a field that an API adds inside of one is kept without changing the
table, and a STRUCT would drop it.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from hotjar_assets.errors import HotjarError

_SCALARS = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR"}
_FORMATS = {"date-time": "TIMESTAMPTZ", "date": "DATE"}
_INTEGER = re.compile(r"[+-]?\d{1,40}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)")
"""An instant with a zone: one without may mean anything, and stays text unless it is declared."""
_INT64 = 2**63
UNKNOWN = "NULL"
"""The type of a field that was null wherever it was met."""
LONG = "LONG"
"""The type of an integer that a DOUBLE would round; a BIGINT in the table."""
_DOUBLE_INTEGERS = 2**53
_FOUND = {
    type(None): UNKNOWN,
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
}
_SUMS = {
    frozenset({"BIGINT", "DOUBLE"}): "DOUBLE",
    frozenset({"BIGINT", LONG}): LONG,
    frozenset({"DOUBLE", LONG}): "VARCHAR",
}


class UnfitError(HotjarError):
    """A value does not fit its column's type; holds no value."""


def declared_type(schema: Mapping[str, Any]) -> str:
    """Return the DuckDB type of a property of a JSON Schema."""
    given = schema.get("type")
    names = {given} if isinstance(given, str) else set(given or ())
    names.discard("null")
    if names == {"integer", "number"}:
        names = {"number"}
    if len(names) != 1:
        return "JSON"
    (name,) = names
    if name == "string":
        return _FORMATS.get(str(schema.get("format")), "VARCHAR")
    if name == "array" and isinstance(schema.get("items"), Mapping):
        item = declared_type(schema["items"])
        return "JSON" if item == "JSON" or item.endswith("[]") else f"{item}[]"
    return _SCALARS.get(name, "JSON")


def found_type(value: Any) -> str:
    """Return the narrowest type that holds a value as it is."""
    kind = _FOUND.get(type(value), "JSON")
    if kind == "BIGINT" and abs(value) > _DOUBLE_INTEGERS:
        return LONG if -_INT64 <= value < _INT64 else "VARCHAR"
    return "TIMESTAMPTZ" if kind == "VARCHAR" and _is_instant(value) else kind


def wider_type(one: str, other: str) -> str:
    """Return the narrowest type that holds the values of both."""
    if other in {one, UNKNOWN}:
        return one
    if one == UNKNOWN:
        return other
    if frozenset({one, other}) in _SUMS:
        return _SUMS[frozenset({one, other})]
    if "JSON" in {one, other} or one.endswith("[]") or other.endswith("[]"):
        return "JSON"
    return "VARCHAR"


def fit(value: Any, kind: str) -> Any:
    """Return a value as it is spooled for a column of a type.

    Text is taken for a number, boolean or instant where it is one: all cells of a CSV are text.

    Raises:
        UnfitError: It is no value of this type, or would change.
    """
    if value is None or kind == "JSON":
        return value
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise UnfitError("is no array")
        return [fit(item, kind.removesuffix("[]")) for item in value]
    if isinstance(value, list | dict):
        raise UnfitError(f"is an array or object and the column is {kind}")
    if isinstance(value, str) and not value.strip() and kind != "VARCHAR":
        return None
    return _FITS[kind](value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise UnfitError("is no integer of 64 bits")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise UnfitError("is no number")
    try:
        exact = Decimal(value.strip() if isinstance(value, str) else repr(value))
        number = float(exact)
    except (InvalidOperation, OverflowError):
        raise UnfitError("is no number") from None
    if not math.isfinite(number) or Decimal(repr(number)) != exact:
        raise UnfitError("is a number that a DOUBLE would round; declare it as string")
    return number


def _boolean(value: Any) -> bool:
    truth = {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
    if truth is None:
        raise UnfitError("is neither true nor false")
    return truth


def _instant(value: Any) -> str:
    if isinstance(value, int | float):
        raise UnfitError(
            "is a number and no date-time; declare it as that, and compute to_timestamp of it"
        )
    try:
        instant = datetime.fromisoformat(value.strip().upper())
    except (AttributeError, ValueError):
        raise UnfitError("is no date-time such as 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.isoformat()


def _day(value: Any) -> str:
    try:
        return date.fromisoformat(value.strip()).isoformat()
    except (AttributeError, ValueError):
        raise UnfitError("is no date such as 2026-01-31") from None


_FITS: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _integer,
    "DOUBLE": _number,
    "BOOLEAN": _boolean,
    "TIMESTAMPTZ": _instant,
    "DATE": _day,
}


def _is_instant(text: str) -> bool:
    if len(text) < len("2026-01-31T12:00Z") or not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
