"""What an SQL expression over one row may use, and how much longer than the row its result may be.

DuckDB parses the expression (`json_serialize_sql`); what is not listed here is refused: subqueries,
aggregates and windows need more than the row, other functions read files or settings, wait, give
another value each time, or make large values of small ones.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from hotjar_assets.did_you_mean import meant
from hotjar_assets.warehouse.database import literal

MAX_SQL_LENGTH = 4000
MAX_GROWTH = 16
"""How many times as long as the row's values a result, or a part of it, may become."""
_MAX_CONSTANT = 100_000
"""Characters that constants alone may become."""
_SCALAR = 4
"""What a number, a boolean or an instant counts for, in characters."""

# Each text lists names, to be read and changed as words.
_SHORT_RESULTS = """
    + - * / // % ** ^ & | ~ << >> @ = < > <= >= <> !=
    ~~ !~~ ~~* !~~* ~~~ ^@ like_escape not_like_escape ilike_escape not_ilike_escape
    contains prefix suffix starts_with ends_with instr strpos position
    length len strlen char_length character_length bit_length octet_length length_grapheme
    ascii ord unicode hash regexp_matches regexp_full_match
    abs sign ceil ceiling floor round round_even trunc even sqrt cbrt exp ln log log2 log10 pow
    power mod fmod fdiv divide add subtract multiply gcd lcm pi degrees radians
    sin cos tan cot asin acos atan atan2 sinh cosh tanh isnan isinf isfinite signbit xor
    date_part datepart date_diff datediff date_sub datesub date_add date_trunc datetrunc age
    year month day hour minute second millisecond microsecond quarter week weekday dayofweek
    dayofmonth dayofyear isodow isoyear weekofyear yearweek decade century millennium era last_day
    epoch epoch_ms epoch_us epoch_ns to_timestamp make_date make_time make_timestamp
    make_timestamp_ms make_timestamptz timezone time_bucket strptime try_strptime
    to_years to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds
    to_microseconds
    json_valid json_exists json_contains json_array_length
    list_contains list_has array_contains list_has_any list_has_all list_position list_indexof
    list_sum list_avg list_count cardinality map_contains array_length struct_contains
"""
_NO_LONGER = """
    || concat reverse split_part regexp_extract
    md5 sha1 sha256 dayname monthname chr typeof translate
    if ifnull nullif coalesce greatest least constant_or_null
    -> ->> json_extract json_extract_string json_extract_path json_extract_path_text json_value
    json_type json_keys json_structure json_merge_patch
    list_value list_pack list_extract list_element element_at array_extract list_slice array_slice
    list_filter array_filter filter list_distinct list_unique list_sort list_reverse_sort
    list_reverse array_reverse list_concat list_cat array_concat list_append list_prepend
    list_min list_max list_first list_last list_any_value list_where flatten
    list_transform list_apply array_transform array_apply apply
    struct_pack struct_extract struct_extract_at struct_insert row
    map map_keys map_values map_extract map_extract_value map_entries
    from_base64 from_hex unhex decode encode
"""
_PARTS = "trim ltrim rtrim substring substr left right"
_OTHER_CASE = "lower upper lcase ucase strip_accents"
_THREE_TIMES = """
    nfc_normalize hex to_hex base64 to_base64 url_encode url_decode
"""
_FOUR_TIMES = """
    string_split split str_split string_to_array string_split_regex str_split_regex
    regexp_split_to_array regexp_extract_all
"""
_SIX_TIMES = "to_json json json_quote json_object json_array regexp_escape"
_WITH_LAMBDA = (
    "list_transform list_apply array_transform array_apply apply list_filter array_filter filter"
)
_WITH_LIKE = """
    ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape
"""
_WITH_PATTERN = """
    regexp_matches regexp_full_match regexp_extract regexp_extract_all regexp_replace
    string_split_regex str_split_regex regexp_split_to_array
"""
_WITH_PATH = """
    -> ->> json_extract json_extract_string json_extract_path json_extract_path_text json_value
    json_exists json_type json_keys json_array_length
"""
_KINDS = (
    "CONSTANT COLUMN_REF FUNCTION CAST CASE COMPARISON CONJUNCTION OPERATOR BETWEEN LAMBDA TYPE"
)
_WITH_SHORT_RESULT = """
    OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL COMPARE_IN COMPARE_NOT_IN
"""
_OTHER_OPERATORS = """
    OPERATOR_COALESCE OPERATOR_NULLIF OPERATOR_TRY ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT
    ARRAY_CONSTRUCTOR
"""
_SHORT_TYPES = """
    TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT
    DOUBLE DECIMAL BOOLEAN DATE TIME TIMESTAMP TIMESTAMPTZ TIMETZ INTERVAL UUID INT REAL NUMERIC
    BOOL INT8 INT4 INT2 INT1 UNKNOWN
"""
_OF_THE_SESSION = """
    current_date current_time current_timestamp current_localtime current_localtimestamp localtime
    localtimestamp current_user session_user current_role current_catalog current_schema
    current_database current_query today now user rowid
"""

