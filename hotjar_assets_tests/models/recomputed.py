"""The numbers of the models, computed once more from the raw rows: by hand, without any SQL.

Rows of the two tables come in as dicts. Each function yields the rows of the mart it is named
after, with every column. Only names are shared with the models.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Key = tuple[Any, ...]
BLANK = " \t\r\n"
WORDS = {
    "reaction": {"hate": 1, "dislike": 2, "neutral": 3, "like": 4, "love": 5},
    "reaction-binary": {"dislike": 0, "like": 1},
}
SCALES = {
    "nps": (0, 10),
    "rating-1-5": (1, 5),
    "rating-1-7": (1, 7),
    "reaction": (1, 5),
    "reaction-binary": (0, 1),
}
CHOSEN = {*SCALES, "single-option", "multiple-option"}


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


def group_of(score: float | None) -> str | None:
    if score is None:
        return None
    return "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"


@dataclass(frozen=True)
class Answer:
    """One answer that counts."""

    survey_id: str
    response_id: str
    question_id: str
    ordinal: int
    question: Row
    said: str
    comment: str
    tags: tuple[str, ...]
    sentiment: str | None
    at: Any
    on: date
    rules: Rules

    @property
    def kind(self) -> str | None:
        return self.question.get("type")

    @property
    def text(self) -> str | None:
        """What was written in one's own words, if anything."""
        return self.said or None if self.kind in {"short-text", "long-text"} else None

    @property
    def score(self) -> int | None:
        text = self.said.lower()
        if self.kind not in SCALES:
            return None
        if text in WORDS.get(self.kind, {}):
            return WORDS[self.kind][text]
        whole, point, rest = text.partition(".")
        if not (whole.isascii() and whole.isdigit() and len(whole) < 3):
            return None
        if point and (not rest or rest.strip("0")):
            return None
        least, most = SCALES[self.kind]
        return int(whole) if least <= int(whole) <= most else None

    @property
    def group(self) -> str | None:
        return group_of(self.score) if self.kind == "nps" else None

    @property
    def is_effort(self) -> bool:
        asked = self.rules.effort_text
        return (
            self.kind in {"rating-1-5", "rating-1-7"}
            and self.score is not None
            and asked is not None
            and asked in (self.question.get("text") or "").lower()
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

    @cached_property
    def questions(self) -> dict[Key, Row]:
        """Map survey and id to the question; of several with one id, to the first."""
        found: dict[Key, Row] = {}
        for survey in self.surveys:
            for question in survey["questions"] or ():
                if question["question_id"] is not None:
                    found.setdefault((survey["survey_id"], question["question_id"]), question)
        return found

    @cached_property
    def names(self) -> dict[str, str | None]:
        return {survey["survey_id"]: survey["name"] for survey in self.surveys}

    def day(self, response: Row) -> date:
        day: date = response["created_at"].astimezone(ZoneInfo(self.rules.timezone)).date()
        return day

    @cached_property
    def answers(self) -> list[Answer]:
        return [answer for response in self.responses for answer in self.answers_of(response)]

    def answers_of(self, response: Row) -> Iterator[Answer]:
        if response["is_complete"] is False and not self.rules.include_incomplete:
            return
        ordinals: Counter[Any] = Counter()
        for answer in response["answers"] or ():
            survey_id, question_id = response["survey_id"], answer["question_id"]
            ordinals[question_id] += 1
            yield Answer(
                survey_id,
                response["response_id"],
                question_id,
                ordinals[question_id],
                self.questions.get((survey_id, question_id), {}),
                (answer["answer"] or "").strip(BLANK),
                (answer["comment"] or "").strip(BLANK),
                tuple(tag for tag in answer["tags"] or () if tag is not None),
                answer["sentiment"],
                response["created_at"],
                self.day(response),
                self.rules,
            )


def page(url: str | None) -> str | None:
    return None if url is None else url.partition("#")[0].partition("?")[0].removesuffix("/")


def grouped(items: Iterable[Any], key: Callable[[Any], Key]) -> dict[Key, list[Any]]:
    groups: dict[Key, list[Any]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def if_enough(value: Any, answers: int, rules: Rules) -> Any:
    return value if answers >= max(1, rules.minimum_answers) else None


# --- Scores ------------------------------------------------------------------------------------


def share_and_margin(best: int, worst: int, n: int, rules: Rules) -> tuple[Any, Any]:
    """Return the share of the best less that of the worst, in percent, and its margin."""
    if not n:
        return None, None
    p, d = best / n, worst / n
    margin = 1.96 * 100 * math.sqrt(max(0, p + d - (p - d) ** 2) / n)
    return if_enough(100 * (p - d), n, rules), if_enough(margin, n, rules)


def mean_and_margin(scores: Sequence[float], rules: Rules) -> tuple[Any, Any]:
    n = len(scores)
    mean = statistics.fmean(scores) if scores else None
    margin = 1.96 * statistics.stdev(scores) / math.sqrt(n) if n > 1 else None
    return if_enough(mean, n, rules), if_enough(margin, n, rules)


def moods(answers: Iterable[Answer]) -> Counter[Any]:
    return Counter(answer.sentiment for answer in answers if answer.sentiment)


def scores_of(answers: Iterable[Answer]) -> list[float]:
    return [float(answer.score) for answer in answers if answer.score is not None]


def figures(raw: Raw, responses: Sequence[Row]) -> Row:
    """Return what there is to say of some responses and their answers."""
    rules = raw.rules
    answers = [answer for response in responses for answer in raw.answers_of(response)]
    groups = Counter(answer.group for answer in answers if answer.group)
    nps, nps_margin = share_and_margin(
        groups["promoter"], groups["detractor"], groups.total(), rules
    )
    rated = [answer.is_satisfied for answer in answers if answer.is_csat]
    csat, csat_margin = share_and_margin(sum(rated), 0, len(rated), rules)
    effort = scores_of(answer for answer in answers if answer.is_effort)
    begun = [response["created_at"] for response in responses]
    told = [row["is_complete"] for row in responses if row["is_complete"] is not None]
    return {
        "responses": len(responses),
        "complete_responses": sum(told) if told or not responses else None,
        "completion_rate": 100 * sum(told) / len(told) if told else None,
        "first_response_at": min(begun, default=None),
        "last_response_at": max(begun, default=None),
        "nps_answers": groups.total(),
        "promoters": if_enough(groups["promoter"], groups.total(), rules),
        "detractors": if_enough(groups["detractor"], groups.total(), rules),
        "nps": nps,
        "nps_margin": nps_margin,
        "csat_answers": len(rated),
        "satisfied": if_enough(sum(rated), len(rated), rules),
        "csat": csat,
        "csat_margin": csat_margin,
        "ces_answers": len(effort),
        "ces": mean_and_margin(effort, rules)[0],
        "texts": sum(answer.text is not None for answer in answers),
        "positive_answers": moods(answers)["positive"],
        "negative_answers": moods(answers)["negative"],
    }


# --- The marts ---------------------------------------------------------------------------------


def by_period(raw: Raw, counts: Callable[[Answer], bool]) -> Iterator[tuple[Row, list[Answer]]]:
    """Yield the key and the names of a row, and its answers."""
    groups: dict[Key, list[Answer]] = defaultdict(list)
    for answer in filter(counts, raw.answers):
        starts = {
            "day": answer.on,
            "week": answer.on - timedelta(days=answer.on.weekday()),
            "month": answer.on.replace(day=1),
        }
        for period, start in starts.items():
            groups[answer.survey_id, answer.question_id, period, start].append(answer)
    for (survey_id, question_id, period, start), answers in groups.items():
        row = {
            "survey_id": survey_id,
            "survey_name": raw.names.get(survey_id),
            "question_id": question_id,
            "question_text": answers[0].question.get("text"),
            "period": period,
            "period_starts_on": start,
            "answers": len(answers),
        }
        yield row, answers


def hotjar__nps(raw: Raw) -> Iterator[Row]:
    for row, answers in by_period(raw, lambda answer: answer.group is not None):
        n, groups = len(answers), Counter(answer.group for answer in answers)
        nps, margin = share_and_margin(groups["promoter"], groups["detractor"], n, raw.rules)
        counts = {
            f"{group}s": if_enough(groups[group], n, raw.rules)
            for group in ("promoter", "passive", "detractor")
        }
        yield {**row, **counts, "nps": nps, "margin": margin}


def hotjar__csat(raw: Raw) -> Iterator[Row]:
    for row, answers in by_period(raw, lambda answer: answer.is_csat):
        n, satisfied = len(answers), sum(answer.is_satisfied for answer in answers)
        csat, margin = share_and_margin(satisfied, 0, n, raw.rules)
        satisfied_if_enough = if_enough(satisfied, n, raw.rules)
        yield {**row, "satisfied": satisfied_if_enough, "csat": csat, "margin": margin}


def hotjar__ces(raw: Raw) -> Iterator[Row]:
    for row, answers in by_period(raw, lambda answer: answer.is_effort):
        ces, margin = mean_and_margin(scores_of(answers), raw.rules)
        most = SCALES[str(answers[0].kind)][1]
        yield {**row, "scale_most": most, "ces": ces, "margin": margin}


def hotjar__sentiment(raw: Raw) -> Iterator[Row]:
    for row, answers in by_period(raw, lambda answer: answer.sentiment is not None):
        n, said = len(answers), moods(answers)
        net, margin = share_and_margin(said["positive"], said["negative"], n, raw.rules)
        counts = {
            mood: if_enough(said[mood], n, raw.rules)
            for mood in ("positive", "neutral", "negative")
        }
        yield {**row, **counts, "net_sentiment": net, "margin": margin}


def hotjar__tag_summary(raw: Raw) -> Iterator[Row]:
    tagged = [answer for answer in raw.answers if answer.tags]
    totals = Counter((answer.survey_id, answer.question_id) for answer in tagged)
    uses = [(answer, tag) for answer in tagged for tag in set(answer.tags)]
    groups = grouped(uses, lambda use: (use[0].survey_id, use[0].question_id, use[1]))
    for (survey_id, question_id, tag), group in groups.items():
        answers = [answer for answer, _ in group]
        n, said = len(answers), moods(answers)
        share = 100 * n / totals[survey_id, question_id]
        yield {
            "survey_id": survey_id,
            "survey_name": raw.names.get(survey_id),
            "question_id": question_id,
            "question_text": answers[0].question.get("text"),
            "tag": tag,
            "answers": n,
            "share_of_tagged_answers": if_enough(share, n, raw.rules),
            "positive": if_enough(said["positive"], n, raw.rules),
            "neutral": if_enough(said["neutral"], n, raw.rules),
            "negative": if_enough(said["negative"], n, raw.rules),
            "first_at": min(answer.at for answer in answers),
            "last_at": max(answer.at for answer in answers),
        }


def hotjar__question_summary(raw: Raw) -> Iterator[Row]:
    groups = grouped(raw.answers, lambda answer: (answer.survey_id, answer.question_id))
    questions = raw.questions
    for survey_id, question_id in questions.keys() | groups.keys():
        answers = groups.get((survey_id, question_id), [])
        question = questions.get((survey_id, question_id), {})
        said = [answer for answer in answers if answer.said]
        scores = scores_of(answers)
        chosen = Counter(answer.said for answer in said if answer.kind in CHOSEN)
        favourite, times = min(chosen.items(), key=lambda c: (-c[1], c[0]), default=(None, 0))
        share = 100 * times / len(said) if times else None
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        yield {
            "survey_id": survey_id,
            "survey_name": raw.names.get(survey_id),
            "question_id": question_id,
            "question_position": question.get("position"),
            "question_type": question.get("type"),
            "question_text": question.get("text"),
            "is_required": question.get("is_required"),
            "answers": len(said),
            "responses": len({answer.response_id for answer in said}),
            "comments": sum(bool(answer.comment) for answer in answers),
            "tagged_answers": sum(bool(answer.tags) for answer in answers),
            "scored_answers": len(scores),
            "mean_score": mean_and_margin(scores, raw.rules)[0],
            "score_deviation": if_enough(deviation, len(scores), raw.rules),
            "most_common_answer": if_enough(favourite, len(said), raw.rules),
            "most_common_share": if_enough(share, len(said), raw.rules),
            "first_at": min((answer.at for answer in said), default=None),
            "last_at": max((answer.at for answer in said), default=None),
        }


def hotjar__daily_breakdown(raw: Raw) -> Iterator[Row]:
    groups = grouped(
        raw.responses,
        lambda row: (
            row["survey_id"],
            raw.day(row),
            page(row["response_origin_url"]) or "unknown",
            row["device"] or "unknown",
        ),
    )
    for (survey_id, day, where, device), responses in groups.items():
        yield {
            "survey_id": survey_id,
            "survey_name": raw.names.get(survey_id),
            "responded_on": day,
            "page": where,
            "device": device,
            **figures(raw, responses),
        }


def hotjar__page_feedback(raw: Raw) -> Iterator[Row]:
    groups = grouped(
        (row for row in raw.responses if row["response_origin_url"] is not None),
        lambda row: (row["survey_id"], page(row["response_origin_url"])),
    )
    for (survey_id, where), responses in groups.items():
        names = {"survey_id": survey_id, "survey_name": raw.names.get(survey_id), "page": where}
        yield {**names, **figures(raw, responses)}


def hotjar__survey(raw: Raw) -> Iterator[Row]:
    responses = grouped(raw.responses, lambda row: (row["survey_id"],))
    asked = Counter(survey_id for survey_id, _ in raw.questions)
    of_parts = {"promoters", "detractors", "satisfied", "texts"}
    of_parts |= {"positive_answers", "negative_answers"}
    renamed = {"name": "survey_name", "type": "survey_type", "url": "survey_url"}
    for survey in raw.surveys:
        own = figures(raw, responses.get((survey["survey_id"],), []))
        left_out = {"questions", "extra", "deleted_at", "synced_at"}
        yield {
            **{renamed.get(name, name): survey[name] for name in survey.keys() - left_out},
            "questions": asked[survey["survey_id"]],
            **{name: own[name] for name in own.keys() - of_parts},
        }


def hotjar__response(raw: Raw) -> Iterator[Row]:
    left_out = {"answers", "user_attributes", "extra", "deleted_at", "synced_at"}
    for response in raw.responses:
        answers = list(raw.answers_of(response))
        said = [answer for answer in answers if answer.said]
        texts = sorted(
            (answer for answer in said if answer.text),
            key=lambda answer: (answer.question["position"], answer.ordinal),
        )
        nps, csat, effort = (
            statistics.fmean(scores) if scores else None
            for scores in (
                scores_of(answer for answer in answers if answer.group),
                scores_of(answer for answer in answers if answer.is_csat),
                scores_of(answer for answer in answers if answer.is_effort),
            )
        )
        yield {
            **{name: response[name] for name in response.keys() - left_out},
            "survey_name": raw.names.get(response["survey_id"]),
            "responded_on": raw.day(response),
            "page": page(response["response_origin_url"]),
            "answers": len(said),
            "answered_questions": len({answer.question_id for answer in said}),
            "nps_score": nps,
            "nps_group": group_of(nps),
            "csat_score": csat,
            "ces_score": effort,
            "texts": "\n".join(answer.said for answer in texts) or None,
            "tags": sorted({tag for answer in answers for tag in answer.tags}),
            "positive_answers": moods(answers)["positive"],
            "negative_answers": moods(answers)["negative"],
        }
