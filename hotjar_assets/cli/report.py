"""`report`: what the answers add up to, as one HTML page."""

import logging
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import click

from hotjar_assets.cli.common import FAILED, exit_for
from hotjar_assets.cli.output import echo
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.extras import require_report
from hotjar_assets.report.file import check_path, default_path, write_page


@click.command()
@click.option(
    "--survey",
    "surveys",
    multiple=True,
    metavar="SURVEY",
    help="Limit to the survey of this id or name (can be given several times).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page; default: beside the database.",
)
@click.option(
    "--comments/--no-comments",
    default=None,
    help="Show the latest comments, or none; default: if HOTJAR_PII is keep.",
)
@click.option("--effort", metavar="REGEX", help="Texts of the ratings that ask for effort (CES).")
def report(
    *, surveys: tuple[str, ...], out: Path | None, comments: bool | None, effort: str | None
) -> None:
    """Write one HTML page of scores, trends, answers and comments; print its path.

    It rests on the two tables alone, stands for itself and loads nothing: open, mail or print it.
    """
    try:
        settings = Settings.from_environment(needs_account=False)
        path = write_report(settings, out=out, surveys=surveys, comments=comments, effort=effort)
    except HotjarConfigError as error:
        exit_for(error)
    except HotjarError as error:
        echo(error, err=True)
        sys.exit(FAILED)
    echo(path)


def write_report(
    settings: Settings,
    *,
    out: Path | None = None,
    surveys: Collection[str] = (),
    comments: bool | None = None,
    effort: str | None = None,
) -> Path:
    """Write the page and return its path.

    Raises:
        HotjarConfigError: The database, a survey, the place of the page or the extra `report` is
            missing.
        HotjarStoreError: The database cannot be read.
    """
    require_report()
    # matplotlib tells of fonts, which the page does not use.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # matplotlib and DuckDB load with them.
    from hotjar_assets.report.page import render  # noqa: PLC0415
    from hotjar_assets.warehouse.counting import read_summaries  # noqa: PLC0415

    path = out or default_path(settings.database_path)
    # Where there is no database, that is what is told.
    if settings.database_path.exists():
        check_path(path)
    now = datetime.now(UTC)
    summaries = read_summaries(
        settings.database_path,
        lock_timeout_seconds=settings.lock_timeout_seconds,
        today=now.date(),
        wanted=surveys,
        comments=comments,
        effort=effort,
    )
    write_page(path, render(summaries, database=settings.database_path, made_at=now))
    return path
