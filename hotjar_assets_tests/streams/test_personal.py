"""`personal:` of a stream: what becomes of personal data, where it is refused, who is warned."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.config import PiiMode
from hotjar_assets.defs.streams import stream_defs
from hotjar_assets.errors import HotjarConfigError, HotjarSourceError
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.privacy import Privacy
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxAccount,
    SandboxServer,
)
from hotjar_assets.spool import SpoolWriter
from hotjar_assets.streams.loading import load_source
from hotjar_assets.streams.personal import unprotected_fields
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets_tests.api.scripted_server import Reply, json_reply
from hotjar_assets_tests.streams.conftest import example
from hotjar_assets_tests.streams.servers import serving
from hotjar_assets_tests.streams.store import StreamStore, orders, source_of

KEY = "a key of sixteen bytes"
KEEP = Privacy()
HASH = Privacy(PiiMode.HASH, KEY.encode())
DROP = Privacy(PiiMode.DROP)
ADDRESS = "Bob@x.example"
ROW = {
    "id": 1,
    "user_id": 70077,
    "email": f" {ADDRESS} ",
    "who": "Bob Brown",
    "ip": "203.0.113.9",
    "note": "call me",
    "reply": ADDRESS.lower(),
    "page": "https://s.example/p?who=bob#top",
    "attributes": {"phone": "0151 7", "plan": "pro", "more": [{"tel": "0152 8"}, {"tel": None}]},
}
PERSONAL: dict[str, Any] = {
    "user_id": "id",
    "email": "email",
    "full_name": "name",
    "ip": "ip",
    "note": "text",
    "reply": "answer",
    "page": "url",
    "attributes.$.phone": "text",
    "attributes.$.more[*].tel": "text",
}
PIECES = ("70077", "bob", "brown", "203.0", "call me", "0151", "0152")


def customers(**fields: Any) -> dict[str, Any]:
    personal = {"personal": PERSONAL, "transform": {"rename": {"who": "full_name"}}}
    return orders(**{**personal, **fields})


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "warehouse.duckdb")


def sync(store, api, connect, privacy, *records, **fields):
    """Answer one request with records and store them under a privacy mode."""
    api.answers(json_reply(list(records)))
    client = connect(source_of(api.url, customers(**fields)), {})
    table = StreamTable.of(client.source, "orders", privacy)
    return StreamSync(client, table).run(store.warehouse)


def row_of(store: StreamStore) -> dict[str, Any]:
    ((text,),) = store.query("SELECT CAST(to_json(t) AS VARCHAR) FROM acme.orders t")
    found: dict[str, Any] = json.loads(text)
    return found


# --- What is stored ------------------------------------------------------------------------------


def test_keep_stores_what_came(store, api, connect):
    assert not sync(store, api, connect, KEEP, ROW).failed
    row = row_of(store)
    assert (row["user_id"], row["full_name"]) == (70077, "Bob Brown")
    assert row["attributes"] == ROW["attributes"]
    assert [sent.path for sent in api.sent] == ["/orders"]


def test_hash_stores_the_hashes_of_the_other_tables(store, api, connect):
    assert not sync(store, api, connect, HASH, ROW).failed
    row = row_of(store)
    assert row["user_id"] == HASH.hash("70077")
    assert row["email"] == row["reply"] == HASH.hash(ADDRESS)
    assert row["full_name"] == HASH.hash("Bob Brown")
    assert row["page"] == HASH.url(ROW["page"])
    assert row["attributes"] == {
        "phone": HASH.hash("0151 7"),
        "plan": "pro",
        "more": [{"tel": HASH.hash("0152 8")}, {"tel": None}],
    }


def test_drop_stores_nothing(store, api, connect):
    assert not sync(store, api, connect, DROP, ROW).failed
    row = row_of(store)
    assert row["page"] == "https://s.example/p"
    assert row["attributes"] == {"phone": None, "plan": "pro", "more": [{"tel": None}] * 2}
    assert {row.get(name) for name in ("user_id", "email", "full_name", "ip", "note")} == {None}


def test_drop_finds_a_column_of_a_csv_after_a_byte_order_mark(store, api, connect):
    api.answers(Reply(f'\ufeff"email","id"\n"{ADDRESS}","1"\n'.encode()))
    stream = orders(personal={"email": "email"}, format="csv")
    client = connect(source_of(api.url, stream), {})
    table = StreamTable.of(client.source, "orders", DROP)
    assert not StreamSync(client, table).run(store.warehouse).failed
    row = row_of(store)
    assert (row["id"], row.get("email")) == ("1", None)
    assert ADDRESS.encode() not in store.path.read_bytes()


@pytest.mark.parametrize("privacy", [HASH, DROP], ids=["hash", "drop"])
def test_the_spool_holds_no_personal_value(store, api, connect, privacy, monkeypatch):
    spooled: list[bytes] = []
    append = SpoolWriter.append

    def noted(writer: SpoolWriter, lines: bytes, rows: int, *more: Any) -> None:
        spooled.append(bytes(lines))
        append(writer, lines, rows, *more)

    monkeypatch.setattr(SpoolWriter, "append", noted)
    assert not sync(store, api, connect, privacy, ROW).failed
    text = b"".join(spooled).decode().lower()
    assert '"plan": "pro"' in text
    assert [piece for piece in PIECES if piece in text] == []
    assert [piece for piece in PIECES if piece.encode() in store.path.read_bytes().lower()] == []


def test_a_mode_of_its_own_wins(store, api, connect):
    personal = {
        "email": {"kind": "email", "mode": "drop"},
        "note": {"kind": "text", "mode": "keep"},
        "user_id": "id",
    }
    assert not sync(store, api, connect, HASH, ROW, personal=personal).failed
    row = row_of(store)
    assert (row.get("email"), row["note"]) == (None, "call me")
    assert row["user_id"] == HASH.hash("70077")


@pytest.mark.parametrize("value", [7, "7", 7.0], ids=["number", "text", "decimal"])
def test_a_declared_id_has_one_hash_however_it_comes(store, api, connect, value):
    properties = {"id": {"type": "integer"}, "user_id": {"type": "integer"}}
    declared = {"schema": {"properties": properties}, "personal": {"user_id": "id"}}
    row: dict[str, Any] = {"id": 1, "user_id": value}
    assert not sync(store, api, connect, HASH, row, **declared, transform={}).failed
    assert row_of(store)["user_id"] == HASH.hash("7")
    assert store.types("acme.orders")["user_id"] == "VARCHAR"


def test_a_hashed_key_still_merges(store, api, connect):
    personal: dict[str, Any] = {"personal": {"id": "id"}, "transform": {}}
    assert not sync(store, api, connect, HASH, {"id": 1, "total": 5}, **personal).failed
    assert not sync(store, api, connect, HASH, {"id": 1, "total": 6}, **personal).failed
    assert store.query("SELECT id, total FROM acme.orders") == [(HASH.hash("1"), 6)]


def test_what_is_not_as_the_path_expects_is_replaced_whole(store, api, connect):
    rows: list[dict[str, Any]] = [
        {"id": 1, "a": "phone 0151 7"},
        {"id": 2, "a": [{"phone": "0151 7"}]},
        {"id": 3, "a": {"phone": {"home": "0151 7"}}},
    ]
    personal = {"a.$.phone": "text"}
    assert not sync(store, api, connect, HASH, *rows, personal=personal, transform={}).failed
    found = store.query("SELECT CAST(a AS VARCHAR) FROM acme.orders ORDER BY id")
    hashed = HASH.hash("0151 7")
    assert [json.loads(text) for (text,) in found] == [
        HASH.hash("phone 0151 7"),
        [{"phone": hashed}],
        {"phone": {"home": hashed}},
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("[0].email", {"email": "B"}),
        ("[-1]", {"a": "B", "c": [{"d": "B"}]}),
        (".a[0]", {"a": {"email": "B"}, "n": "N"}),
        ("[*].email", {"email": {"of": "B"}, "n": {"x": "N"}}),
        ("[*].email", {"email": ["B"], "n": {"x": "N"}}),
        ("[*][*].email", {"email": {"of": {"work": "B"}}}),
        ("[*][*].email", {"a": {"email": {"x": "B"}}}),
        # What a path does select is all that is replaced.
        (".*.email", {"a": {"email": "B", "n": "N"}}),
        (".*[0]", {"a": ["B", "N"]}),
        (".*.*[0]", {"a": {"b": ["B", "N"]}}),
    ],
)
def test_an_object_in_place_of_an_array_is_replaced(store, api, connect, path, value):
    fields: dict[str, Any] = {"personal": {f"c.${path}": "text"}, "transform": {}}
    assert not sync(store, api, connect, HASH, {"id": 1, "c": value}, **fields).failed
    ((text,),) = store.query("SELECT CAST(to_json(c) AS VARCHAR) FROM acme.orders")
    hashed = json.dumps(value).replace('"B"', json.dumps(HASH.hash("B")))
    assert json.loads(text) == json.loads(hashed)


def test_what_is_computed_is_computed_of_what_is_stored(store, api, connect):
    transform = {"computed": {"who_else": {"sql": "upper(email)"}}}
    personal = {"email": "email"}
    outcome = sync(store, api, connect, HASH, ROW, personal=personal, transform=transform)
    assert not outcome.failed
    assert row_of(store)["who_else"] == HASH.hash(ADDRESS).upper()


# --- Parents -------------------------------------------------------------------------------------


def family(url: str, **child: Any):
    parent = {"name": "users", "path": "/users", "primary_key": ["id"], "personal": {"id": "id"}}
    visits = {
        "name": "visits",
        "path": "/users/{{ parent.id }}/visits",
        "primary_key": ["number"],
        "parent": {"stream": "users", "fields": {"user_id": "id"}},
        **child,
    }
    return source_of(url, parent, visits)


def test_children_are_asked_for_by_clear_text_and_inherit_the_hash(store, connect):
    def answer(sent):
        is_users = sent.path == "/users"
        return json_reply([{"id": "u-1"}, {"id": "u-2"}] if is_users else [{"number": 1}])

    with serving(answer) as server:
        client = connect(family(server.url), {})
        for name in ("users", "visits", "visits"):
            table = StreamTable.of(client.source, name, HASH)
            assert not StreamSync(client, table).run(store.warehouse).failed
    hashes = sorted(HASH.hash(each) for each in ("u-1", "u-2"))
    assert [row[0] for row in store.query("SELECT id FROM acme.users ORDER BY 1")] == hashes
    assert [row[0] for row in store.query("SELECT user_id FROM acme.visits ORDER BY 1")] == hashes
    reads = ["/users", "/users/u-1/visits", "/users/u-2/visits"]
    assert sorted(sent.path for sent in server.sent) == sorted(["/users", *reads, *reads])


@pytest.mark.parametrize(
    ("personal", "mode"),
    [
        ({"user.$.contact": "text"}, "hash"),
        ({"user": "text"}, "hash"),
        ({"user.$['contact'].email": "email"}, "hash"),
        ({"user.$.*.email": "email"}, "hash"),
        ({"user.$[*]": "text"}, "hash"),
        ({"user.$.contact.email.address": "email"}, "hash"),
        ({"user.$.contact.name": "name", "user.$.contacts.email": "email"}, "keep"),
        ({"user": {"kind": "text", "mode": "keep"}, "user.$.contact.email": "email"}, "hash"),
        ({"user.$.contact.email": {"kind": "email", "mode": "drop"}, "user": "text"}, "drop"),
        ({"user": {"kind": "text", "mode": "drop"}, "user.$.contact.email": "email"}, "drop"),
        ({"user.$.contact.email": "url", "user.$.contact": "text"}, "hash"),
    ],
)
def test_a_child_inherits_whatever_path_selects_its_field(store, connect, personal, mode):
    record = {"id": 1, "user": {"contact": {"email": ADDRESS, "name": "Bob"}}}

    def answer(sent):
        return json_reply([record] if sent.path == "/users" else [{"number": 7}])

    users = {"name": "users", "path": "/users", "primary_key": ["id"], "personal": personal}
    parent = {"stream": "users", "fields": {"user_id": "id", "mail": "user.contact.email"}}
    visits = {"name": "visits", "path": "/users/{{ parent.id }}/visits", "parent": parent}
    with serving(answer) as server:
        client = connect(source_of(server.url, users, {**visits, "primary_key": ["number"]}), {})
        for name in ("users", "visits"):
            table = StreamTable.of(client.source, name, HASH)
            assert not StreamSync(client, table).run(store.warehouse).failed
    stored = {"keep": ADDRESS, "hash": HASH.hash(ADDRESS), "drop": None}[mode]
    row = json.loads(store.query("SELECT CAST(to_json(t) AS VARCHAR) FROM acme.visits t")[0][0])
    assert (row["user_id"], row["number"], row.get("mail")) == (1, 7, stored)
    assert {sent.path for sent in server.sent} == {"/users", "/users/1/visits"}
    ((text,),) = store.query("SELECT CAST(to_json(t) AS VARCHAR) FROM acme.users t")
    assert (ADDRESS in text) is (mode == "keep")


# --- What is refused -----------------------------------------------------------------------------

YAML = """\
name: acme
base_url: https://api.example.com
streams:
  - name: orders
    path: /orders
    primary_key: [id]
    incremental: {cursor: at, parameter: since}
    schema:
      properties:
        id: {type: string}
        at: {type: string, format: date-time}
        mail: {type: string}
        more: {type: object}
    transform:
      drop: [more]
      rename: {mail: email}
      computed: {upper_email: {sql: upper(email)}}
    personal: PERSONAL
