"""Files and folders that no other user of this machine may read, prepare or redirect.

Answers of people, secrets and code that dbt runs lie in files whose names can be guessed. Every
module that creates one does it through here, or inside `owner_only`. What is decided here:

- `owner_only`: what this process creates is 0600 (files) and 0700 (folders), whatever the umask.
- `make_private_folder`, `private_cache`: a folder is used if it is real, ours and closed to others.
- `refuse_planted`: a file in a folder that others may write to is used if it is ours and no link.
- `replace_file`: a file is written completely or not at all, and never through a link.

Only the owner is checked, so root, and a user who may write to a folder above, stay trusted.
"""

import atexit
import grp
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.printable import get_logger

logger = get_logger(__name__)

CACHE_NAME = "hotjar-assets"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What DuckDB makes beside a database, by version: the log, the checkpoint, and sorted rows.
_BESIDE_DATABASE = (
    "",
    ".wal",
    ".wal.checkpoint",
    ".wal.recovery",
    ".checkpoint.wal",
    ".recovery.wal",
    ".tmp",
)


class NotPrivateError(HotjarStoreError):
    """Another user of this machine can read, or has prepared, what must be private."""


# --- Creating ------------------------------------------------------------------------------------


class _OwnerOnly:
    """Counts who needs the umask: it belongs to the process, and threads overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                self._before = os.umask(_OTHERS)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                os.umask(self._before)


_umask = _OwnerOnly()


@contextmanager
def owner_only() -> Iterator[None]:
    """Create files as 0600 and folders as 0700, those that libraries and subprocesses make too.

    The umask belongs to the whole process. Another thread that creates a file at the same time gets
    these modes too, never wider ones.
    """
    _umask.enter()
    try:
        yield
    finally:
        _umask.leave()


def new_file(path: str, flags: int) -> int:
    """Create a file as the `opener` of `open`: as 0600, and not through a link."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as 0600 in one step; a link of that name is replaced, not followed.

    Raises:
        OSError: It cannot be written; the older file is unchanged.
    """
    descriptor, name = tempfile.mkstemp(prefix=".hotjar-", suffix=".new", dir=path.parent)
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


# --- Folders of our own --------------------------------------------------------------------------


def make_private_folder(path: Path) -> None:
    """Create a folder as 0700, or make sure that an existing one is ours and closed to others.

    Raises:
        NotPrivateError: It is a link, belongs to another user or is open to others.
        OSError: It cannot be created.
    """
    with owner_only():
        path.mkdir(parents=True, exist_ok=True)
    check_private(path, path.lstat())


def check_private(path: Path, found: os.stat_result) -> None:
    """Make sure that a folder is real, ours and closed to others.

    Args:
        path: The folder, for the message.
        found: Its status, of the folder itself and not of what it links to.

    Raises:
        NotPrivateError: It is not.
    """
    if not stat.S_ISDIR(found.st_mode):
        problem = "is not a folder but a link or a file"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to another user ({_name(found.st_uid)})"
    elif found.st_mode & _OTHERS:
        problem = f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o} instead of 0700)"
    else:
        return
    raise NotPrivateError(
        f"{path} {problem}, so what it holds may not be ours; remove it, or choose another place "
        "on a disk that keeps permissions (nothing was changed)"
    )


def private_cache(home: Path | None) -> Path:
    """Return a folder for files that can be made again and that only this user may prepare.

    Args:
        home: The user's folder of caches; None if there is none.

    Returns:
        A folder in it; where that is not possible, one in the temporary folder that is kept, else
        one that is deleted when this process ends, with a warning.
    """
    named = Path(tempfile.gettempdir()) / f"{CACHE_NAME}-{os.geteuid()}"
    problems = []
    for folder in (*([home / CACHE_NAME] if home else []), named):
        try:
            make_private_folder(folder)
            # A link above it is followed here once, and cannot be changed afterwards.
            real = folder.resolve(strict=True)
            check_private(real, real.lstat())
            weak = weak_parent(real)
        except (OSError, NotPrivateError) as error:
            problems.append(str(error))
            continue
        if weak is None:
            return real
        problems.append(f"{weak} belongs to another user or can be written by others")
    logger.warning("the dbt models are parsed again by every process: %s", "; ".join(problems))
    return temporary_folder()


def temporary_folder() -> Path:
    """Return a folder of a random name, one for this process, that is deleted when it ends."""
    with _temporary_folder_lock:
        return _make_temporary_folder()


@cache
def _make_temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{CACHE_NAME}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_temporary_folder_lock = threading.Lock()


# --- Folders of others ---------------------------------------------------------------------------


def is_writable_by_others(found: os.stat_result) -> bool:
    """Tell whether users beside the owner may write; a user's own group, of one, is the owner."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found)


