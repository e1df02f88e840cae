"""The file that Insights exports: one wide CSV, or a ZIP of them, and its rows as responses.

    Number,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,plan,"How …?"
    2,,2026-01-31 09:05:00,MT,https://…,desktop,Chrome,Linux,5f0c…,pro,9

Which column is what: the first of each standard name is that; of the others, those whose text is a
question's belong to that question, equal texts in order and counted from the right, since questions
stand last; what stands before the first question is an attribute of the user; whatever is left,
and `User`, goes to `extra` by its header. An empty cell says nothing.

Here is no request and no database: the file may come from a download or from somebody's disk.

Source: the open-source client tap-hotjar (read 2026-11-20). The form of `Country` and of an answer
of several choices is not documented; both are kept as they come. `Date Submitted` has no zone and
is taken as UTC.
"""

import csv
import io
import lzma
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, ClassVar
from zipfile import BadZipFile, ZipFile, ZipInfo

from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.records import Answer, Page, Question, Response, UserAttribute
from hotjar_assets.errors import HotjarSchemaError

PAGE_ROWS = 500
MAX_UNPACKED_BYTES = 8 * 1024**3
MAX_CELL_LENGTH = 4 * 1024**2
_MAX_LINE_LENGTH = 2 * MAX_CELL_LENGTH

NUMBER, SUBMITTED, USER = "number", "date submitted", "user"
_FIELDS = {
    "country": "country",
    "source url": "response_origin_url",
    "device": "device",
    "browser": "browser",
    "os": "os",
    "hotjar user id": "hotjar_user_id",
}
"""Standard columns that are a field of a response, in lower case."""
_STANDARD = {NUMBER, SUBMITTED, USER, *_FIELDS}
_DEVICES = {"desktop", "mobile", "tablet"}
_ZIP_SIGNATURES = {b"PK\x03\x04", b"PK\x05\x06"}
_ENCRYPTED = 0x1


def iter_export_pages(
    file: IO[bytes],
    questions: Sequence[Question] | None,
    *,
    most_bytes: int = MAX_UNPACKED_BYTES,
) -> Iterator[Page[Response]]:
    """Yield the responses of an export in the order of the file, the whole file checked before.

    Args:
        file: The export, seekable; stays open.
        questions: The survey's questions, in order; None if they are not known: then every column
            that is not standard is one, with its text as its id (a repeated one with " (2)").
        most_bytes: The most that it may be unpacked.

    Yields:
        Pages of up to `PAGE_ROWS`; one without rows if there are none. Each says whether the whole
        file is newest first.

    Raises:
        HotjarSchemaError: Not an export, damaged, encrypted, too large, or a row without `Number`
            or a usable `Date Submitted`; names line and column and never a value.
    """
    submitted = (created for _, created in _dated_rows(file, most_bytes))
    is_unsorted = any(earlier < later for earlier, later in pairwise(submitted))
    responses = _iter_responses(file, questions, most_bytes)
    rows, read = list(islice(responses, PAGE_ROWS)), 0
    while True:
        read += len(rows)
        following = list(islice(responses, PAGE_ROWS))
        yield Page(rows, str(read) if following else None, {}, is_unsorted=is_unsorted)
        if not following:
            return
        rows = following


def _iter_responses(
    file: IO[bytes], questions: Sequence[Question] | None, most_bytes: int
) -> Iterator[Response]:
    layout: _Layout | None = None
    for row, created in _dated_rows(file, most_bytes):
        if layout is None or layout.header is not row.header:
            layout = _Layout.of(row.header, questions)
        yield layout.response(row.cells, created)


# --- Rows of text ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    header: list[str]
    cells: list[str]


def _dated_rows(file: IO[bytes], most_bytes: int) -> Iterator[tuple[_Row, datetime]]:
    """Yield rows whose `Number` is there, each with its date."""
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


def _rows_of_csv(file: io.RawIOBase, place: str) -> Iterator[tuple[_Row, datetime]]:
    records = _records(file, place)
    _, header = next(records, (0, []))
    names = [_plain(name).lower() for name in header]
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
        if not cells[number].strip():
            raise HotjarSchemaError(f"{where}, column Number", "is empty")
        created = _instant(cells[submitted])
        if created is None:
            raise HotjarSchemaError(f"{where}, column Date Submitted", "is no date")
        yield _Row(header, cells), created


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


