"""Where the page is written: whole or not at all, and over nothing but an older report.

It quotes what people answered, so only its owner may read it, and it is never written through a
link that another user prepared.
"""

import os
import stat
from pathlib import Path

from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.private_files import replace_file

GENERATOR = "hotjar-assets report"
"""What a page says made it."""
_HEAD_BYTES = 1000


def default_path(database: Path) -> Path:
    """Return the path beside the database, which names it: no two accounts share one."""
    return database.with_name(f"{database.stem}-report.html")


def check_path(path: Path) -> None:
    """Make sure that a page can be written to a path.

    Raises:
        HotjarConfigError: It has no folder, or something else than a report is there, or a link.
    """
    if not path.absolute().parent.is_dir():
        raise HotjarConfigError("--out", f"the folder {path.parent} does not exist; make it first")
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            problem = f"{path} is a link, and a report is not written through one; name its target"
            raise HotjarConfigError("--out", problem)
        # Opening a pipe would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            head = file.read(_HEAD_BYTES) if is_file else b""
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, error) from error
    if GENERATOR.encode() not in head:
        problem = f"{path} is no report of hotjar-assets and is not replaced; name another file"
        raise HotjarConfigError("--out", problem)


def write_page(path: Path, page: str) -> None:
    """Write a page that only its owner can read, replacing an older one in one step.

    Raises:
        HotjarConfigError: It cannot be written; what was there is as it was.
    """
    try:
        replace_file(path, page.encode())
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> HotjarConfigError:
    problem = f"{path} cannot be written ({error.strerror}); name another file"
    return HotjarConfigError("--out", problem)
