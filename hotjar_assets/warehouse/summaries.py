"""What the answers of each survey add up to: the shapes; `counting` fills them.

What counts is what counts in the dbt models at their defaults: rows deleted in Hotjar are out,
incomplete responses are in, days are those of UTC, and an answer that is no number on its
question's scale is no score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple

from hotjar_assets.config import PiiMode

SCALES = {
    "nps": (0, 10),
    "rating-1-5": (1, 5),
    "rating-1-7": (1, 7),
    "reaction": (1, 5),
    "reaction-binary": (0, 1),
}
"""The least and the most that a question of each type can be answered with."""
REACTIONS = ("hate", "dislike", "neutral", "like", "love")
"""What 1 to 5 of a reaction are called."""
SATISFACTION_TYPES = ("rating-1-5", "rating-1-7")
TOP_BOXES = 2
"""How many of the best boxes of a rating count as satisfied."""
CHOICE_TYPES = ("single-option", "multiple-option")
TEXT_TYPES = ("short-text", "long-text")

PeriodName = Literal["day", "week", "month"]


class Nps(NamedTuple):
    """Answers from 0 to 10, and of them the promoters (9, 10) and the detractors (0 to 6)."""

    answers: int = 0
    promoters: int = 0
    detractors: int = 0


class Csat(NamedTuple):
    """Ratings that ask for satisfaction, and of them those in the best boxes."""

    answers: int = 0
    satisfied: int = 0


class Ces(NamedTuple):
    """Ratings that ask for effort, their sum and the sum of their squares."""

    answers: int = 0
    total: int = 0
    squares: int = 0


class Moods(NamedTuple):
    """Answers that Hotjar scored as positive, neutral and negative."""

    positive: int = 0
    neutral: int = 0
    negative: int = 0


class Counts(NamedTuple):
    """What scores are made of: those of a survey, of one of its periods, or of a question."""

    nps: Nps = Nps()
    csat: Csat = Csat()
    ces: Ces = Ces()
    moods: Moods = Moods()


@dataclass(frozen=True)
class Period:
    """A day, a week from Monday, or a month."""

    starts_on: date
    responses: int
    counts: Counts


@dataclass(frozen=True)
class Choice:
    """How often something was answered: a number of a scale, or a text.

    A text that the question does not offer is in somebody's own words.
    """

    answer: int | str
    answers: int
    is_offered: bool


@dataclass(frozen=True)
class Comment:
    """What somebody wrote, its first part if it is long; `said_on` is YYYY-MM-DD."""

    said_on: str
    text: str
    is_cut: bool
    sentiment: str | None


@dataclass(frozen=True)
class Question:
    """A question and its answers.

    Attributes:
        question_id: Its id; empty for answers that name none.
        position: Its place; null for one that the survey does not ask any more.
        type: Its type, where it is known.
        text: What it asks, where that is known.
        labels: What the ends of its scale mean.
        scale: The least and the most of it, where it is one.
        is_effort: Whether it asks for effort.
        answers: Answers that are not blank.
        people: Responses with one.
        characters: Length of all answers of a question for text.
        counts: Its scores.
        choices: How often each was answered: each of a scale, or the most frequent first.
        latest: The latest texts, newest first.
    """

    question_id: str
    position: int | None
    type: str | None
    text: str | None
    labels: tuple[str | None, str | None]
    scale: tuple[int, int] | None
    is_effort: bool
    answers: int
    people: int
    comments: int
    characters: int
    counts: Counts
    choices: Sequence[Choice]
    latest: Sequence[Comment]


@dataclass(frozen=True)
class Tag:
    """A tag, the answers that have it, and their moods."""

    name: str
    answers: int
    moods: Moods


@dataclass(frozen=True)
class Survey:
    """A survey, its responses and its questions.

    Attributes:
        survey_id: Its id.
        name: Its name, where it is known; so are type and language.
        is_enabled: Whether it collects responses, where that is known.
        responses: Its responses.
        completion: Share of the complete ones among those that say; null where none says.
        first_on: Day of the first response, YYYY-MM-DD.
        last_on: Day of the last one.
        counts: Its scores.
        period: How long the periods are, so that there are some dozens of them.
        periods: Those with a response, oldest first.
        questions: In order; those it does not ask any more are last.
        tags: The most frequent ones.
    """

    survey_id: str
    name: str | None
    type: str | None
    language: str | None
    is_enabled: bool | None
    responses: int
    completion: float | None
    first_on: str | None
    last_on: str | None
    counts: Counts
    period: PeriodName
    periods: Sequence[Period]
    questions: Sequence[Question]
    tags: Sequence[Tag]


@dataclass(frozen=True)
class Summaries:
    """What a file holds.

    Attributes:
        account: real or sandbox, where it is known.
        pii: What is stored of personal values.
        has_comments: Whether the latest comments were read.
        synced_at: When the last row was written, UTC without a zone.
        surveys: The surveys, most responses first.
    """

    account: str | None
    pii: PiiMode
    has_comments: bool
    synced_at: datetime | None
    surveys: Sequence[Survey]
