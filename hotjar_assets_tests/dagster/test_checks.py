"""The asset checks, each on real tables: good ones, and those that something is wrong with."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from hotjar_assets.defs.assets import LATE_AFTER, survey_responses, surveys
from hotjar_assets.defs.checks import (
    NAMES_SHOWN,
    ROW_COUNTS,
    key_age,
    partitions_behind,
    row_counts,
    unknown_fields,
)
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, known_surveys
from hotjar_assets.defs.progress import Progress, progress_of
from hotjar_assets.privacy import Privacy
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import Fault
from hotjar_assets.warehouse import Health, Person, Warehouse
from hotjar_assets_tests.dagster.model import (
    RESPONSES,
    SURVEY_IDS,
    Deployment,
    deployed,
    pages_sent,
    query,
    step_failure,
)

OF_SURVEYS = {"unique_key", "unknown_fields"}
OF_RESPONSES = {"unique_key", "unknown_fields", "known_questions", "partitions_behind"}
COUNTS_JOB = dg.define_asset_job("counts_job", selection=dg.AssetSelection.checks(ROW_COUNTS))
SECRET = "what nobody may read"


def evaluations(
    result: dg.ExecuteInProcessResult, asset: dg.AssetsDefinition = survey_responses
) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        check.check_name: check
        for check in result.get_asset_check_evaluations()
        if check.asset_key == asset.key
    }


def figures(check: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in check.metadata.items()}


def said(check: dg.AssetCheckEvaluation | dg.AssetCheckResult) -> str:
    return str(check.description)


def change(deployment: Deployment, sql: str) -> None:
    """Change the tables as somebody with a console would."""
    with duckdb.connect(str(deployment.database)) as connection:
        connection.execute(sql)


def everything_recorded(deployment: Deployment) -> str:
    return "\n".join(
        str(entry.to_json())
        for run in deployment.instance.get_runs()
        for entry in deployment.instance.all_logs(run.run_id)
    )


@pytest.fixture
def read_whole(known: Deployment) -> Deployment:
    """A deployment whose surveys were all read by a full sync."""
    assert known.run("reconcile_job", keys=SURVEY_IDS).success
    return replace(known, more_jobs=[COUNTS_JOB])


# --- Good tables -------------------------------------------------------------------------------


def test_a_sync_checks_both_tables_in_a_step_each_and_all_is_well(known):
    result = known.run(keys=SURVEY_IDS)

    assert evaluations(result, surveys).keys() == OF_SURVEYS
    assert evaluations(result).keys() == OF_RESPONSES
    assert [check for check in result.get_asset_check_evaluations() if not check.passed] == []
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps == [
        "hotjar__surveys",
        "surveys_checks",
        "hotjar__survey_responses",
        "responses_checks",
    ]
    assert figures(evaluations(result)["unique_key"]) == {
        "rows": sum(RESPONSES.values()),
        "rows_too_many": 0,
    }


def test_without_partitions_the_surveys_alone_are_checked(deployment):
    result = deployment.repository.get_job("sync_job").execute_in_process(
        instance=deployment.instance, asset_selection=[surveys.key]
    )

    assert {check.asset_key for check in result.get_asset_check_evaluations()} == {surveys.key}


def test_a_step_opens_the_database_once(synced, monkeypatch):
    opened = []
    real = duckdb.connect

    def connect(path: str, **options: Any) -> Any:
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(duckdb, "connect", connect)

    assert synced.run("checks_job").success
    assert opened == [str(synced.database)] * 2


def test_before_the_first_sync_there_is_nothing_to_find(deployment):
    result = deployment.run("checks_job")

    assert result.success
    assert [check for check in result.get_asset_check_evaluations() if not check.passed] == []
    assert not deployment.database.exists()


# --- A key that stands twice -------------------------------------------------------------------


def test_a_response_that_stands_twice_fails_the_run_and_its_survey_is_named(synced):
    change(
        synced,
        "INSERT INTO hotjar.survey_responses FROM hotjar.survey_responses WHERE survey_id = '101'",
    )

    result = synced.run(keys=SURVEY_IDS)

    check = evaluations(result)["unique_key"]
    assert not result.success
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        True,
    )
    assert figures(check) == {"rows": sum(RESPONSES.values()) + 3, "rows_too_many": 3}
    assert "survey_id, response_id stands more than once for 1 survey: 101;" in said(check)
    assert evaluations(result).keys() == OF_RESPONSES


def test_what_is_downstream_does_not_run_on_responses_that_stand_twice(synced):
    ran = []

    @dg.asset(deps=[survey_responses])
    def answers_a_day() -> None:
        ran.append(True)

    downstream = dg.define_asset_job("downstream_job", selection=[survey_responses, answers_a_day])
    mine = replace(synced, more=[answers_a_day], more_jobs=[downstream])
    assert mine.run("downstream_job", keys=SURVEY_IDS).success
    assert ran == [True]
    change(synced, "INSERT INTO hotjar.survey_responses FROM hotjar.survey_responses LIMIT 1")

    assert not mine.run("downstream_job", keys=SURVEY_IDS).success
    assert ran == [True]


def test_no_response_is_read_by_a_survey_that_stands_twice(synced):
    """Whether its responses are marked as deleted would be up to chance."""
    change(synced, "INSERT INTO hotjar.surveys FROM hotjar.surveys WHERE survey_id IN (101, 103)")
    synced.server.clear_requests()

    result = synced.run(keys=SURVEY_IDS)

    check = evaluations(result, surveys)["unique_key"]
    assert "for 2 surveys: 101, 103;" in said(check)
    assert figures(check) == {"rows": 6, "rows_too_many": 2}
    assert pages_sent(synced.server) == {}
    assert step_failure(result)[0] == "surveys_checks"


# --- What the API says that nobody knew of -----------------------------------------------------


def test_an_answer_to_an_unknown_question_is_a_warning(synced):
    change(
        synced,
        "UPDATE hotjar.survey_responses SET answers = [{'question_id': 'gone', 'answer': "
        f"'{SECRET}', 'comment': NULL, 'tags': NULL, 'sentiment': NULL}}] "
        "WHERE survey_id IN (101, 104)",
    )

    result = synced.run("checks_job")

    check = evaluations(result)["known_questions"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert figures(check) == {"answers": 10, "surveys": 2}
    assert "10 answers of 2 surveys: 104, 101;" in said(check)
    assert SECRET not in everything_recorded(synced)


def test_a_deleted_response_may_answer_what_is_asked_no_more(synced):
    change(synced, "UPDATE hotjar.surveys SET questions = [] WHERE survey_id = 101")
    change(synced, "UPDATE hotjar.survey_responses SET deleted_at = now() WHERE survey_id = 101")

    assert evaluations(synced.run("checks_job"))["known_questions"].passed


def test_fields_that_no_column_holds_are_named_by_their_place_and_counted(synced):
    extra = {"answers[0].tags[1].mood": SECRET, "answers[12].tags[0].mood": 1, "score": {SECRET: 1}}
    change(
        synced,
        f"UPDATE hotjar.survey_responses SET extra = '{json.dumps(extra)}' WHERE survey_id = '104'",
    )
    change(synced, "UPDATE hotjar.surveys SET extra = '{\"owner\": 1}' WHERE survey_id = '101'")

    result = synced.run("checks_job")

    check = evaluations(result)["unknown_fields"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no column holds answers[].tags[].mood (7 rows), score (7 rows);" in said(check)
    assert figures(check) == {"rows": sum(RESPONSES.values()), "unknown_fields": 2}
    assert "owner (1 row)" in said(evaluations(result, surveys)["unknown_fields"])
    assert SECRET not in everything_recorded(synced)


def test_a_field_that_the_api_adds_is_seen_by_the_sync_that_reads_it(known):
    def with_a_mood(rows: list[Any]) -> list[Any]:
        return [{**row, "mood": SECRET} for row in rows]

    known.server.faults.add(Fault("mutate_rows", path="responses", transform=with_a_mood))

    check = evaluations(known.run(keys=SURVEY_IDS))["unknown_fields"]

    assert said(check).startswith(f"no column holds mood ({sum(RESPONSES.values())} rows);")
    assert SECRET not in everything_recorded(known)


def test_the_user_of_an_export_is_no_news():
    found = Health(rows=2, unknown_fields={"User": 2})

    assert unknown_fields(replace(found, source="insights")).passed
    assert not unknown_fields(replace(found, source="api")).passed


def test_only_the_most_frequent_are_named():
    found = Health(unknown_fields={f"field {n:03}": n for n in range(1, 51)})

    text = said(unknown_fields(found))

    assert text.startswith("no column holds field 050 (50 rows), field 049 (49 rows), ")
    assert text.count(" rows)") == NAMES_SHOWN
    assert " and 30 more;" in text


# --- As many rows as there are responses -------------------------------------------------------


def test_a_full_sync_has_as_many_rows_as_it_counted(known):
    known.run(keys=SURVEY_IDS)
    for response in known.account.responses("104")[:2]:
        known.account.delete_response("104", str(response["id"]))

    result = known.run("reconcile_job", keys=SURVEY_IDS)

    check = evaluations(result)["row_counts"]
    assert check.passed
    assert figures(check) == {
        "surveys_compared": 4,
        "surveys_off": 0,
        "responses_counted": sum(RESPONSES.values()) - 2,
        "rows": sum(RESPONSES.values()) - 2,
    }


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM hotjar.survey_responses WHERE survey_id = '101'",
        "UPDATE hotjar.survey_responses SET deleted_at = now() WHERE survey_id = '101'",
        "UPDATE hotjar.survey_responses SET survey_id = '101' WHERE survey_id = '104'",
    ],
    ids=["rows gone", "rows marked", "rows too many"],
)
def test_a_count_that_is_off_names_the_survey(read_whole, sql):
    assert evaluations(read_whole.run("counts_job"))["row_counts"].passed
    change(read_whole, sql)
    read_whole.server.clear_requests()

    result = read_whole.run("counts_job")

    check = evaluations(result)["row_counts"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "101" in said(check)
    assert read_whole.server.requests == []


def test_what_was_forgotten_here_is_not_missed(read_whole):
    (user,) = query(
        read_whole.database,
        "SELECT any_value(hotjar_user_id) FROM hotjar.survey_responses WHERE survey_id = '102'",
    )[0]
    warehouse = Warehouse(read_whole.database)
    assert warehouse.erase_person(Person(user_id=user), Privacy())

    assert evaluations(read_whole.run("counts_job"))["row_counts"].passed


def test_a_sync_of_what_is_new_leaves_nothing_to_compare(read_whole):
    read_whole.run(keys=SURVEY_IDS)

    result = read_whole.run("counts_job")

    assert result.success
    assert evaluations(result) == {}


def test_a_survey_that_is_being_read_is_not_counted(read_whole):
    change(read_whole, "DELETE FROM hotjar.survey_responses WHERE survey_id IN ('101', '104')")
    job = read_whole.repository.get_job("sync_job")
    read_whole.instance.create_run_for_job(job, tags={RANGE_START: "101", RANGE_END: "101"})
    assert read_whole.statuses()["101"] == "IN_PROGRESS"

    check = evaluations(read_whole.run("counts_job"))["row_counts"]

    assert not check.passed
    assert figures(check)["surveys_compared"] == 3
    assert "104" in said(check)
    assert "101" not in said(check)


def test_erased_responses_may_still_be_at_hotjar_or_not():
    found = Health(live={"1": 8}, forgotten={"1": 2})
    results = [row_counts(found, {"1": count}) for count in (7, 8, 9, 10, 11)]

    assert [result and result.passed for result in results] == [
        False,
        True,
        True,
        True,
        False,
    ]


# --- No partition behind -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def partly_read(tmp_path_factory) -> Iterator[Deployment]:
    """101 was read, 102 failed, 103 was never read, 104 is gone from Hotjar and never was."""
    with deployed(tmp_path_factory.mktemp("partly")) as deployment:
        deployment.add_partitions()
        deployment.server.faults.add(Fault("403", path="responses", survey_id="102"))
        assert deployment.run(keys=["101", "101"]).success
        assert not deployment.run(keys=["102", "102"]).success
        deployment.account.remove_survey("104")
        assert deployment.run(keys=["101", "101"]).success
        yield deployment


def test_partitions_that_are_missing_or_failed_are_named_and_deleted_surveys_are_not(partly_read):
    result = partly_read.run("checks_job")

    check = evaluations(result)["partitions_behind"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert figures(check) == {"partitions": 4, "behind": 2}
    assert said(check) == (
        "2 surveys are behind: 102 (its last run failed), 103 (never read); run sync_job over them"
    )


def test_a_partition_is_behind_once_its_last_run_is_old(partly_read):
    progress = progress_of(partly_read.instance, known_surveys(partly_read.instance))
    read_at = progress["101"].read_at
    assert read_at

    def judge(now: datetime) -> dg.AssetCheckResult:
        return partitions_behind({"101": progress["101"]}, Health(), partitions=1, now=now)

    assert judge(read_at + LATE_AFTER).passed
    late = judge(read_at + LATE_AFTER + timedelta(seconds=1))
    assert not late.passed
    assert f"101 (read on {read_at:%Y-%m-%d})" in said(late)


def test_a_survey_that_is_being_read_for_the_first_time_is_not_behind():
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert Progress(is_in_progress=True).why_behind(now, LATE_AFTER) is None
    assert Progress().why_behind(now, LATE_AFTER) == "never read"


def test_a_sync_of_some_surveys_tells_that_the_others_are_behind(known):
    check = evaluations(known.run(keys=["102", "103"]))["partitions_behind"]

    assert figures(check) == {"partitions": 4, "behind": 2}
    assert "101 (never read), 104 (never read);" in said(check)


def test_a_partition_that_newer_runs_left_out_is_found(known):
    for key in (*SURVEY_IDS[:3], *["101"] * 5):
        known.instance.report_runless_asset_event(
            dg.AssetMaterialization(survey_responses.key, partition=key)
        )

    progress = progress_of(known.instance, SURVEY_IDS)

    assert [each.read_at is not None for each in progress.values()] == [True] * 3 + [False]


def test_partitions_that_one_run_read_are_not_asked_for_one_by_one(known, monkeypatch):
    monkeypatch.setattr("hotjar_assets.defs.progress._RECORDS_AT_ONCE", 2)
    for key in SURVEY_IDS:
        known.instance.report_runless_asset_event(
            dg.AssetMaterialization(survey_responses.key, partition=key)
        )
    fetch, asked = known.instance.fetch_materializations, []

    def counted(wanted, **how):
        asked.append(wanted)
        return fetch(wanted, **how)

    monkeypatch.setattr(known.instance, "fetch_materializations", counted)

    progress = progress_of(known.instance, SURVEY_IDS)

    assert [key for key, each in progress.items() if each.read_at] == SURVEY_IDS
    assert asked == [survey_responses.key] * 2


# --- The key's age -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_on", "passed", "severity", "words"),
    [
        (date(2026, 1, 1), True, None, "expires in 334 days"),
        (date(2025, 3, 4), True, None, "expires in 31 days"),
        (date(2025, 3, 3), False, dg.AssetCheckSeverity.WARN, "expires in 30 days; make a new"),
        (date(2025, 2, 28), False, dg.AssetCheckSeverity.WARN, "expires in 27 days; make a new"),
        (date(2025, 2, 2), False, dg.AssetCheckSeverity.WARN, "expires in 1 day; make a new"),
        (date(2025, 2, 1), False, dg.AssetCheckSeverity.ERROR, "has expired; make a new"),
        (date(2025, 1, 31), False, dg.AssetCheckSeverity.ERROR, "has expired; make a new"),
    ],
    ids=["new", "31 days", "30 days", "soon", "last day", "today", "dead"],
)
def test_a_key_is_a_warning_before_it_dies_and_an_error_after(created_on, passed, severity, words):
    check = key_age(created_on, today=date(2026, 2, 1))

    assert check.passed is passed
    assert severity in {None, check.severity}
    assert words in said(check)


def test_a_key_whose_age_is_known_is_judged_with_the_surveys(known):
    aged = known.settings.model_copy(update={"key_created_on": date(2020, 1, 1)})
    hotjar = HotjarResource.from_settings(aged)
    with closing(hotjar):
        result = replace(known, hotjar=hotjar).run(keys=SURVEY_IDS)

    check = evaluations(result, surveys)["api_key_age"]
    assert not check.passed
    assert "has expired" in said(check)
