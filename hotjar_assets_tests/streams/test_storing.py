"""What is stored of a stream: rows, types, drift, and nothing of what failed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError

from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets.warehouse import Figures
from hotjar_assets.warehouse.expressions import check_expressions
from hotjar_assets_tests.api.scripted_server import ScriptedServer, error, json_reply
from hotjar_assets_tests.streams.store import Outcome, StreamStore, orders, source_of

Sync = Callable[..., Outcome]
JULY = "2026-07-01T12:00:00+02:00"


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "warehouse.duckdb")


@pytest.fixture
def sync(store: StreamStore, api: ScriptedServer, connect) -> Sync:
    """Store one answer of the endpoint, for a stream described by the fields given."""

    def synced(*records: Any, **fields: Any) -> Outcome:
        api.answers(json_reply(list(records)))
        client = connect(source_of(api.url, orders(**fields)), {})
        (outcome,) = store.sync(client, "orders").values()
        assert [sent.path for sent in api.sent[-1:]] == ["/orders"]
        return outcome

    return synced


def schema(**properties: Any) -> dict[str, Any]:
    return {"properties": {"id": {"type": "integer"}, **properties}}


def figures(outcome: Outcome) -> tuple[int, int, int]:
    assert isinstance(outcome, Figures), outcome
    return outcome.rows, outcome.new, outcome.updated


def problem(outcome: Outcome) -> str:
    assert isinstance(outcome, HotjarError), outcome
    return str(outcome)


# --- Repeating -----------------------------------------------------------------------------------


def test_two_runs_give_the_same_rows_and_write_none_again(store, sync):
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert figures(sync(*rows)) == (2, 2, 0)
    before = store.query("FROM acme.orders ORDER BY id")
    assert figures(sync(*rows)) == (2, 0, 0)
    assert store.query("FROM acme.orders ORDER BY id") == before


def test_a_changed_row_is_replaced_and_the_others_stay(store, sync):
    sync({"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    assert figures(sync({"id": 2, "name": "c"}, {"id": 3, "name": "d"})) == (3, 1, 1)
    rows = store.query("SELECT id, name FROM acme.orders ORDER BY id")
    assert rows == [(1, "a"), (2, "c"), (3, "d")]


def test_of_a_row_that_comes_twice_the_later_one_is_stored(store, sync):
    sync({"id": 1, "name": "a"}, {"id": 1, "name": "b"})
    assert store.query("SELECT id, name FROM acme.orders") == [(1, "b")]


def test_without_a_primary_key_the_table_is_replaced_whole(store, sync):
    sync({"id": 1}, {"id": 1}, primary_key=[])
    assert figures(sync({"id": 7}, primary_key=[])) == (1, 1, 0)
    assert store.query("SELECT id FROM acme.orders") == [(7,)]


def test_a_row_without_a_key_is_refused_by_its_number(store, sync):
    text = problem(sync({"id": 1}, {"id": None}))
    assert "acme.orders, row 2, column id: has no value" in text
    text = problem(sync({"ident": 1}))
    assert "acme.orders, row 1, column id: is of the primary key and no field of the record" in text
    with pytest.raises(duckdb.CatalogException):
        store.query("FROM acme.orders")


def test_a_computed_key_without_a_value_is_refused_by_its_number(sync):
    transform = {"computed": {"code": {"sql": "nullif(name, 'x')"}}}
    rows = [{"id": 1, "name": "y"}, {"id": 2, "name": "x"}]
    text = problem(sync(*rows, primary_key=["code"], transform=transform))
    assert "acme.orders: row 2 has no value in code" in text


@pytest.mark.parametrize("name", ["t", "i", "n", "select", "a b", 'a"b', "{x}", "$now", "line"])
def test_any_name_of_a_field_can_be_a_column(store, sync, name):
    sync({"id": 1, name: "x"})
    assert figures(sync({"id": 1, name: "y"}, {"id": 2, name: "z"})) == (2, 1, 1)
    quoted = name.replace('"', '""')
    assert store.query(f'SELECT "{quoted}" FROM acme.orders ORDER BY id') == [("y",), ("z",)]


def test_a_file_named_like_the_source_is_no_ambiguity(tmp_path, api, connect):
    store = StreamStore(tmp_path / "acme.duckdb")
    api.answers(json_reply([{"id": 1}]))
    store.sync(connect(source_of(api.url, orders()), {}), "orders")
    assert store.query("SELECT id FROM acme.acme.orders") == [(1,)]


# --- Failures ------------------------------------------------------------------------------------


def test_a_failure_on_the_second_page_leaves_the_table_as_it_was(store, api, connect):
    pages = {"type": "cursor", "selector": "$.next_cursor", "parameter": "cursor"}
    stream = orders(records="$.results[*]", pagination=pages)
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply({"results": [{"id": 1}], "next_cursor": None}))
    store.sync(client, "orders")
    before = store.query("FROM acme.orders")
    api.answers(json_reply({"results": [{"id": 2}], "next_cursor": "b"}), error(403))
    (outcome,) = store.sync(client, "orders").values()
    assert "403" in problem(outcome)
    assert api.sent[-1].query == {"cursor": "b"}
    assert store.query("FROM acme.orders") == before


def test_a_commit_that_fails_leaves_the_table_as_it_was(store, sync):
    sync({"id": 1, "amount": 1})
    before = store.query("FROM acme.orders")
    computed = {"computed": {"half": {"sql": "CAST(name AS INTEGER) / 2", "type": "DOUBLE"}}}
    text = problem(sync({"id": 1, "name": "7"}, {"id": 2, "name": "seven"}, transform=computed))
    assert "acme.orders: the computed column half" in text
    assert "seven" not in text
    assert store.query("FROM acme.orders") == before


# --- Types ---------------------------------------------------------------------------------------


def test_declared_types_are_those_of_the_table(store, sync):
    properties = {
        "text": {"type": ["string", "null"]},
        "seen_at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "amount": {"type": "number"},
        "open": {"type": "boolean"},
        "address": {"type": "object"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "lines": {"type": "array"},
        "whatever": {},
    }
    row = {
        "id": 1,
        "text": "x",
        "seen_at": JULY,
        "day": "2026-07-01",
        "amount": 1,
        "open": False,
        "address": {"city": "Rome", "zip": [1, 2]},
        "tags": ["a", None],
        "lines": [{"n": 1}],
        "whatever": 1.5,
    }
    sync(row, schema=schema(**properties))
    assert store.types("acme.orders") == {
        "id": "BIGINT",
        "text": "VARCHAR",
        "seen_at": "TIMESTAMP WITH TIME ZONE",
        "day": "DATE",
        "amount": "DOUBLE",
        "open": "BOOLEAN",
        "address": "JSON",
        "tags": "VARCHAR[]",
        "lines": "JSON",
        "whatever": "JSON",
        "synced_at": "TIMESTAMP WITH TIME ZONE",
    }
    (stored,) = store.query(
        "SELECT text, CAST(seen_at AS VARCHAR), CAST(day AS VARCHAR), amount, open, "
        "address, tags, lines, whatever FROM acme.orders"
    )
    assert stored[:5] == ("x", "2026-07-01 10:00:00+00", "2026-07-01", 1.0, False)
    assert json.loads(stored[5]) == row["address"]
    assert (stored[6], json.loads(stored[7]), stored[8]) == (["a", None], [{"n": 1}], "1.5")


def test_a_declared_table_is_there_before_the_first_row(store, sync):
    assert figures(sync(schema=schema(name={"type": "string"}))) == (0, 0, 0)
    assert list(store.types("acme.orders")) == ["id", "name", "synced_at"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, "secret"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 2**63),
        ({"type": "number"}, "secret"),
        ({"type": "number"}, 2**53 + 1),
        ({"type": "boolean"}, "secret"),
        ({"type": "string"}, {"secret": 1}),
        ({"type": "string", "format": "date-time"}, "secret"),
        ({"type": "string", "format": "date-time"}, 1767225600),
        ({"type": "string", "format": "date"}, JULY),
        ({"type": "array", "items": {"type": "integer"}}, ["secret"]),
        ({"type": "array", "items": {"type": "integer"}}, "secret"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_named_without_being_shown(store, sync, kind, value):
    text = problem(sync({"id": 1}, {"id": 2, "field": value}, schema=schema(field=kind)))
    assert "acme.orders, row 2, column field: is" in text
    assert "secret" not in text
    with pytest.raises(duckdb.CatalogException):
        store.query("FROM acme.orders")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "BIGINT"),
        ([1, 2.5], "DOUBLE"),
        ([2**53 + 1, 2.5], "VARCHAR"),
        ([True, None], "BOOLEAN"),
        ([True, 1], "VARCHAR"),
        ([1, "x"], "VARCHAR"),
        ([JULY, None], "TIMESTAMP WITH TIME ZONE"),
        ([JULY, "soon"], "VARCHAR"),
        (["2026-07-01 12:00:00"], "VARCHAR"),
        ([{"a": 1}, "x"], "JSON"),
        ([[1], None], "JSON"),
    ],
    ids=str,
)
def test_types_are_found_where_none_are_declared(store, sync, values, kind):
    sync(*({"id": n, "field": value} for n, value in enumerate(values)))
    assert store.types("acme.orders")["field"] == kind


@pytest.mark.parametrize(
    ("first", "second", "kind", "texts"),
    [
        (1, 2.5, "DOUBLE", ["1.0", "2.5"]),
        (1, "x", "VARCHAR", ["1", "x"]),
        (JULY, "soon", "VARCHAR", ["2026-07-01T10:00:00.000000Z", "soon"]),
        ("x", {"a": 1}, "JSON", ['"x"', '{"a":1}']),
        (None, 5, "BIGINT", [None, "5"]),
    ],
    ids=str,
)
def test_a_found_type_widens_when_a_later_value_needs_it(
    store, sync, *, first, second, kind, texts
):
    sync({"id": 1, "field": first})
    assert figures(sync({"id": 2, "field": second})) == (2, 1, 0)
    assert store.types("acme.orders")["field"] == kind
    rows = store.query("SELECT CAST(field AS VARCHAR) FROM acme.orders ORDER BY id")
    assert [text.replace('": ', '":') if text else text for (text,) in rows] == texts


def test_a_type_declared_later_is_taken_where_no_value_is_lost(store, sync):
    sync({"id": 1, "amount": 3})
    number = schema(amount={"type": "number"})
    assert figures(sync({"id": 2, "amount": 1}, schema=number)) == (2, 1, 0)
    assert store.query("SELECT amount FROM acme.orders ORDER BY id") == [(3.0,), (1.0,)]


def test_a_type_declared_later_that_would_lose_a_value_is_refused(store, sync):
    sync({"id": 1, "amount": 3.5})
    text = problem(sync({"id": 2, "amount": 1}, schema=schema(amount={"type": "integer"})))
    assert "column amount of acme.orders is DOUBLE" in text
    assert store.query("SELECT id, amount FROM acme.orders") == [(1, 3.5)]


# --- Drift ---------------------------------------------------------------------------------------


def test_evolve_adds_a_column(store, sync):
    sync({"id": 1}, schema=schema())
    sync({"id": 2, "mood": "odd"}, schema=schema())
    assert store.query("SELECT id, mood FROM acme.orders ORDER BY id") == [(1, None), (2, "odd")]


def test_a_field_that_is_gone_is_null_in_rows_that_come_again(store, sync):
    sync({"id": 1, "mood": "odd"}, {"id": 2, "mood": "even"})
    sync({"id": 1})
    assert store.query("SELECT id, mood FROM acme.orders ORDER BY id") == [(1, None), (2, "even")]


@pytest.mark.parametrize(
    "fields", [{}, {"schema": schema(mood={"type": "string"})}], ids=["found", "declared"]
)
def test_a_column_that_was_added_by_hand_keeps_its_values(store, sync, fields):
    sync({"id": 1, "mood": "odd"}, {"id": 2, "mood": "even"}, **fields)
    store.query("ALTER TABLE acme.orders ADD COLUMN note VARCHAR")
    store.query("UPDATE acme.orders SET note = 'of ' || id")
    assert figures(sync({"id": 1, "mood": "calm"}, {"id": 3, "mood": "new"}, **fields)) == (3, 1, 1)
    sync({"id": 1}, **fields)
    assert store.query("SELECT id, mood, note FROM acme.orders ORDER BY id") == [
        (1, None, "of 1"),
        (2, "even", "of 2"),
        (3, "new", None),
    ]


def test_a_field_takes_over_the_column_that_somebody_had_added_for_it(store, sync):
    sync({"id": 1}, {"id": 2})
    store.query("ALTER TABLE acme.orders ADD COLUMN note VARCHAR")
    store.query("UPDATE acme.orders SET note = 'of ' || id")
    sync({"id": 1, "note": "theirs"})
    kept = (2, "of 2")
    assert store.query("SELECT id, note FROM acme.orders ORDER BY id") == [(1, "theirs"), kept]
    sync({"id": 1})
    assert store.query("SELECT id, note FROM acme.orders ORDER BY id") == [(1, None), kept]


def test_columns_say_in_the_database_what_they_hold(store, sync):
    sync({"id": 1, "mood": "odd"}, schema=schema(id={"type": "integer", "description": "Number."}))
    comments = store.query(
        "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'acme' "
        "ORDER BY column_index LIMIT 2"
    )
    assert comments == [("id", "Number."), ("mood", "A field of the record.")]


def test_freeze_fails_and_names_the_field(store, sync):
    sync({"id": 1}, schema=schema(), unknown_fields="freeze")
    text = problem(sync({"id": 2, "mood": "odd"}, schema=schema(), unknown_fields="freeze"))
    assert "row 1: the field 'mood' is not in the schema" in text
    assert store.query("SELECT id FROM acme.orders") == [(1,)]


def test_discard_leaves_the_field_out(store, sync):
    sync({"id": 1, "mood": "odd"}, schema=schema(), unknown_fields="discard")
    assert list(store.types("acme.orders")) == ["id", "synced_at"]


def test_fields_that_differ_in_case_alone_are_refused(sync):
    assert "'Id'" in problem(sync({"id": 1, "Id": 2}))


@pytest.mark.parametrize("record", [{"id": 1, "name": "a"}, {"name": "a", "id": 1}], ids=str)
def test_a_field_renamed_to_another_of_the_record_is_refused(sync, record):
    renamed = {"primary_key": ["name"], "transform": {"rename": {"id": "name"}}}
    refused = problem(sync({"id": 2}, record, **renamed))
    assert "row 2, column name: the field" in refused
    assert refused.endswith("rename or drop one of them in transform")


def test_a_field_without_a_name_is_refused_unless_it_is_dropped(sync):
    assert "a field without a name" in problem(sync({"id": 1, "": 2}))
    assert figures(sync({"id": 1, "": 2}, transform={"drop": [""]})) == (1, 1, 0)


def test_a_field_named_as_our_own_column_is_refused(sync):
    assert "rename or drop it" in problem(sync({"id": 1, "synced_at": "x"}))


# --- Transforms ----------------------------------------------------------------------------------


def test_transforms_come_in_their_order(store, sync):
    transform = {
        "keep": ["id", "first", "last", "note"],
        "drop": ["note"],
        "rename": {"first": "given"},
        "constant": {"channel": "web", "weight": 2},
        "computed": {
            "whole": {"sql": "given || ' ' || last -- both"},
            "last": {"sql": "upper(last)"},
            "twice": {"sql": "weight * id", "type": "INTEGER"},
        },
    }
    row = {"id": 4, "first": "Ada", "last": "L", "note": "x", "secret": "y"}
    sync(row, transform=transform)
    columns = "id, given, channel, weight, whole, last, twice"
    assert store.query(f"SELECT {columns} FROM acme.orders") == [
        (4, "Ada", "web", 2, "Ada L", "L", 8)
    ]
    assert {*columns.split(", "), "synced_at"} == store.types("acme.orders").keys()
    assert store.types("acme.orders")["twice"] == "INTEGER"


@pytest.mark.parametrize(
    "sql",
    [
        "id) FROM secrets --",
        "(SELECT 1)",
        "id AS x",
        "row_number() OVER ()",
        "*",
        "$now",
        "id, id",
        "id ORDER BY 1",
        "1; DROP TABLE x",
        "id UNION ALL SELECT 2",
        "id +",
    ],
)
def test_a_computed_column_must_be_one_expression(tmp_path, sql):
    stream = orders(transform={"computed": {"total": {"sql": sql}}})
    table = StreamTable.of(source_of("https://api.example.com", stream), "orders")
    with pytest.raises(HotjarConfigError, match=r"acme\.orders: transform\.computed\.total\.sql"):
        check_expressions(table)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [("sum(id)", "total"), ("nothing + 1", '"nothing" not found'), ("name::INT", "Conversion")],
    ids=["of all rows", "no such column", "value that does not fit"],
)
def test_a_computed_column_that_no_row_has_is_named(sync, sql, reason):
    row = {"id": 1, "name": "SECRETLY"}
    text = problem(sync(row, transform={"computed": {"total": {"sql": sql}}}))
    assert "acme.orders: the computed column total" in text
    assert reason in text
    assert "SECRETLY" not in text


def test_a_type_of_a_computed_column_is_no_way_into_the_statement(api):
    computed = {"total": {"sql": "id", "type": "INTEGER) FROM secrets --"}}
    with pytest.raises(ValidationError, match="no DuckDB type"):
        source_of(api.url, orders(transform={"computed": computed}))
