"""The dbt package itself: described, tested, and of use in somebody else's project."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
import yaml

from hotjar_assets.defs import dbt as dbt_defs
from hotjar_assets.defs.models import ModelsDatabase
from hotjar_assets_tests.models.model import dbt, rows

# dbt takes 20 processor seconds or more, before any data.
pytestmark = pytest.mark.timeout(400)

HELD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


def test_every_variable_is_explained_where_it_has_its_default():
    lines = (dbt_defs.PROJECT / "dbt_project.yml").read_text(encoding="utf-8").splitlines()
    variables = yaml.safe_load("\n".join(lines))["vars"]
    used = {
        name
        for file in dbt_defs.PROJECT.rglob("*.*")
        for name in variables
        if file.name != "dbt_project.yml" and f"var('{name}'" in file.read_text(encoding="utf-8")
    }

    assert used == set(variables)


def test_nothing_is_downloaded():
    assert list(dbt_defs.PROJECT.glob("packages.yml")) == []
    assert list(dbt_defs.PROJECT.glob("dependencies.yml")) == []


def test_the_project_is_parsed_once_and_again_when_a_model_changes(monkeypatch, tmp_path):
    parsed: list[Path] = []

    def parse(_: Path, manifest: Path) -> None:
        parsed.append(manifest)
        manifest.touch()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dbt_defs, "_parse", parse)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(dbt_defs, "PROJECT", project)
    for sql in ("select 1", "select 1", "select 2"):
        (project / "a.sql").write_text(sql, encoding="utf-8")
        dbt_defs._manifest(Path("tables.duckdb"))

    assert len(parsed) == 2


def test_what_duckdb_may_take_is_limited_and_what_does_not_fit_waits_beside_the_file(tmp_path):
    profiles = yaml.safe_load((dbt_defs.PROJECT / "profiles.yml").read_text(encoding="utf-8"))
    options = profiles["hotjar_assets"]["outputs"]["duckdb"]["config_options"]
    database = tmp_path / "tables.duckdb"

    def settings(**variables: str) -> list[tuple[Any, ...]]:
        written: dict[str, Any] = {
            name: jinja2.Template(str(value)).render(env_var=variables.get)
            for name, value in options.items()
        }
        with duckdb.connect(str(database), config=written) as connection:
            return connection.execute(
                "SELECT current_setting('memory_limit'), current_setting('threads'), "
                "current_setting('temp_directory')"
            ).fetchall()

    folder = f"{database}.tmp"
    assert settings() == [("512.0 MiB", 2, folder)]
    assert settings(HOTJAR_MAX_MODELS_MB="1024") == [("1.0 GiB", 2, folder)]


def test_the_limit_is_that_of_the_environment(monkeypatch):
    usual = ModelsDatabase.from_environment("tables.duckdb")
    monkeypatch.setenv("HOTJAR_MAX_MODELS_MB", "300")
    limited: Any = ModelsDatabase.from_environment("tables.duckdb")

    assert usual.max_models_mb == 512
    assert limited.process_config_and_initialize().max_models_mb == 300
    assert dbt_defs._given(Path("a.duckdb"), 300)["HOTJAR_MAX_MODELS_MB"] == "300"


@pytest.mark.slow
def test_the_formulas_hold_on_made_up_rows(copied):
    said = dbt("test", "--select", "test_type:unit", database=copied)

    assert "PASS=34 WARN=0 ERROR=0 SKIP=0" in said


@pytest.mark.slow
def test_source_freshness_is_that_of_synced_at(copied):
    assert dbt("source", "freshness", database=copied).count("PASS freshness of") == 2

    with duckdb.connect(str(copied)) as connection:
        connection.execute("UPDATE hotjar.surveys SET synced_at = synced_at - INTERVAL 2 DAY")
    said = dbt("source", "freshness", database=copied)

    assert "WARN freshness of hotjar.surveys" in said
    assert "PASS freshness of hotjar.survey_responses" in said


@pytest.mark.slow
def test_the_models_wait_for_a_database_that_is_held(copied):
    holder = subprocess.Popen(
        [sys.executable, "-c", HELD, str(copied)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        # Longer than dbt takes to come to the database.
        threading.Timer(8, holder.stdin.write, [b"\n"]).start()
        threading.Timer(8.1, holder.stdin.close).start()

        said = dbt("run", database=copied)

    assert "PASS=18 WARN=0 ERROR=0" in said


THEIR_RULE = """{% macro generate_schema_name(custom, node) %}x_{{ custom }}{% endmacro %}"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "schema", "own"),
    [("", "analytics_hotjar_marts", "analytics"), (THEIR_RULE, "x_hotjar_marts", "x_None")],
    ids=["dbt's rule for schemas", "a rule of its own"],
)
def test_another_project_uses_it_as_a_package(copied, tmp_path, rule, schema, own):
    """With a variable of its own, and the raw tables in another catalog and schema."""
    theirs = copied.with_name("theirs.duckdb")
    rows(copied, "CREATE SCHEMA raw")
    for table in ("surveys", "survey_responses"):
        rows(copied, f"CREATE TABLE raw.{table} AS FROM hotjar.{table}")
    rows(copied, "DROP SCHEMA hotjar CASCADE")
    project = tmp_path / "mine"
    (project / "models").mkdir(parents=True)
    target = {
        "type": "duckdb",
        "path": str(theirs),
        "schema": "analytics",
        "attach": [{"path": str(copied), "alias": "hotjar_tables", "read_only": True}],
    }
    variables = {
        "hotjar_database": "hotjar_tables",
        "hotjar_schema": "raw",
        "hotjar_minimum_answers": 5,
    }
    files = {
        "packages.yml": {"packages": [{"local": str(dbt_defs.PROJECT)}]},
        "dbt_project.yml": {
            "name": "mine",
            "version": "1.0",
            "profile": "mine",
            "vars": variables,
            # Any setting of a model of the package can be another one.
            "models": {"hotjar": {"marts": {"hotjar__ces": {"+enabled": False}}}},
        },
        "profiles.yml": {"mine": {"target": "dev", "outputs": {"dev": target}}},
    }
    for name, content in files.items():
        (project / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    sql = "select count(*) as rows from {{ ref('hotjar__nps') }} where nps is not null"
    (project / "models" / "mine.sql").write_text(sql, encoding="utf-8")

    (project / "macros").mkdir()
    (project / "macros" / "rule.sql").write_text(rule, encoding="utf-8")

    dbt("deps", database=theirs, project=project)
    dbt("build", "--exclude-resource-type", "unit_test", database=theirs, project=project)

    (mine,) = rows(theirs, f"FROM {own}.mine")
    assert [mine] == rows(
        theirs, f"SELECT count(*) AS rows FROM {schema}.hotjar__nps WHERE answers >= 5"
    )
    assert mine["rows"] > 0
    tables = {row["table_name"] for row in rows(theirs, "SELECT table_name FROM duckdb_tables()")}
    assert "hotjar__csat" in tables
    assert "hotjar__ces" not in tables
