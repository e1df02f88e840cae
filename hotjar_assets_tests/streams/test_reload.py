"""A stream whose description changed: what fits its table, what is refused, and the reload."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.config import PiiMode
from hotjar_assets.errors import HotjarError, HotjarStoreError
from hotjar_assets.privacy import Privacy
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets_tests.api.scripted_server import error, json_reply
from hotjar_assets_tests.streams.servers import Helpdesk, serving
from hotjar_assets_tests.streams.store import StreamStore, orders, source_of

KEEP = Privacy()
HASH = Privacy(PiiMode.HASH, b"a key of sixteen bytes")
OTHER_KEY = Privacy(PiiMode.HASH, b"another key of sixteen")
DROP = Privacy(PiiMode.DROP)
ROWS = [
    {"id": 1, "code": "a", "total": 5, "email": "bob@x.example", "of": {"name": "n"}},
    {"id": 2, "code": "b", "total": 6, "email": "eve@x.example", "of": {"name": "m"}},
]
METADATA = {"metadata": {"currency": "$[0].code"}}
COMPUTED = {"transform": {"computed": {"twice": {"sql": "total * 2", "type": "BIGINT"}}}}


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "warehouse.duckdb")


def sync(store, api, privacy=KEEP, rows=ROWS, **fields):
    """Read a stream into the file, as a run does."""
    api.answers(json_reply(rows))
    with closing(SourceClient(source_of(api.url, orders(**fields)), {})) as client:
        stored = StreamSync(client, StreamTable.of(client.source, "orders", privacy)).run(
            store.warehouse
        )
    for problem in stored.failed.values():
        raise problem
    return stored


def reload(store, api, privacy=KEEP, rows=ROWS, **fields):
    """Replace a stream's table, as the command does."""
    api.answers(json_reply(rows))
    with closing(SourceClient(source_of(api.url, orders(**fields)), {})) as client:
        table = StreamTable.of(client.source, "orders", privacy)
        return StreamSync(client, table).reload(store.warehouse)


def content(store: StreamStore) -> list[tuple[Any, ...]]:
    return store.query("SELECT * EXCLUDE (synced_at) FROM acme.orders ORDER BY id")


# --- What does not fit ---------------------------------------------------------------------------

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "rename": (
        {},
        {"transform": {"rename": {"total": "amount"}}},
        "the column total is now named amount",
    ),
    "rename undone": (
        {"transform": {"rename": {"total": "amount"}}},
        {},
        "the column amount came from the field total and now comes from the field amount",
    ),
    "another field of that name": (
        {},
        {"transform": {"drop": ["code"], "rename": {"total": "code"}}},
        "the column code came from the field code and now comes from the field total",
    ),
    "key": ({}, {"primary_key": ["code"]}, r"the key was \(id\) and is now \(code\)"),
    "longer key": ({}, {"primary_key": ["id", "code"]}, r"is now \(id, code\)"),
    "no key": ({}, {"primary_key": []}, r"the key was \(id\) and is now none"),
    "flatten": ({}, {"flatten": ["of"]}, "of is now under flatten"),
    "flatten undone": ({"flatten": ["of"]}, {}, "of was under flatten"),
    "metadata": (
        METADATA,
        {"metadata": {"currency": "$[1].code"}},
        r"currency came from the path \$\[0\].code",
    ),
    "expression": (
        COMPUTED,
        {"transform": {"computed": {"twice": {"sql": "total * 3", "type": "BIGINT"}}}},
        r"twice came from the expression total \* 2",
    ),
}


@pytest.mark.parametrize(("before", "after", "words"), CHANGES.values(), ids=list(CHANGES))
def test_a_change_that_does_not_fit_is_refused_before_any_request(store, api, before, after, words):
    sync(store, api, **before)
    held = content(store)
    with pytest.raises(HotjarStoreError, match=words) as caught:
        sync(store, api, **after)
    assert "run `hotjar-assets streams reload acme.orders`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(api.sent) == 1
    assert content(store) == held
    reload(store, api, **after)
    sync(store, api, **after)
    assert store.query("SELECT count(*) FROM acme.orders") == [(2,)]


