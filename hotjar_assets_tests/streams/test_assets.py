"""Streams as Dagster assets: runs, partitions, sensors, the folder and the component."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from hotjar_assets.definitions import defs
from hotjar_assets.defs.streams import stream_defs
from hotjar_assets.errors import HotjarSourceError
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxAccount,
    SandboxServer,
)
from hotjar_assets.streams.spec import Source
from hotjar_assets_tests.store.conftest import Store, new_client
from hotjar_assets_tests.streams.conftest import example
from hotjar_assets_tests.streams.servers import Helpdesk, Shop, serving


class Project:
    """The definitions of one source, a database and an instance."""

    def __init__(self, source: Source, database: Path, instance: dg.DagsterInstance) -> None:
        self.database = database
        self.instance = instance
        self.defs = dg.Definitions.merge(
            stream_defs(source, io_manager_key="io_manager"),
            dg.Definitions(resources={"io_manager": HotjarDuckDBIOManager(database=str(database))}),
        )

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(str(self.database))) as connection:
            return connection.execute(sql).fetchall()

    def figures(self, *key: str) -> dict[str, Any]:
        event = self.instance.get_latest_materialization_event(dg.AssetKey(key))
        assert event
        assert event.asset_materialization
        return {name: each.value for name, each in event.asset_materialization.metadata.items()}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield instance


def failure_of(result: dg.ExecuteInProcessResult) -> tuple[str, Any]:
    """Return what the only failing step said, and its metadata."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    cause = event.step_failure_data.user_failure_data
    assert cause
    return str(cause.description), cause.metadata


def partitioned() -> Source:
    """Return the help desk with a partition for each ticket."""
    given = example("helpdesk").model_dump(by_alias=True, exclude_unset=True)
    given["streams"][1]["parent"]["partitions"] = True
    return Source.model_validate(given)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpdesk]:
    desk = Helpdesk(tickets=9)
    with serving(desk) as server:
        for name, value in desk.environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield desk


# --- Runs ----------------------------------------------------------------------------------------


def test_one_job_reads_parents_then_children_and_records_figures(tmp_path, instance, desk):
    project = Project(example("helpdesk"), tmp_path / "warehouse.duckdb", instance)
    assert project.run("helpdesk_job").success
    total = sum(len(comments) for comments in desk.comments.values())
    figures = project.figures("helpdesk", "comments")
    assert figures["dagster/row_count"] == figures["new"] == total
    assert figures["parents"] == 9
    assert project.query("SELECT count(*) FROM helpdesk.comments") == [(total,)]
    assert project.run("helpdesk_job").success
    assert project.figures("helpdesk", "comments")["new"] == 0
    columns = [column.name for column in figures["dagster/column_schema"].columns]
    assert columns == ["ticket_id", "ticket_subject", "number", "author", "text", "synced_at"]


def test_a_run_tells_new_rows_from_changed_ones(tmp_path, instance, monkeypatch):
    shop = Shop(60)
    with serving(shop) as server:
        for name, value in shop.environment(server.url).items():
            monkeypatch.setenv(name, value)
        project = Project(example("shop"), tmp_path / "warehouse.duckdb", instance)
        assert project.run("shop_job").success
        shop.put(7, hours=70, total=1000)
        for number in (61, 62):
            shop.put(number, hours=71)
        assert project.run("shop_job").success
    figures = project.figures("shop", "orders")
    assert [figures[name] for name in ("dagster/row_count", "new", "updated")] == [62, 2, 1]


def test_assets_depend_on_their_parents_and_name_their_tables(tmp_path, instance):
    project = Project(example("helpdesk"), tmp_path / "warehouse.duckdb", instance)
    graph = project.defs.resolve_asset_graph()
    key = dg.AssetKey(["helpdesk", "comments"])
    node = graph.get(key)
    assert node.parent_keys == {dg.AssetKey(["helpdesk", "tickets"])}
    assert node.group_name == "helpdesk"
    assert node.metadata["dagster/table_name"] == "helpdesk.comments"
    assert "One row is a record of" in str(node.description)


