"""Contentsquare's API: its login, where the login may lead, its paths, what its refusals mean."""

import json
import math
from contextlib import nullcontext

import pytest

from hotjar_assets.api.auth import Credentials
from hotjar_assets.api.dialects import CONTENTSQUARE, HOTJAR
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.api.transport import Transport
from hotjar_assets.errors import (
    HotjarAuthError,
    HotjarNotFoundError,
    HotjarSchemaError,
    HotjarUnknownSurveyError,
)
from hotjar_assets_tests.api.model import CLIENT_ID, CLIENT_SECRET, response_row, survey_row
from hotjar_assets_tests.api.scripted_server import TOKEN_PATH, error, json_reply, page
from hotjar_assets_tests.conftest import NetworkBlockedError

PROJECT_ID = "2001"
UUID = "5f0c2a52-7c1e-4d58-9f6b-0f8d1f1b9a11"
SURVEY_ID = f"survey_{UUID}"
SURVEYS_PATH = f"/v1/public/projects/{PROJECT_ID}/surveys"


def granted(token="jwt-1", **fields):
    return json_reply({"access_token": token, "token_type": "bearer", "expires_in": 3600, **fields})


@pytest.fixture
def connect(connect):
    """Return what makes a client of a project."""

    def connected(*args, **options):
        return connect(*args, **{"dialect": CONTENTSQUARE, "site_ids": (PROJECT_ID,), **options})

    return connected


@pytest.fixture
def client(connect):
    return connect()


def read_survey(client):
    return client.get_survey(PROJECT_ID, SURVEY_ID)


# --- The login ---------------------------------------------------------------------------------


def test_login_is_json_with_scope_and_project(client, api):
    client.authenticate()
    (sent,) = api.sent
    assert (sent.method, sent.target, sent.token) == ("POST", TOKEN_PATH, None)
    assert sent.headers["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": "surveys",
        "project_id": int(PROJECT_ID),
    }


def test_a_project_whose_id_is_no_number_is_named_as_it_is(connect, api):
    client = connect(site_ids=("a-project",))
    client.authenticate()
    assert json.loads(api.sent[0].body)["project_id"] == "a-project"


def test_a_survey_of_another_account_is_told_with_what_to_do(client, api):
    api.answers(error(404))
    with pytest.raises(HotjarUnknownSurveyError) as raised:
        client.find_site("101")
    assert "'101' is not in the project 2001, nor in the database" in str(raised.value)
    assert "set HOTJAR_DATABASE to the file with its rows" in str(raised.value)
    assert "delete its partition" in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_named_with_their_likely_reasons(status, client, api):
    api.grants([error(status)])
    with pytest.raises(HotjarAuthError) as caught:
        read_survey(client)
    for words in [
        "secret is wrong",
        "HOTJAR_PROJECT_ID",
        "expired (they are valid for one year; make new ones in Contentsquare)",
        "Responses API is not enabled",
    ]:
        assert words in str(caught.value)
    assert len(api.sent) == 1


EXPIRED = json_reply(
    {"success": False, "errorMessage": "of jwt-1", "errorCode": "JWT_EXPIRED"}, status=401
)


def test_an_expired_token_is_replaced_and_the_request_sent_again(client, api):
    api.answers(EXPIRED, json_reply(survey_row(SURVEY_ID)))

    assert read_survey(client).id == SURVEY_ID

    path = f"{SURVEYS_PATH}/{SURVEY_ID}"
    assert [(sent.path, sent.token) for sent in api.data_requests] == [
        (path, "token-1"),
        (path, "token-2"),
    ]
    assert len(api.token_requests) == 2


def test_a_token_that_is_expired_at_once_is_told_by_the_code_of_the_api(client, api):
    api.answers_always(EXPIRED)

    with pytest.raises(HotjarAuthError, match="JWT_EXPIRED") as caught:
        read_survey(client)

    assert caught.value.error_code == "JWT_EXPIRED"
    assert "jwt-1" not in str(caught.value)
    assert len(api.data_requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, HotjarAuthError, ["two tokens in a row", "in Contentsquare"]),
        (403, HotjarAuthError, ["Pro plan", "web projects only", "enabled for the project"]),
        (404, HotjarNotFoundError, ["no such project or survey", "check HOTJAR_PROJECT_ID"]),
    ],
)
def test_refusal_says_what_it_means_here(status, kind, words, client, api):
    api.answers_always(error(status))
    with pytest.raises(kind) as caught:
        read_survey(client)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "Hotjar's" not in str(caught.value)


# --- Its paths and rows ------------------------------------------------------------------------


def test_paths_are_those_of_a_project(client, api):
    api.answers(page(survey_row(SURVEY_ID)), json_reply(survey_row(SURVEY_ID)), page())
    list(client.iter_surveys(PROJECT_ID))
    read_survey(client)
    list(client.iter_response_pages(PROJECT_ID, SURVEY_ID))
    assert [(sent.path, sent.query, sent.token) for sent in api.data_requests] == [
        (SURVEYS_PATH, {"limit": "100", "with_questions": "true"}, "token-1"),
        (f"{SURVEYS_PATH}/{SURVEY_ID}", {}, "token-1"),
        (f"{SURVEYS_PATH}/{SURVEY_ID}/responses", {"limit": "100"}, "token-1"),
    ]


