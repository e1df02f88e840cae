"""`surveys`: the surveys in the database, with the ids and names that other commands take."""

import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hotjar_assets.cli.common import FAILED, exit_for
from hotjar_assets.cli.output import echo, echo_json
from hotjar_assets.cli.tables import print_surveys
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.printable import counted

if TYPE_CHECKING:
    from hotjar_assets.warehouse.stored import StoredSurvey


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def surveys(*, as_json: bool) -> None:
    """List the surveys in the database: id, name, platform, rows, newest response, last sync.

    Nothing is requested: a survey that is new in Hotjar appears with the next sync.
    """
    from hotjar_assets.warehouse.stored import read_surveys  # noqa: PLC0415 - DuckDB loads with it

    try:
        settings = Settings.from_environment(needs_account=False)
        stored = read_surveys(
            settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds
        )
    except HotjarConfigError as error:
        exit_for(error)
    except HotjarError as error:
        echo(error, err=True)
        sys.exit(FAILED)
    if as_json:
        echo_json({"surveys": [_as_json(survey) for survey in stored]})
        return
    print_surveys(stored)
    echo(f"{counted(len(stored), 'survey')} in {settings.database_path}")


def _as_json(survey: "StoredSurvey") -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(survey).items()
    }
