"""Fills the page's template: one HTML file that needs nothing beside it and loads nothing."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hotjar_assets.config import PiiMode
from hotjar_assets.printable import counted, printable_lines
from hotjar_assets.privacy import is_email, without_emails
from hotjar_assets.report.chart import period_end, score_of, trend
from hotjar_assets.report.file import GENERATOR
from hotjar_assets.report.scores import FEWEST_ANSWERS, Measure, Score, ces, measures, net_sentiment
from hotjar_assets.warehouse.summaries import (
    CHOICE_TYPES,
    REACTIONS,
    SATISFACTION_TYPES,
    TOP_BOXES,
    Ces,
    Choice,
    Comment,
    Moods,
    Period,
    Question,
    Summaries,
    Survey,
)

_MOST_BARS = 12
_MANY_CARDS = 8
"""More questions than these are read row by row, and not column by column."""
_KINDS = {
    "nps": "Recommendation, 0 to 10",
    "rating-1-5": "Rating, 1 to 5",
    "rating-1-7": "Rating, 1 to 7",
    "reaction": "Reaction",
    "reaction-binary": "Like or dislike",
    "single-option": "One choice",
    "multiple-option": "Several choices",
    "short-text": "Short text",
    "long-text": "Long text",
    "email": "E-mail address",
}


@dataclass(frozen=True)
class Bar:
    """A bar of a distribution.

    Attributes:
        label: What was answered.
        answers: How often.
        share: Of all who answered, 0 to 1.
        length: Compared with the longest bar, 0 to 1.
        tone: good, middling, bad, or plain.
    """

    label: str
    answers: int
    share: float
    length: float
    tone: str


def render(summaries: Summaries, *, database: Path, made_at: datetime) -> str:
    """Return the page.

    Args:
        summaries: What it tells.
        database: Where that stands.
        made_at: Now, UTC.
    """
    environment = Environment(
        loader=PackageLoader("hotjar_assets.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "day": _day,
        "percent": _percent,
        "counted": counted,
        "thousands": lambda number: f"{number:,}",
        "covered": without_emails,
    }
    until = (summaries.synced_at or made_at).date()
    template = environment.get_template("page.html")
    return template.render(
        contents=summaries,
        database=database,
        made_at=made_at,
        generator=GENERATOR,
        version=importlib.metadata.version("hotjar-assets"),
        keeps_personal=summaries.pii is PiiMode.KEEP,
        fewest_answers=FEWEST_ANSWERS,
        many_cards=_MANY_CARDS,
        kinds=_KINDS,
        measures=measures,
        net_sentiment=net_sentiment,
        mood_parts=_mood_parts,
        nps_parts=_nps_parts,
        shown_questions=_shown_questions,
        bars=lambda question: _bars(question, own_words=summaries.has_comments),
        mean=_mean,
        comments=_comments,
        trend=lambda survey: trend(survey, main=_main(survey), until=until),
        trend_rows=_trend_rows,
        is_whole=lambda survey, period: period_end(period.starts_on, survey.period) <= until,
    )


def _shown(value: object) -> object:
    """Return a text of the page without marks that reverse or hide what stands around them."""
    # What the page's own code has made is markup.
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return printable_lines("\n".join(value.splitlines()).replace("\t", " "))


def _main(survey: Survey) -> Measure | None:
    return next(iter(measures(survey.counts)), None)


def _trend_rows(survey: Survey) -> list[tuple[Period, Measure | None]]:
    main = _main(survey)
    return [(period, score_of(period, main.name) if main else None) for period in survey.periods]


def _shown_questions(survey: Survey) -> list[Question]:
    """Leave out what asks nothing: welcome and thanks."""
    return [each for each in survey.questions if each.type in _KINDS or each.answers]


def _bars(question: Question, *, own_words: bool) -> list[Bar]:
    """List the bars of a question; what has no bar of its own shares the last one."""
    if question.scale is None and question.type not in CHOICE_TYPES:
        return []
    listed = [each for each in question.choices if own_words or each.is_offered]
    if question.scale is None:
        listed = sorted(listed, key=lambda each: -each.answers)[:_MOST_BARS]
        base = question.people
    else:
        base = sum(each.answers for each in listed)
    longest = max([each.answers for each in listed], default=0)
    bars = [
        Bar(
            _label(question, each),
            each.answers,
            each.answers / base if base else 0.0,
            each.answers / longest if longest else 0.0,
            _tone(question, each.answer),
        )
        for each in listed
    ]
    others = question.answers - sum(each.answers for each in listed)
    if question.scale is None and others > 0:
        length = min(1.0, others / longest) if longest else 1.0
        bars.append(Bar("All other answers", others, others / base, length, "middling"))
    return bars


def _label(question: Question, choice: Choice) -> str:
    if isinstance(choice.answer, str):
        return without_emails(choice.answer)
    if question.type == "reaction":
        return REACTIONS[choice.answer - 1].capitalize()
    if question.type == "reaction-binary":
        return ("Dislike", "Like")[choice.answer]
    return str(choice.answer)


def _tone(question: Question, answer: int | str) -> str:
    if isinstance(answer, str) or question.scale is None or question.is_effort:
        return "plain"
    if question.type == "nps":
        return "good" if answer >= 9 else "middling" if answer >= 7 else "bad"  # noqa: PLR2004
    if question.type == "reaction-binary":
        return "good" if answer else "bad"
    if question.type in SATISFACTION_TYPES:
        return "good" if answer > question.scale[1] - TOP_BOXES else "middling"
    return "plain"


def _mean(question: Question) -> Score | None:
    """Return the mean of what was answered on a scale."""
    given = [(each.answer, each.answers) for each in question.choices]
    numbers = [(answer, n) for answer, n in given if isinstance(answer, int)]
    return ces(
        Ces(
            sum(n for _, n in numbers),
            sum(n * answer for answer, n in numbers),
            sum(n * answer**2 for answer, n in numbers),
        )
    )


def _nps_parts(survey: Survey | Question) -> list[tuple[str, str, int]]:
    answers, promoters, detractors = survey.counts.nps
    passives = answers - promoters - detractors
    return [
        ("Detractors", "bad", detractors),
        ("Passives", "middling", passives),
        ("Promoters", "good", promoters),
    ]


def _mood_parts(moods: Moods) -> list[tuple[str, str, int]]:
    return [
        ("Negative", "bad", moods.negative),
        ("Neutral", "middling", moods.neutral),
        ("Positive", "good", moods.positive),
    ]


def _comments(question: Question) -> Sequence[Comment]:
    """Leave out what is nothing but an address."""
    return [each for each in question.latest if not is_email(each.text)]


def _day(day: str | date | None) -> str:
    if day is None:
        return "an unknown day"
    try:
        found = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        # A year that Python's calendar does not have.
        return str(day)
    return f"{found.day} {found:%b %Y}"


def _percent(share: float) -> str:
    if 0 < share < 0.005:  # noqa: PLR2004
        return "<1\N{NARROW NO-BREAK SPACE}%"
    return f"{100 * share:.0f}\N{NARROW NO-BREAK SPACE}%"
