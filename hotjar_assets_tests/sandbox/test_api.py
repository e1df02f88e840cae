"""Each documented behaviour of the API, asked for through real HTTP."""

import threading

import pytest
import requests

from hotjar_assets.sandbox import SANDBOX_HEADER, SandboxAccount, SandboxServer
from hotjar_assets_tests.sandbox.conftest import (
    EMPTY,
    LARGE,
    NPS,
    SURVEYS,
    PlainClient,
    responses_path,
)

LOOKUP = "/v1/organizations/501/user-lookup"


class Clock:
    """A clock that moves when told to."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


# --- Tokens ----------------------------------------------------------------------------------


def test_token_is_given_for_form_encoded_credentials(client):
    answer = client.post_token()
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 3600


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_wrong_credentials_are_an_invalid_client(client, field):
    answer = client.post_token(**{field: "wrong"})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.json()["error_description"]


def test_other_grant_is_unsupported(client):
    answer = client.post_token(grant_type="password")
    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


def test_json_body_gets_no_token(client):
    answer = client.post("/v1/oauth/token", {"grant_type": "client_credentials"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic c2FuZGJveA=="])
def test_call_without_a_good_token_is_unauthorized(client, authorization):
    client.session.headers["Authorization"] = authorization
    assert client.get(SURVEYS).status_code == 401


def test_expired_tokens_are_unauthorized_and_a_new_one_works(small):
    small.server.expire_tokens()
    assert small.get(SURVEYS).status_code == 401
    assert small.authorize().get(SURVEYS).status_code == 200


def test_token_ends_with_its_lifetime():
    clock = Clock()
    server = SandboxServer(SandboxAccount.empty(), token_lifetime_seconds=60, monotonic=clock)
    with server, (client := PlainClient(server).authorize()).session:
        assert client.post_token().json()["expires_in"] == 60
        clock.seconds += 59
        assert client.get(SURVEYS).status_code == 200
        clock.seconds += 1
        assert client.get(SURVEYS).status_code == 401


# --- Surveys ---------------------------------------------------------------------------------


def test_surveys_come_without_questions_unless_asked_for(client):
    page = client.get(SURVEYS, limit=100).json()
    assert page == {
        "results": client.server.account.surveys(with_questions=False),
        "next_cursor": None,
    }
    assert {"questions" in survey for survey in page["results"]} == {False}


def test_surveys_come_with_questions_when_asked_for(client):
    page = client.get(SURVEYS, limit=100, with_questions="true").json()
    assert page["results"] == client.server.account.surveys()


def test_surveys_of_a_site_are_those_of_that_site(client):
    second = client.walk("/v1/sites/1002/surveys", with_questions="true")
    assert second == client.server.account.surveys("1002")


def test_survey_list_is_paged(client):
    assert client.walk(SURVEYS, limit=5, with_questions="true") == client.server.account.surveys()


def test_one_survey_comes_with_questions(client):
    answer = client.get(f"{SURVEYS}/{NPS}")
    assert answer.json() == client.server.account.survey(NPS)
    assert answer.json()["questions"]


def test_survey_id_may_hold_any_character():
    account = SandboxAccount.empty()
    account.add_survey(survey_id="a/b c%é", responses=3)
    with SandboxServer(account) as server, (client := PlainClient(server).authorize()).session:
        assert len(client.walk(f"{SURVEYS}/a%2Fb%20c%25%C3%A9/responses")) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sites/77/surveys",
        f"{SURVEYS}/77",
        f"{SURVEYS}/77/responses",
        f"/v1/sites/1002/surveys/{NPS}/responses",
        "/v1/sites",
        "/",
    ],
)
def test_what_is_not_there_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


def test_account_without_the_plan_is_forbidden(small):
    small.server.account.plan_allows_export = False
    paths = (SURVEYS, f"{SURVEYS}/s1", responses_path("s1"))
    assert [small.get(path).status_code for path in paths] == [403, 403, 403]


def test_other_method_is_not_allowed(client):
    assert client.post(SURVEYS, {}).status_code == 405
    assert client.get("/v1/oauth/token").status_code == 405


# --- Responses and pages -----------------------------------------------------------------------


def test_walk_gives_every_response_newest_first(client):
    assert client.walk(responses_path(NPS), limit=100) == client.server.account.responses(NPS)


def test_empty_survey_is_one_empty_page(client):
    assert client.page(EMPTY) == {"results": [], "next_cursor": None}


def test_survey_of_exactly_one_page_ends_there(client):
    page = client.page("1204511", limit=100)
    assert len(page["results"]) == 100
    assert page["next_cursor"] is None


def test_large_survey_has_full_pages_and_the_cursor_is_what_was_sent(client):
    pages = list(client.pages(responses_path(LARGE), limit=100))
    assert [len(page) for page in pages] == [100] * 50
    cursors = [request.query.get("cursor") for request in client.server.requests]
    assert cursors[0] is None
    assert len(set(cursors)) == 50


def test_limit_is_20_unless_given(client):
    assert len(client.page(NPS)["results"]) == 20


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", "", "99999999999999999999"])
def test_limit_outside_1_to_100_is_a_bad_request(client, limit):
    answer = client.get(responses_path(NPS), limit=limit)
    assert answer.status_code == 400
    assert "limit" in answer.json()["message"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "é", "W10=", "WzEsMiwzXQ==", "%%%"])
def test_cursor_that_was_not_given_out_is_a_bad_request(client, cursor):
    answer = client.get(responses_path(NPS), cursor=cursor)
    assert answer.status_code == 400
    assert "cursor" in answer.json()["message"]


def test_cursor_of_another_survey_is_a_bad_request(client):
    cursor = client.page(NPS)["next_cursor"]
    assert client.get(responses_path(LARGE), cursor=cursor).status_code == 400


@pytest.mark.parametrize("value", ["True", "1", "yes"])
def test_with_questions_is_true_or_false(client, value):
    assert client.get(SURVEYS, with_questions=value).status_code == 400


@pytest.mark.parametrize("paging", ["keyset", "offset"])
@pytest.mark.parametrize("limit", [1, 7, 25, 100])
def test_walk_is_complete_in_both_styles(paging, limit):
    account = SandboxAccount.empty()
    account.add_survey(survey_id="s1", responses=25)
    server = SandboxServer(account, paging=paging)
    with server, (client := PlainClient(server).authorize()).session:
        assert client.walk(responses_path("s1"), limit=limit) == account.responses("s1")


def test_equal_times_are_not_lost_between_pages(small):
    account = small.server.account
    account.add_responses("s1", 30, created_at=account.clock)
    assert small.walk(responses_path("s1"), limit=4) == account.responses("s1")


def walk_while_changing(client, account):
    """Walk, deleting a served and adding a new response after each page."""
    rows = []
    for page in client.pages(responses_path("s1"), limit=5):
        rows += page
        account.delete_response("s1", page[0]["id"])
        account.add_responses("s1", 1)
    return [row["id"] for row in rows]


def test_keyset_walk_loses_and_repeats_nothing_while_rows_come_and_go(small):
    account = small.server.account
    before = [response["id"] for response in account.responses("s1")]
    assert walk_while_changing(small, account) == before


def test_account_may_be_changed_from_another_thread_while_it_is_read(small):
    account = small.server.account
    before = [response["id"] for response in account.responses("s1")]
    adding = threading.Thread(
        target=lambda: [account.add_responses("s1", 2) for _ in range(200)],
    )
    adding.start()
    walks = [[row["id"] for row in small.walk(responses_path("s1"), limit=20)] for _ in range(5)]
    adding.join()
    assert all(walk[-25:] == before for walk in walks)
    assert all(len(set(walk)) == len(walk) for walk in walks)
    assert account.response_count("s1") == 425


def test_offset_walk_loses_rows_when_served_ones_are_deleted():
    account = SandboxAccount.empty()
    account.add_survey(survey_id="s1", responses=25)
    before = [response["id"] for response in account.responses("s1")]
    server = SandboxServer(account, paging="offset")
    with server, (client := PlainClient(server).authorize()).session:
        seen = []
        for page in client.pages(responses_path("s1"), limit=5):
            seen += [row["id"] for row in page]
            account.delete_response("s1", page[0]["id"])
    assert set(seen) < set(before)


def test_offset_walk_repeats_rows_when_new_ones_come():
    account = SandboxAccount.empty()
    account.add_survey(survey_id="s1", responses=25)
    server = SandboxServer(account, paging="offset")
    with server, (client := PlainClient(server).authorize()).session:
        seen = []
        for page in client.pages(responses_path("s1"), limit=10):
            seen += [row["id"] for row in page]
            if len(seen) == 10:
                account.add_responses("s1", 2)
    assert len(seen) == 27
    assert len(set(seen)) == 25


def test_changes_are_seen_by_the_next_request(small):
    account = small.server.account
    first, second, third = (row["id"] for row in small.page("s1")["results"][:3])
    account.tag_response("s1", first, tags=["bug"])
    account.delete_response("s1", second)
    account.set_response("s1", third, ai_summary="new")
    account.update_survey("s1", name="Renamed")
    assert small.page("s1")["results"] == account.responses("s1")[:20]
    assert small.get(SURVEYS).json()["results"][0]["name"] == "Renamed"


def test_number_ids_and_lone_surrogates_are_sent_as_they_are(small):
    account = small.server.account
    account.set_response("s1", account.responses("s1")[0]["id"], id=42, browser="\ud83d")
    row = small.page("s1")["results"][0]
    assert (row["id"], row["browser"]) == (42, "\ud83d")


def test_removed_survey_is_not_found_and_comes_back(small):
    small.server.account.remove_survey("s1")
    assert small.get(responses_path("s1")).status_code == 404
    small.server.account.restore_survey("s1")
    assert len(small.page("s1")["results"]) == 20


# --- Rate limit, header, user lookup -----------------------------------------------------------


def test_requests_beyond_the_rate_limit_are_told_when_to_come_back():
    clock = Clock()
    server = SandboxServer(SandboxAccount.empty(), requests_per_minute=3, monotonic=clock)
    with server, (client := PlainClient(server).authorize()).session:
        clock.seconds += 20
        assert [client.get(SURVEYS).status_code for _ in range(3)] == [200, 200, 429]
        assert client.get(SURVEYS).headers["Retry-After"] == "40"
        clock.seconds += 40
        assert [client.get(SURVEYS).status_code for _ in range(2)] == [200, 429]


def test_latency_delays_every_answer():
    server = SandboxServer(SandboxAccount.empty(), latency_seconds=0.05)
    with server, (client := PlainClient(server)).session:
        assert client.post_token().elapsed.total_seconds() >= 0.05


@pytest.mark.parametrize("path", [SURVEYS, "/nowhere", "/_sandbox/requests", "/_sandbox/nowhere"])
def test_every_answer_says_that_it_is_the_sandbox(client, path):
    assert client.get(path).headers[SANDBOX_HEADER] == "1"


def user_of(account):
    for survey_id in account.survey_ids():
        for response in account.responses(survey_id):
            if response["user_attributes"]:
                attributes = {item["name"]: item["value"] for item in response["user_attributes"]}
                return survey_id, response["id"], attributes
    raise AssertionError


@pytest.fixture
def looked_up():
    account = SandboxAccount.sized(surveys=1, responses=40)
    with SandboxServer(account) as server, (client := PlainClient(server).authorize()).session:
        yield client


def test_user_lookup_without_deletion_records_and_deletes_nothing(looked_up):
    account = looked_up.server.account
    _, _, attributes = user_of(account)
    body = {"data_subject_email": attributes["email"], "delete_all_hits": False}
    before = account.responses("1400001")
    assert looked_up.post(LOOKUP, body).status_code == 200
    assert account.user_lookups == [body]
    assert account.responses("1400001") == before


@pytest.mark.parametrize("by", ["email", "user_id"])
def test_user_lookup_with_deletion_deletes_the_persons_responses(looked_up, by):
    account = looked_up.server.account
    survey_id, response_id, attributes = user_of(account)
    key = (
        {"data_subject_email": attributes["email"]}
        if by == "email"
        else {"data_subject_site_id_to_user_id_map": {"1001": attributes["user_id"]}}
    )
    looked_up.post(LOOKUP, key | {"delete_all_hits": True})
    left = account.responses(survey_id)
    assert response_id not in {response["id"] for response in left}
    assert not any(
        {"name": "email", "value": attributes["email"]} in response["user_attributes"]
        for response in left
    )
    assert 30 < len(left) < 40


@pytest.mark.parametrize("body", [{}, {"data_subject_email": 5}, []])
def test_user_lookup_of_nobody_is_a_bad_request(looked_up, body):
    assert looked_up.post(LOOKUP, body).status_code == 400


def test_user_lookup_needs_the_organization_and_the_plan(looked_up):
    body = {"data_subject_email": "a@example.com"}
    assert looked_up.post("/v1/organizations/9/user-lookup", body).status_code == 404
    looked_up.server.account.plan_allows_user_lookup = False
    assert looked_up.post(LOOKUP, body).status_code == 403


def test_requests_are_recorded_as_they_came(small):
    small.post_token()
    small.get(responses_path("s1"), limit=5)
    token, page = small.server.requests
    assert (token.method, token.path) == ("POST", "/v1/oauth/token")
    assert token.form["client_secret"] == "sandbox-secret"
    assert page.query == {"limit": "5"}
    assert page.headers["authorization"] == small.session.headers["Authorization"]
    small.server.clear_requests()
    assert small.server.requests == []


def test_many_clients_are_served_at_once(client):
    sessions = [requests.Session() for _ in range(5)]
    for session in sessions:
        session.headers["Authorization"] = client.session.headers["Authorization"]
        assert session.get(client.server.url + SURVEYS).status_code == 200
    for session in sessions:
        session.close()
