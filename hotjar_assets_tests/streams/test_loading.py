"""Every kind of bad YAML is answered with one line: the file, the line, the field and the fix."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest
from pydantic import BaseModel

from hotjar_assets.errors import HotjarConfigError, HotjarSourceError
from hotjar_assets.streams.authentication import advice_of
from hotjar_assets.streams.loading import load_folder, load_source
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import (
    ApiKey,
    Basic,
    Bearer,
    CursorPagination,
    Incremental,
    LinkPagination,
    NoAuthentication,
    OAuth2,
    OffsetPagination,
    PagePagination,
    Parent,
    SinglePage,
    Source,
    Stream,
)
from hotjar_assets.streams.synonyms import TYPES, WORDS, fix_for

GOOD = """\
name: acme
base_url: https://{{ store }}.example.com/v1
parameters:
  - {name: store, required: true}
  - {name: since, type: date}
authentication: {type: api_key, name: X-Api-Key, key_env: ACME_KEY}
streams:
  - name: orders
    path: /orders
    method: GET
    query: {per_page: 50, region: "{{ store }}"}
    records: $.data[*]
    primary_key: [id]
    pagination:
      type: page
      parameter: page
      place: query
    incremental:
      cursor: updated_at
      parameter: since
      format: timestamp
    schema:
      properties:
        id: {type: integer}
        updated_at: {type: string, format: date-time}
        total: {type: number}
    transform:
      rename: {total: amount}
  - name: lines
    path: /orders/{{ parent.id }}/lines
    records: $[*]
    primary_key: [order_id, number]
    parent:
      stream: orders
      fields: {order_id: id}
