"""Assets of users beside ours: what they take in, and what the same I/O manager stores."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pandas as pd
import pytest

from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.dagster.model import SURVEY_IDS, Deployment, deployed, query, step_failure

RESPONSES = {"responses": dg.AssetIn(["hotjar", "survey_responses"])}


@dg.asset(key_prefix="marts", ins=RESPONSES)
def responses_a_survey(responses: pd.DataFrame) -> pd.DataFrame:
    return responses.groupby("survey_id").size().reset_index(name="responses")


@dg.asset(key_prefix="marts")
def targets() -> pd.DataFrame:
    return pd.DataFrame({"survey_id": ["101", "102"], "target": [0.5, 0.75]})


@dg.asset(key_prefix="marts", ins={"targets": dg.AssetIn(["marts", "targets"])})
def doubled(targets: pd.DataFrame) -> pd.DataFrame:
    return targets.assign(target=targets["target"] * 2)


@dg.asset(
    key_prefix="marts",
    ins=RESPONSES,
    partitions_def=dg.DynamicPartitionsDefinition(name="survey_id"),
    metadata={"partition_expr": "survey_id"},
)
def devices(responses: pd.DataFrame) -> pd.DataFrame:
    return responses[["survey_id", "response_id", "device"]]


@dg.asset(key_prefix="marts")
def listed() -> list[int]:
    return [1]


@dg.asset(key_prefix="marts", ins=RESPONSES)
def wrong(responses: list) -> pd.DataFrame:  # type: ignore[type-arg]
    return pd.DataFrame(responses)


MINE = [responses_a_survey, targets, doubled, devices, listed, wrong]


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Iterator[Deployment]:
    """A deployment with assets of its own, after a run in which one survey failed."""
    with deployed(tmp_path_factory.mktemp("mine")) as deployment:
        mine = replace(deployment, more=MINE)
        mine.add_partitions()
        mine.server.faults.add(Fault("403", path="responses", survey_id="102"))
        assert not mine.run(keys=SURVEY_IDS).success
        yield mine


def test_an_asset_takes_whatever_whole_surveys_are_there_as_a_frame(mine):
    """One bad survey freezes nothing that is downstream."""
    assert mine.run("responses_a_survey_job").success

    rows = query(mine.database, "FROM marts.responses_a_survey ORDER BY survey_id")
    assert rows == [("101", 3), ("104", 7)]


def test_a_partitioned_asset_takes_and_stores_its_partition_alone(mine):
    for survey_id in ("101", "104", "101"):
        assert mine.run("devices_job", partition_key=survey_id).success

    counts = "SELECT survey_id, count(*) FROM marts.devices GROUP BY ALL ORDER BY ALL"
    assert query(mine.database, counts) == [("101", 3), ("104", 7)]


def test_a_frame_of_a_users_asset_becomes_a_table_and_comes_back(mine):
    assert mine.run("targets_job").success
    assert mine.run("doubled_job").success

    assert query(mine.database, "FROM marts.doubled") == [("101", 1.0), ("102", 1.5)]


def test_a_frame_stored_twice_stands_once(mine):
    for _ in range(2):
        assert mine.run("targets_job").success

    assert query(mine.database, "SELECT count(*) FROM marts.targets") == [(2,)]


def test_what_is_no_frame_is_refused_with_what_to_do(mine):
    step, failure = step_failure(mine.run("listed_job"))

    assert step == "marts__listed"
    assert "an output of type list cannot be stored; return a pandas DataFrame" in (
        failure.description
    )


def test_an_input_that_is_no_frame_is_refused_with_what_to_do(mine):
    result = mine.run("wrong_job")

    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    while error.cause:
        error = error.cause
    assert "only a pandas DataFrame can be loaded; annotate the input with it" in error.message
