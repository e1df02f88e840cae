"""The export over HTTP: the login, the lists, and a download that gets no credentials."""

import io
import json
import logging
import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from hotjar_assets.api.auth import Credentials, LoginAnswer
from hotjar_assets.api.insights import InsightsClient
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStatusError,
    HotjarStoreError,
    HotjarTransportError,
    HotjarUnknownSurveyError,
)
from hotjar_assets_tests.api.model import SITE_ID, SURVEY_ID, FakeTime
from hotjar_assets_tests.api.scripted_server import (
    NO_ANSWER,
    Reply,
    ScriptedServer,
    Sent,
    error,
    json_reply,
)

EMAIL, PASSWORD, SESSION = "ada+hotjar@example.com", "p@ss/word 7", "session-1"
BROWSER = f"for-{SESSION}"
LOGIN_PATH = "/api/v2/users"
POLL = f"/api/v1/sites/{SITE_ID}/polls/{SURVEY_ID}"
EXPORT = f"/api/ask/v3/sites/{SITE_ID}/polls/{SURVEY_ID}/responses/export"
QUESTIONS = json_reply([{"id": 7, "title": "Why?", "type": "long-text"}])
CSV = Reply(
    b"Number,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,Why?\r\n"
    b"1,,2026-01-31 09:00:00,MT,,desktop,Chrome,Linux,u1,Because\r\n"
)
Connect = Callable[..., InsightsClient]


def logged_in(session: str = SESSION, **fields: Any) -> Reply:
    reply = json_reply({"success": True, **fields}, Set_Cookie=f"ACC={session}; Path=/; HttpOnly")
    # The same name to HTTP, and another one to a dict.
    second = {"set-cookie": f"browser=for-{session}; Path=/; SameSite=Lax"}
    return replace(reply, headers={**reply.headers, **second})


def cookies_of(session: str) -> str:
    """Return what requests after such a login carry as cookies."""
    return f"ACC={session}; browser=for-{session}"


def link(server: ScriptedServer, path: str = "/file.csv?signature=s3cret") -> Reply:
    return json_reply({"download_url": server.url + path})


@pytest.fixture
def connect(time: FakeTime, api: ScriptedServer) -> Iterator[Connect]:
    with ExitStack() as opened:

        def connected(**options: Any) -> InsightsClient:
            defaults: dict[str, Any] = {"site_ids": (SITE_ID,), "requests_per_minute": math.inf}
            client = InsightsClient(
                api.url,
                email=EMAIL,
                password=PASSWORD,
                sleep=time.sleep,
                clock=time.clock,
                **(defaults | options),
            )
            opened.callback(client.close)
            return client

        yield connected


@pytest.fixture
def client(connect: Connect) -> InsightsClient:
    return connect()


def read(client: InsightsClient, **options: Any) -> list[Any]:
    pages = client.iter_response_pages(SITE_ID, SURVEY_ID, **options)
    return [response for page in pages for response in page.results]


# --- The login ---------------------------------------------------------------------------------


def test_a_login_sends_what_the_site_itself_sends(client, api):
    api.answers(logged_in())

    client.authenticate()

    (sent,) = api.sent
    assert (sent.method, sent.target) == ("POST", LOGIN_PATH)
    assert sent.headers["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {
        "action": "login",
        "email": EMAIL,
        "password": PASSWORD,
        "remember": False,
    }


def test_further_requests_carry_the_session_and_all_cookies_of_the_login(client, api):
    later = json_reply([], Set_Cookie="ACC=of-another-answer; Path=/")
    api.answers(logged_in(), later, json_reply([]))

    assert [list(client.iter_surveys(SITE_ID)) for _ in range(2)] == [[], []]

    login, *further = api.sent
    assert (login.headers["X-Acc"], login.headers["Cookie"]) == (None, None)
    assert [sent.headers["X-Acc"] for sent in further] == [SESSION, SESSION]
    assert [sent.headers["Cookie"] for sent in further] == [cookies_of(SESSION)] * 2


