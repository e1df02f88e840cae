"""Each fault does what it says, to the requests it is meant for and to no others."""

import json
from collections import Counter

import pytest
import requests

from hotjar_assets.sandbox import Fault, SandboxAccount, SandboxServer
from hotjar_assets_tests.sandbox.conftest import (
    LARGE,
    NPS,
    SURVEYS,
    PlainClient,
    responses_path,
)

PATH = responses_path(NPS)


def ids(rows):
    return [row["id"] for row in rows]


def truth(client, survey_id=NPS):
    return ids(client.server.account.responses(survey_id))


def second_page(client, **params):
    """Return page 1 and page 2 of the NPS survey, 10 rows each."""
    first = client.page(NPS, limit=10)
    return first, client.page(NPS, limit=10, cursor=first["next_cursor"], **params)


# --- Statuses and broken answers ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["400", "401", "403", "404", "429", "500", "502", "503", "504"])
def test_status_fault_answers_with_that_status_and_json(client, kind):
    client.server.faults.add(Fault(kind))
    answer = client.get(PATH)
    assert answer.status_code == int(kind)
    assert answer.json()["error"]
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("value", [7, "Wed, 21 Oct 2026 07:28:00 GMT"], ids=["seconds", "date"])
@pytest.mark.parametrize("kind", ["429", "503"])
def test_retry_after_is_sent_as_given(client, kind, value):
    client.server.faults.add(Fault(kind, retry_after=value))
    assert client.get(PATH).headers["Retry-After"] == str(value)


