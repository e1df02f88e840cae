"""A client as plain as can be, so that these tests rest on nothing but the sandbox."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SandboxAccount,
    SandboxServer,
)

LARGE = "1204502"
NPS = "1204501"
EMPTY = "1204512"
SURVEYS = "/v1/sites/1001/surveys"


class PlainClient:
    """Asks once and returns what came back."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.session = requests.Session()

    def post_token(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": SANDBOX_CLIENT_ID,
            "client_secret": SANDBOX_CLIENT_SECRET,
        }
        return self.session.post(f"{self.server.url}/v1/oauth/token", data=form | changes)

    def authorize(self) -> "PlainClient":
        token = self.post_token().json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        return self

    def get(self, path: str, *, follow: bool = True, **params: Any) -> requests.Response:
        return self.session.get(self.server.url + path, params=params, allow_redirects=follow)

    def post(self, path: str, json: Any) -> requests.Response:
        return self.session.post(self.server.url + path, json=json)

    def page(self, survey_id: str, **params: Any) -> dict[str, Any]:
        answer = self.get(responses_path(survey_id), **params)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return page

    def pages(self, path: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        cursor: dict[str, Any] = {}
        while True:
            page = self.get(path, **params, **cursor).json()
            yield page["results"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def walk(self, path: str, **params: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **params) for row in page]


def responses_path(survey_id: str) -> str:
    return f"{SURVEYS}/{survey_id}/responses"


@pytest.fixture(scope="session")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def client(_running: SandboxServer) -> Iterator[PlainClient]:
    """A client of the default account, which no test may change; faults are gone at the end."""
    _running.clear_requests()
    client = PlainClient(_running).authorize()
    _running.clear_requests()
    with client.session:
        yield client
    _running.faults.clear()


@pytest.fixture
def small() -> Iterator[PlainClient]:
    """A client of an account of its own: one survey, "s1", of 25 responses."""
    account = SandboxAccount.empty()
    account.add_survey("Small", survey_id="s1", responses=25)
    with SandboxServer(account) as server, (client := PlainClient(server).authorize()).session:
        server.clear_requests()
        yield client
