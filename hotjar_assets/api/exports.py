"""The file that Insights exports: one wide CSV, or a ZIP of them, and its rows as responses.

    Number,User,Date Submitted,…,Hotjar User ID,Response URL,plan,"How …?","Tags for: How …?"
    2,,2026-01-31 09:05:00,…,5f0c…,https://…,pro,9,"price, speed"

Which column is what: the first of each standard name is that; of the others, those whose text is a
question's belong to that question, equal texts in order and counted from the right, since questions
stand last; so do those that a column `Tags for:` names, which may be of a question that was edited
or removed: its text is its id. A column `Tags for:` is never a question itself, unless a known one
is called so. What stands before the first question is an attribute of the user,
but for a text that looks like a question, and for columns in the place of questions whose text is
missing: those were edited or removed; whatever is left, `User` and `Response URL` go to `extra` by
their header. An empty cell says nothing. A cell of
several choices becomes an answer for each, as in the API, where it can be read in one way only (see
`choices`); the tags are those of the first.

Here is no request and no database: the file may come from a download or from somebody's disk. How
it is unpacked and read is in `export_rows`.

Source: the open-source client tap-hotjar and the headers of public exports (read 2026-11-20). The
form of `Country` is not documented and kept as it comes. `Date Submitted` has no zone and is taken
as UTC. How several tags in a cell are separated was not seen: commas are taken for it.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, ClassVar

from hotjar_assets.api.choices import Choices
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.export_rows import (
    NUMBER,
    SUBMITTED,
    Row,
    check_rows,
    iter_headers,
    iter_rows,
    plain,
)
from hotjar_assets.api.limits import DEFAULT_LIMITS, Limits
from hotjar_assets.api.records import Answer, Page, Question, Response, Tag, UserAttribute
from hotjar_assets.errors import HotjarConfigError, HotjarSchemaError

PAGE_ROWS = 500
_PAGE_CHARACTERS = 4 * 1024**2
"""Characters after which a page ends too: rows may be long."""
USER = "user"
RESPONSE_URL = "response url"
_FIELDS = {
    "country": "country",
    "source url": "response_origin_url",
    "device": "device",
    "browser": "browser",
    "os": "os",
    "hotjar user id": "hotjar_user_id",
}
"""Standard columns that are a field of a response, in lower case."""
_STANDARD = {NUMBER, SUBMITTED, USER, RESPONSE_URL, *_FIELDS}
_DEVICES = {"desktop": "desktop", "mobile": "mobile", "phone": "mobile", "tablet": "tablet"}
"""As exports write them, in lower case, and as the API does."""
_UNKNOWN_USER = "00000000-0000-0000-0000-000000000000"
"""Stands for every visitor who was not identified."""
_TAGS_FOR = re.compile(r"tags for: *", re.IGNORECASE)
_IN_QUESTIONS = frozenset("?\u037e\u055e\u061f\u1367\uff1f\n\r")
_SHORTEST_QUESTION, _LONGEST_ATTRIBUTE = 13, 50
"""Characters: a shorter text with a question mark may be an attribute, a longer name is none."""
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
            usable `Date Submitted`, two rows of one `Number` that differ, or files of a ZIP that
            are not of one survey; names file, line and column and never a value.
    """
    _refuse_two_surveys(file, questions, limits)
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


def _refuse_two_surveys(
    file: IO[bytes], questions: Sequence[Question] | None, limits: Limits
) -> None:
    """Refuse a ZIP of files whose questions differ: rows of one survey would hide another's."""
    first, asked = "", None
    for name, header in iter_headers(file, limits):
        found = {question for question, *_ in _Layout.of(header, questions).answers}
        if asked is None:
            first, asked = name, found
        elif found != asked:
            problem = (
                f"{_shown(first)} and {_shown(name)} have different questions, so they are not of "
                "one survey; import each with its own --survey"
            )
            raise HotjarSchemaError("ZIP", problem)


