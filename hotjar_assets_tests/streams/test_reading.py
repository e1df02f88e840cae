"""What is sent for a stream, and what is made of the answers."""

import base64
import gzip
import json
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import chain
from threading import Barrier
from urllib.parse import quote, quote_plus, urlencode

import pytest

from hotjar_assets.api.limits import Limits
from hotjar_assets.api.pagination import MAX_REPEATED_PAGES
from hotjar_assets.api.secrecy import SentRequest, ShownAnswer
from hotjar_assets.api.transport import Answer
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarConfigError,
    HotjarLimitError,
    HotjarNotFoundError,
    HotjarPaginationError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarStatusError,
    HotjarTransportError,
)
from hotjar_assets.streams.paging import next_cursor
from hotjar_assets.streams.spec import Source, Stream
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets_tests.api.scripted_server import NO_ANSWER, Reply, error, json_reply, token_reply
from hotjar_assets_tests.streams.store import StreamStore, source_of

READERS = 8
SECRET = "made up/secret+7"
FORMS = (SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET))


@pytest.fixture
def source(api):
    """Return what makes a source of one stream, or of parts of one."""

    def made(stream=None, **parts):
        streams = [{"name": "things", "path": "/things", **(stream or {})}]
        return Source.model_validate(
            {"name": "acme", "base_url": f"{api.url}/v1", "streams": streams, **parts}
        )

    return made


@pytest.fixture
def read(connect):
    """Read the last stream of a source; return its pages."""

    def pages(source, environ=None, **options):
        client = connect(source, environ or {})
        return list(client.iter_pages(source.streams[-1], **options))

    return pages


def records(pages):
    return [record for page in pages for record in page.records]


def rows(*ids, **root):
    return json_reply({"data": [{"id": each} for each in ids], **root})


IN_DATA = {"records": "$.data[*]"}


# --- Requests ----------------------------------------------------------------------------------


def test_plain_stream_is_one_get(source, read, api):
    api.answers(json_reply([{"id": 1}, {"id": 2}]))
    assert records(read(source())) == [{"id": 1}, {"id": 2}]
    (sent,) = api.sent
    assert (sent.method, sent.target, sent.body) == ("GET", "/v1/things", b"")
    assert sent.headers["Authorization"] is None


def test_values_stand_where_the_yaml_wants_them(source, read, api):
    api.answers(json_reply([]))
    made = source(
        {
            "path": "/{{ region }}/things",
            "method": "POST",
            "query": {"size": 5, "deep": True, "of": "{{ region }}-{{ size }}"},
            "headers": {"X-Region": "{{ region }}"},
            "body": {"filter": {"regions": ["{{ region }}"], "size": "{{ size }}"}, "n": 1},
        },
        parameters=[{"name": "region"}, {"name": "size", "type": "integer", "default": 7}],
        headers={"X-Version": "2"},
    )
    read(made, {"ACME_REGION": "a/b é?"})
    (sent,) = api.sent
    assert (sent.method, sent.path) == ("POST", "/v1/a%2Fb%20%C3%A9%3F/things")
    assert sent.query == {"size": "5", "deep": "true", "of": "a/b é?-7"}
    assert sent.headers["X-Version"] == "2"
    assert sent.headers["X-Region"].encode("latin-1").decode("latin-1") == "a/b é?"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.body.replace(b" ", b"") == (
        b'{"filter":{"regions":["a/b\\u00e9?"],"size":7},"n":1}'
    )


def test_post_that_reads_is_tried_again(source, read, api):
    api.answers(error(500), NO_ANSWER, json_reply([{"id": 1}]))
    assert records(read(source({"method": "POST", "body": {"a": 1}}))) == [{"id": 1}]
    assert [(sent.method, sent.body) for sent in api.sent] == [("POST", b'{"a": 1}')] * 3


def test_optional_parameter_without_a_value_is_left_out(source, read, api):
    api.answers(json_reply([]))
    made = source({"query": {"status": "{{ status }}", "a": 1}}, parameters=[{"name": "status"}])
    read(made)
    assert api.sent[0].query == {"a": "1"}


def test_fields_of_the_parent_are_filled_in(source, read, api):
    api.answers(json_reply([]))
    child = {
        "name": "parts",
        "path": "/things/{{ parent.id }}/parts",
        "query": {"of": "{{ parent.owner.name }}"},
        "parent": {"stream": "things", "fields": {"thing_id": "id"}},
    }
    made = source(streams=[{"name": "things", "path": "/things"}, child])
    read(made, parent={"id": "../x", "owner": {"name": "Ann & Co"}})
    assert api.sent[0].path == "/v1/things/..%2Fx/parts"
    assert api.sent[0].query == {"of": "Ann & Co"}


@pytest.mark.parametrize(
    "parent", [{}, {"id": None}, {"id": [1]}, {"id": ""}, {"id": ".."}], ids=str
)
def test_parent_without_a_usable_field_is_refused_before_any_request(parent, source, read, api):
    child = {
        "name": "parts",
        "path": "/things/{{ parent.id }}/parts",
        "parent": {"stream": "things", "fields": {"thing_id": "id"}},
    }
    made = source(streams=[{"name": "things", "path": "/things"}, child])
    with pytest.raises(HotjarSchemaError, match=r"parent\.id"):
        read(made, parent=parent)
    assert api.sent == []


@pytest.mark.parametrize("value", ["a\nb", "🙂"], ids=["line break", "emoji"])
def test_header_that_cannot_be_sent_is_named_before_any_request(value, source, read, api):
    child = {
        "name": "parts",
        "path": "/parts",
        "headers": {"X-Of": "{{ parent.name }}"},
        "parent": {"stream": "things", "fields": {"thing_id": "id"}},
    }
    made = source(streams=[{"name": "things", "path": "/things"}, child])
    with pytest.raises(HotjarConfigError, match="header X-Of: holds a"):
        read(made, parent={"id": 1, "name": value})
    assert api.sent == []


# --- Parameters --------------------------------------------------------------------------------

SIZE = [{"name": "size", "type": "integer", "required": True, "description": "rows a page"}]
MISSING = {
    "required parameter": ({"parameters": SIZE}, {}, "ACME_SIZE: is not set.* rows a page"),
    "blank parameter": ({"parameters": SIZE}, {"ACME_SIZE": " "}, "ACME_SIZE: is not set"),
    "parameter of another type": (
        {"parameters": SIZE},
        {"ACME_SIZE": "many"},
        "ACME_SIZE: is no integer; it looks like 100",
    ),
    "parameter of another name": (
        {"parameters": [{"name": "store", "required": True, "env": "MY_STORE"}]},
        {"ACME_STORE": "x"},
        "MY_STORE: is not set",
    ),
    "parameter with a line break": (
        {"parameters": [{"name": "store"}]},
        {"ACME_STORE": "a\nb"},
        "ACME_STORE: holds a line break",
    ),
    "date": (
        {"parameters": [{"name": "day", "type": "date"}]},
        {"ACME_DAY": "31.1.2026"},
        "ACME_DAY: is no date; it looks like 2026-01-31",
    ),
    "boolean": (
        {"parameters": [{"name": "deep", "type": "boolean"}]},
        {"ACME_DEEP": "maybe"},
        "ACME_DEEP: is no boolean",
    ),
    "key": (
        {"authentication": {"type": "api_key", "name": "k", "key_env": "MY_KEY"}},
        {},
        "MY_KEY: is not set; the authentication of acme needs it",
    ),
    "key with a line break": (
        {"authentication": {"type": "bearer", "token_env": "MY_KEY"}},
        {"MY_KEY": f"{SECRET}\n"},
        "MY_KEY: holds a line break",
    ),
    "optional part of the URL": (
        {"base_url": "https://{{ store }}.example.com", "parameters": [{"name": "store"}]},
        {},
        "store }}: has no value",
    ),
    "URL without TLS": (
        {
            "base_url": "http://api.example.com",
            "authentication": {"type": "bearer", "token_env": "MY_KEY"},
        },
        {"MY_KEY": SECRET},
        "base_url of acme: must be https",
    ),
}


@pytest.mark.parametrize(("parts", "environ", "words"), MISSING.values(), ids=MISSING)
def test_missing_value_is_named_before_any_request(parts, environ, words, *, source, connect, api):
    with pytest.raises(HotjarConfigError, match=words) as caught:
        connect(source(**parts), environ)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert api.sent == []


def test_url_without_tls_is_fine_where_no_credentials_go(source, connect):
    assert connect(source(base_url="http://api.example.com"), {}).requests_sent == 0


def test_parameter_that_begins_the_url_is_the_host(source, read, api):
    api.answers(json_reply([]))
    made = source(
        base_url="{{ url }}/{{ version }}",
        parameters=[{"name": "url"}, {"name": "version", "default": "v2"}],
    )
    read(made, {"ACME_URL": f"{api.url}/"})
    assert api.sent[0].path == "/v2/things"


def test_parameters_may_be_parts_of_the_host(source, read, api):
    api.answers(json_reply([]))
    host, _, port = api.url.removeprefix("http://").rpartition(":")
    made = source(
        base_url="http://127.0.0.{{ last }}:{{ port }}/v1",
        parameters=[{"name": "last", "type": "integer"}, {"name": "port", "type": "integer"}],
    )
    read(made, {"ACME_LAST": host.rpartition(".")[2], "ACME_PORT": port})
    assert api.sent[0].headers["Host"] == f"{host}:{port}"


# --- Authentication ----------------------------------------------------------------------------