def test_surveys_and_responses_are_marked_with_platform_and_project(client, api):
    question = {"id": f"question_{UUID}_a1b2c3", "type": "nps"}
    api.answers(
        json_reply(
            survey_row(SURVEY_ID, type="mobile_popover", language="fr", questions=[question], new=1)
        ),
        page(response_row("r1", answers=[{"question_id": question["id"], "answer": "9"}])),
    )
    survey = read_survey(client)
    ((response,),) = [page.results for page in client.iter_response_pages(PROJECT_ID, SURVEY_ID)]
    assert (survey.id, survey.type, survey.language) == (SURVEY_ID, "mobile_popover", "fr")
    assert [each.id for each in survey.questions or ()] == [question["id"]]
    for record in (survey, response):
        assert (record.site_id, record.platform) == (PROJECT_ID, "contentsquare")


# --- Where the login leads ---------------------------------------------------------------------


@pytest.mark.parametrize("named", [{}, {"endpoint": None}, {"endpoint": ""}], ids=str)
def test_login_that_names_no_endpoint_leads_nowhere_else(named, client, api):
    api.grants([granted(**named)])
    api.answers(json_reply(survey_row()))
    read_survey(client)
    assert [sent.token for sent in api.data_requests] == ["jwt-1"]


def test_endpoint_on_the_same_host_is_followed(connect, api, elsewhere):
    api.grants([granted(endpoint=f"{elsewhere.url}/eu/")])
    elsewhere.answers(json_reply(survey_row()), page())
    client = connect()
    read_survey(client)
    list(client.iter_surveys(PROJECT_ID))
    assert [sent.path for sent in api.sent] == [TOKEN_PATH]
    assert [(sent.path, sent.token) for sent in elsewhere.sent] == [
        (f"/eu{SURVEYS_PATH}/{SURVEY_ID}", "jwt-1"),
        (f"/eu{SURVEYS_PATH}", "jwt-1"),
    ]


def test_tokens_are_renewed_where_the_first_one_came_from(connect, api, elsewhere):
    api.grants([granted("jwt-1", endpoint=elsewhere.url), granted("jwt-2", endpoint=api.url)])
    elsewhere.answers(error(401))
    api.answers(json_reply(survey_row()))
    read_survey(connect())
    assert [(sent.path, sent.token) for sent in api.sent] == [
        (TOKEN_PATH, None),
        (TOKEN_PATH, None),
        (f"{SURVEYS_PATH}/{SURVEY_ID}", "jwt-2"),
    ]
    assert [sent.token for sent in elsewhere.sent] == ["jwt-1"]


@pytest.mark.parametrize(
    "host",
    ["api.eu-west-1.production.contentsquare.com", "CONTENTSQUARE.com:8443"],
    ids=["region", "port"],
)
def test_endpoint_under_contentsquare_is_followed(host, client, api, blocked_attempts):
    """The network is out of reach: that this host was looked up is what can be seen."""
    api.grants([granted(endpoint=f"https://{host}")])
    with pytest.raises(NetworkBlockedError):
        read_survey(client)
    assert blocked_attempts == [host.partition(":")[0].lower()]
    blocked_attempts.clear()
    assert [sent.path for sent in api.sent] == [TOKEN_PATH]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://example.com",
        "https://contentsquare.com.example.com",
        "https://notcontentsquare.com",
        "http://api.contentsquare.com",
        "https://api.contentsquare.com@example.com",
        "https://example.com\\.contentsquare.com",
        "https://example.com#.contentsquare.com",
        "https://example.com?.contentsquare.com",
        "https://api.contentsquare.com:port",
        "https://[api.contentsquare.com",
        "//api.contentsquare.com",
        "api.contentsquare.com",
        "file:///etc/passwd",
        "ftp://127.0.0.1",
        "http://127.0.0.2",
        "https://",
        "\nhttps://api.contentsquare.com",
        ["https://api.contentsquare.com"],
        42,
    ],
    ids=str,
)
def test_endpoint_anywhere_else_gets_no_token(endpoint, client, api):
    api.grants([granted(endpoint=endpoint)])
    for ask in (client.authenticate, lambda: read_survey(client)):
        with pytest.raises(HotjarSchemaError, match=r"endpoint: .* gets no credentials") as caught:
            ask()
        assert "host of HOTJAR_API_URL" in str(caught.value)
        assert "example.com" not in str(caught.value)
    assert not caught.value.retryable
    assert [sent.path for sent in api.sent] == [TOKEN_PATH]


class LoggedIn:
    """An account that is logged in and was told where to go."""

    refused = "never"

    def __init__(self, endpoint):
        self.told = Credentials({"Authorization": "Bearer jwt-1"}, endpoint=endpoint)

    def secrets(self):
        return ("jwt-1",)

    def credentials(self, _send):
        return self.told

    def renew(self, _rejected, _send):
        return None

    def may_have_expired(self, _rejected):
        return False


@pytest.mark.parametrize(
    ("endpoint", "is_followed"),
    [
        ("https://gateway.example", True),
        ("https://gateway.example:8443/eu", True),
        ("http://gateway.example", False),
        ("https://other.example", False),
        ("https://api.contentsquare.com", True),
    ],
)
def test_token_of_an_https_address_stays_on_https(endpoint, is_followed):
    transport = Transport(
        "https://gateway.example",
        auth=LoggedIn(endpoint),
        advice=CONTENTSQUARE.advice,
        pacer=Pacer(math.inf),
        domain=CONTENTSQUARE.domain,
    )
    with nullcontext() if is_followed else pytest.raises(HotjarSchemaError):
        transport.authenticate()


def test_hotjar_names_no_endpoint_and_one_is_not_followed(connect, api, elsewhere):
    api.grants([granted(endpoint=elsewhere.url)])
    api.answers(json_reply(survey_row()))
    read_survey(connect(dialect=HOTJAR))
    assert len(api.data_requests) == 1
    assert elsewhere.sent == []