_SCALAR_FUNCTIONS = frozenset(_SHORT_RESULTS.split())
_GROWTH = {
    name: times
    for names, times in (
        (_NO_LONGER, 1),
        (_PARTS, 1),
        (_OTHER_CASE, 2),
        (_THREE_TIMES, 3),
        (_FOUR_TIMES, 4),
        (_SIX_TIMES, 6),
    )
    for name in names.split()
} | {"strftime": 16}
"""How many times as long as its arguments the result of a function may be."""
_EMPTY_STAYS_EMPTY = frozenset(f"{_PARTS} {_OTHER_CASE}".split())
_PADDING = frozenset(("lpad", "rpad"))
_MAX_PADDED = 1000
_REPEATING = {"replace": 2, "regexp_replace": 2, "concat_ws": 0, "array_to_string": 1}
"""Functions that repeat one of their arguments, which must be a constant: which one."""
_LAMBDAS = frozenset(_WITH_LAMBDA.split())
_LIKES, _PATTERNS, _PATHS = map(
    frozenset, (_WITH_LIKE.split(), _WITH_PATTERN.split(), _WITH_PATH.split())
)
"""Functions whose second argument is a pattern or a path, which must be a constant."""
_MAX_WILDCARDS = 4
_UTF_8 = 4
"""Bytes of a character, at most."""
_CLASSES = frozenset(_KINDS.split())
_SCALAR_OPERATORS = frozenset(_WITH_SHORT_RESULT.split())
_OPERATORS = _SCALAR_OPERATORS | frozenset(_OTHER_OPERATORS.split())
_ALTERNATIVES = frozenset(("if", "ifnull", "nullif", "coalesce", "greatest", "least"))
_SCALAR_TYPES = frozenset(_SHORT_TYPES.split())
_SESSION = frozenset(_OF_THE_SESSION.split())
"""Names that are functions where no column has them."""
_NAMES = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "a *",
    "PARAMETER": "a parameter",
    "DEFAULT": "DEFAULT",
    "POSITIONAL_REFERENCE": "a column by its number",
    "OPERATOR_UNPACK": "a *",
}

ALLOWED_FUNCTIONS = tuple(
    sorted(
        name
        for name in _SCALAR_FUNCTIONS | _GROWTH.keys() | _REPEATING.keys() | _PADDING
        if name[0].isalpha()
    )
)
"""The functions that an expression may call, without operators."""

_Size = Counter[str]
"""How often the values of each column may stand in a result; "" is what comes from constants."""


class RefusedError(Exception):
    """The expression uses what it may not; says what, without a value."""


def problem_of(sql: str) -> str | None:
    """Say what is wrong with an expression over one row; None if nothing is."""
    if len(sql) > MAX_SQL_LENGTH:
        return f"is longer than {MAX_SQL_LENGTH} characters"
    try:
        # Alone it must be one expression with nothing after it, in brackets it must be nothing
        # else: neither of the two can be satisfied by closing the bracket and going on.
        for statement in (f"SELECT \n{sql}\n", f"SELECT (\n{sql}\n)"):
            _size_of(_only_expression(statement), frozenset())
    except RefusedError as error:
        return str(error)
    except RecursionError:
        return "is nested too deep"
    return None


def _only_expression(statement: str) -> Mapping[str, Any]:
    tree = _parsed(statement)
    if tree is None:
        raise RefusedError("is not an expression that DuckDB can parse")
    nodes = [each["node"] for each in tree.get("statements", [])]
    is_bare = (
        len(nodes) == 1
        and nodes[0]["type"] == "SELECT_NODE"
        and len(nodes[0]["select_list"]) == 1
        and not nodes[0]["modifiers"]
        and nodes[0]["from_table"]["type"] == "EMPTY"
    )
    if not is_bare:
        raise RefusedError("is more than one expression")
    expression: Mapping[str, Any] = nodes[0]["select_list"][0]
    return expression


def _parsed(statement: str) -> dict[str, Any] | None:
    with duckdb.connect() as connection:
        ((text,),) = connection.execute(
            f"SELECT json_serialize_sql({literal(statement)})"
        ).fetchall()
    tree: dict[str, Any] = json.loads(text)
    return None if tree["error"] else tree


