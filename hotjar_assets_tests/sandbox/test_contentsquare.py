"""The sandbox as Contentsquare: its token call, its paths, and the same answers under other ids."""

import re

import pytest

from hotjar_assets.sandbox import SANDBOX_PROJECT_ID, SandboxAccount, SandboxServer
from hotjar_assets_tests.sandbox.conftest import SURVEYS, PlainClient

PROJECT = f"/v1/public/projects/{SANDBOX_PROJECT_ID}/surveys"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LOGIN = {
    "client_id": "sandbox",
    "client_secret": "sandbox-secret",
    "grant_type": "client_credentials",
    "scope": "surveys",
    "project_id": int(SANDBOX_PROJECT_ID),
}


def log_in(client: PlainClient, **changes):
    login = {name: value for name, value in (LOGIN | changes).items() if value is not None}
    return client.post("/v1/oauth/token", login)


def enter(client: PlainClient) -> PlainClient:
    """Give the client a token of Contentsquare."""
    client.session.headers["Authorization"] = f"Bearer {log_in(client).json()['access_token']}"
    client.server.clear_requests()
    return client


@pytest.fixture
def project(client):
    return enter(client)


# --- Tokens ------------------------------------------------------------------------------------


def test_token_is_given_for_json_credentials_and_names_the_endpoint(client):
    answer = log_in(client)
    assert answer.status_code == 200
    assert answer.json() | {"access_token": "…"} == {
        "access_token": "…",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "surveys",
        "endpoint": client.server.url,
    }


def test_token_may_name_another_endpoint():
    with (
        SandboxServer(SandboxAccount.empty(), endpoint="https://elsewhere.example") as server,
        (client := PlainClient(server)).session,
    ):
        assert log_in(client).json()["endpoint"] == "https://elsewhere.example"


def test_project_need_not_be_told(client):
    assert log_in(client, project_id=None).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"scope": None}, 400, "invalid_request"),
        ({"scope": "metrics"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"project_id": 9999}, 403, "access_denied"),
        ({"project_id": SANDBOX_PROJECT_ID}, 400, "invalid_request"),
    ],
    ids=str,
)
def test_login_that_is_not_right_is_refused(changes, status, error, client):
    answer = log_in(client, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_token_of_one_platform_opens_nothing_of_the_other(client):
    assert client.get(SURVEYS).status_code == 200
    refused = client.get(PROJECT)
    assert refused.status_code == 401
    assert refused.json().keys() == {"success", "errorMessage", "errorCode"}
    assert refused.json()["errorCode"] == "JWT_EXPIRED"
    enter(client)
    assert client.get(SURVEYS).status_code == 401
    assert client.get(PROJECT).status_code == 200


# --- Surveys and responses ---------------------------------------------------------------------


def test_surveys_are_those_of_the_site_under_ids_of_their_own(project):
    there = project.server.account.surveys()
    here = project.walk(PROJECT, with_questions="true")
    assert [survey["name"] for survey in here] == [survey["name"] for survey in there]
    assert {survey["id"] for survey in here}.isdisjoint(survey["id"] for survey in there)
    assert here == project.server.contentsquare.surveys()
    for survey in here:
        assert re.fullmatch(f"survey_{UUID}", survey["id"])
        assert survey["url"] == f"{PROJECT}/{survey['id']}"
        assert survey["responses_url"] == f"{PROJECT}/{survey['id']}/responses"
        assert re.fullmatch("[a-z]{2}", survey["language"])
        for question in survey["questions"]:
            uuid = survey["id"].removeprefix("survey_")
            assert re.fullmatch(f"question_{uuid}_[0-9a-f]{{6}}", question["id"])
    assert {"button", "inline", "bubble"} <= {survey["type"] for survey in here}


def test_questions_are_left_out_unless_asked_for(project):
    assert {"questions" in survey for survey in project.walk(PROJECT)} == {False}


def test_one_survey_is_given_with_its_questions(project):
    survey = project.server.contentsquare.surveys()[0]
    assert project.get(f"{PROJECT}/{survey['id']}").json() == survey


def test_responses_are_the_same_answers_under_other_ids(project):
    shown, account = project.server.contentsquare, project.server.account
    for here, there in zip(shown.survey_ids(), account.survey_ids(), strict=True):
        if account.response_count(there) > 300:
            continue
        rows = project.walk(f"{PROJECT}/{here}/responses", limit=100)
        originals = account.responses(there)
        assert rows == shown.responses(here)
        for row, original in zip(rows, originals, strict=True):
            assert row["id"] != original["id"]
            assert row["created_time"] == original["created_time"]
            assert [answer["answer"] for answer in row["answers"]] == [
                answer["answer"] for answer in original["answers"]
            ]
        asked = {survey["id"]: survey["questions"] for survey in shown.surveys()}[here]
        ids = {question["id"] for question in asked}
        assert {answer["question_id"] for row in rows for answer in row["answers"]} <= ids


@pytest.mark.parametrize(
    "path",
    [
        "/v1/public/projects/9999/surveys",
        f"{PROJECT}/survey_00000000-0000-4000-8000-000000000000",
        f"{PROJECT}/1204501/responses",
        f"/v1/public/projects/{SANDBOX_PROJECT_ID}",
        f"/v1/projects/{SANDBOX_PROJECT_ID}/surveys",
    ],
    ids=["project", "survey", "id-of-hotjar", "no-endpoint", "not-public"],
)
def test_what_is_not_there_is_not_found(path, project):
    assert project.get(path).status_code == 404


def test_project_without_the_plan_is_forbidden(small):
    enter(small)
    small.server.account.plan_allows_export = False
    assert small.get(PROJECT).status_code == 403


def test_removed_survey_is_gone_here_too(small):
    enter(small)
    (survey_id,) = small.server.contentsquare.survey_ids()
    small.server.account.remove_survey("s1")
    assert small.get(f"{PROJECT}/{survey_id}").status_code == 404
    assert small.get(PROJECT).json()["results"] == []


# --- Order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", ["keyset", "offset"])
@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "unsorted"])
def test_responses_come_in_the_order_asked_for_each_of_them_once(order, paging):
    account = SandboxAccount.empty()
    account.add_survey(survey_id="s1", responses=25)
    with (
        SandboxServer(account, order=order, paging=paging) as server,
        (client := enter(PlainClient(server))).session,
    ):
        (survey_id,) = server.contentsquare.survey_ids()
        rows = client.walk(f"{PROJECT}/{survey_id}/responses", limit=10)
        newest_first = server.contentsquare.responses(survey_id)
    ids, expected = ([row["id"] for row in each] for each in (rows, newest_first))
    assert sorted(ids) == sorted(expected)
    assert (ids == expected) is (order == "newest_first")
    assert (ids == expected[::-1]) is (order == "oldest_first")
