"""A run in this process: its progress, its interruption, and the models after it."""

import sys
import time
from collections.abc import Callable
from typing import Any

from hotjar_assets.cli.common import FAILED, creations_told, exit_for
from hotjar_assets.cli.interrupts import watched
from hotjar_assets.cli.output import echo, echo_json, shown_progress
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.garbage import kept, without_garbage
from hotjar_assets.printable import counted
from hotjar_assets.sync_progress import SyncProgress


def in_dagster(
    start: Callable[[Any, Any, SyncProgress], Any],
    settings: Settings,
    *,
    models: bool = True,
    is_resumable: bool = True,
    as_json: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Let Dagster run something, then the models; return the summary and all problems.

    A command that is interrupted says so in one line, and exits with 130 or 143.

    Args:
        start: Given the module `runs`, the instance and what is told of the progress; returns the
            outcome.
        settings: The account and the database.
        models: Whether the models are run where rows were committed.
        is_resumable: Whether an interrupted command goes on where it was when it is run again.
        as_json: Whether a command that is interrupted prints its summary as JSON too.
    """
    started, progress = time.monotonic(), SyncProgress()
    with creations_told(settings.database_path), watched() as interrupts:
        # Dagster takes seconds to load.
        with shown_progress(progress, settings.progress_seconds), without_garbage():
            from hotjar_assets import runs  # noqa: PLC0415
        outcome, made, lacks_dbt, seconds = runs.Outcome(), False, False, 0.0
        try:
            opened = runs.local_instance()
        except HotjarConfigError as error:
            exit_for(error)
        with kept(), opened as instance:
            interrupts.at_first = lambda: runs.cancel_own_runs(instance)
            try:
                with shown_progress(progress, settings.progress_seconds):
                    outcome = start(runs, instance, progress)
                seconds = time.monotonic() - started
                is_complete = not outcome.is_interrupted
                made = models and is_complete and runs.models_are_due(instance, outcome)
                if made:
                    if sys.stderr.isatty():
                        echo("making the dbt models …", err=True)
                    problem = runs.run_models(instance, settings.database_path)
                    outcome.problems += [problem] if problem else []
                lacks_dbt = models and runs.lacks_models(outcome)
            except HotjarConfigError as error:
                exit_for(error)
            except HotjarError as error:
                echo(error, err=True)
                sys.exit(FAILED)
            except KeyboardInterrupt:
                runs.end_own_runs(instance)
                outcome.is_interrupted = True
    summary = {
        "surveys": outcome.listed,
        "partitions": {
            survey_id: {"name": outcome.names.get(survey_id), **figures}
            for survey_id, figures in outcome.partitions.items()
        },
        "requests": outcome.requests,
        "models": made,
        "seconds": round(seconds, 3),
    }
    if outcome.is_interrupted:
        echo(_interrupted(outcome, progress, made=made, is_resumable=is_resumable), err=True)
        if as_json:
            echo_json({**summary, "interrupted": True})
        sys.exit(interrupts.exit_code)
    return {**summary, "names": outcome.names, "lacks_dbt": lacks_dbt}, outcome.problems


def _interrupted(outcome: Any, progress: SyncProgress, *, made: bool, is_resumable: bool) -> str:
    stored = sum(each["status"] == "materialized" for each in outcome.partitions.values())
    left = (progress.surveys or stored) - stored
    if not (is_resumable or stored):
        return "Interrupted: the file is not stored. Run the command again to read all of it."
    done = f"{counted(stored, 'survey')} stored, {left} unchanged"
    models = "; the models are not complete" if made else ""
    return f"Interrupted: {done}{models}. Run the command again to continue."
