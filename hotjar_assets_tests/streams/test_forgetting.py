"""`forget` in the tables of streams: rows whose `personal` columns hold the person are erased."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets_tests.api.scripted_server import json_reply
from hotjar_assets_tests.streams.store import StreamStore, orders, source_of

KEY = "a key of sixteen bytes"
ADDRESS = "bob@x.example"
PRIVACIES = {mode.value: Privacy(mode, KEY.encode()) for mode in PiiMode}
ROWS: list[dict[str, Any]] = [
    {"id": 1, "email": " Bob@X.example", "user": 42, "note": None, "more": {"tel": "0151"}},
    {"id": 2, "email": "eve@x.example", "user": 43, "note": None, "more": {"mail": [ADDRESS]}},
    {"id": 3, "email": "jimbob@x.example.au", "user": 4242, "note": "a", "more": None},
    {"id": 4, "email": "", "user": None, "note": "a", "more": None},
    {"id": 5, "email": None, "user": 0, "note": f"met {ADDRESS}", "more": None},
]
PERSONAL: dict[str, Any] = {"email": "email", "user": "id", "more.$.mail[*]": "email"}


@pytest.fixture(autouse=True)
def _without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotjar_assets.defs.models.has_dbt", lambda: False)


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "warehouse.duckdb")


def stored(store, api, mode, personal=PERSONAL, rows=ROWS):
    api.answers(json_reply(rows))
    with closing(SourceClient(source_of(api.url, orders(personal=personal)), {})) as client:
        table = StreamTable.of(client.source, "orders", PRIVACIES[mode])
        assert not StreamSync(client, table).run(store.warehouse).failed


def forget(store, mode, *args, key=KEY):
    given = {"HOTJAR_DATABASE": str(store.path), "HOTJAR_PII": mode, "HOTJAR_PII_KEY": key}
    return CliRunner().invoke(main, ["forget", *args], env=given)


def ids(store: StreamStore) -> list[int]:
    return [number for (number,) in store.query("SELECT id FROM acme.orders ORDER BY id")]


@pytest.mark.parametrize(
    ("mode", "left"),
    [("keep", [3, 4, 5]), ("hash", [3, 4, 5]), ("drop", [1, 2, 3, 4, 5])],
)
def test_rows_of_an_address_are_erased_in_each_mode(store, api, mode, left):
    stored(store, api, mode)
    shown = forget(store, mode, "--email", ADDRESS)
    assert shown.exit_code == 0
    assert ids(store) == [1, 2, 3, 4, 5]
    assert ("acme.orders (2 rows, in email, more): would be erased" in shown.stdout) is (
        mode != "drop"
    )
    result = forget(store, mode, "--email", ADDRESS.upper(), "--yes")
    assert ids(store) == left
    # What only stands in a column that is not declared is named.
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        (
            "left: acme.orders (1 row, in note): is not changed; delete the rows where they come "
            "from, then here"
        )
    ]


@pytest.mark.parametrize(("mode", "left"), [("keep", [2, 3, 4, 5]), ("hash", [2, 3, 4, 5])])
def test_rows_of_an_id_are_erased_however_short_it_is(store, api, mode, left):
    stored(store, api, mode)
    result = forget(store, mode, "--user", "42", "--yes")
    assert (result.exit_code, ids(store)) == (0, left)
    assert "acme.orders (1 row, in user): erased; what its API still has" in result.stdout


@pytest.mark.parametrize("mode", ["keep", "hash"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("user.$.id", [{"id": 42}, {"id": "42"}, {"id": 4242, "rank": 42}]),
        ("user.$.id", [[{"id": 42}], {"id": {"main": 42}}, {"id": None}]),
        ("user.$[*].id", [[{"id": 1}, {"id": 42}], [{"id": "42"}], [{"id": 1}]]),
        ("user.$[0]", [[42, 1], ["42"], [1, 42]]),
        ("user", [[1, 42], [42], [1, 4242]]),
        ("user", [["1", "42"], ["42"], ["4242"]]),
        ("user", [{"a": 42}, {"b": ["42"]}, {"42": None}]),
        ("user", [[42, "b"], "42", {"a": 1}]),
    ],
)
def test_an_id_is_found_inside_of_objects_and_arrays(store, api, mode, name, values):
    rows = [{"id": number, "user": value} for number, value in enumerate(values)]
    stored(store, api, mode, {name: "id"}, rows)
    shown = forget(store, mode, "--user", "42")
    assert (shown.exit_code, ids(store)) == (0, [0, 1, 2])
    assert "acme.orders (2 rows, in user): would be erased" in shown.stdout
    result = forget(store, mode, "--user", "42", "--yes")
    assert (result.exit_code, ids(store)) == (0, [2])
    assert "acme.orders (2 rows, in user): erased" in result.stdout


def test_a_stream_that_hashes_while_nothing_else_does_is_searched(store, api):
    personal = {"email": {"kind": "email", "mode": "hash"}}
    stored(store, api, "keep", personal, ROWS[:1])
    assert store.query("SELECT email FROM acme.orders") == [(PRIVACIES["hash"].hash(ADDRESS),)]
    result = forget(store, "keep", "--email", ADDRESS, "--yes")
    assert (result.exit_code, ids(store)) == (0, [])


def test_a_table_of_another_key_is_named(store, api):
    stored(store, api, "hash", rows=ROWS[:1])
    result = forget(store, "hash", "--email", ADDRESS, "--yes", key="another key of sixteen")
    assert result.exit_code == 1
    assert "acme.orders: was hashed under another HOTJAR_PII_KEY" in result.stderr
    assert "run `hotjar-assets streams reload acme.orders`" in result.stderr
    assert ids(store) == [1]


def test_the_file_holds_nothing_of_the_erased_rows(store, api):
    words = "MARK in his own words, longer than what is kept in a header"
    rows = [
        {"id": 1, "email": ADDRESS, "note": words},
        {"id": 2, "email": "eve@x.example", "note": "x"},
    ]
    stored(store, api, "keep", {"email": "email"}, rows)
    assert words.encode() in store.path.read_bytes()
    assert forget(store, "keep", "--email", ADDRESS, "--yes").exit_code == 0
    assert ids(store) == [2]
    assert words.encode() not in store.path.read_bytes()
    # How the table was made is still known.
    stored(store, api, "keep", {"email": "email"}, rows)
    assert ids(store) == [1, 2]


def test_a_field_named_rowid_makes_no_other_row_the_persons(store, api):
    rows = [{"id": n, "rowid": 2 - n, "email": ADDRESS if n == 0 else "e"} for n in range(3)]
    stored(store, api, "keep", {"email": "email"}, rows)
    result = forget(store, "keep", "--email", ADDRESS, "--yes")
    assert (result.exit_code, ids(store)) == (1, [0, 1, 2])
    assert "left: acme.orders (1 row, in email): is not changed" in result.stderr
