"""What `dagster dev` loads: the names users rely on, no I/O, and secrets by name alone."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.assets import IO_MANAGER_KEY
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.resources import HotjarResource
from hotjar_assets_tests.dagster.model import QUIET, environment, query

SURVEYS = dg.AssetKey(["hotjar", "surveys"])
SURVEY_RESPONSES = dg.AssetKey(["hotjar", "survey_responses"])


def stored_resources(home: Path) -> str:
    """Return what a code location tells Dagster of its resources, as Dagster's own program sees it.

    `home` is a folder for a Dagster instance.
    """
    asked = (
        "{repositoriesOrError{... on RepositoryConnection{nodes{"
        "allTopLevelResourceDetails{name configuredValues{key value type}}}}}}"
    )
    program = str(Path(sys.executable).with_name("dagster-graphql"))
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}", encoding="utf-8")
    done = subprocess.run(
        [program, "-m", "hotjar_assets.definitions", "-t", asked],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def io_manager() -> HotjarDuckDBIOManager:
    """Return the I/O manager that the environment gives."""
    manager = (build_defs(models=False).resources or {})[IO_MANAGER_KEY]
    assert isinstance(manager, HotjarDuckDBIOManager)
    return manager


def test_definitions_load_without_any_setting():
    names = {asset.to_user_string() for asset in build_defs(models=False).resolve_all_asset_keys()}
    assert names == {"hotjar/surveys", "hotjar/survey_responses"}


def test_loading_writes_nothing():
    build_defs().get_repository_def().load_all_definitions()

    assert list(Path.cwd().iterdir()) == []


def test_loading_with_a_full_environment_requests_nothing(server, monkeypatch):
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)

    build_defs().get_repository_def().load_all_definitions()

    assert server.requests == []
    assert list(Path.cwd().iterdir()) == []


def test_names_are_those_that_users_and_tools_rely_on():
    repository = build_defs(models=False).get_repository_def()

    assert repository.asset_graph.get_all_asset_keys() == {SURVEYS, SURVEY_RESPONSES}
    assert {job for job in repository.job_names if not job.startswith("__")} == {
        "sync_job",
        "reconcile_job",
        "checks_job",
    }
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "sync_schedule",
        "lookback_schedule",
        "reconcile_schedule",
        "checks_schedule",
    }
    assert [sensor.name for sensor in repository.sensor_defs] == ["new_surveys_sensor"]


def test_responses_follow_the_surveys_and_are_partitioned_by_survey():
    graph = build_defs().get_repository_def().asset_graph

    assert graph.get(SURVEY_RESPONSES).parent_keys == {SURVEYS}
    partitions = graph.get(SURVEY_RESPONSES).partitions_def
    assert isinstance(partitions, dg.DynamicPartitionsDefinition)
    assert partitions.name == "survey_id"
    assert graph.get(SURVEY_RESPONSES).backfill_policy == dg.BackfillPolicy.single_run()
    assert graph.get(SURVEYS).partitions_def is None


def test_schedules_and_the_sensor_are_stopped_until_somebody_starts_them():
    repository = build_defs().get_repository_def()

    assert {each.default_status for each in repository.schedule_defs} == {
        dg.DefaultScheduleStatus.STOPPED
    }
    assert {each.default_status for each in repository.sensor_defs} == {
        dg.DefaultSensorStatus.STOPPED
    }


def test_schedules_run_hourly_daily_and_weekly():
    repository = build_defs().get_repository_def()

    assert {each.name: each.cron_schedule for each in repository.schedule_defs} == {
        "sync_schedule": "0 * * * *",
        "lookback_schedule": "30 3 * * *",
        "reconcile_schedule": "30 4 * * 0",
        "checks_schedule": "30 6 * * *",
    }


def test_dagster_stores_the_names_of_secrets_and_not_their_values(monkeypatch, tmp_path):
    secrets = {
        "HOTJAR_CLIENT_ID": "an-id-to-be-kept",
        "HOTJAR_CLIENT_SECRET": "a-secret-to-be-kept",
        "HOTJAR_SITE_ID": "77001",
        "HOTJAR_PII_KEY": "a-key-to-be-kept-too",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    text = stored_resources(tmp_path / "home")

    assert [name for name in secrets if name not in text] == []
    assert [value for value in secrets.values() if value in text] == []


def test_the_tables_are_described_column_by_column():
    node = build_defs().get_repository_def().asset_graph.get(SURVEY_RESPONSES)

    columns = node.metadata["dagster/column_schema"].columns
    assert [column.name for column in columns[:2]] == ["response_id", "survey_id"]
    assert [column.name for column in columns if not column.description] == []
    assert node.metadata["dagster/table_name"] == "hotjar.survey_responses"
    assert "personal_data" in next(c for c in columns if c.name == "answers").tags
    assert "personal_data" in node.tags


def test_owners_are_those_of_the_environment_or_of_whoever_builds(monkeypatch):
    def owners(**options):
        graph = build_defs(models=False, **options).get_repository_def().asset_graph
        return {key.path[-1]: list(graph.get(key).owners) for key in (SURVEYS, SURVEY_RESPONSES)}

    assert owners() == {"surveys": [], "survey_responses": []}
    monkeypatch.setenv("HOTJAR_OWNERS", "team:research, somebody@example.com,team:research")
    both = ["team:research", "somebody@example.com"]
    assert owners() == {"surveys": both, "survey_responses": both}
    assert owners(owners=["team:other"])["surveys"] == ["team:other"]
    monkeypatch.setenv("HOTJAR_OWNERS", "research")
    with pytest.raises(HotjarConfigError, match=r"HOTJAR_OWNERS: 'research' is no owner"):
        owners()


def test_each_asset_links_to_the_function_that_makes_it():
    graph = build_defs(models=False).get_repository_def().asset_graph
    for key in (SURVEYS, SURVEY_RESPONSES):
        (code,) = graph.get(key).metadata["dagster/code_references"].code_references
        text = Path(code.file_path).read_text(encoding="utf-8").splitlines()
        assert f"def {key.path[-1]}(" in "".join(text[code.line_number - 1 : code.line_number + 20])


@pytest.mark.parametrize(
    ("variables", "database"),
    [
        pytest.param({}, "data/warehouse.duckdb", id="real"),
        pytest.param({"HOTJAR_SANDBOX": "1"}, "data/sandbox.duckdb", id="sandbox"),
        pytest.param({"HOTJAR_SANDBOX": "0"}, "data/warehouse.duckdb", id="no sandbox"),
        pytest.param({"HOTJAR_DATABASE": " "}, "data/warehouse.duckdb", id="empty"),
    ],
)
def test_the_sandbox_and_a_real_account_have_their_own_files(variables, database, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert io_manager().database == database


def test_a_given_database_is_taken_from_the_environment_when_a_run_starts(monkeypatch):
    monkeypatch.setenv("HOTJAR_DATABASE", "mine.duckdb")

    assert io_manager().database == dg.EnvVar("HOTJAR_DATABASE")


def test_a_given_wait_for_the_lock_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("HOTJAR_LOCK_TIMEOUT_SECONDS", "5")

    assert io_manager().lock_timeout_seconds == dg.EnvVar.int("HOTJAR_LOCK_TIMEOUT_SECONDS")


def test_resources_can_be_replaced():
    mine = HotjarResource(client_id="a", client_secret="b", site_id="1")

    assert (build_defs(overrides={"hotjar": mine}, models=False).resources or {})["hotjar"] is mine


@pytest.mark.parametrize("name", [IO_MANAGER_KEY, "io_manager"])
def test_tables_go_where_a_given_io_manager_stores_them(name, tmp_path):
    mine = HotjarDuckDBIOManager(database=str(tmp_path / "mine.duckdb"))
    resources = build_defs(overrides={name: mine}, models=False).resources or {}
    assert resources[IO_MANAGER_KEY] is mine


def test_another_kind_of_io_manager_is_left_alone(tmp_path):
    other = dg.FilesystemIOManager(base_dir=str(tmp_path))
    resources = build_defs(overrides={"io_manager": other}, models=False).resources or {}
    assert isinstance(resources[IO_MANAGER_KEY], HotjarDuckDBIOManager)


def test_a_run_takes_all_settings_from_the_environment(server, tmp_path, monkeypatch):
    database = tmp_path / "made" / "mine.duckdb"
    for name, value in environment(server, database).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOTJAR_LOCK_TIMEOUT_SECONDS", "5")
    monkeypatch.setenv("HOTJAR_CONCURRENCY", "2")
    job = build_defs(models=False).resolve_job_def("sync_job")

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=[SURVEYS], run_config=QUIET
        )

    assert result.success
    assert server.requests[0].form["client_id"] == "sandbox"
    assert query(database, "SELECT count(*) FROM hotjar.surveys") == [(4,)]


def test_a_run_without_credentials_fails_and_names_the_variable(monkeypatch):
    job = build_defs(models=False).resolve_job_def("sync_job")

    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(dg.DagsterInvalidConfigError, match="HOTJAR_CLIENT_ID"),
    ):
        job.execute_in_process(instance=instance, asset_selection=[SURVEYS], run_config=QUIET)


def test_a_malformed_setting_fails_the_run_and_is_named(server, tmp_path, monkeypatch):
    for name, value in environment(server, tmp_path / "mine.duckdb").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOTJAR_SITE_ID", "1001,")
    job = build_defs(models=False).resolve_job_def("sync_job")

    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(dg.Failure, match="HOTJAR_SITE_ID: holds an empty or malformed item"),
    ):
        job.execute_in_process(instance=instance, asset_selection=[SURVEYS], run_config=QUIET)

    assert server.requests == []
