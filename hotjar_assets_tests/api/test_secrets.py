"""No secret, no token and nothing a respondent wrote gets into a message, a repr or the log."""

import logging
import time
import traceback
from urllib.parse import quote, quote_plus

import pytest

from hotjar_assets.api.auth import Credentials, Login, LoginAnswer
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.errors import HotjarApiError
from hotjar_assets_tests.api.model import CLIENT_ID, CLIENT_SECRET, SITE_ID, SURVEY_ID, response_row
from hotjar_assets_tests.api.scripted_server import (
    NO_ANSWER,
    Reply,
    error,
    json_reply,
    page,
    token_reply,
)

TOKEN = "token+with/signs"
ANSWER = "my knee hurts"
SECRETS = (CLIENT_SECRET, quote(CLIENT_SECRET, safe=""), quote_plus(CLIENT_SECRET))
HIDDEN = (*SECRETS, TOKEN, ANSWER)
ECHO = " ".join([*SECRETS, TOKEN])


def echo(status, text=ECHO):
    said = {"error": text, "error_description": text, "message": text}
    return json_reply(said, status, X_Request_Id=f"req {text}")


def assert_hidden(text):
    assert [secret for secret in HIDDEN if secret in text] == []


def fail(client):
    """Read until it fails; return all that anybody could print of the error."""
    with pytest.raises(HotjarApiError) as caught:
        list(client.iter_response_pages(SITE_ID, SURVEY_ID))
    shown = caught.value
    return "\n".join(
        [str(shown), repr(shown), repr(vars(shown)), *traceback.format_exception(shown)]
    )


FAULTS = {
    "400": echo(400),
    "401": echo(401),
    "403": echo(403),
    "404": echo(404),
    "429": echo(429),
    "500": echo(500),
    "no-answer": NO_ANSWER,
    "cut": Reply(page(response_row(browser=ANSWER)).body, end="cut"),
    "half": Reply(page(response_row(browser=ANSWER)).body[:-3]),
    "text": json_reply(f"{ANSWER} {ECHO}"),
    "list": json_reply([ANSWER, ECHO]),
    "no-results": json_reply({"answer": ANSWER, "echo": ECHO}),
    "bad-id": page(response_row({"answer": ANSWER})),
    "bad-time": page({"id": "r1", "created_time": ANSWER}),
    "bad-row": page(ANSWER),
    "bad-cursor": page(next_cursor=[ANSWER, ECHO]),
    "redirect": Reply(status=307, headers={"Location": f"http://{quote(ECHO)}@x.invalid/{ANSWER}"}),
    "redirect-circle": Reply(status=307, headers={"Location": f"?{quote(ECHO)}"}),
}


@pytest.mark.parametrize("reply", FAULTS.values(), ids=FAULTS)
def test_no_fault_shows_a_secret_or_an_answer(reply, client, api, caplog):
    caplog.set_level(logging.DEBUG)
    api.grants([token_reply(TOKEN)] * 2)
    api.answers_always(reply)
    assert_hidden(fail(client))
    assert_hidden(caplog.text)
    assert api.data_requests[0].token == TOKEN


@pytest.mark.parametrize(
    "reply",
    [
        *(echo(status, " ".join(SECRETS)) for status in (400, 401, 404, 500)),
        Reply(ECHO.encode()),
        json_reply({"token": ECHO}),
    ],
    ids=["400", "401", "404", "500", "text", "other-field"],
)
def test_no_fault_of_the_token_request_shows_a_secret(reply, client, api, caplog):
    caplog.set_level(logging.DEBUG)
    api.grants([reply] * 6)
    assert_hidden(fail(client))
    assert_hidden(caplog.text)
    assert CLIENT_ID.encode() in api.sent[0].body


def test_token_that_was_replaced_meanwhile_is_hidden_too(client, api, time):
    """The answer that echoes a token may come when another reader has already got the next one."""
    api.grants([token_reply(TOKEN), token_reply("next")])

    def replaced_meanwhile(_):
        time.advance(7200)
        client.authenticate()
        return echo(403)

    api.answers(replaced_meanwhile)
    assert_hidden(fail(client))
    assert len(api.token_requests) == 2


def test_the_words_of_the_api_are_not_shown(client, api):
    api.answers(json_reply({"error": "bad answer", "message": "the answer MARKED is bad"}, 400))
    said = fail(client)
    assert "MARKED" not in said
    assert "bad answer" not in said


def test_good_reading_logs_no_secret(client, api, caplog):
    caplog.set_level(logging.DEBUG)
    api.grants([token_reply(TOKEN)])
    api.answers(page(response_row(browser=ANSWER)))
    list(client.iter_response_pages(SITE_ID, SURVEY_ID))
    assert caplog.records
    assert_hidden(caplog.text)


def test_cursor_is_no_part_of_a_message(client, api):
    api.answers(page(response_row(), next_cursor="opaque-cursor"), error(400))
    assert "opaque-cursor" not in fail(client)
    assert api.data_requests[1].cursor == "opaque-cursor"


@pytest.mark.parametrize(
    "shown",
    [
        Login("/v1/oauth/token", form={"client_secret": CLIENT_SECRET}),
        Login("/v1/oauth/token", json={"client_secret": CLIENT_SECRET}),
        LoginAnswer({"access_token": TOKEN}, {"session": TOKEN}),
        Credentials({"Authorization": TOKEN}, {"key": TOKEN}),
        HOTJAR.auth(CLIENT_ID, CLIENT_SECRET, (SITE_ID,), time.monotonic),
    ],
    ids=["form", "json", "login answer", "credentials", "auth"],
)
def test_repr_shows_no_secret(shown):
    assert_hidden(repr(shown))
