"""What pydantic cannot see of a source: whether its parts fit together.

Each check yields where a mistake is, as the path of a field, and what is wrong with it and how to
mend it. `loading` finds the line.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from hotjar_assets.did_you_mean import meant
from hotjar_assets.schema import SCHEMA
from hotjar_assets.streams.formats import can_drop_filters

if TYPE_CHECKING:
    from hotjar_assets.streams.spec import Parameter, Source, Stream

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]
MAX_VALUES = 50_000
"""Most values in the YAML of a source."""
TEMPLATE = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_VARIABLE = re.compile(
    r"\$\{\w{1,100}\}|%\(\w{1,100}\)s"
    r"|(?<![\w$])\$(?:[A-Z][A-Z0-9]{0,50}_[A-Z0-9_]{1,50}|KEY|TOKEN|SECRET|PASSWORD)(?!\w)",
    re.ASCII,
)
"""A variable as a shell or Python writes it; `$GOOG` may be a value."""
_COLON_SEGMENT = re.compile(r"(?<=/):[A-Za-z_]\w{0,100}(?=/|$)", re.ASCII)
_BRACES = re.compile(r"(?<!\{)\{[\w.]{1,100}\}(?!\})", re.ASCII)
_RELATIVE_TIME = re.compile(
    r"(?i)(?:now|today|yesterday|tomorrow)\b|.*\bago$|last\b"
    r"|-\d{1,9} ?(?:s|m|h|d|w|y|mo|min|second|minute|hour|day|week|month|year)s?$"
    r"|-PT?\d[\dTYMWDHS]*$"
)
_SLASHED_DAY = re.compile(r"\d{1,2}/\d{1,2}/\d{4}|\d{4}/\d{1,2}/\d{1,2}", re.ASCII)
_COMPACT_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_SECRET_NAMES = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "api_token",
        "authorization",
        "client_secret",
        "password",
        "secret",
        "token",
        "x_access_token",
        "x_api_key",
        "x_auth_token",
    }
)
_JSON_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_SCALAR_TYPES = ("boolean", "integer", "number", "string")
_OURS = {"surveys", "survey_responses", "forgotten", "unsettled", "meta"}
_SYNCED_AT = "synced_at"
_MAX_NAME_LENGTH = 2000
_INTERNAL_PREFIX = "hotjar_assets:"
_DUCKDB_TYPE = re.compile(r"[A-Za-z][\w ]*(\(\d+(, ?\d+)?\))?(\[\])*", re.ASCII)
"""A type by name: what is nested is JSON or comes of the expression."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


class MisfitError(ValueError):
    """Parts of a source do not fit together.

    Args:
        place: Where.
        problem: What is wrong and how to mend it.
    """

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {problem}")
        self.place = place
        self.problem = problem


def check_size(root: Any, children: Callable[[Any], Collection[Any]]) -> None:
    """Refuse a document that grows too large when its aliases (`*name`) are replaced.

    Args:
        root: The document.
        children: The values that a value holds.

    Raises:
        ValueError: It has too many values, or one that holds itself.
    """
    sizes: dict[int, int] = {}

    def size_of(value: Any) -> int:
        inner = children(value)
        if not inner:
            return 1
        if id(value) not in sizes:
            # Until it is counted, it is larger than is allowed: it may hold itself.
            sizes[id(value)] = MAX_VALUES + 1
            sizes[id(value)] = 1 + sum(map(size_of, inner))
        return sizes[id(value)]

    if size_of(root) > MAX_VALUES:
        problem = (
            f"holds more than {MAX_VALUES} values once its aliases (*name) are replaced; use fewer"
        )
        raise ValueError(problem)


def names_in(text: str) -> list[str]:
    """List the names that stand in `{{ … }}`."""
    return TEMPLATE.findall(text)


def _or_known(word: str, known: Collection[str]) -> str:
    return meant(word, known) or f"known: {', '.join(sorted(known)) or 'none'}"


def split_personal(name: str) -> tuple[str, str]:
    """Split a name of `personal` into the column and the JSONPath inside of it."""
    column, dot, path = name.partition(".$")
    return column, f"${path}" if dot else "$"


def reserved(column: str) -> str:
    """Say why a stream's table cannot have a column of a name of its own; else an empty text."""
    name = column.lower()
    if name == _SYNCED_AT:
        why = "has the name of the column for the time a row was last written"
    elif name.startswith(_INTERNAL_PREFIX):
        why = f"has a name that begins with {_INTERNAL_PREFIX}, as internal columns do"
    elif len(name) > _MAX_NAME_LENGTH:
        why = f"has a name of more than {_MAX_NAME_LENGTH} characters"
    else:
        return ""
    return f"{why}; rename or drop it in transform"


