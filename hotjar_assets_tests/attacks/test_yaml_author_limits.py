"""Who writes the YAML of a stream makes a small file mean very much.

Aliases expand, JSONPaths visit a value many times, and names of columns replace internal ones.
`streams/checks.check_size`, `streams/values.check_path` and `streams/checks.reserved` hold.
"""

import pytest
import yaml

from hotjar_assets.errors import HotjarConfigError, HotjarSchemaError, HotjarSourceError
from hotjar_assets.streams.checks import MAX_VALUES
from hotjar_assets.streams.loading import load_source
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source
from hotjar_assets.streams.values import check_base_url, check_encoding, check_path
from hotjar_assets_tests.api.scripted_server import ScriptedServer, json_reply
from hotjar_assets_tests.streams.store import StreamStore, orders, source_of

HEAD = "name: acme\nbase_url: https://api.example.com\nstreams:\n- {name: orders, path: /o}\n"


def load(tmp_path, text):
    path = tmp_path / "acme.yaml"
    path.write_text(text)
    return load_source(path)


def levels(first, item, join):
    """Return ten levels of anchors, each ten times as large as the one before."""
    lines = [f"- &n0 {first}"]
    lines += [f"- &n{n} {item(join([f'*n{n - 1}'] * 10))}" for n in range(1, 11)]
    return "\n".join(lines)


BOMBS = {
    "lists": levels("[a]", "[{}]".format, ", ".join),
    "mappings": levels(
        "{a: b}",
        "{}".format,
        lambda names: "{" + ", ".join(f"k{n}: {name}" for n, name in enumerate(names)) + "}",
    ),
    "merges": levels("{a: b}", "{{<<: [{}]}}".format, ", ".join),
    "itself": "- &a [*a]",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_aliases_that_multiply_are_refused_before_they_are_replaced(bomb, tmp_path):
    with pytest.raises(HotjarSourceError, match="once its aliases") as caught:
        load(tmp_path, HEAD + "bomb:\n" + bomb)
    assert str(MAX_VALUES) in str(caught.value)


@pytest.mark.timeout(60)
def test_values_that_multiply_are_refused_without_a_file_too():
    """Dagster reads the YAML of a component, and hands over what the aliases stand for."""
    value: object = ["a"]
    for _ in range(10):
        value = [value] * 10
    with pytest.raises(ValueError, match="once its aliases"):
        Source.model_validate(yaml.safe_load(HEAD) | {"bomb": value})


def test_ordinary_anchors_stay(tmp_path):
    text = HEAD.replace("{name: orders, path: /o}", "&s {name: orders, path: /o, query: &q {a: 1}}")
    source = load(tmp_path, text + "- {name: others, path: /p, query: *q}\n")
    assert [stream.query for stream in source.streams] == [{"a": 1}, {"a": 1}]


def test_a_file_of_more_than_a_megabyte_is_not_parsed(tmp_path):
    with pytest.raises(HotjarSourceError, match="larger than 1 MiB"):
        load(tmp_path, HEAD + "#" * 1024**2)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "path",
    [
        "$..*..*..*",
        "$..a..b",
        "$[?@..a]",
        "$[?count(@..*) > 1]",
        "$[?match(@.a, '(a+)+')]",
        "$[?search(@.a, '(a+)+')]",
        "$[?@.a =~ /(a+)+$/]",
        "$..a & $..b",
        "$" + ".a" * 300,
        "$" + "|$.a" * 1_000_000,
    ],
)
def test_a_path_that_may_never_end_is_refused(path):
    with pytest.raises(ValueError, match=r"may never end|longer than 500|is no JSONPath"):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    ["$", "$[*]", "$..name[*]", "$.data[-1].id", "$['a..b & c'].d", "$[?@.a == 'match(x..y)']"],
)
def test_an_ordinary_path_is_taken(path):
    assert check_path(path) == path


