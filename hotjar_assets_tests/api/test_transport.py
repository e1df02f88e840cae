"""What each answer means: what is final, what is tried again, how long, and within what bounds."""

import gzip
import json
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from time import time as now

import pytest

from hotjar_assets.api.limits import Limits
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStatusError,
    HotjarTransportError,
)
from hotjar_assets_tests.api.model import (
    RESPONSES_PATH,
    SITE_ID,
    SURVEY_ID,
    SURVEY_PATH,
    response_row,
    survey_row,
)
from hotjar_assets_tests.api.scripted_server import (
    NO_ANSWER,
    Reply,
    ScriptedServer,
    error,
    json_reply,
    page,
)

DATE = "Sat, 31 Jan 2026 09:00:00 GMT"
DATE_TIMESTAMP = 1769850000
SURVEY = json_reply(survey_row())


def read_survey(client, **options):
    return client.get_survey(SITE_ID, SURVEY_ID, **options)


def read_pages(client):
    return list(client.iter_response_pages(SITE_ID, SURVEY_ID))


def body_reply(body: bytes, **headers: str) -> Reply:
    return Reply(body, headers={"Content-Type": "application/json", **headers})


# --- Final statuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, HotjarStatusError, "did not understand the request"),
        (403, HotjarAuthError, "survey export needs the Ask Scale plan"),
        (404, HotjarNotFoundError, "no such site or survey; check HOTJAR_SITE_ID"),
        (402, HotjarStatusError, "refused the request"),
        (410, HotjarStatusError, "refused the request"),
    ],
)
def test_final_status_is_not_tried_again(*, status, kind, words, client, api, time):
    api.answers(error(status))
    with pytest.raises(kind, match=words) as caught:
        read_survey(client)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert not caught.value.retryable
    assert [sent.path for sent in api.data_requests] == [SURVEY_PATH]
    assert time.slept == []


def test_status_error_says_the_known_code_and_where_and_no_words_of_the_server(client, api):
    said = {"error": "invalid_request", "error_description": "bad\n cursor", "message": "no luck"}
    api.answers(json_reply({**said, "code": 7}, 400, X_Request_Id="req-7"))
    with pytest.raises(HotjarStatusError) as caught:
        read_pages(client)
    assert str(caught.value) == (
        "the API did not understand the request "
        "(HTTP 400: invalid_request) "
        f"[GET {api.url}{RESPONSES_PATH}, page 1, request id req-7]"
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>no</html>", b"[1]", b'{"error":{"code":1}}', b"\xff", b"[" * 100_000],
    ids=["empty", "html", "list", "object", "not-utf-8", "deep"],
)
def test_status_error_does_without_a_body_of_the_documented_shape(body, client, api):
    api.answers(Reply(body, status=404))
    with pytest.raises(HotjarNotFoundError, match=r"\(HTTP 404\)"):
        read_survey(client)


def test_status_error_does_without_a_body_that_is_cut(client, api):
    whole = error(404)
    api.answers(Reply(whole.body, 404, whole.headers, end="cut"))
    with pytest.raises(HotjarNotFoundError, match=r"\(HTTP 404\)"):
        read_survey(client)


def test_an_unknown_error_code_is_not_shown(client, api):
    api.answers(json_reply({"error": "what somebody answered"}, 400))
    with pytest.raises(HotjarStatusError) as caught:
        read_survey(client)
    assert caught.value.error_code == ""
    assert "somebody" not in str(caught.value)


# --- What is tried again -----------------------------------------------------------------------


PASSING = {
    "408": error(408),
    "429": error(429),
    "500": error(500),
    "502": error(502),
    "503": error(503),
    "504": error(504),
    "no-answer": NO_ANSWER,
    "cut": Reply(SURVEY.body, end="cut"),
    "html": Reply(b"<!doctype html>", headers={"Content-Type": "text/html"}),
    "empty": Reply(b""),
    "half": Reply(SURVEY.body[:20]),
}


@pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING)
def test_fault_that_passes_is_got_over(reply, client, api, time):
    api.answers(reply, reply, SURVEY)
    assert read_survey(client).id == SURVEY_ID
    assert [sent.path for sent in api.data_requests] == [SURVEY_PATH] * 3
    assert len(time.slept) == 2