def test_a_source_with_a_schedule_has_one(tmp_path, instance):
    given = example("helpdesk").model_dump(by_alias=True, exclude_unset=True)
    source = Source.model_validate({**given, "schedule": "30 5 * * *"})
    project = Project(source, tmp_path / "warehouse.duckdb", instance)
    schedule = project.defs.resolve_schedule_def("helpdesk_schedule")
    assert (schedule.job_name, schedule.cron_schedule) == ("helpdesk_job", "30 5 * * *")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert not stream_defs(example("helpdesk"), io_manager_key="io_manager").schedules


def test_a_failing_parent_is_named_at_the_end_and_the_others_are_stored(tmp_path, instance, desk):
    project = Project(example("helpdesk"), tmp_path / "warehouse.duckdb", instance)
    desk.failing = {"T/3 é"}
    result = project.run("helpdesk_job")
    assert not result.success
    problem, metadata = failure_of(result)
    assert "1 of 9 parents failed" in problem
    assert metadata["failed_parents"].value.keys() == {"T/3 é"}
    stored = project.query("SELECT DISTINCT ticket_id FROM helpdesk.comments")
    assert len(stored) == 7  # T/0 has no comment, and T/3 failed


def test_a_missing_secret_fails_the_run_before_any_request(tmp_path, instance, monkeypatch):
    shop = Shop(3)
    with serving(shop) as server:
        monkeypatch.setenv("SHOP_URL", server.url)
        project = Project(example("shop"), tmp_path / "warehouse.duckdb", instance)
        result = project.run("shop_job")
        assert not server.sent
    assert "SHOP_KEY" in failure_of(result)[0]


# --- Partitions ----------------------------------------------------------------------------------


def tick(project: Project, cursor: str | None) -> Any:
    """Evaluate the sensor as the daemon does."""
    (sensor,) = project.defs.sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    with dg.build_sensor_context(
        instance=project.instance,
        cursor=cursor,
        resources=project.defs.resources,
        definitions=project.defs,
        instance_ref=project.instance.get_ref(),
    ) as context:
        return sensor.evaluate_tick(context)


def test_each_parent_is_a_partition_requested_after_the_parents_were_read(tmp_path, instance, desk):
    project = Project(partitioned(), tmp_path / "warehouse.duckdb", instance)
    assert "never read" in tick(project, None).skip_message
    assert project.run("helpdesk_job").success
    result = tick(project, None)
    (added,) = result.dynamic_partitions_requests
    assert list(added.partition_keys) == sorted(desk.comments)
    instance.add_dynamic_partitions("helpdesk_comments", list(added.partition_keys))
    assert "not read since" in tick(project, result.cursor).skip_message
    (request,) = result.run_requests
    assert project.run("helpdesk_comments_job", tags=request.tags).success
    events = instance.fetch_materializations(dg.AssetKey(["helpdesk", "comments"]), limit=50)
    counts = {
        record.partition_key: record.asset_materialization.metadata[
            "dagster/partition_row_count"
        ].value
        for record in events.records
        if record.asset_materialization
    }
    assert counts == {key: len(comments) for key, comments in desk.comments.items()}


def test_a_failing_partition_leaves_the_others_materialized(tmp_path, instance, desk):
    project = Project(partitioned(), tmp_path / "warehouse.duckdb", instance)
    project.run("helpdesk_job")
    result = tick(project, None)
    keys = list(result.dynamic_partitions_requests[0].partition_keys)
    instance.add_dynamic_partitions("helpdesk_comments", keys)
    desk.failing = {"T/3 é"}
    del desk.comments["T/4 é"]
    assert not project.run("helpdesk_comments_job", tags=result.run_requests[0].tags).success
    good = {
        record.partition_key
        for record in instance.fetch_materializations(
            dg.AssetKey(["helpdesk", "comments"]), limit=50
        ).records
    }
    # The parent that vanished is no failure.
    assert good == set(keys) - {"T/3 é"}


