"""Who writes the YAML of a stream computes a column that reads, waits, or becomes very large.

`warehouse/row_expressions` holds: it lists what an expression over one row may use, and refuses
one whose result may be many times as long as the row.
"""

from pathlib import Path

import duckdb
import pytest

from hotjar_assets.warehouse import row_expressions
from hotjar_assets.warehouse.row_expressions import ALLOWED_FUNCTIONS, problem_of

ALLOWED = """
total >= 100
first || ' ' || last -- both
data ->> '$.a.b'
data -> 'a' ->> 'b'
json_extract_string(data, '$.x[*]')
CASE WHEN a > 1 THEN 'x' WHEN b IS NULL THEN a ELSE b END
coalesce(a, b, 'none')
list_transform(l, lambda x: x + 1)
[x for x in l if x > 1]
extract(year FROM d)
a BETWEEN 1 AND 2 AND c NOT IN ('x', 'y')
a NOT LIKE '%x%'
regexp_replace(a, '[^0-9]', '', 'g')
replace(a, ',', '.')::DOUBLE
string_split(a, ',')[1]
name.upper()
date_trunc('month', d) + INTERVAL 1 DAY
strftime(d, '%Y-%m')
to_timestamp(created / 1000)
TRY_CAST(a AS DECIMAL(18, 2))
(a ->> '$.x')::TIMESTAMPTZ AT TIME ZONE 'UTC'
{'a': a, 'b': [b, 1]}
md5(lower(trim(email)))
concat_ws(' ', a, b)
json_object('a', a)
a || b || c || d || e || f || g || h || i || j || k || l || m || n || o || p || q || r || s
"""

REFUSED = {
    "more rows": "unnest(l)",
    "more rows of a list": "generate_subscripts(l, 1)",
    "the query": "current_query()",
    "the query without brackets": "current_query",
    "the user": "current_user",
    "a setting": "current_setting('secret')",
    "the environment": "getenv('HOME')",
    "a variable": "getvariable('x')",
    "a file": "read_text('/etc/passwd')",
    "a sequence": "nextval('s')",
    "a query in a text": "json_execute_serialized_sql(a)",
    "the log": "write_log('x')",
    "sleep": "sleep_ms(100000)",
    "sleep as in PostgreSQL": "pg_sleep(100)",
    "chance": "random()",
    "an id": "gen_random_uuid()",
    "the time": "now()",
    "the day": "current_date",
    "repeat": "repeat('x', 1000000000)",
    "repeat in others": "upper(trim(repeat('x', 1000000000)))",
    "repeat by its column": "name.repeat(1000000000)",
    "repeat in a condition": "CASE WHEN length(repeat('x', 1000000000)) > 1 THEN 1 END",
    "padding": "lpad(a, 1000000000, 'x')",
    "a width": "printf('%1000000000d', a)",
    "a width in braces": "format('{:1000000000}', a)",
    "a bar": "bar(a, 0, 1, 1000000000)",
    "a range": "range(1000000000)",
    "a series": "generate_series(1, 1000000000)",
    "a size": "list_resize(l, 1000000000)",
    "a bit string": "bitstring('1', 1000000000)",
    "an array": "NULL::INTEGER[100000]",
    "arrays of arrays": "[]::VARCHAR[1000][1000]",
    "doubling by a reduction": "list_reduce(l, lambda x, y: x || x || y)",
    "the row for each element": "list_transform(l, lambda x: text)",
    "the list for each element": "list_transform(l, lambda x: l)",
    "the element for each element": "list_transform(l, lambda x: [y || x for y in x])",
    "a long text for each element": f"list_transform(l, lambda x: '{'x' * 500}')",
    "itself, seventeen times": " || ".join(["a"] * 17),
    "itself, in a list": f"[{', '.join(['a'] * 17)}]",
    "longer replacements": "replace(replace(a, 'x', 'xxxxx'), 'x', 'xxxxx')",
    "a replacement of nothing": f"regexp_replace(a, '', '{'x' * 40}', 'g')",
    "a replacement from a column": "replace(a, 'x', b)",
    "a separator from a column": "array_to_string(l, a)",
    "escapes of escapes": "to_json(to_json(to_json(a)::VARCHAR)::VARCHAR)",
    "all values below": "json_extract(data, '$..*')",
    "all values below, by an arrow": "data ->> '$..*'",
    "a path from a column": "data ->> path",
    "a pattern from a column": "a LIKE b",
    "a regular expression from a column": "regexp_matches(a, b)",
    "a pattern of many wildcards": "a LIKE '%a_%a_%a_%a_%a_%b'",
    "a distance": "levenshtein(a, b)",
    "an aggregate": "sum(a)",
    "a filtered aggregate": "max(a) FILTER (b)",
    "a window": "row_number() OVER ()",
    "a query": "(SELECT 1)",
    "a query in a list": "a IN (SELECT 1)",
    "any": "a = ANY([1])",
    "a star": "COLUMNS(*)",
    "a star by pattern": "COLUMNS('a')",
    "a spread star": "coalesce(*COLUMNS(*))",
    "a number of a column": "#1",
    "a parameter": "?",
    "deep brackets": "(" * 3000 + "1" + ")" * 3000,
    "a long expression": "a" + " + a" * 2000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sql", ALLOWED.strip().splitlines())
def test_what_a_row_needs_is_allowed(sql):
    assert problem_of(sql) is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
def test_what_needs_more_than_the_row_is_refused(sql):
    assert problem_of(sql)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("uper(a)", "calls uper, which an expression over one row may not; did you mean `upper`?"),
        ("sleep_us(1)", "calls sleep_us, which an expression over one row may not"),
        ("a || replace(b, 'x', 'twenty characters...')", "21 times as long as the row's; 16"),
        ("list_transform(l, lambda x: other)", "uses the column other in a lambda"),
    ],
)
def test_a_refusal_names_what_it_is_about(sql, problem):
    assert problem in str(problem_of(sql))