HEADER_KEY = {"type": "api_key", "name": "X-Key", "key_env": "MY_KEY", "prefix": "Token "}
QUERY_KEY = {"type": "api_key", "name": "api_key", "key_env": "MY_KEY", "place": "query"}
BASIC = {"type": "basic", "username_env": "MY_KEY"}
BASIC_PAIR = {**BASIC, "password_env": "MY_PASSWORD"}
BEARER = {"type": "bearer", "token_env": "MY_KEY"}
OAUTH = {
    "type": "oauth2",
    "token_path": "/oauth/token",
    "client_id_env": "MY_ID",
    "client_secret_env": "MY_KEY",
    "scope": "read",
}
VARIABLES = {"MY_KEY": SECRET, "MY_PASSWORD": "second-secret", "MY_ID": "client-7"}


@pytest.mark.parametrize(
    ("authentication", "header", "value"),
    [
        (HEADER_KEY, "X-Key", f"Token {SECRET}"),
        (BASIC, "Authorization", "Basic bWFkZSB1cC9zZWNyZXQrNzo="),
        (BASIC_PAIR, "Authorization", "Basic bWFkZSB1cC9zZWNyZXQrNzpzZWNvbmQtc2VjcmV0"),
        (BEARER, "Authorization", f"Bearer {SECRET}"),
    ],
    ids=["key", "basic", "basic with a password", "bearer"],
)
def test_credentials_are_in_a_header(authentication, header, value, *, source, read, api):
    api.answers(json_reply([]))
    read(source(authentication=authentication), VARIABLES)
    assert api.sent[0].headers[header] == value
    assert api.sent[0].query == {}


def test_key_is_in_the_query(source, read, api):
    api.answers(json_reply([]))
    read(source({"query": {"a": 1}}, authentication=QUERY_KEY), VARIABLES)
    assert api.sent[0].query == {"a": "1", "api_key": SECRET}


@pytest.mark.parametrize("target", ["/v1/there", "/v1/there?a=2&api_key=other"])
def test_key_in_the_query_survives_redirects_of_the_same_host(target, source, read, api):
    api.answers(Reply(status=307, headers={"Location": target}), json_reply([{"id": 1}]))
    pages = read(source({"query": {"a": 1}}, authentication=QUERY_KEY), VARIABLES)
    assert records(pages) == [{"id": 1}]
    assert api.sent[1].path == "/v1/there"
    assert api.sent[1].query["api_key"] == SECRET
    assert api.sent[1].query.get("a") == ("2" if "?" in target else None)


def test_key_in_the_query_goes_to_no_other_host(source, read, api, elsewhere):
    api.answers(Reply(status=307, headers={"Location": f"{elsewhere.url}/v1/things"}))
    with pytest.raises(HotjarStatusError, match="another host"):
        read(source(authentication=QUERY_KEY), VARIABLES)
    assert elsewhere.sent == []


@pytest.mark.parametrize("body", ["form", "json"])
def test_client_credentials_get_a_token(body, source, read, api):
    api.grants([token_reply("T1")])
    api.answers(json_reply([{"id": 1}]))
    made = source(authentication={**OAUTH, "body": body})
    assert records(read(made, VARIABLES)) == [{"id": 1}]
    login, sent = api.sent
    assert (login.method, login.path) == ("POST", "/v1/oauth/token")
    assert sent.token == "T1"
    expected = {
        "form": b"grant_type=client_credentials&client_id=client-7"
        b"&client_secret=made+up%2Fsecret%2B7&scope=read",
        "json": b'{"grant_type": "client_credentials", "client_id": "client-7", '
        b'"client_secret": "made up/secret+7", "scope": "read"}',
    }
    assert login.body == expected[body]


def test_redirect_to_another_host_is_followed_without_credentials(source, connect, api, elsewhere):
    url = f"{elsewhere.url}/bucket?X-Signature=SECRETLY"
    made = source(
        {"redirects": "any_host", "headers": {"X-Own": "{{ own }}"}, "query": {"page": 1}},
        authentication=BEARER,
        parameters=[{"name": "own", "secret": True}],
    )
    shown: list[SentRequest] = []
    client = connect(made, {**VARIABLES, "ACME_OWN": "own-secret"}, on_request=shown.append)
    api.answers(Reply(status=302, headers={"Location": url}))
    elsewhere.answers(json_reply([{"id": 1}]))
    assert records(client.iter_pages(made.streams[0])) == [{"id": 1}]
    assert api.sent[0].token == SECRET
    (sent,) = elsewhere.sent
    assert (sent.path, sent.query) == ("/bucket", {"X-Signature": "SECRETLY"})
    assert sent.headers["Authorization"] is None
    assert sent.headers["X-Own"] is None
    assert shown[1].url == f"{elsewhere.url}/bucket?***"


@pytest.mark.parametrize(
    "fields", [{}, {"redirects": "any_host", "method": "POST"}], ids=["default", "POST"]
)
def test_other_redirects_to_another_host_are_refused(fields, source, read, api, elsewhere):
    headers = {"Location": f"{elsewhere.url}/bucket"}
    api.answers(Reply(status=307, headers=headers))
    with pytest.raises(HotjarStatusError, match="redirected to another host"):
        read(source(fields, authentication=BEARER), VARIABLES)
    assert elsewhere.sent == []


def test_redirect_to_a_host_without_tls_is_refused(source, read, api, elsewhere):
    api.answers(Reply(status=302, headers={"Location": "http://files.example.com/a"}))
    with pytest.raises(HotjarStatusError, match="redirected to a URL that is not https"):
        read(source({"redirects": "any_host"}, authentication=BEARER), VARIABLES)
    assert len(api.sent) == 1


@pytest.mark.parametrize("body", ["form", "json"])
def test_client_may_prove_itself_by_basic_with_further_fields(body, source, connect, api):
    given = {"client_authentication": "basic", "token_fields": {"audience": "{{ aud }}", "n": 1}}
    made = source(
        authentication={**OAUTH, **given, "body": body},
        parameters=[{"name": "aud", "default": "https://a"}],
    )
    shown: list[SentRequest] = []
    client = connect(made, VARIABLES, on_request=shown.append)
    api.answers(json_reply([]))
    list(client.iter_pages(made.streams[0]))
    (login,) = api.token_requests
    scheme, _, pair = login.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", f"client-7:{quote_plus(SECRET)}")
    fields = {"grant_type": "client_credentials", "scope": "read", "audience": "https://a", "n": 1}
    assert login.body.decode() == (json.dumps(fields) if body == "json" else urlencode(fields))
    assert shown[0].headers["Authorization"] == "Basic ***"
    assert [sent.token for sent in api.data_requests] == ["token-1"]


def test_client_in_basic_is_sent_to_the_token_endpoint_alone(source, read, api, elsewhere):
    given = {**OAUTH, "client_authentication": "basic"}
    api.grants([Reply(status=307, headers={"Location": f"{elsewhere.url}/token"})])
    with pytest.raises(HotjarStatusError, match="a login is sent nowhere else"):
        read(source(authentication=given), VARIABLES)
    assert elsewhere.sent == []


def test_token_may_come_from_another_host(source, read, api, elsewhere):
    elsewhere.answers(token_reply("T1"))
    api.answers(json_reply([]))
    read(source(authentication={**OAUTH, "token_path": f"{elsewhere.url}/token"}), VARIABLES)
    assert elsewhere.sent[0].path == "/token"
    assert api.sent[0].token == "T1"


def without_lifetime(token):
    return json_reply({"access_token": token})


@pytest.mark.parametrize(
    ("grant", "age_seconds", "tokens"),
    [
        (without_lifetime, 60, ["a", "a", "b"]),
        (without_lifetime, 1, ["a", "a", "b"]),
        (token_reply, 60, ["a", "a"]),
    ],
    ids=["unknown lifetime", "just issued", "known lifetime"],
)
def test_token_of_unknown_lifetime_is_renewed_after_a_403(
    grant, age_seconds, tokens, *, source, connect, api, time
):
    api.grants([grant("a"), grant("b")])
    api.answers(json_reply([]), error(403), error(403))
    made = source(authentication=OAUTH)
    client = connect(made, VARIABLES)
    list(client.iter_pages(made.streams[0]))
    time.sleep(age_seconds)
    with pytest.raises(HotjarAuthError):
        list(client.iter_pages(made.streams[0]))
    assert [sent.token for sent in api.data_requests] == tokens


@pytest.mark.parametrize(
    ("age_seconds", "tokens"), [(1, ["b"]), (60, ["b", "c"])], ids=["new", "old"]
)
def test_new_token_that_replaced_another_is_not_renewed_after_a_403(
    age_seconds, tokens, *, source, connect, api, time
):
    api.grants([without_lifetime(token) for token in "abc"])
    api.answers(error(403), json_reply([{"id": 1}]), *[error(403)] * len(tokens))
    made = source(authentication=OAUTH)
    client = connect(made, VARIABLES)
    assert records(client.iter_pages(made.streams[0])) == [{"id": 1}]
    time.sleep(age_seconds)
    with pytest.raises(HotjarAuthError):
        list(client.iter_pages(made.streams[0]))
    assert [sent.token for sent in api.data_requests] == ["a", "b", *tokens]


def test_readers_forbidden_together_share_one_new_token(source, connect, api):
    everybody = Barrier(READERS)

    def forbid_all_at_once(sent):
        if sent.token == "token-1":
            everybody.wait(timeout=20)
            return error(403)
        return json_reply([{"id": 1}])

    api.grants([without_lifetime("token-1"), without_lifetime("token-2")])
    api.answers_always(forbid_all_at_once)
    made = source(authentication=OAUTH)
    client = connect(made, VARIABLES)

    def read_all(stream):
        return records(client.iter_pages(stream))

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(read_all, made.streams * READERS))
    assert found == [[{"id": 1}]] * READERS
    login = made.authentication.token_path
    assert len([sent for sent in api.sent if sent.path.endswith(login)]) == 2
    tokens = [sent.token for sent in api.data_requests]
    assert sorted(tokens) == ["token-1"] * READERS + ["token-2"] * READERS