# --- Columns -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Which column is what; pairs of (name or id, column)."""

    header: list[str]
    number: int
    fields: list[tuple[str, int]] = field(default_factory=list)
    attributes: list[tuple[str, int]] = field(default_factory=list)
    answers: list[tuple[Any, int]] = field(default_factory=list)
    extra: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, header: list[str], questions: Sequence[Question] | None) -> "_Layout":
        standard: dict[str, int] = {}
        others = []
        for column, text in enumerate(header):
            name = _plain(text).lower()
            if name in _STANDARD and name not in standard:
                standard[name] = column
            else:
                others.append(column)
        if questions is None:
            answers = list(_named(header, others))
        else:
            answers = _answers(header, others, questions)
        asked = {column for _, column in answers}
        first = min(asked, default=0)
        attributes = [(header[column], column) for column in others if column < first]
        unknown = [column for column in others if column > first and column not in asked]
        if not asked:
            # Nothing tells attributes from questions that are no longer asked.
            unknown = others
        user = [standard[USER]] if USER in standard else []
        return cls(
            header,
            standard[NUMBER],
            [(_FIELDS[name], column) for name, column in standard.items() if name in _FIELDS],
            attributes,
            answers,
            list(_named(header, [*user, *unknown])),
        )

    def response(self, cells: list[str], created: datetime) -> Response:
        fields: dict[str, Any] = {name: cells[column] or None for name, column in self.fields}
        if (fields.get("device") or "").lower() in _DEVICES:
            fields["device"] = fields["device"].lower()
        return Response(
            id=cells[self.number].strip(),
            created_time=created,
            user_attributes=[
                UserAttribute(name=name, value=cells[column])
                for name, column in self.attributes
                if cells[column]
            ],
            answers=[
                Answer(question_id=question_id, answer=cells[column])
                for question_id, column in self.answers
                if cells[column]
            ],
            extra={name: cells[column] for name, column in self.extra if cells[column]} or None,
            **fields,
        )


def _answers(
    header: Sequence[str], columns: Iterable[int], questions: Sequence[Question]
) -> list[tuple[Any, int]]:
    """Pair questions with the columns of their text."""
    asked: dict[str, list[Question]] = {}
    for question in questions:
        if question.text is not None:
            asked.setdefault(_plain(str(question.text)), []).append(question)
    found: dict[str, list[int]] = {}
    for column in columns:
        found.setdefault(_plain(header[column]), []).append(column)
    pairs = [
        (question.text if question.id is None else question.id, column)
        for text, same in asked.items()
        for question, column in zip(same, found.get(text, [])[-len(same) :], strict=False)
    ]
    return sorted(pairs, key=lambda pair: pair[1])


def _named(header: Sequence[str], columns: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Name columns by their header, a repeated one with its count."""
    seen: dict[str, int] = {}
    for column in columns:
        name = header[column].strip() or f"column {column + 1}"
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), column


def _plain(text: str) -> str:
    """Return a text without what two ways of writing it may differ in."""
    return " ".join(unicodedata.normalize("NFC", text).split())


# --- A file as a source ------------------------------------------------------------------------


@dataclass(frozen=True)
class ExportFile:
    """An export of one survey on this disk, as a source of its responses; nothing is requested.

    Attributes:
        path: The file.
        site_ids: The site the survey is on.
        questions: The survey's questions; None if they are not known.
        account: `real` or `sandbox`: whose rows these are said to be.
    """

    path: Path
    site_ids: tuple[str, ...]
    questions: Sequence[Question] | None
    account: str
    name: ClassVar[str] = "insights"
    is_filtered: ClassVar[bool] = True
    """Nobody knows which responses were exported."""

    def find_site(self, *_survey: object, **_options: object) -> str:
        """Return the site that was given."""
        return self.site_ids[0]

    def iter_response_pages(
        self, site_id: str, survey_id: str, **_options: object
    ) -> Iterator[Page[Response]]:
        """Yield the responses of the file; errors as in `iter_export_pages`."""
        with self.path.open("rb") as file:
            for page in iter_export_pages(file, self.questions):
                for response in page.results:
                    response.site_id, response.survey_id = site_id, survey_id
                    response.platform = HOTJAR.platform
                yield page

    def resume(self) -> None:
        """Do nothing, as nobody waits."""

    def cancel(self) -> None:
        """Do nothing, as nobody waits."""