def _size_of(node: Mapping[str, Any], parameters: frozenset[str]) -> _Size:
    """Return how large the result of a node may be, all nodes below checked."""
    kind, operator = node["class"], node["type"]
    for name in (operator, kind):
        if name in _NAMES:
            raise RefusedError(f"holds {_NAMES[name]}")
    if kind not in _CLASSES or (kind == "OPERATOR" and operator not in _OPERATORS):
        raise RefusedError(f"holds {operator.lower()}, which an expression over one row may not")
    match kind:
        case "CONSTANT":
            return _Size({"": max(_SCALAR, len(_text_of(node)))})
        case "COLUMN_REF":
            return _column(node, parameters)
        case "TYPE":
            return _Size()
        case "FUNCTION":
            size = _function(node, parameters)
        case "LAMBDA":
            # `a -> 'b'` is parsed as a lambda and means the field of a JSON value.
            size = _arrow(node, parameters)
        case _:
            parts = [_size_of(each, parameters) for each in _inner(node)]
            size = _other(node, parts)
    return _bounded(size)


def _other(node: Mapping[str, Any], parts: list[_Size]) -> _Size:
    kind, operator = node["class"], node["type"]
    if kind in {"COMPARISON", "CONJUNCTION", "BETWEEN"} or operator in _SCALAR_OPERATORS:
        return _Size({"": _SCALAR})
    if kind == "CAST":
        names = set(_type_names(node))
        if "ARRAY" in names:
            problem = "casts to an array of a fixed length; cast to a list, as INTEGER[]"
            raise RefusedError(problem)
        return _Size({"": _SCALAR}) if names <= _SCALAR_TYPES else _times(_sum(parts), 4)
    if kind == "CASE" or operator in {"OPERATOR_COALESCE", "OPERATOR_NULLIF"}:
        return _largest(parts)
    return _sum(parts)


def _column(node: Mapping[str, Any], parameters: frozenset[str]) -> _Size:
    names = [str(each) for each in node["column_names"]]
    if len(names) == 1 and names[0].lower() in _SESSION:
        raise RefusedError(f"uses {names[0]}, which is not a value of the row")
    if parameters and names[0] not in parameters:
        raise RefusedError(
            f"uses the column {names[0]} in a lambda, for each element of a list; use only the "
            "element there"
        )
    return _Size({names[0]: 1})


def _type_names(node: Any) -> Iterator[str]:
    """Yield the types that a cast names, as any version of DuckDB writes them."""
    if isinstance(node, dict):
        for key, item in node.items():
            if key == "type_name" or (key == "id" and isinstance(item, str)):
                yield str(item).upper()
            elif key != "child" or node.get("class") != "CAST":
                yield from _type_names(item)
    elif isinstance(node, list):
        for item in node:
            yield from _type_names(item)


def _function(node: Mapping[str, Any], parameters: frozenset[str]) -> _Size:
    name = node["function_name"].lower()
    arguments = list(_inner(node))
    # In `name.upper()`, the column is parsed as the schema of the function.
    if node.get("schema", "") not in {"", "main"} and name not in _LAMBDAS:
        arguments = [_reference(node["schema"]), *arguments]
    _check_call(name, node, arguments)
    if name in _LAMBDAS:
        return _lambda(name, arguments, parameters)
    sizes = [_size_of(each, parameters) for each in arguments]
    if name in _SCALAR_FUNCTIONS:
        return _Size({"": _SCALAR})
    if name in _ALTERNATIVES:
        return _largest(sizes)
    if name in _PADDING:
        return _sum([*sizes, _Size({"": _UTF_8 * _padded(arguments, name)})])
    total = _sum(sizes)
    if name not in _EMPTY_STAYS_EMPTY:
        total[""] += _SCALAR
    if name in _REPEATING and len(arguments) > _REPEATING[name]:
        return _times(total, 1 + len(_constant(arguments[_REPEATING[name]], name)))
    return _times(total, _GROWTH.get(name, 1))


def _check_call(name: str, node: Mapping[str, Any], arguments: list[Mapping[str, Any]]) -> None:
    if name not in _SCALAR_FUNCTIONS | _GROWTH.keys() | _REPEATING.keys() | _PADDING:
        near = meant(name, ALLOWED_FUNCTIONS)
        raise RefusedError(
            f"calls {name}, which an expression over one row may not"
            + (f"; {near}" if near else "; docs/streams.md lists the functions that it may call")
        )
    if node.get("distinct") or node.get("filter"):
        raise RefusedError(f"calls {name} as an aggregate")
    if name == "age" and len(arguments) == 1:
        raise RefusedError("calls age with one argument, which depends on the day; give both")
    if name in _LIKES | _PATTERNS | _PATHS and len(arguments) > 1:
        _check_pattern(name, arguments[1])