"""


@pytest.mark.parametrize(
    ("personal", "words"),
    [
        ("{emial: email}", "there is no column emial; did you mean `email`?"),
        ("{mail: email}", "is renamed; write email"),
        ("{more: text}", "there is no column more"),
        ("{upper_email: email}", "name the columns that it is computed from"),
        ("{email.$.a: email}", "email is not JSON and has nothing inside"),
        ("{email.$..a: email}", "has names, [0] and [*] alone"),
        ("{id: {kind: id, mode: drop}}", "is of the primary key"),
        ("{at: {kind: text, mode: hash}}", "tells what is new"),
        ("{email: emial}", "must be one of id, email, name, text, ip, answer, url"),
        ("{email: {kind: email, mode: dropp}}", "did you mean `drop`?"),
        ("{email: {kind: email, mdoe: drop}}", "unknown field; did you mean `mode`?"),
    ],
)
def test_a_mistake_has_its_line(personal, words):
    with pytest.raises(HotjarSourceError) as caught:
        load_source(Path("acme.yaml"), YAML.replace("PERSONAL", personal))
    assert words in str(caught.value)
    assert "acme.yaml:18: streams[orders].personal" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "privacy", "words"),
    [
        ({"personal": {"id": "id"}}, DROP, "HOTJAR_PII=drop would drop id: it is of the key"),
        (
            {"personal": {"at": "text"}, "incremental": {"cursor": "at", "parameter": "since"}},
            DROP,
            "HOTJAR_PII=drop would drop at: it tells what is new",
        ),
        (
            {"personal": {"email": {"kind": "email", "mode": "hash"}}},
            KEEP,
            "HOTJAR_PII_KEY: is not set; acme.orders hashes email",
        ),
    ],
    ids=["key", "cursor", "no key to hash with"],
)
def test_a_mode_that_cannot_be_is_refused_before_any_request(tmp_path, api, fields, privacy, words):
    client = SourceClient(source_of(api.url, orders(**fields)), {})
    table = StreamTable.of(client.source, "orders", privacy)
    with pytest.raises(HotjarConfigError, match=words), closing(client):
        StreamSync(client, table).run(StreamStore(tmp_path / "warehouse.duckdb").warehouse)
    assert api.sent == []


def test_a_key_without_a_mode_may_be_kept_or_hashed(store, api, connect):
    personal = {"id": {"kind": "id", "mode": "keep"}}
    assert not sync(store, api, connect, DROP, {"id": 1}, personal=personal, transform={}).failed
    assert row_of(store)["id"] == 1


# --- Commands ------------------------------------------------------------------------------------


def preview(server, personal: str, **variables: str):
    text = f"name: acme\nbase_url: {server.url}\nstreams:\n  - {{name: orders, path: /orders"
    Path("acme.yaml").write_text(f"{text}, primary_key: [id]{personal}}}\n", encoding="utf-8")
    args = ("streams", "test", "orders", "--file", "acme.yaml", "--json")
    return CliRunner().invoke(main, args, env=variables)


def test_preview_shows_what_would_be_stored():
    with serving(lambda _: json_reply([{"id": 1, "email": ADDRESS}])) as server:
        result = preview(server, ", personal: {email: email}", HOTJAR_PII="drop")
        assert json.loads(result.stdout)["rows"] == [{"id": 1}]
        hashed = preview(
            server, ", personal: {email: email}", HOTJAR_PII="hash", HOTJAR_PII_KEY=KEY
        )
        assert json.loads(hashed.stdout)["rows"] == [{"id": 1, "email": HASH.hash(ADDRESS)}]
        refused = preview(server, ", personal: {email: {kind: email, mode: hash}}")
    assert refused.exit_code == 2
    assert "HOTJAR_PII_KEY: is not set" in refused.stderr
    assert (result.stderr, len(server.sent)) == ("", 2)


def test_preview_warns_of_fields_that_seem_personal():
    row = {"id": 1, "customerEmail": "a", "file_name": "b", "tags": [{"phone": 1}], "zip": 2}
    with serving(lambda _: json_reply([row])) as server:
        result = preview(server, "")
        silent = preview(server, ", personal: {}")
    assert result.stderr.splitlines() == [
        (
            "WARNING: acme.orders: customerEmail, tags.$[*].phone may hold personal data, which "
            "HOTJAR_PII does not reach; name the columns under `personal`, or write `personal: {}` "
            "if there is none"
        )
    ]
    assert (result.exit_code, silent.exit_code, silent.stderr) == (0, 0, "")
    assert [sent.path for sent in server.sent] == ["/orders", "/orders"]


def test_preview_warns_of_a_personal_column_that_no_record_has():
    with serving(lambda _: json_reply([{"id": 1, "e_mail": "a"}])) as server:
        result = preview(server, ", personal: {email: email}")
    assert "no record has a field email, which `personal` names; did you mean `e_mail`?" in (
        result.stderr
    )
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("of.$.fone", "; did you mean `of.$.phone`?"),
        ("of.$.list[*].ipp", "; did you mean `of.$.list[*].ip`?"),
        ("of.$.phone", None),
        ("of.$.list[*].ip", None),
        ("empty.$.phone", None),
        ("none.$.phone", None),
    ],
)
def test_preview_warns_of_a_personal_path_that_no_record_has(path, hint):
    row = {"id": 1, "of": {"phone": 1, "list": [{"ip": 2}]}, "empty": {}, "none": None}
    with serving(lambda _: json_reply([row])) as server:
        result = preview(server, f", personal: {{'{path}': id}}")
    warning = f"WARNING: acme.orders: no record has a value at {path}, which `personal` names{hint}"
    assert result.stderr.splitlines() == ([] if hint is None else [warning])
    assert (result.exit_code, len(server.sent)) == (0, 1)


@pytest.mark.parametrize(
    ("personal", "named"), [({"email": "email"}, []), (None, ["email", "user"])], ids=["yes", "no"]
)
def test_no_warning_of_what_a_child_inherits(personal, named):
    above = orders(**({} if personal is None else {"personal": personal}))
    fields = {"user": "email", "email": "email", "order_id": "id"}
    parent = {"stream": "orders", "fields": fields}
    below = {"name": "lines", "path": "/lines/{{ parent.id }}", "parent": parent}
    source = source_of("https://api.example.com", above, below)
    assert sorted(unprotected_fields(source, source.streams[1], ["email"])) == named
    assert unprotected_fields(source, source.streams[1], ["phone"])[0] == "phone"


@pytest.mark.parametrize(
    ("name", "seems_personal"),
    [
        *((name, True) for name in ("email", "e-mail", "workEmail", "user_id", "userId", "ip")),
        *((name, True) for name in ("ip_address", "name", "first_name", "lastName", "phone")),
        *((name, True) for name in ("phone_number", "user", "customer", "date_of_birth")),
        *((name, False) for name in ("id", "file_name", "product_name", "user_count", "zip")),
        *((name, False) for name in ("description", "tip", "total", "emails_sent", "shipped")),
    ],
)
def test_names_that_seem_personal(name, seems_personal):
    source = source_of("https://api.example.com", orders())
    assert unprotected_fields(source, source.streams[0], [name]) == (
        [name] if seems_personal else []
    )


def test_check_warns_and_refuses(monkeypatch):
    Path("streams").mkdir()
    text = YAML.replace("    personal: PERSONAL\n", "")
    Path("streams/acme.yaml").write_text(text, encoding="utf-8")
    keyed = YAML.replace("PERSONAL", "{id: id}").replace("name: acme", "name: keyed")
    Path("streams/keyed.yaml").write_text(keyed, encoding="utf-8")
    result = CliRunner().invoke(main, ["check"], env={"HOTJAR_SANDBOX": "1", "HOTJAR_PII": "drop"})
    lines = result.stdout.splitlines()
    assert "ok      streams streams/acme.yaml" in lines
    assert [line for line in lines if line.startswith("warning acme.orders: mail may hold")]
    (failed,) = [line for line in lines if line.startswith("failed  streams ")]
    assert "keyed.yaml: keyed.orders: HOTJAR_PII=drop would drop id: it is of the key" in failed
    assert result.exit_code == 1


# --- Dagster and the examples --------------------------------------------------------------------


def materialized(source, tmp_path, job):
    database = tmp_path / "warehouse.duckdb"
    defs = dg.Definitions.merge(
        stream_defs(source, io_manager_key="io_manager"),
        dg.Definitions(resources={"io_manager": HotjarDuckDBIOManager(database=str(database))}),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(job).execute_in_process(instance=instance)
    return defs, result


@pytest.mark.parametrize("mode", ["keep", "hash", "drop"])
def test_the_hotjar_example_stores_what_the_built_in_tables_do(tmp_path, monkeypatch, mode):
    account = SandboxAccount.empty()
    survey_id = account.add_survey("One")
    question = account.survey(survey_id)["questions"][0]["id"]
    account.add_responses(
        survey_id,
        hotjar_user_id="user-70077",
        response_origin_url="https://s.example/p?e=bob%40x.example",
        user_attributes=[{"name": "phone", "value": "0151 7"}],
        answers=[{"question_id": question, "answer": ADDRESS, "comment": "call me"}],
    )
    privacy = Privacy(PiiMode(mode), KEY.encode())
    with SandboxServer(account) as server:
        for name, value in {
            "HOTJAR_API_URL": server.url,
            "HOTJAR_SITE_ID": SANDBOX_SITE_ID,
            "HOTJAR_CLIENT_ID": SANDBOX_CLIENT_ID,
            "HOTJAR_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
            "HOTJAR_PII": mode,
            "HOTJAR_PII_KEY": KEY,
        }.items():
            monkeypatch.setenv(name, value)
        _, result = materialized(example("hotjar"), tmp_path, "hotjar_streams_job")
    assert result.success
    store = StreamStore(tmp_path / "warehouse.duckdb")
    (row,) = store.query(
        "SELECT hotjar_user_id, response_origin_url, user_attributes ->> '$[0].value', "
        "user_attributes ->> '$[0].name', answers ->> '$[0].answer', answers ->> '$[0].comment' "
        "FROM hotjar_streams.survey_responses"
    )
    url = "https://s.example/p?e=bob%40x.example"
    expected = {
        "keep": ("user-70077", url, "0151 7", "phone", ADDRESS, "call me"),
        "hash": (
            privacy.hash("user-70077"),
            privacy.url(url),
            privacy.hash("0151 7"),
            "phone",
            privacy.hash(ADDRESS),
            "call me",
        ),
        "drop": (None, "https://s.example/p", None, "phone", None, "call me"),
    }
    assert row == expected[mode]


def test_personal_columns_are_tagged(tmp_path, monkeypatch):
    row = {"id": 1, "email": ADDRESS, "total": 3}
    with serving(lambda _: json_reply([row])) as server:
        schema = {"properties": {"id": {"type": "integer"}, "email": {"type": "string"}}}
        computed = {"domain": {"sql": "split_part(email, '@', 2)"}}
        stream = orders(
            schema=schema, personal={"email": "email"}, transform={"computed": computed}
        )
        source = source_of(server.url, stream)
        defs, result = materialized(source, tmp_path, "acme_job")
    node = defs.resolve_asset_graph().get(dg.AssetKey(["acme", "orders"]))
    assert "personal_data" in node.tags
    (event,) = result.get_asset_materialization_events()
    found = event.materialization.metadata["dagster/column_schema"].value
    for columns in (node.metadata["dagster/column_schema"].columns, found.columns):
        tagged = {column.name for column in columns if "personal_data" in column.tags}
        assert tagged == {"email", "domain"}
    plain = source_of("https://api.example.com", orders())
    assert "personal_data" not in materialized_tags(plain)


def materialized_tags(source):
    defs = stream_defs(source, io_manager_key="io_manager")
    return defs.resolve_asset_graph().get(dg.AssetKey(["acme", "orders"])).tags


def test_tables_with_another_mode_are_other_tables():
    source = source_of("https://api.example.com", customers())
    table = StreamTable.of(source, "orders", HASH)
    assert table.protect("note", "x") == HASH.hash("x")
    assert replace(table, privacy=DROP).protect("note", "x") is None
    assert table.in_clear.protect("note", "x") == "x"