def test_same_page_is_asked_for_again(client, api):
    api.answers(page(response_row("r1"), next_cursor="A"), error(500), page(response_row("r2")))
    assert [row.id for page in read_pages(client) for row in page.results] == ["r1", "r2"]
    assert [sent.query for sent in api.data_requests] == [
        {"limit": "100"},
        {"limit": "100", "cursor": "A"},
        {"limit": "100", "cursor": "A"},
    ]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(408), HotjarServerError),
        (error(429), HotjarRateLimitError),
        (error(500), HotjarServerError),
        (error(599), HotjarServerError),
        (NO_ANSWER, HotjarTransportError),
        (Reply(SURVEY.body, end="cut"), HotjarTransportError),
        (Reply(b"<!doctype html>"), HotjarBodyError),
    ],
    ids=["408", "429", "500", "599", "no-answer", "cut", "html"],
)
def test_fault_that_stays_is_tried_six_times(reply, kind, client, api, time):
    api.answers_always(reply)
    with pytest.raises(kind, match="after 6 tries") as caught:
        read_survey(client)
    assert caught.value.retryable
    assert caught.value.tries == 6
    assert len(api.data_requests) == 6
    assert len(time.slept) == 5


def test_server_that_is_down_is_tried_six_times(connect, time):
    with ScriptedServer() as gone:
        url = gone.url
    with pytest.raises(HotjarTransportError, match=r"ConnectionError.*HOTJAR_API_URL"):
        read_survey(connect(url))
    assert len(time.slept) == 5


def test_each_page_has_its_own_tries(client, api):
    bad = [error(500)] * 4
    api.answers(*bad, page(response_row("r1"), next_cursor="A"), *bad, page(response_row("r2")))
    assert len(read_pages(client)) == 2


@pytest.mark.parametrize(
    ("status", "first_seconds"), [(500, 0.5), (429, 2.0)], ids=["hiccup", "limit"]
)
def test_pauses_double_and_are_drawn_from_the_whole_range(status, first_seconds, client, api, time):
    api.answers_always(error(status))
    walks = []
    for _ in range(40):
        with pytest.raises(HotjarApiError):
            read_survey(client)
        walks.append(time.slept)
        time.slept = []
    for number in range(4):
        pauses, bound = [walk[number] for walk in walks], first_seconds * 2**number
        # Forty draws from one half of the range, or all the same, would be no full jitter.
        assert 0 <= min(pauses) < bound / 2 < max(pauses) <= bound


def test_pauses_stay_within_the_budget(client, api, time):
    api.answers_always(error(429))
    for _ in range(20):
        with pytest.raises(HotjarRateLimitError):
            read_survey(client)
        assert sum(time.slept) <= 60
        time.slept = []


def test_slow_answers_count_against_the_budget(client, api, time):
    def slow(_):
        time.advance(30)
        return error(500, Retry_After="1")

    api.answers_always(slow)
    with pytest.raises(HotjarServerError, match="after 2 tries"):
        read_survey(client)


# --- Retry-After -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "2.5"}, 2.5),
        ({"Date": DATE, "Retry_After": formatdate(DATE_TIMESTAMP + 9, usegmt=True)}, 9),
    ],
    ids=["seconds", "fraction", "date"],
)
def test_waits_as_long_as_told(*, headers, seconds, status, client, api, time):
    api.answers(error(status, **headers), SURVEY)
    read_survey(client)
    assert time.slept == [seconds]
    assert len(api.data_requests) == 2


def test_date_without_a_date_of_the_answer_is_measured_by_the_own_clock(client, api, time):
    api.answers(error(429, Date="", Retry_After=formatdate(now() + 9, usegmt=True)), SURVEY)
    read_survey(client)
    assert time.slept == [pytest.approx(9, abs=1.5)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "0"},
        {"Retry_After": "-3"},
        {"Date": DATE, "Retry_After": formatdate(DATE_TIMESTAMP - 9, usegmt=True)},
    ],
    ids=["zero", "negative", "past-date"],
)
def test_a_wait_that_is_over_already_backs_off_all_the_same(headers, client, api, time):
    api.answers(error(429, **headers), error(429, **headers), SURVEY)
    read_survey(client)
    assert len(time.slept) == 2
    assert all(seconds > 0 for seconds in time.slept)