def mistakes(source: "Source") -> Iterator[Mistake]:
    """Yield every mistake that takes more than one field to see."""
    yield from _repeated("parameters", source.parameters, "parameter")
    yield from _repeated("streams", source.streams, "stream")
    for number, stream in enumerate(source.streams):
        if source.name == SCHEMA and stream.name in _OURS:
            problem = f"is a table of the built-in assets; name the source other than {SCHEMA}"
            yield ("streams", number, "name"), problem
    for number, parameter in enumerate(source.parameters):
        for place, problem in _of_parameter(parameter):
            yield ("parameters", number, *place), problem
    yield from _sent(source.headers, "headers")
    for place, problem in _sent(getattr(source.authentication, "token_fields", {}), "token_fields"):
        yield ("authentication", *place), problem
    yield from _templates(source)
    earlier: dict[str, Stream] = {}
    for number, stream in enumerate(source.streams):
        later = {other.name for other in source.streams[number:]}
        checks = (
            _parent(stream, earlier, later),
            _request(stream),
            _start(stream),
            _answer(stream),
            _columns(stream),
            _personal(stream),
        )
        for check in checks:
            for place, problem in check:
                yield ("streams", number, *place), problem
        earlier[stream.name] = stream


def _repeated(field: str, items: "Iterable[Parameter | Stream]", what: str) -> Iterator[Mistake]:
    seen = set()
    for number, item in enumerate(items):
        if item.name in seen:
            yield (field, number, "name"), f"a second {what} named {item.name}; rename one"
        seen.add(item.name)


def _of_parameter(parameter: "Parameter") -> Iterator[Mistake]:
    default = parameter.default
    if default is None:
        return
    if parameter.secret:
        yield ("default",), "a secret has no default: its value would stand in the YAML"
    elif parameter.required:
        yield ("default",), "a required parameter has no default; leave one of the two out"
    elif parameter.type == "date":
        try:
            date.fromisoformat(str(default))
        except ValueError:
            yield ("default",), "is no date; it looks like 2026-01-31"
    elif not isinstance(default, _TYPES[parameter.type]) or (
        isinstance(default, bool) and parameter.type != "boolean"
    ):
        yield ("default",), f"is no {parameter.type}, which `type` says it is"


# --- Templates ---------------------------------------------------------------------------------


def _templates(source: "Source") -> Iterator[Mistake]:
    known = {parameter.name for parameter in source.parameters}
    for place, text in _texts(source.model_dump(by_alias=True), ()):
        stream = source.streams[int(place[1])] if place[0] == "streams" else None
        inner = place[2:] if place[0] in {"streams", "parameters"} else place
        if inner[0] in {"description", "schema"}:
            continue
        if found := _foreign_template(inner, text):
            problem = f"{found} is not replaced here; declare a parameter (with its `env`), and "
            yield place, problem + "write {{ its name }}"
            continue
        if "{{" not in text:
            continue
        if not _is_replaced(inner, in_stream=stream is not None):
            yield place, "{{ … }} is not replaced here; write the value itself"
        elif "{{" in TEMPLATE.sub("", text):
            yield place, "malformed {{ … }}; it looks like {{ name }}"
        else:
            for name in names_in(text):
                if problem := _unknown_name(name, known, stream):
                    yield place, problem