PERSONAL: dict[str, Any] = {"personal": {"email": "email"}}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((KEEP, PERSONAL), (DROP, PERSONAL), "email was kept and is now dropped"),
        ((KEEP, {}), (HASH, PERSONAL), "email was kept and is now hashed"),
        ((HASH, PERSONAL), (KEEP, PERSONAL), "email was hashed and is now kept"),
        ((HASH, PERSONAL), (OTHER_KEY, PERSONAL), "HOTJAR_PII_KEY is another"),
        (
            (HASH, PERSONAL),
            (HASH, {"personal": {"email": {"kind": "email", "mode": "drop"}}}),
            "email was hashed and is now dropped",
        ),
    ],
    ids=["keep to drop", "declared later", "hash to keep", "another key", "a mode of its own"],
)
def test_a_change_of_the_privacy_mode_leaves_nothing_in_silence(store, api, before, after, words):
    sync(store, api, before[0], **before[1])
    with pytest.raises(HotjarStoreError, match=words):
        sync(store, api, after[0], **after[1])
    assert len(api.sent) == 1
    reload(store, api, after[0], **after[1])
    (privacy, _), clear = after, [("bob@x.example",), ("eve@x.example",)]
    names = store.types("acme.orders")
    stored = store.query("SELECT email FROM acme.orders ORDER BY id") if "email" in names else []
    assert (stored == clear) is (privacy is KEEP)
    assert len(api.sent) == 2


def test_after_a_reload_under_another_mode_no_free_block_keeps_the_clear_text(store, api):
    sync(store, api, **PERSONAL)
    reload(store, api, KEEP, **PERSONAL)
    assert store.warehouse.compact() is False
    reload(store, api, HASH, **PERSONAL)
    assert store.warehouse.compact() is True
    assert b"bob@x.example" not in store.path.read_bytes()
    assert store.query("SELECT count(*) FROM acme.orders") == [(2,)]
    assert store.warehouse.compact() is False


def test_a_declared_type_that_does_not_hold_the_rows_names_the_command(store, api):
    def declared(kind: str) -> dict[str, Any]:
        properties = {"id": {"type": "integer"}, "code": {"type": kind}}
        return {"schema": {"properties": properties}, "unknown_fields": "discard"}

    sync(store, api, **declared("string"))
    rows = [{"id": 1, "code": 7}]
    with pytest.raises(HotjarStoreError, match=r"streams reload acme\.orders"):
        sync(store, api, rows=rows, **declared("integer"))
    assert content(store) == [(1, "a"), (2, "b")]
    reload(store, api, rows=rows, **declared("integer"))
    assert content(store) == [(1, 7)]


def test_a_key_that_would_be_spelled_otherwise_is_refused(store, api):
    def declared(kind: str) -> dict[str, Any]:
        return {"schema": {"properties": {"id": {"type": kind}}}, "unknown_fields": "discard"}

    sync(store, api, rows=[{"id": 1.0}], **declared("number"))
    with pytest.raises(HotjarStoreError, match="1 stored values do not survive"):
        sync(store, api, rows=[{"id": 1}], **declared("string"))
    assert content(store) == [(1.0,)]


def test_a_walk_that_began_before_a_reload_is_not_stored(store, api):
    sync(store, api)
    with closing(SourceClient(source_of(api.url, orders()), {})) as client:
        walk = StreamSync(client, StreamTable.of(client.source, "orders"))
        with store.warehouse.spool() as folder:
            api.answers(json_reply(ROWS))
            (reads,) = walk.read(walk.units(None), {}, folder)
            reload(store, api, transform={"rename": {"total": "amount"}})
            with pytest.raises(HotjarStoreError, match="amount came from the field total"):
                store.warehouse.commit_stream(walk.table, reads)
    assert "total" not in store.types("acme.orders")
    assert len(api.sent) == 3


