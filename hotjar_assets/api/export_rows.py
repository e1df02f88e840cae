"""The rows of text in an export: out of one CSV, or a ZIP of them, each checked to be a row of one.

Nothing here knows what the columns mean, but for the two without which a row is no response.
"""

import csv
import io
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from hotjar_assets.api.csv_rows import CsvReader
from hotjar_assets.api.limits import MAX_EXPORT, MIB, Limits, too_many_columns
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError

MAX_UNSORTED_ROWS = 2_000_000
"""Most rows of an export whose numbers neither only rise nor only fall."""
_ROWS_COMPARED = 250_000
"""Numbers that are remembered at once."""
_MAX_DIRECTORY_BYTES = MIB
"""Largest list of the files in a ZIP."""

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


def iter_rows(file: IO[bytes], limits: Limits) -> Iterator[Row]:
    """Yield the rows, whose `Number` and date are there.

    Raises:
        HotjarSchemaError: The file is damaged, encrypted, too large, or no export; says where.
    """
    file.seek(0)
    is_zip = file.read(4) in _ZIP_SIGNATURES
    file.seek(0)
    if not is_zip:
        yield from _rows_of_csv(_Bounded(file, _Budget(limits)), "", limits)
        return
    budget = _Budget(limits)
    with _damage(), ZipFile(_Archive(file)) as archive:
        members = [info for info in archive.infolist() if not _is_litter(info)]
        if not members:
            raise HotjarSchemaError("ZIP", "holds no CSV")
        for number, info in enumerate(members, start=1):
            place = f"file {number} of the ZIP"
            if info.flag_bits & _ENCRYPTED:
                raise HotjarSchemaError(place, "is encrypted; unpack it and import the CSV")
            if not info.filename.lower().endswith(".csv"):
                raise HotjarSchemaError(place, "is not a CSV file")
            if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
                # Of the others, a few bytes may unpack to gigabytes at once.
                raise HotjarSchemaError(place, "is packed in an unusual way; unpack and import it")
            with archive.open(info) as member:
                yield from _rows_of_csv(_Bounded(member, budget), f"{place}, ", limits)


@contextmanager
def _damage() -> Iterator[None]:
    """Say in our words what the readers of ZIP files raise, at any time, for a damaged one."""
    try:
        yield
    except (BadZipFile, NotImplementedError, EOFError, OSError, zlib.error) as error:
        what = f"is damaged, or packed in an unknown way ({type(error).__name__})"
        raise HotjarSchemaError("ZIP", what) from None


def _is_litter(info: ZipInfo) -> bool:
    """Tell whether a member is a folder, or what a Mac adds to a ZIP."""
    name = info.filename
    return info.is_dir() or name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


class _Archive(io.BufferedIOBase):
    """Reads a ZIP that it does not own, and at most so much at once: the list of its files."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(_MAX_DIRECTORY_BYTES + 1 if size is None or size < 0 else size)
        if len(data) > _MAX_DIRECTORY_BYTES:
            limit = f"a list of them of {_MAX_DIRECTORY_BYTES // MIB} MiB"
            raise HotjarLimitError("ZIP", "holds too many files", limit=limit)
        return data


class _Budget:
    """What is left of the bytes that all files of an export may have."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.export_bytes

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            limit = self._limits.export_mb
            problem = "is larger than this program unpacks"
            raise HotjarLimitError("export", problem, limit=limit, setting=MAX_EXPORT)


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
        self._budget.take(len(chunk))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _rows_of_csv(file: io.RawIOBase, place: str, limits: Limits) -> Iterator[Row]:
    records = _records(file, place)
    _, header = next(records, (0, []))
    if len(header) > limits.columns:
        raise too_many_columns(f"{place}line 1", len(header), limits.columns)
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
    text = io.TextIOWrapper(io.BufferedReader(file), encoding="utf-8-sig", newline="")
    reader = CsvReader(text, place=place)
    try:
        for cells in reader:
            yield reader.line, cells
    except csv.Error:
        raise HotjarSchemaError(f"{place}line {reader.line}", "is not a well-formed CSV") from None
    except UnicodeDecodeError:
        problem = "is no UTF-8 text; take the file as Hotjar exports it, not as a spreadsheet saves"
        raise HotjarSchemaError(f"{place}from line {reader.line} on", problem) from None


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix("UTC").rstrip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_rows(file: IO[bytes], limits: Limits) -> bool:
    """Read the whole file and tell whether it is not newest first.

    Raises:
        HotjarSchemaError: As of `iter_rows`, or two rows of one `Number` differ.
    """
    is_unsorted = is_rising = is_falling = False
    rows = 1
    for earlier, later in pairwise(iter_rows(file, limits)):
        rows += 1
        is_unsorted |= earlier.created < later.created
        # Any order would do: what only rises, or only falls, holds nothing twice.
        is_rising |= earlier.rank <= later.rank
        is_falling |= earlier.rank >= later.rank
    if is_rising and is_falling:
        if rows > MAX_UNSORTED_ROWS:
            problem = "has too many rows in no order of Number; sort it by Number"
            raise HotjarLimitError("export", problem, limit=f"{MAX_UNSORTED_ROWS} rows")
        # One part of the numbers after the other: all at once would need memory for all rows.
        parts = -(-rows // _ROWS_COMPARED)
        for part in range(parts):
            _refuse_repeated(file, limits, part, parts)
    return is_unsorted


def _refuse_repeated(file: IO[bytes], limits: Limits, part: int, parts: int) -> None:
    seen: dict[int, int] = {}
    for row in iter_rows(file, limits):
        number = hash(row.number)
        if number % parts == part:
            digest = hash(tuple(row.cells))
            if seen.setdefault(number, digest) != digest:
                problem = "is that of an earlier row, which differs; one of the two would be lost"
                raise HotjarSchemaError(f"{row.place}, column Number", problem)


def plain(text: str) -> str:
    """Return a text without what two ways of writing it may differ in."""
    return " ".join(unicodedata.normalize("NFC", text).split())