"""
FILE = Path("acme.yaml")


def load(text):
    return load_source(FILE, text)


def mistake(old, new):
    assert GOOD.count(old) >= 1
    with pytest.raises(HotjarSourceError) as caught:
        load(GOOD.replace(old, new, 1))
    return caught.value


def test_good_source_is_read():
    source = load(GOOD)
    orders, lines = source.streams
    assert (source.name, orders.name, lines.name) == ("acme", "orders", "lines")
    assert orders.query == {"per_page": 50, "region": "{{ store }}"}
    assert orders.incremental is not None
    assert orders.record_schema is not None
    assert list(orders.record_schema.properties) == ["id", "updated_at", "total"]


BAD = {
    "default of a required parameter": (
        "{name: store, required: true}",
        "{name: store, required: true, default: a}",
        4,
        "parameters[store].default",
        "leave one of the two out",
    ),
    "default of another kind": (
        "{name: since, type: date}",
        "{name: since, type: integer, default: true}",
        5,
        "parameters[since].default",
        "is no integer, which `type` says",
    ),
    "renamed and dropped": (
        "rename: {total: amount}",
        "{drop: [total], rename: {total: amount}}",
        28,
        "streams[orders].transform.rename.total",
        "dropped before it could be renamed",
    ),
    "renamed to another field": (
        "rename: {total: amount}",
        "rename: {total: id}",
        28,
        "streams[orders].transform.rename.total",
        "the schema has a field id, whose column is named so; rename or drop it",
    ),
    "two columns of one name": (
        "rename: {total: amount}",
        "{rename: {total: amount}, constant: {amount: 1}}",
        28,
        "streams[orders].transform.constant.amount",
        "a second column would be named amount",
    ),
    "required field without a schema": (
        "    schema:\n",
        "    schema:\n      required: [ident]\n",
        23,
        "streams[orders].schema.required[0]",
        "`properties` has no ident",
    ),
    "port that is none": (
        "https://{{ store }}.example.com",
        "https://example.com:port",
        2,
        "base_url",
        "is no URL",
    ),
    "query in the URL": ("example.com/v1", "example.com/v1?a=1", 2, "base_url", "holds a query"),
    "control sign": ("path: /orders\n", "path: /\x07orders\n", 9, "", "the character 0x7"),
    "nested too deep": (GOOD, "name: " + "[" * 5000, 1, "", "nested too deep"),
    "name that is a number": (
        "query: {per_page: 50,",
        "query: {7: 50,",
        11,
        "streams[orders].query[7]",
        "put it in quotes",
    ),
    "tab": ("    path: /orders\n", "\tpath: /orders\n", 9, "", "use spaces"),
    "indentation": ("    path: /orders\n", "   path: /orders\n", 9, "", "align"),
    "colon in a value": (
        "records: $.data[*]",
        "records: a: b",
        12,
        "",
        "put the value in quotes",
    ),
    "braces without quotes": (
        'region: "{{ store }}"',
        "region: {{ store }}",
        11,
        "streams[orders].query.region",
        "in quotes",
    ),
    "unclosed bracket": ("primary_key: [id]", "primary_key: [id", 14, "", "not YAML"),
    "not a mapping": (GOOD, "- name: acme\n", 1, "", "a source is a mapping"),
    "empty": (GOOD, "", 1, "", "a source is a mapping"),
    "two documents": ("streams:\n", "---\nstreams:\n", 7, "", "one file is one source"),
    "key twice": (
        "    method: GET\n",
        "    path: /other\n",
        10,
        "streams[orders].path",
        "a second time; keep one",
    ),
    "unknown field": ("base_url:", "baseurl:", 2, "baseurl", "did you mean `base_url`?"),
    "abbreviated field": (
        "authentication:",
        "auth:",
        6,
        "auth",
        "did you mean `authentication`?",
    ),
    "unknown field of a stream": (
        "    pagination:\n",
        "    pagnation:\n",
        14,
        "streams[orders].pagnation",
        "did you mean `pagination`?",
    ),
    "unknown field deep down": (
        "      place: query",
        "      plaec: query",
        17,
        "streams[orders].pagination.plaec",
        "did you mean `place`?",
    ),
    "unknown field of authentication": (
        "key_env:",
        "key_envv:",
        6,
        "authentication.key_envv",
        "did you mean `key_env`?",
    ),
    "unknown field like no other": (
        "    method: GET",
        "    zzz: GET",
        10,
        "streams[orders].zzz",
        "known here: body, delimiter",
    ),
    "missing field": (
        "    path: /orders\n",
        "",
        8,
        "streams[orders].path",
        "is missing; add it",
    ),
    "missing kind": (
        "      type: page\n",
        "",
        14,
        "streams[orders].pagination.type",
        "is missing; it is one of none, cursor, page, offset, link",
    ),
    "no streams": (GOOD[GOOD.index("streams:") :], "streams: []\n", 7, "streams", "at least one"),
    "number for text": (
        "path: /orders",
        "path: 5",
        9,
        "streams[orders].path",
        "must be text; put it in quotes",
    ),
    "text for number": (
        "      place: query",
        "      start: one",
        17,
        "streams[orders].pagination.start",
        "whole number",
    ),
    "text for a list": (
        "primary_key: [id]",
        "primary_key: id",
        13,
        "streams[orders].primary_key",
        "must be a list",
    ),
    "text for a mapping": (
        'query: {per_page: 50, region: "{{ store }}"}',
        "query: per_page",
        11,
        "streams[orders].query",
        "must be a mapping",
    ),
    "word for a choice": (
        "place: query",
        "place: querry",
        17,
        "streams[orders].pagination.place",
        "did you mean `query`?",
    ),
    "unknown kind": (
        "type: api_key",
        "type: apikey",
        6,
        "authentication.type",
        "did you mean `api_key`?",
    ),
    "unknown kind of parameter": (
        "type: date}",
        "type: dat}",
        5,
        "parameters[since].type",
        "did you mean `date`?",
    ),
    "name in capitals": (
        "name: lines",
        "name: Lines",
        29,
        "streams[Lines].name",
        "must be snake_case",
    ),
    "stream twice": (
        "name: lines",
        "name: orders",
        29,
        "streams[orders].name",
        "a second stream named orders",
    ),
    "parameter twice": (
        "{name: since, type: date}",
        "{name: store}",
        5,
        "parameters[store].name",
        "a second parameter",
    ),
    "unknown parent": (
        "stream: orders",
        "stream: ordres",
        34,
        "streams[lines].parent.stream",
        "did you mean `orders`?",
    ),
    "its own parent": (
        "stream: orders",
        "stream: lines",
        34,
        "streams[lines].parent.stream",
        "cannot be its own parent",
    ),
    "undeclared name": (
        'region: "{{ store }}"',
        'region: "{{ stor }}"',
        11,
        "streams[orders].query.region",
        "did you mean `store`?",
    ),
    "undeclared name in the URL": (
        "https://{{ store }}",
        "https://{{ shop }}",
        2,
        "base_url",
        "declare it",
    ),
    "malformed braces": (
        "path: /orders\n",
        'path: "/orders/{{ store }"\n',
        9,
        "streams[orders].path",
        "it looks like {{ name }}",
    ),
    "braces where nothing is replaced": (
        "parameter: page",
        'parameter: "{{ store }}"',
        16,
        "streams[orders].pagination.parameter",
        "not replaced here",
    ),
    "parent's field without a parent": (
        "path: /orders\n",
        "path: /orders/{{ parent.id }}\n",
        9,
        "streams[orders].path",
        "needs a stream with `parent`",
    ),
    "unknown field of the parent": (
        "{{ parent.id }}",
        "{{ parent.idd }}",
        30,
        "streams[lines].path",
        "did you mean `id`?",
    ),
    "unknown field of the parent as a column": (
        "{order_id: id}",
        "{order_id: ident}",
        35,
        "streams[lines].parent.fields.order_id",
        "the schema of orders has no ident",
    ),
    "secret for a name": (
        "key_env: ACME_KEY",
        "key_env: sk-51HxyzVERYsecret",
        6,
        "authentication.key_env",
        "the name of its variable",
    ),
    "secret that could be a name": (
        "key_env: ACME_KEY",
        "key_env: sk_live_51HxyzVERYsecret",
        6,
        "authentication.key_env",
        "the name of its variable",
    ),
    "secret in a header": (
        "    method: GET",
        "    headers: {Authorization: Token 51HxyzVERYsecret}",
        10,
        "streams[orders].headers.Authorization",
        "a secret's value must not stand here",
    ),
    "secret with a default": (
        "{name: since, type: date}",
        "{name: since, secret: true, default: 51HxyzVERYsecret}",
        5,
        "parameters[since].default",
        "a secret has no default",
    ),
    "default of another type": (
        "{name: since, type: date}",
        "{name: since, type: date, default: soon}",
        5,
        "parameters[since].default",
        "is no date",
    ),
    "broken JSONPath": (
        "$.data[*]",
        "$.data[",
        12,
        "streams[orders].records",
        "is no JSONPath",
    ),
    "JSONPath without its root": (
        "$.data[*]",
        "data[*]",
        12,
        "streams[orders].records",
        "write $.data[*]",
    ),
    "no URL": ("https://{{ store }}", "ftp://{{ store }}", 2, "base_url", "is no URL"),
    "credentials in the URL": (
        "https://{{ store }}",
        "https://me:VERYsecret@{{ store }}",
        2,
        "base_url",
        "use `authentication`",
    ),
    "path without its slash": (
        "path: /orders\n",
        "path: orders\n",
        9,
        "streams[orders].path",
        "begins with a slash",
    ),
    "query in the path": (
        "path: /orders\n",
        "path: /orders?limit=5\n",
        9,
        "streams[orders].path",
        "put it under `query`",
    ),
    "key that no column has": (
        "primary_key: [id]",
        "primary_key: [idd]",
        13,
        "streams[orders].primary_key[0]",
        "did you mean `id`?",
    ),
    "cursor that no column has": (
        "cursor: updated_at",
        "cursor: updatedat",
        19,
        "streams[orders].incremental.cursor",
        "did you mean `updated_at`?",
    ),
    "cursor inside of an object": (
        "cursor: updated_at",
        "cursor: meta.at",
        19,
        "streams[orders].incremental.cursor",
        "add `flatten: [meta]`, and write meta_at",
    ),
    "incremental without a key": (
        "    primary_key: [id]\n",
        "",
        17,
        "streams[orders].incremental",
        "needs a `primary_key`",
    ),
    "body of a GET": (
        "    method: GET",
        "    body: {a: 1}",
        10,
        "streams[orders].body",
        "add `method: POST`",
    ),
    "page in the body of a GET": (
        "place: query",
        "place: body",
        17,
        "streams[orders].pagination.place",
        "a GET has no body",
    ),
    "format of instants": (
        "format: timestamp",
        'format: "%Y-%q"',
        21,
        "streams[orders].incremental.format",
        "%q is no directive",
    ),
    "format that is a word": (
        "format: timestamp",
        "format: timestmap",
        21,
        "streams[orders].incremental.format",
        "did you mean `timestamp`?",
    ),
    "type of no schema": (
        "id: {type: integer}",
        "id: {type: interger}",
        24,
        "streams[orders].schema.properties.id.type",
        "did you mean `integer`?",
    ),
    "transform of no column": (
        "rename: {total: amount}",
        "rename: {totl: amount}",
        28,
        "streams[orders].transform.rename.totl",
        "did you mean `total`?",
    ),
    "key that is dropped": (
        "rename: {total: amount}",
        "drop: [id]",
        13,
        "streams[orders].primary_key[0]",
        "a key must stay",
    ),
    "cursor without its place": (
        "type: page",
        "type: cursor",
        14,
        "streams[orders].pagination",
        "needs `selector` or `header`",
    ),
    "delimiter of what is not a CSV file": (
        "    method: GET",
        '    delimiter: ";"',
        10,
        "streams[orders].delimiter",
        "is of a CSV only",
    ),
    "quotes between cells": (
        "    method: GET",
        "    format: csv\n    delimiter: '\"'",
        11,
        "streams[orders].delimiter",
        "cannot stand between cells",
    ),
    "encoding that is none": (
        "    method: GET",
        "    format: csv\n    encoding: utf8000",
        11,
        "streams[orders].encoding",
        "one is utf-8",
    ),
    "key of a parent that it drops": (
        "rename: {total: amount}",
        "keep: [total, updated_at]\n      computed: {id: {sql: total, type: BIGINT}}",
        36,
        "streams[lines].parent.fields.order_id",
        "needs id of orders, which its `transform` drops",
    ),
    "schedule that is none": (
        "streams:\n",
        'schedule: "0 25 * * *"\nstreams:\n',
        7,
        "schedule",
        "is no cron",
    ),
    "cursor that is dropped": (
        "rename: {total: amount}",
        "drop: [updated_at]",
        19,
        "streams[orders].incremental.cursor",
        "`transform` drops updated_at",
    ),
    "type of a computed column": (
        "rename: {total: amount}",
        "computed: {x: {sql: total, type: NUMBER(a)}}",
        28,
        "streams[orders].transform.computed.x.type",
        "is no DuckDB type by name",
    ),
    "others of what is unknown": (
        "    records: $[*]\n",
        "    records: $[*]\n    unknown_fields: freeze\n",
        32,
        "streams[lines].unknown_fields",
        "needs a `schema`",
    ),
    "status that ends nothing": (
        "      place: query\n",
        "      end_status: 500\n",
        17,
        "streams[orders].pagination.end_status",
        "must be one of 400, 404",
    ),
    "path of jq": (
        "$.data[*]",
        ".data.items[]",
        12,
        "streams[orders].records",
        "write $.data.items[*]",
    ),
    "path of jq from the root": (
        "$.data[*]",
        "$.data[]",
        12,
        "streams[orders].records",
        "write $.data[*]",
    ),
    "name of a list": (
        "records: $.data[*]",
        "records: data",
        12,
        "streams[orders].records",
        "write $.data[*]",
    ),
    "word of dlt": (
        "records:",
        "data_selector:",
        12,
        "streams[orders].data_selector",
        "unknown field; here it is `records`",
    ),
    "word of Singer": (
        "    method: GET",
        "    replication_key: updated_at",
        10,
        "streams[orders].replication_key",
        "here it is `incremental.cursor`",
    ),
    "size of a page": (
        "    method: GET",
        "    page_size: 100",
        10,
        "streams[orders].page_size",
        "write it under `query` of the stream",
    ),
    "word of dlt in the pagination": (
        "      place: query",
        "      total_path: $.pages",
        17,
        "streams[orders].pagination.total_path",
        "here it is `total_pages`",
    ),
    "word of dlt in incremental": (
        "      cursor: updated_at",
        "      cursor_path: updated_at",
        19,
        "streams[orders].incremental.cursor_path",
        "here it is `cursor`",
    ),
    "word of dlt in the authentication": (
        "key_env:",
        "api_key:",
        6,
        "authentication.api_key",
        "here it is `key_env`",
    ),
    "word of Airbyte": ("base_url:", "url_base:", 2, "url_base", "here it is `base_url`"),
    "start that is relative": (
        "format: timestamp",
        "start: yesterday",
        21,
        "streams[orders].incremental.start",
        "is not a day or an instant",
    ),
    "start that is text under a format": (
        "format: timestamp",
        "format: timestamp\n      start: begin",
        22,
        "streams[orders].incremental.start",
        "is not a day or an instant",
    ),
    "start of a cursor that is an instant": (
        "format: timestamp",
        "start: version-7",
        21,
        "streams[orders].incremental.start",
        "is not a day or an instant",
    ),
    "variable of a shell": (
        'region: "{{ store }}"',
        'region: "${ACME_REGION}"',
        11,
        "streams[orders].query.region",
        "${ACME_REGION} is not replaced here; declare a parameter",
    ),
    "variable of a shell in the URL": (
        "https://{{ store }}.example.com",
        "https://example.com/${STORE}",
        2,
        "base_url",
        "${STORE} is not replaced here",
    ),
    "variable in single braces": (
        "{{ parent.id }}",
        "{order_id}",
        30,
        "streams[lines].path",
        "{order_id} is not replaced here",
    ),
    "name of no header": (
        "    method: GET",
        "    headers: {X Region: eu}",
        10,
        "streams[orders].headers.X Region",
        "is no name of a header",
    ),
}


@pytest.mark.parametrize(("old", "new", "line", "field", "fix"), BAD.values(), ids=BAD)
def test_bad_yaml_is_answered_with_its_place_and_fix(old, new, line, field, fix):
    error = mistake(old, new)
    assert (error.line, error.field) == (line, field), str(error)
    assert fix in str(error)
    assert str(error).startswith(f"acme.yaml:{line}: {field}")
    assert "\n" not in str(error)
    assert "VERYsecret" not in str(error)
    assert "VERYsecret" not in repr(error.__context__ and str(error.__context__))


def test_parameter_inside_of_a_text_of_the_body_is_refused():
    text = GOOD.replace("method: GET", "method: POST\n    body: {variables: none}")
    text = text.replace("parameter: page", "parameter: variables.page")
    with pytest.raises(
        HotjarSourceError, match=r"17: streams\[orders\]\.pagination\.parameter: is in"
    ):
        load(text.replace("place: query", "place: body"))


def test_mistake_in_the_only_stream_is_not_taken_for_no_stream():
    with pytest.raises(HotjarSourceError, match=r"acme.yaml:4: streams\[a\]\.pth: unknown field"):
        load("name: acme\nbase_url: https://x\nstreams:\n  - {name: a, pth: /a}\n")


def test_parent_that_stands_further_down_is_told_to_move():
    first, second = GOOD.index("  - name: orders"), GOOD.index("  - name: lines")
    swapped = GOOD[:first] + GOOD[second:] + GOOD[first:second]
    with pytest.raises(HotjarSourceError, match="move it before its child"):
        load(swapped)


@pytest.mark.parametrize(
    ("written", "read"),
    [("no", "no"), ("12:30", "12:30"), ("2026-01-31", "2026-01-31"), ("010", "010"), ("7", 7)],
)
def test_only_plain_numbers_and_true_and_false_are_no_text(written, read):
    source = load(GOOD.replace("per_page: 50", f"per_page: {written}"))
    assert source.streams[0].query["per_page"] == read


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("timestamp", "2026-01-31"),
        ("timestamp", "1700000000"),
        ("milliseconds", "2026-01-31T12:00:00Z"),
        ('"%d.%m.%Y"', "31.01.2026"),
    ],
)
def test_start_may_be_written_as_an_instant_or_in_the_format(form, start):
    (stream, _) = load(
        GOOD.replace("format: timestamp", f"format: {form}\n      start: '{start}'")
    ).streams
    assert stream.incremental is not None
    assert stream.incremental.start == start


@pytest.mark.parametrize(
    "transform",
    [
        "{drop: [note], rename: {total: note}}",
        "{keep: [id, updated_at, total], rename: {total: note}}",
        "{rename: {total: note, note: total}}",
    ],
    ids=["dropped", "not-kept", "swapped"],
)
def test_a_field_may_take_the_name_of_one_that_makes_room(transform):
    text = GOOD.replace(
        "total: {type: number}", "total: {type: number}\n        note: {type: string}"
    )
    text = text.replace("      rename: {total: amount}", "").replace(
        "transform:", f"transform: {transform}"
    )
    assert load(text).streams[0].transform.rename["total"] == "note"


@pytest.mark.parametrize(
    "name",
    [
        "sk_live_abc123XYZ",
        "sk_live_abcdefgh",
        "sk_test_12345678",
        "ghp_abcdefgh",
        "github_pat_abc",
        "xoxb_word",
        "AKIAWORDWORD",
        "eyJhbGciOi",
        "Ab1",
        "shpat_words",
    ],
)
def test_a_secret_that_looks_like_a_name_is_refused_and_not_shown(name):
    error = mistake("key_env: ACME_KEY", f"key_env: {name}")
    assert "put that into the environment" in str(error)
    assert name not in str(error)


@pytest.mark.parametrize("name", ["ACME_KEY", "acme_key", "ACME2_KEY", "SK_KEY", "AcmeKey", "_k"])
def test_the_name_of_a_variable_is_taken(name):
    authentication = load(GOOD.replace("ACME_KEY", name)).authentication
    assert authentication.key_env == name


@pytest.mark.parametrize("delimiter", [r"'\t'", "tab", r"\t"])
def test_a_tab_that_is_spelled_out_is_told_how_to_be_written(delimiter):
    error = mistake("    method: GET\n", f"    format: csv\n    delimiter: {delimiter}\n")
    assert error.field == "streams[orders].delimiter"
    assert r'a tab is written "\t", in double quotes' in str(error)
    written = GOOD.replace("    method: GET\n", '    format: csv\n    delimiter: "\\t"\n')
    assert load(written).streams[0].delimiter == "\t"


FOREIGN = "is not replaced here; declare a parameter"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("per_page: 50", "per_page: $ACME_KEY", "query.per_page: $ACME_KEY"),
        ("per_page: 50", "per_page: Token $KEY", "query.per_page: $KEY"),
        ("per_page: 50", "per_page: '%(KEY)s'", "query.per_page: %(KEY)s"),
        ("per_page: 50", "per_page: '{key}'", "query.per_page: {key}"),
        ("path: /orders\n", "path: /orders/:id\n", "path: :id"),
        ("path: /orders\n", "path: /orders/:order_id/lines\n", "path: :order_id"),
        ("https://{{ store }}.", "https://$ACME_STORE.", "$ACME_STORE"),
    ],
)
def test_a_variable_of_another_tool_is_refused(old, new, place):
    assert f"{place} {FOREIGN}" in str(mistake(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("per_page: 50", "per_page: $GOOG"),
        ("per_page: 50", "per_page: US$A_B"),
        ("per_page: 50", "per_page: '{id, name}'"),
        ("per_page: 50", "per_page: '{\"a\": 1}'"),
        ("per_page: 50", "'$filter': \"a eq 'x'\""),
        ("per_page: 50", "per_page: 100%"),
        ("path: /orders\n", "path: /orders:list\n"),
        ("path: /orders\n", "path: /orders/12:30\n"),
    ],
)
def test_what_only_looks_like_a_variable_is_sent(old, new):
    assert load(GOOD.replace(old, new, 1)).streams[0].name == "orders"


@pytest.mark.parametrize(
    ("form", "start", "fits"),
    [
        ("timestamp", "20260101", False),
        ("timestamp", "'20260101'", False),
        ("timestamp", "1700000000", True),
        ('"%Y%m%d"', "20260101", True),
        ('"%m/%d/%Y"', "01/02/2026", True),
        (None, "-7d", False),
        (None, "'-7 days'", False),
        (None, "-P7D", False),
        (None, "01/02/2026", False),
        (None, "2026/01/02", False),
        (None, "-7", True),
        (None, "7d", True),
        (None, "20260101", True),
    ],
)
def test_start_is_no_day_that_the_api_would_get_as_it_is_written(form, start, fits):
    text = GOOD.replace("      format: timestamp\n", f"      start: {start}\n")
    if form:
        text = text.replace("      start:", f"      format: {form}\n      start:")
    else:
        text = text.replace("{type: string, format: date-time}", "{type: string}")
    with nullcontext() if fits else pytest.raises(HotjarSourceError, match="is not a day or an"):
        assert load(text).streams[0].incremental


KINDS_OF_AUTHENTICATION = {
    "api_key": "{type: api_key, name: X-Key, key_env: %s}",
    "bearer": "{type: bearer, token_env: %s}",
    "basic": "{type: basic, username_env: %s}",
    "oauth2": "{type: oauth2, token_path: /t, client_id_env: %s, client_secret_env: %s}",
}


@pytest.mark.parametrize(
    "value", ["", "two\nlines", "w\u00f6rd\u20ac"], ids=["unset", "lines", "signs"]
)
@pytest.mark.parametrize("kind", KINDS_OF_AUTHENTICATION)
def test_a_name_that_may_be_a_secret_is_in_no_error(kind, value):
    name, old = "quietsecretword", "{type: api_key, name: X-Api-Key, key_env: ACME_KEY}"
    source = load(GOOD.replace(old, KINDS_OF_AUTHENTICATION[kind].replace("%s", name)))
    shown = str(advice_of(source))
    try:
        SourceClient(source, {"ACME_STORE": "x", name: value}).close()
    except HotjarConfigError as error:
        shown += str(error)
    assert name not in shown
    assert "not named in upper case" in shown


# --- Words of other tools ------------------------------------------------------------------------

MODELS: dict[str, list[type[BaseModel]]] = {
    "": [Source],
    "streams": [Stream],
    "parent": [Parent],
    "pagination": [SinglePage, CursorPagination, PagePagination, OffsetPagination, LinkPagination],
    "incremental": [Incremental],
    "authentication": [NoAuthentication, ApiKey, Basic, Bearer, OAuth2],
}
OTHERS = [(inside, word) for inside, words in WORDS.items() for word in words]


@pytest.mark.parametrize(("inside", "word"), OTHERS, ids=".".join)
def test_a_field_that_is_suggested_is_one_of_that_very_kind(inside, word):
    place: tuple[str | int, ...] = ("authentication",) if inside == "authentication" else ()
    if inside not in {"", "authentication"}:
        place = ("streams", 0) if inside == "streams" else ("streams", 0, inside)
    suggested = 0
    for model in MODELS[inside]:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        assert word not in fields or word == "limit"
        fix = fix_for(word.upper(), place, fields)
        assert fix
        if fix.startswith("here it is"):
            suggested += 1
            first, _, rest = fix.split("`")[1].partition(".")
            assert first in fields
            inner = {
                name for each in models(fields[first].annotation) for name in each.model_fields
            }
            assert not rest or not inner or rest in inner
    assert suggested


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in models(part)]


PAGE, KEY = "type: page\n", "{type: api_key, name: X-Api-Key, key_env: ACME_KEY}"
STREAM, ORDERS = "    method: GET\n", "streams[orders]"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            PAGE,
            "type: page\n      page_size: 5\n",
            "page_size: unknown field; write it under `query`",
        ),
        (PAGE, "type: page\n      base_page: 0\n", "base_page: unknown field; here it is `start`"),
        (
            PAGE,
            "type: cursor\n      base_page: 0\n",
            "base_page: unknown field; known here: has_more",
        ),
        (
            PAGE,
            "type: offset\n      page_size: 5\n",
            "page_size: unknown field; here it is `limit`",
        ),
        (
            PAGE,
            "type: cursor\n      total_path: $.n\n",
            "total_path: unknown field; known here: has",
        ),
        (PAGE, "type: json_link\n", "none, cursor, page, offset, link; here it is `link`"),
        (PAGE, "type: OffsetIncrement\n", "here it is `offset`"),
        (
            KEY,
            "{type: bearer, api_token: ACME_KEY}",
            "api_token: unknown field; here it is `token_env`",
        ),
        (KEY, "{type: api_key, name: X, api_token: A}", "unknown field; here it is `key_env`"),
        (KEY, "{type: oauth2, token_path: /t, audience: a}", "here it is `token_fields.audience`"),
        (KEY, "{type: OAuthAuthenticator}", "here it is `oauth2`"),
        (STREAM, "    limit: 5\n", f"{ORDERS}.limit: unknown field; write it under `query`"),
        (STREAM, "    data: {a: 1}\n", f"{ORDERS}.data: unknown field; `records` is where"),
        (STREAM, "    write_disposition: merge\n", "with a `primary_key` rows are merged"),
        (STREAM, "    partition_router: {}\n", "here it is `parent`"),
        ("name: acme\n", "name: acme\nclient: {}\n", "client: unknown field; write what is in it"),
        ("name: acme\n", "name: acme\nrate_limits: []\n", "here it is `requests_per_minute`"),
        (
            "      stream: orders\n",
            "      stream: orders\n      parent_key: id\n",
            "here it is `fields`",
        ),
    ],
)
def test_a_word_of_another_tool_is_translated_for_its_kind(old, new, words):
    assert words in str(mistake(old, new))


@pytest.mark.parametrize("inside", TYPES)
def test_kinds_of_other_tools_are_translated_to_ours(inside):
    tags = {get_args(model.model_fields["type"].annotation)[0] for model in MODELS[inside]}
    assert set(TYPES[inside].values()) <= tags
    assert tags.isdisjoint(TYPES[inside])


def test_people_may_write_braces_in_a_description():
    text = GOOD.replace("path: /orders\n", "path: /orders\n    description: see {{ docs }}\n", 1)
    assert load(text).streams[0].description == "see {{ docs }}"


def test_folder_is_read_by_name_and_has_each_source_once(tmp_path):
    (tmp_path / "b.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "a.yml").write_text(GOOD.replace("acme", "zeta", 1), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    found = load_folder(tmp_path)
    assert [source.name for source in found.sources.values()] == ["zeta", "acme"]
    assert found.mistakes == {}
    assert load_folder(tmp_path / "none").sources == {}
    (tmp_path / "c.yaml").write_text(GOOD, encoding="utf-8")
    ((path, error),) = load_folder(tmp_path).mistakes.items()
    assert path == tmp_path / "c.yaml"
    assert f"c.yaml:1: name: {tmp_path / 'b.yaml'} has a source named acme too" in str(error)


def test_invalid_file_keeps_no_other_from_being_read(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD.replace("path:", "pth:", 1), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    found = load_folder(tmp_path)
    assert [source.name for source in found.sources.values()] == ["acme"]
    assert [path.name for path in found.mistakes] == ["a.yaml", "c.yaml"]
    assert "a.yaml:9: streams[orders].pth: unknown field" in str(
        found.mistakes[tmp_path / "a.yaml"]
    )


def test_file_is_read(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load_source(path) == load(GOOD)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff\xfe\x00", "is not UTF-8 text")]
)
def test_file_that_is_none_is_named(content, words, tmp_path):
    path = tmp_path / "acme.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HotjarSourceError, match=words) as caught:
        load_source(path)
    assert str(caught.value).startswith(str(path))


def test_anchors_are_followed():
    text = GOOD.replace("query: {per_page: 50,", "query: &all {per_page: 50,")
    text = text.replace("    parent:\n", "    query: *all\n    parent:\n")
    assert load(text).streams[1].query == load(text).streams[0].query


def test_list_that_holds_itself_is_refused():
    with pytest.raises(HotjarSourceError):
        load(GOOD.replace("primary_key: [id]", "primary_key: &loop [*loop]"))


@pytest.mark.parametrize(
    ("cron", "fits"),
    [
        ("0 * * * *", True),
        ("*/15 0-6,12 1 1-12/2 0-7", True),
        ("0 5 * *", False),
        ("60 5 * * *", False),
        ("0 5 0 * *", False),
        ("daily", False),
        ("0 5-24 * * *", False),
        ("*/0 5 * * *", False),
    ],
)
def test_schedule_is_a_cron(cron, fits):
    text = GOOD.replace("streams:\n", f'schedule: "{cron}"\nstreams:\n', 1)
    with nullcontext() if fits else pytest.raises(HotjarSourceError, match="is no cron"):
        schedule = dg.ScheduleDefinition(job_name="x", cron_schedule=str(load(text).schedule))
        assert schedule.cron_schedule == cron