def _foreign_template(place: Place, text: str) -> str:
    """Return what other tools would replace in a text; empty if there is nothing."""
    if place[0] == "transform":
        return ""
    found = _VARIABLE.search(text)
    if found is None and place[0] == "path":
        rest = TEMPLATE.sub("", text)
        found = _BRACES.search(rest) or _COLON_SEGMENT.search(rest)
    elif found is None and place[0] in {"query", "headers"}:
        found = _BRACES.fullmatch(text.strip())
    return found[0] if found else ""


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, (*place, name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _texts(item, (*place, number))


def _is_replaced(place: Place, *, in_stream: bool) -> bool:
    if in_stream:
        return place[0] in {"path", "query", "headers", "body"} or place == ("incremental", "start")
    fields = {"name", "prefix", "token_path", "scope", "token_fields"}
    return place[0] in {"base_url", "headers"} or (
        place[0] == "authentication" and place[1] in fields
    )


def _unknown_name(name: str, known: set[str], stream: "Stream | None") -> str:
    first, _, rest = name.partition(".")
    if first != "parent":
        if name in known:
            return ""
        return f"no parameter is named {name}; {meant(name, known) or 'declare it'}"
    if stream is None or stream.parent is None:
        return f"{{{{ {name} }}}} needs a stream with `parent`"
    return "" if rest else "name a field of the parent's record: {{ parent.id }}"


def _sent(values: "dict[str, Any]", field: str) -> Iterator[Mistake]:
    for name, value in values.items():
        is_secret = name.lower().replace("-", "_") in _SECRET_NAMES
        if is_secret and not names_in(str(value)):
            problem = (
                "a secret's value must not stand here; use `authentication`, or a parameter with "
                "`secret: true` and {{ its name }}"
            )
            yield (field, name), problem
        if field == "headers" and not _HEADER_NAME.fullmatch(name):
            yield (field, name), "is no name of a header; it looks like X-Shop-Region"


# --- Streams -----------------------------------------------------------------------------------


def _parent(
    stream: "Stream", earlier: "dict[str, Stream]", later: Collection[str]
) -> Iterator[Mistake]:
    if stream.parent is None:
        return
    name = stream.parent.stream
    parent = earlier.get(name)
    if name == stream.name:
        yield ("parent", "stream"), "a stream cannot be its own parent"
    elif parent is None and name in later:
        yield ("parent", "stream"), f"{name} stands further down; move it before its child"
    elif parent is None:
        yield ("parent", "stream"), f"no stream is named {name}; {_or_known(name, earlier.keys())}"
    else:
        for place, field in needed_of_parent(stream):
            if problem := _unusable(parent, field.partition(".")[0]):
                yield place, problem


def needed_of_parent(stream: "Stream") -> Iterator[tuple[Place, str]]:
    """Yield where a stream needs a field of the parent's record, and the field."""
    for column, field in stream.parent.fields.items() if stream.parent else ():
        yield ("parent", "fields", column), field
    request = {
        "path": stream.path,
        "query": stream.query,
        "headers": stream.headers,
        "body": stream.body,
        "incremental": {"start": stream.incremental and stream.incremental.start},
    }
    for place, text in _texts(request, ()):
        for name in names_in(text):
            first, _, field = name.partition(".")
            if first == "parent":
                yield place, field


def _unusable(parent: "Stream", field: str) -> str:
    around = {*parent.metadata, *(parent.parent.fields if parent.parent else ())}
    if parent.record_schema is not None:
        known = parent.record_schema.properties.keys() | around
        if field not in known:
            return f"the schema of {parent.name} has no {field}; {_or_known(field, known)}"
    if field not in around and _is_dropped(parent, field):
        return f"needs {field} of {parent.name}, which its `transform` drops; keep it"
    return ""


def _is_dropped(stream: "Stream", name: str) -> bool:
    transform = stream.transform
    return name in transform.drop or (transform.keep is not None and name not in transform.keep)


def _request(stream: "Stream") -> Iterator[Mistake]:
    if "://" in stream.path or not stream.path.startswith("/"):
        yield ("path",), "begins with a slash and goes on where base_url ends, as in /orders"
    if "?" in stream.path or "#" in stream.path:
        yield ("path",), "holds a query; put it under `query`"
    yield from _sent(stream.query, "query")
    yield from _sent(stream.headers, "headers")
    if stream.body is not None and stream.method == "GET":
        yield ("body",), "a GET has none; add `method: POST`"
    for field in ("pagination", "incremental"):
        if getattr(getattr(stream, field), "place", "") == "body" and stream.method == "GET":
            yield (field, "place"), "a GET has no body; choose query or header, or `method: POST`"
    for field in ("pagination", "incremental"):
        for name in ("parameter", "limit_parameter"):
            given = getattr(getattr(stream, field), "place", "") == "body" and stream.body
            path = getattr(getattr(stream, field), name, None) if given else None
            if path and _is_inside_of_value(given, path):
                yield (field, name), "is inside of a value of `body` that is not an object"
    if stream.incremental and not stream.primary_key:
        yield ("incremental",), "needs a `primary_key`: what is read again is merged by it"


def _is_inside_of_value(body: Any, path: str) -> bool:
    outer, is_inside, inner = path.partition(".")
    if path in body or not is_inside or body.get(outer) is None:
        return False
    return not isinstance(body[outer], dict) or _is_inside_of_value(body[outer], inner)


def _start(stream: "Stream") -> Iterator[Mistake]:
    """Check that what is first read from is an instant where it is sent as one."""
    given, schema = stream.incremental, stream.record_schema
    if given is None or given.start is None:
        return
    start = str(given.start).strip()
    if "{{" in start:
        return
    kind = schema.properties.get(given.cursor, {}) if schema else {}
    is_instant = "format" in given.model_fields_set or kind.get("format") in {"date", "date-time"}
    is_unfit = (
        # An instant to Python, but sent as it is.
        (is_instant and _COMPACT_DAY.fullmatch(start) and not _is_written_as(start, given.format))
        or (
            is_instant
            and isinstance(given.start, str)
            and not sends_as_instant(start, given.format)
        )
        or (_SLASHED_DAY.fullmatch(start) and not _is_written_as(start, given.format))
        or _RELATIVE_TIME.match(start)
    )
    if is_unfit:
        problem = "is not a day or an instant, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        yield ("incremental", "start"), problem


def sends_as_instant(text: str, form: str) -> bool:
    """Tell whether a text is an instant, or is already written as `incremental.format` says."""
    try:
        datetime.fromisoformat(text.strip().upper())
    except ValueError:
        pass
    else:
        return True
    if form in {"timestamp", "milliseconds"}:
        return bool(_NUMBER.fullmatch(text.strip()))
    return _is_written_as(text, form)


def _is_written_as(text: str, form: str) -> bool:
    """Tell whether a text is an instant in a strftime format."""
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _answer(stream: "Stream") -> Iterator[Mistake]:
    if stream.format != "csv":
        for field in {"delimiter", "encoding"} & stream.model_fields_set:
            yield (field,), f"is of a CSV only, and the format is {stream.format}"
    if stream.delimiter in '"\r\n':
        yield ("delimiter",), "cannot stand between cells; it is , or ; or | or a tab"
    pagination = stream.pagination
    if pagination.type == "cursor" and (pagination.selector is None) == (pagination.header is None):
        yield ("pagination",), "needs `selector` or `header`: where the next cursor is; one of them"
    if "?" in stream.records and _ends_by_counting(stream) and not can_drop_filters(stream.records):
        problem = (
            "has a filter after `..` or beside `|`, which hides whether a page is empty or all of "
            "it is filtered out; filter a list: $.data[?…]"
        )
        yield ("records",), problem


def _ends_by_counting(stream: "Stream") -> bool:
    """Tell whether the number of records, with those filtered out, says where the next page is."""
    pagination = stream.pagination
    if pagination.type == "page":
        return not (pagination.total_pages or pagination.has_more)
    return pagination.type == "offset" and not pagination.next_offset


def _columns(stream: "Stream") -> Iterator[Mistake]:
    transform, parent = stream.transform, stream.parent
    yield from _schema(stream)
    added = {*stream.metadata, *(parent.fields if parent else ())}
    record = None if stream.record_schema is None else set(stream.record_schema.properties) | added
    yield from _transform(stream, record)
    yield from _computed(stream)
    yield from _names(stream)
    targets = {*transform.rename.values(), *transform.constant, *transform.computed}
    for number, name in enumerate(stream.primary_key):
        if record is not None and name not in record | targets:
            problem = f"the schema has no {name}; {_or_known(name, record | targets)}"
            yield ("primary_key", number), problem
        if name in transform.drop or (name not in targets and _is_dropped(stream, name)):
            yield ("primary_key", number), f"`transform` drops {name}; a key must stay"
    cursor = stream.incremental.cursor if stream.incremental else ""
    outer, is_inner, inner = cursor.partition(".")
    if is_inner and cursor not in (record or ()):
        problem = f"is inside of {outer}: add `flatten: [{outer}]`, and write {outer}_{inner}"
        yield ("incremental", "cursor"), problem
    elif cursor and record is not None and cursor not in record:
        problem = f"the schema has no {cursor}; {_or_known(cursor, record)}"
        yield ("incremental", "cursor"), problem
    elif cursor and _is_dropped(stream, cursor):
        yield ("incremental", "cursor"), f"`transform` drops {cursor}, which tells what is new"
    if stream.record_schema is None and stream.unknown_fields != "evolve":
        yield ("unknown_fields",), "needs a `schema`, to know the others"


def _transform(stream: "Stream", record: set[str] | None) -> Iterator[Mistake]:
    transform = stream.transform
    if record is not None:
        named: list[tuple[Place, str]] = [
            *((("keep", number), name) for number, name in enumerate(transform.keep or ())),
            *((("drop", number), name) for number, name in enumerate(transform.drop)),
            *((("rename", name), name) for name in transform.rename),
        ]
        for place, name in named:
            if name not in record:
                problem = f"there is no column {name}; {_or_known(name, record)}"
                yield ("transform", *place), problem
    for name, target in transform.rename.items():
        if _is_dropped(stream, name):
            yield ("transform", "rename", name), f"{name} is dropped before it could be renamed"
        is_field = target in (stream.record_schema.properties if stream.record_schema else ())
        if is_field and target not in transform.rename and not _is_dropped(stream, target):
            problem = (
                f"the schema has a field {target}, whose column is named so; rename or drop it"
            )
            yield ("transform", "rename", name), problem
    seen: set[str] = set()
    for field, targets in (
        ("rename", transform.rename),
        ("constant", {name: name for name in transform.constant}),
        ("computed", {name: name for name in transform.computed}),
    ):
        for name, target in targets.items():
            if target in seen:
                yield ("transform", field, name), f"a second column would be named {target}"
            seen.add(target)


def _names(stream: "Stream") -> Iterator[Mistake]:
    transform, schema = stream.transform, stream.record_schema
    fields = () if schema is None else schema.properties
    parent_fields = stream.parent.fields if stream.parent else ()
    added: list[tuple[Place, str]] = [
        *((("parent", "fields", name), name) for name in parent_fields),
        *((("metadata", name), name) for name in stream.metadata),
        *((("transform", "rename", name), new) for name, new in transform.rename.items()),
        *((("transform", "constant", name), name) for name in transform.constant),
        *((("transform", "computed", name), name) for name in transform.computed),
        *(
            (("schema", "properties", name), name)
            for name in fields
            if name not in transform.rename and not _is_dropped(stream, name)
        ),
    ]
    for place, name in added:
        if reason := reserved(name):
            yield place, reason


def _computed(stream: "Stream") -> Iterator[Mistake]:
    for name, computed in stream.transform.computed.items():
        if not _DUCKDB_TYPE.fullmatch(computed.type):
            problem = "is no DuckDB type by name; one is VARCHAR, another DECIMAL(18, 2)"
            yield ("transform", "computed", name, "type"), problem


def _personal(stream: "Stream") -> Iterator[Mistake]:
    transform, schema = stream.transform, stream.record_schema
    around = {*stream.metadata, *(stream.parent.fields if stream.parent else ())}
    fields = schema.properties if schema else {}
    types = {
        transform.rename.get(name, name): kind
        for name, kind in fields.items()
        if not _is_dropped(stream, name)
    }
    known = {*types, *around}
    cursor = stream.incremental.cursor if stream.incremental else None
    for name, given in stream.personal.items():
        column, path = split_personal(name)
        problem = ""
        if column in {**transform.computed, **transform.constant}:
            problem = "is written in the YAML; name the columns that it is computed from"
        elif column in transform.rename and column not in transform.rename.values():
            problem = f"is renamed; write {transform.rename[column]}"
        elif (schema is not None and column not in known) or (
            column not in {*around, *transform.rename.values()} and _is_dropped(stream, column)
        ):
            problem = f"there is no column {column}; {_or_known(column, known)}"
        elif path != "$" and types.get(column, {}).get("type") in _SCALAR_TYPES:
            problem = f"{column} is not JSON and has nothing inside; write {column} alone"
        elif column in stream.primary_key and given.mode == "drop":
            problem = "is of the primary key, without which rows have no identity; hash or keep it"
        elif column == transform.rename.get(cursor or "", cursor) and given.mode not in {
            None,
            "keep",
        }:
            problem = "tells what is new (incremental.cursor); keep it"
        if problem:
            yield ("personal", name), problem


def _schema(stream: "Stream") -> Iterator[Mistake]:
    if stream.record_schema is None:
        return
    for name, kind in stream.record_schema.properties.items():
        types = kind.get("type", [])
        for given in types if isinstance(types, list) else [types]:
            if given not in _JSON_TYPES:
                problem = f"is no type of JSON Schema; {_or_known(str(given), _JSON_TYPES)}"
                yield ("schema", "properties", name, "type"), problem
    for number, name in enumerate(stream.record_schema.required):
        if name not in stream.record_schema.properties:
            problem = f"`properties` has no {name}; "
            problem += _or_known(name, stream.record_schema.properties)
            yield ("schema", "required", number), problem
