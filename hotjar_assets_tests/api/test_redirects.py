"""Redirects: followed where the token may go, and nowhere else."""

import pytest

from hotjar_assets.errors import HotjarApiError, HotjarStatusError
from hotjar_assets_tests.api.model import SITE_ID, SURVEY_ID, SURVEY_PATH, response_row, survey_row
from hotjar_assets_tests.api.scripted_server import Reply, json_reply, page

SURVEY = json_reply(survey_row())


def redirect(location, status=307):
    return Reply(status=status, headers={"Location": location})


def read_survey(client):
    return client.get_survey(SITE_ID, SURVEY_ID)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_on_the_same_host_is_followed_with_the_token(status, client, api):
    api.answers(redirect("/v2/surveys/42", status), SURVEY)
    assert read_survey(client).id == SURVEY_ID
    assert [(sent.method, sent.path, sent.token) for sent in api.data_requests] == [
        ("GET", SURVEY_PATH, "token-1"),
        ("GET", "/v2/surveys/42", "token-1"),
    ]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("other", f"/v1/sites/{SITE_ID}/surveys/other"),
        ("?moved=1", f"{SURVEY_PATH}?moved=1"),
        ("{url}/absolute", "/absolute"),
        ("//{host}/protocol-relative", "/protocol-relative"),
    ],
    ids=["relative", "query", "absolute", "protocol-relative"],
)
def test_every_form_of_location_is_understood(location, target, client, api):
    host = api.url.removeprefix("http://")
    api.answers(redirect(location.format(url=api.url, host=host)), SURVEY)
    assert read_survey(client).id == SURVEY_ID
    assert api.data_requests[1].target == target


def test_query_of_the_target_is_kept_and_not_doubled(client, api):
    api.answers(
        page(response_row("r1"), next_cursor="A&b"),
        redirect("/moved?limit=100&cursor=A%26b&via=1"),
        page(response_row("r2")),
    )
    pages = list(client.iter_response_pages(SITE_ID, SURVEY_ID))
    assert [row.id for page in pages for row in page.results] == ["r1", "r2"]
    assert api.data_requests[2].target == "/moved?limit=100&cursor=A%26b&via=1"


def test_next_page_is_asked_for_at_the_documented_path_again(client, api):
    api.answers(
        redirect("/moved"), page(response_row("r1"), next_cursor="A"), page(response_row("r2"))
    )
    list(client.iter_response_pages(SITE_ID, SURVEY_ID))
    assert [(sent.path, sent.cursor) for sent in api.data_requests] == [
        (f"{SURVEY_PATH}/responses", None),
        ("/moved", None),
        (f"{SURVEY_PATH}/responses", "A"),
    ]


@pytest.mark.parametrize(
    "location",
    [
        "{elsewhere}/v1/x",
        "http://localhost:{port}/v1/x",
        "https://127.0.0.1:{port}/v1/x",
        "//{elsewhere_host}/v1/x",
        "http://127.0.0.1/v1/x",
    ],
    ids=["port", "host", "scheme", "protocol-relative", "default-port"],
)
def test_redirect_to_another_host_is_refused(location, client, api, elsewhere):
    port = api.url.rpartition(":")[2]
    elsewhere_host = elsewhere.url.removeprefix("http://")
    target = location.format(elsewhere=elsewhere.url, elsewhere_host=elsewhere_host, port=port)
    api.answers(redirect(target))
    with pytest.raises(HotjarStatusError, match=r"another host \(.*HOTJAR_API_URL") as caught:
        read_survey(client)
    assert caught.value.status == 307
    assert not caught.value.retryable
    assert elsewhere.sent == []
    assert len(api.data_requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/moved", "{elsewhere}/v1/oauth/token"])
def test_login_is_never_redirected(location, status, client, api, elsewhere):
    api.grants([redirect(location.format(elsewhere=elsewhere.url), status)])
    with pytest.raises(HotjarStatusError, match=r"login was redirected.*HOTJAR_API_URL") as caught:
        client.authenticate()
    assert caught.value.status == status
    assert not caught.value.retryable
    assert elsewhere.sent == []
    assert len(api.sent) == 1


def test_redirect_to_another_host_after_one_to_the_same_is_refused(client, api, elsewhere):
    api.answers(redirect("/here"), redirect(f"{elsewhere.url}/there"))
    with pytest.raises(HotjarStatusError, match="another host"):
        read_survey(client)
    assert elsewhere.sent == []


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://127.0.0.1:port/",
        "ftp://127.0.0.1:21/x",
        "\\\\host/x",
        "/a\\b",
        "/a\tb",
        "/a\x80b",
    ],
)
def test_redirect_to_nowhere_is_final(location, client, api):
    api.answers(redirect(location))
    with pytest.raises(HotjarStatusError, match="redirected to an invalid URL"):
        read_survey(client)
    assert len(api.data_requests) == 1


def test_redirects_in_a_circle_end(client, api):
    api.answers_always(redirect(f"{SURVEY_PATH}?cursor=hidden"))
    with pytest.raises(HotjarStatusError, match="more than 5 redirects in a row") as caught:
        read_survey(client)
    assert len(api.data_requests) == 6
    assert caught.value.url == f"{api.url}{SURVEY_PATH}"
    assert "hidden" not in str(caught.value)


def test_body_of_a_redirect_is_not_read(client, api):
    api.answers(Reply(b"x" * 2, 307, {"Location": "/here"}, end="stall"), SURVEY)
    assert read_survey(client).id == SURVEY_ID
    assert [sent.path for sent in api.data_requests] == [SURVEY_PATH, "/here"]


def test_redirect_without_a_location_is_no_survey(client, api):
    api.answers_always(Reply(status=302))
    with pytest.raises(HotjarApiError, match="not the JSON"):
        read_survey(client)


@pytest.mark.parametrize("location", ["http://user:word@{host}/v1/x", "//@{host}/v1/x"])
def test_redirect_with_user_info_is_refused(location, client, api):
    api.answers(redirect(location.format(host=api.url.removeprefix("http://"))))
    with pytest.raises(HotjarStatusError, match="redirected to a URL with user info") as caught:
        read_survey(client)
    assert "user:word" not in str(caught.value)
    assert len(api.data_requests) == 1


def test_redirect_in_utf_8_is_understood(client, api):
    api.answers(redirect("/caf\u00e9".encode().decode("latin-1")), SURVEY)
    assert read_survey(client).id == SURVEY_ID
    assert api.data_requests[1].path == "/caf%C3%A9"
