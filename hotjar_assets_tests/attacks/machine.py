"""A second user of this machine, for a suite that runs as root or as an ordinary user."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NOBODY = 65_534


def another_user_owns(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Give files to another user; where only root may, let this process be another user."""
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    else:
        user = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: user)


def shared_folder(path: Path) -> Path:
    """Make a folder like /tmp: all users may create files in it, and delete only their own."""
    path.mkdir()
    path.chmod(0o1777)
    return path


def open_to_others(folder: Path) -> list[str]:
    """List what is below a folder, with its mode, if other users have any permission on it."""
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(found.st_mode):o}"
        for path in sorted(folder.rglob("*"))
        if not stat.S_ISLNK((found := path.lstat()).st_mode) and found.st_mode & 0o077
    ]


def umask(value: int) -> Callable[[], Iterator[None]]:
    """Return a fixture's function that runs a test with an umask."""

    def with_umask() -> Iterator[None]:
        before = os.umask(value)
        try:
            yield
        finally:
            os.umask(before)

    return with_umask
