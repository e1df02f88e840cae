"""From the body of an answer to records: JSON, JSON lines and CSV, and what a JSONPath selects.

A number that 64 bits or a double would round is its text, as in `api/records`; a blank cell of a
CSV is null, any other is text.
"""

import csv
import io
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from jsonpath import CompoundJSONPath, JSONPath
from jsonpath import compile as compile_path

from hotjar_assets.api.json_values import clean, parse_json
from hotjar_assets.errors import HotjarBodyError, HotjarSchemaError

Format = Literal["json", "jsonl", "csv"]
Record = dict[str, Any]

# The default is shorter than a long answer; what an API sends is bounded by the transport.
csv.field_size_limit(2**31 - 1)


def decode(body: bytes, kind: Format) -> Any:
    """Return the document that a body holds; of JSON lines and CSV, the list of their records.

    Raises:
        ValueError: It is not JSON; the text holds none of its values.
        HotjarBodyError: It is not CSV.
        HotjarSchemaError: A CSV whose rows do not fit its header.
    """
    if kind == "json":
        return clean(parse_json(body))
    if kind == "jsonl":
        return [clean(value) for value in _lines(body)]
    try:
        return _rows(body)
    except csv.Error as error:
        raise HotjarBodyError(f"not the CSV it should be: {error}") from None


def first(document: Any, path: str) -> Any:
    """Return the first value that a JSONPath selects; None if there is none."""
    return next(iter(_compiled(path).findall(document)), None)


def records_in(document: Any, path: str) -> list[Record]:
    """Return the objects that a JSONPath selects.

    Raises:
        HotjarSchemaError: It selects something else; or the list it names is not there, which is
            not the same as an empty one.
    """
    found: list[Any] = list(_compiled(path).findall(document))
    if not found:
        _require_list(document, path)
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            what = "a list" if isinstance(record, list) else "a single value"
            problem = f"is {what} and not an object; mend `records` ({path}), as in $.data[*]"
            raise HotjarSchemaError(f"records[{number}]", problem)
    return found


@cache
def _compiled(path: str) -> JSONPath | CompoundJSONPath:
    return compile_path(path)


def _require_list(document: Any, path: str) -> None:
    place = path.removesuffix("[*]").removesuffix(".*")
    query = _compiled(place)
    if not isinstance(query, JSONPath) or not query.singular_query():
        return
    found = query.findall(document)
    if not found:
        problem = "is not in the answer; mend `records` (if the API leaves an empty list out: $..)"
        raise HotjarSchemaError(place, problem)
    if not isinstance(found[0], list | dict | None):
        raise HotjarSchemaError(place, "is a single value and not a list; mend `records`")


def _lines(body: bytes) -> Iterator[Any]:
    # Only line feeds end a line: the other line ends of Unicode may stand in a text.
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _rows(body: bytes) -> list[Record]:
    text = clean(body.decode("utf-8-sig", "replace"))
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row)
    header = next(rows, [])
    if len(set(header)) < len(header):
        raise HotjarSchemaError("header", "two columns have the same name")
    records = []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            problem = f"has {len(row)} cells, the header {len(header)}"
            raise HotjarSchemaError(f"row {number}", problem)
        records.append({name: cell or None for name, cell in zip(header, row, strict=True)})
    return records
