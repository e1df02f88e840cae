"""Old runs: Dagster keeps them for ever, and an hourly sync makes 9,000 a year.

A run's events go with it, and among them may be the newest materialization of a partition. So a
run is only deleted once a later, successful run has covered every partition there is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, known_surveys

KEPT_DAYS = 30
MOST_AT_ONCE = 20
"""Runs deleted in one go: a tick has a minute."""
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def delete_old_runs(
    instance: dg.DagsterInstance, job_names: Sequence[str], *, now: datetime | None = None
) -> list[str]:
    """Delete ended runs of these jobs that are old and superseded; return their ids."""
    before = (now or datetime.now(UTC)) - timedelta(days=KEPT_DAYS)
    known = known_surveys(instance)
    if not known:
        return []
    every_partition = {RANGE_START: known[0], RANGE_END: known[-1]}
    covering = [
        record
        for job_name in job_names
        for record in instance.get_run_records(
            dg.RunsFilter(
                job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS], tags=every_partition
            ),
            limit=1,
        )
    ]
    newest = max((record.create_timestamp for record in covering), default=None)
    if newest is None:
        return []
    return _delete(instance, job_names, before=min(before, newest))


def delete_superseded_runs(
    instance: dg.DagsterInstance, job_name: str, *, now: datetime | None = None
) -> list[str]:
    """Delete old runs of a job whose every run makes all of its assets, but the last good one."""
    succeeded = dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
    for newest in instance.get_run_records(succeeded, limit=1):
        before = (now or datetime.now(UTC)) - timedelta(days=KEPT_DAYS)
        return _delete(instance, (job_name,), before=min(before, newest.create_timestamp))
    return []


def _delete(
    instance: dg.DagsterInstance, job_names: Sequence[str], *, before: datetime
) -> list[str]:
    old = [
        record.dagster_run.run_id
        for job_name in job_names
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=job_name, statuses=_ENDED, created_before=before),
            limit=MOST_AT_ONCE,
        )
    ]
    for run_id in old:
        instance.delete_run(run_id)
    return old