@pytest.mark.parametrize(
    "told",
    ["", "soon", "nan", "inf", "Sat, 31 Jan 99999999999 09:00:00 GMT", "Sat, 99 Foo 2026"],
    ids=["empty", "word", "nan", "infinite", "far-date", "no-date"],
)
def test_unreadable_retry_after_counts_as_none(told, client, api, time):
    api.answers(error(429, Retry_After=told), SURVEY)
    read_survey(client)
    assert len(time.slept) == 1
    assert 0 <= time.slept[0] <= 2


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Retry_After": "86400"}, "wait 86400 s"),
        ({"Retry_After": "61"}, "wait 61 s"),
        ({"Date": DATE, "Retry_After": "Sat, 31 Jan 2026 10:00:00 GMT"}, "wait 3600 s"),
    ],
    ids=["day", "just-too-long", "date"],
)
def test_too_long_a_wait_is_given_up_at_once_and_named(headers, named, client, api, time):
    api.answers(error(429, **headers))
    with pytest.raises(HotjarRateLimitError, match=named):
        read_survey(client)
    assert time.slept == []


def test_waits_are_followed_only_within_the_budget(client, api, time):
    api.answers_always(error(429, Retry_After="25"))
    with pytest.raises(HotjarRateLimitError, match="after 3 tries") as caught:
        read_survey(client)
    assert caught.value.retry_after_seconds == 25
    assert time.slept == [25, 25]


def test_wait_of_one_reader_holds_all(connect, api, time):
    others = [SURVEY_ID]

    def sleep(seconds):
        # While the first reader sleeps, another one begins.
        while others:
            client.get_survey(SITE_ID, others.pop())
        time.sleep(seconds)

    client = connect(sleep=sleep)
    api.answers(error(429, Retry_After="30"), SURVEY, SURVEY)
    read_survey(client)
    assert time.slept == [30, 30]
    assert len(api.data_requests) == 3


# --- Bodies ------------------------------------------------------------------------------------


def gzipped(body: bytes) -> Reply:
    return body_reply(body, **{"Content-Encoding": "gzip"})


def cut_gzip(body: bytes) -> bytes:
    """Return gzip that holds a whole body and lacks its end, as a proxy leaves it."""
    member = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return member.compress(body) + member.flush(zlib.Z_SYNC_FLUSH)


PAGE_BODY = page(response_row()).body
GOOD_BODIES = {
    "byte-order-mark": Reply(b"\xef\xbb\xbf" + page(response_row()).body),
    "text-plain": Reply(page(response_row()).body, headers={"Content-Type": "text/plain"}),
    "no-content-type": Reply(page(response_row()).body),
    "wrong-charset": body_reply(
        page(response_row()).body, **{"Content-Type": "text/html; charset=utf-16"}
    ),
    "gzip": gzipped(gzip.compress(page(response_row()).body)),
    "gzip-members": gzipped(
        gzip.compress(page(response_row()).body[:20])
        + gzip.compress(page(response_row()).body[20:])
    ),
    "gzip-padded": gzipped(gzip.compress(page(response_row()).body) + b"\0" * 10),
    "white-space": Reply(b" \r\n" + page(response_row()).body + b"\n"),
}


@pytest.mark.parametrize("reply", GOOD_BODIES.values(), ids=GOOD_BODIES)
def test_body_is_read_whatever_its_wrapping(reply, client, api):
    api.answers(reply)
    (only,) = read_pages(client)
    assert [row.id for row in only.results] == ["r1"]
    assert [sent.path for sent in api.data_requests] == [RESPONSES_PATH]


def test_invalid_utf_8_becomes_replacement_characters(client, api):
    body = page(response_row(browser="Fire?fox")).body.replace(b"?", b"\xff")
    api.answers(Reply(body))
    (only,) = read_pages(client)
    assert only.results[0].browser == "Fire\ufffdfox"


