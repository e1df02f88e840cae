"""Runs of the jobs: what Dagster records of each partition, and what the tables hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.defs.assets import surveys
from hotjar_assets.defs.jobs import run_config
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import SANDBOX_SECOND_SITE_ID, Fault
from hotjar_assets.sync import Depth
from hotjar_assets_tests.dagster.model import (
    RESPONSES,
    SITE,
    SURVEY_IDS,
    Deployment,
    account_ids,
    deployed,
    pages_sent,
    query,
    sent,
    settings_for,
    step_failure,
    stored_ids,
)

FIRST_PAGE = {"limit": "100"}
LATER_PAGE = {"limit": "100", "cursor": "…"}


@dataclass(frozen=True)
class Ran:
    """A deployment and a run it has behind it."""

    deployment: Deployment
    result: dg.ExecuteInProcessResult

    @property
    def figures(self) -> dict[str | None, dict[str, Any]]:
        return dict(self.deployment.materialized(self.result))


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Iterator[Ran]:
    """The first run over every partition; to be looked at, not changed."""
    with deployed(tmp_path_factory.mktemp("first")) as deployment:
        deployment.add_partitions()
        yield Ran(deployment, deployment.run(keys=SURVEY_IDS))


def test_one_run_covers_every_partition(first):
    assert first.result.success
    assert first.deployment.statuses() == dict.fromkeys(SURVEY_IDS, "MATERIALIZED")
    (run,) = first.deployment.instance.get_runs()
    assert (run.tags[RANGE_START], run.tags[RANGE_END]) == ("101", "104")


def test_a_first_run_sends_a_listing_and_each_page_once(first):
    requests = sent(first.deployment.server)
    assert requests[:2] == [
        ("POST", "/v1/oauth/token", {}),
        ("GET", SITE, {"limit": "100", "with_questions": "true"}),
    ]
    assert sorted(requests[2:], key=lambda request: (request[1], len(request[2]))) == [
        ("GET", f"{SITE}/101/responses", FIRST_PAGE),
        ("GET", f"{SITE}/102/responses", FIRST_PAGE),
        ("GET", f"{SITE}/102/responses", LATER_PAGE),
        ("GET", f"{SITE}/103/responses", FIRST_PAGE),
        ("GET", f"{SITE}/104/responses", FIRST_PAGE),
    ]
    assert all(
        "authorization" in request.headers for request in first.deployment.server.requests[1:]
    )


def test_a_first_run_stores_every_response(first):
    database, account = first.deployment.database, first.deployment.account
    assert {key: stored_ids(database, key) for key in SURVEY_IDS} == {
        key: account_ids(account, key) for key in SURVEY_IDS
    }


def test_each_partition_has_one_materialization_with_its_own_figures(first):
    assert [
        (key, own["dagster/partition_row_count"], own["new"], own["requests"], own["pages"])
        for key, own in first.deployment.materialized(first.result)
    ] == [("101", 3, 3, 1, 1), ("102", 120, 120, 2, 2), ("103", 0, 0, 1, 1), ("104", 7, 7, 1, 1)]


def test_the_name_of_a_survey_is_the_first_of_its_metadata(first):
    assert [next(iter(figures)) for figures in first.figures.values()] == ["name"] * 4


def test_the_log_of_a_run_says_how_it_begins_and_what_it_did(first):
    lines = [
        entry.user_message
        for entry in first.deployment.instance.all_logs(first.result.run_id)
        if not entry.is_dagster_event
    ]
    begun = "reading 4 surveys: from the newest stored response of each on"
    ended = re.compile(
        r"4 surveys stored; 130 new, 0 updated and 0 deleted rows; "
        r"5 requests, 0 retries, \d+\.\d s"
    )
    assert [lines.count(begun), len([line for line in lines if ended.fullmatch(line)])] == [1, 1]


def test_a_materialization_says_all_that_was_done(first):
    newest = first.deployment.account.responses("102")[0]["created_time"]
    figures = first.figures["102"]
    assert {"picture", "answers"} < figures.keys()
    assert {key: figures[key] for key in figures if key not in {"picture", "answers"}} == {
        "name": "Survey 102",
        "dagster/row_count": sum(RESPONSES.values()),
        "survey": query(
            first.deployment.database, "SELECT url FROM hotjar.surveys WHERE survey_id = '102'"
        )[0][0],
        "dagster/partition_row_count": 120,
        "new": 120,
        "updated": 0,
        "deleted": 0,
        "requests": 2,
        "pages": 2,
        "depth": "new",
        "stopped_early": False,
        "newest_created_at": newest.replace("Z", "+00:00"),
        "account": "sandbox",
        "database": str(first.deployment.database),
    }


def test_the_surveys_materialization_says_all_that_was_done(first):
    ((partition, figures),) = first.deployment.materialized(first.result, surveys.key)
    assert partition is None
    rows = [each.data for each in figures.pop("listed").records]
    assert sorted(rows, key=lambda row: row["survey_id"]) == [
        {"survey_id": key, "name": f"Survey {key}", "site_id": "1001", "enabled": "yes"}
        for key in SURVEY_IDS
    ]
    assert figures == {
        "dagster/row_count": 4,
        "new": 4,
        "updated": 0,
        "deleted": 0,
        "requests": 1,
        "account": "sandbox",
        "database": str(first.deployment.database),
    }


def test_a_second_run_with_nothing_new_sends_one_request_a_survey(synced):
    result = synced.run(keys=SURVEY_IDS)

    assert pages_sent(synced.server) == dict.fromkeys(SURVEY_IDS, 1)
    figures = dict(synced.materialized(result))
    assert [figures[key]["new"] for key in SURVEY_IDS] == [0, 0, 0, 0]
    assert [figures[key]["stopped_early"] for key in SURVEY_IDS] == [False, True, False, False]


def test_the_same_run_twice_gives_the_same_rows(known):
    rows = "SELECT * EXCLUDE (synced_at) FROM hotjar.survey_responses ORDER BY ALL"
    known.run(keys=SURVEY_IDS)
    first = query(known.database, rows)

    known.run(keys=SURVEY_IDS, config=run_config(Depth.ALL))

    assert len(first) == sum(RESPONSES.values())
    assert query(known.database, rows) == first


def test_a_run_over_one_partition_reads_that_survey_alone(known):
    result = known.run(partition_key="104")

    assert result.success
    assert pages_sent(known.server) == {"104": 1}
    assert known.statuses() == {"101": None, "102": None, "103": None, "104": "MATERIALIZED"}


def test_a_run_over_a_range_leaves_the_other_partitions_alone(known):
    known.run(keys=["102", "103"])

    assert pages_sent(known.server) == {"102": 2, "103": 1}
    assert known.statuses() == {
        "101": None,
        "102": "MATERIALIZED",
        "103": "MATERIALIZED",
        "104": None,
    }


def test_a_run_over_no_partition_lists_the_surveys_and_says_so(deployment):
    result = deployment.run()

    assert result.success
    assert pages_sent(deployment.server) == {}
    assert query(deployment.database, "SELECT count(*) FROM hotjar.surveys") == [(4,)]
    logged = deployment.instance.all_logs(result.run_id)
    assert [entry.user_message for entry in logged if entry.level == 30] == [  # a warning
        "this run is over no partition: no survey was read"
    ]


@pytest.mark.parametrize("job", ["sync_job", "reconcile_job"])
def test_an_account_without_surveys_is_a_success(deployment, job):
    for survey_id in SURVEY_IDS:
        deployment.account.remove_survey(survey_id)

    result = deployment.run(job)

    assert result.success
    ((_, figures),) = deployment.materialized(result, surveys.key)
    assert figures["dagster/row_count"] == 0
    assert query(deployment.database, "SELECT count(*) FROM hotjar.surveys") == [(0,)]


# --- Some surveys fail -----------------------------------------------------------------------


STAYS = Fault("500", path="responses", survey_id="102", retry_after=0)


@pytest.fixture(scope="module")
def failing(tmp_path_factory) -> Iterator[Ran]:
    """A first run in which one survey fails; to be looked at, not changed."""
    with deployed(tmp_path_factory.mktemp("failing")) as deployment:
        deployment.add_partitions()
        deployment.server.faults.add(STAYS)
        yield Ran(deployment, deployment.run(keys=SURVEY_IDS))


def test_a_failing_survey_fails_the_run_and_its_partition_alone(failing):
    assert not failing.result.success
    assert failing.deployment.statuses() == {
        "101": "MATERIALIZED",
        "102": "FAILED",
        "103": "MATERIALIZED",
        "104": "MATERIALIZED",
    }


def test_a_failing_survey_does_not_stop_the_others(failing):
    database, account = failing.deployment.database, failing.deployment.account
    assert {key: stored_ids(database, key) for key in SURVEY_IDS} == {
        key: account_ids(account, key) if key != "102" else [] for key in SURVEY_IDS
    }


def test_a_failing_run_records_each_good_partition_once(failing):
    recorded = failing.deployment.materialized(failing.result)
    assert [partition for partition, _ in recorded] == ["101", "103", "104"]


def test_a_failing_run_gives_the_good_partitions_the_same_figures(failing, first):
    other = {
        "database": str(failing.deployment.database),
        "dagster/row_count": sum(RESPONSES.values()) - RESPONSES["102"],
    }
    assert failing.figures == {
        key: figures | other for key, figures in first.figures.items() if key != "102"
    }


def test_the_failure_names_the_survey_and_says_why(failing):
    step, failure = step_failure(failing.result)

    assert step == "hotjar__survey_responses"
    assert failure.description.startswith("1 of 4 surveys failed;")
    assert "- 102 (Survey 102): the API failed" in failure.description
    assert f"{SITE}/102/responses, page 1, after 6 tries" in failure.description
    assert list(failure.metadata["failed_surveys"].value) == ["102"]


REFUSED = Fault("403", path="responses", survey_id="104")


@pytest.mark.parametrize(
    ("faults", "allowed"),
    [
        pytest.param([STAYS], True, id="500"),
        pytest.param([REFUSED], False, id="403"),
        pytest.param([STAYS, REFUSED], True, id="500 and 403"),
    ],
)
def test_a_retry_is_allowed_only_where_it_can_help(known, faults, allowed):
    for fault in faults:
        known.server.faults.add(fault)

    with pytest.raises(dg.Failure) as raised:
        known.run(keys=SURVEY_IDS, raise_on_error=True)

    failed: Any = raised.value.metadata["failed_surveys"].value
    assert sorted(failed) == [fault.survey_id for fault in faults]
    assert raised.value.allow_retries is allowed


def test_a_failing_survey_keeps_its_old_rows_and_the_next_run_completes_it(synced):
    before = stored_ids(synced.database, "102")
    for survey_id in ("101", "102"):
        synced.account.add_responses(survey_id)
    synced.server.faults.add(STAYS)
    synced.run(keys=SURVEY_IDS)
    assert stored_ids(synced.database, "102") == before
    assert stored_ids(synced.database, "101") == account_ids(synced.account, "101")

    synced.server.faults.clear()
    synced.server.clear_requests()
    result = synced.run(keys=SURVEY_IDS)

    assert result.success
    assert pages_sent(synced.server) == dict.fromkeys(SURVEY_IDS, 1)
    assert stored_ids(synced.database, "102") == account_ids(synced.account, "102")
    assert synced.statuses() == dict.fromkeys(SURVEY_IDS, "MATERIALIZED")


def test_a_partition_of_another_account_is_skipped_among_others_and_says_so(known, caplog):
    known.add_partitions(["typed by hand"])

    result = known.run(keys=[*SURVEY_IDS, "typed by hand"])

    assert result.success
    assert {
        str(key): figures["skipped"]
        for key, figures in known.materialized(result)
        if "skipped" in figures
    } == {"typed by hand": "is neither in the account nor in the database"}
    assert "1 survey skipped, neither in the account nor in the database: typed by hand;" in (
        caplog.text
    )
    assert ("GET", f"{SITE}/typed%20by%20hand", {}) in sent(known.server)


def test_a_partition_that_is_no_survey_fails_where_it_is_asked_for_alone(known):
    known.add_partitions(["typed by hand"])

    result = known.run(keys=["typed by hand"])

    assert known.statuses(["typed by hand"]) == {"typed by hand": "FAILED"}
    _, failure = step_failure(result)
    assert "- typed by hand: no such survey: 'typed by hand'" in failure.description
    assert ("GET", f"{SITE}/typed%20by%20hand", {}) in sent(known.server)


def test_a_failed_listing_stops_the_run_before_any_survey_is_read(synced):
    everything = "SELECT * FROM hotjar.surveys ORDER BY ALL"
    before = query(synced.database, everything)
    synced.server.faults.add(Fault("403", path="surveys"))

    result = synced.run(keys=SURVEY_IDS)

    step, failure = step_failure(result)
    assert step == "hotjar__surveys"
    assert "Ask Scale plan" in failure.description
    assert {name: value.value for name, value in failure.metadata.items()} == {
        "error": "HotjarAuthError",
        "url": synced.server.url + SITE,
        "status": 403,
    }
    assert [path for _, path, _ in sent(synced.server)] == ["/v1/oauth/token", SITE]
    assert query(synced.database, everything) == before


# --- What was removed, what changed ----------------------------------------------------------


def test_a_removed_survey_is_marked_without_a_request_and_is_no_failure(synced):
    synced.account.remove_survey("104")

    result = synced.run(keys=SURVEY_IDS)

    assert result.success
    assert "104" not in pages_sent(synced.server)
    figures = dict(synced.materialized(result))["104"]
    assert (figures["skipped"], figures["requests"]) == ("removed in Hotjar", 0)
    assert (figures["deleted"], figures["dagster/partition_row_count"]) == (7, 7)
    marked = "SELECT count(*) FROM hotjar.survey_responses WHERE deleted_at IS NOT NULL"
    assert query(synced.database, marked) == [(7,)]


def _marked(deployment: Deployment) -> list[tuple[str, str]]:
    sql = (
        "SELECT survey_id, response_id FROM hotjar.survey_responses "
        "WHERE deleted_at IS NOT NULL ORDER BY ALL"
    )
    return [(survey_id, response_id) for survey_id, response_id in query(deployment.database, sql)]


def test_reconcile_job_reads_every_page_and_marks_what_is_gone(synced):
    """Its depth holds even where a run's configuration says nothing of it."""
    gone = account_ids(synced.account, "102")[5]
    synced.account.delete_response("102", gone)

    result = synced.run("reconcile_job", keys=SURVEY_IDS)

    assert pages_sent(synced.server) == {"101": 1, "102": 2, "103": 1, "104": 1}
    assert _marked(synced) == [("102", gone)]
    figures = synced.materialized(result)
    assert [(own["depth"], own["deleted"]) for _, own in figures] == [
        ("all", 0),
        ("all", 1),
        ("all", 0),
        ("all", 0),
    ]


