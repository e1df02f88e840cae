"""The endpoints that change a running sandbox from another process."""

import pytest

from hotjar_assets_tests.sandbox.conftest import SURVEYS, responses_path


@pytest.fixture
def call(small):
    def call(method, path, body=None):
        url = f"{small.server.url}/_sandbox/{path}"
        answer = small.session.request(method, url, json=body)
        return answer.status_code, answer.json()

    return call


def test_responses_are_added(small, call):
    status, answer = call(
        "POST",
        "responses",
        {"survey_id": "s1", "count": 2, "fields": {"country": "IS"}},
    )
    assert status == 200
    rows = small.page("s1")["results"]
    assert [row["id"] for row in rows[:2]] == answer["ids"][::-1]
    assert [row["country"] for row in rows[:2]] == ["IS", "IS"]


def test_responses_are_added_in_the_past(small, call):
    call("POST", "responses", {"survey_id": "s1", "created_at": "2020-01-01T00:00:00Z"})
    assert small.walk(responses_path("s1"))[-1]["created_time"] == "2020-01-01T00:00:00Z"


def test_response_is_changed_and_deleted(small, call):
    first, second = small.page("s1", limit=2)["results"]
    this = {"survey_id": "s1", "response_id": first["id"]}
    call("PATCH", "responses", this | {"fields": {"os": "BeOS"}})
    assert small.page("s1")["results"][0]["os"] == "BeOS"
    call("DELETE", "responses", this)
    assert small.page("s1")["results"][0] == second


def test_survey_is_added_changed_and_removed(small, call):
    _, answer = call("POST", "surveys", {"name": "Added", "responses": 4})
    survey_id = answer["id"]
    assert len(small.page(survey_id)["results"]) == 4
    call("PATCH", "surveys", {"survey_id": survey_id, "fields": {"is_enabled": False}})
    assert small.get(f"{SURVEYS}/{survey_id}").json()["is_enabled"] is False
    call("DELETE", "surveys", {"survey_id": survey_id})
    assert small.get(responses_path(survey_id)).status_code == 404


def test_faults_are_added_listed_and_cleared(small, call):
    body = {"kind": "raw_body", "path": "responses", "body": "é", "times": 1}
    assert call("POST", "faults", body)[0] == 200
    assert small.get(responses_path("s1")).content == "é".encode()
    (fault,) = call("GET", "faults")[1]["faults"]
    assert fault["kind"] == "raw_body"
    assert fault["hits"] == 1
    call("DELETE", "faults")
    assert call("GET", "faults")[1] == {"faults": []}


def test_requests_are_listed_without_secrets_and_cleared(small, call):
    small.authorize().get(responses_path("s1"), limit=5)
    token, page = call("GET", "requests")[1]["requests"]
    assert token["form"]["client_secret"] == "***"
    assert page["headers"]["authorization"] == "***"
    assert page["query"] == {"limit": "5"}
    call("DELETE", "requests")
    assert call("GET", "requests")[1] == {"requests": []}


def test_tokens_are_made_invalid(small, call):
    call("DELETE", "tokens")
    assert small.get(SURVEYS).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "responses", {"survey_id": "unknown"}),
        ("POST", "responses", {}),
        ("POST", "responses", [1]),
        ("POST", "responses", {"survey_id": "s1", "created_at": "yesterday"}),
        ("POST", "surveys", {"survey_id": "s1"}),
        ("POST", "faults", {"kind": "fire"}),
        ("POST", "faults", {"kind": "500", "colour": "red"}),
        ("DELETE", "responses", {"survey_id": "s1", "response_id": "unknown"}),
    ],
)
def test_wrong_body_is_a_bad_request_that_says_why(call, method, path, body):
    status, answer = call(method, path, body)
    assert status == 400
    assert answer["error"]


def test_broken_json_is_a_bad_request(small):
    headers = {"Content-Type": "application/json"}
    url = f"{small.server.url}/_sandbox/faults"
    answer = small.session.post(url, data=b"{", headers=headers)
    assert answer.status_code == 400