BAD_PAGES = {
    "results-missing": json_reply({"next_cursor": None}),
    "results-null": json_reply({"results": None, "next_cursor": None}),
    "results-object": json_reply({"results": {}, "next_cursor": None}),
    "list": json_reply([response_row()]),
    "null": json_reply(None),
    "text": json_reply("results"),
    "cursor-object": json_reply({"results": [], "next_cursor": {"page": 2}}),
    "cursor-true": json_reply({"results": [], "next_cursor": True}),
    "trailing": Reply(page(response_row()).body + b"}"),
    "cut-gzip": gzipped(cut_gzip(page(response_row("r2")).body)),
    "cut-member": gzipped(
        gzip.compress(page(response_row("r2")).body[:20])
        + cut_gzip(page(response_row("r2")).body[20:])
    ),
    "bad-gzip": Reply(b"\x1f\x8b no", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("reply", BAD_PAGES.values(), ids=BAD_PAGES)
def test_page_that_is_none_is_asked_for_again_and_never_empty(reply, client, api):
    first = page(response_row("r1"), next_cursor="A")
    api.answers(first, reply, page(response_row("r2")))
    assert [row.id for page in read_pages(client) for row in page.results] == ["r1", "r2"]
    assert [sent.cursor for sent in api.data_requests] == [None, "A", "A"]


@pytest.mark.parametrize("reply", BAD_PAGES.values(), ids=BAD_PAGES)
def test_page_that_stays_none_is_an_error_with_its_number(reply, client, api):
    api.answers(page(response_row(), next_cursor="A"), *[reply] * 6)
    with pytest.raises(HotjarApiError, match="page 2, after 6 tries") as caught:
        read_pages(client)
    assert isinstance(caught.value, HotjarBodyError | HotjarTransportError)


@pytest.mark.parametrize("shape", ["plain", "zipped"])
def test_body_that_is_too_large_is_refused_at_once(shape, client, api):
    body = b'{"results":[],"padding":"' + b"x" * Limits().answer_bytes + b'"}'
    zipped = shape == "zipped"
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    api.answers(body_reply(gzip.compress(body, 1) if zipped else body, **headers))
    with pytest.raises(HotjarSchemaError, match="larger than 32 MiB") as caught:
        read_pages(client)
    assert not caught.value.retryable
    assert len(api.data_requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":' + b"[" * 200_000,
        b'{"results":[],"metadata":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"results":[{"id":"r1","created_time":"2026-01-31T09:00:00Z","new":'
        + b'{"a":' * 200_000
        + b"1"
        + b"}" * 200_000
        + b"}]}",
    ],
    ids=["results", "metadata", "field"],
)
def test_body_that_is_nested_too_deep_is_refused(body, client, api):
    api.answers_always(Reply(body))
    with pytest.raises(HotjarBodyError, match="nested too deep"):
        read_pages(client)
    assert len(api.data_requests) == 6


def test_field_nested_a_hundred_deep_is_kept(client, api):
    value = json.loads("[" * 100 + "]" * 100)
    api.answers(page(response_row(new=value)))
    (only,) = read_pages(client)
    assert only.results[0].extra == {"new": value}


# --- Counting and stopping ---------------------------------------------------------------------


def test_requests_are_counted_with_tries_renewals_and_redirects(client, api):
    count = RequestCount()
    api.answers(error(500), error(401), Reply(status=307, headers={"Location": "/x"}), SURVEY)
    read_survey(client, count=count)
    assert count.sent == len(api.data_requests) == 4
    assert client.requests_sent == len(api.sent) == 6


def test_cancelled_client_stops_waiting(connect, api):
    client = connect(sleep=lambda _seconds: True)
    api.answers(error(500))
    with pytest.raises(HotjarTransportError, match="cancelled while waiting"):
        read_survey(client)
    assert len(api.data_requests) == 1


def test_closing_ends_the_wait_of_another_thread(connect, api):
    answered = threading.Event()

    def limited(_):
        answered.set()
        return error(429, Retry_After="59")

    client = connect(sleep=None)
    api.answers(limited)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_survey, client)
        assert answered.wait(20)
        client.close()
        with pytest.raises(HotjarTransportError, match="cancelled while waiting"):
            reading.result(20)


def test_cancelling_ends_an_answer_that_another_thread_is_reading(connect, api):
    asked, ended = threading.Event(), threading.Event()

    def silent(_):
        asked.set()
        ended.wait(60)
        return SURVEY

    client = connect(sleep=None)
    api.answers(silent)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_survey, client)
        assert asked.wait(20)
        client.cancel()
        try:
            with pytest.raises(HotjarTransportError, match="cancelled while waiting"):
                reading.result(20)
        finally:
            ended.set()
    assert len(api.data_requests) == 1