@pytest.mark.parametrize(
    ("body", "begin"),
    [
        (f"<html>No {SECRET}</html>", "<html>No ***</html>"),
        ("<r><access_token>tok/SECRETLY</access_token></r>", "<access_token>***</access_token>"),
        ("access_token=tok%2FSECRETLY&token_type=bearer", "access_token=***&token_type=***"),
    ],
    ids=["HTML", "XML", "form"],
)
def test_login_that_is_not_json_is_shown_without_its_secrets(body, begin, source, connect, api):
    api.grants([Reply(body.encode())])
    made = source(authentication=OAUTH)
    shown: list[ShownAnswer] = []
    client = connect(made, VARIABLES, on_unusable=shown.append)
    with pytest.raises(HotjarSchemaError, match="token path /v1/oauth/token and base_url"):
        list(client.iter_pages(made.streams[0]))
    (answer,) = shown
    assert begin in answer.begin
    assert "SECRETLY" not in answer.begin
    assert SECRET not in answer.begin
    assert len(api.sent) == 1


def test_refused_login_names_the_variables(source, read, api):
    api.grants([error(401)])
    with pytest.raises(HotjarAuthError, match="check MY_ID and MY_KEY"):
        read(source(authentication=OAUTH), VARIABLES)


def test_rejected_key_is_final_and_names_its_variable(source, read, api):
    api.answers(error(401))
    with pytest.raises(HotjarAuthError, match="check MY_KEY"):
        read(source(authentication=BEARER), VARIABLES)
    assert len(api.sent) == 1


def echo(status):
    said = {"error": SECRET, "message": SECRET}
    return json_reply(said, status, X_Request_Id=f"req {SECRET}")


FAULTS = {
    "400": echo(400),
    "403": echo(403),
    "404": echo(404),
    "500": echo(500),
    "no answer": NO_ANSWER,
    "not JSON": Reply(SECRET.encode()),
    "no list": json_reply({SECRET: SECRET}),
    "redirect": Reply(status=307, headers={"Location": f"?api_key={quote(SECRET)}"}),
    "good": json_reply([{"id": 1}]),
}


@pytest.mark.parametrize("authentication", [QUERY_KEY, HEADER_KEY, BASIC, BEARER], ids=str)
@pytest.mark.parametrize("reply", FAULTS.values(), ids=FAULTS)
def test_no_secret_is_shown(reply, authentication, *, source, connect, api, caplog):
    caplog.set_level(logging.DEBUG)
    api.answers_always(reply)
    made = source(
        {"path": "/{{ word }}/things", "query": {"also": "{{ word }}"}},
        authentication=authentication,
        parameters=[{"name": "word", "secret": True}],
    )
    client = connect(made, {**VARIABLES, "ACME_WORD": f"word {SECRET}"})
    shown = [repr(client), repr(vars(client)), repr(client._transport._auth)]
    try:
        list(client.iter_pages(made.streams[0]))
    except HotjarApiError as caught:
        shown += [str(caught), repr(vars(caught)), *traceback.format_exception(caught)]
    else:
        assert reply is FAULTS["good"]
    assert caplog.records
    text = "\n".join([*shown, caplog.text])
    assert [form for form in (*FORMS, "bWFkZSB1cC9z") if form in text] == []
    assert "word" in api.sent[0].query["also"]


@pytest.mark.parametrize("status", [400, 422, 200])
def test_error_of_a_run_says_how_to_see_the_answer_and_holds_none(status, source, read, api):
    api.answers(json_reply({"errors": [{"message": "SECRETLY"}]}, status))
    with pytest.raises(HotjarApiError) as caught:
        read(source(IN_DATA))
    assert str(caught.value).endswith("; `hotjar-assets streams test acme.things` shows the answer")
    assert "SECRETLY" not in str(caught.value)
    assert len(api.sent) == 1


@pytest.mark.parametrize("letter", ["t", "h", "p"])
def test_secret_of_one_letter_hides_no_letters_of_the_url(letter, source, connect, api):
    made = source(authentication=BEARER)
    shown: list[SentRequest] = []
    client = connect(made, {"MY_KEY": letter}, on_request=shown.append)
    api.answers(error(404))
    with pytest.raises(HotjarNotFoundError) as caught:
        list(client.iter_pages(made.streams[0]))
    assert f"{api.url}/v1/things" in str(caught.value)
    assert [(each.url, each.headers["Authorization"]) for each in shown] == [
        (f"{api.url}/v1/things", "Bearer ***")
    ]


def test_queries_of_others_are_still_logged(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").debug("GET %s", "/path?query=1")
    assert "/path?query=1" in caplog.text


def test_requests_are_shown_as_they_are_sent_without_their_secrets(source, connect, api):
    api.grants([token_reply("T1")])
    api.answers(json_reply([]))
    shown: list[SentRequest] = []
    made = source({"method": "POST", "query": {"a": 1}, "body": {"b": "é"}}, authentication=OAUTH)
    client = connect(made, VARIABLES, on_request=shown.append)
    list(client.iter_pages(made.streams[0]))
    login, request = shown
    assert (login.method, login.url) == ("POST", f"{api.url}/v1/oauth/token")
    assert login.body is not None
    assert login.body.endswith("client_id=client-7&client_secret=***&scope=read")
    assert (request.method, request.url) == ("POST", f"{api.url}/v1/things?a=1")
    assert request.headers["Authorization"] == "Bearer ***"
    assert request.body == '{"b": "\\u00e9"}'
    assert "T1" not in repr(shown)


@pytest.mark.parametrize(
    ("authentication", "url", "header"),
    [
        (QUERY_KEY, "/v1/things?also=***&api_key=***", None),
        (HEADER_KEY, "/v1/things?also=***", ("X-Key", "Token ***")),
        (BASIC, "/v1/things?also=***", ("Authorization", "Basic ***")),
        (BEARER, "/v1/things?also=***", ("Authorization", "Bearer ***")),
    ],
    ids=["key in the query", "key", "basic", "bearer"],
)
def test_secrets_are_shown_as_stars(authentication, url, header, *, source, connect, api):
    api.answers(json_reply([]))
    shown: list[SentRequest] = []
    parameters = [{"name": "word", "secret": True}]
    made = source(
        {"query": {"also": "{{ word }}"}}, authentication=authentication, parameters=parameters
    )
    client = connect(made, {**VARIABLES, "ACME_WORD": "an other/word"}, on_request=shown.append)
    list(client.iter_pages(made.streams[0]))
    assert [request.url for request in shown] == [api.url + url]
    assert header is None or header in shown[0].headers.items()


# --- Formats -----------------------------------------------------------------------------------


def test_numbers_keep_their_digits(source, read, api):
    body = b'[{"a": 9223372036854775808, "b": 0.12345678901234567890, "c": 1.5, "d": -7}]'
    api.answers(Reply(body))
    assert records(read(source())) == [
        {"a": "9223372036854775808", "b": "0.12345678901234567890", "c": 1.5, "d": -7}
    ]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("ISO-8859-1", "latin-1"),
        ('"windows-1252"', "cp1252"),
        ("Shift_JIS", "shift_jis"),
        ("ISO-8859-1", "utf-8"),
        ("unknown", "utf-8"),
        ("rot13", "utf-8"),
    ],
)
def test_charset_of_the_answer_is_obeyed_where_it_is_not_utf_8(
    charset, encoding, pack, kind, *, source, read, api
):
    text = "日本" if encoding == "shift_jis" else "Zoë"
    body = f'{{"id": 1, "text": "{text}"}}'.encode(encoding)
    body = b"[%s]" % body if kind == "json" else body + b"\n"
    api.answers(Reply(pack(body), headers={"Content-Type": f"application/json; Charset={charset}"}))
    assert records(read(source({"format": kind}))) == [{"id": 1, "text": text}]
    assert len(api.sent) == 1


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_that_is_not_text_of_its_charset_is_refused_once(kind, source, read, api):
    api.answers(Reply(b'[{"text": "SECRETLY\xff"}]'))
    with pytest.raises(HotjarSchemaError, match="is not utf-8 text; have the API send") as caught:
        read(source({"format": kind}))
    assert "SECRETLY" not in str(caught.value)
    assert len(api.sent) == 1


def test_json_that_is_cut_off_inside_of_a_character_is_asked_for_again(source, read, api):
    whole = '[{"text": "é"}]'.encode()
    api.answers(Reply(whole[: whole.index(b"\xa9")]), Reply(whole))
    assert records(read(source())) == [{"text": "é"}]
    assert len(api.sent) == 2


def test_json_lines_are_records(source, read, api):
    api.answers(Reply('{"id": 1, "t": "a\u2028b"}\r\n\n{"id": 2}'.encode()))
    assert records(read(source({"format": "jsonl"}))) == [{"id": 1, "t": "a\u2028b"}, {"id": 2}]


def test_broken_line_is_named(source, read, api):
    api.answers_always(Reply(b'{"id": 1}\n{"id": '))
    with pytest.raises(HotjarBodyError, match="line 2"):
        read(source({"format": "jsonl"}))


