"""An account of short pages, its tables, and a second process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotjar_assets.sandbox import SandboxServer
from hotjar_assets_tests.promises.harness import ShortPages, Tables
from hotjar_assets_tests.promises.worker import Worker
from hotjar_assets_tests.store.conftest import CLOCK


@pytest.fixture
def account() -> ShortPages:
    return ShortPages(clock=CLOCK, blueprints=())


@pytest.fixture
def server(account: ShortPages) -> Iterator[SandboxServer]:
    with SandboxServer(account) as running:
        yield running


@pytest.fixture
def tables(server: SandboxServer, tmp_path: Path) -> Tables:
    return Tables(tmp_path / "warehouse.duckdb", server.url)


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process that syncs when told to."""
    started = Worker()
    yield started
    started.stop()