def test_an_answer_without_json_is_a_login_if_it_sets_the_cookie(client, api):
    cookie = {"Set-Cookie": f"ACC={SESSION}; Path=/"}
    api.answers(Reply(b"", 200, cookie), json_reply([]))

    assert client.list_surveys() == []


def test_a_session_that_ran_out_is_replaced_once(client, api):
    api.answers(logged_in("old"), error(401), logged_in("new"), json_reply([]))

    client.list_surveys()

    assert [sent.headers["X-Acc"] for sent in api.sent] == [None, "old", None, "new"]
    old, new = cookies_of("old"), cookies_of("new")
    assert [sent.headers["Cookie"] for sent in api.sent] == [None, old, None, new]


def test_a_cookie_that_the_next_login_does_not_set_is_not_sent_again(client, api):
    without_second = json_reply({}, Set_Cookie="ACC=new; Path=/")
    api.answers(logged_in("old"), error(401), without_second, json_reply([]))

    client.list_surveys()

    assert api.sent[-1].headers["Cookie"] == "ACC=new"


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_elsewhere_gets_neither_session_nor_cookies(status, client, api, elsewhere):
    api.answers(logged_in(), Reply(status=status, headers={"Location": f"{elsewhere.url}/there"}))

    with pytest.raises(HotjarStatusError, match="redirected to another host"):
        client.list_surveys()

    assert elsewhere.sent == []


def test_a_redirect_within_the_host_keeps_session_and_cookies(client, api):
    api.answers(logged_in(), Reply(status=302, headers={"Location": "/there"}), json_reply([]))

    assert client.list_surveys() == []

    assert api.sent[-1].path == "/there"
    assert api.sent[-1].headers["X-Acc"] == SESSION
    assert api.sent[-1].headers["Cookie"] == cookies_of(SESSION)


def test_a_cookie_of_another_domain_is_not_taken(client, api):
    foreign = {"Set-Cookie": "ACC=s; Path=/", "set-cookie": "a=b; Domain=example.com; Path=/"}
    api.answers(Reply(b"{}", headers=foreign), json_reply([]))

    client.list_surveys()

    assert api.sent[-1].headers["Cookie"] == "ACC=s"


def test_a_cookie_that_no_header_can_hold_is_an_error_that_does_not_show_it(client, api):
    unusable = {"Set-Cookie": "ACC=s; Path=/", "set-cookie": "other=se\x81cret; Path=/"}
    api.answers(Reply(b"{}", headers=unusable))

    with pytest.raises(HotjarSchemaError, match="in the login's answer") as caught:
        client.list_surveys()

    assert "cret" not in str(caught.value)
    assert [sent.path for sent in api.sent] == [LOGIN_PATH]


REFUSALS = {
    "401": error(401),
    "403": error(403),
    "422": error(422),
    "no-cookie": json_reply({"success": False}),
    "sso": json_reply({"sso_required": True}),
    "cookie-but-second-factor": logged_in(two_factor_required=True),
    "cookie-but-status": logged_in(status="2fa_pending"),
    "cookie-but-saml": logged_in(error="SAML login only"),
    "redirected": Reply(status=302, headers={"Location": "https://sso.invalid/login"}),
    "empty": Reply(b""),
    "page": Reply(b"<html>log in</html>"),
}


@pytest.mark.parametrize("reply", REFUSALS.values(), ids=REFUSALS)
def test_a_login_that_is_not_enough_is_one_typed_error_and_never_sent_again(reply, client, api):
    api.answers(reply)

    for _ in range(2):
        with pytest.raises(HotjarAuthError, match="without SSO and 2FA") as caught:
            client.list_surveys()

    assert "only with e-mail and password" in str(caught.value)
    assert f"[POST {api.url}{LOGIN_PATH}]" in str(caught.value)
    assert [sent.path for sent in api.sent] == [LOGIN_PATH]