def test_csv_is_records(source, read, api):
    text = '\ufeffid,text,empty\r\n1,"a, ""b""\nc",\r\n2,é,x\r\n'
    api.answers(Reply(text.encode()))
    assert records(read(source({"format": "csv"}))) == [
        {"id": "1", "text": 'a, "b"\nc', "empty": None},
        {"id": "2", "text": "é", "empty": "x"},
    ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('id;text\n1;"ü;"\n'.encode(), {"delimiter": ";"}),
        ("id\ttext\n1\tü;\n".encode("cp1252"), {"delimiter": "\t", "encoding": "cp1252"}),
        ("id,text\n1,ü;\n".encode("utf-16"), {"encoding": "utf-16"}),
    ],
    ids=["semicolons", "tabs of Windows", "UTF-16"],
)
def test_csv_may_be_written_otherwise(body, fields, source, read, api):
    api.answers(Reply(body))
    assert records(read(source({"format": "csv", **fields}))) == [{"id": "1", "text": "ü;"}]


@pytest.mark.parametrize("declared", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separator_in_the_first_line_is_obeyed_and_no_row(encoding, declared, source, read, api):
    api.answers(Reply("sep=;\r\nid;text\r\n1;a,b\r\n".encode(encoding)))
    fields = {"format": "csv", "delimiter": declared, "encoding": encoding.removesuffix("-sig")}
    assert records(read(source(fields))) == [{"id": "1", "text": "a,b"}]


@pytest.mark.parametrize("line", ['"sep=;"', "SEP=;", '\ufeff"Sep=;"'])
def test_a_separator_may_be_named_in_quotes_or_capitals(line, source, read, api):
    api.answers(Reply(f"{line}\nid;text\n1;a,b\n".encode()))
    assert records(read(source({"format": "csv"}))) == [{"id": "1", "text": "a,b"}]


@pytest.mark.parametrize("begin", ["", "sep=,\r\n"], ids=["plain", "separator"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_byte_order_mark_before_a_quote_is_no_part_of_the_header(
    pack, encoding, begin, *, source, read, api
):
    mark = "" if encoding == "utf-16" else "\ufeff"
    body = f'{mark}{begin}"id","te,xt"\r\n"1","é"\r\n'.encode(encoding)
    api.answers(Reply(pack(body)))
    made = source({"format": "csv", "encoding": encoding})
    assert records(read(made)) == [{"id": "1", "te,xt": "é"}]
    assert len(api.sent) == 1


def test_columns_of_one_name_are_numbered(source, read, api):
    api.answers(Reply(b"id,a,b,a,a,a (2)\n1,2,3,4,5,6\n"))
    (record,) = records(read(source({"format": "csv"})))
    assert list(record.items()) == [
        ("id", "1"),
        ("a", "2"),
        ("b", "3"),
        ("a (2)", "4"),
        ("a (3)", "5"),
        ("a (2) (2)", "6"),
    ]


def test_column_of_a_csv_without_a_name_is_called_by_its_number(source, read, api):
    api.answers(Reply(b"id,,\n1,a,\n"))
    assert records(read(source({"format": "csv"}))) == [
        {"id": "1", "column_2": "a", "column_3": None}
    ]


def test_rows_without_a_value_and_empty_cells_beyond_the_header_are_left_out(source, read, api):
    api.answers(Reply(b'id,text\n1,a\n,\n"",""\n2,,\n,,,\n,b\n'))
    assert records(read(source({"format": "csv"}))) == [
        {"id": "1", "text": "a"},
        {"id": "2", "text": None},
        {"id": None, "text": "b"},
    ]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"a,b\n1,2,3\n", HotjarSchemaError, "row 1: has 3 cells, the header 2"),
        (b"a,b\n1\n", HotjarSchemaError, "row 1: has 1 cells, the header 2"),
        (b'a,b\n1,"2', HotjarBodyError, "^not the CSV it should be"),
        (b"a;b\n1;2\n", HotjarSchemaError, "one cell with ';' in it; set `delimiter`"),
        (b"a,b\n1,\xfc\n", HotjarSchemaError, "is not utf-8 text; name its `encoding`"),
    ],
    ids=["long row", "short row", "open quote", "delimiter", "encoding"],
)
def test_broken_csv_is_refused(body, kind, words, *, source, read, api):
    api.answers_always(Reply(body))
    with pytest.raises(kind, match=words) as caught:
        read(source({"format": "csv"}))
    assert "SECRETLY" not in str(caught.value)


def test_body_that_tells_nothing_is_named_by_its_header(source, read, api):
    html = "text/html; charset=utf-8"
    api.answers_always(Reply(b"SECRETLY busy", headers={"Content-Type": html}))
    with pytest.raises(HotjarBodyError, match=r"of text/html \[") as caught:
        read(source())
    assert "SECRETLY" not in str(caught.value)


NEVER_VALID = {
    "CSV": ("json", b"id,text\r\n1,a\r\n", r"body: is CSV; declare `format: csv`"),
    "CSV in quotes": ("json", b'"id";"text"\n"1";"a"\n', "is CSV; declare"),
    "CSV for lines": ("jsonl", b"id,text\n1,SECRETLY\n", "is CSV; declare"),
    "JSON lines": (
        "json",
        b'{"id": 1}\n{"id": "SECRETLY"}\n',
        "is JSON lines; declare `format: jsonl`",
    ),
    "JSON for lines": ("jsonl", b'{\n "id": 1\n}\n', "is JSON; declare `format: json`"),
    "XML": ("json", b'<?xml version="1.0"?>\n<SECRETLY/>', "is XML, which a stream cannot read"),
    "XML for CSV": ("csv", b'\xef\xbb\xbf<?xml version="1.0"?>\n<a/>', "is XML, which"),
    "XML without a prolog": ("json", b"<SECRETLY>\n", "is XML or HTML, which a stream cannot read"),
    "XML without a prolog for lines": ("jsonl", b"<a/>", "is XML or HTML, which"),
    "rows of XML for CSV": ("csv", b"\n<rows>\n <row>SECRETLY</row></rows>", "is XML or HTML"),
    "feed for CSV": ("csv", b'<rss version="2.0"><channel>SECRETLY', "is XML or HTML"),
    "error of XML for CSV": ("csv", b"<error>SECRETLY</error>", "is XML or HTML"),
    "document type for CSV": ("csv", b"<!DOCTYPE rss>\n<rss>", "is XML or HTML"),
    "empty element for CSV": ("csv", b"<rows/>", "is XML or HTML"),
    "page": ("json", b"\n<!DOCTYPE html>SECRETLY", "is an HTML page, probably a login page"),
    "page for lines": ("jsonl", b"<html>\nSECRETLY", "is an HTML page, .* check base_url, path"),
    "page for CSV": ("csv", b"\n<html>SECRETLY</html>", "is an HTML page"),
    "object for CSV": ("csv", b'{"error": "SECRETLY"}', "is JSON; declare `format: json`"),
    "array for CSV": ("csv", b' [\n{"id": "SECRETLY"}]', "is JSON; declare `format: json`"),
    "empty array for CSV": ("csv", b"[]\n", "is JSON; declare `format: json`"),
    "array of arrays for CSV": ("csv", b'[["id"], [1]]', "is JSON; declare"),
    "array of numbers for CSV": ("csv", b"[1, 2]", "is JSON; declare"),
    "null for CSV": ("csv", b"null", "is JSON; declare"),
    "lines for CSV": ("csv", b'{"id": 1}\n{"id": "SECRETLY"}\n', "is JSON lines; declare"),
    "cells with commas": ("json", b'id,text\n1,"SECRETLY, b"\n', "is CSV; declare"),
    "cells with line breaks": ("jsonl", b'id,text\n1,"SECRETLY\nb"\n', "is CSV; declare"),
    "UTF-16": ("json", '[{"id": "SECRETLY"}]'.encode("utf-16"), "is UTF-16 text; ask the API"),
    "UTF-16 without a mark": ("json", "[1]".encode("utf-16-be"), "is UTF-16 text; ask"),
    "UTF-16 lines": ("jsonl", '{"id": 1}\n'.encode("utf-16-le"), "is UTF-16 text; ask"),
    "UTF-16 for CSV": ("csv", "id,text\n".encode("utf-16"), "UTF-16.* declare `encoding: utf-16`"),
    "guard": ("json", b')]}\',\n{"id": 1, "a": 2}', "is JSON behind a guard"),
    "guard of a loop": ("json", b'for(;;);[{"id": 1}]', "is JSON behind a guard"),
    "workbook": ("json", b"PK\x03\x04SECRETLY", "is a ZIP archive or an Excel workbook, which"),
}