@pytest.fixture(scope="module")
def functions():
    """Every function of this DuckDB, and whether it gives the same for the same arguments."""
    with duckdb.connect() as connection:
        return connection.execute(
            "SELECT function_name, function_type, list(DISTINCT stability), "
            "list(DISTINCT return_type) FROM duckdb_functions() GROUP BY ALL"
        ).fetchall()


def test_no_allowed_function_gives_another_value_each_time(functions):
    unstable = {
        name for name, _, stability, _ in functions if {"VOLATILE"} & set(map(str, stability))
    }
    assert not unstable & set(ALLOWED_FUNCTIONS)


def test_no_allowed_function_is_an_aggregate_or_a_table(functions):
    kinds: dict[str, set[str]] = {}
    for name, kind, *_ in functions:
        kinds.setdefault(name, set()).add(kind)
    wrong = {
        name
        for name in ALLOWED_FUNCTIONS
        if kinds.get(name, {"scalar"}) & {"table", "table_macro", "pragma"}
    }
    assert not wrong


def test_the_docs_list_what_is_allowed():
    docs = Path(__file__).parents[2] / "docs" / "streams.md"
    listed = docs.read_text().split("<!-- functions -->")[1].split("<!-- end of functions -->")[0]
    assert tuple(listed.replace("`", "").replace(",", " ").split()) == ALLOWED_FUNCTIONS


def test_the_size_that_is_foretold_is_not_exceeded():
    """Every allowed expression over one text, on texts that make the most of it."""
    texts = ["x" * 1000, "," * 1000, '"' * 1000, "\u00df" * 500, "\x01" * 1000, "[1,2,3]"]
    columns = ["upper(t)", "hex(t)", "to_base64(encode(t))", "url_encode(t)", "to_json(t)"]
    columns += ["replace(t, 'x', 'xxxx')", "regexp_replace(t, '', 'y', 'g')", "t || t || t"]
    columns += ["json_object('a', t)", "string_split(t, ',')", "concat_ws('--', t, t)"]
    with duckdb.connect() as connection:
        for sql in columns:
            assert problem_of(sql) is None
            tree = row_expressions._only_expression(f"SELECT {sql}")
            size = row_expressions._size_of(tree, frozenset())
            for text in texts:
                row = connection.execute(f"SELECT {sql} FROM (SELECT $1 AS t)", [text]).fetchone()
                assert row is not None
                length = len("".join(row[0]).encode())
                assert length <= size["t"] * len(text.encode()) + size[""], (sql, text[:5])


@pytest.mark.parametrize(
    "sql",
    [
        "list_select([t], [1, 1, 1, 1])",
        "json_extract_path(t, '$..*')",
        "json_extract_path_text(t, '$..*')",
        "json_keys(t, '$..*')",
        "rpad(t, 1000000000, '0')",
        "lpad(t, length(t), '0')",
        "list_transform(string_split(t, ','), lambda e: lpad(e, 900))",
        "age(d)",
        "user",
        "rowid",
    ],
)
def test_what_repeats_or_depends_on_the_session_is_refused(sql):
    assert problem_of(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "replace(lower(t), '&', ' and ')",
        "regexp_replace(lower(strip_accents(trim(t))), '[^a-z0-9]+', '-', 'g')",
        "list_transform(string_split(t, ','), lambda e: trim(lower(e)))",
        "array_to_string(list_transform(tags, lambda e: lower(e.name)), ', ')",
        "lpad(t, 5, '0')",
        "age(a, b)",
    ],
)
def test_what_cleans_text_is_allowed(sql):
    assert problem_of(sql) is None
