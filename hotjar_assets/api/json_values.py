"""JSON read without a loss: numbers that would be rounded, and text that no column holds."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

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


def clean(value: Any) -> Any:
    """Replace what no text column can hold (NUL, lone surrogates) by U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value