# --- What fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    [
        {"description": "Other words."},
        {"schema": {"properties": {"id": {"type": "integer"}, "later": {"type": "string"}}}},
        {"metadata": {"currency": "$[0].code"}},
        {"transform": {"constant": {"channel": "web"}}},
        COMPUTED,
        {"transform": {"drop": ["code"]}},
        {"transform": {"rename": {"never_there": "another"}}},
        {"personal": {"email": {"kind": "email", "mode": "keep"}}},
        {"incremental": {"cursor": "total", "parameter": "since"}},
        {"query": {"all": True}},
    ],
    ids=lambda after: next(iter(after)),
)
def test_a_change_that_fits_is_taken(store, api, after):
    sync(store, api)
    sync(store, api, **after)
    assert store.query("SELECT count(*) FROM acme.orders") == [(2,)]
    assert len(api.sent) == 2


def test_a_column_that_was_left_out_keeps_its_origin(store, api):
    sync(store, api)
    sync(store, api, transform={"drop": ["code"]})
    with pytest.raises(HotjarStoreError, match="code came from the field code"):
        sync(store, api, transform={"drop": ["code"], "rename": {"total": "code"}})


@pytest.mark.parametrize(
    "after",
    [
        {"transform": {"drop": ["code"]}},
        {"transform": {"keep": ["id", "total"]}},
        {
            "schema": {"properties": {"id": {"type": "integer"}, "total": {"type": "integer"}}},
            "unknown_fields": "discard",
        },
    ],
    ids=["drop", "keep", "discard"],
)
def test_a_column_that_is_left_out_keeps_its_values_until_the_reload(store, api, after):
    sync(store, api)
    rows = [{**ROWS[0], "code": "z", "total": 9}, {"id": 3, "code": "c", "total": 7}]
    sync(store, api, rows=rows, **after)
    stored = store.query("SELECT id, code, total FROM acme.orders ORDER BY id")
    assert stored == [(1, "a", 9), (2, "b", 6), (3, None, 7)]
    reload(store, api, rows=rows, **after)
    assert "code" not in store.types("acme.orders")
    assert len(api.sent) == 3


# --- Tables of earlier releases ------------------------------------------------------------------


def forget_how_it_was_made(store: StreamStore) -> None:
    store.query("COMMENT ON TABLE acme.orders IS NULL")


def test_a_table_of_an_earlier_release_is_taken_over(store, api):
    sync(store, api)
    forget_how_it_was_made(store)
    sync(store, api)
    with pytest.raises(HotjarStoreError, match="total is now named amount"):
        sync(store, api, transform={"rename": {"total": "amount"}})
    assert len(api.sent) == 2


@pytest.mark.parametrize(
    ("privacy", "after", "words"),
    [
        (KEEP, {"primary_key": ["number"]}, "has no column number, which is of the key"),
        (KEEP, {"transform": {"rename": {"total": "amount"}}}, "total is now named amount"),
        (DROP, PERSONAL, "email was kept and is now dropped"),
    ],
    ids=["key", "rename", "clear text"],
)
def test_a_table_of_an_earlier_release_that_does_not_fit_is_refused(
    store, api, privacy, after, words
):
    sync(store, api)
    forget_how_it_was_made(store)
    with pytest.raises(HotjarStoreError, match=words):
        sync(store, api, privacy, **after)
    assert len(api.sent) == 1


# --- The reload ----------------------------------------------------------------------------------

YAML = """\
name: acme
base_url: {url}
requests_per_minute: 1000000
streams:
  - name: orders
    path: /orders
    primary_key: [id]
    pagination: {{type: page, parameter: page}}
    incremental: {{cursor: id, parameter: since}}
"""


def write(url: str, more: str = "") -> None:
    Path("streams").mkdir(exist_ok=True)
    Path("streams/acme.yaml").write_text(YAML.format(url=url) + more, encoding="utf-8")


def run(*args: str, path: Path, **variables: str):
    given = {"HOTJAR_DATABASE": str(path), **variables}
    return CliRunner().invoke(main, ["streams", "reload", *args], env=given)


def two_pages(sent):
    return json_reply({"1": ROWS[:1], "2": ROWS[1:]}.get(sent.query["page"], []))


