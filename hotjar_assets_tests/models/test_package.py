"""The dbt package itself: described, tested, and of use in somebody else's project."""

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
import yaml

from hotjar_assets.defs import dbt as dbt_defs
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.models.model import EVERY_TYPE, dbt, rows

SCHEMAS = ("hotjar_staging", "hotjar_intermediate", "hotjar_marts")
HELD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


def described():
    """Map each model to its description and to those of its columns."""
    for file in dbt_defs.PROJECT.glob("models/*/_*.yml"):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", ()):
            columns = {each["name"]: each["description"] for each in model["columns"]}
            yield model["name"], model["description"], columns


def test_every_model_and_every_column_is_described_and_no_other(built):
    sql = (
        "SELECT table_name, list(column_name ORDER BY column_index) AS columns "
        f"FROM duckdb_columns() WHERE schema_name IN {SCHEMAS} GROUP BY 1"
    )
    there = {row["table_name"]: row["columns"] for row in rows(built.database, sql)}

    assert {name: list(columns) for name, _, columns in described()} == there
    assert all(text and all(columns.values()) for _, text, columns in described())


def test_every_model_has_a_key_that_is_tested(built):
    unique = {
        check.asset_key.path[-1]
        for check in built.result.get_asset_check_evaluations()
        if check.check_name.startswith("unique_")
    }

    assert unique == {name for name, _, _ in described()}


def test_every_variable_is_explained_where_it_has_its_default():
    lines = (dbt_defs.PROJECT / "dbt_project.yml").read_text(encoding="utf-8").splitlines()
    variables = yaml.safe_load("\n".join(lines))["vars"]
    used = {
        name
        for file in dbt_defs.PROJECT.rglob("*.*")
        for name in variables
        if file.name != "dbt_project.yml" and f"var('{name}')" in file.read_text(encoding="utf-8")
    }

    assert used == set(variables)


def test_nothing_is_downloaded():
    assert list(dbt_defs.PROJECT.glob("packages.yml")) == []
    assert list(dbt_defs.PROJECT.glob("dependencies.yml")) == []


def test_the_project_is_parsed_once_and_again_when_a_model_changes(built, monkeypatch, tmp_path):
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


@pytest.mark.slow
def test_the_formulas_hold_on_made_up_rows(copied):
    said = dbt("test", "--select", "test_type:unit", database=copied)

    assert "PASS=18 WARN=0 ERROR=0 SKIP=0" in said


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
    """With a variable of its own, and the raw tables in a schema of another name."""
    rows(copied, "CREATE SCHEMA raw")
    for table in ("surveys", "survey_responses"):
        rows(copied, f"CREATE TABLE raw.{table} AS FROM hotjar.{table}")
    rows(copied, "DROP SCHEMA hotjar CASCADE")
    project = tmp_path / "mine"
    (project / "models").mkdir(parents=True)
    files = {
        "packages.yml": {"packages": [{"local": str(dbt_defs.PROJECT)}]},
        "dbt_project.yml": {
            "name": "mine",
            "version": "1.0",
            "profile": "mine",
            "vars": {"hotjar_schema": "raw", "hotjar_minimum_answers": 5},
        },
        "profiles.yml": {
            "mine": {
                "target": "dev",
                "outputs": {"dev": {"type": "duckdb", "path": str(copied), "schema": "analytics"}},
            }
        },
    }
    for name, content in files.items():
        (project / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    sql = "select count(*) as rows from {{ ref('hotjar__nps') }} where nps is not null"
    (project / "models" / "mine.sql").write_text(sql, encoding="utf-8")

    (project / "macros").mkdir()
    (project / "macros" / "rule.sql").write_text(rule, encoding="utf-8")

    dbt("deps", database=copied, project=project)
    dbt("build", "--exclude-resource-type", "unit_test", database=copied, project=project)

    (mine,) = rows(copied, f"FROM {own}.mine")
    (theirs,) = rows(
        copied, f"SELECT count(*) AS rows FROM {schema}.hotjar__nps WHERE answers >= 5"
    )
    assert mine == theirs
    assert mine["rows"] > 0


# --- In Dagster's catalogue ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(built):
    """Map each model to the metadata of its materialization."""
    return {
        materialization.asset_key.path[-1]: materialization.metadata
        for event in built.result.get_asset_materialization_events()
        if (materialization := event.step_materialization_data.materialization)
    }


def test_every_model_has_its_rows_and_its_types_as_they_are_stored(built, told):
    assert told.keys() == {name for name, _, _ in described()}
    sql = (
        "SELECT schema_name, table_name, list([column_name, data_type] ORDER BY column_index) AS c"
    )
    for row in rows(
        built.database, f"{sql} FROM duckdb_columns() WHERE schema_name IN {SCHEMAS} GROUP BY ALL"
    ):
        metadata = told[row["table_name"]]
        columns = metadata["dagster/column_schema"].value.columns
        assert [[column.name, column.type] for column in columns] == row["c"]
        relation = f"{row['schema_name']}.{row['table_name']}"
        (counted,) = rows(built.database, f"SELECT count(*) AS rows FROM {relation}")
        assert metadata["dagster/row_count"].value == counted["rows"]


def test_the_file_is_free_once_the_models_are_made(built):
    # Whoever still had it open in this process would hold it against every other one.
    program = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", program, str(built.database)], check=True)


def test_every_column_says_where_it_comes_from(built):
    graph = built.deployment.repository.asset_graph
    origins = {}
    for name, _, columns in described():
        (key,) = (key for key in graph.get_all_asset_keys() if key.path[-1] == name)
        metadata = graph.get(key).metadata
        lineage = metadata["dagster/column_lineage"].deps_by_column
        assert lineage.keys() == columns.keys()
        parents = graph.get(key).parent_keys
        assert {dep.asset_key for deps in lineage.values() for dep in deps} <= parents
        for column, deps in lineage.items():
            origins[name, column] = {(dep.asset_key.path[-1], dep.column_name) for dep in deps}
        (code,) = metadata["dagster/code_references"].code_references
        assert Path(code.file_path).name == f"{name}.sql"
        assert Path(code.file_path).is_file()
    enriched = "int_hotjar__answer_enriched"
    assert origins["hotjar__nps", "nps"] == {(enriched, "nps_group")}
    assert origins["stg_hotjar__answer", "comment"] == {("survey_responses", "answers")}
    assert origins["hotjar__survey", "survey_url"] == {("stg_hotjar__survey", "survey_url")}


def test_the_picture_of_a_survey_has_the_scores_of_the_models(built):
    warehouse = Warehouse(built.database)
    (trend,) = warehouse.trends([EVERY_TYPE]).values()
    days = rows(
        built.database,
        "SELECT responded_on, nps_group FROM hotjar_intermediate.int_hotjar__answer_enriched "
        f"WHERE survey_id = '{EVERY_TYPE}' AND nps_group IS NOT NULL",
    )
    assert trend.score == "NPS"
    for span in trend.spans:
        first = span.ends_on - timedelta(days=trend.days - 1)
        groups = [row["nps_group"] for row in days if first <= row["responded_on"] <= span.ends_on]
        lead = groups.count("promoter") - groups.count("detractor")
        assert span.score == (pytest.approx(100 * lead / len(groups)) if groups else None)
