"""A sandbox, a database file, and a sync between them without Dagster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.errors import HotjarError
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxAccount,
    SandboxServer,
)
from hotjar_assets.sync import Depth, ResponseSync, SurveyRead, SurveySync
from hotjar_assets.warehouse import Figures, Warehouse

SURVEYS = f"/v1/sites/{SANDBOX_SITE_ID}/surveys"
CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""The account's now: long past for the machine, so that nothing counts as of the future."""


def responses_path(survey_id: str, site_id: str = SANDBOX_SITE_ID) -> str:
    return f"/v1/sites/{site_id}/surveys/{survey_id}/responses"


@dataclass(frozen=True)
class Synced:
    """One survey's walk and what became of it."""

    read: SurveyRead
    result: Figures | HotjarError

    @property
    def figures(self) -> Figures:
        assert isinstance(self.result, Figures), self.result
        return self.result

    @property
    def error(self) -> HotjarError:
        assert isinstance(self.result, HotjarError), self.result
        return self.result


class Store:
    """An account and a database file, and the loop that the I/O manager runs over them."""

    def __init__(self, client: HotjarClient, path: Path) -> None:
        self.client = client
        self.path = path
        self.warehouse = Warehouse(path)

    def list_surveys(self) -> Figures:
        return self.warehouse.merge_surveys(SurveySync(self.client).read(self.known))

    @property
    def known(self) -> dict[str, set[str]]:
        return self.warehouse.known_surveys(self.client.platform)

    def sync(
        self, *survey_ids: str, depth: Depth = Depth.NEW, purge: bool = False, **options: Any
    ) -> dict[str, Synced]:
        walks = ResponseSync(self.client, survey_ids, depth, purge=purge, **options)
        synced: dict[str, Synced] = {}
        with self.warehouse.spool() as folder:
            for group in walks.read(self.warehouse.survey_states(survey_ids), folder):
                whole = [read for read in group if not read.error]
                results = self.warehouse.commit_responses(whole, purge=purge)
                for read in group:
                    result = read.error or results[read.survey_id]
                    synced[read.survey_id] = Synced(read, result)
        assert synced.keys() == set(survey_ids)
        return synced

    def sync_one(self, survey_id: str, **options: Any) -> Synced:
        return self.sync(survey_id, **options)[survey_id]

    def walk(self, survey_id: str, folder: Path, **options: Any) -> SurveyRead:
        """Read one survey and store nothing."""
        sync = ResponseSync(self.client, [survey_id], **options)
        ((read,),) = sync.read(self.warehouse.survey_states([survey_id]), folder)
        return read


def sent(server: SandboxServer) -> list[tuple[str, dict[str, str]]]:
    """Tell path and query of what was sent since last asked, token requests apart."""
    requests = [each for each in server.requests if each.path != "/v1/oauth/token"]
    server.clear_requests()
    for request in requests:
        assert request.method == "GET"
        assert request.headers["authorization"].startswith("Bearer ")
    return [(request.path, request.query) for request in requests]


def pages_sent(server: SandboxServer, survey_id: str) -> int:
    """Count the pages asked for since last asked; fails if the cursors were not followed."""
    queries = [query for path, query in sent(server) if path == responses_path(survey_id)]
    assert all(query["limit"] == "100" for query in queries)
    cursors = [query.get("cursor") for query in queries]
    assert cursors[:1] in ([], [None])
    assert all(cursors[1:])
    assert len(set(cursors)) == len(cursors)
    return len(cursors)


def new_client(server: SandboxServer, **options: Any) -> HotjarClient:
    defaults: dict[str, Any] = {
        "client_id": SANDBOX_CLIENT_ID,
        "client_secret": SANDBOX_CLIENT_SECRET,
        "site_ids": (SANDBOX_SITE_ID,),
        "requests_per_minute": 10_000_000,
        "use_environment": False,
        "sleep": lambda _seconds: None,
    }
    return HotjarClient(server.url, **(defaults | options))


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(clock=CLOCK, blueprints=())


@pytest.fixture
def server(account: SandboxAccount) -> Iterator[SandboxServer]:
    with SandboxServer(account) as running:
        yield running


@pytest.fixture
def make_client(server: SandboxServer) -> Iterator[Callable[..., HotjarClient]]:
    clients: list[HotjarClient] = []

    def make(**options: Any) -> HotjarClient:
        clients.append(new_client(server, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def store(make_client: Callable[..., HotjarClient], path: Path) -> Store:
    return Store(make_client(), path)


@pytest.fixture
def survey_id(account: SandboxAccount) -> str:
    """A survey of 250 responses, a quarter of a second apart."""
    made = account.add_survey("Checkout")
    account.add_responses(made, 250)
    return made
