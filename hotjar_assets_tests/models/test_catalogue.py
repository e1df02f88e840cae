"""What Dagster's catalogue shows of the models: rows, types, files, and where columns come from."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.models.model import EVERY_TYPE, rows
from hotjar_assets_tests.models.test_built import described

SCHEMAS = ("hotjar_staging", "hotjar_intermediate", "hotjar_marts")


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
