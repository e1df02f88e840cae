"""The numbers of the models, computed once more from the raw rows: by hand, without any SQL.

Rows of the two tables come in as dicts. Each function returns, for the model it is named after, a
mapping from the key of a row to some of its columns. Only names are shared with the models.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Key = tuple[Any, ...]
WORDS = {"hate": 1, "dislike": 2, "neutral": 3, "like": 4, "love": 5}
SCALES = {"nps": (0, 10), "rating-1-5": (1, 5), "rating-1-7": (1, 7), "reaction": (1, 5)}
CHOSEN = {*SCALES, "reaction-binary", "single-option", "multiple-option"}


@dataclass(frozen=True)
class Rules:
    """The variables of the package, at their defaults."""

    timezone: str = "UTC"
    include_incomplete: bool = True
    minimum_answers: int = 1
    csat_top_boxes: int = 2
    effort_text: str | None = None

    def variables(self) -> dict[str, Any]:
        return {
            "hotjar_timezone": self.timezone,
            "hotjar_include_incomplete": self.include_incomplete,
            "hotjar_minimum_answers": self.minimum_answers,
            "hotjar_csat_top_boxes": self.csat_top_boxes,
            "hotjar_ces_question_pattern": self.effort_text,
        }


@dataclass(frozen=True)
class Answer:
    """One answer that counts."""

    survey_id: str
    response_id: str
    question_id: str
    kind: str | None
    question: str
    said: str
    comment: str
    tags: tuple[str, ...]
    sentiment: str | None
    at: Any
    on: date
    device: str
    page: str | None
    rules: Rules

    @property
    def score(self) -> int | None:
        text = self.said.lower()
        if self.kind == "reaction-binary":
            return {"dislike": 0, "like": 1, "0": 0, "1": 1}.get(text)
        if self.kind not in SCALES:
            return None
        if self.kind == "reaction" and text in WORDS:
            return WORDS[text]
        whole, point, rest = text.partition(".")
        if not (whole.isascii() and whole.isdigit() and len(whole) < 3):
            return None
        if point and (not rest or rest.strip("0")):
            return None
        least, most = SCALES[self.kind]
        return int(whole) if least <= int(whole) <= most else None

    @property
    def group(self) -> str | None:
        if self.kind != "nps" or self.score is None:
            return None
        return "promoter" if self.score > 8 else "passive" if self.score > 6 else "detractor"

    @property
    def is_effort(self) -> bool:
        asked = self.rules.effort_text
        return (
            self.kind in {"rating-1-5", "rating-1-7"}
            and self.score is not None
            and asked is not None
            and asked in self.question.lower()
        )

    @property
    def is_csat(self) -> bool:
        is_rating = self.kind in {"rating-1-5", "rating-1-7"}
        return is_rating and self.score is not None and not self.is_effort

    @property
    def is_satisfied(self) -> bool:
        if not self.is_csat or self.score is None:
            return False
        return self.score > SCALES[str(self.kind)][1] - self.rules.csat_top_boxes


@dataclass(frozen=True)
class Raw:
    """The live rows of the raw tables."""

    surveys: Sequence[Row]
    responses: Sequence[Row]
    rules: Rules = field(default_factory=Rules)

    def questions(self) -> dict[tuple[str, str], Row]:
        return {
            (survey["survey_id"], question["question_id"]): question
            for survey in self.surveys
            for question in survey["questions"] or ()
        }

    def day(self, response: Row) -> date:
        day: date = response["created_at"].astimezone(ZoneInfo(self.rules.timezone)).date()
        return day

    def answers(self) -> Iterator[Answer]:
        questions = self.questions()
        for response in self.responses:
            if response["is_complete"] is False and not self.rules.include_incomplete:
                continue
            for answer in response["answers"] or ():
                question = questions.get((response["survey_id"], answer["question_id"]), {})
                yield Answer(
                    response["survey_id"],
                    response["response_id"],
                    answer["question_id"],
                    question.get("type"),
                    question.get("text") or "",
                    (answer["answer"] or "").strip(),
                    (answer["comment"] or "").strip(),
                    tuple(answer["tags"] or ()),
                    answer["sentiment"],
                    response["created_at"],
                    self.day(response),
                    response["device"] or "unknown",
                    page(response["response_origin_url"]),
                    self.rules,
                )


def page(url: str | None) -> str | None:
    return None if url is None else url.partition("#")[0].partition("?")[0].removesuffix("/")


def grouped(items: Iterable[Any], key: Callable[[Any], Key]) -> dict[Key, list[Any]]:
    groups: dict[Key, list[Any]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def by_period(answers: Iterable[Answer]) -> dict[Key, list[Answer]]:
    groups: dict[Key, list[Answer]] = defaultdict(list)
    for answer in answers:
        starts = {
            "day": answer.on,
            "week": answer.on - timedelta(days=answer.on.weekday()),
            "month": answer.on.replace(day=1),
        }
        for period, start in starts.items():
            groups[answer.survey_id, answer.question_id, period, start].append(answer)
    return groups


def if_enough(value: Any, answers: int, rules: Rules) -> Any:
    return value if answers >= max(1, rules.minimum_answers) else None


def nps_of(answers: list[Answer], rules: Rules) -> tuple[int, Any, Any]:
    groups = [answer.group for answer in answers if answer.group]
    if not groups:
        return 0, None, None
    n = len(groups)
    p, d = groups.count("promoter") / n, groups.count("detractor") / n
    margin = 1.96 * 100 * math.sqrt(max(0, p + d - (p - d) ** 2) / n)
    return n, if_enough(100 * (p - d), n, rules), if_enough(margin, n, rules)


def csat_of(answers: list[Answer], rules: Rules) -> tuple[int, Any, Any]:
    rated = [answer.is_satisfied for answer in answers if answer.is_csat]
    if not rated:
        return 0, None, None
    n = len(rated)
    p = sum(rated) / n
    margin = 1.96 * 100 * math.sqrt(p * (1 - p) / n)
    return n, if_enough(100 * p, n, rules), if_enough(margin, n, rules)


def hotjar__nps(raw: Raw) -> dict[Key, Any]:
    expected: dict[Key, Any] = {}
    for key, answers in by_period(answer for answer in raw.answers() if answer.group).items():
        n, nps, margin = nps_of(answers, raw.rules)
        groups = Counter(answer.group for answer in answers)
        counts = [groups[name] for name in ("promoter", "passive", "detractor")]
        expected[key] = (n, *(if_enough(count, n, raw.rules) for count in counts), nps, margin)
    return expected


def hotjar__csat(raw: Raw) -> dict[Key, Any]:
    expected: dict[Key, Any] = {}
    for key, answers in by_period(answer for answer in raw.answers() if answer.is_csat).items():
        n, csat, margin = csat_of(answers, raw.rules)
        satisfied = sum(answer.is_satisfied for answer in answers)
        expected[key] = (n, if_enough(satisfied, n, raw.rules), csat, margin)
    return expected


def hotjar__ces(raw: Raw) -> dict[Key, Any]:
    expected: dict[Key, Any] = {}
    for key, answers in by_period(answer for answer in raw.answers() if answer.is_effort).items():
        scores = [float(answer.score or 0) for answer in answers]
        n = len(scores)
        margin = 1.96 * statistics.stdev(scores) / math.sqrt(n) if n > 1 else None
        most = SCALES[str(answers[0].kind)][1]
        mean = if_enough(statistics.fmean(scores), n, raw.rules)
        expected[key] = (n, most, mean, if_enough(margin, n, raw.rules))
    return expected


def hotjar__sentiment(raw: Raw) -> dict[Key, Any]:
    expected: dict[Key, Any] = {}
    for key, answers in by_period(answer for answer in raw.answers() if answer.sentiment).items():
        n, counts = len(answers), Counter(answer.sentiment for answer in answers)
        figures = [counts[name] for name in ("positive", "neutral", "negative")]
        net = 100 * (counts["positive"] - counts["negative"]) / n
        expected[key] = (n, *(if_enough(figure, n, raw.rules) for figure in (*figures, net)))
    return expected


def hotjar__tag_summary(raw: Raw) -> dict[Key, Any]:
    tagged = [answer for answer in raw.answers() if answer.tags]
    totals = Counter((answer.survey_id, answer.question_id) for answer in tagged)
    uses = [(answer, tag) for answer in tagged for tag in set(answer.tags)]
    groups = grouped(uses, lambda use: (use[0].survey_id, use[0].question_id, use[1]))
    expected: dict[Key, Any] = {}
    for key, group in groups.items():
        answers = [answer for answer, _ in group]
        n, counts = len(answers), Counter(answer.sentiment for answer in answers)
        share = 100 * n / totals[key[0], key[1]]
        figures = [share, *(counts[name] for name in ("positive", "neutral", "negative"))]
        times = [answer.at for answer in answers]
        shown = [if_enough(figure, n, raw.rules) for figure in figures]
        expected[key] = (n, *shown, min(times), max(times))
    return expected


def hotjar__question_summary(raw: Raw) -> dict[Key, Any]:
    groups = grouped(raw.answers(), lambda answer: (answer.survey_id, answer.question_id))
    expected: dict[Key, Any] = {}
    for key in raw.questions().keys() | groups.keys():
        answers = groups.get(key, [])
        said = [answer for answer in answers if answer.said]
        scores = [float(answer.score) for answer in answers if answer.score is not None]
        mean = statistics.fmean(scores) if scores else None
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        chosen = Counter(answer.said for answer in said if answer.kind in CHOSEN)
        favourite, times = min(chosen.items(), key=lambda c: (-c[1], c[0]), default=(None, None))
        share = None if times is None else 100 * times / len(said)
        expected[key] = (
            len(said),
            len({answer.response_id for answer in said}),
            sum(bool(answer.comment) for answer in answers),
            sum(bool(answer.tags) for answer in answers),
            len(scores),
            if_enough(mean, len(scores), raw.rules),
            if_enough(deviation, len(scores), raw.rules),
            if_enough(favourite, len(said), raw.rules),
            if_enough(share, len(said), raw.rules),
            min((answer.at for answer in said), default=None),
            max((answer.at for answer in said), default=None),
        )
    return expected


def hotjar__daily_breakdown(raw: Raw) -> dict[Key, Any]:
    answers = grouped(raw.answers(), lambda answer: (answer.survey_id, answer.on, answer.device))
    responses = grouped(
        raw.responses,
        lambda row: (row["survey_id"], raw.day(row), row["device"] or "unknown"),
    )
    return {
        key: (*_completion(group), *_scores(answers.get(key, []), raw.rules))
        for key, group in responses.items()
    }


def hotjar__page_feedback(raw: Raw) -> dict[Key, Any]:
    answers = grouped(raw.answers(), lambda answer: (answer.survey_id, answer.page))
    responses = grouped(
        (row for row in raw.responses if row["response_origin_url"] is not None),
        lambda row: (row["survey_id"], page(row["response_origin_url"])),
    )
    expected: dict[Key, Any] = {}
    for key, group in responses.items():
        own = answers.get(key, [])
        texts = [answer for answer in own if answer.kind in {"short-text", "long-text"}]
        expected[key] = (
            len(group),
            max(row["created_at"] for row in group),
            sum(bool(answer.said) for answer in texts),
            sum(answer.sentiment == "positive" for answer in own),
            sum(answer.sentiment == "negative" for answer in own),
            *_scores(own, raw.rules),
        )
    return expected


def hotjar__survey(raw: Raw) -> dict[Key, Any]:
    answers = grouped(raw.answers(), lambda answer: (answer.survey_id,))
    responses = grouped(raw.responses, lambda row: (row["survey_id"],))
    asked = Counter(survey_id for survey_id, _ in raw.questions())
    expected: dict[Key, Any] = {}
    for survey in raw.surveys:
        key = (survey["survey_id"],)
        own, group = answers.get(key, []), responses.get(key, [])
        effort = [float(answer.score or 0) for answer in own if answer.is_effort]
        expected[key] = (
            asked[survey["survey_id"]],
            *_completion(group),
            min((row["created_at"] for row in group), default=None),
            max((row["created_at"] for row in group), default=None),
            *_scores(own, raw.rules),
            len(effort),
            if_enough(statistics.fmean(effort), len(effort), raw.rules) if effort else None,
        )
    return expected


def _completion(responses: Sequence[Row]) -> tuple[int, int, float | None]:
    complete = sum(bool(row["is_complete"]) for row in responses)
    return len(responses), complete, 100 * complete / len(responses) if responses else None


def _scores(answers: list[Answer], rules: Rules) -> tuple[Any, ...]:
    return (*nps_of(answers, rules), *csat_of(answers, rules))
