"""Where the page is written: whole or not at all, and over nothing but an older report."""

import os
from pathlib import Path

from hotjar_assets.errors import HotjarConfigError

GENERATOR = "hotjar-assets report"
"""What a page says made it."""
_HEAD_BYTES = 1000


def default_path(database: Path) -> Path:
    """Return the path beside the database, which names it: no two accounts share one."""
    return database.with_name(f"{database.stem}-report.html")


def check_path(path: Path) -> None:
    """Make sure that a page can be written to a path.

    Raises:
        HotjarConfigError: It has no folder, or something stands there that is no report.
    """
    if not path.absolute().parent.is_dir():
        raise HotjarConfigError("--out", f"the folder {path.parent} does not exist; make it first")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from error
    if GENERATOR.encode() not in head:
        problem = f"{path} is no report of hotjar-assets and is not replaced; name another file"
        raise HotjarConfigError("--out", problem)


def write_page(path: Path, page: str) -> None:
    """Write a page, replacing an older one in one step.

    Raises:
        HotjarConfigError: It cannot be written; what was there is as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        try:
            new.write_text(page, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> HotjarConfigError:
    problem = f"{path} cannot be written ({error.strerror}); name another file"
    return HotjarConfigError("--out", problem)