def test_cut_answer_declares_more_than_it_sends(client):
    client.server.faults.add(Fault("cut", times=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.get(PATH)
    assert client.get(PATH).status_code == 200


def test_disconnect_gives_no_answer_at_all(client):
    client.server.faults.add(Fault("disconnect", times=1))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.get(PATH)
    assert client.get(PATH).status_code == 200


def test_html_comes_with_status_200(client):
    client.server.faults.add(Fault("html"))
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!doctype html>")


def test_invalid_json_has_the_length_it_declares(client):
    client.server.faults.add(Fault("invalid_json"))
    answer = client.get(PATH)
    assert len(answer.content) == int(answer.headers["Content-Length"])
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_byte_order_mark_comes_before_the_right_body(client):
    right = client.get(PATH).content
    client.server.faults.add(Fault("bom"))
    assert client.get(PATH).content == b"\xef\xbb\xbf" + right


def test_content_type_is_wrong_and_the_body_right(client):
    client.server.faults.add(Fault("content_type"))
    answer = client.get(PATH)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert len(answer.json()["results"]) == 20


def test_huge_answer_is_valid_json_of_that_many_bytes(client):
    client.server.faults.add(Fault("huge", size_bytes=3_000_000))
    answer = client.get(PATH)
    assert len(answer.content) == 3_000_000
    assert answer.json()["results"] == []


def test_raw_body_is_sent_as_given(client):
    client.server.faults.add(
        Fault("raw_body", body=b"\x00\xff", status=418, content_type="image/png")
    )
    answer = client.get(PATH)
    assert (answer.status_code, answer.content) == (418, b"\x00\xff")
    assert answer.headers["Content-Type"] == "image/png"


def test_redirect_on_the_same_host_leads_to_the_page(client):
    right = client.get(PATH, limit=3).json()
    client.server.faults.add(Fault("redirect_same_host"))
    answer = client.get(PATH, limit=3)
    assert [step.status_code for step in answer.history] == [307]
    assert answer.json() == right


def test_redirect_to_another_host_gives_that_location(client):
    location = "http://elsewhere.invalid/steal"
    client.server.faults.add(Fault("redirect_other_host", location=location))
    answer = client.get(PATH, follow=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, location)


def test_slow_waits_and_then_answers_or_fails_otherwise(client):
    client.server.faults.add(Fault("slow", delay_seconds=0.05), Fault("500", times=1))
    answers = [client.get(PATH) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 200]
    assert all(answer.elapsed.total_seconds() >= 0.05 for answer in answers)


# --- Pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["results_missing", "results_null"])
def test_page_without_results_still_has_its_cursor(client, kind):
    right = client.page(NPS)
    client.server.faults.add(Fault(kind))
    expected = {"next_cursor": right["next_cursor"]}
    if kind == "results_null":
        expected["results"] = None
    assert client.page(NPS) == expected


def test_repeated_cursor_is_the_one_just_used(client):
    client.server.faults.add(Fault("repeat_cursor"))
    first, second = second_page(client)
    assert second["next_cursor"] == first["next_cursor"]


def test_cycle_of_cursors_comes_back_to_the_second_page(client):
    client.server.faults.add(Fault("cycle_cursor"))
    first, second = second_page(client)
    third = client.page(NPS, limit=10, cursor=second["next_cursor"])
    assert len({first["next_cursor"], second["next_cursor"]}) == 2
    assert third["next_cursor"] == first["next_cursor"]


def test_cursor_is_absent_at_the_end_alone(client):
    client.server.faults.add(Fault("cursor_absent"))
    assert client.page(NPS)["next_cursor"]
    assert "next_cursor" not in client.page("1204511", limit=100)


def test_cursor_is_empty_at_the_end_alone(client):
    client.server.faults.add(Fault("cursor_empty"))
    assert client.page(NPS)["next_cursor"]
    assert client.page("1204511", limit=100)["next_cursor"] == ""


def test_cursor_fault_on_a_page_hits_in_the_middle(client):
    client.server.faults.add(Fault("cursor_empty", page=1))
    assert client.page(NPS)["next_cursor"] == ""


@pytest.mark.parametrize("page", [1, 2])
def test_rows_come_after_an_empty_page(client, page):
    client.server.faults.add(Fault("empty_page", path="responses", page=page, times=1))
    pages = [ids(rows) for rows in client.pages(PATH, limit=100)]
    assert pages[page - 1] == []
    assert [row for rows in pages for row in rows] == truth(client)


def test_empty_pages_without_end_have_ever_new_cursors(client):
    client.server.faults.add(Fault("empty_page"))
    first, second = second_page(client)
    assert first["results"] == second["results"] == []
    assert first["next_cursor"] != second["next_cursor"]


def test_overlap_repeats_the_last_rows_of_the_page_before(client):
    client.server.faults.add(Fault("overlap", rows=3))
    first, second = second_page(client)
    assert ids(second["results"][:3]) == ids(first["results"][-3:])
    rows = ids(client.walk(PATH, limit=50))
    assert set(rows) == set(truth(client))
    assert len(rows) > len(set(rows))


def test_duplicate_rows_come_twice_in_a_page(client):
    client.server.faults.add(Fault("duplicate_rows"))
    rows = ids(client.page(NPS, limit=10)["results"])
    assert set(Counter(rows).values()) == {2}
    assert rows[::2] == truth(client)[:10]


def test_unsorted_page_has_the_same_rows_in_another_order(client):
    client.server.faults.add(Fault("unsorted"))
    rows = ids(client.page(NPS, limit=10)["results"])
    assert rows != truth(client)[:10]
    assert sorted(rows) == sorted(truth(client)[:10])


def test_mutated_rows_are_what_the_function_returns(client):
    def transform(rows):
        return [row | {"id": number, "os": "\ud83d"} for number, row in enumerate(rows)]

    client.server.faults.add(Fault("mutate_rows", path="responses", transform=transform))
    rows = client.page(NPS, limit=3)["results"]
    assert ids(rows) == [0, 1, 2]
    assert rows[0]["os"] == "\ud83d"


def test_page_faults_hit_the_list_of_surveys_too(client):
    client.server.faults.add(Fault("duplicate_rows", path="surveys"))
    assert len(client.get(SURVEYS).json()["results"]) == 24


# --- Which requests are hit --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["token", "surveys", "survey", "responses"])
def test_fault_hits_its_path_alone(client, path):
    client.server.faults.add(Fault("500", path=path))
    statuses = {
        "token": client.post_token().status_code,
        "surveys": client.get(SURVEYS).status_code,
        "survey": client.get(f"{SURVEYS}/{NPS}").status_code,
        "responses": client.get(PATH).status_code,
    }
    assert [name for name, status in statuses.items() if status == 500] == [path]


def test_fault_hits_its_survey_alone(client):
    client.server.faults.add(Fault("500", survey_id=LARGE))
    assert client.get(PATH).status_code == 200
    assert client.get(responses_path(LARGE)).status_code == 500


def test_fault_hits_its_site_alone(client):
    client.server.faults.add(Fault("500", site_id="1002"))
    assert client.get(SURVEYS).status_code == 200
    assert client.get("/v1/sites/1002/surveys").status_code == 500


def test_fault_hits_its_page_of_a_walk_alone(client):
    client.server.faults.add(Fault("500", page=2))
    cursor = client.page(NPS)["next_cursor"]
    assert client.get(PATH, cursor=cursor).status_code == 500
    assert client.get(PATH).status_code == 200


def test_fault_hits_so_many_times_after_so_many_requests(client):
    fault = Fault("500", path="responses", after=1, times=2)
    client.server.faults.add(fault)
    statuses = [client.get(PATH).status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    assert client.server.faults.hits(fault) == 2


def test_faults_come_one_after_the_other(client):
    client.server.faults.add(Fault("500", times=1), Fault("429", times=1))
    assert [client.get(PATH).status_code for _ in range(3)] == [500, 429, 200]


def test_removed_faults_hit_no_more(client):
    stays = Fault("503")
    client.server.faults.add(Fault("500"), stays)
    client.server.faults.remove(Fault("500"))
    assert list(client.server.faults) == [stays]
    assert client.get(PATH).status_code == 503
    client.server.faults.clear()
    assert client.get(PATH).status_code == 200
    assert len(client.server.faults) == 0


def test_fault_hits_before_authorization_is_looked_at():
    with SandboxServer(SandboxAccount.empty()) as server:
        server.faults.add(Fault("500"))
        with (client := PlainClient(server)).session:
            assert client.get(SURVEYS).status_code == 500


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "fire"}, "unknown fault kind"),
        ({"kind": "500", "path": "moon"}, "unknown path"),
        ({"kind": "mutate_rows"}, "transform"),
        ({"kind": "redirect_other_host"}, "location"),
        ({"kind": "overlap", "page": 1}, "cannot hit page 1"),
        ({"kind": "unsorted", "path": "token"}, "listings"),
    ],
)
def test_fault_that_could_never_hit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Fault(**fields)
