"""The file that Insights exports: one wide CSV, or a ZIP of them, and its rows as responses.

    Number,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,plan,"How …?"
    2,,2026-01-31 09:05:00,MT,https://…,desktop,Chrome,Linux,5f0c…,pro,9

Which column is what: the first of each standard name is that; of the others, those whose text is a
question's belong to that question, equal texts in order and counted from the right, since questions
stand last; what stands before the first question is an attribute of the user; whatever is left,
and `User`, goes to `extra` by its header. An empty cell says nothing. A cell of several choices
becomes an answer for each, as in the API, where it can be read in one way only (see `choices`).

Here is no request and no database: the file may come from a download or from somebody's disk. How
it is unpacked and read is in `export_rows`.

Source: the open-source client tap-hotjar (read 2026-11-20). The form of `Country` is not documented
and kept as it comes. `Date Submitted` has no zone and is taken as UTC.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

from hotjar_assets.api.choices import Choices
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.export_rows import (
    NUMBER,
    SUBMITTED,
    Row,
    check_rows,
    iter_rows,
    plain,
)
from hotjar_assets.api.limits import DEFAULT_LIMITS, Limits
from hotjar_assets.api.records import Answer, Page, Question, Response, UserAttribute

PAGE_ROWS = 500
_PAGE_CHARACTERS = 4 * 1024**2
"""Characters after which a page ends too: rows may be long."""
USER = "user"
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
_SILENT_TYPES = {"statement", "thank-you"}
"""Questions that nobody answers."""


def iter_export_pages(
    file: IO[bytes],
    questions: Sequence[Question] | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Page[Response]]:
    """Yield the responses of an export in the order of the file, the whole file checked before.

    Args:
        file: The export, seekable; stays open.
        questions: The survey's questions, in order; None if they are not known: then every column
            that is not standard is one, with its text as its id (a repeated one with " (2)").
        limits: How large it may be.

    Yields:
        Pages of up to `PAGE_ROWS`; one without rows if there are none. Each says whether the whole
        file is newest first.

    Raises:
        HotjarSchemaError: Not an export, damaged, encrypted, too large, a row without `Number` or a
            usable `Date Submitted`, or two rows of one `Number` that differ; names line and column
            and never a value.
    """
    is_unsorted = check_rows(file, limits)
    parts = _iter_parts(file, questions, limits)
    rows, read = next(parts, []), 0
    while True:
        read += len(rows)
        following = next(parts, [])
        yield Page(rows, str(read) if following else None, {}, is_unsorted=is_unsorted)
        if not following:
            return
        rows = following


def _iter_parts(
    file: IO[bytes], questions: Sequence[Question] | None, limits: Limits
) -> Iterator[list[Response]]:
    """Yield the responses, so many at once as a page may hold."""
    layout: _Layout | None = None
    part: list[Response] = []
    characters = 0
    for row in iter_rows(file, limits):
        if layout is None or layout.header is not row.header:
            layout = _Layout.of(row.header, questions)
        characters += sum(map(len, row.cells))
        if len(part) == PAGE_ROWS or (part and characters > _PAGE_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(layout.response(row))
    if part:
        yield part


# --- Columns -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Which column is what: (name or id, column), of a question with its choices."""

    header: list[str]
    fields: list[tuple[str, int]] = field(default_factory=list)
    attributes: list[tuple[str, int]] = field(default_factory=list)
    answers: list[tuple[Any, int, Choices]] = field(default_factory=list)
    extra: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, header: list[str], questions: Sequence[Question] | None) -> "_Layout":
        standard: dict[str, int] = {}
        others = []
        for column, text in enumerate(header):
            name = plain(text).lower()
            if name in _STANDARD and name not in standard:
                standard[name] = column
            else:
                others.append(column)
        if questions is None:
            answers = [(name, column, Choices()) for name, column in _named(header, others)]
        else:
            answers = _answers(header, others, questions)
        asked = {column for _, column, _ in answers}
        first = min(asked, default=0)
        attributes = [(header[column], column) for column in others if column < first]
        unknown = [column for column in others if column > first and column not in asked]
        if not asked:
            # Nothing tells attributes from questions that are no longer asked.
            unknown = others
        user = [standard[USER]] if USER in standard else []
        return cls(
            header,
            [(_FIELDS[name], column) for name, column in standard.items() if name in _FIELDS],
            attributes,
            answers,
            list(_named(header, [*user, *unknown])),
        )

    def response(self, row: Row) -> Response:
        cells = row.cells
        fields: dict[str, Any] = {name: cells[column] or None for name, column in self.fields}
        if (fields.get("device") or "").lower() in _DEVICES:
            fields["device"] = fields["device"].lower()
        return Response(
            id=row.number,
            created_time=row.created,
            user_attributes=[
                UserAttribute(name=name, value=cells[column])
                for name, column in self.attributes
                if cells[column]
            ],
            answers=[
                Answer(question_id=question_id, answer=answer)
                for question_id, column, choices in self.answers
                if cells[column]
                for answer in choices.named_in(cells[column])
            ],
            extra={name: cells[column] for name, column in self.extra if cells[column]} or None,
            **fields,
        )


def _answers(
    header: Sequence[str], columns: Iterable[int], questions: Sequence[Question]
) -> list[tuple[Any, int, Choices]]:
    """Pair questions with the columns of their text."""
    asked: dict[str, list[Question]] = {}
    for question in questions:
        if question.text is not None and question.type not in _SILENT_TYPES:
            asked.setdefault(plain(str(question.text)), []).append(question)
    found: dict[str, list[int]] = {}
    for column in columns:
        found.setdefault(plain(header[column]), []).append(column)
    pairs = [
        (question.text if question.id is None else question.id, column, Choices.of(question))
        for text, same in asked.items()
        for question, column in zip(same, found.get(text, [])[-len(same) :], strict=False)
    ]
    return sorted(pairs, key=lambda pair: pair[1])


def _named(header: Sequence[str], columns: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Name columns by their header, a repeated one with its count."""
    taken: set[str] = set()
    for column in columns:
        name = text = header[column].strip() or f"column {column + 1}"
        times = 1
        while name in taken:
            times += 1
            name = f"{text} ({times})"
        taken.add(name)
        yield name, column


# --- A file as a source ------------------------------------------------------------------------


@dataclass(frozen=True)
class ExportFile:
    """An export of one survey on this disk, as a source of its responses; nothing is requested.

    Attributes:
        path: The file.
        site_ids: The site the survey is on.
        questions: The survey's questions; None if they are not known.
        account: `real` or `sandbox`: whose rows these are said to be.
        limits: How large it may be.
    """

    path: Path
    site_ids: tuple[str, ...]
    questions: Sequence[Question] | None
    account: str
    limits: Limits = DEFAULT_LIMITS
    name: ClassVar[str] = "insights"
    platform: ClassVar[str] = HOTJAR.platform
    is_newest_first: ClassVar[bool] = True
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
            for page in iter_export_pages(file, self.questions, limits=self.limits):
                for response in page.results:
                    response.site_id, response.survey_id = site_id, survey_id
                    response.platform = self.platform
                yield page

    def resume(self) -> None:
        """Do nothing, as nobody waits."""

    def cancel(self) -> None:
        """Do nothing, as nobody waits."""