@pytest.mark.parametrize(("kind", "body", "words"), NEVER_VALID.values(), ids=NEVER_VALID)
def test_answer_of_another_format_is_asked_for_once(kind, body, words, *, source, read, api):
    api.answers(Reply(body))
    with pytest.raises(HotjarSchemaError, match=words) as caught:
        read(source({"format": kind}))
    assert "SECRETLY" not in str(caught.value)
    assert len(api.sent) == 1


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize("body", [b"id,text\r\n", b"id\n1\n2\n"], ids=["header", "one column"])
def test_csv_that_could_be_any_text_is_known_by_its_media_type(kind, body, source, read, api):
    api.answers(Reply(body, headers={"Content-Type": "Text/CSV; charset=utf-8"}))
    with pytest.raises(HotjarSchemaError, match="is CSV; declare `format: csv`"):
        read(source({"format": kind}))
    assert len(api.sent) == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("csv", b'{"error": "SECRETLY"}'),
        ("csv", b"<error>SECRETLY</error>"),
        ("jsonl", b"<html>SECRETLY"),
    ],
    ids=["JSON", "XML", "HTML"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_answer_of_another_format_empties_no_table(pack, kind, body, *, connect, api, tmp_path):
    store = StreamStore(tmp_path / "warehouse.duckdb")
    api.answers(Reply(b"id\n1\n" if kind == "csv" else b'{"id": "1"}\n'), Reply(pack(body)))
    client = connect(source_of(api.url, {"name": "rows", "path": "/rows", "format": kind}), {})
    sync = StreamSync(client, StreamTable.of(client.source, "rows"))
    assert not sync.run(store.warehouse).failed
    (failure,) = sync.run(store.warehouse).failed.values()
    assert str(failure).startswith("body: is ")
    assert "SECRETLY" not in str(failure)
    assert store.query("SELECT id FROM acme.rows") == [("1",)]
    assert len(api.sent) == 2


@pytest.mark.parametrize("body", [b"", b" \r\n\n"], ids=repr)
def test_csv_without_a_header_line_has_no_records(body, source, read, api):
    api.answers(Reply(body))
    assert records(read(source({"format": "csv"}))) == []


@pytest.mark.parametrize("header", ["[id],[text]", "[id]", "<id>", "(id)"])
def test_header_with_brackets_is_a_csv(header, source, read, api):
    row = ",".join("1" for _ in header.split(","))
    api.answers(Reply(f"{header}\n{row}\n".encode()))
    assert records(read(source({"format": "csv"}))) == [dict.fromkeys(header.split(","), "1")]


@pytest.mark.parametrize("body", [b'[{"id": 1}, {"id": ', b"", b"busy, try later"], ids=repr)
def test_answer_that_may_be_whole_the_next_time_is_asked_for_again(body, source, read, api):
    api.answers(Reply(body), json_reply([{"id": 1}]))
    assert records(read(source())) == [{"id": 1}]
    assert len(api.sent) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("json", gzip.compress(b'[{"id": "1"}]')),
        ("csv", gzip.compress(b"id\n1\n")),
        ("jsonl", gzip.compress(b'{"id":') + gzip.compress(b' "1"}\n')),
    ],
    ids=["JSON", "CSV", "two parts"],
)
def test_gzip_is_known_by_its_first_bytes(kind, body, source, read, api):
    api.answers(Reply(body, headers={"Content-Type": "application/octet-stream"}))
    assert records(read(source({"format": kind}))) == [{"id": "1"}]


def test_gzip_that_is_cut_off_is_asked_for_again(source, read, api):
    whole = gzip.compress(b'[{"id": 1}]')
    api.answers(Reply(whole[:-9]), Reply(whole))
    assert records(read(source())) == [{"id": 1}]
    assert len(api.sent) == 2


def test_gzip_is_not_unpacked_beyond_what_an_answer_may_have(source, connect, api):
    api.answers(Reply(gzip.compress(b" " * 1024**2 + b"[]")))
    client = connect(source(), {}, limits=Limits(answer_mb=2))
    with pytest.raises(HotjarLimitError, match=r"unpacked answer is .*HOTJAR_MAX_ANSWER"):
        list(client.iter_pages(client.source.streams[0]))
    assert len(api.sent) == 1


def test_header_that_begins_with_a_bracket_is_no_page_of_a_browser(source, read, api):
    api.answers(Reply(b"<id>,<text>\n1,a\n"))
    assert records(read(source({"format": "csv"}))) == [{"<id>": "1", "<text>": "a"}]


def test_fields_of_objects_become_those_of_the_record(source, read, api):
    inner = {"name": "a", "by": {"id": 7, "at": None}}
    api.answers(json_reply([{"id": 1, "of": inner, "n": 2}, {"id": 2, "of": None}, {"of": [3]}]))
    assert records(read(source({"flatten": ["of", "of_by"]}))) == [
        {"id": 1, "of_name": "a", "of_by_id": 7, "of_by_at": None, "n": 2},
        {"id": 2},
        {"of": [3]},
    ]


@pytest.mark.parametrize("record", [{"of_a": 1, "of": {"a": 2}}, {"of": {"a": 2}, "of_a": 1}])
def test_fields_of_objects_replace_no_others(record, source, read, api):
    api.answers(json_reply([record]))
    with pytest.raises(HotjarSchemaError, match="a field of of would have the name of another"):
        read(source({"flatten": ["of"]}))


def test_metadata_of_the_root_is_kept(source, read, api):
    api.answers(json_reply({"data": [{"id": 1}], "meta": {"run": 7}}))
    (page,) = read(source({**IN_DATA, "metadata": {"run": "$.meta.run", "none": "$.meta.no"}}))
    assert page.metadata == {"run": 7, "none": None}


def test_metadata_that_selects_several_values_is_refused(source, read, api):
    made = source({**IN_DATA, "metadata": {"batch": "$.data[*].id"}})
    api.answers(rows(1), rows(2, 2), rows("SECRETLY", 3))
    read(made)
    (page,) = read(made)
    assert page.metadata == {"batch": 2}
    with pytest.raises(HotjarSchemaError, match=r"\$\.data\[\*\]\.id: selects several") as caught:
        read(made)
    assert "SECRETLY" not in str(caught.value)
    assert len(api.sent) == 3


@pytest.mark.parametrize("body", [{"data": []}, {"data": None}], ids=str)
def test_empty_list_is_no_records(body, source, read, api):
    api.answers(json_reply(body))
    assert records(read(source(IN_DATA))) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"items": []}, r"\$\.data: is not in the answer; .* list: \$\.\.data\[\*\]\)"),
        ({"data": "none"}, r"\$\.data: is a single value"),
        ({"data": [[{"id": 1}]]}, r"records\[0\]: is a list"),
        ({"data": [{"id": 1}, "SECRETLY"]}, r"records\[1\]: is a single value"),
        ({"rows": {"items": [{"id": 1}]}}, r"\$\.data.*; the answer has \$\.rows\.items\[\*\] \["),
        ([{"id": 1}], r"\$\.data.*; the answer has \$\[\*\] \["),
        ({"SECRETLY@example.com": [{"id": 1}]}, r"\$\.data: is not in the answer"),
    ],
    ids=["missing", "text", "nested", "mixed", "further down", "at the root", "by a value"],
)
def test_answer_without_the_records_is_no_empty_list(body, words, source, read, api):
    api.answers(json_reply(body))
    with pytest.raises(HotjarSchemaError, match=words) as caught:
        read(source(IN_DATA))
    assert caught.value.url == f"{api.url}/v1/things"
    assert "SECRETLY" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"data": [{"id": 1}]}', r"is an object and .*; the answer has \$\.data\[\*\] \["),
        (b'{"a": {"id": 1}, "b": {"id": 2}}', r"is an object and .* `\$\.\*`: its values are"),
        (b"{}", "is an object and not a list"),
        (b"null", "is null and not a list"),
    ],
    ids=["list inside", "objects", "empty", "null"],
)
def test_answer_that_is_no_list_is_no_list_of_its_values(body, words, source, read, api):
    api.answers(Reply(body))
    with pytest.raises(HotjarSchemaError, match=rf"^\$: {words}"):
        read(source())
    assert len(api.sent) == 1


def test_values_of_an_object_are_records_where_the_yaml_says_so(source, read, api):
    api.answers(json_reply({"a": {"id": 1}, "b": {"id": 2}}))
    assert records(read(source({"records": "$.*"}))) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("data", [None, {}, {"things": None}], ids=str)
@pytest.mark.parametrize(
    "path", ["$.data.things[*]", "$..things[*]", "$.data.things[?@.id > 1]"], ids=str
)
def test_errors_in_place_of_the_records_are_no_empty_list(path, data, source, connect, api):
    api.answers(*[json_reply({"data": data, "errors": [{"message": "SECRETLY"}]})] * 2)
    made = source({"records": path})
    with pytest.raises(HotjarSchemaError, match="the answer has `errors`") as caught:
        list(connect(made, {}).iter_pages(made.streams[0]))
    assert "SECRETLY" not in str(caught.value)
    shown: list[ShownAnswer] = []
    with pytest.raises(HotjarSchemaError):
        list(connect(made, {}, on_unusable=shown.append).iter_pages(made.streams[0]))
    assert [each.begin.count("SECRETLY") for each in shown] == [1]
    assert len(api.sent) == 2


@pytest.mark.parametrize("things", [[{"id": 1}], []], ids=str)
def test_errors_beside_records_are_warned_of_once(things, source, connect, api, caplog):
    partial = {"data": {"things": things}, "errors": [{"message": "SECRETLY"}]}
    api.answers(json_reply(partial), json_reply(partial))
    made = source({"records": "$.data.things[*]"})
    client = connect(made, {})
    for _ in range(2):
        assert records(client.iter_pages(made.streams[0])) == things
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warnings == [
        "acme.things: an answer has `errors` beside its records, so that some may be missing"
    ]
    assert len(api.sent) == 2


@pytest.mark.parametrize("errors", [[], None, "none"], ids=repr)
def test_errors_that_are_none_say_nothing(errors, source, read, api, caplog):
    api.answers(rows(errors=errors))
    assert records(read(source(IN_DATA))) == []
    assert "errors" not in caplog.text


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_no_content_is_no_records(kind, source, read, api):
    api.answers(Reply(status=204))
    assert records(read(source({**IN_DATA, "format": kind}))) == []


def test_list_that_an_api_leaves_out_when_empty_can_be_asked_for(source, read, api):
    api.answers(json_reply({}))
    assert records(read(source({"records": "$..data[*]"}))) == []


# --- Pagination --------------------------------------------------------------------------------


MORE = {
    "cursor": {"type": "cursor", "selector": "$.next", "parameter": "p"},
    "page": {"type": "page", "parameter": "p"},
    "offset": {"type": "offset", "parameter": "p"},
    "link": {"type": "link", "selector": "$.url"},
}


