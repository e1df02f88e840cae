"""The sandbox's export: what a browser would be given, asked for without the client."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from hotjar_assets.sandbox import (
    SANDBOX_EMAIL,
    SANDBOX_HEADER,
    SANDBOX_PASSWORD,
    SANDBOX_SITE_ID,
    Fault,
    SandboxAccount,
    SandboxServer,
)

SITE = f"/api/v1/sites/{SANDBOX_SITE_ID}"
QUERY = {
    "survey_query": '{"sort_by":"-index","clauses":[]}',
    "format": "csv",
    "async_export": "false",
}


class Browser:
    """Logs in as the site does and keeps the session in a header."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.headers: dict[str, str] = {}

    def log_in(self, **changes: Any) -> requests.Response:
        login = {"action": "login", "email": SANDBOX_EMAIL, "password": SANDBOX_PASSWORD}
        answer = requests.post(
            f"{self.server.url}/api/v2/users",
            json={**login, "remember": False, **changes},
            timeout=10,
        )
        self.headers = {"X-Acc": answer.cookies.get_dict().get("ACC", "")}
        return answer

    def get(self, path: str, **params: str) -> requests.Response:
        return requests.get(self.server.url + path, params=params, headers=self.headers, timeout=10)

    def export(self, survey_id: str = "s1", **changes: str) -> requests.Response:
        path = f"/api/ask/v3/sites/{SANDBOX_SITE_ID}/polls/{survey_id}/responses/export"
        return self.get(path, **{**QUERY, **changes})

    def download(self, **changes: str) -> requests.Response:
        return requests.get(self.export(**changes).json()["download_url"], timeout=10)


def served(**options: Any) -> SandboxServer:
    account = SandboxAccount.empty()
    account.add_survey("Small", survey_id="s1", responses=25)
    return SandboxServer(account, **options)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with served() as server:
        browser = Browser(server)
        assert browser.log_in().status_code == 200
        yield browser


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"password": "no"}, 401),
        ({"email": "no"}, 401),
        ({"action": "x"}, 401),
        ({"email": 1}, 400),
    ],
)
def test_a_wrong_login_gets_no_session(browser, changes, status):
    answer = browser.log_in(**changes)

    assert answer.status_code == status
    assert "ACC" not in answer.cookies
    assert browser.get(f"{SITE}/surveys").status_code == 401


@pytest.mark.parametrize("kind", ["sso", "two_factor"])
def test_a_login_that_takes_more_gets_no_session(browser, kind):
    browser.server.faults.add(Fault(kind, path="login"))

    answer = browser.log_in()

    assert answer.status_code == 200
    assert answer.json()["success"] is False
    assert "ACC" not in answer.cookies


def test_a_session_ends_when_all_tokens_do(browser):
    browser.server.expire_tokens()

    assert browser.get(f"{SITE}/surveys").status_code == 401


def test_an_export_may_want_the_cookie_of_the_login_as_well():
    with served(needs_cookies=True) as server:
        browser = Browser(server)
        browser.log_in()
        session = browser.headers["X-Acc"]

        without = browser.get(f"{SITE}/surveys").status_code
        browser.headers["Cookie"] = "ACC=of-another-login"
        with_another = browser.get(f"{SITE}/surveys").status_code
        browser.headers["Cookie"] = f"a=b; ACC={session}"
        with_it = browser.get(f"{SITE}/surveys").status_code

    assert (without, with_another, with_it) == (401, 401, 200)


def test_a_token_of_the_api_is_no_session_and_a_session_no_token(browser):
    session = browser.headers["X-Acc"]

    answer = requests.get(
        f"{browser.server.url}/v1/sites/{SANDBOX_SITE_ID}/surveys",
        headers={"Authorization": f"Bearer {session}"},
        timeout=10,
    )

    assert answer.status_code == 401


def test_the_lists_are_those_of_the_account(browser):
    account = browser.server.account
    (survey,) = account.surveys(with_questions=False)

    assert browser.get(f"{SITE}/surveys").json() == [survey]
    assert browser.get(f"{SITE}/polls/s1").json() == {"poll": account.survey("s1")}
    questions = {"questions": account.survey("s1")["questions"]}
    assert browser.get(f"{SITE}/polls/s1/questions").json() == questions
    for missing in ("/api/v1/sites/9/surveys", f"{SITE}/polls/9", f"{SITE}/polls/9/questions"):
        assert browser.get(missing).status_code == 404
    assert browser.export("9").status_code == 404


def test_an_account_without_the_api_plan_may_export(browser):
    browser.server.account.plan_allows_export = False

    assert browser.export().status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"survey_query": "no"},
        {"survey_query": '{"sort_by":"name","clauses":[]}'},
        {"survey_query": '{"sort_by":"-index"}'},
        {"format": "xlsx"},
        {"async_export": "true"},
    ],
)
def test_an_export_of_another_kind_is_refused(browser, changes):
    assert browser.export(**changes).status_code == 400


def test_a_file_is_handed_out_at_another_address_to_whoever_has_its_link(browser):
    url = browser.export().json()["download_url"]

    answer = requests.get(url, timeout=10)

    assert answer.status_code == 200
    assert answer.headers[SANDBOX_HEADER] == "1"
    assert urlsplit(url).netloc != urlsplit(browser.server.url).netloc
    here = browser.server.url + urlsplit(url).path
    assert requests.get(here, timeout=10).status_code == 404
    there = f"http://{urlsplit(url).netloc}{SITE}/surveys"
    assert requests.get(there, headers=browser.headers, timeout=10).status_code == 404
    assert requests.get(url.replace("/exports/", "/exports/x"), timeout=10).status_code == 404


def test_an_export_is_a_zip_of_one_wide_csv_newest_number_first(browser):
    account = browser.server.account
    account.add_responses("s1", answers=[{"question_id": "?", "answer": "nobody asked"}])

    with zipfile.ZipFile(io.BytesIO(browser.download().content)) as archive:
        (member,) = archive.infolist()
        header, *rows = csv.reader(io.StringIO(archive.read(member).decode(), newline=""))

    assert header[:3] == ["Number", "User", "Date Submitted"]
    asked = [each["text"] for each in account.survey("s1")["questions"]]
    assert header[-len(asked) :] == asked
    assert [int(row[0]) for row in rows] == list(range(26, 0, -1))
    assert rows[0][-len(asked) :] == [""] * len(asked)
    answers = {
        answer["question_id"]: answer["answer"] for answer in account.responses("s1")[1]["answers"]
    }
    given = [answers.get(each["id"]) or "" for each in account.survey("s1")["questions"]]
    assert rows[1][-len(asked) :] == given


def test_an_export_may_be_a_csv_with_a_mark_in_the_other_order():
    with served(export_format="csv") as server:
        browser = Browser(server)
        browser.log_in()
        query = json.dumps({"sort_by": "index", "clauses": []})

        body = browser.download(survey_query=query).content

    assert body.startswith(b"\xef\xbb\xbfNumber,")
    assert b"\r\n1," in body[: body.index(b"\r\n2,")]


def test_a_restarted_sandbox_hands_files_out_at_the_same_address(browser):
    url = browser.export().json()["download_url"]

    browser.server.stop()
    browser.server.start()

    assert requests.get(url, timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("kind", "path"), [("sso", "token"), ("two_factor", "any"), ("download_url_missing", "login")]
)
def test_a_fault_of_one_path_is_refused_for_another(kind, path):
    with pytest.raises(ValueError, match=f"fault '{kind}' hits path '.*' alone"):
        Fault(kind, path=path)
