"""A small account, a database file and a Dagster instance, and what each of them says."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import duckdb

from hotjar_assets.config import Settings
from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.assets import IO_MANAGER_KEY, survey_responses
from hotjar_assets.defs.models import ModelsDatabase
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, survey_partitions
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxAccount,
    SandboxServer,
)

CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""The account's now: long past for the machine, so that no response is of the future."""
SITE = f"/v1/sites/{SANDBOX_SITE_ID}/surveys"
RESPONSES = {"101": 3, "102": 120, "103": 0, "104": 7}
"""The surveys of the small account and how many responses each has; 102 fills two pages."""
SURVEY_IDS = list(RESPONSES)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def small_account() -> SandboxAccount:
    account = SandboxAccount(clock=CLOCK, blueprints=())
    for survey_id, count in RESPONSES.items():
        account.add_survey(f"Survey {survey_id}", survey_id=survey_id, responses=count)
    return account.build()


def environment(server: SandboxServer, database: Path | None = None) -> dict[str, str]:
    """Return the settings that reach a server, as environment variables."""
    variables = {
        "HOTJAR_CLIENT_ID": SANDBOX_CLIENT_ID,
        "HOTJAR_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
        "HOTJAR_SITE_ID": SANDBOX_SITE_ID,
        "HOTJAR_API_URL": server.url,
        "HOTJAR_REQUESTS_PER_MINUTE": "1000000",
        "HOTJAR_PROGRESS_SECONDS": "0",
    }
    return variables | ({"HOTJAR_DATABASE": str(database)} if database else {})


def settings_for(server: SandboxServer, database: Path, **changes: str) -> Settings:
    return Settings.from_environment(environment(server, database) | changes)


def query(database: Path, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql, parameters or None).fetchall()


def stored_ids(database: Path, survey_id: str) -> list[str]:
    """Return the ids of a survey's stored responses, sorted; a repeated one stands twice."""
    sql = "SELECT response_id FROM hotjar.survey_responses WHERE survey_id = $key ORDER BY 1"
    return [response_id for (response_id,) in query(database, sql, key=survey_id)]


def account_ids(account: SandboxAccount, survey_id: str) -> list[str]:
    return sorted(str(response["id"]) for response in account.responses(survey_id))


def sent(server: SandboxServer) -> list[tuple[str, str, dict[str, str]]]:
    """Return method, path and query of every request, without the opaque cursors."""
    return [
        (
            request.method,
            request.path,
            {name: "…" if name == "cursor" else value for name, value in request.query.items()},
        )
        for request in server.requests
    ]


def pages_sent(server: SandboxServer) -> dict[str, int]:
    """Count the requests for responses, by survey."""
    counts: dict[str, int] = {}
    for request in server.requests:
        if request.path.endswith("/responses"):
            survey_id = request.path.split("/")[-2]
            counts[survey_id] = counts.get(survey_id, 0) + 1
    return counts


@contextmanager
def deployed(folder: Path, account: SandboxAccount | None = None) -> "Iterator[Deployment]":
    """Serve an account, by default the small one, and deploy this project over it."""
    with (
        SandboxServer(account or small_account()) as server,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        settings = settings_for(server, folder / "tables.duckdb")
        hotjar = HotjarResource.from_settings(settings)
        try:
            yield Deployment(server, settings, instance, hotjar)
        finally:
            hotjar.close()


@dataclass
class Deployment:
    """This project's definitions over one account, one database file and one instance."""

    server: SandboxServer
    settings: Settings
    instance: dg.DagsterInstance
    hotjar: HotjarResource
    more: Sequence[dg.AssetsDefinition] = ()
    more_jobs: Sequence[Any] = ()
    models: bool = False
    automation: bool = False

    @property
    def account(self) -> SandboxAccount:
        return self.server.account

    @property
    def database(self) -> Path:
        return self.settings.database_path

    @cached_property
    def repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    @cached_property
    def definitions(self) -> dg.Definitions:
        tables = HotjarDuckDBIOManager(database=str(self.database))
        overrides = {
            "hotjar": self.hotjar,
            IO_MANAGER_KEY: tables,
            "hotjar_dbt": ModelsDatabase(database=str(self.database)),
        }
        mine = dg.Definitions(
            assets=self.more,
            jobs=[
                dg.define_asset_job(f"{asset.key.path[-1]}_job", selection=[asset])
                for asset in self.more
            ]
            + list(self.more_jobs),
            resources={"io_manager": tables},
        )
        ours = build_defs(overrides=overrides, models=self.models, automation=self.automation)
        return dg.Definitions.merge(ours, mine)

    def add_partitions(self, keys: Sequence[str] = SURVEY_IDS) -> None:
        self.instance.add_dynamic_partitions(str(survey_partitions.name), list(keys))

    def run(
        self,
        job: str = "sync_job",
        *,
        keys: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        partition_key: str | None = None,
        raise_on_error: bool = False,
    ) -> dg.ExecuteInProcessResult:
        """Run a job over a contiguous range of partitions, or over none."""
        return self.repository.get_job(job).execute_in_process(
            instance=self.instance,
            tags={RANGE_START: keys[0], RANGE_END: keys[-1]} if keys else None,
            partition_key=partition_key,
            run_config=QUIET if config is None else {**config, **QUIET},
            raise_on_error=raise_on_error,
        )

    def materialized(
        self, result: dg.ExecuteInProcessResult, asset_key: dg.AssetKey = survey_responses.key
    ) -> list[tuple[str | None, dict[str, Any]]]:
        """Return partition and metadata of every materialization the instance has of a run."""
        found = []
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        for entry in self.instance.all_logs(result.run_id, of_type=kind):
            materialization = entry.asset_materialization
            if materialization and materialization.asset_key == asset_key:
                figures = {name: value.value for name, value in materialization.metadata.items()}
                found.append((materialization.partition, figures))
        return sorted(found, key=lambda item: str(item[0]))

    def statuses(self, keys: Sequence[str] = SURVEY_IDS) -> dict[str, str | None]:
        """Return what Dagster's UI shows for each partition."""
        statuses = self.instance.get_status_by_partition(
            survey_responses.key, list(keys), survey_partitions
        )
        assert statuses is not None
        return {key: status.value if status else None for key, status in statuses.items()}


@cache
def tables_after_a_first_sync() -> bytes:
    """Return the database file that a first sync of the small account makes."""
    with TemporaryDirectory() as folder, deployed(Path(folder)) as deployment:
        deployment.add_partitions()
        assert deployment.run(keys=SURVEY_IDS).success
        return deployment.database.read_bytes()


def step_failure(result: dg.ExecuteInProcessResult) -> tuple[str, Any]:
    """Return the failed step and the `dagster.Failure` it raised."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_key), event.step_failure_data.user_failure_data
