"""The command line, `hotjar-assets`: `sync`, `check`, `forget`, `sandbox`, `demo`.

Exit codes: 0 all good; 1 something failed, with a line for each on stderr; 2 bad settings or usage,
and then no request was made. Dagster is imported only once the settings are good.
"""

import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from dotenv import load_dotenv

from hotjar_assets.config import (
    SANDBOX_DATABASE,
    Settings,
    environment_variable,
    make_database_folder,
)
from hotjar_assets.errors import HotjarConfigError, HotjarError, HotjarStoreError

FAILED, BAD_USAGE = 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hotjar-assets")
def main() -> None:
    """Hotjar survey responses in your own DuckDB, through Dagster."""
    try:
        load_dotenv(Path.cwd() / ".env")
    except UnicodeDecodeError:
        click.echo(".env: is not UTF-8 text; save it as that", err=True)
        sys.exit(BAD_USAGE)
    # On the package's own logger: Dagster, which records these lines in a run, rewrites them for
    # every handler after its own, and the figures of each survey are for its log alone.
    shown = logging.StreamHandler()
    shown.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    shown.setLevel(logging.WARNING)
    package = logging.getLogger("hotjar_assets")
    package.addHandler(shown)
    click.get_current_context().call_on_close(lambda: package.removeHandler(shown))


@main.command()
@click.option("--lookback", type=click.IntRange(1, 36500), metavar="DAYS", help="Read DAYS again.")
@click.option("--full", is_flag=True, help="Read everything; mark what Hotjar no longer has.")
@click.option("--purge", is_flag=True, help="With --full: delete what an earlier one marked.")
@click.option("--survey", "survey_ids", multiple=True, metavar="ID", help="Only this; repeatable.")
@click.option("--no-models", is_flag=True, help="Do not run the dbt models afterwards.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary on stdout.")
def sync(
    *,
    lookback: int | None,
    full: bool,
    purge: bool,
    survey_ids: tuple[str, ...],
    no_models: bool,
    as_json: bool,
) -> None:
    """Read what is new into the database, as a run of sync_job (--full: of reconcile_job).

    If rows were committed and the extra `dbt` is installed, models_job runs afterwards.
    """
    if full and lookback:
        raise click.UsageError("--full reads everything; leave out --lookback")
    if purge and not full:
        raise click.UsageError("--purge needs --full")
    settings = _settings()
    summary, problems = _sync(
        settings,
        lookback=lookback,
        full=full,
        purge=purge,
        survey_ids=survey_ids,
        models=not no_models,
    )
    names = summary.pop("names")
    for problem in problems:
        click.echo(" ".join(problem.split()), err=True)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        _print_table(summary, names)
        click.echo(f"database: {settings.database_path}")
    sys.exit(FAILED if problems else 0)


@main.command()
def check() -> None:
    """Test the settings, the credentials, each site, the plan and the database."""
    settings = _settings()
    from hotjar_assets.account import check_account  # noqa: PLC0415 - DuckDB loads with it

    failed = False
    for what, problem in check_account(settings):
        click.echo(f"{'failed' if problem else 'ok':<7} {what}{f': {problem}' if problem else ''}")
        failed |= problem is not None
    sys.exit(FAILED if failed else 0)


