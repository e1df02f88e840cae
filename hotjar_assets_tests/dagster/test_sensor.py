"""`new_surveys_sensor` over a real instance: what a tick adds, requests and remembers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.jobs import run_config
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, known_surveys
from hotjar_assets.defs.sensors import Request, TickCursor
from hotjar_assets.sandbox import Fault
from hotjar_assets.sync import Depth
from hotjar_assets_tests.dagster.model import SITE, SURVEY_IDS, Deployment, pages_sent, sent

OLD = datetime(2026, 1, 1, tzinfo=UTC)
LISTING = ("GET", SITE, {"limit": "100", "with_questions": "false"})


def tick(deployment: Deployment, cursor: str | None = None) -> Any:
    """Evaluate one tick as the daemon does, and apply the partitions it asks for."""
    repository = deployment.repository
    with dg.build_sensor_context(
        instance=deployment.instance,
        cursor=cursor,
        repository_def=repository,
        resources=dict(repository.get_top_level_resources()),
    ) as context:
        done = repository.get_sensor_def("new_surveys_sensor").evaluate_tick(context)
    for request in done.dynamic_partitions_requests or ():
        deployment.add_partitions(request.partition_keys)
    return done


def ranges(done: Any) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in done.run_requests]


def requested(done: Any) -> dict[str, int]:
    """Return the attempts that the cursor remembers, by survey."""
    cursor = TickCursor.from_json(done.cursor)
    return {survey_id: request.attempts for survey_id, request in cursor.requested.items()}


def launch(deployment: Deployment, done: Any) -> None:
    """Run what a tick requested."""
    for request in done.run_requests:
        keys = [request.tags[RANGE_START], request.tags[RANGE_END]]
        assert deployment.run(keys=keys, config=request.run_config).success


@pytest.fixture
def settled(known: Deployment) -> Deployment:
    """A deployment whose partitions all have data, as far as Dagster knows."""
    for key in SURVEY_IDS:
        event = dg.AssetMaterialization(survey_responses.key, partition=key)
        known.instance.report_runless_asset_event(event)
    return known


def test_a_first_tick_adds_every_survey_and_requests_one_run(deployment):
    done = tick(deployment)

    assert list(known_surveys(deployment.instance)) == SURVEY_IDS
    assert ranges(done) == [("101", "104")]
    assert done.run_requests[0].run_config == run_config(Depth.NEW)
    assert requested(done) == dict.fromkeys(SURVEY_IDS, 1)


def test_a_tick_sends_the_listing_alone(deployment):
    tick(deployment)

    assert sent(deployment.server) == [("POST", "/v1/oauth/token", {}), LISTING]


def test_a_run_that_a_tick_requests_reads_the_surveys(deployment):
    launch(deployment, tick(deployment))

    assert deployment.statuses() == dict.fromkeys(SURVEY_IDS, "MATERIALIZED")


def test_a_request_has_no_run_key(deployment):
    """Dagster drops a request whose run key it has seen, for ever."""
    done = tick(deployment)

    assert [request.run_key for request in done.run_requests] == [None]


def test_a_tick_with_nothing_new_skips_and_says_the_numbers(settled):
    done = tick(settled)

    assert done.run_requests == []
    assert done.skip_message == "4 surveys listed, 4 known, none new, 0 waiting"
    assert requested(done) == {}


def test_a_survey_that_appears_is_added_and_asked_for_alone(settled):
    settled.account.add_survey("New", survey_id="050", responses=2)

    done = tick(settled)
    launch(settled, done)

    assert ranges(done) == [("050", "050")]
    assert list(known_surveys(settled.instance)) == [*SURVEY_IDS, "050"]
    assert pages_sent(settled.server) == {"050": 1}


def test_a_failed_listing_raises_and_adds_nothing(deployment):
    deployment.server.faults.add(Fault("403", path="surveys"))

    with pytest.raises(dg.Failure, match="not allowed"):
        tick(deployment)

    assert list(known_surveys(deployment.instance)) == []


def test_a_deleted_partition_comes_back_with_the_next_tick(settled):
    settled.instance.delete_dynamic_partition("survey_id", "102")

    done = tick(settled)

    assert ranges(done) == [("102", "102")]
    assert list(known_surveys(settled.instance)) == ["101", "103", "104", "102"]


def test_a_wiped_asset_is_asked_for_again_with_the_next_tick(settled):
    settled.instance.wipe_assets([survey_responses.key])

    done = tick(settled)

    assert ranges(done) == [("101", "104")]


def test_a_lost_cursor_asks_for_no_survey_that_has_data(settled):
    settled.account.add_survey("New", survey_id="105")
    tick(settled)

    done = tick(settled, cursor=None)

    assert ranges(done) == [("105", "105")]


def test_a_survey_with_data_whose_run_fails_is_asked_for_again(settled):
    settled.server.faults.add(Fault("403", path="responses", survey_id="102"))
    assert not settled.run(keys=SURVEY_IDS).success

    done = tick(settled)

    assert ranges(done) == [("102", "102")]


def test_a_survey_that_was_asked_for_just_now_waits(known):
    first = tick(known)

    second = tick(known, first.cursor)

    assert second.run_requests == []
    assert second.skip_message == "4 surveys listed, 4 known, none new, 4 waiting"
    assert second.cursor == first.cursor


def test_surveys_whose_pause_is_over_are_asked_for_in_ranges(known):
    asked = dict.fromkeys(("101", "102", "104"), Request(2, OLD))
    cursor = TickCursor(requested={**asked, "103": Request(1, datetime.now(UTC))})

    done = tick(known, cursor.to_json())

    assert ranges(done) == [("101", "102"), ("104", "104")]
    assert requested(done) == {"101": 3, "102": 3, "103": 1, "104": 3}


def test_a_survey_with_a_run_under_way_is_left_alone(known):
    known.instance.create_run_for_job(
        known.repository.get_job("sync_job"), tags={RANGE_START: "101", RANGE_END: "102"}
    )
    assert known.statuses()["101"] == "IN_PROGRESS"

    done = tick(known)

    assert ranges(done) == [("103", "104")]


def test_a_removed_survey_keeps_its_partition(settled):
    settled.account.remove_survey("104")

    done = tick(settled)

    assert done.run_requests == []
    assert done.skip_message == "3 surveys listed, 4 known, none new, 0 waiting"
    assert list(known_surveys(settled.instance)) == SURVEY_IDS


def test_an_account_without_surveys_skips(deployment):
    for survey_id in SURVEY_IDS:
        deployment.account.remove_survey(survey_id)

    done = tick(deployment)

    assert done.skip_message == "0 surveys listed, 0 known, none new, 0 waiting"


def test_the_cursor_of_a_tick_is_aware_and_of_now(deployment):
    before = datetime.now(UTC)

    done = tick(deployment)

    at = TickCursor.from_json(done.cursor).requested["101"].at
    assert before <= at <= before + timedelta(minutes=1)
