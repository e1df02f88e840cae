"""The command line, `hotjar-assets`: an account's `sync`, `check`, … and `streams` of other APIs.

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
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import click
from dotenv import load_dotenv

from hotjar_assets.config import (
    SANDBOX_DATABASE,
    Platform,
    Settings,
    Source,
    environment_variable,
    is_id,
    make_database_folder,
    streams_folder,
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
    _report(settings, summary, problems, as_json=as_json)


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--survey", "survey_id", required=True, metavar="ID", help="The survey it is of.")
@click.option("--site", "site_id", metavar="ID", help="Its site, if the database has no such one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary on stdout.")
def import_file(*, file: Path, survey_id: str, site_id: str | None, as_json: bool) -> None:
    """Store an export of a survey, a CSV or a ZIP, as a sync would; nothing is requested."""
    for option, value in (("--survey", survey_id), ("--site", site_id or "-")):
        if not is_id(value):
            raise click.UsageError(f"{option} is no id")
    settings = _settings(needs_account=False)
    summary, problems = _in_dagster(
        lambda runs, instance, _: runs.run_import(
            instance, settings, file, survey_id=survey_id, site_id=site_id
        ),
        settings,
        surveys=1,
    )
    _report(settings, summary, problems, as_json=as_json)


@main.command()
def check() -> None:
    """Test the settings, the credentials, each site or project, the plan and the database."""
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
    settings = _settings(needs_account=at_hotjar)
    if at_hotjar:
        _require_user_lookup(settings)
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
    """Run the sandbox, a local Hotjar and Contentsquare with made-up data, until interrupted."""
    from hotjar_assets.sandbox.server import run  # noqa: PLC0415 - a web server loads with it

    run(host=host, port=port, seed=seed, latency_seconds=latency)


@main.command()
def demo() -> None:
    """Sync the sandbox account twice, from nothing, and say how to open the UI."""
    os.environ.update({environment_variable("sandbox"): "1"})
    for name in ("database", "source"):
        os.environ.pop(environment_variable(name), None)
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


@main.group()
def streams() -> None:
    """Any other API, described in YAML: try a stream, get the schema for editors."""


@streams.command("test")
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), help="YAML file; default: the folder.")
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def try_stream(*, name: str, file: Path | None, limit: int, as_json: bool) -> None:
    """Show the requests of the stream NAME, or SOURCE.NAME, and its first rows; store nothing."""
    # No other command needs these.
    from hotjar_assets.streams.loading import load_folder, load_source  # noqa: PLC0415
    from hotjar_assets.streams.reading import SourceClient  # noqa: PLC0415
    from hotjar_assets.streams.trial import find_stream, iter_rows  # noqa: PLC0415
    from hotjar_assets.warehouse.expressions import preview  # noqa: PLC0415 - DuckDB loads with it

    requests: list[dict[str, Any]] = []

    def note(request: Any) -> None:
        requests.append(vars(request))
        if not as_json:
            click.echo(f"{request.method} {request.url}")
            for header, value in request.headers.items():
                click.echo(f"  {header}: {value}")
            click.echo(f"\n  {request.body}\n" if request.body else "")

    try:
        sources = [load_source(file)] if file else load_folder(streams_folder())
        source, stream = find_stream(sources, name)
        # Of no rows, it tells whether what is computed can be, before any request.
        preview(source, stream, [])
        client = SourceClient(source, on_request=note)
    except HotjarConfigError as error:
        _exit_for(error)
    try:
        shown = preview(source, stream, list(islice(iter_rows(client, stream), limit)))
    except HotjarError as error:
        click.echo(" ".join(str(error).split()), err=True)
        sys.exit(FAILED)
    finally:
        client.close()
    if as_json:
        rows = [dict(zip(shown.types, row, strict=True)) for row in shown.rows]
        summary = {"requests": requests, "columns": shown.types, "rows": rows}
        click.echo(json.dumps(summary, default=str, ensure_ascii=False))
    else:
        _print_rows(shown.types, shown.rows)
        click.echo(f"{len(shown.rows)} rows of {source.name}.{stream.name}; nothing was stored")


@streams.command("schema")
def stream_schema() -> None:
    """Print the JSON Schema by which editors complete the YAML."""
    from hotjar_assets.streams.editor import source_schema  # noqa: PLC0415 - others do without

    click.echo(source_schema(), nl=False)


@main.command("infer-schema")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--records", "path", metavar="JSONPATH", help="Where the records are: $.data[*]")
@click.option("--format", "kind", type=click.Choice(["json", "jsonl", "csv"]), help="Not guessed.")
@click.option("--flatten", metavar="FIELD", multiple=True, help="As in the stream.")
def infer(*, file: str, path: str | None, kind: Any, flatten: tuple[str, ...]) -> None:
    """Print the `schema:` of the sample records in FILE (- is stdin), to paste into a stream."""
    from hotjar_assets.streams.inference import sample_records, schema_yaml  # noqa: PLC0415

    try:
        with click.open_file(file, "rb") as sample:
            records = sample_records(sample.read(), kind=kind, path=path, flatten=flatten)
    except (ValueError, HotjarError) as error:
        click.echo(f"{file}: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_USAGE)
    if not any(records):
        click.echo(f"{file}: holds no record; give a sample with some", err=True)
        sys.exit(BAD_USAGE)
    click.echo(schema_yaml(records), nl=False)


def _require_user_lookup(settings: Settings) -> None:
    """Exit with one line if the settings do not reach Hotjar's user lookup."""
    problems = {
        "platform": settings.platform is not Platform.HOTJAR
        and f"{settings.platform} has no such request; leave out --at-hotjar and ask it there",
        "source": settings.source is not Source.API and "--at-hotjar needs the API; set it to api",
        "organization_id": not settings.organization_id and "--at-hotjar needs it",
    }
    for name, problem in problems.items():
        if problem:
            _exit_for(HotjarConfigError(environment_variable(name), problem))


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


