"""What every command does: take the settings, and exit where they are bad."""

import sys
from typing import NoReturn

from hotjar_assets.cli.output import echo
from hotjar_assets.config import Settings, make_database_folder
from hotjar_assets.errors import HotjarConfigError, HotjarSettingsError

FAILED, BAD_USAGE = 1, 2


def read_settings(*, needs_account: bool = True) -> Settings:
    """Validate the settings, or exit with one line for each that is missing or malformed."""
    try:
        settings = Settings.from_environment(needs_account=needs_account)
        make_database_folder(settings.database_path)
    except HotjarConfigError as error:
        exit_for(error)
    return settings


def exit_for(error: HotjarConfigError) -> NoReturn:
    """Say what is wrong, a line for each setting, and exit."""
    for line in error.lines if isinstance(error, HotjarSettingsError) else [str(error)]:
        echo(line, err=True)
    sys.exit(BAD_USAGE)