def test_a_profile_that_mentions_a_second_factor_is_no_refusal(client, api):
    api.answers(logged_in(two_factor_enabled=False, sso_available=True), json_reply([]))

    assert client.list_surveys() == []


# --- The lists ---------------------------------------------------------------------------------

SHAPES = {
    "bare": lambda items: items,
    "surveys": lambda items: {"surveys": items, "tags": []},
    "results": lambda items: {"results": items, "next_cursor": None},
    "any-name": lambda items: {"things": items, "count": len(items)},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_list_is_read_bare_and_in_an_envelope(shape, client, api):
    survey = {"id": 5, "name": "Checkout", "is_enabled": True, "mood": "good"}
    question = {"id": 7, "title": "Why?", "type": "long-text", "hidden": False}
    api.answers(logged_in(), json_reply(shape([survey])), json_reply(shape([question])))

    (read_survey,) = client.iter_surveys(SITE_ID)

    assert [sent.target for sent in api.sent[1:]] == [
        f"/api/v1/sites/{SITE_ID}/surveys",
        f"/api/v1/sites/{SITE_ID}/polls/5/questions",
    ]
    assert (read_survey.id, read_survey.name, read_survey.is_enabled) == ("5", "Checkout", True)
    assert (read_survey.site_id, read_survey.platform) == (SITE_ID, "hotjar")
    assert read_survey.extra == {"mood": "good", "questions[0].hidden": False}
    (asked,) = list(read_survey.questions or [])
    assert (asked.id, asked.text, asked.type, asked.position) == ("7", "Why?", "long-text", 0)


@pytest.mark.parametrize(
    "body",
    [{}, {"a": [], "b": []}, "text", {"results": [], "next_cursor": "more"}, [{"name": "no id"}]],
    ids=["no-list", "two-lists", "text", "further-pages", "no-id"],
)
def test_a_list_that_cannot_be_trusted_to_be_whole_is_an_error(body, client, api):
    api.answers(logged_in(), json_reply(body))

    with pytest.raises(HotjarSchemaError):
        client.list_surveys()


def test_a_survey_that_goes_while_the_surveys_are_listed_stops_no_other(client, api):
    api.answers(logged_in(), json_reply([{"id": 5}, {"id": 6}]), error(404), QUESTIONS)

    assert [survey.id for survey in client.iter_surveys(SITE_ID)] == ["6"]


def test_the_site_of_a_survey_is_found_by_asking(connect, api):
    client = connect(site_ids=("1", "2"))
    api.answers(logged_in(), error(404), json_reply({"poll": {"id": 5}}))

    assert client.find_site("5") == "2"
    assert [sent.path for sent in api.sent[1:]] == [
        "/api/v1/sites/1/polls/5",
        "/api/v1/sites/2/polls/5",
    ]


def test_a_survey_of_no_site_is_told_as_such(client, api):
    api.answers(logged_in(), error(404))

    with pytest.raises(HotjarUnknownSurveyError):
        client.find_site("5")


# --- The export --------------------------------------------------------------------------------


def test_an_export_is_two_requests_and_a_download_without_credentials(client, api, elsewhere):
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers(CSV)
    count = RequestCount()

    (response,) = read(client, count=count)

    assert [sent.path for sent in api.sent] == [LOGIN_PATH, f"{POLL}/questions", EXPORT]
    assert api.sent[2].query == {
        "survey_query": '{"sort_by":"-index","clauses":[]}',
        "format": "csv",
        "async_export": "false",
    }
    (download,) = elsewhere.sent
    assert (download.method, download.target) == ("GET", "/file.csv?signature=s3cret")
    assert sorted(name.lower() for name in download.headers) == [
        "accept",
        "accept-encoding",
        "connection",
        "host",
        "user-agent",
    ]
    assert SESSION not in str(download.headers)
    assert count.sent == 3
    assert (response.id, response.site_id, response.survey_id) == ("1", SITE_ID, SURVEY_ID)
    assert (response.platform, response.answers[0].question_id) == ("hotjar", "7")


def test_a_download_of_the_same_host_gets_no_credentials_either(client, api):
    api.answers(logged_in(), QUESTIONS, link(api), CSV)

    assert len(read(client)) == 1

    assert api.sent[3].path == "/file.csv"
    assert (api.sent[3].headers["X-Acc"], api.sent[3].headers["Cookie"]) == (None, None)


def test_the_query_of_the_settings_is_sent_and_filters_if_it_has_clauses(connect, api, elsewhere):
    query = '{"sort_by":"-index","clauses":[{"any":"thing"}]}'
    client = connect(survey_query=query)
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers(CSV)

    read(client)

    assert api.sent[2].query["survey_query"] == query
    assert client.is_filtered
    assert not connect(survey_query='{"sort_by":"index","clauses":[]}').is_filtered


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, "is missing"),
        ({"download_url": None}, "is missing"),
        ({"download_url": ""}, "is missing"),
        ([], "is missing"),
        ({"download_url": 5}, "is not an https URL"),
        ({"download_url": "/relative.csv"}, "is not an https URL"),
        ({"download_url": "http://files.invalid/a.csv"}, "is not an https URL"),
        ({"download_url": "ftp://127.0.0.1/a.csv"}, "is not an https URL"),
        ({"download_url": "https://files.invalid:port/a"}, "is not an https URL"),
        ({"download_url": "file:///a.csv"}, "is not an https URL"),
    ],
)
def test_an_export_without_a_usable_link_is_an_error_of_the_api(answer, problem, client, api):
    api.answers(logged_in(), QUESTIONS, json_reply(answer))

    with pytest.raises(HotjarApiError, match=f"download_url: {problem}") as caught:
        read(client)

    assert f"GET {api.url}{EXPORT}" in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        error(503),
        error(429),
        NO_ANSWER,
        Reply(CSV.body, end="cut"),
        Reply(CSV.body + b"x" * 9 * len(CSV.body), end="cut"),
    ],
    ids=["503", "429", "no-answer", "cut", "cut-after-more"],
)
def test_a_download_is_tried_again_from_its_start(fault, client, api, elsewhere):
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers(fault, fault, CSV)

    assert len(read(client)) == 1
    assert len(elsewhere.sent) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(503), HotjarServerError),
        (error(429), HotjarRateLimitError),
        (NO_ANSWER, HotjarTransportError),
        (error(404), HotjarNotFoundError),
        (error(403), HotjarAuthError),
        (error(401), HotjarAuthError),
    ],
    ids=["503", "429", "no-answer", "404", "403", "401"],
)
def test_a_download_that_fails_for_good_is_a_typed_error(fault, kind, client, api, elsewhere):
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers_always(fault)

    with pytest.raises(kind) as caught:
        read(client)

    assert len(elsewhere.sent) == (6 if kind.retryable else 1)
    assert "s3cret" not in str(caught.value)
    assert len(api.sent) == 3


