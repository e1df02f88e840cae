"""`sync` and `import`: what fills the tables."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from hotjar_assets.cli.common import FAILED, read_settings
from hotjar_assets.cli.output import echo, echo_json
from hotjar_assets.cli.runs import in_dagster
from hotjar_assets.cli.tables import print_table
from hotjar_assets.config import Settings, is_id
from hotjar_assets.extras import NO_MODELS


@click.command()
@click.option("--lookback", type=click.IntRange(1, 36500), metavar="DAYS", help="Read DAYS again.")
@click.option("--full", is_flag=True, help="Read everything; mark what Hotjar no longer has.")
@click.option("--purge", is_flag=True, help="With --full: delete what an earlier one marked.")
@click.option(
    "--survey",
    "surveys",
    multiple=True,
    metavar="SURVEY",
    help="Limit to the survey of this id or name (can be given several times).",
)
@click.option("--no-models", is_flag=True, help="Do not run the dbt models afterwards.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary on stdout.")
def sync(
    *,
    lookback: int | None,
    full: bool,
    purge: bool,
    surveys: tuple[str, ...],
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
    settings = read_settings()
    summary, problems = run_sync(
        settings,
        lookback=lookback,
        full=full,
        purge=purge,
        surveys=surveys,
        models=not no_models,
        as_json=as_json,
    )
    print_outcome(settings, summary, problems, as_json=as_json)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--survey", required=True, metavar="SURVEY", help="The survey it is of: its id or name."
)
@click.option("--site", "site_id", metavar="ID", help="Its site, if the database has no such one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON summary on stdout.")
def import_file(*, file: Path, survey: str, site_id: str | None, as_json: bool) -> None:
    """Store an export of a survey, a CSV or a ZIP, as a sync would; nothing is requested."""
    if site_id and not is_id(site_id):
        raise click.UsageError("--site is not a valid id")
    settings = read_settings(needs_account=False)
    summary, problems = in_dagster(
        lambda runs, instance, progress: runs.run_import(
            instance,
            settings,
            file,
            survey=survey,
            site_id=site_id,
            progress=progress,
        ),
        settings,
        is_resumable=False,
        as_json=as_json,
    )
    print_outcome(settings, summary, problems, as_json=as_json)


def run_sync(
    settings: Settings,
    *,
    lookback: int | None = None,
    full: bool = False,
    purge: bool = False,
    surveys: tuple[str, ...] = (),
    models: bool = True,
    as_json: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Register new surveys, run the job and the models; return the summary and all problems."""
    return in_dagster(
        lambda runs, instance, progress: runs.run_sync(
            instance,
            settings,
            lookback_days=lookback,
            full=full,
            purge=purge,
            wanted=surveys,
            progress=progress,
        ),
        settings,
        models=models,
        as_json=as_json,
    )


def print_outcome(
    settings: Settings, summary: dict[str, Any], problems: list[str], *, as_json: bool
) -> NoReturn:
    """Print what was done and what failed, and exit accordingly."""
    names, lacks_dbt = summary.pop("names"), summary.pop("lacks_dbt")
    for problem in problems:
        echo(" ".join(problem.split()), err=True)
    if as_json:
        echo_json(summary)
    else:
        print_table(summary, names)
        echo(f"database: {settings.database_path}")
        if lacks_dbt:
            echo(NO_MODELS)
    sys.exit(FAILED if problems else 0)
