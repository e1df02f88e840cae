"""Old runs go, and no partition loses its newest materialization with them."""

from datetime import UTC, datetime, timedelta

import pytest

from hotjar_assets.defs.jobs import reconcile_job, sync_job
from hotjar_assets.defs.retention import KEPT_DAYS, delete_old_runs

from .model import SURVEY_IDS, Deployment

JOBS = (sync_job.name, reconcile_job.name)
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=KEPT_DAYS, hours=1)


def left(deployment: Deployment) -> list[str]:
    return [run.run_id for run in deployment.instance.get_runs()]


@pytest.fixture
def runs(synced: Deployment) -> list[str]:
    """Three runs: over everything twice, then over one survey."""
    ranges = (SURVEY_IDS, SURVEY_IDS, SURVEY_IDS[:1])
    return [synced.run(keys=keys).run_id for keys in ranges]


def test_a_run_that_a_later_one_superseded_goes_and_no_status_with_it(synced, runs):
    assert delete_old_runs(synced.instance, JOBS, now=LATER) == [runs[0]]
    assert set(left(synced)) == set(runs[1:])
    assert set(synced.statuses().values()) == {"MATERIALIZED"}


def test_a_young_run_stays(synced, runs):
    assert delete_old_runs(synced.instance, JOBS, now=NOW) == []
    assert set(left(synced)) == set(runs)


def test_nothing_goes_while_no_run_covers_every_partition(synced, runs):
    synced.add_partitions(["added later"])
    assert delete_old_runs(synced.instance, JOBS, now=LATER) == []
    assert set(left(synced)) == set(runs)


def test_runs_of_other_jobs_stay(synced, runs):
    assert delete_old_runs(synced.instance, ("another_job",), now=LATER) == []
    assert set(left(synced)) == set(runs)


def test_without_partitions_nothing_goes(deployment):
    assert delete_old_runs(deployment.instance, JOBS, now=LATER) == []