def asked(api, name, place="query"):
    return [
        sent.query.get(name) if place == "query" else sent.headers.get(name) for sent in api.sent
    ]


@pytest.mark.parametrize("place", ["query", "header"])
def test_cursor_is_followed(place, source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "X-After", "place": place}
    api.answers(rows(1, next="a b"), rows(next=7), rows(2, next=""))
    pages = read(source({**IN_DATA, "pagination": paging}))
    assert [[row["id"] for row in page.records] for page in pages] == [[1], [], [2]]
    assert asked(api, "X-After", place) == [None, "a b", "7"]


def test_cursor_may_stand_in_the_body(source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after", "place": "body"}
    api.answers(rows(1, next="A"), rows(2))
    read(source({**IN_DATA, "method": "POST", "body": {"x": 1}, "pagination": paging}))
    assert [sent.body for sent in api.sent] == [b'{"x": 1}', b'{"x": 1, "after": "A"}']


def test_cursor_may_stand_inside_of_the_body(source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "place": "body"}
    body = {"query": "q", "variables": {"first": 1}}
    made = source(
        {
            **IN_DATA,
            "method": "POST",
            "body": body,
            "pagination": {**paging, "parameter": "variables.page.after"},
        }
    )
    api.answers(rows(1, next="A"), rows(2, next="B"), rows(3))
    read(made)
    assert [json.loads(sent.body) for sent in api.sent] == [
        body,
        {"query": "q", "variables": {"first": 1, "page": {"after": "A"}}},
        {"query": "q", "variables": {"first": 1, "page": {"after": "B"}}},
    ]


@pytest.mark.parametrize("cursor", [7, 1700000000.25, "7", "1.50"], ids=repr)
def test_cursor_goes_back_as_it_came(cursor, source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after"}
    api.answers(rows(1, next=cursor), rows(2), rows(1, next=cursor), rows(2))
    read(source({**IN_DATA, "pagination": paging}))
    read(source({**IN_DATA, "method": "POST", "pagination": {**paging, "place": "body"}}))
    assert asked(api, "after")[:2] == [None, str(cursor)]
    assert json.loads(api.sent[3].body) == {"after": cursor}


def test_cursor_may_be_the_last_record(source, read, api):
    paging = {"type": "cursor", "selector": "$.data[-1].id", "parameter": "starting_after"}
    api.answers(rows("a", "b"), rows("c"), rows())
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 3
    assert asked(api, "starting_after") == [None, "b", "c"]


def test_cursor_that_selects_several_values_is_refused(source, read, api):
    paging = {"type": "cursor", "selector": "$.data[*].id", "parameter": "starting_after"}
    api.answers(rows("a", "b"))
    with pytest.raises(HotjarSchemaError, match="selects several values that differ"):
        read(source({**IN_DATA, "pagination": paging}))
    assert asked(api, "starting_after") == [None]


FILTERED = [
    ({"type": "page", "parameter": "p"}, "p", ["1", "2", "3", "4"]),
    ({"type": "offset", "limit": 2}, "offset", ["0", "2", "4", "5"]),
]


@pytest.mark.parametrize(("paging", "parameter", "sent"), FILTERED, ids=["page", "offset"])
@pytest.mark.parametrize("at_root", [True, False], ids=["at the root", "in data"])
def test_page_whose_records_are_all_filtered_out_is_not_the_last(
    paging, parameter, sent, at_root, *, source, read, api
):
    numbers = [[1, 2], [4, 6], [5], []]
    pages = [[{"id": n, "open": n % 2 == 1} for n in page] for page in numbers]
    api.answers(*(json_reply(page if at_root else {"data": page}) for page in pages))
    path = "$[?@.open == true]" if at_root else "$.data[?@.open == true]"
    found = records(read(source({"records": path, "pagination": paging})))
    assert [record["id"] for record in found] == [1, 5]
    assert asked(api, parameter) == sent


UNCOUNTED = ["$..[?@.open == true]", "$.data[?@.open == true] | $.more[?@.open == true]"]


@pytest.mark.parametrize("path", UNCOUNTED)
@pytest.mark.parametrize("kind", ["page", "offset"])
def test_filter_that_hides_the_end_of_the_pages_is_refused(path, kind, source):
    with pytest.raises(ValueError, match="which hides whether a page is empty"):
        source({"records": path, "pagination": MORE[kind]})


@pytest.mark.parametrize("path", UNCOUNTED)
@pytest.mark.parametrize(
    ("kind", "field"),
    [("page", "total_pages"), ("page", "has_more"), ("offset", "next_offset")],
    ids=["total_pages", "has_more", "next_offset"],
)
def test_filter_is_taken_anywhere_where_the_answer_tells_the_end(
    path, kind, field, *, source, read, api
):
    pages = [
        {
            "data": [{"id": number, "open": number != 1}],
            "more": [],
            "total_pages": 3,
            "has_more": end is not None,
            "next_offset": end,
        }
        for number, end in enumerate([2, 4, None])
    ]
    api.answers(*map(json_reply, pages))
    made = source({"records": path, "pagination": {**MORE[kind], field: f"$.{field}"}})
    assert [record["id"] for record in records(read(made))] == [0, 2]
    assert len(api.sent) == 3


def test_filtered_pages_without_end_are_noticed(source, read, api):
    replies = [
        json_reply({"data": [{"id": 1, "asked_at": number}], "next": f"c{number}"})
        for number in range(20)
    ]
    api.answers(*replies)
    paging = {"type": "cursor", "selector": "$.next", "parameter": "p"}
    path = "$.data[?@.id == 2]"
    with pytest.raises(HotjarPaginationError, match="pages in a row hold what came before"):
        read(source({"records": path, "primary_key": ["id"], "pagination": paging}))
    assert len(api.sent) <= MAX_REPEATED_PAGES + 2


def test_cursor_may_be_in_a_header(source, read, api):
    paging = {"type": "cursor", "header": "X-Next", "parameter": "after"}
    data = {"data": [{"id": 1}]}
    api.answers(json_reply(data, x_next="A B"), json_reply(data, X_Next=""))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "after") == [None, "A B"]


def test_cursor_that_repeats_raises(source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after"}
    api.answers(rows(1, next="A"), rows(2, next="A"), rows(3, next="A"))
    with pytest.raises(HotjarPaginationError, match="repeats"):
        read(source({**IN_DATA, "pagination": paging}))
    assert asked(api, "after") == [None, "A", "A"]


@pytest.mark.parametrize("kind", ["cursor", "link", "offset"])
def test_last_page_that_names_itself_is_asked_for_once_more(kind, source, read, api):
    paging = {**MORE[kind], **({"next_offset": "$.next"} if kind == "offset" else {})}
    pages = [(1, 2), (2, 3), (3, 3), (3, 3)]
    api.answers(*(rows(n, next=after, url=f"/v1/things?p={after}") for n, after in pages))
    found = records(read(source({**IN_DATA, "pagination": paging})))
    assert [record["id"] for record in found] == [1, 2, 3]
    assert asked(api, "p")[1:] == ["2", "3", "3"]


ALIKE = [[{"v": 0}], *[[{"v": 1}, {"v": 1}]] * 7, [{"v": 0}]]


@pytest.mark.parametrize(
    "kind", ["page", "offset", "cursor", "link", "total_pages", "has_more"], ids=str
)
def test_rows_that_are_alike_are_all_kept(kind, source, read, api):
    paging = MORE[kind if kind in MORE else "page"]
    paging |= {"total_pages": "$.pages"} if kind == "total_pages" else {}
    paging |= {"has_more": "$.more"} if kind == "has_more" else {}
    bodies = [
        {
            "data": page,
            "next": number,
            "url": f"/v1/things?p={number}",
            "pages": len(ALIKE),
            "more": number < len(ALIKE),
        }
        for number, page in enumerate(ALIKE, start=1)
    ]
    for name in ("next", "url"):
        bodies[-1][name] = None
    api.answers(*map(json_reply, bodies), rows())
    assert records(read(source({**IN_DATA, "pagination": paging}))) == [*chain(*ALIKE)]
    assert len(api.sent) == len(ALIKE) + (kind in {"page", "offset"})


def test_pages_that_the_answer_counts_are_all_read(source, read, api):
    api.answers(*[rows(1, pages=9)] * 9)
    paging = {**MORE["page"], "total_pages": "$.pages"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 9
    assert asked(api, "p") == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize("kind", ["cursor", "link"])
def test_last_page_again_and_again_with_a_new_cursor_is_no_silent_end(kind, source, read, api):
    api.answers(*(rows(min(n, 3), next=n, url=f"/v1/things?p={n}") for n in range(1, 20)))
    with pytest.raises(HotjarPaginationError, match="name `total_pages` or `has_more`"):
        read(source({**IN_DATA, "pagination": MORE[kind]}))
    assert len(api.sent) == 3 + MAX_REPEATED_PAGES


def test_cursor_that_is_none_raises(source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after"}
    api.answers(rows(1, next={"SECRETLY": 1}))
    with pytest.raises(HotjarSchemaError, match=r"\$\.next: is neither text nor a number"):
        read(source({**IN_DATA, "pagination": paging}))


@pytest.mark.parametrize("place", ["query", "header"])
@pytest.mark.parametrize("start", [0, 1])
def test_pages_are_counted_until_one_is_empty(place, start, source, read, api):
    paging = {"type": "page", "parameter": "X-Page", "start": start, "place": place}
    api.answers(rows(1, 2), rows(3), rows())
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 3
    assert asked(api, "X-Page", place) == [str(start + n) for n in range(3)]


@pytest.mark.parametrize("start", [0, 1])
def test_total_pages_ends_the_count(start, source, read, api):
    paging = {"type": "page", "parameter": "p", "start": start, "total_pages": "$.pages"}
    api.answers(rows(1, pages=3), rows(pages="3"), rows(2, pages=3))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "p") == [str(start + n) for n in range(3)]


ENDLESS = {
    "one page for ever": lambda _: [{"id": 1}, {"id": 2}],
    "two pages for ever": lambda number: [{"id": number % 2}],
    "one page with the time of the answer in it": lambda number: [{"id": 1, "asked_at": number}],
}


@pytest.mark.parametrize("content", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize(
    "paging",
    [
        {"type": "page", "parameter": "p"},
        {"type": "offset"},
        {"type": "cursor", "selector": "$.next", "parameter": "p"},
        {"type": "link", "selector": "$.url"},
    ],
    ids=lambda paging: paging["type"],
)
def test_pages_without_end_are_noticed(paging, content, source, read, api):
    replies = [
        json_reply({"data": content(number), "next": f"c{number}", "url": f"/v1/x?p={number}"})
        for number in range(20)
    ]
    api.answers(*replies)
    with pytest.raises(HotjarPaginationError, match="pages in a row hold what came before"):
        read(source({**IN_DATA, "primary_key": ["id"], "pagination": paging}))
    assert len(api.sent) <= MAX_REPEATED_PAGES + 2


def test_status_that_ends_the_pages_ends_them(source, read, api):
    paging = {"type": "page", "parameter": "p", "end_status": 404}
    api.answers(rows(1), error(404))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 1
    api.answers(error(404))
    with pytest.raises(HotjarNotFoundError):
        read(source({**IN_DATA, "pagination": paging}))


def test_page_that_is_gone_is_an_error_by_default(source, read, api):
    api.answers(rows(1), error(404))
    with pytest.raises(HotjarNotFoundError, match="page 2"):
        read(source({**IN_DATA, "pagination": {"type": "page", "parameter": "p"}}))


@pytest.mark.parametrize("place", ["query", "header"])
def test_offset_counts_the_rows_read(place, source, read, api):
    paging = {"type": "offset", "parameter": "O", "limit_parameter": "L", "limit": 2}
    api.answers(rows(1, 2), rows(3), rows())
    read(source({**IN_DATA, "pagination": {**paging, "place": place}}))
    assert asked(api, "O", place) == ["0", "2", "3"]
    assert asked(api, "L", place) == ["2"] * 3


def test_next_offset_is_taken_from_the_answer(source, read, api):
    paging = {"type": "offset", "limit_parameter": None, "next_offset": "$.paging.next"}
    api.answers(rows(1, paging={"next": 40}), rows(paging={"next": "80"}), rows(2, paging={}))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert [sent.query for sent in api.sent] == [
        {"offset": "0"},
        {"offset": "40"},
        {"offset": "80"},
    ]


@pytest.mark.parametrize("end", [None, "", 0, "0", -1, "-1", False, [], {}], ids=repr)
@pytest.mark.parametrize(
    "paging",
    [
        {"type": "cursor", "selector": "$.next", "parameter": "offset"},
        {"type": "offset", "next_offset": "$.next", "limit_parameter": None},
        {"type": "link", "selector": "$.next"},
    ],
    ids=lambda paging: paging["type"],
)
def test_what_stands_for_no_next_page_ends_the_listing(paging, end, source, read, api):
    following = "/v1/things?offset=7" if paging["type"] == "link" else 7
    api.answers(rows(1, next=following), rows(2, next=end))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert [sent.query.get("offset") for sent in api.sent][1:] == ["7"]


@pytest.mark.parametrize("end", ["0", "-1", "false", "null"])
def test_header_that_stands_for_no_next_page_ends_the_listing(end, source, read, api):
    api.answers(json_reply([{"id": 1}], X_Next=end))
    paging = {"type": "cursor", "header": "X-Next", "parameter": "after"}
    assert len(records(read(source({"pagination": paging})))) == 1
    assert asked(api, "after") == [None]


@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize(
    ("selector", "body"),
    [
        ("$['next-cursor']", lambda number, end: {"data": [{"id": number}], "next-cursor": end}),
        ("$.page[0].next", lambda number, end: {"data": [{"id": number}], "page": [{"next": end}]}),
    ],
    ids=["in quotes", "of another list"],
)
def test_zero_is_an_end_wherever_it_is_no_id(selector, body, end, *, source, read, api):
    paging = {"type": "cursor", "selector": selector, "parameter": "after"}
    api.answers(json_reply(body(1, "a")), json_reply(body(2, end)))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "after") == [None, "a"]


@pytest.mark.parametrize("selector", ["$[-1].id", "$[0].id"])
def test_zero_is_an_id_of_a_list_at_the_root(selector, source, read, api):
    paging = {"type": "cursor", "selector": selector, "parameter": "after"}
    api.answers(json_reply([{"id": 0}]), json_reply([]))
    assert len(records(read(source({"pagination": paging})))) == 1
    assert asked(api, "after") == [None, "0"]


@pytest.mark.parametrize("written", ["1700000000.10", "1.000", "1E3", "12345678901234567890.5"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_number_goes_back_as_it_is_written(written, pack, source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after"}
    api.answers(Reply(pack(b'{"data": [{"id": 1}], "next": %s}' % written.encode())), rows(2))
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "after") == [None, written]


def test_long_number_goes_back_as_a_number_in_a_body(source, read, api):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "after", "place": "body"}
    api.answers(Reply(b'{"data": [{"id": 1}], "next": 12345678901234567890123}'), rows(2))
    read(source({**IN_DATA, "method": "POST", "pagination": paging}))
    assert json.loads(api.sent[1].body) == {"after": 12345678901234567890123}


@pytest.mark.parametrize("total", [2, 2.0, "2", "2.0"], ids=repr)
def test_number_of_pages_may_be_written_as_a_decimal(total, source, read, api):
    api.answers(rows(1, pages=total), rows(2, pages=total))
    paging = {"type": "page", "parameter": "p", "total_pages": "$.pages"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "p") == ["1", "2"]


def test_zero_is_a_cursor_where_it_is_the_id_of_a_record(source, read, api):
    paging = {"type": "cursor", "selector": "$.data[-1].id", "parameter": "after"}
    api.answers(rows(0), rows(1), rows())
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "after") == [None, "0", "1"]


@pytest.mark.parametrize("end", [False, "false", 0, "N", "no"], ids=repr)
@pytest.mark.parametrize("kind", MORE)
def test_boolean_beside_the_cursor_ends_the_listing(kind, end, source, read, api):
    urls = [f"/v1/things?p={number}" for number in range(2)]
    api.answers(
        rows(1, next="a", url=urls[0], has_more=True), rows(2, next="b", url=urls[1], has_more=end)
    )
    paging = {**MORE[kind], "has_more": "$.has_more"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert len(api.sent) == 2


def test_page_without_records_is_not_the_end_where_there_are_more(source, read, api):
    api.answers(rows(1, more=True), rows(more=True), rows(2, more=False))
    paging = {"type": "page", "parameter": "p", "has_more": "$.more"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "p") == ["1", "2", "3"]


def test_boolean_that_an_answer_leaves_out_says_nothing(source, read, api):
    api.answers(rows(1, next="a", more=True), rows(2, next="b"), rows())
    paging = {**MORE["cursor"], "has_more": "$.more"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert asked(api, "p") == [None, "a", "b"]


@pytest.mark.parametrize("kind", ["cursor", "offset", "link"])
def test_more_records_without_a_cursor_are_an_error(kind, source, read, api):
    api.answers(rows(more=True))
    paging = {**MORE[kind], "has_more": "$.more"}
    with pytest.raises(HotjarPaginationError, match="has_more` is true and the answer has nothing"):
        read(source({**IN_DATA, "pagination": paging}))
    assert len(api.sent) == 1


def test_what_is_no_boolean_is_refused(source, read, api):
    api.answers(rows(1, next="a", more="SECRETLY"))
    paging = {**MORE["cursor"], "has_more": "$.more"}
    with pytest.raises(HotjarSchemaError, match=r"\$\.more: is neither true nor false") as caught:
        read(source({**IN_DATA, "pagination": paging}))
    assert "SECRETLY" not in str(caught.value)


def test_empty_page_with_a_repeated_cursor_ends_the_listing(source, read, api):
    api.answers(rows(1, next="a"), rows(2, next="b"), rows(next="b"))
    assert len(records(read(source({**IN_DATA, "pagination": MORE["cursor"]})))) == 2
    assert asked(api, "p") == [None, "a", "b"]


def test_last_page_again_with_its_cursor_ends_the_listing(source, read, api):
    api.answers(rows(1, next="a"), rows(2, next="b"), rows(2, next="b"))
    pages = read(source({**IN_DATA, "pagination": MORE["cursor"]}))
    assert [record["id"] for record in records(pages)] == [1, 2]
    assert asked(api, "p") == [None, "a", "b"]


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_last_page_again_and_again_ends_the_listing(kind, source, read, api):
    api.answers(rows(1), rows(2), *[rows(3)] * 20)
    pages = read(source({**IN_DATA, "pagination": MORE[kind]}))
    assert [record["id"] for record in records(pages)] == [1, 2, 3]
    assert len(api.sent) == 3 + MAX_REPEATED_PAGES


def test_equal_pages_before_others_are_kept(source, read, api):
    api.answers(rows(1), rows(2), rows(2), rows(2), rows(3), rows())
    pages = read(source({**IN_DATA, "pagination": MORE["page"]}))
    assert [record["id"] for record in records(pages)] == [1, 2, 2, 2, 3]
    assert len(api.sent) == 6


def test_offset_that_repeats_does_not_loop(source, read, api):
    paging = {"type": "offset", "next_offset": "$.next"}
    api.answers_always(rows(1, next=40))
    with pytest.raises(HotjarPaginationError):
        read(source({**IN_DATA, "pagination": paging}))
    assert len(api.sent) == 2


def linked(link, *ids):
    return json_reply({"data": [{"id": each} for each in ids]}, Link=link)


def test_links_are_followed(source, read, api):
    first = f'<{api.url}/v1/x>; rel="prev", <{api.url}/v1/things?after=a%20b&per=2>; rel="next"'
    api.answers(linked(first, 1), linked('</v1/more?after=3>; rel="last next"', 2), rows(3))
    made = source(
        {**IN_DATA, "query": {"per": 2}, "pagination": {"type": "link"}}, authentication=QUERY_KEY
    )
    assert len(records(read(made, VARIABLES))) == 3
    assert [(sent.path, sent.query) for sent in api.sent] == [
        ("/v1/things", {"per": "2", "api_key": SECRET}),
        ("/v1/things", {"after": "a b", "per": "2", "api_key": SECRET}),
        ("/v1/more", {"after": "3", "api_key": SECRET}),
    ]


def test_link_may_be_a_field_of_the_answer(source, read, api):
    api.answers(rows(1, next=f"{api.url}/v1/things?page=2"), rows(2, next=None))
    paging = {"type": "link", "selector": "$.next"}
    assert len(records(read(source({**IN_DATA, "pagination": paging})))) == 2
    assert [sent.query for sent in api.sent] == [{}, {"page": "2"}]


def test_link_to_another_host_is_refused(source, read, api, elsewhere):
    api.answers(linked(f'<{elsewhere.url}/v1/things?page=2>; rel="next"', 1))
    with pytest.raises(HotjarPaginationError, match="on another host") as caught:
        read(source({**IN_DATA, "pagination": {"type": "link"}}, authentication=BEARER), VARIABLES)
    assert caught.value.page == 1
    assert elsewhere.sent == []


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("http://api.example.com/v1/x?page=2", "https://api.example.com/v1/x?page=2"),
        ("http://api.example.com:80/v1/x", "https://api.example.com/v1/x"),
        ("https://api.example.com/v1/x", "https://api.example.com/v1/x"),
        ("http://api.example.com:443/v1/x", "https://api.example.com/v1/x"),
        ("http://api.example.com:8080/v1/x", None),
        ("http://evil.example.com/v1/x", None),
    ],
)
def test_link_of_another_scheme_is_followed_over_https(link, followed):
    assert followed_from("https://api.example.com/v1/x?page=1", link) == followed


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("http://api.example.com:8443/v1/x", "https://api.example.com:8443/v1/x"),
        ("http://api.example.com/v1/x", "https://api.example.com:8443/v1/x"),
        ("http://api.example.com:8444/v1/x", None),
    ],
)
def test_link_of_another_scheme_keeps_the_port(link, followed):
    assert followed_from("https://api.example.com:8443/v1/x?page=1", link) == followed


def followed_from(url: str, link: str) -> str | None:
    """Return the URL that is followed from a page, None if it is refused."""
    paging = {"type": "link", "selector": "$.next"}
    stream = Stream.model_validate({"name": "x", "path": "/x", "pagination": paging})
    answer = Answer(200, b"", {}, {}, url)
    with suppress(HotjarPaginationError):
        return next_cursor(stream, None, document={"next": link}, rows=1, answer=answer)
    return None


@pytest.mark.parametrize("link", ["http://[x", "http://127.0.0.1:port/"])
def test_link_that_is_no_url_is_refused(link, source, read, api):
    api.answers(rows(1, next=link))
    with pytest.raises(HotjarPaginationError, match="is an invalid URL"):
        read(source({**IN_DATA, "pagination": {"type": "link", "selector": "$.next"}}))


def test_offset_that_is_no_number_is_refused(source, read, api):
    api.answers(rows(1, next="SECRETLY"))
    with pytest.raises(HotjarSchemaError, match=r"\$\.next: is not a whole number"):
        read(source({**IN_DATA, "pagination": {"type": "offset", "next_offset": "$.next"}}))


def test_links_in_a_circle_raise(source, read, api):
    api.answers_always(linked('</v1/things?page=2>; rel="next"', 1))
    with pytest.raises(HotjarPaginationError, match="repeats"):
        read(source({**IN_DATA, "pagination": {"type": "link"}}))


# --- Incremental, pace, cancelling -------------------------------------------------------------

NOON = datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "since", "sent"),
    [
        ("timestamp", NOON, "1769860800"),
        ("milliseconds", NOON, "1769860800999"),
        ("%Y-%m-%dT%H:%M:%SZ", NOON, "2026-01-31T12:00:00Z"),
        ("%d.%m.%Y", NOON.astimezone(timezone(timedelta(hours=14))), "31.01.2026"),
        ("timestamp", NOON.replace(tzinfo=None), "1769860800"),
        ("timestamp", date(2026, 1, 31), "1769817600"),
        ("timestamp", "2026-01-31T12:00:00Z", "1769860800"),
        ("timestamp", 17, "17"),
        ("timestamp", 17.0, "17"),
        ("timestamp", "1769860800.5", "1769860800.5"),
        ("%Y-%m-%dT%H:%M:%SZ", "version-7", "version-7"),
        ("timestamp", None, "1767225600"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["query", "header"])
def test_value_to_read_from_is_sent(form, since, sent, place, *, source, read, api):
    api.answers(json_reply([]))
    new = {"cursor": "at", "parameter": "X-Since", "place": place, "format": form}
    made = source({"primary_key": ["id"], "incremental": {**new, "start": "2026-01-01"}})
    read(made, since=since)
    assert asked(api, "X-Since", place) == [sent]


@pytest.mark.parametrize("form", ["timestamp", "milliseconds"])
def test_text_is_not_sent_as_a_number(form, source, read, api):
    new = {"cursor": "at", "parameter": "since", "format": form, "start": "{{ begin }}"}
    made = source(
        {"primary_key": ["id"], "incremental": new},
        parameters=[{"name": "begin", "default": "SECRETLY"}],
    )
    for since in (None, "SECRETLY"):
        with pytest.raises(HotjarConfigError, match=r"incremental\.format is") as caught:
            read(made, since=since)
        assert "SECRETLY" not in str(caught.value)
    assert api.sent == []


def test_start_may_be_a_parameter(source, read, api):
    new = {"cursor": "at", "parameter": "since", "format": "%Y", "start": "{{ from_day }}"}
    made = source(
        {"primary_key": ["id"], "incremental": new},
        parameters=[{"name": "from_day", "type": "date"}],
    )
    api.answers(json_reply([]), json_reply([]))
    read(made, {"ACME_FROM_DAY": "2025-06-30"})
    read(made)
    assert asked(api, "since") == ["2025", None]


def test_nothing_is_sent_without_a_parameter(source, read, api):
    api.answers(json_reply([]))
    read(source({"primary_key": ["id"], "incremental": {"cursor": "at"}}), since=NOON)
    assert api.sent[0].query == {}


def test_requests_are_paced(source, connect, api, time):
    api.answers(rows(1), rows(2), rows())
    paging = {"type": "page", "parameter": "p"}
    made = source({**IN_DATA, "pagination": paging}, requests_per_minute=60)
    client = connect(made, {})
    list(client.iter_pages(made.streams[0]))
    assert time.slept == [pytest.approx(60 / (60 * 0.99))] * 2
    assert client.requests_sent == 3


@pytest.mark.parametrize(
    ("fields", "told", "slept"),
    [({}, "240", [240]), ({}, "301", []), ({"max_wait_seconds": 5}, "6", [])],
    ids=["minutes", "too long", "set lower"],
)
def test_reader_waits_the_minutes_that_the_api_asks_for(
    fields, told, slept, *, source, connect, api, time
):
    api.answers(error(429, Retry_After=told), json_reply([{"id": 1}]))
    made = source(requests_per_minute=6_000_000, **fields)
    client = connect(made, {})
    if slept:
        assert records(client.iter_pages(made.streams[0])) == [{"id": 1}]
    else:
        with pytest.raises(HotjarRateLimitError, match=f"asks to wait {told} s, which is too"):
            list(client.iter_pages(made.streams[0]))
    assert [seconds for seconds in time.slept if seconds > 1] == slept
    assert len(api.sent) == 1 + len(slept)


def test_cancelled_reader_stops_waiting(source, connect, api):
    api.answers(error(429, Retry_After="50"), json_reply([]))
    made = source()
    client = connect(made, {}, sleep=lambda _: True)
    with pytest.raises(HotjarTransportError, match="cancelled"):
        list(client.iter_pages(made.streams[0]))


def test_cancelling_is_taken_back_by_resume(source, connect, api):
    api.answers(json_reply([]), json_reply([]))
    made = source(requests_per_minute=6000)
    client = connect(made, {}, sleep=None)
    list(client.iter_pages(made.streams[0]))
    client.cancel()
    with pytest.raises(HotjarTransportError, match="cancelled"):
        list(client.iter_pages(made.streams[0]))
    client.resume()
    list(client.iter_pages(made.streams[0]))


def test_nothing_is_requested_before_a_page_is_asked_for(source, connect, api):
    made = source(authentication=OAUTH)
    client = connect(made, VARIABLES)
    client.iter_pages(made.streams[0])
    assert api.sent == []