def _shown(name: str) -> str:
    return textwrap.shorten(name.rpartition("/")[2], 100, placeholder="…")


# --- Columns -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Which column is what: (name or id, column); of a question its choices and tags as well."""

    header: list[str]
    fields: list[tuple[str, int]] = field(default_factory=list)
    attributes: list[tuple[str, int]] = field(default_factory=list)
    answers: list[tuple[Any, int, Choices, int | None]] = field(default_factory=list)
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
        known = _answers(header, others, questions or ())
        taken = {column for _, column, _ in known}
        of_tags = {
            each for each in others if each not in taken and _tagged(header[each]) is not None
        }
        others = [column for column in others if column not in of_tags]
        tags = _tags(header, of_tags, others)
        unknown = [column for column in others if column not in taken]
        first = min(tags.keys() | taken, default=0)
        before = [each for each in unknown if each < first]
        edited = _edited(header, others, questions or ())
        # Of a question that was edited, the column may be known from that of its tags.
        edited -= sum(each < min(taken, default=len(header)) for each in tags.keys() - taken)
        before = before[: len(before) - min(len(before), max(0, edited))]
        attributes = [(header[each], each) for each in before if _may_be_attribute(header[each])]
        asked = tags.keys() - taken
        if questions is None:
            asked |= set(unknown) - {column for _, column in attributes}
        by_text = _named(header, [column for column in unknown if column in asked])
        answers = sorted(
            [*known, *((name, column, Choices()) for name, column in by_text)],
            key=lambda answer: answer[1],
        )
        apart = asked | {column for _, column in attributes}
        plain_extra = [standard[name] for name in (USER, RESPONSE_URL) if name in standard]
        plain_extra += sorted(of_tags - set(tags.values()))
        return cls(
            header,
            [(_FIELDS[name], column) for name, column in standard.items() if name in _FIELDS],
            attributes,
            [(*answer, tags.get(answer[1])) for answer in answers],
            list(_named(header, [*plain_extra, *(each for each in unknown if each not in apart)])),
        )

    def response(self, row: Row) -> Response:
        cells = row.cells
        fields: dict[str, Any] = {name: cells[column] or None for name, column in self.fields}
        device = (fields.get("device") or "").strip()
        if device:
            fields["device"] = _DEVICES.get(device.lower(), fields["device"])
        if (fields.get("hotjar_user_id") or "").strip() == _UNKNOWN_USER:
            fields["hotjar_user_id"] = None
        return Response(
            id=row.number,
            created_time=row.created,
            user_attributes=[
                UserAttribute(name=name, value=cells[column])
                for name, column in self.attributes
                if cells[column]
            ],
            answers=[
                answer
                for question_id, column, choices, tags in self.answers
                for answer in _answers_in(
                    question_id, cells[column], choices, "" if tags is None else cells[tags]
                )
            ],
            extra={name: cells[column] for name, column in self.extra if cells[column]} or None,
            **fields,
        )


def _answers_in(question_id: Any, cell: str, choices: Choices, tags: str) -> list[Answer]:
    """Return the answers of a cell; tags without an answer are kept."""
    names = [Tag(name=name) for name in dict.fromkeys(map(str.strip, tags.split(","))) if name]
    given: tuple[str | None, ...] = choices.named_in(cell) if cell else (None,) if names else ()
    answers = [Answer(question_id=question_id, answer=answer) for answer in given]
    if names:
        answers[0].tags = names
    return answers


def _tagged(text: str) -> str | None:
    """Return the text of the question whose tags a column holds; None if it holds no tags."""
    named = _TAGS_FOR.match(plain(text))
    return plain(text)[named.end() :] if named else None


