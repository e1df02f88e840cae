"""The rows of text in an export: out of one CSV, or a ZIP of them, each checked to be a row of one.

Nothing here knows what the columns mean, but for the two without which a row is no response.
"""

import csv
import io
import lzma
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from hotjar_assets.errors import HotjarSchemaError

MAX_UNPACKED_BYTES = 8 * 1024**3
MAX_CELL_LENGTH = 4 * 1024**2
_MAX_LINE_LENGTH = 2 * MAX_CELL_LENGTH

NUMBER, SUBMITTED = "number", "date submitted"
_ZIP_SIGNATURES = {b"PK\x03\x04", b"PK\x05\x06"}
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Row:
    """One row below a header.

    Attributes:
        header: The header, the same list for all rows of a file.
        cells: Its cells, as many as the header has.
        number: What stands under `Number`.
        created: What stands under `Date Submitted`.
        place: File and line, for an error.
    """

    header: list[str]
    cells: list[str]
    number: str
    created: datetime
    place: str

    @property
    def rank(self) -> tuple[int, str]:
        """Where its number stands among others, the number of 9 before that of 10."""
        return len(self.number), self.number


def iter_rows(file: IO[bytes], most_bytes: int) -> Iterator[Row]:
    """Yield the rows, whose `Number` and date are there.

    Raises:
        HotjarSchemaError: The file is damaged, encrypted, too large, or no export; says where.
    """
    file.seek(0)
    is_zip = file.read(4) in _ZIP_SIGNATURES
    file.seek(0)
    if not is_zip:
        yield from _rows_of_csv(_Bounded(file, _Budget(most_bytes)), "")
        return
    budget = _Budget(most_bytes)
    with _damage(), ZipFile(file) as archive:
        members = [info for info in archive.infolist() if not _is_litter(info)]
        if not members:
            raise HotjarSchemaError("ZIP", "holds no CSV")
        for number, info in enumerate(members, start=1):
            place = f"file {number} of the ZIP"
            if info.flag_bits & _ENCRYPTED:
                raise HotjarSchemaError(place, "is encrypted; unpack it and import the CSV")
            if not info.filename.lower().endswith(".csv"):
                raise HotjarSchemaError(place, "is no CSV")
            with archive.open(info) as member:
                yield from _rows_of_csv(_Bounded(member, budget), f"{place}, ")


@contextmanager
def _damage() -> Iterator[None]:
    """Say in our words what the readers of ZIP files raise, at any time, for a damaged one."""
    try:
        yield
    except (
        BadZipFile,
        NotImplementedError,
        EOFError,
        OSError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        what = f"is damaged, or packed in an unknown way ({type(error).__name__})"
        raise HotjarSchemaError("ZIP", what) from None


def _is_litter(info: ZipInfo) -> bool:
    """Tell whether a member is a folder, or what a Mac adds to a ZIP."""
    name = info.filename
    return info.is_dir() or name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


@dataclass
class _Budget:
    left: int


class _Bounded(io.RawIOBase):
    """Reads a file that it does not own, and no more of it than a budget for several allows."""

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        super().__init__()
        self._file = file
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        self._budget.left -= len(chunk)
        if self._budget.left < 0:
            raise HotjarSchemaError("export", "is larger than this program unpacks")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _rows_of_csv(file: io.RawIOBase, place: str) -> Iterator[Row]:
    records = _records(file, place)
    _, header = next(records, (0, []))
    names = [plain(name).lower() for name in header]
    for name in (NUMBER, SUBMITTED):
        if name not in names:
            problem = (
                f"there is no column {name.title()}; it must be the CSV as Hotjar exports it, "
                "separated by commas"
            )
            raise HotjarSchemaError(f"{place}line 1", problem)
    number, submitted = names.index(NUMBER), names.index(SUBMITTED)
    for line, cells in records:
        where = f"{place}line {line}"
        if len(cells) != len(header):
            problem = f"{len(cells)} cells, and the header has {len(header)}"
            raise HotjarSchemaError(where, problem)
        name = cells[number].strip()
        if not name:
            raise HotjarSchemaError(f"{where}, column Number", "is empty")
        created = _instant(cells[submitted])
        if created is None:
            raise HotjarSchemaError(f"{where}, column Date Submitted", "is no date")
        yield Row(header, cells, name, created, where)


def _records(file: io.RawIOBase, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, cells) of each row that is not blank."""
    # The limit is one for the whole process; a respondent may well write more than the default.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_LENGTH))
    text = io.TextIOWrapper(io.BufferedReader(file), encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(text, place), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error:
        raise HotjarSchemaError(f"{place}line {line}", "is no well-formed CSV") from None
    except UnicodeDecodeError:
        problem = "is no UTF-8 text; take the file as Hotjar exports it, not as a spreadsheet saves"
        raise HotjarSchemaError(f"{place}from line {line} on", problem) from None


def _lines(text: io.TextIOWrapper, place: str) -> Iterator[str]:
    number = 0
    while line := text.readline(_MAX_LINE_LENGTH):
        number += 1
        if len(line) == _MAX_LINE_LENGTH:
            raise HotjarSchemaError(f"{place}line {number}", "is too long to be one of an export")
        # No text column can hold it.
        yield line.replace("\x00", "\ufffd")


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix("UTC").rstrip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_rows(file: IO[bytes], most_bytes: int) -> bool:
    """Read the whole file and tell whether it is not newest first.

    Raises:
        HotjarSchemaError: As of `iter_rows`, or two rows of one `Number` differ.
    """
    is_unsorted = is_rising = is_falling = False
    for earlier, later in pairwise(iter_rows(file, most_bytes)):
        is_unsorted |= earlier.created < later.created
        # Any order would do: what only rises, or only falls, holds nothing twice.
        is_rising |= earlier.rank <= later.rank
        is_falling |= earlier.rank >= later.rank
    if is_rising and is_falling:
        seen: dict[str, int] = {}
        for row in iter_rows(file, most_bytes):
            digest = hash(tuple(row.cells))
            if seen.setdefault(row.number, digest) != digest:
                problem = "is that of an earlier row, which differs; one of the two would be lost"
                raise HotjarSchemaError(f"{row.place}, column Number", problem)
    return is_unsorted


def plain(text: str) -> str:
    """Return a text without what two ways of writing it may differ in."""
    return " ".join(unicodedata.normalize("NFC", text).split())
