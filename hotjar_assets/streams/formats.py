"""From the body of an answer to records: JSON, JSON lines and CSV, and what a JSONPath selects.

A number that 64 bits or a double would round is its text, as in `api/records`; a blank cell of a
CSV is null, any other is text.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from hotjar_assets.api.json_values import clean, parse_json
from hotjar_assets.errors import HotjarBodyError, HotjarSchemaError

if TYPE_CHECKING:
    from jsonpath import CompoundJSONPath, JSONPath

Format = Literal["json", "jsonl", "csv"]
Record = dict[str, Any]
DELIMITERS = ",;\t|"
"""What is usual between the cells of a CSV."""

# The default is shorter than a long answer; what an API sends is bounded by the transport.
csv.field_size_limit(2**31 - 1)


def decode(body: bytes, kind: Format, *, delimiter: str = ",", encoding: str = "utf-8") -> Any:
    """Return the document that a body holds; of JSON lines and CSV, the list of their records.

    Args:
        body: The body.
        kind: Its format.
        delimiter: Between the cells of a CSV.
        encoding: Of a CSV.

    Raises:
        ValueError: It is not JSON; the text holds none of its values.
        HotjarBodyError: It is not CSV.
        HotjarSchemaError: A CSV of another encoding or delimiter, or rows that do not fit its
            header.
    """
    if kind == "json":
        return clean(parse_json(body))
    if kind == "jsonl":
        return [clean(value) for value in _lines(body)]
    try:
        return _rows(_text(body, encoding), delimiter)
    except csv.Error as error:
        raise HotjarBodyError(f"not the CSV it should be: {error}") from None


def first(document: Any, path: str) -> Any:
    """Return the first value that a JSONPath selects; None if there is none."""
    return next(iter(compiled(path).findall(document)), None)


def records_in(document: Any, path: str) -> list[Record]:
    """Return the objects that a JSONPath selects.

    Raises:
        HotjarSchemaError: It selects something else; or the list it names is not there, which is
            not the same as an empty one.
    """
    found: list[Any] = list(compiled(path).findall(document))
    if not found:
        _require_list(document, path)
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            what = "a list" if isinstance(record, list) else "a single value"
            problem = f"is {what} and not an object; mend `records` ({path})"
            raise HotjarSchemaError(f"records[{number}]", problem + _instead(document))
    return found


def flattened(record: Record, names: Sequence[str]) -> Record:
    """Return a record with the fields of some of its objects in their place, one after the other.

    {"id": 1, "of": {"name": "a"}} becomes {"id": 1, "of_name": "a"}; an object that is null or not
    there adds nothing, and what is none stays as it is.

    Raises:
        HotjarSchemaError: A field would have the name of another.
    """
    for name in names:
        flat: Record = {}
        for field, value in record.items():
            added = {field: value}
            if field == name and (value is None or isinstance(value, dict)):
                added = {f"{name}_{inner}": each for inner, each in (value or {}).items()}
            if not added.keys().isdisjoint(flat):
                problem = f"flatten: a field of {name} would have the name of another; leave it out"
                raise HotjarSchemaError("records", problem)
            flat |= added
        record = flat
    return record


@cache
def compiled(path: str) -> "JSONPath | CompoundJSONPath":
    """Compile a JSONPath.

    Raises:
        ValueError: It is none; the text says why.
    """
    import jsonpath  # noqa: PLC0415 - who has no streams does without

    try:
        return jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def _require_list(document: Any, path: str) -> None:
    from jsonpath import JSONPath  # noqa: PLC0415 - as in `compiled`

    place = path.removesuffix("[*]").removesuffix(".*")
    query = compiled(place)
    if not isinstance(query, JSONPath) or not query.singular_query():
        return
    found = query.findall(document)
    if not found:
        problem = "is not in the answer; mend `records` (if the API leaves an empty list out: $..)"
        raise HotjarSchemaError(place, problem + _instead(document))
    if not isinstance(found[0], list | dict | None):
        problem = "is a single value and not a list; mend `records`"
        raise HotjarSchemaError(place, problem + _instead(document))


def _instead(document: Any) -> str:
    """Say where in an answer there are lists of objects."""
    below = list(_inner(document, "$"))
    places = [
        ("$", document),
        *below,
        *(item for path, value in below for item in _inner(value, path)),
    ]
    found = [f"{path}[*]" for path, value in places if _is_list_of_objects(value)]
    return f"; the answer has {', '.join(found[:3])}" if found else ""


def _inner(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        # Whatever else a name may be, it is not one that a path shows well, nor a value.
        plain = (name for name in value if re.fullmatch(r"[A-Za-z_]{1,40}", name))
        yield from ((f"{path}.{name}", value[name]) for name in plain)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _lines(body: bytes) -> Iterator[Any]:
    # Only line feeds end a line: the other line ends of Unicode may stand in a text.
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _text(body: bytes, encoding: str) -> str:
    try:
        text = body.decode(encoding).removeprefix("\ufeff")
    except UnicodeError:
        problem = f"is not {encoding} text; name its `encoding`, for example cp1252"
        raise HotjarSchemaError("body", problem) from None
    if text.lstrip()[:1] in {"<", "{"}:
        raise HotjarBodyError("not the CSV it should be: it looks like HTML or JSON")
    return str(clean(text))


def _rows(text: str, delimiter: str) -> list[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = (row for row in reader if row)
    header = [name or f"column_{number}" for number, name in enumerate(next(rows, []), start=1)]
    if len(header) == 1 and (others := [each for each in DELIMITERS if each in header[0]]):
        problem = f"is one cell with {others[0]!r} in it; set `delimiter` to that"
        raise HotjarSchemaError("header", problem)
    if len(set(header)) < len(header):
        raise HotjarSchemaError("header", "two columns have the same name")
    records = []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            problem = f"has {len(row)} cells, the header {len(header)}"
            raise HotjarSchemaError(f"row {number}", problem)
        records.append({name: cell or None for name, cell in zip(header, row, strict=True)})
    return records
