"""The endpoints: what is asked for, and how the answers are marked."""

import json
from typing import Any

import pytest

from hotjar_assets.api.source import SANDBOX_HEADER
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarNotFoundError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarUnknownSurveyError,
)
from hotjar_assets_tests.api.model import (
    RESPONSES_PATH,
    SITE_ID,
    SURVEY_ID,
    SURVEY_PATH,
    response_row,
    survey_row,
)
from hotjar_assets_tests.api.scripted_server import NO_ANSWER, error, json_reply, page

MARKER: dict[str, Any] = {SANDBOX_HEADER: "1"}
SURVEYS_PATH = f"/v1/sites/{SITE_ID}/surveys"


def test_surveys_are_listed_with_questions(client, api):
    api.answers(page(survey_row("1"), survey_row("2"), next_cursor="A"), page(survey_row("3")))
    assert [survey.id for survey in client.iter_surveys(SITE_ID)] == ["1", "2", "3"]
    assert [(sent.path, sent.query) for sent in api.data_requests] == [
        (SURVEYS_PATH, {"limit": "100", "with_questions": "true"}),
        (SURVEYS_PATH, {"limit": "100", "with_questions": "true", "cursor": "A"}),
    ]


def test_surveys_of_all_sites_are_listed_without_questions(connect, api):
    client = connect(site_ids=("1001", "1002"))
    api.answers(page(survey_row("1")), page(survey_row("2")))
    assert [(survey.id, survey.site_id) for survey in client.list_surveys()] == [
        ("1", "1001"),
        ("2", "1002"),
    ]
    assert [(sent.path, sent.query["with_questions"]) for sent in api.data_requests] == [
        ("/v1/sites/1001/surveys", "false"),
        ("/v1/sites/1002/surveys", "false"),
    ]


def test_failed_listing_of_one_site_is_no_shorter_listing(connect, api):
    client = connect(site_ids=("1001", "1002"))
    api.answers(page(survey_row("1")), error(404))
    with pytest.raises(HotjarNotFoundError, match="/v1/sites/1002/surveys"):
        client.list_surveys()


def test_one_survey_is_got_with_its_questions(client, api):
    api.answers(json_reply(survey_row(questions=[{"id": "q1"}])))
    survey = client.get_survey(SITE_ID, SURVEY_ID)
    assert (survey.id, survey.site_id, survey.platform) == (SURVEY_ID, SITE_ID, "hotjar")
    assert [question.id for question in survey.questions or ()] == ["q1"]
    assert api.data_requests[0].target == SURVEY_PATH


def test_responses_are_marked_with_their_place(client, api):
    api.answers(page(response_row("r1"), response_row("r2", surprise=1)))
    (only,) = client.iter_response_pages(SITE_ID, SURVEY_ID)
    assert [(row.site_id, row.survey_id, row.platform) for row in only.results] == [
        (SITE_ID, SURVEY_ID, "hotjar")
    ] * 2


def test_requests_accept_json(client, api):
    api.answers(page())
    list(client.iter_response_pages(SITE_ID, SURVEY_ID))
    (sent,) = api.data_requests
    assert (sent.method, sent.path, sent.body) == ("GET", RESPONSES_PATH, b"")
    assert sent.headers["Accept"] in {"*/*", "application/json"}