@main.command()
@click.option("--user", "user_id", metavar="ID", help="The person's hotjar_user_id.")
@click.option("--email", metavar="ADDRESS", help="The person's e-mail address.")
@click.option("--yes", is_flag=True, help="Erase; without it, only what would be is shown.")
@click.option("--at-hotjar", is_flag=True, help="Also ask Hotjar for its report on the person.")
@click.option("--delete-at-hotjar", is_flag=True, help="With --at-hotjar: delete there, at once.")
def forget(
    *, user_id: str | None, email: str | None, yes: bool, at_hotjar: bool, delete_at_hotjar: bool
) -> None:
    """Erase one person's responses here, for ever, and keep only the ids."""
    if bool(user_id) == bool(email):
        raise click.UsageError("give one of --user and --email")
    if delete_at_hotjar and not at_hotjar:
        raise click.UsageError("--delete-at-hotjar needs --at-hotjar")
    settings = _settings()
    if at_hotjar and not settings.organization_id:
        click.echo(f"{environment_variable('organization_id')}: --at-hotjar needs it", err=True)
        sys.exit(BAD_USAGE)
    from hotjar_assets.account import ask_hotjar_to_forget, forget_person  # noqa: PLC0415
    from hotjar_assets.warehouse import Person  # noqa: PLC0415 - DuckDB loads with it

    person = Person(user_id=user_id, email=email)
    try:
        rows = forget_person(settings, person, erase=yes)
        click.echo(f"{'erased' if yes else 'would erase'} {len(rows)} responses")
        for survey_id, response_id, _ in rows:
            click.echo(f"  survey {survey_id}  response {response_id}")
        if at_hotjar and yes:
            ask_hotjar_to_forget(settings, person, delete=delete_at_hotjar)
            click.echo(f"asked Hotjar to {'delete' if delete_at_hotjar else 'mail its report'}")
        if yes and rows:
            _renew_models(settings)
    except HotjarError as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)
    if not yes:
        click.echo("nothing was erased; add --yes to do it")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address.")
@click.option("--port", default=8787, show_default=True, help="0 takes a free one.")
@click.option("--seed", default=1, show_default=True, help="Seed of the made-up data.")
@click.option("--latency", default=0.0, metavar="SECONDS", help="Delay of every answer.")
def sandbox(*, host: str, port: int, seed: int, latency: float) -> None:
    """Run the sandbox, a local Hotjar with made-up data, until it is interrupted."""
    from hotjar_assets.sandbox.server import run  # noqa: PLC0415 - a web server loads with it

    run(host=host, port=port, seed=seed, latency_seconds=latency)


@main.command()
def demo() -> None:
    """Sync the sandbox account twice, from nothing, and say how to open the UI."""
    os.environ.update({environment_variable("sandbox"): "1"})
    os.environ.pop(environment_variable("database"), None)
    for leftover in (SANDBOX_DATABASE, f"{SANDBOX_DATABASE}.wal"):
        Path(leftover).unlink(missing_ok=True)
    settings = _settings()
    for title in ("A first sync reads everything", "A second one, with nothing new"):
        summary, problems = _sync(settings)
        click.echo(f"\n{title}:")
        _print_table(summary, summary.pop("names"))
        if problems:
            raise click.ClickException("; ".join(problems))
        if summary["models"]:
            click.echo("\nWhat the dbt models make of them:")
            _print_scores(settings)
    click.echo(
        f"\nThe rows are in {settings.database_path}, tables hotjar.surveys and "
        "hotjar.survey_responses.\nOpen the UI on them:  HOTJAR_SANDBOX=1 make dev"
    )


def _renew_models(settings: Settings) -> None:
    """Make the models anew, so that nothing of an erased row stays in them."""
    from hotjar_assets.defs.models import has_dbt  # noqa: PLC0415 - Dagster loads with it

    if not has_dbt():
        return
    from hotjar_assets.runs import local_instance, run_models  # noqa: PLC0415

    with local_instance() as instance:
        problem = run_models(instance, settings.database_path)
    if problem:
        raise HotjarStoreError(f"{problem}; they may still hold what was erased: run them again")
    click.echo("made the dbt models anew")


def _settings() -> Settings:
    """Validate the settings, or exit with one line that names the bad one."""
    try:
        settings = Settings.from_environment()
        make_database_folder(settings.database_path)
    except HotjarConfigError as error:
        _exit_for(error)
    return settings


