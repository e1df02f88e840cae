"""The `schema:` of a stream from sample records, to be pasted into its YAML.

What a sample shows is taken for the rule: types as genson finds them, and a format where every text
has it. Whether a field may be missing is not concluded from a sample.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

import yaml
from genson import SchemaBuilder

from hotjar_assets.streams.detection import DELIMITERS, unzipped
from hotjar_assets.streams.formats import Format, Record, decode, flattened, records_in
from hotjar_assets.streams.values import check_path

Schema = dict[str, Any]


def sample_records(
    body: bytes,
    *,
    kind: Format | None = None,
    path: str | None = None,
    flatten: Sequence[str] = (),
) -> list[Record]:
    """Return the records of a sample.

    Args:
        body: JSON, JSON lines or CSV.
        kind: Which of them; None: found out.
        path: JSONPath of the records; None: the sample is a list of records, or one record.
        flatten: As in the stream.

    Raises:
        ValueError: It is none of them, or the path is none.
        HotjarSchemaError: The path selects no objects.
    """
    kind, document = _document(unzipped(body), kind)
    default = "$" if isinstance(document, dict) else "$[*]"
    found = records_in(document, check_path(path or default))
    records = [flattened(record, flatten) for record in found]
    return _typed(records) if kind == "csv" else records


def infer_schema(records: Iterable[Record]) -> Schema:
    """Return the JSON Schema that all of the records fit, with `properties` in their order."""
    samples = list(records)
    builder = SchemaBuilder(schema_uri=None)
    builder.add_schema({"type": "object", "properties": {}})
    for record in samples:
        builder.add_object(record)
    schema: Schema = {"properties": {}, **builder.to_schema()}
    order = list(dict.fromkeys(name for record in samples for name in record))
    described = _described(schema, samples)
    return {"properties": {name: described["properties"][name] for name in order}}


def schema_yaml(records: Iterable[Record]) -> str:
    """Return the `schema:` block of the records."""
    properties = infer_schema(records)["properties"]
    lines = [f"    {_flow(name)}: {_flow(schema)}\n" for name, schema in properties.items()]
    return "schema:\n  properties:\n" + "".join(lines)


def _flow(value: Any) -> str:
    """Return YAML of one line; quoted with escapes only where a name needs it."""
    text = ""
    for style in (None, '"'):
        text = yaml.safe_dump(
            value,
            default_flow_style=True,
            default_style=style,
            sort_keys=False,
            width=2**31,
            allow_unicode=style is None,
        )
        text = text.removesuffix("\n").removesuffix("\n...")
        if text.isprintable():
            break
    return text


def _document(body: bytes, kind: Format | None) -> tuple[Format, Any]:
    looks_like_json = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"[", b"{"}
    if kind == "csv" or (kind is None and not looks_like_json):
        header = body.lstrip().partition(b"\n")[0].decode("utf-8", "replace")
        return "csv", decode(body, "csv", delimiter=max(DELIMITERS, key=header.count))
    if kind is not None:
        return kind, decode(body, kind)
    try:
        return "json", decode(body, "json")
    except ValueError as error:
        try:
            return "jsonl", decode(body, "jsonl")
        except ValueError:
            raise error from None


# --- Formats -----------------------------------------------------------------------------------


def _described(schema: Schema, samples: list[Any]) -> Schema:
    """Return the schema without `required`, and with the formats of its texts, at every depth."""
    described = {name: value for name, value in schema.items() if name != "required"}
    if isinstance(schema.get("type"), list):
        described["type"] = sorted(schema["type"], key=lambda kind: (kind == "null", kind))
    if "anyOf" in schema:
        described["anyOf"] = [_described(part, samples) for part in schema["anyOf"]]
    if "properties" in schema:
        objects = [sample for sample in samples if isinstance(sample, dict)]
        described["properties"] = {
            name: _described(part, [each[name] for each in objects if name in each])
            for name, part in schema["properties"].items()
        }
    if "items" in schema:
        items = [item for sample in samples if isinstance(sample, list) for item in sample]
        described["items"] = _described(schema["items"], items)
    texts = [sample for sample in samples if isinstance(sample, str)]
    if texts and "string" in (schema.get("type"), *_listed(schema.get("type"))):
        for name, fits in _FORMATS.items():
            if all(map(fits, texts)):
                return {**described, "format": name}
    return described


def _listed(kind: Any) -> list[str]:
    return kind if isinstance(kind, list) else []


def _is_instant(text: str) -> bool:
    return bool(re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", text)) and _parses(
        datetime.fromisoformat, text
    )


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and _parses(date.fromisoformat, text)


def _is_email(text: str) -> bool:
    return bool(re.fullmatch(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+", text))


def _is_uri(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/]\S*", text)) and _parses(urlsplit, text)


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _is_instant,
    "date": _is_date,
    "email": _is_email,
    "uri": _is_uri,
}

# --- Cells of a CSV ----------------------------------------------------------------------------


def _typed(records: list[Record]) -> list[Record]:
    """Return the records of a CSV, whose cells are all text, with columns of what they say."""
    columns = {name: [record[name] for record in records] for name in next(iter(records), {})}
    typed = {name: _column(cells) for name, cells in columns.items()}
    return [{name: typed[name][number] for name in typed} for number in range(len(records))]


def _column(cells: list[str | None]) -> list[Any]:
    for pattern, parse in _CELLS:
        if all(cell is None or pattern.fullmatch(cell) for cell in cells):
            return [None if cell is None else parse(cell) for cell in cells]
    return list(cells)


# A leading zero is a sign of a code, and a long number would lose digits.
_INTEGER = r"-?(?:0|[1-9]\d{0,17})"
_CELLS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(_INTEGER), int),
    (re.compile(rf"{_INTEGER}(?:\.\d{{1,15}})?(?:[eE][-+]?\d{{1,2}})?"), float),
    (re.compile("(?i:true|false)"), lambda cell: cell.lower() == "true"),
)