def _padded(arguments: list[Mapping[str, Any]], name: str) -> int:
    """Return the length, a constant, to which a text is padded."""
    length = _constant(arguments[1], name) if len(arguments) > 1 else ""
    if not length.isdecimal() or int(length) > _MAX_PADDED:
        raise RefusedError(f"calls {name} with a length that is not a constant up to {_MAX_PADDED}")
    return int(length)


def _reference(name: str) -> Mapping[str, Any]:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": [name]}


def _lambda(name: str, arguments: list[Any], parameters: frozenset[str]) -> _Size:
    if len(arguments) != 2 or arguments[1]["class"] != "LAMBDA":  # noqa: PLR2004
        raise RefusedError(f"calls {name} without a list and a lambda")
    values, function = arguments
    of_list = _size_of(values, parameters)
    names = frozenset(str(each["column_names"][0]) for each in _references(function["lhs"]))
    of_element = _size_of(function["expr"], names)
    if "filter" in name:
        return of_list
    # Constants are in characters, and an element counts for `_SCALAR` of them.
    constants = -(-of_element.pop("", 0) // _SCALAR)
    return _times(of_list, sum(of_element.values()) + constants)


def _references(node: Any) -> Iterator[Mapping[str, Any]]:
    if node["class"] == "COLUMN_REF":
        yield node
    for each in _inner(node):
        yield from _references(each)


def _arrow(node: Mapping[str, Any], parameters: frozenset[str]) -> _Size:
    """Return the size of `a -> 'b'` or `a -> 'b' ->> 'c'`, which DuckDB parses as a lambda."""
    path = node["expr"]
    is_path = path["class"] == "CONSTANT" or (
        path["class"] in {"FUNCTION", "LAMBDA"}
        and path.get("function_name", "->") in {"->", "->>"}
        and all(each["class"] == "CONSTANT" for each in _inner(path))
    )
    if not is_path:
        problem = "holds a lambda that is not an argument of list_transform or list_filter"
        raise RefusedError(problem)
    for each in [path] if path["class"] == "CONSTANT" else _inner(path):
        _check_pattern("->", each)
    return _size_of(node["lhs"], parameters)


def _check_pattern(function: str, node: Mapping[str, Any]) -> None:
    pattern = _constant(node, function)
    is_slow = (function in _PATHS and (".." in pattern or "**" in pattern)) or (
        function in _LIKES and pattern.count("%") + pattern.count("*") > _MAX_WILDCARDS
    )
    if is_slow:
        raise RefusedError(f"holds a pattern with too many wildcards ({function})")


def _constant(node: Mapping[str, Any], function: str) -> str:
    """Return the text of a constant, or of all in a list of some."""
    if node["class"] == "CAST":
        return _constant(node["child"], function)
    if node["class"] == "FUNCTION" and node["function_name"] == "list_value":
        return " ".join(_constant(each, function) for each in _inner(node))
    if node["class"] != "CONSTANT":
        raise RefusedError(f"calls {function} with a pattern or text that is not a constant")
    return _text_of(node)


def _text_of(constant: Mapping[str, Any]) -> str:
    """Return the text of a constant, as any version of DuckDB writes it."""
    written = constant.get("literal") or constant.get("value") or {}
    text = written.get("text", written.get("value"))
    return text if isinstance(text, str) else json.dumps(text)


def _inner(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes directly below one."""
    for item in node.values():
        yield from _nodes(item)


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("class"), str):
            yield value
        else:
            for item in value.values():
                yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _sum(sizes: list[_Size]) -> _Size:
    total = _Size()
    for size in sizes:
        total.update(size)
    return total


def _largest(sizes: list[_Size]) -> _Size:
    total = _Size()
    for size in sizes:
        total |= size
    return total


def _times(size: _Size, factor: int) -> _Size:
    return _Size({name: count * factor for name, count in size.items()})


def _bounded(size: _Size) -> _Size:
    growth = max((count for name, count in size.items() if name), default=0)
    if growth > MAX_GROWTH or size[""] > _MAX_CONSTANT:
        raise RefusedError(
            f"may make a text {growth} times as long as the row's; {MAX_GROWTH} times is the limit"
            if growth > MAX_GROWTH
            else f"may make a text of more than {_MAX_CONSTANT} characters"
        )
    return size