def _is_own_group(found: os.stat_result) -> bool:
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def weak_parent(path: Path) -> Path | None:
    """Return a folder above a real path whose users could put something else in its place."""
    for folder in path.parents:
        found = folder.stat()
        is_sticky = bool(found.st_mode & stat.S_ISVTX)
        is_foreign = found.st_uid not in {0, os.geteuid()}
        if is_foreign or (is_writable_by_others(found) and not is_sticky):
            return folder
    return None


def refuse_planted(database: Path) -> None:
    """Refuse a database, or a file that DuckDB makes beside it, that another user prepared.

    DuckDB would follow a link, write answers into a foreign file, and replay a foreign log. Who may
    write to the folder decides: if that is its owner alone, the owner chose every file in it.

    Raises:
        NotPrivateError: Names the file.
    """
    folder = database.absolute().parent.stat()
    is_shared = is_writable_by_others(folder)
    trusted = {0, os.geteuid()}
    if not folder.st_mode & stat.S_IWOTH:
        trusted.add(folder.st_uid)
    for suffix in _BESIDE_DATABASE:
        path = database.with_name(f"{database.name}{suffix}")
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if suffix and stat.S_ISLNK(found.st_mode):
            problem = "is a link"
        elif is_shared and found.st_uid not in trusted:
            problem = f"belongs to another user ({_name(found.st_uid)})"
        else:
            continue
        raise NotPrivateError(
            f"{path} {problem}; remove it, or set HOTJAR_DATABASE to a file in a folder that only "
            "you may write to (nothing was changed)"
        )


def refuse_foreign_folder(path: Path) -> None:
    """Refuse a folder that another user owns or may write to; others may read it.

    Raises:
        NotPrivateError: It is such a folder.
    """
    found = path.stat()
    if found.st_uid not in {0, os.geteuid()}:
        problem = f"belongs to another user ({_name(found.st_uid)})"
    elif is_writable_by_others(found):
        problem = f"may be written by other users: run chmod go-w {shlex.quote(str(path))}"
    else:
        return
    raise NotPrivateError(f"{path} {problem}")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def exposed(*paths: Path) -> Iterator[str]:
    """Yield what to do about those of some paths that other users can read or write."""
    for path in paths:
        try:
            found, above = path.stat(), [each.stat() for each in path.absolute().parents]
        except OSError:
            continue
        # A folder above that others cannot enter protects all that is in it.
        is_reachable = all(each.st_mode & (stat.S_IXGRP | stat.S_IXOTH) for each in above)
        if found.st_mode & _OTHERS and is_reachable:
            mode = "700" if stat.S_ISDIR(found.st_mode) else "600"
            verb = "write to" if is_writable_by_others(found) else "read"
            command = f"chmod {mode} {shlex.quote(str(path))}"
            yield f"other users can {verb} {path}; to prevent it: {command}"


def replaceable(path: Path) -> Iterator[str]:
    """Yield which folder above a path lets other users put something else in its place."""
    if folder := weak_parent(path.resolve()):
        yield (
            f"{folder} belongs to another user or can be written by others, who can replace {path}"
        )


# --- Names that other products misread -----------------------------------------------------------


def plain_path(path: Path, misread: str) -> Path:
    """Return another way to a path whose folder has characters that a product takes for a URL's.

    The other way is a link to the folder, so that what the product makes beside the file is really
    there. It is valid for this process and its children, as long as this process lives.

    Args:
        path: A file or folder.
        misread: The characters.
    """
    folder = path.absolute().parent
    if not set(misread) & set(str(folder)):
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()
    link = temporary_folder() / name
    with suppress(FileExistsError):
        link.symlink_to(folder, target_is_directory=True)
    return link / path.name
