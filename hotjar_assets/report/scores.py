"""The formulas of the scores: those of `dbt_project/macros/scores.sql`, on counts."""

import math
from dataclasses import dataclass

from hotjar_assets.warehouse.summaries import Ces, Counts, Csat, Moods, Nps

FEWEST_ANSWERS = 5
"""Of fewer answers a margin means nothing, and a trend would only jump."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Score:
    """A score.

    Attributes:
        value: The score.
        margin: Half the width of its 95 % interval; null where one answer tells none.
        answers: How many answers it rests on, at least one.
    """

    value: float
    margin: float | None
    answers: int


def nps(counts: Nps) -> Score | None:
    """Return the share of promoters less that of detractors, from -100 to 100."""
    if not counts.answers:
        return None
    p, d = (part / counts.answers for part in (counts.promoters, counts.detractors))
    # Rounding can leave a variance of nothing below zero.
    variance = max(0.0, p + d - (p - d) ** 2)
    return _score(100 * (p - d), 100 * math.sqrt(variance), counts.answers)


def csat(counts: Csat) -> Score | None:
    """Return the share of satisfied answers in percent."""
    if not counts.answers:
        return None
    p = counts.satisfied / counts.answers
    return _score(100 * p, 100 * math.sqrt(p * (1 - p)), counts.answers)


def ces(counts: Ces) -> Score | None:
    """Return the mean rating."""
    n = counts.answers
    if not n:
        return None
    mean = counts.total / n
    if n == 1:
        return Score(mean, None, n)
    # Whole numbers until the division, so that nothing is lost in a difference of large sums.
    variance = (n * counts.squares - counts.total**2) / (n * (n - 1))
    return _score(mean, math.sqrt(variance), n)


def net_sentiment(counts: Moods) -> Score | None:
    """Return the share of positive answers less that of negative ones, from -100 to 100."""
    return nps(Nps(sum(counts), counts.positive, counts.negative))


def _score(value: float, deviation: float, answers: int) -> Score:
    return Score(value, _NORMAL_95 * deviation / math.sqrt(answers), answers)


@dataclass(frozen=True)
class Measure:
    """A score that a survey asks for, and how it is written.

    Attributes:
        name: Its short name.
        score: It.
        text: Its value as text.
        limits: The least and the most it can be.
    """

    name: str
    score: Score
    limits: tuple[float, float]
    form: str
    unit: str = ""

    @property
    def text(self) -> str:
        """The value with its sign or unit."""
        return _number(self.score.value, self.form) + self.unit

    @property
    def margin(self) -> str:
        """The margin of error, or of how few answers there are."""
        margin = self.score.margin
        if margin is None or self.score.answers < FEWEST_ANSWERS:
            return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{self.score.answers}"
        return "±" + _number(margin, self.form.removeprefix("+"))


def measures(counts: Counts) -> list[Measure]:
    """List the scores that there are answers for, the main one first."""
    found = [
        ("NPS", nps(counts.nps), (-100, 100), "+.0f", ""),
        ("CSAT", csat(counts.csat), (0, 100), ".0f", "\N{NARROW NO-BREAK SPACE}%"),
        ("CES", ces(counts.ces), (1, 7), ".1f", ""),
    ]
    return [
        Measure(name, score, limits, form, unit)
        for name, score, limits, form, unit in found
        if score
    ]


def _number(number: float, form: str) -> str:
    text = f"{number:{form}}"
    # Of what rounds to nothing the sign says nothing.
    return text.lstrip("+-") if not float(text) else text.replace("-", "\N{MINUS SIGN}")
