"""A deployment of this project over the small account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotjar_assets.sandbox import SandboxServer
from hotjar_assets_tests.dagster.model import Deployment, deployed, tables_after_a_first_sync


@pytest.fixture(autouse=True)
def _without_waiting(no_backoff: None) -> None:
    """Let no test wait for an API that fails on purpose."""


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment without partitions."""
    with deployed(tmp_path) as deployment:
        yield deployment


@pytest.fixture
def server(deployment: Deployment) -> SandboxServer:
    """The server of the small account alone."""
    return deployment.server


@pytest.fixture
def known(deployment: Deployment) -> Deployment:
    """A deployment that has a partition for every survey and has read none."""
    deployment.add_partitions()
    return deployment


@pytest.fixture
def synced(known: Deployment) -> Deployment:
    """A deployment that has every response in its tables, from a sync somewhere else."""
    known.database.write_bytes(tables_after_a_first_sync())
    return known