def test_sync_job_marks_nothing_on_the_pages_it_does_not_read(synced):
    synced.account.delete_response("102", synced.account.responses("102")[-1]["id"])

    synced.run(keys=["102"])

    assert len(stored_ids(synced.database, "102")) == 120
    assert _marked(synced) == []


def test_purge_deletes_only_what_an_earlier_full_run_marked(synced):
    first, second = account_ids(synced.account, "104")[:2]
    synced.account.delete_response("104", first)
    synced.run("reconcile_job", keys=["104"])
    synced.account.delete_response("104", second)

    result = synced.run(keys=["104"], config=run_config(Depth.ALL, purge=True))

    assert first not in stored_ids(synced.database, "104")
    assert _marked(synced) == [("104", second)]
    assert dict(synced.materialized(result))["104"]["purged"] == 1


def test_a_late_tag_on_an_old_page_is_seen_as_deep_as_the_run_reads(synced):
    oldest = synced.account.responses("102")[-1]["id"]
    synced.account.tag_response("102", oldest, tags=["late"])
    updated = {}

    for depth in (Depth.NEW, Depth.LOOKBACK):
        config = run_config(depth, lookback_days=36500)
        result = synced.run(keys=["102"], config=config)
        updated[depth] = dict(synced.materialized(result))["102"]["updated"]

    assert updated == {Depth.NEW: 0, Depth.LOOKBACK: 1}


def test_a_survey_on_another_site_is_read_there(deployment):
    deployment.account.add_survey(
        "Elsewhere", survey_id="201", site_id=SANDBOX_SECOND_SITE_ID, responses=2
    )
    settings = settings_for(deployment.server, deployment.database, HOTJAR_SITE_ID="1001,1002")
    deployment.hotjar = HotjarResource.from_settings(settings)
    deployment.add_partitions(["201"])

    result = deployment.run(keys=["201"])

    assert result.success
    assert [path for _, path, _ in sent(deployment.server)[1:]] == [
        SITE,
        "/v1/sites/1002/surveys",
        "/v1/sites/1002/surveys/201/responses",
    ]
