"""`streams test`, `streams schema` and `infer-schema`, as a shell would run them."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.streams.editor import source_schema
from hotjar_assets_tests.api.scripted_server import json_reply
from hotjar_assets_tests.streams.conftest import EXAMPLES
from hotjar_assets_tests.streams.servers import HELPDESK_KEY, SHOP_KEY, Helpdesk, Shop, serving


def run(*args, variables=None, stdin=None):
    result = CliRunner().invoke(main, args, env=variables, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def folder():
    """Copy the examples to where the command looks for streams."""
    shutil.copytree(EXAMPLES, "streams")
    return Path("streams")


def test_stream_is_tried_without_storing_anything(folder):
    shop = Shop()
    with serving(shop) as server:
        variables = shop.environment(server.url)
        result = run("streams", "test", "shop.orders", "--limit", "2", variables=variables)
    assert result.exit_code == 0, result.output
    (sent,) = server.sent
    assert f"GET {server.url}{sent.target}\n" in result.stdout
    assert "X-Api-Key: Key ***" in result.stdout
    assert SHOP_KEY not in result.output
    assert "EUR" in result.stdout
    assert "order_id" in result.stdout
    assert "is_large" in result.stdout
    assert "2 rows of shop.orders; nothing was stored" in result.stdout
    assert sorted(Path().iterdir()) == [folder]


def test_values_as_long_as_ids_are_printed_whole(folder):
    shop, long = Shop(), "0123456789abcdef" * 4
    with serving(shop) as server:
        variables = shop.environment(server.url)
        for order in shop.orders.values():
            order["reference_of_the_partner"] = long
        result = run("streams", "test", "shop.orders", "--limit", "1", variables=variables)
    assert long in result.stdout.split()


def test_trial_as_json_has_the_rows(folder):
    shop = Shop()
    with serving(shop) as server:
        variables = shop.environment(server.url)
        result = run("streams", "test", "orders", "--json", "--limit", "60", variables=variables)
    printed = json.loads(result.stdout)
    assert [row["order_id"] for row in printed["rows"]] == list(range(1, 61))
    assert [row["is_large"] for row in printed["rows"]] == [n * 1.5 >= 100 for n in range(1, 61)]
    assert {row["channel"] for row in printed["rows"]} == {"web"}
    assert "note" not in printed["columns"]
    assert [request["method"] for request in printed["requests"]] == ["GET", "GET"]
    assert SHOP_KEY not in result.output


def test_child_is_tried_for_the_first_parent_that_has_some(folder):
    helpdesk = Helpdesk(0)
    helpdesk.add_ticket("none")
    helpdesk.add_ticket("A/1", comments=3)
    helpdesk.add_ticket("B", comments=1)
    with serving(helpdesk) as server:
        variables = helpdesk.environment(server.url)
        result = run("streams", "test", "comments", "--json", variables=variables)
    paths = list(dict.fromkeys(sent.path for sent in server.sent))
    assert paths == [
        "/api/tickets",
        "/api/tickets/none/comments",
        "/api/tickets/A%2F1/comments",
    ]
    rows = json.loads(result.stdout)["rows"]
    assert [(row["ticket_id"], row["ticket_subject"], row["number"]) for row in rows] == [
        ("A/1", "About A/1", number) for number in (1, 2, 3)
    ]
    assert HELPDESK_KEY not in result.output


def test_request_is_shown_when_it_is_refused(folder):
    with serving(Shop()) as server:
        variables = {"SHOP_URL": server.url, "SHOP_KEY": "wrong-key"}
        result = run("streams", "test", "orders", variables=variables)
    assert result.exit_code == 1
    assert f"GET {server.url}/v1/orders?" in result.stdout
    assert "check SHOP_KEY" in result.stderr
    assert "wrong-key" not in result.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["odrers"], "odrers: no such stream; did you mean `orders`?"),
        (["zzz"], "known: helpdesk.tickets"),
        (["orders"], "SHOP_KEY: is not set"),
        (["orders", "--file", "none.yaml"], "none.yaml:1: cannot be read"),
        (["orders", "--file", "bad.yaml"], "bad.yaml:2: baseurl: unknown field; did you mean"),
        (["twins.orders", "--file", "bad.yaml"], "bad.yaml:2"),
    ],
)
def test_mistake_is_one_line_and_no_request(args, words, folder):
    Path("bad.yaml").write_text("name: bad\nbaseurl: https://x\nstreams: []\n", encoding="utf-8")
    result = run("streams", "test", *args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_expression_that_is_none_is_one_line_and_no_request(folder):
    text = (folder / "shop.yaml").read_text(encoding="utf-8").replace("total >= 100", "total >=")
    Path("bad.yaml").write_text(text, encoding="utf-8")
    with serving(shop := Shop()) as server:
        variables = shop.environment(server.url)
        result = run("streams", "test", "orders", "--file", "bad.yaml", variables=variables)
    assert (result.exit_code, server.sent) == (2, [])
    assert "shop.orders: transform.computed.is_large.sql" in result.stderr


def test_stream_that_two_sources_have_is_asked_for_by_both_names(folder):
    text = (folder / "shop.yaml").read_text(encoding="utf-8")
    (folder / "other.yml").write_text(text.replace("name: shop", "name: other", 1))
    result = run("streams", "test", "orders")
    assert result.exit_code == 2
    assert "several streams are named so: other.orders, shop.orders" in result.stderr


def test_no_folder_is_one_line():
    result = run("streams", "test", "orders")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "orders: no such stream; known: none" in result.stderr
    assert "HOTJAR_STREAMS or --file" in result.stderr


def test_folder_is_a_setting(folder):
    folder.rename("elsewhere")
    result = run("streams", "test", "orders", variables={"HOTJAR_STREAMS": "elsewhere"})
    assert "SHOP_KEY: is not set" in result.stderr


def test_schema_for_editors_is_printed():
    assert run("streams", "schema").stdout == source_schema()


def test_schema_is_inferred_from_a_file_and_from_stdin():
    body = '{"data": [{"id": 1, "at": "2026-01-31T09:00:00Z"}]}'
    Path("sample.json").write_text(body, encoding="utf-8")
    expected = (
        "schema:\n  properties:\n    id: {type: integer}\n"
        "    at: {type: string, format: date-time}\n"
    )
    assert run("infer-schema", "sample.json", "--records", "$.data[*]").stdout == expected
    assert run("infer-schema", "-", "--records", "$.data[*]", stdin=body).stdout == expected


@pytest.mark.parametrize(
    ("body", "args", "words"),
    [
        ("", [], "holds no record"),
        ("[]", [], "holds no record"),
        ("{broken", [], "at 1"),
        ('{"data": 1}', ["--records", "$.data[*]"], "mend `records`"),
        ("[1]", ["--records", "$.["], "JSONPath"),
        ("[1]", ["--format", "csv", "--records", "$[*].x"], "holds no record"),
    ],
)
def test_bad_sample_is_one_line(body, args, words):
    result = run("infer-schema", "-", *args, stdin=body)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_invalid_file_keeps_no_other_from_being_tried(folder):
    Path("streams/acme.yaml").write_text("name: acme\nbaseurl: https://x\n", encoding="utf-8")
    shop = Shop()
    with serving(shop) as server:
        result = run("streams", "test", "shop.orders", variables=shop.environment(server.url))
    assert result.exit_code == 0
    assert len(server.sent) == 1
    refused = run("streams", "test", "acme.orders")
    assert refused.exit_code == 2
    assert "invalid and left out: streams/acme.yaml:2: baseurl: unknown field" in refused.stderr


@pytest.mark.parametrize("status", [400, 422, 200])
def test_preview_shows_the_answer_that_cannot_be_used(status, folder):
    words = {"errors": [{"message": f"per_page is unknown to {SHOP_KEY}"}]}
    with serving(lambda _: json_reply(words, status, X_RateLimit_Left="7", X_Other="no")) as server:
        variables = {"SHOP_URL": server.url, "SHOP_KEY": SHOP_KEY}
        result = run("streams", "test", "shop.orders", variables=variables)
    assert result.exit_code == 1
    assert len(server.sent) == 1
    *shown, last = result.stderr.splitlines()
    assert shown == [
        f"HTTP {status}",
        "  Content-Type: application/json",
        "  X-RateLimit-Left: 7",
        '  {"errors": [{"message": "per_page is unknown to ***"}]}',
    ]
    assert "streams test" not in last


KEYED = """\
name: acme
base_url: {url}
streams:
  - name: orders
    path: /orders
    primary_key: [{key}]
    transform:
      rename: {{no: number}}
      constant: {{shop: s}}
      computed: {{both: {{sql: number + line, type: BIGINT}}}}
