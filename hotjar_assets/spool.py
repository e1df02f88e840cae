"""Where the rows of a scan wait on disk until they are committed.

Spooled rows are people's answers, so nothing may stay behind: a spool folder is locked while its
process lives, and the process that opens the next one deletes the folders of killed ones. Another
user of the machine may have prepared what is found there: only a private folder is used, only names
that are made here are deleted, and only inside it.
"""

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from filelock import FileLock, Timeout

from hotjar_assets.api.decoding import encode_lines
from hotjar_assets.api.limits import MAX_RECORD_BYTES, MIB, too_long
from hotjar_assets.api.records import Response
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.private_files import check_private, make_private_folder, new_file

SEGMENT_ROWS = 10_000
"""Rows in one file: what a merge handles at a time, whatever the size of the survey."""
SEGMENT_BYTES = 24 * MIB
"""Memory after which a file is finished too: rows may be long, or hold very many answers."""
_OBJECT_BYTES = 200
"""What an object of a row takes at least: it may be of two characters."""
_SHARED_BYTES = 4 * MIB
"""Rows of a page that take more together are written one by one."""
_SHORT_BYTES = 128 * 1024
"""Up to here, buffers for a line are no larger than for any other."""
_NAME = re.compile(r"[0-9a-f]{32}")
_LOCK_SUFFIX = ".lock"


@contextmanager
def spool_folder(database: Path) -> Iterator[Path]:
    """Make a folder beside the database, and delete it (and what killed runs left) at the end.

    Beside the database, because that disk has room for the rows; a temporary folder may be memory.
    """
    root = database.with_name(f".{database.name}.spool")
    try:
        make_private_folder(root)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise HotjarStoreError(
            f"{root}, where rows wait to be stored, cannot be made ({error.strerror}); set "
            "HOTJAR_DATABASE to a path in a folder that can be written to"
        ) from error
    try:
        # From here on, a folder that is put into its place is not the one that is deleted from.
        check_private(root, os.fstat(descriptor))
        for name in os.listdir(descriptor):  # noqa: PTH208 - of the folder that was checked
            if name.endswith(_LOCK_SUFFIX):
                _delete(name.removesuffix(_LOCK_SUFFIX), root, descriptor)
        name = uuid4().hex
        try:
            with _lock(root / name):
                (root / name).mkdir(mode=0o700)
                yield root / name
        finally:
            _delete(name, root, descriptor)
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, timeout: float = -1) -> FileLock:
    return FileLock(f"{folder}{_LOCK_SUFFIX}", timeout=timeout, mode=0o600)


def _delete(name: str, root: Path, descriptor: int) -> None:
    """Delete a folder of the spool and its lock, unless a living process holds it.

    Args:
        name: The folder; one that is not named as ours are is left alone.
        root: The spool.
        descriptor: The spool, opened.
    """
    lock_name = f"{name}{_LOCK_SUFFIX}"
    if not _NAME.fullmatch(name) or not _is_plain_file(lock_name, descriptor):
        return
    try:
        with _lock(root / name, timeout=0):
            shutil.rmtree(name, ignore_errors=True, dir_fd=descriptor)
            with suppress(FileNotFoundError):
                os.unlink(lock_name, dir_fd=descriptor)
    except Timeout:
        return


def _is_plain_file(name: str, folder: int) -> bool:
    """Tell whether a folder has a file of this name that is no link and has no other name."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


@dataclass(frozen=True)
class Segment:
    """A file of rows as JSON lines, in the order read.

    Attributes:
        path: The file.
        rows: Its lines.
        longest: No line is longer than this, in bytes.
        has_duplicates: Whether a row may stand in it twice; the one with the higher ordinal is the
            later one.
        unit: The unit all its rows belong to; empty where that is not known.
        bytes: About how much memory it takes.
    """

    path: Path
    rows: int
    longest: int
    has_duplicates: bool
    unit: str = ""
    bytes: int = 0


def longest_line(lines: bytes) -> int:
    """Return a length, in bytes, that no line exceeds: near it where the lines are many."""
    if len(lines) <= _SHORT_BYTES:
        return len(lines)
    return max(map(len, lines.split(b"\n"))) + 1


def _memory_of(lines: bytes) -> int:
    return max(len(lines), _OBJECT_BYTES * lines.count(b"{"))


class SpoolWriter:
    """Writes the rows of one walk, a file for every `SEGMENT_ROWS`.

    Args:
        folder: Where the files are made.
        unit: The unit that is walked through.
        segment_bytes: Memory after which a file is finished.
    """

    def __init__(self, folder: Path, unit: str = "", *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._unit = unit
        self._file: BinaryIO | None = None
        self._ids: set[str] = set()
        self._rows = self._longest = self._bytes = 0
        self.segments: list[Segment] = []
        self.ordinal = 0
        """Rows written so far; a line carries its own, so that the later of two is known."""

    def append(self, lines: bytes, rows: int, ids: Collection[str] = ()) -> None:
        """Append one page.

        Args:
            lines: Its rows as JSON lines.
            rows: How many.
            ids: Their ids; none where they are not known, and any may stand twice.

        Raises:
            HotjarLimitError: A line is longer than can be stored.
        """
        if not rows:
            return
        self.ordinal += rows
        self._rows += rows
        self._ids.update(ids)
        self._longest = max(self._longest, longest_line(lines))
        if self._longest > MAX_RECORD_BYTES:
            raise too_long(f"row after row {self.ordinal - rows}")
        self._bytes += _memory_of(lines)
        if self._file is None:
            path = self._folder / f"{uuid4().hex}.jsonl"
            self._file = open(path, "xb", opener=new_file)  # noqa: SIM115 - closed in `close`
        self._file.write(lines)
        if self._rows >= SEGMENT_ROWS or self._bytes >= self._segment_bytes:
            self.close()

    def close(self) -> None:
        """Finish the segment that is being written."""
        if self._file is None:
            return
        with self._file as file:
            path = Path(file.name)
        has_duplicates = len(self._ids) < self._rows
        self.segments.append(
            Segment(path, self._rows, self._longest, has_duplicates, self._unit, self._bytes)
        )
        self._file, self._ids = None, set()
        self._rows = self._longest = self._bytes = 0

    def discard(self) -> None:
        """Delete what was written: a part of a walk must never be stored."""
        self.close()
        for segment in self.segments:
            segment.path.unlink(missing_ok=True)
        self.segments = []


class ResponseSpool(SpoolWriter):
    """Writes the responses of one survey."""

    def __init__(self, folder: Path, survey_id: str) -> None:
        super().__init__(folder, survey_id)
        self._last_page: set[str] = set()
        self.has_overlap = False
        """Whether a row came again on a later page of the same segment or on the next page."""

    def write(self, rows: list[Response]) -> None:
        """Append one page."""
        if not rows:
            return
        page = {str(row.id) for row in rows}
        self.has_overlap |= not (self._ids.isdisjoint(page) and self._last_page.isdisjoint(page))
        self._last_page = page
        for ordinal, row in enumerate(rows, self.ordinal):
            row.ordinal = ordinal
        lines = encode_lines(rows)
        if _memory_of(lines) <= _SHARED_BYTES:
            self.append(lines, len(rows), page)
            return
        del lines
        for row in rows:
            self.append(encode_lines([row]), 1, {str(row.id)})