@pytest.mark.timeout(60)
def test_a_url_of_braces_is_refused_at_once():
    with pytest.raises(ValueError, match="longer than 2000"):
        check_base_url("https://x/" + "{{" * 1_000_000)


@pytest.mark.parametrize("encoding", ["punycode", "idna", "unicode_escape", "raw-unicode-escape"])
def test_an_encoding_that_no_text_has_is_refused(encoding):
    with pytest.raises(ValueError, match="is no encoding"):
        check_encoding(encoding)


# --- Names of columns ----------------------------------------------------------------------------

INTERNAL = ["synced_at", "Synced_At", "hotjar_assets:ordinal", "HOTJAR_ASSETS:x", "a" * 2001]


@pytest.mark.parametrize("name", INTERNAL[:3])
@pytest.mark.parametrize(
    "fields",
    [
        lambda name: {"schema": {"properties": {"id": {}, name: {"type": "string"}}}},
        lambda name: {"transform": {"rename": {"id": name}}},
        lambda name: {"transform": {"constant": {name: 1}}},
        lambda name: {"transform": {"computed": {name: {"sql": "1"}}}},
        lambda name: {"metadata": {name: "$.x"}},
    ],
    ids=["schema", "rename", "constant", "computed", "metadata"],
)
def test_a_column_named_like_an_internal_one_is_refused_when_the_file_is_loaded(name, fields):
    with pytest.raises(ValueError, match=r"has (the|a) name|should match pattern"):
        source_of("https://api.example.com", orders(**fields(name)))


@pytest.mark.parametrize("name", INTERNAL, ids=lambda name: name[:22])
def test_a_field_of_the_api_named_like_an_internal_one_is_refused_with_its_reason(name, tmp_path):
    store = StreamStore(tmp_path / "rows.duckdb")
    with ScriptedServer() as api:
        api.answers_always(json_reply([{"id": 1, name: "x"}]))
        client = SourceClient(source_of(api.url, orders()))
        (error,) = store.sync(client, "orders").values()
        client.close()
    assert isinstance(error, HotjarSchemaError)
    assert "rename or drop it in transform" in str(error)
    assert len(str(error)) < 300


def test_such_a_field_can_be_renamed(tmp_path):
    store = StreamStore(tmp_path / "rows.duckdb")
    with ScriptedServer() as api:
        api.answers_always(json_reply([{"id": 1, "synced_at": "theirs"}]))
        stream = orders(transform={"rename": {"synced_at": "sent_at"}})
        client = SourceClient(source_of(api.url, stream))
        store.sync(client, "orders")
        client.close()
    assert store.query("SELECT id, sent_at FROM acme.orders") == [(1, "theirs")]


def test_a_field_named_like_a_column_of_hotjars_tables_is_an_ordinary_one(tmp_path):
    store = StreamStore(tmp_path / "rows.duckdb")
    with ScriptedServer() as api:
        api.answers_always(json_reply([{"id": 1, "deleted_at": "x", "line": 1, "t": 2, "i": 3}]))
        client = SourceClient(source_of(api.url, orders()))
        store.sync(client, "orders")
        (figures,) = store.sync(client, "orders").values()
        client.close()
    assert not isinstance(figures, Exception)
    assert figures.updated == 0
    assert store.query('SELECT deleted_at, "line", t, i FROM acme.orders') == [("x", 1, 2, 3)]


def test_a_table_of_too_many_columns_is_refused_in_the_yaml_too(tmp_path):
    properties = {f"c{n}": {"type": "string"} for n in range(300)}
    store = StreamStore(tmp_path / "rows.duckdb")
    with ScriptedServer() as api:
        api.answers_always(json_reply([{"c1": "x"}]))
        stream = {"name": "orders", "path": "/", "schema": {"properties": properties}}
        client = SourceClient(source_of(api.url, stream))
        with pytest.raises((HotjarSchemaError, HotjarConfigError), match="HOTJAR_MAX_COLUMNS is"):
            raise next(iter(store.sync(client, "orders").values()))  # type: ignore[misc]
        client.close()
