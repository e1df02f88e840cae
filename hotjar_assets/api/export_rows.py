"""The rows of text in an export: out of one CSV, or a ZIP of them, each checked to be a row of one.

Nothing here knows what the columns mean, but for the two without which a row is no response.
"""

import csv
import io
import re
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
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
"""How an Excel workbook before .xlsx begins; a newer one is a ZIP with a folder `xl`."""
_WORKBOOK = "is an Excel workbook; export the responses from Hotjar as CSV and import that"
_SEPARATOR_LINE = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([^"\r\n])"?\r?\n', re.IGNORECASE)
"""A first line that tells Excel what separates cells."""


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
    for part in _iter_parts(file, limits):
        yield from _rows_of_csv(part, limits)


def iter_headers(file: IO[bytes], limits: Limits) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each CSV, empty for one that is no member of a ZIP, and its header.

    Raises:
        HotjarSchemaError: As of `iter_rows`.
    """
    for part in _iter_parts(file, limits):
        header, _ = _header_of(part, limits)
        yield part.name, header


@dataclass(frozen=True, slots=True)
class _Part:
    """One CSV of an export.

    Attributes:
        file: Its bytes.
        name: Its name in the ZIP.
        place: What errors call it, before the line.
    """

    file: "_Bounded"
    name: str = ""
    place: str = ""


def _iter_parts(file: IO[bytes], limits: Limits) -> Iterator[_Part]:
    """Yield the CSVs, each to be read before the next."""
    file.seek(0)
    signature = file.read(len(_OLD_WORKBOOK))
    file.seek(0)
    if signature == _OLD_WORKBOOK:
        raise HotjarSchemaError("export", _WORKBOOK)
    budget = _Budget(limits)
    if signature[:4] not in _ZIP_SIGNATURES:
        yield _Part(_Bounded(file, budget))
        return
    with _damage(), ZipFile(_Archive(file)) as archive:
        members = [info for info in archive.infolist() if not _is_litter(info)]
        if not members:
            raise HotjarSchemaError("ZIP", "holds no CSV")
        if any(info.filename.startswith("xl/") for info in members):
            raise HotjarSchemaError("export", _WORKBOOK)
        for number, info in enumerate(members, start=1):
            place = f"file {number} of the ZIP"
            if info.flag_bits & _ENCRYPTED:
                raise HotjarSchemaError(place, "is encrypted; unpack it and import the CSV")
            if info.filename.lower().endswith((".xlsx", ".xlsm", ".xls")):
                raise HotjarSchemaError(place, _WORKBOOK)
            if not info.filename.lower().endswith(".csv"):
                raise HotjarSchemaError(place, "is not a CSV file")
            if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
                # Of the others, a few bytes may unpack to gigabytes at once.
                raise HotjarSchemaError(place, "is packed in an unusual way; unpack and import it")
            with archive.open(info) as member:
                yield _Part(_Member(member, budget), info.filename, f"{place}, ")


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


class _Member(_Bounded):
    """Reads one file of a ZIP."""

    def readinto(self, buffer: Any) -> int:
        with _damage():
            return super().readinto(buffer)


def _header_of(part: _Part, limits: Limits) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its further records."""
    records = _records(part.file, part.place)
    line, header = next(records, (1, []))
    place = f"{part.place}line {line}"
    if len(header) > limits.columns:
        raise too_many_columns(place, len(header), limits.columns)
    names = [plain(name).lower() for name in header]
    for name in (NUMBER, SUBMITTED):
        if name not in names:
            problem = (
                f"there is no column {name.title()}; it must be the CSV as Hotjar exports it, "
                "separated by commas"
            )
            raise HotjarSchemaError(place, problem)
    return header, records


def _rows_of_csv(part: _Part, limits: Limits) -> Iterator[Row]:
    header, records = _header_of(part, limits)
    names = [plain(name).lower() for name in header]
    number, submitted = names.index(NUMBER), names.index(SUBMITTED)
    for line, record in records:
        if not any(cell.strip() for cell in record):
            continue
        where = f"{part.place}line {line}"
        cells = _as_wide_as(header, record)
        if cells is None:
            problem = f"{len(record)} cells, and the header has {len(header)}"
            raise HotjarSchemaError(where, problem)
        name = cells[number].strip()
        if not name:
            raise HotjarSchemaError(f"{where}, column Number", "is empty")
        created = _instant(cells[submitted])
        if created is None:
            raise HotjarSchemaError(f"{where}, column Date Submitted", "is no date")
        yield Row(header, cells, name, created, where)


def _as_wide_as(header: list[str], cells: list[str]) -> list[str] | None:
    """Return the cells, one for each column; None if a comma at the end is not all that differs."""
    width = len(header)
    if any(cells[width:]) or any(header[len(cells) :]):
        return None
    return [*cells[:width], *[""] * (width - len(cells))]


def _records(file: io.RawIOBase, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, cells) of each row that is not blank."""
    buffered, delimiter, skipped = io.BufferedReader(file), ",", 0
    told = _SEPARATOR_LINE.match(buffered.peek())
    if told:
        buffered.read(told.end())
        delimiter, skipped = told[1].decode("latin-1"), 1
    text = io.TextIOWrapper(buffered, encoding="utf-8-sig", newline="")
    reader = CsvReader(text, delimiter=delimiter, place=place)
    try:
        for cells in reader:
            yield reader.line + skipped, cells
    except csv.Error:
        where = f"{place}line {reader.line + skipped}"
        raise HotjarSchemaError(where, "is not a well-formed CSV") from None
    except UnicodeDecodeError:
        problem = "is no UTF-8 text; take the file as Hotjar exports it, not as a spreadsheet saves"
        where = f"{place}from line {reader.line + skipped} on"
        raise HotjarSchemaError(where, problem) from None


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
