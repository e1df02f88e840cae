"""Command-line runs whose process was killed: nobody else would notice that they ended.

Dagster's daemon watches the runs it launches. A run of `hotjar-assets sync` names its process in a
tag instead, and whoever plans the next run fails those whose process is gone, so that their
partitions do not count as being read for ever.
"""

import os
import socket

import dagster as dg

PROCESS_TAG = ".dagster/hotjar_assets_process"
"""The UI does not show tags of this prefix."""


def process_tag() -> dict[str, str]:
    """Name this process, for the runs it executes itself."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def fail_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the unfinished command-line runs of this machine whose process is gone; list them."""
    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED]
    )
    abandoned = [
        run
        for run in instance.get_runs(unfinished)
        # A re-execution copies the tag of the run it repeats, and Dagster watches that one itself.
        if "dagster/parent_run_id" not in run.tags and _is_gone(run.tags.get(PROCESS_TAG))
    ]
    for run in abandoned:
        instance.report_run_failed(run, "the process of this run was killed")
    return [run.run_id for run in abandoned]


def _is_gone(process: str | None) -> bool:
    host, _, pid = (process or "").rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