def _tags(
    header: Sequence[str], candidates: Iterable[int], others: Iterable[int]
) -> dict[int, int]:
    """Map columns of questions to those of their tags; equal texts as in `_answers`."""
    tags: dict[str, list[int]] = {}
    for column in sorted(candidates):
        tags.setdefault(_tagged(header[column]) or "", []).append(column)
    found: dict[str, list[int]] = {}
    for column in others:
        found.setdefault(plain(header[column]), []).append(column)
    return {
        column: of_it
        for text, same in tags.items()
        for column, of_it in zip(found.get(text, [])[-len(same) :], same, strict=False)
    }


def _may_be_attribute(text: str) -> bool:
    """Tell whether a header may be the name of an attribute, and not the text of a question."""
    is_question = len(text) >= _SHORTEST_QUESTION and not _IN_QUESTIONS.isdisjoint(text)
    return len(text) <= _LONGEST_ATTRIBUTE and not is_question


def _edited(header: Sequence[str], columns: Iterable[int], questions: Sequence[Question]) -> int:
    """Count the questions before the first that has a column: they may have had another text."""
    texts = {plain(header[column]) for column in columns}
    asked = (text for text, _ in _with_text(questions))
    return len(list(takewhile(lambda text: text not in texts, asked)))


def _with_text(questions: Iterable[Question]) -> Iterator[tuple[str, Question]]:
    """Yield the questions that may have a column, each with its text."""
    for question in questions:
        if question.text is not None and question.type not in _SILENT_TYPES:
            yield plain(str(question.text)), question


def _answers(
    header: Sequence[str], columns: Iterable[int], questions: Sequence[Question]
) -> list[tuple[Any, int, Choices]]:
    """Pair questions with the columns of their text."""
    asked: dict[str, list[Question]] = {}
    for text, question in _with_text(questions):
        asked.setdefault(text, []).append(question)
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

_FILE_NAME = re.compile(
    r"hotjar_survey_response_export_[^_/]+_(?P<site>[^_/]+)_(?P<survey>[^_/.]+)"
)


_RENAME = "import it as that, or rename the file if its name is wrong"


def named_otherwise(file_name: str, *, site_id: str, survey_id: str) -> str | None:
    """Return what the name that Hotjar gives an export says instead of this site or survey.

    `hotjar_survey_response_export_<hash>_<site>_<survey>_<name>.csv`. None if it agrees, or is
    another name.
    """
    named = _FILE_NAME.match(file_name.rpartition("/")[2])
    if named is None or (named["site"], named["survey"]) == (site_id, survey_id):
        return None
    return f"survey {named['survey']} of site {named['site']}"


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

    def check_name(self, survey_id: str) -> None:
        """Make sure that the name of the file does not say another site or survey.

        Raises:
            HotjarConfigError: It does.
        """
        (site_id,) = self.site_ids
        other = named_otherwise(self.path.name, site_id=site_id, survey_id=survey_id)
        if other:
            problem = f"is {survey_id}, on site {site_id}, and the file is named as one of {other}"
            raise HotjarConfigError("--survey", f"{problem}; {_RENAME}")

    def find_site(self, *_survey: object, **_options: object) -> str:
        """Return the site that was given."""
        return self.site_ids[0]

    def iter_response_pages(
        self, site_id: str, survey_id: str, **_options: object
    ) -> Iterator[Page[Response]]:
        """Yield the responses of the file; errors as in `iter_export_pages`.

        Raises:
            HotjarSchemaError: A file of the ZIP is named as the export of another survey, too.
        """
        with self.path.open("rb") as file:
            for name, _ in iter_headers(file, self.limits):
                other = named_otherwise(name, site_id=site_id, survey_id=survey_id)
                if other:
                    raise HotjarSchemaError("ZIP", f"{_shown(name)} is of {other}; {_RENAME}")
            for page in iter_export_pages(file, self.questions, limits=self.limits):
                for response in page.results:
                    response.site_id, response.survey_id = site_id, survey_id
                    response.platform = self.platform
                yield page

    def resume(self) -> None:
        """Do nothing, as nobody waits."""

    def cancel(self) -> None:
        """Do nothing, as nobody waits."""
