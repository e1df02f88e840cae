"""A run in this process, with a progress bar where there is a terminal."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hotjar_assets.cli.common import FAILED, exit_for
from hotjar_assets.cli.output import echo, progress_bar
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.garbage import kept, without_garbage


def in_dagster(
    start: Callable[[Any, Any, Callable[[int], None]], Any],
    settings: Settings,
    *,
    surveys: int,
    models: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Let Dagster run something, then the models; return the summary and all problems.

    Args:
        start: Given the module `runs`, the instance and what sets the total of surveys; returns
            the outcome.
        settings: The account and the database.
        surveys: The total, if it is known already.
        models: Whether the models are run where rows were committed.
    """
    started = time.monotonic()
    with warnings.catch_warnings():
        # Dagster calls the backfill policy beta; whoever reads a table of surveys cannot act on it.
        warnings.filterwarnings("ignore", message=".* is currently in beta")
        with without_garbage():
            from hotjar_assets import runs  # noqa: PLC0415

            try:
                opened = runs.local_instance()
            except HotjarConfigError as error:
                exit_for(error)
        with kept(), opened as instance:
            try:
                with _progress(surveys) as total:
                    outcome = start(runs, instance, total)
            except HotjarConfigError as error:
                exit_for(error)
            except HotjarError as error:
                echo(error, err=True)
                sys.exit(FAILED)
            seconds = time.monotonic() - started
            made = models and runs.models_are_due(instance, outcome)
            if made:
                if sys.stderr.isatty():
                    echo("making the dbt models …", err=True)
                problem = runs.run_models(instance, settings.database_path)
                outcome.problems += [problem] if problem else []
    summary = {
        "surveys": len(outcome.names),
        "partitions": outcome.partitions,
        "requests": outcome.requests,
        "models": made,
        "seconds": round(seconds, 3),
        "names": outcome.names,
    }
    return summary, outcome.problems


class _Advance(logging.Handler):
    """Moves a progress bar with every group of surveys that is stored."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__(logging.INFO)
        self._advance = advance

    def emit(self, record: logging.LogRecord) -> None:
        """Count the stored surveys."""
        self._advance(getattr(record, "surveys_stored", 0))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar when there is a terminal; yield what sets its total."""
    if not sys.stderr.isatty():
        yield lambda _total: None
        return
    commits = logging.getLogger("hotjar_assets.commits")
    with progress_bar("surveys", total) as (set_total, advance):
        handler = _Advance(advance)
        before = commits.level
        commits.setLevel(logging.INFO)
        commits.addHandler(handler)
        try:
            yield set_total
        finally:
            commits.removeHandler(handler)
            commits.setLevel(before)
