"""How the body of an answer becomes records, and records become lines.

A page that has exactly the declared shape is decoded at once, anything else row by row by the
tolerant decoder.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from hotjar_assets.api.coercion import MAX_ITEMS, response_from_json, survey_from_json
from hotjar_assets.api.json_values import BOM, parse_float, parse_json
from hotjar_assets.api.limits import MAX_PAGE_ROWS
from hotjar_assets.api.records import Page, RecordT, Response, Survey
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError


def decode_response_page(body: bytes) -> Page[Response]:
    """Decode a page of responses.

    Raises:
        ValueError: Not JSON, or not a page.
        HotjarSchemaError: A row without a usable id or `created_time`.
    """
    return _decode_page(body, _RESPONSES.decode, response_from_json)


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


def encode_lines(records: Iterable[Struct]) -> bytes:
    """Encode records as JSON lines in the declared shape; absent fields are null."""
    return _ENCODER.encode_lines(records)


_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST_NAMES = ("results", "surveys", "polls", "questions", "data")
_SCALARS = {str, float, bool, type(None)}
_ESCAPED_NUL = b"\\u0000"


def _exact_float(text: str) -> float:
    # 15 digits and a point always survive; to compare decimals costs five times as much.
    if len(text) <= 16 and "e" not in text and "E" not in text:  # noqa: PLR2004
        return float(text)
    value = parse_float(text)
    if isinstance(value, float):
        return value
    raise ValueError("a double would round it")


_RESPONSES = msgspec.json.Decoder(list[Response], float_hook=_exact_float)


def _decode_page(
    body: bytes,
    strict: Callable[[msgspec.Raw], list[RecordT]] | None,
    tolerant: Callable[[Any, str], RecordT],
) -> Page[RecordT]:
    if strict is not None and _ESCAPED_NUL not in body:
        try:
            envelope = _ENVELOPE.decode(body.removeprefix(BOM))
            rows = strict(envelope.pop("results"))
            cursor = envelope.pop("next_cursor", b"null")
            if len(rows) <= MAX_PAGE_ROWS and _hold_scalars(rows) and not _have_long_lists(rows):
                return Page(rows, _cursor(parse_json(bytes(cursor))), _decode_values(envelope))
        except (msgspec.MsgspecError, KeyError, RecursionError, ValueError):
            # Whatever is wrong, the tolerant decoder says it better or gets over it.
            pass
    page = parse_json(body)
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise ValueError("a page needs a list `results`")  # noqa: TRY004 - a malformed body
    found = page.pop("results")
    if len(found) > MAX_PAGE_ROWS:
        limit = f"{MAX_PAGE_ROWS} rows"
        raise HotjarLimitError("results", "has too many rows for one page", limit=limit)
    rows = [tolerant(row, f"results[{n}]") for n, row in enumerate(found)]
    return Page(rows, _cursor(page.pop("next_cursor", None)), page)


def _hold_scalars(responses: Iterable[Any]) -> bool:
    """Tell whether every attribute's value, which may be any JSON, is one that columns hold."""
    return all(
        type(attribute.value) in _SCALARS
        or (type(attribute.value) is int and -(2**63) <= attribute.value < 2**63)
        for response in responses
        for attribute in response.user_attributes or ()
    )


def _have_long_lists(responses: Iterable[Any]) -> bool:
    return any(
        len(response.answers or ()) > MAX_ITEMS or len(response.user_attributes or ()) > MAX_ITEMS
        for response in responses
    )


def _decode_values(envelope: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: parse_json(bytes(value)) for name, value in envelope.items()}


def _cursor(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("next_cursor is neither text nor null")
