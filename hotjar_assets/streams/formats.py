"""From the body of an answer to records: JSON, JSON lines and CSV, and what a JSONPath selects.

A number that 64 bits or a double would round is its text, as in `api/records`; a blank cell of a
CSV is null, any other is text.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Literal, TextIO

from hotjar_assets.api.csv_rows import CsvReader
from hotjar_assets.api.json_values import BOM, clean, parse_json
from hotjar_assets.api.limits import (
    DEFAULT_LIMITS,
    MAX_EXPORT,
    MAX_RECORD_BYTES,
    MIB,
    Limits,
    too_long,
)
from hotjar_assets.errors import HotjarBodyError, HotjarLimitError, HotjarSchemaError
from hotjar_assets.streams.detection import (
    DELIMITERS,
    refuse_other_format,
    refuse_utf16,
    unzipped_file,
)

if TYPE_CHECKING:
    from jsonpath import CompoundJSONPath, JSONPath

Format = Literal["json", "jsonl", "csv"]
_Sized = Generator[tuple[Any, int], None, None]
Record = dict[str, Any]
_LOOKED_AT_BYTES = 4096
_PART_RECORDS, _PART_BYTES = 1000, MIB
"""Most records of a long answer that are handled at once, and about how long they are."""
MAX_CSV_COLUMNS = 16_384
"""Most columns of a CSV: as many as a spreadsheet has."""


def decode(
    body: bytes,
    kind: Format,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    limits: Limits = DEFAULT_LIMITS,
) -> Any:
    """Return the document that a body holds; of JSON lines and CSV, the list of their records.

    Args:
        body: The body.
        kind: Its format.
        delimiter: Between the cells of a CSV.
        encoding: Of a CSV; of JSON that is not UTF-8.
        limits: How much memory it may take.

    Raises:
        ValueError: It is not JSON; the text holds none of its values.
        HotjarLimitError: It is larger than it may be.
        HotjarBodyError: It is not CSV.
        HotjarSchemaError: A CSV of another encoding or delimiter, or rows that do not fit its
            header.
    """
    if kind == "json":
        limits.check_answer(body)
        return clean(_parsed(body, encoding))
    if kind == "jsonl":
        limits.check_answer(body, separators=b",\n")
        lines = _numbered_lines(io.BytesIO(body), limits, encoding)
        return [clean(value) for _, value in lines]
    limits.check_answer(body, separators=delimiter.encode(), rows=b"\r\n")
    try:
        return list(_rows(_text(io.BytesIO(body), encoding), delimiter))
    except csv.Error as error:
        raise HotjarBodyError(f"not the CSV it should be: {error}") from None
    except UnicodeError:
        problem = f"is not {encoding} text; name its `encoding`, for example cp1252"
        raise HotjarSchemaError("body", problem) from None


def iter_parts(
    file: IO[bytes],
    kind: Format,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    limits: Limits = DEFAULT_LIMITS,
) -> Generator[list[Record], None, None]:
    """Yield the records of a long answer of JSON lines or CSV, some at a time.

    Args:
        file: The body, from its start; gzip or not.
        kind: Its format.
        delimiter: Between the cells of a CSV.
        encoding: Of a CSV; of JSON lines that are not UTF-8.
        limits: How long it may be.

    Raises:
        HotjarApiError: As `decode`, and where that raises a `ValueError` too.
    """
    plain = unzipped_file(file)
    try:
        sized = (
            _sized_lines(plain, limits, encoding)
            if kind == "jsonl"
            else _sized_rows(plain, delimiter, encoding)
        )
        # An error would keep it, and the end of it would come after the file is closed.
        with closing(sized):
            yield from _parts(sized, limits)
    except csv.Error as error:
        raise HotjarBodyError(f"not the CSV it should be: {error}") from None
    except UnicodeError:
        problem = f"is not {encoding} text; name its `encoding`, for example cp1252"
        raise HotjarSchemaError("body", problem) from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise HotjarBodyError("gzip that is cut off or damaged") from None
    except RecursionError:
        raise HotjarBodyError("not the JSON lines it should be: nested too deep") from None
    except ValueError as error:
        plain.seek(0)
        refuse_other_format(plain.read(_LOOKED_AT_BYTES), kind)
        raise HotjarBodyError(f"not the JSON lines it should be: {error}") from None


def _parts(sized: Iterable[tuple[Any, int]], limits: Limits) -> Iterator[list[Any]]:
    """Group values by what they take together, which bounds the memory whatever their number."""
    part: list[Any] = []
    held = total = 0
    for value, size in sized:
        part.append(value)
        held, total = held + size, total + size
        if total > limits.export_bytes:
            problem = "the unpacked answer is larger than is allowed"
            raise HotjarLimitError("body", problem, limit=limits.export_mb, setting=MAX_EXPORT)
        if held >= _PART_BYTES or len(part) >= _PART_RECORDS:
            yield part
            part, held = [], 0
    if part:
        yield part


def _sized_lines(file: IO[bytes], limits: Limits, encoding: str) -> _Sized:
    for line, value in _numbered_lines(file, limits, encoding):
        yield clean(value), len(line)


def _sized_rows(file: IO[bytes], delimiter: str, encoding: str) -> _Sized:
    text = _text(file, encoding)
    try:
        for record in _rows(text, delimiter):
            yield record, sum(1 + len(cell or "") for cell in record.values())
    finally:
        # Else the file would be closed with it.
        text.detach()


def only(document: Any, path: str) -> Any:
    """Return the one value that a JSONPath selects; None if there is none.

    Raises:
        HotjarSchemaError: It selects several values that differ.
    """
    values = iter(_selected(document, path))
    value = next(values, None)
    if any(other != value for other in values):
        problem = "selects several values that differ; select one, for example $.data[-1].id"
        raise HotjarSchemaError(path, problem)
    return value


def is_in(document: Any, path: str) -> bool:
    """Tell whether a JSONPath selects something, be it null."""
    return any(True for _ in _selected(document, path))


def _selected(document: Any, path: str) -> Iterable[Any]:
    """Yield the values that a JSONPath selects."""
    steps = plain_steps(path)
    if steps is None:
        return (match.obj for match in compiled(path).finditer(document))
    # The library keeps an object for every value that it meets, larger than most values.
    found: Iterable[Any] = [document]
    for step in steps:
        found = _below(found, step)
    return found


def _below(values: Iterable[Any], step: str | int | None) -> Iterator[Any]:
    """Yield what is below some values: one of a name or index, or all."""
    for value in values:
        if isinstance(value, dict):
            if step is None:
                yield from value.values()
            elif step in value:
                yield value[step]
        elif isinstance(value, list):
            if step is None:
                yield from value
            elif isinstance(step, int) and -len(value) <= step < len(value):
                yield value[step]


@cache
def plain_steps(path: str) -> tuple[str | int | None, ...] | None:
    """Return a path as names, indices and None for all; None if it has other steps."""
    if not _PLAIN_PATH.fullmatch(path):
        return None
    return tuple(
        int(index) if index else name or quoted or None
        for name, quoted, index in _PLAIN_STEP.findall(path)
    )


def records_in(document: Any, path: str) -> list[Record]:
    """Return the objects that a JSONPath selects.

    Raises:
        HotjarSchemaError: It selects something else; or the list it names is not there, which is
            not the same as an empty one.
    """
    if path == "$[*]" and isinstance(document, dict):
        problem = (
            "is an object and not a list; name the list in `records` (`$`: the object is the "
            "record, `$.*`: its values are)"
        )
        raise HotjarSchemaError("$", problem + _instead(document))
    found: list[Any] = list(_selected(document, path))
    if not found:
        _require_list(document, path)
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            what = "a list" if isinstance(record, list) else "a single value"
            problem = f"is {what} and not an object; mend `records` ({path})"
            raise HotjarSchemaError(f"records[{number}]", problem + _instead(document))
    return found


def has_errors(document: Any) -> bool:
    """Tell whether an answer lists `errors` at its root, as that of GraphQL does."""
    errors = document.get("errors") if isinstance(document, dict) else None
    return isinstance(errors, list) and bool(errors)


@cache
def without_filters(path: str) -> str:
    """Return a JSONPath that selects every item of the lists that `path` filters."""
    from jsonpath import JSONPath  # noqa: PLC0415 - as in `compiled`
    from jsonpath.segments import JSONPathChildSegment  # noqa: PLC0415
    from jsonpath.selectors import Filter  # noqa: PLC0415

    query = compiled(path)
    if "?" not in path or not isinstance(query, JSONPath):
        return path
    return "$" + "".join(
        "[*]"
        if isinstance(segment, JSONPathChildSegment)
        and any(isinstance(selector, Filter) for selector in segment.selectors)
        else str(segment)
        for segment in query.segments
    )


def can_drop_filters(path: str) -> bool:
    """Tell whether `without_filters` finds all filters: not those after `..` or beside a `|`."""
    from jsonpath import JSONPath  # noqa: PLC0415 - as in `compiled`
    from jsonpath.segments import JSONPathChildSegment  # noqa: PLC0415
    from jsonpath.selectors import Filter  # noqa: PLC0415

    query = compiled(path)
    if not isinstance(query, JSONPath):
        return "?" not in path
    return not any(
        isinstance(selector, Filter)
        for segment in query.segments
        if not isinstance(segment, JSONPathChildSegment)
        for selector in segment.selectors
    )


def listed_in(document: Any, path: str) -> list[Record]:
    """Return the objects of a page that its `records` select or filter out."""
    return [each for each in _selected(document, without_filters(path)) if isinstance(each, dict)]


def flattened(record: Record, names: Sequence[str], met: set[str] | None = None) -> Record:
    """Return a record with the fields of some of its objects in their place, one after the other.

    {"id": 1, "of": {"name": "a"}} becomes {"id": 1, "of_name": "a"}; an object that is null or not
    there adds nothing, and what is none stays as it is.

    Args:
        record: The record.
        names: The objects.
        met: Gets the names of those that the record has.

    Raises:
        HotjarSchemaError: A field would have the name of another.
    """
    for name in names:
        flat: Record = {}
        for field, value in record.items():
            added = {field: value}
            if field == name and (value is None or isinstance(value, dict)):
                if met is not None:
                    met.add(name)
                added = {f"{name}_{inner}": each for inner, each in (value or {}).items()}
            if not added.keys().isdisjoint(flat):
                problem = f"flatten: a field of {name} would have the name of another; leave it out"
                raise HotjarSchemaError("records", problem)
            flat |= added
        record = flat
    return record


_STEP = r"""(?:\.([A-Za-z_]\w{0,99})|\['([\w .-]{1,100})'\]|\[(-?\d{1,9})\]|\[\*\]|\.\*)"""
_PLAIN_STEP = re.compile(_STEP, re.ASCII)
_PLAIN_PATH = re.compile(rf"\$(?:{_STEP})*", re.ASCII)


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

    place = without_filters(path).removesuffix("[*]").removesuffix(".*")
    query = compiled(place)
    if has_errors(document) and not any(
        isinstance(each, list | dict) for each in query.findall(document)
    ):
        raise HotjarSchemaError(place, "has no records, and the answer has `errors`")
    place = path.removesuffix("[*]").removesuffix(".*")
    query = compiled(place)
    if not isinstance(query, JSONPath) or not query.singular_query():
        return
    found = query.findall(document)
    if not found:
        name = next(
            (step for step in reversed(plain_steps(place) or ()) if isinstance(step, str)), ""
        )
        omits = f" (where the API omits an empty list: $..{name}[*])" if name.isidentifier() else ""
        problem = f"is not in the answer; correct `records`{omits}"
        raise HotjarSchemaError(place, problem + _instead(document))
    if document is None:
        raise HotjarSchemaError(place, "is null and not a list; correct `path` or `records`")
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


def _parsed(body: bytes, encoding: str) -> Any:
    """Return a JSON value; of an encoding other than UTF-8 only if it is not UTF-8.

    Raises:
        ValueError: It is not JSON.
        HotjarSchemaError: It is JSON, of neither encoding.
    """
    if body.isascii():
        return parse_json(body)
    try:
        body.decode()
    except UnicodeDecodeError:
        with suppress(UnicodeDecodeError):
            return parse_json(body.decode(encoding).encode())
        # What is cut off inside of a character may be whole the next time.
        parse_json(body)
        problem = f"is not {encoding} text; have the API send UTF-8, or name its charset"
        raise HotjarSchemaError("body", problem) from None
    return parse_json(body)


def _numbered_lines(file: IO[bytes], limits: Limits, encoding: str) -> Iterator[tuple[bytes, Any]]:
    # Only line feeds end a line: the other line ends of Unicode may stand in a text.
    number = 0
    while line := file.readline(MAX_RECORD_BYTES + 1):
        number += 1
        is_long = len(line) > MAX_RECORD_BYTES
        begin = line[:_LOOKED_AT_BYTES].removeprefix(BOM).strip()
        if number == 1 and (begin in {b"{", b"["} or (is_long and begin.startswith(b"["))):
            raise HotjarSchemaError("body", "is JSON; declare `format: json`")
        if is_long:
            raise too_long(f"line {number}")
        if line.strip():
            limits.check_answer(line)
            try:
                yield line, _parsed(line, encoding)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _text(file: IO[bytes], encoding: str) -> io.TextIOWrapper:
    looked_at = file.read(_LOOKED_AT_BYTES)
    file.seek(0)
    if not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        refuse_utf16(looked_at)
    refuse_other_format(looked_at.decode(encoding, "ignore").encode(), "csv")
    return io.TextIOWrapper(file, encoding=encoding, newline="")


_SEPARATOR = re.compile(r'("?)sep=([^"\r\n])\1(?:\r?\n|\r)', re.IGNORECASE)
_SEPARATOR_LINE = 10
"""Most characters of a line that names what separates cells."""


def _numbered(names: Iterable[str]) -> list[str]:
    """Return names of columns with each repeated one numbered: `Comment (2)`."""
    counts: dict[str, int] = {}
    for given in names:
        name = given
        while name in counts:
            counts[given] += 1
            name = f"{given} ({counts[given]})"
        counts[name] = 1
    return list(counts)


def _rows(text: TextIO, delimiter: str) -> Iterator[Record]:
    # Before the parser, to which a quote after a byte order mark is none.
    if text.read(1) != "\ufeff":
        text.seek(0)
    begin = text.tell()
    # Excel writes what is between the cells into a first line.
    named = _SEPARATOR.fullmatch(text.readline(_SEPARATOR_LINE))
    if named is None:
        text.seek(begin)
    rows = iter(CsvReader(text, delimiter=named[2] if named else delimiter))
    first = next(rows, [])
    if len(first) > MAX_CSV_COLUMNS:
        raise HotjarLimitError("header", "has too many columns", limit=MAX_CSV_COLUMNS)
    header = _numbered(name or f"column_{number}" for number, name in enumerate(first, start=1))
    if len(header) == 1 and (others := [each for each in DELIMITERS if each in header[0]]):
        problem = f"is one cell with {others[0]!r} in it; set `delimiter` to that"
        raise HotjarSchemaError("header", problem)
    for number, row in enumerate(rows, start=1):
        # Spreadsheets write rows without a value, and a delimiter after the last cell.
        if not any(row):
            continue
        if not any(row[len(header) :]):
            del row[len(header) :]
        if len(row) != len(header):
            problem = f"has {len(row)} cells, the header {len(header)}"
            raise HotjarSchemaError(f"row {number}", problem)
        yield {name: cell or None for name, cell in zip(header, row, strict=True)}