# --- Hotjar's own surveys and responses, written as streams ----------------------------------


def test_hotjar_as_streams_gives_the_rows_of_the_built_in_assets(tmp_path, instance, monkeypatch):
    account = SandboxAccount()
    store_path = tmp_path / "warehouse.duckdb"
    with SandboxServer(account) as server:
        environ = {
            "HOTJAR_API_URL": server.url,
            "HOTJAR_CLIENT_ID": SANDBOX_CLIENT_ID,
            "HOTJAR_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
            "HOTJAR_SITE_ID": SANDBOX_SITE_ID,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with closing(new_client(server)) as client:
            built_in = Store(client, store_path)
            built_in.list_surveys()
            built_in.sync(*(str(survey.id) for survey in client.list_surveys()))
        project = Project(example("hotjar"), store_path, instance)
        for _ in range(2):
            assert project.run("hotjar_streams_job").success
    ((streamed,),) = project.query("SELECT count(*) FROM hotjar_streams.survey_responses")
    ((known,),) = project.query("SELECT count(*) FROM hotjar.survey_responses")
    assert streamed == known > 0
    ours = "survey_id, response_id, created_at, is_complete, device, country, hotjar_user_id"
    theirs = "survey_id, id, created_time, is_complete, device, country, hotjar_user_id"
    difference = f"""
        (SELECT {ours} FROM hotjar.survey_responses
         EXCEPT SELECT {theirs} FROM hotjar_streams.survey_responses)
        UNION ALL
        (SELECT {theirs} FROM hotjar_streams.survey_responses
         EXCEPT SELECT {ours} FROM hotjar.survey_responses)"""
    assert project.query(difference) == []
    answers = """
        SELECT count(*) FROM hotjar.survey_responses a JOIN hotjar_streams.survey_responses b
        ON a.response_id = b.id AND a.survey_id = b.survey_id
        WHERE list_transform(a.answers, lambda x: x.answer)
          IS DISTINCT FROM
            list_transform(from_json(b.answers, '["JSON"]'), lambda x: x ->> 'answer')
    """
    assert project.query(answers) == [(0,)]
    surveys = """
        (SELECT survey_id, name, type, is_enabled, created_at FROM hotjar.surveys
         EXCEPT SELECT id, name, type, is_enabled, created_time FROM hotjar_streams.surveys)"""
    assert project.query(surveys) == []


# --- This project's folder -----------------------------------------------------------------------

ORDERS = """\
name: acme
base_url: https://{{ store }}.example.com
parameters: [{name: store, required: true}]
streams:
  - {name: orders, path: /orders, primary_key: [id]}
"""


def loaded() -> dg.Definitions:
    return defs()


def test_files_of_the_folder_are_assets_beside_ours():
    Path("streams").mkdir()
    Path("streams/acme.yaml").write_text(ORDERS, encoding="utf-8")
    keys = loaded().resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["acme", "orders"]) in keys
    assert dg.AssetKey(["hotjar", "surveys"]) in keys


def test_another_folder_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "acme.yaml").write_text(ORDERS, encoding="utf-8")
    monkeypatch.setenv("HOTJAR_STREAMS", str(tmp_path))
    assert dg.AssetKey(["acme", "orders"]) in loaded().resolve_asset_graph().get_all_asset_keys()


BROKEN = {
    "acme.yaml:5: streams[orders].pth: unknown field": ORDERS.replace("path:", "pth:"),
    "transform.computed.x.sql": ORDERS.replace(
        "[id]}", "[id], transform: {computed: {x: {sql: 'random()'}}}}"
    ),
    ":5: streams[surveys].name: is a table of the built-in assets": ORDERS.replace(
        "name: acme", "name: hotjar"
    ).replace("orders", "surveys"),
}


