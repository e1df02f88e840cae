"""What many commands do: take the settings, exit where they are bad, tell what they create."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hotjar_assets.cli.output import echo
from hotjar_assets.config import Settings, make_database_folder
from hotjar_assets.errors import HotjarConfigError, HotjarSettingsError

FAILED, BAD_USAGE = 1, 2


def read_settings(*, needs_account: bool = True) -> Settings:
    """Validate the settings, or exit with one line for each that is missing or malformed."""
    try:
        return valid_settings(needs_account=needs_account)
    except HotjarConfigError as error:
        exit_for(error)


def valid_settings(*, needs_account: bool = True) -> Settings:
    """Validate the settings.

    Raises:
        HotjarConfigError: Some are missing or malformed.
    """
    settings = Settings.from_environment(needs_account=needs_account)
    make_database_folder(settings.database_path)
    return settings


def exit_for(error: HotjarConfigError) -> NoReturn:
    """Say what is wrong, a line for each setting, and exit."""
    for line in error.lines if isinstance(error, HotjarSettingsError) else [str(error)]:
        echo(line, err=True)
    sys.exit(BAD_USAGE)


@contextmanager
def creations_told(database: Path) -> Iterator[None]:
    """Say on stderr, in one line, what is made in the folder where the command is run.

    In another folder than before, a command begins with an empty database and instance. What the
    settings place by its whole path is left out: nobody is surprised to find it there.

    Args:
        database: The path of the database.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster_home")
    missing = [path for path in (database, home) if not (path.is_absolute() or path.exists())]
    try:
        yield
    finally:
        if made := [str(path) for path in missing if path.exists()]:
            echo(f"created {' and '.join(made)} in {Path.cwd()}", err=True)