@pytest.mark.parametrize(
    ("survey_id", "segment"),
    [
        ("survey_3f2b8c1e-1234-5678-9abc-def012345678",) * 2,
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a?b=c&d", "a%3Fb%3Dc%26d"),
        ("a#b", "a%23b"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("..%2F..", "..%252F.."),
        ("../../oauth", "..%2F..%2Foauth"),
        ("é🙂", "%C3%A9%F0%9F%99%82"),
        ("a;b:c@d", "a%3Bb%3Ac%40d"),
        ("a\\b\n", "a%5Cb%0A"),
        ("v1.2~x-y_z", "v1.2~x-y_z"),
    ],
)
def test_ids_are_quoted_in_the_path(survey_id, segment, connect, api):
    client = connect(site_ids=(survey_id,))
    api.answers(page(), json_reply(survey_row()), page())
    list(client.iter_response_pages(SITE_ID, survey_id))
    client.get_survey(survey_id, "1")
    list(client.iter_surveys(survey_id))
    assert [sent.target.partition("?")[0] for sent in api.data_requests] == [
        f"/v1/sites/{SITE_ID}/surveys/{segment}/responses",
        f"/v1/sites/{segment}/surveys/1",
        f"/v1/sites/{segment}/surveys",
    ]


@pytest.mark.parametrize("survey_id", [".", "..", ""], ids=["dot", "dots", "empty"])
def test_id_that_is_no_segment_never_names_another_resource(survey_id, client, api):
    api.answers_always(error(404))
    with pytest.raises(HotjarNotFoundError):
        list(client.iter_response_pages(SITE_ID, survey_id))
    (sent,) = api.data_requests
    assert sent.path == f"/v1/sites/{SITE_ID}/surveys/%25{survey_id}/responses"


def test_site_of_a_survey_is_found_by_asking_each(connect, api):
    client = connect(site_ids=("1001", "1002", "1003"))
    count = RequestCount()
    api.answers(error(404), json_reply(survey_row()))
    assert client.find_site(SURVEY_ID, count=count) == "1002"
    assert [sent.path for sent in api.data_requests] == [
        f"/v1/sites/1001/surveys/{SURVEY_ID}",
        f"/v1/sites/1002/surveys/{SURVEY_ID}",
    ]
    assert count.sent == 2


def test_survey_on_no_site_is_unknown(connect, api):
    client = connect(site_ids=("1001", "1002"))
    api.answers(error(404), error(404))
    with pytest.raises(HotjarUnknownSurveyError, match=r"no such survey: 'typed'.*1001, 1002"):
        client.find_site("typed")


def test_failed_question_for_a_survey_is_no_unknown_survey(connect, api):
    client = connect(site_ids=("1001", "1002"))
    api.answers(error(404), *[error(500)] * 6)
    with pytest.raises(HotjarServerError):
        client.find_site(SURVEY_ID)


@pytest.mark.parametrize(
    ("row", "path"),
    [({"name": "x"}, "survey.id: is missing"), ([], "survey: is not an object")],
    ids=["no-id", "list"],
)
def test_survey_that_is_none_is_refused(row, path, client, api):
    api.answers(json_reply(row))
    with pytest.raises(HotjarSchemaError, match=path):
        client.get_survey(SITE_ID, SURVEY_ID)


def test_path_prefix_of_the_url_is_kept(connect, api):
    api.answers(json_reply({"access_token": "behind"}), json_reply(survey_row()))
    connect(f"{api.url}/gateway/").get_survey(SITE_ID, SURVEY_ID)
    assert [sent.path for sent in api.sent] == [
        "/gateway/v1/oauth/token",
        f"/gateway{SURVEY_PATH}",
    ]


# --- The user lookup ---------------------------------------------------------------------------

LOOKUP = "/v1/organizations/501/user-lookup"
MAIL = {"data_subject_email": "ann@x.example"}
IDS = {"data_subject_site_id_to_user_id_map": {"1001": "u-1", "1002": "u-1"}}


@pytest.mark.parametrize(
    "flag",
    [{"delete_all_hits": True}, {"delete_all_hits": False}, {}],
    ids=["delete", "report", "unless it is said otherwise, report"],
)
@pytest.mark.parametrize(
    ("person", "named"),
    [
        ({"email": "ann@x.example"}, MAIL),
        ({"user_ids": {"1001": "u-1", "1002": "u-1"}}, IDS),
    ],
    ids=["address", "ids"],
)
def test_user_lookup_is_sent_once_with_the_flag_as_given(client, api, person, named, flag):
    api.answers(json_reply({}))
    client.look_up_user("501", **person, **flag)
    (sent,) = api.data_requests
    assert (sent.method, sent.target) == ("POST", LOOKUP)
    assert (sent.token, sent.headers["Content-Type"]) == ("token-1", "application/json")
    assert json.loads(sent.body) == {"delete_all_hits": False, **named, **flag}


def test_organization_is_quoted_in_the_path_of_a_user_lookup(client, api):
    api.answers(json_reply({}))
    client.look_up_user("5/0?1", email="ann@x.example")
    (sent,) = api.data_requests
    assert sent.target == "/v1/organizations/5%2F0%3F1/user-lookup"


@pytest.mark.parametrize(
    "reply",
    [error(400), error(403), error(404), error(429, Retry_After="1"), error(503), NO_ANSWER],
    ids=["400", "403", "404", "429", "503", "no answer"],
)
@pytest.mark.parametrize("delete", [True, False], ids=["delete", "report"])
def test_user_lookup_that_fails_is_not_sent_again(client, api, time, reply, delete):
    api.answers(reply)
    with pytest.raises(HotjarApiError):
        client.look_up_user("501", email="ann@x.example", delete_all_hits=delete)
    (sent,) = api.data_requests
    assert (sent.method, sent.path) == ("POST", LOOKUP)
    assert json.loads(sent.body) == {**MAIL, "delete_all_hits": delete}
    assert time.slept == []


def test_user_lookup_with_an_expired_token_is_sent_again_as_it_was(client, api):
    api.answers(error(401), json_reply({}))
    client.look_up_user("501", email="ann@x.example", delete_all_hits=True)
    assert [(sent.token, sent.target, json.loads(sent.body)) for sent in api.data_requests] == [
        (token, LOOKUP, {**MAIL, "delete_all_hits": True}) for token in ("token-1", "token-2")
    ]


def test_user_lookup_without_the_plan_says_so(client, api):
    api.answers(error(403))
    with pytest.raises(HotjarAuthError, match="user-lookup"):
        client.look_up_user("501", email="ann@x.example")


# --- Whose account it is -----------------------------------------------------------------------


def test_account_is_real_without_the_marker(client, api):
    api.answers(page())
    list(client.iter_surveys(SITE_ID))
    assert client.account == "real"


@pytest.mark.parametrize(
    "reply",
    [page(), error(404)],
    ids=["good", "failed"],
)
def test_account_is_the_sandbox_once_an_answer_said_so(reply, client, api):
    marked = json_reply({"results": []}, reply.status, **MARKER)
    api.answers(marked, page())
    for _ in range(2):
        try:
            list(client.iter_surveys(SITE_ID))
        except HotjarNotFoundError:
            assert reply.status == 404
    assert client.account == "sandbox"


def test_account_is_known_from_the_token_answer(client, api):
    api.grants([json_reply({"access_token": "t"}, **MARKER)])
    client.authenticate()
    assert client.account == "sandbox"
