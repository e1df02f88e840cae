"""Tokens: asked for once, kept, renewed, and never asked for again where that cannot help."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from threading import Barrier
from urllib.parse import parse_qs

import pytest

from hotjar_assets.errors import (
    HotjarAuthError,
    HotjarBodyError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStatusError,
)
from hotjar_assets_tests.api.model import (
    CLIENT_ID,
    CLIENT_SECRET,
    RESPONSES_PATH,
    SITE_ID,
    SURVEY_ID,
    SURVEY_PATH,
    response_row,
    survey_row,
)
from hotjar_assets_tests.api.scripted_server import (
    TOKEN_PATH,
    Reply,
    error,
    json_reply,
    page,
    token_reply,
)

READERS = 8


def read_survey(client):
    return client.get_survey(SITE_ID, SURVEY_ID)


def read_pages(client):
    return list(client.iter_response_pages(SITE_ID, SURVEY_ID))


# --- The token request -------------------------------------------------------------------------


def test_token_request_is_a_form(client, api):
    client.authenticate()
    (sent,) = api.sent
    assert (sent.method, sent.target) == ("POST", TOKEN_PATH)
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(sent.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": [CLIENT_ID],
        "client_secret": [CLIENT_SECRET],
    }


def test_token_request_carries_no_token(client, api):
    client.authenticate()
    assert api.sent[0].token is None


def test_client_requests_nothing_before_a_call(client, api):
    client.iter_response_pages(SITE_ID, SURVEY_ID)
    client.iter_surveys(SITE_ID)
    assert api.sent == []


def test_every_request_carries_the_one_token(client, api):
    api.answers_always(json_reply(survey_row()))
    for _ in range(3):
        read_survey(client)
    assert len(api.token_requests) == 1
    assert [sent.token for sent in api.data_requests] == ["token-1"] * 3


# --- Its lifetime ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "fresh_seconds", "stale_seconds"),
    [
        (3600, 3500, 3590),
        (120, 100, 115),
        (20, 10, 19),
        ("3600", 3500, 3590),
        (1800.5, 1700, 1795),
        (None, 3500, 3590),
        ("soon", 3500, 3590),
        ([3600], 3500, 3590),
        (10**400, 3500, 3590),
    ],
    ids=["hour", "short", "shorter", "text", "float", "null", "word", "list", "beyond-a-double"],
)
def test_token_is_replaced_shortly_before_it_expires(
    *, expires_in, fresh_seconds, stale_seconds, client, api, time
):
    api.grants([token_reply("first", expires_in), token_reply("second", expires_in)])
    api.answers_always(json_reply(survey_row()))
    read_survey(client)
    time.advance(fresh_seconds)
    read_survey(client)
    time.advance(stale_seconds - fresh_seconds)
    read_survey(client)
    assert [sent.token for sent in api.data_requests] == ["first", "first", "second"]


def test_token_that_does_not_say_lives_an_hour(client, api, time):
    api.grants([json_reply({"access_token": "first"}), token_reply("second")])
    api.answers_always(json_reply(survey_row()))
    read_survey(client)
    time.advance(3500)
    read_survey(client)
    time.advance(90)
    read_survey(client)
    assert [sent.token for sent in api.data_requests] == ["first", "first", "second"]


def test_token_is_replaced_between_two_pages_when_it_expires_there(client, api, time):
    api.answers(page(response_row("r1"), next_cursor="A"), page(response_row("r2")))
    pages = client.iter_response_pages(SITE_ID, SURVEY_ID)
    next(pages)
    time.advance(3600)
    next(pages)
    assert [(sent.cursor, sent.token) for sent in api.data_requests] == [
        (None, "token-1"),
        ("A", "token-2"),
    ]


# --- A token that the API rejects --------------------------------------------------------------


def test_rejected_token_is_renewed_and_the_same_page_asked_for_again(client, api):
    api.answers(page(response_row("r1"), next_cursor="A"), error(401), page(response_row("r2")))
    pages = read_pages(client)
    assert [row.id for page in pages for row in page.results] == ["r1", "r2"]
    assert [(sent.path, sent.cursor, sent.token) for sent in api.data_requests] == [
        (RESPONSES_PATH, None, "token-1"),
        (RESPONSES_PATH, "A", "token-1"),
        (RESPONSES_PATH, "A", "token-2"),
    ]
    assert len(api.token_requests) == 2


def test_renewal_is_no_try_and_waits_for_nothing(client, api, time):
    api.answers(error(401), json_reply(survey_row()))
    read_survey(client)
    assert time.slept == []


def test_second_rejection_is_final(client, api):
    api.answers(page(response_row(), next_cursor="A"), error(401), error(401))
    with pytest.raises(HotjarAuthError, match="two tokens in a row; check the API key") as caught:
        read_pages(client)
    assert (caught.value.status, caught.value.page) == (401, 2)
    assert not caught.value.retryable
    assert [sent.cursor for sent in api.data_requests] == [None, "A", "A"]


def test_each_page_may_have_its_token_renewed(client, api):
    api.answers(
        error(401), page(response_row("r1"), next_cursor="A"), error(401), page(response_row("r2"))
    )
    read_pages(client)
    assert [sent.token for sent in api.data_requests] == [
        "token-1",
        "token-2",
        "token-2",
        "token-3",
    ]


def test_fault_after_a_renewal_is_tried_again_with_the_new_token(client, api):
    api.answers(error(401), error(500), json_reply(survey_row()))
    read_survey(client)
    assert [sent.token for sent in api.data_requests] == ["token-1", "token-2", "token-2"]


def test_forbidden_renews_nothing(client, api):
    api.answers(error(403))
    with pytest.raises(HotjarAuthError):
        read_survey(client)
    assert len(api.token_requests) == 1


def test_readers_rejected_together_ask_for_one_new_token(client, api):
    everybody = Barrier(READERS)

    def reject_all_at_once(sent):
        assert sent.token == "token-1"
        everybody.wait(timeout=20)
        return error(401)

    client.authenticate()
    api.answers(*[reject_all_at_once] * READERS, *[json_reply(survey_row())] * READERS)
    with ThreadPoolExecutor(READERS) as pool:
        surveys = list(pool.map(read_survey, [client] * READERS))
    assert [survey.id for survey in surveys] == [SURVEY_ID] * READERS
    assert len(api.token_requests) == 2
    assert [sent.token for sent in api.data_requests[READERS:]] == ["token-2"] * READERS


def test_readers_that_start_together_ask_for_one_token(client, api):
    api.answers_always(json_reply(survey_row()))
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read_survey, [client] * READERS))
    assert len(api.token_requests) == 1


# --- A token that is not given -----------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_key_is_named_with_its_likely_reasons(status, client, api):
    api.grants([error(status, X_Request_Id="req-7")])
    with pytest.raises(HotjarAuthError) as caught:
        read_survey(client)
    assert caught.value.status == status
    assert not caught.value.retryable
    for words in ["API key was refused", "secret is wrong", "expired", "make a new one", "req-7"]:
        assert words in str(caught.value)
    assert f"POST {api.url}{TOKEN_PATH}" in str(caught.value)


def test_refused_key_is_remembered(client, api):
    api.grants([error(401)])
    for _ in range(3):
        with pytest.raises(HotjarAuthError, match="API key was refused"):
            read_survey(client)
    assert len(api.sent) == 1


def test_refused_key_is_tried_once_by_all_readers(client, api):
    api.grants([error(401)])

    def refused(_):
        with pytest.raises(HotjarAuthError, match="API key was refused"):
            read_survey(client)
        return True

    with ThreadPoolExecutor(READERS) as pool:
        assert list(pool.map(refused, range(READERS))) == [True] * READERS
    assert len(api.sent) == 1


def test_remembered_refusal_keeps_no_trace_of_those_who_met_it(client, api):
    api.grants([error(401)])
    depths = []
    for _ in range(5):
        with pytest.raises(HotjarAuthError) as caught:
            read_survey(client)
        depths.append(len(caught.traceback))
    assert len(set(depths[1:])) == 1


def test_key_refused_in_mid_paging_is_final(client, api):
    api.grants([token_reply("token-1"), error(401)])
    api.answers(page(response_row(), next_cursor="A"), error(401))
    with pytest.raises(HotjarAuthError, match="API key was refused") as caught:
        read_pages(client)
    assert caught.value.page == 2
    assert len(api.data_requests) == 2


def test_token_request_is_tried_again_when_that_can_help(client, api, time):
    api.grants([error(500), error(429, Retry_After="3"), token_reply("late")])
    api.answers(json_reply(survey_row()))
    read_survey(client)
    assert [sent.path for sent in api.sent] == [TOKEN_PATH] * 3 + [SURVEY_PATH]
    assert [sent.body for sent in api.token_requests] == [api.sent[0].body] * 3
    assert time.slept[1] == 3
    assert api.data_requests[0].token == "late"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(503), HotjarServerError),
        (Reply(b'{"access_token": "t'), HotjarBodyError),
        (Reply(b"[]"), HotjarBodyError),
        (Reply(b"\xff"), HotjarBodyError),
    ],
    ids=["503", "cut off", "list", "not-utf-8"],
)
def test_token_endpoint_that_stays_broken_is_tried_six_times(reply, kind, client, api):
    api.grants(repeat(reply))
    with pytest.raises(kind, match="after 6 tries") as caught:
        read_survey(client)
    assert TOKEN_PATH in str(caught.value)
    assert len(api.sent) == 6


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"\n<!doctype html><p>SECRETLY", "HTML or XML"),
        (b"\xef\xbb\xbf<a>SECRETLY</a>", "HTML or XML"),
        (b"access_token=SECRETLY&token_type=bearer\n", "a form"),
    ],
    ids=["HTML", "XML", "form"],
)
def test_token_endpoint_of_another_format_gets_the_secret_once(body, what, client, api):
    api.grants([Reply(body)])
    words = f"is {what} and not JSON; check the token path {TOKEN_PATH} and HOTJAR_API_URL"
    with pytest.raises(HotjarSchemaError, match=words) as caught:
        read_survey(client)
    assert f"[POST {api.url}{TOKEN_PATH}]" in str(caught.value)
    assert "SECRETLY" not in str(caught.value)
    assert [sent.path for sent in api.sent] == [TOKEN_PATH]


def test_next_reader_asks_anew_after_a_token_endpoint_that_was_broken(client, api):
    api.grants(chain(repeat(error(503), 6), [token_reply("late")]))
    api.answers(json_reply(survey_row()))
    with pytest.raises(HotjarServerError):
        read_survey(client)
    assert read_survey(client).id == SURVEY_ID


def test_missing_token_endpoint_is_no_missing_survey(client, api):
    api.grants([error(404)])
    with pytest.raises(HotjarStatusError, match="check HOTJAR_API_URL") as caught:
        client.find_site(SURVEY_ID)
    assert caught.value.status == 404
    assert len(api.sent) == 1


@pytest.mark.parametrize(
    "answer",
    [{}, {"access_token": None}, {"access_token": ""}, {"access_token": 5}],
    ids=["absent", "null", "empty", "number"],
)
def test_answer_without_a_token_is_refused(answer, client, api):
    api.grants([json_reply(answer)])
    with pytest.raises(HotjarSchemaError, match="access_token: missing") as caught:
        read_survey(client)
    assert f"[POST {api.url}{TOKEN_PATH}]" in str(caught.value)
    assert len(api.sent) == 1


def test_token_answer_may_begin_with_a_byte_order_mark(client, api):
    api.grants([Reply(b"\xef\xbb\xbf" + token_reply("marked").body)])
    api.answers(json_reply(survey_row()))
    read_survey(client)
    assert api.data_requests[0].token == "marked"
