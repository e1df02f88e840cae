"""What one run of the models makes: assets, checks, columns, and every number of every mart.

What Dagster's catalogue shows of them is here too, since to make them takes longest.

The numbers are compared with those that `recomputed` finds in the raw rows, without any SQL.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.defs.dbt import PROJECT
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.dagster.model import SURVEY_IDS
from hotjar_assets_tests.models import recomputed
from hotjar_assets_tests.models.model import EVERY_TYPE, by_key, dbt, raw, rows
from hotjar_assets_tests.models.recomputed import Rules
from hotjar_assets_tests.report.model import summaries

# The first test waits for `built` or `other`: 20 processor seconds or more of dbt each.
pytestmark = pytest.mark.timeout(400)

SCHEMAS = ("hotjar_staging", "hotjar_intermediate", "hotjar_marts")
PERIOD = ("survey_id", "question_id", "period", "period_starts_on")
MARTS = {
    "hotjar__survey": ("survey_id",),
    "hotjar__response": ("survey_id", "response_id"),
    "hotjar__nps": PERIOD,
    "hotjar__csat": PERIOD,
    "hotjar__ces": PERIOD,
    "hotjar__sentiment": PERIOD,
    "hotjar__question_summary": ("survey_id", "question_id"),
    "hotjar__tag_summary": ("survey_id", "question_id", "tag"),
    "hotjar__daily_breakdown": ("survey_id", "responded_on", "page", "device"),
    "hotjar__page_feedback": ("survey_id", "page"),
}
"""Every mart and its key."""
OTHER_RULES = Rules(
    timezone="Asia/Tokyo",
    include_incomplete=False,
    minimum_answers=4,
    csat_top_boxes=3,
    effort_text="easy",
)


AT_HALF_PAST = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


# --- Assets, checks and columns ----------------------------------------------------------------


def test_every_model_is_an_asset_downstream_of_the_two_tables(built):
    graph = built.deployment.repository.asset_graph
    models = graph.get_all_asset_keys() - {surveys.key, survey_responses.key}

    assert {key.path[0] for key in models} == {
        "hotjar_staging",
        "hotjar_intermediate",
        "hotjar_marts",
    }
    assert {graph.get(key).group_name for key in models} == {key.path[0] for key in models}
    assert [key for key in models if graph.get(key).partitions_def] == []
    assert [key for key in models if not graph.get(key).description] == []
    nps = dg.AssetKey(["hotjar_marts", "hotjar__nps"])
    upstream = dg.AssetSelection.assets(nps).upstream().resolve(graph)
    assert {surveys.key, survey_responses.key} <= upstream
    assert graph.get(dg.AssetKey(["hotjar_staging", "stg_hotjar__answer"])).parent_keys == {
        survey_responses.key
    }


def test_automation_makes_every_model_in_one_run_once_responses_came(built):
    definitions = replace(built.deployment, automation=True).definitions
    models = built.deployment.repository.asset_graph.get_all_asset_keys() - {
        surveys.key,
        survey_responses.key,
    }

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("survey_id", SURVEY_IDS)
        first = dg.evaluate_automation_conditions(
            definitions, instance, evaluation_time=AT_HALF_PAST
        )
        instance.report_runless_asset_event(
            dg.AssetMaterialization(survey_responses.key, partition="101")
        )
        second = dg.evaluate_automation_conditions(
            definitions, instance, evaluation_time=AT_HALF_PAST, cursor=first.cursor
        )

        assert first.total_requested == 0
        assert second.total_requested == len(models)
        assert {key for key in models if second.get_num_requested(key)} == models


def test_a_run_materializes_every_model_and_checks_them(built):
    keys = {event.asset_key for event in built.result.get_asset_materialization_events()}
    checks = built.result.get_asset_check_evaluations()

    graph = built.deployment.repository.asset_graph
    assert keys == graph.get_all_asset_keys() - {surveys.key, survey_responses.key}
    assert len(checks) > 100
    # The odd account has an answer to a question that no survey has, and the run warns of it.
    failed = {check.check_name for check in checks if not check.passed}
    assert failed == {
        "known_key_stg_hotjar__answer_survey_id__question_id__ref_stg_hotjar__question_"
    }


def test_a_run_leaves_the_environment_as_it_was(built):
    before, after = built.environment

    assert before == after
    assert "HOTJAR_DATABASE" not in after


def described():
    """Map each model to its description and to those of its columns."""
    for file in PROJECT.glob("models/*/_*.yml"):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", ()):
            columns = {each["name"]: each["description"] for each in model["columns"]}
            yield model["name"], model["description"], columns


def test_every_model_and_every_column_is_described_and_no_other(built):
    sql = (
        "SELECT table_name, list(column_name ORDER BY column_index) AS columns "
        "FROM duckdb_columns() WHERE schema_name LIKE 'hotjar!_%' ESCAPE '!' GROUP BY 1"
    )
    there = {row["table_name"]: row["columns"] for row in rows(built.database, sql)}

    assert there
    assert {name: list(columns) for name, _, columns in described()} == there
    assert all(text and all(columns.values()) for _, text, columns in described())


def test_the_raw_tables_are_described_as_the_schema_describes_them():
    file = PROJECT / "models" / "staging" / "_hotjar__sources.yml"
    (source,) = yaml.safe_load(file.read_text(encoding="utf-8"))["sources"]

    assert {
        table["name"]: {column["name"]: column["description"] for column in table["columns"]}
        for table in source["tables"]
    } == {
        table.name: {column.name: column.description for column in table.columns}
        for table in (SURVEYS, SURVEY_RESPONSES)
    }


def test_every_model_has_a_key_that_is_tested(built):
    unique = {
        check.asset_key.path[-1]
        for check in built.result.get_asset_check_evaluations()
        if check.check_name.startswith("unique_")
    }

    assert unique == {name for name, _, _ in described()}


# --- What the catalogue shows ------------------------------------------------------------------


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
    stored = rows(
        built.database, f"{sql} FROM duckdb_columns() WHERE schema_name IN {SCHEMAS} GROUP BY ALL"
    )
    assert {row["table_name"] for row in stored} == told.keys()
    for row in stored:
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
    assert trend.spans
    for span in trend.spans:
        first = span.ends_on - timedelta(days=trend.days - 1)
        groups = [row["nps_group"] for row in days if first <= row["responded_on"] <= span.ends_on]
        lead = groups.count("promoter") - groups.count("detractor")
        assert span.answers == len(groups)
        assert span.score == (pytest.approx(100 * lead / len(groups)) if groups else None)


# --- Numbers -----------------------------------------------------------------------------------


def close(number):
    """Compare numbers up to the last digits of a float, and anything else exactly."""
    is_number = isinstance(number, float)
    return pytest.approx(number, rel=1e-9, abs=1e-9) if is_number else number


def test_every_mart_is_recomputed():
    names = {file.stem for file in PROJECT.glob("models/marts/*.sql")}

    assert MARTS.keys() == names


def assert_equal(database, mart, rules):
    """Compare every column of every row."""
    expected = by_key(getattr(recomputed, mart)(raw(database, rules)), MARTS[mart])
    found = by_key(rows(database, f"FROM hotjar_marts.{mart}"), MARTS[mart])
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key] == {name: close(value) for name, value in row.items()}, key
    return expected


@pytest.mark.parametrize("mart", MARTS)
def test_every_number_is_that_of_the_raw_rows(built, mart):
    expected = assert_equal(built.database, mart, Rules())

    # Only a named question asks for effort.
    assert bool(expected) == (mart != "hotjar__ces")


@pytest.fixture(scope="module")
def other(built, tmp_path_factory):
    """A database whose models were made with every variable changed."""
    database = tmp_path_factory.mktemp("other") / built.database.name
    database.write_bytes(built.database.read_bytes())
    # Most of what dbt does on so little data is to parse the project: tests and descriptions, which
    # no model needs, are a sixth of the time.
    project = tmp_path_factory.mktemp("models") / "project"
    unneeded = shutil.ignore_patterns("_hotjar__[!s]*", "*staging.yml")
    shutil.copytree(PROJECT, project, ignore=unneeded)
    dbt("run", database=database, project=project, **OTHER_RULES.variables())
    return database


@pytest.mark.slow
@pytest.mark.parametrize("mart", MARTS)
def test_every_number_follows_the_variables(built, other, mart):
    expected = assert_equal(other, mart, OTHER_RULES)

    assert expected != by_key(getattr(recomputed, mart)(raw(built.database, Rules())), MARTS[mart])


def test_the_data_have_every_case(built):
    """The comparison above would also hold for tables without a row."""
    given = raw(built.database, Rules())

    assert {answer.group for answer in given.answers} == {"promoter", "passive", "detractor", None}
    assert [answer.said for answer in given.answers if answer.kind == "nps" and not answer.group]
    assert [answer for answer in given.answers if answer.kind is None]
    assert {row["is_complete"] for row in given.responses} == {True, False, None}
    assert {row["device"] for row in given.responses} == {"desktop", "mobile", "tablet", None}
    assert [row for row in given.responses if row["response_origin_url"] is None]
    assert {row["survey_id"] for row in given.surveys} > {
        row["survey_id"] for row in given.responses
    }
    deleted = "SELECT 1 FROM hotjar.survey_responses WHERE deleted_at IS NOT NULL"
    assert len(rows(built.database, deleted)) > 2
    assert [row for row in given.surveys if row["synced_at"] is None]
    edges = "SELECT DISTINCT nps FROM hotjar_marts.hotjar__nps WHERE answers = 1 AND margin = 0"
    assert {row["nps"] for row in rows(built.database, edges)} == {-100, 0, 100}
    one_sided = (
        "SELECT DISTINCT margin FROM hotjar_marts.hotjar__nps WHERE nps = 100 AND answers > 2"
    )
    assert rows(built.database, one_sided) == [{"margin": 0}]


def test_the_report_says_the_same_of_completeness(built):
    found = rows(
        built.database, "SELECT survey_id, completion_rate FROM hotjar_marts.hotjar__survey"
    )
    rates = {row["survey_id"]: row["completion_rate"] for row in found}

    report = summaries(built.database).surveys

    assert {each.survey_id for each in report} == rates.keys()
    assert {None, 0, 100} < set(rates.values())
    assert {each.survey_id: each.completion for each in report} == {
        key: None if rate is None else pytest.approx(rate / 100) for key, rate in rates.items()
    }


def test_answers_that_are_no_numbers_stay_as_they_were_said(built):
    said = rows(
        built.database,
        "SELECT DISTINCT answer FROM hotjar_intermediate.int_hotjar__answer_enriched "
        f"WHERE survey_id = '{EVERY_TYPE}' AND question_type = 'nps' AND score IS NULL",
    )

    assert {"ten", "10.5", "11", "-1", "NaN", "1e1"} <= {row["answer"] for row in said}