"""


@pytest.mark.parametrize(
    ("key", "lost"), [("number", 2), ("shop, number", 2), ("shop", 4), ("both", 0), ("line", 0)]
)
def test_preview_warns_of_a_key_that_unlike_records_share(key, lost):
    rows = [{"no": n, "line": line} for n, line in [(1, 1), (1, 2), (1, 3), (2, 4), (2, 4)]]
    with serving(lambda _: json_reply(rows)) as server:
        Path("acme.yaml").write_text(KEYED.format(url=server.url, key=key), encoding="utf-8")
        result = run("streams", "test", "orders", "--file", "acme.yaml", "--json")
    assert result.exit_code == 0
    warning = (
        "WARNING: acme.orders: records of one answer differ and have the same `primary_key`, so "
        f"that only the last of each is kept ({lost} lost); check whether it needs another field"
    )
    assert result.stderr.splitlines() == ([warning] if lost else [])


MISSPELLED = """\
name: acme
base_url: {url}
streams:
  - name: orders
    path: /orders
    primary_key: [id]
    flatten: [customer]
    incremental: {{cursor: updatedat, parameter: since}}
    transform: {{drop: [nots], rename: {{totl: amount}}}}
"""


def test_preview_warns_of_names_that_no_record_has():
    row = {"id": 1, "updated_at": "2026-01-01", "note": None, "total": 3, "customers": {"id": 4}}
    with serving(lambda _: json_reply([row])) as server:
        Path("acme.yaml").write_text(MISSPELLED.format(url=server.url), encoding="utf-8")
        result = run("streams", "test", "orders", "--file", "acme.yaml", "--json")
    assert result.exit_code == 0
    assert [(sent.path, sent.query) for sent in server.sent] == [("/orders", {})]
    assert json.loads(result.stdout)["rows"][0]["total"] == 3
    said = [
        ("a field nots, which `transform.drop` names", "note"),
        ("a field totl, which `transform.rename` names", "total"),
        (
            "a field updatedat, which `incremental.cursor` names; all is read every time",
            "updated_at",
        ),
        ("an object customer, which `flatten` names", "customers"),
    ]
    assert result.stderr.splitlines() == [
        f"WARNING: acme.orders: no record has {name}; did you mean `{hint}`?" for name, hint in said
    ]