def _settings(*, needs_account: bool = True) -> Settings:
    """Validate the settings, or exit with one line that names the bad one."""
    try:
        settings = Settings.from_environment(needs_account=needs_account)
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
    return _in_dagster(
        lambda runs, instance, total: runs.run_sync(
            instance,
            settings,
            lookback_days=lookback,
            full=full,
            purge=purge,
            survey_ids=survey_ids,
            expect=total,
        ),
        settings,
        surveys=len(survey_ids),
        models=models,
    )


def _in_dagster(
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
        with _without_garbage():
            from hotjar_assets import runs  # noqa: PLC0415

            try:
                opened = runs.local_instance()
            except HotjarConfigError as error:
                _exit_for(error)
        with opened as instance:
            try:
                with _progress(surveys) as total:
                    outcome = start(runs, instance, total)
            except HotjarConfigError as error:
                _exit_for(error)
            except HotjarError as error:
                click.echo(str(error), err=True)
                sys.exit(FAILED)
            seconds = time.monotonic() - started
            made = models and runs.models_are_due(instance, outcome)
            if made:
                if sys.stderr.isatty():
                    click.echo("making the dbt models …", err=True)
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


def _print_rows(types: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for number, row in enumerate(rows, start=1):
        table = Table(box=None, show_header=False, title=f"row {number}", title_justify="left")
        for (column, kind), value in zip(types.items(), row, strict=True):
            cell = value if isinstance(value, str) else json.dumps(value, default=str)
            shown = Text(cell, no_wrap=True, overflow="ellipsis")
            table.add_row(Text(column, "bold"), Text(kind, "dim"), shown)
        console.print(table)


def _report(
    settings: Settings, summary: dict[str, Any], problems: list[str], *, as_json: bool
) -> NoReturn:
    """Print what was done and what failed, and exit accordingly."""
    names = summary.pop("names")
    for problem in problems:
        click.echo(" ".join(problem.split()), err=True)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        _print_table(summary, names)
        click.echo(f"database: {settings.database_path}")
    sys.exit(FAILED if problems else 0)


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
