"""The command line in this process, over a served account."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from hotjar_assets.cli import main
from hotjar_assets.sandbox import SandboxServer
from hotjar_assets_tests.dagster.model import (
    environment,
    small_account,
    tables_after_a_first_sync,
)


class Shell:
    """Runs the command line as a shell in one folder would.

    Attributes:
        server: The account.
        database: The tables.
        variables: The environment, without what a call adds.
    """

    def __init__(self, server: SandboxServer, database: Path) -> None:
        self.server = server
        self.database = database
        self.variables: dict[str, str | None] = {**environment(server, database)}

    def __call__(self, *args: str, **variables: str | None) -> Result:
        """Run a command; a variable that is None is taken away."""
        result = CliRunner().invoke(main, args, env=self.variables | variables)
        # Whatever happens, nobody gets to see a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result


@pytest.fixture(autouse=True)
def _without_waiting(no_backoff: None) -> None:
    """Let no test wait for an API that fails on purpose."""


@pytest.fixture(autouse=True)
def _without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the dbt models, which take seconds; `models/` tests them."""
    monkeypatch.setattr("hotjar_assets.runs.has_dbt", lambda: False)
    monkeypatch.setattr("hotjar_assets.defs.models.has_dbt", lambda: False)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(small_account()) as server:
        yield server


@pytest.fixture
def shell(server: SandboxServer, tmp_path: Path) -> Shell:
    """A shell whose runs go to the instance that DAGSTER_HOME names."""
    return Shell(server, tmp_path / "tables.duckdb")


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance in memory, which the command line uses instead of one on disk: it is quicker."""
    with dg.DagsterInstance.ephemeral() as instance:
        opened: Any = nullcontext(instance)
        monkeypatch.setattr("hotjar_assets.runs.local_instance", lambda: opened)
        yield instance


@pytest.fixture
def quick(shell: Shell, instance: dg.DagsterInstance) -> Shell:
    """A shell whose runs go to an instance in memory."""
    return shell


@pytest.fixture
def synced(quick: Shell) -> Shell:
    """A quick shell whose tables have every response, from a sync somewhere else."""
    quick.database.write_bytes(tables_after_a_first_sync())
    return quick