@pytest.mark.parametrize("name", ["orders", "acme.orders", "acme/orders", "acme"])
def test_reload_reads_everything_and_replaces_the_table(store, api, name):
    sync(store, api, rows=[*ROWS, {"id": 3, "code": "gone"}])
    with serving(two_pages) as server:
        write(server.url, "    transform: {rename: {total: amount}}\n")
        result = run(name, path=store.path)
    assert (result.exit_code, result.stdout) == (0, "acme.orders: replaced by 2 rows\n")
    assert store.query("SELECT id, amount FROM acme.orders ORDER BY id") == [(1, 5), (2, 6)]
    assert "total" not in store.types("acme.orders")
    assert [sent.query for sent in server.sent] == [{"page": page} for page in ("1", "2", "3")]


def test_reload_that_fails_on_a_later_page_leaves_the_table(store, api):
    sync(store, api)
    held = content(store)
    with serving(lambda sent: two_pages(sent) if sent.query["page"] == "1" else error(400)) as bad:
        write(bad.url, "    transform: {rename: {total: amount}}\n")
        result = run("orders", path=store.path)
    assert result.exit_code == 1
    assert "acme.orders is as it was: the API did not" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert content(store) == held
    assert [sent.query["page"] for sent in bad.sent] == ["1", "2"]


def test_reload_of_nothing_leaves_the_table(store, api):
    sync(store, api)
    held = content(store)
    with pytest.raises(HotjarStoreError, match="the API gave no rows, and the table has some"):
        reload(store, api, rows=[])
    assert content(store) == held


@pytest.mark.parametrize("how", ["raise RuntimeError", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_reload_that_ends_in_the_middle_of_the_commit_leaves_the_table(store, api, how):
    sync(store, api)
    held = content(store)
    program = f"""
import os, signal, sys
from hotjar_assets.warehouse.merge import Merge
rows = Merge.rows
def stored(merge, segments):
    rows(merge, segments)
    {how}
Merge.rows = stored
from hotjar_assets.cli import main
sys.argv = ["hotjar-assets", "streams", "reload", "orders"]
main()
"""
    with serving(two_pages) as server:
        write(server.url, "    transform: {rename: {total: amount}}\n")
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={"HOTJAR_DATABASE": str(store.path), "PATH": "", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == (1 if "raise" in how else -signal.SIGKILL), ended.stderr
    assert [sent.query["page"] for sent in server.sent] == ["1", "2", "3"]
    assert content(store) == held
    reload(store, api)
    assert content(store) == held


def test_reload_of_a_source_reads_parents_and_children(store, monkeypatch):
    desk = Helpdesk(3)
    with serving(desk) as server:
        for name, value in desk.environment(server.url).items():
            monkeypatch.setenv(name, value)
        Path("streams").mkdir()
        text = Path(__file__).parents[2] / "hotjar_assets/streams/examples/helpdesk.yaml"
        Path("streams/helpdesk.yaml").write_text(text.read_text("utf-8"), encoding="utf-8")
        result = run("helpdesk", path=store.path)
        assert result.exit_code == 0, result.stderr
        desk.failing = {"T/1 é"}
        failed = run("helpdesk.comments", path=store.path)
    assert result.stdout.splitlines() == [
        "helpdesk.tickets: replaced by 3 rows",
        "helpdesk.comments: replaced by 3 rows",
    ]
    assert failed.exit_code == 1
    assert store.query("SELECT count(*) FROM helpdesk.comments") == [(3,)]


@pytest.mark.parametrize(
    ("name", "words"),
    [("odrers", "no such stream; did you mean `orders`?"), ("acme.x", "no such stream")],
)
def test_reload_of_what_is_not_there_is_one_line(store, name, words):
    write("https://api.example.com")
    result = run(name, path=store.path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_children_of_a_parent_that_does_not_fit_are_not_read(store, api):
    parent = orders(transform={"rename": {"total": "amount"}})
    child = {
        "name": "lines",
        "path": "/orders/{{ parent.id }}/lines",
        "parent": {"stream": "orders", "fields": {"order_id": "id"}},
    }
    sync(store, api)
    with closing(SourceClient(source_of(api.url, parent, child), {})) as client:
        lines = StreamSync(client, StreamTable.of(client.source, "lines"))
        with pytest.raises(HotjarError, match=r"run `hotjar-assets streams reload acme\.orders`"):
            lines.run(store.warehouse)
    assert len(api.sent) == 1