def _exit_for(error: HotjarConfigError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(BAD_USAGE)


def _sync(
    settings: Settings,
    *,
    lookback: int | None = None,
    full: bool = False,
    purge: bool = False,
    survey_ids: tuple[str, ...] = (),
    models: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Register new surveys, run the job and the models; return the summary and all problems."""
    started = time.monotonic()
    with warnings.catch_warnings():
        # Dagster calls the backfill policy beta; whoever reads a table of surveys cannot act on it.
        warnings.filterwarnings("ignore", message=".* is currently in beta")
        with _without_garbage():
            from hotjar_assets.runs import (  # noqa: PLC0415
                local_instance,
                models_are_due,
                run_models,
                run_sync,
            )

            try:
                opened = local_instance()
            except HotjarConfigError as error:
                _exit_for(error)
        with opened as instance:
            with _progress(len(survey_ids)) as total:
                outcome = run_sync(
                    instance,
                    settings,
                    lookback_days=lookback,
                    full=full,
                    purge=purge,
                    survey_ids=survey_ids,
                    expect=total,
                )
            seconds = time.monotonic() - started
            made = models and models_are_due(instance, outcome)
            if made:
                if sys.stderr.isatty():
                    click.echo("making the dbt models …", err=True)
                problem = run_models(instance, settings.database_path)
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


@contextmanager
def _without_garbage() -> Iterator[None]:
    """Let nobody look for garbage while Dagster is imported: there is none, and it takes 0.4 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress  # noqa: PLC0415

    io_manager = logging.getLogger("hotjar_assets.io_managers")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("surveys", total=total or None)
        handler = _Advance(lambda stored: progress.advance(task, stored))
        before = io_manager.level
        io_manager.setLevel(logging.INFO)
        io_manager.addHandler(handler)
        try:
            yield lambda expected: progress.update(task, total=expected)
        finally:
            io_manager.removeHandler(handler)
            io_manager.setLevel(before)


def _print_scores(settings: Settings) -> None:
    from rich.console import Console  # noqa: PLC0415 - the demo alone prints them
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from hotjar_assets.warehouse.scores import read_scores  # noqa: PLC0415

    table = Table(box=None, expand=True)
    table.add_column("survey", no_wrap=True, ratio=3)
    for column in ("NPS ± (n)", "CSAT % ± (n)"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("top tags", no_wrap=True, ratio=2)
    for scores in read_scores(
        settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds
    ):
        table.add_row(
            Text(scores.name),
            _score(scores.nps, scores.nps_margin, scores.nps_answers, "+.0f"),
            _score(scores.csat, scores.csat_margin, scores.csat_answers, ".0f"),
            Text(", ".join(scores.tags)),
        )
    Console().print(table)


def _score(score: float | None, margin: float | None, answers: int, form: str) -> str:
    return "" if score is None else f"{score:{form}} ± {margin:.0f} ({answers})"


def _print_table(summary: dict[str, Any], names: dict[str, str]) -> None:
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, expand=True)
    table.add_column("survey", no_wrap=True, max_width=14)
    table.add_column("name", no_wrap=True, ratio=1)
    columns = ("rows", "new", "updated", "deleted", "requests")
    for column in columns:
        table.add_column(column, justify="right", min_width=len(column))
    order = list(names)
    partitions = sorted(
        summary["partitions"].items(),
        key=lambda item: order.index(item[0]) if item[0] in names else len(order),
    )
    for survey_id, figures in partitions:
        is_failed = figures["status"] == "failed"
        cells = ["-" if figures[name] is None else str(figures[name]) for name in columns]
        title = f"{'FAILED ' if is_failed else ''}{names.get(survey_id, '')}"
        table.add_row(Text(survey_id), Text(title), *cells)
    Console().print(table)
    done = [figures for figures in summary["partitions"].values() if figures["rows"] is not None]
    click.echo(
        f"{summary['surveys']} surveys, {sum(figures['rows'] for figures in done)} responses, "
        f"{sum(figures['new'] for figures in done)} new, {summary['requests']} requests, "
        f"{summary['seconds']:.1f} s"
    )