def test_a_download_may_be_redirected_to_another_host_and_still_gets_nothing(
    client, api, elsewhere
):
    api.answers(
        logged_in(),
        QUESTIONS,
        link(api),
        Reply(status=302, headers={"Location": f"{elsewhere.url}/there"}),
    )
    elsewhere.answers(CSV)

    assert len(read(client)) == 1
    assert SESSION not in str(elsewhere.sent[0].headers)
    assert elsewhere.sent[0].headers["Cookie"] is None


def test_a_download_is_not_followed_to_where_anybody_could_read_it(client, api, elsewhere):
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers(Reply(status=302, headers={"Location": "http://files.invalid/a.csv"}))

    with pytest.raises(HotjarStatusError, match="redirected to a URL that is not https"):
        read(client)


def test_a_download_larger_than_the_bound_is_refused(client, elsewhere):
    elsewhere.answers(Reply(b"x" * 3_000_000))
    file = io.BytesIO()

    with pytest.raises(HotjarSchemaError, match="the answer is larger than 1 MiB"):
        client._transport.download(f"{elsewhere.url}/a", file, most_bytes=1024 * 1024)

    assert file.tell() <= 1024 * 1024


class FullDisk(io.BytesIO):
    """A file on a disk without room."""

    def write(self, *_: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_without_room_is_told_as_such(client, api, elsewhere):
    elsewhere.answers(CSV)

    with pytest.raises(HotjarStoreError, match="No space left on device"):
        client._transport.download(f"{elsewhere.url}/a", FullDisk())


def test_a_large_download_waits_in_a_file_of_the_folder_that_has_no_name(
    client, api, elsewhere, tmp_path, monkeypatch
):
    monkeypatch.setattr("hotjar_assets.api.insights.KEPT_IN_MEMORY_BYTES", 10)
    api.answers(logged_in(), QUESTIONS, link(elsewhere))
    elsewhere.answers(CSV)
    pages = client.iter_response_pages(SITE_ID, SURVEY_ID, folder=tmp_path)

    next(pages)

    assert list(tmp_path.iterdir()) == []
    # A folder that is not there shows that it is used.
    api.answers(QUESTIONS, link(elsewhere))
    elsewhere.answers(CSV)
    with pytest.raises(HotjarStoreError, match="the download cannot be kept"):
        read(client, folder=tmp_path / "missing")


# --- Secrets -----------------------------------------------------------------------------------

FAULTS = {
    "login": ([error(401)], None),
    "echo": ([json_reply({"error": f"{EMAIL} {PASSWORD}"}, 400)], None),
    "lists": ([logged_in(), json_reply(f"{EMAIL} {PASSWORD} {SESSION}")], None),
    "session": ([logged_in(), error(401), logged_in(), error(401)], None),
    "cookies": (
        [logged_in(), json_reply({"error": BROWSER}, 404, X_Request_Id=cookies_of(SESSION))],
        None,
    ),
    "request-id": ([logged_in(), error(404, X_Request_Id=f"{SESSION} {EMAIL} {PASSWORD}")], None),
    "download": ([logged_in(), QUESTIONS], error(403)),
    "file": ([logged_in(), QUESTIONS], Reply(f"{EMAIL},{PASSWORD}".encode())),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_fault_shows_the_login(fault, client, api, elsewhere, caplog):
    answers, download = fault
    caplog.set_level(logging.DEBUG)
    api.answers(*answers, *([link(elsewhere)] if download else []))
    elsewhere.answers_always(download or error(500))

    with pytest.raises(HotjarError) as caught:
        read(client)

    shown = "\n".join(
        [
            repr(caught.value),
            repr(vars(caught.value)),
            *traceback.format_exception(caught.value),
            repr(client),
            repr(client._transport._auth),
            caplog.text,
        ]
    )
    assert "DEBUG" in shown
    assert [secret for secret in (EMAIL, PASSWORD, SESSION, BROWSER) if secret in shown] == []


def test_cookies_that_another_thread_replaced_in_the_meantime_are_not_shown(client, api):
    auth = client._transport._auth

    def refuse(_sent: Sent) -> Reply:
        cookies = {"X-Acc": SESSION, "Cookie": cookies_of(SESSION)}
        auth.renew(Credentials(cookies), lambda _: LoginAnswer({}, {"ACC": "new"}))
        return error(409, X_Request_Id=f"{SESSION} {BROWSER}")

    api.answers(logged_in(), refuse)

    with pytest.raises(HotjarStatusError, match=r"\(HTTP 409\).*… …"):
        client.list_surveys()

    assert auth.secrets() == (EMAIL, PASSWORD, "new", "new")
