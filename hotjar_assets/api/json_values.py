"""JSON read without a loss: numbers that would be rounded, and text that no column holds."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from hotjar_assets.api.limits import MAX_DEPTH
from hotjar_assets.errors import HotjarLimitError

BOM = b"\xef\xbb\xbf"


class _Number(str):
    """The JSON text of a number that neither 64 bits nor a double can hold."""

    __slots__ = ()


def _parse_int(text: str) -> int | _Number:
    # int() refuses thousands of digits, and JSON readers downstream round beyond 64 bits.
    fits = len(text) <= 20 and -(2**63) <= int(text) < 2**63  # noqa: PLR2004
    return int(text) if fits else _Number(text)


def parse_float(text: str) -> float | str:
    """Return a number, or its text if a double would round it."""
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
            body.removeprefix(BOM).decode("utf-8", "replace"),
            strict=False,
            parse_int=_parse_int,
            parse_float=parse_float,
            parse_constant=_Number,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at {error.pos} of {len(body)} bytes") from None


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(value: Any, depth: int = 0) -> Any:
    """Replace what no text column can hold (NUL, lone surrogates) by U+FFFD.

    What needs no change is not copied: an answer may fill much of the memory that there is.

    Raises:
        HotjarLimitError: Arrays and objects are nested deeper than `MAX_DEPTH`.
    """
    if isinstance(value, str):
        is_plain = type(value) is str and not _UNSTORABLE.search(value)
        return value if is_plain else _UNSTORABLE.sub("\ufffd", value)
    if not isinstance(value, list | dict):
        return value
    if depth == MAX_DEPTH:
        raise HotjarLimitError("body", "is nested too deep", limit=f"{MAX_DEPTH} levels")
    if isinstance(value, list):
        for number, item in enumerate(value):
            cleaned = clean(item, depth + 1)
            if cleaned is not item:
                value[number] = cleaned
        return value
    unstorable = [name for name in value if _UNSTORABLE.search(name)]
    if unstorable:
        # In their order, as they came.
        value = {clean(name): item for name, item in value.items()}
    for name, item in value.items():
        cleaned = clean(item, depth + 1)
        if cleaned is not item:
            value[name] = cleaned
    return value