@pytest.mark.parametrize(("problem", "text"), BROKEN.items(), ids=["field", "expression", "table"])
def test_an_invalid_file_is_shown_and_breaks_nothing_else(problem, text, caplog):
    Path("streams").mkdir()
    Path("streams/acme.yaml").write_text(text, encoding="utf-8")
    Path("streams/zeta.yaml").write_text(ORDERS.replace("acme", "zeta"), encoding="utf-8")
    graph = loaded().resolve_asset_graph()
    invalid = graph.get(dg.AssetKey(["invalid_streams", "acme_yaml"]))
    assert problem in str(invalid.description)
    assert not invalid.is_executable
    assert problem in caplog.text
    keys = graph.get_all_asset_keys()
    assert dg.AssetKey(["acme", "orders"]) not in keys
    assert {dg.AssetKey(["zeta", "orders"]), dg.AssetKey(["hotjar", "surveys"])} <= keys


# --- The component -------------------------------------------------------------------------------


def dg_command(project: Path, *arguments: str, succeeds: bool = True) -> str:
    """Run `dg` in a project; nothing is asked of any network."""
    program = "import sys; from dagster_dg_cli.cli import main; sys.exit(main())"
    outcome = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode == 0) is succeeds, outcome.stdout + outcome.stderr
    return outcome.stdout + outcome.stderr


@pytest.fixture
def elsewhere_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    """Somebody's Dagster project."""
    root = tmp_path / "theirs"
    package = root / "src" / "theirs"
    (package / "defs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(
        "from pathlib import Path\n"
        "import dagster as dg\n"
        "@dg.definitions\n"
        "def defs():\n"
        "    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n",
        encoding="utf-8",
    )
    (root / "pyproject.toml").write_text(
        '[project]\nname = "theirs"\nversion = "0"\n\n[tool.dg]\ndirectory_type = "project"\n\n'
        '[tool.dg.project]\nroot_module = "theirs"\nregistry_modules = ["hotjar_assets"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{project}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return root


@pytest.mark.slow
def test_the_component_is_scaffolded_checked_and_listed(elsewhere_project):
    assert "hotjar_assets.RestStreams" in dg_command(elsewhere_project, "list", "components")
    dg_command(elsewhere_project, "scaffold", "defs", "hotjar_assets.RestStreams", "acme")
    (file,) = elsewhere_project.rglob("acme/defs.yaml")
    assert "hotjar_assets.RestStreams" in file.read_text(encoding="utf-8")
    attributes = "".join(f"  {line}\n" for line in ORDERS.splitlines())
    file.write_text(f"type: hotjar_assets.RestStreams\nattributes:\n{attributes}", encoding="utf-8")
    dg_command(elsewhere_project, "check", "yaml")
    assert "acme/orders" in dg_command(elsewhere_project, "list", "defs")
    file.write_text(file.read_text(encoding="utf-8").replace("path:", "pth:"), encoding="utf-8")
    problem = dg_command(elsewhere_project, "check", "yaml", succeeds=False)
    assert "pth" in problem
    assert "defs.yaml" in problem


def test_what_does_not_fit_together_in_a_component_has_its_line(elsewhere_project, monkeypatch):
    folder = elsewhere_project / "src" / "theirs" / "defs" / "acme"
    folder.mkdir()
    attributes = "".join(f"  {line}\n" for line in ORDERS.splitlines())
    good = f"type: hotjar_assets.RestStreams\nattributes:\n{attributes}"
    other = good.replace("name: acme", "name: other")
    text = f"{other}---\n{good.replace('path: /orders', 'path: orders')}"
    (folder / "defs.yaml").write_text(text, encoding="utf-8")
    line = 1 + text[: text.index("path: orders")].count("\n")
    monkeypatch.syspath_prepend(elsewhere_project / "src")
    with pytest.raises(Exception, match="Error while loading") as caught:
        dg.load_from_defs_folder(path_within_project=folder.parent)
    mistake = caught.value.__cause__
    assert isinstance(mistake, HotjarSourceError)
    assert (mistake.line, mistake.field) == (line, "attributes.streams[orders].path")
