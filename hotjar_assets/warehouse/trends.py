"""What a picture of one survey shows: responses, the trend of its score, counts of answers.

No answer in people's own words is read, and a choice only where it is one that the question offers.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS
from hotjar_assets.warehouse.database import literal, qualified
from hotjar_assets.warehouse.models import render

MOST_SPANS = 21
"""Into so many spans of the same number of days the time of a survey is divided at most."""
MOST_ANSWERS = 60
_MEMORY_LIMIT = "40MB"
OTHER = "none of the choices"
"""What stands for an answer that the question does not offer, whatever it says."""


@dataclass(frozen=True)
class Span:
    """Some days.

    Attributes:
        ends_on: The last.
        responses: How many came in these days.
        answers: How many of their answers have a score.
        score: The score of these; null without any.
    """

    ends_on: date
    responses: int
    answers: int
    score: float | None


@dataclass(frozen=True)
class AnswerCount:
    """How often a question was answered in one way.

    Attributes:
        question_id: The question.
        question: Its text.
        answer: What was chosen.
        answers: How often.
        percent: Of the answers to the question.
    """

    question_id: str
    question: str
    answer: str
    answers: int
    percent: float


@dataclass(frozen=True)
class Trend:
    """One survey, over all time.

    Attributes:
        begins_on: Day of the first response; null without any.
        days: Days in a span; the oldest may have fewer.
        spans: Those with a response, oldest first.
        score: What the score is: `NPS`, or `CSAT %` where nobody is asked for it; null for none.
        answers: What was chosen, by question; the rest in people's own words is left out.
    """

    begins_on: date | None
    days: int
    spans: list[Span]
    score: str | None
    answers: list[AnswerCount]


_SPANS = f"""
WITH responses AS (
    SELECT survey_id, responded_on, count(*) AS responses
    FROM {{{{ ref('stg_hotjar__response') }}}}
    WHERE responded_on <= current_date GROUP BY ALL
), spans AS (
    SELECT survey_id, min(responded_on) AS first_on, max(responded_on) AS last_on,
        ceil((last_on - first_on + 1) / {MOST_SPANS})::INTEGER AS days
    FROM responses GROUP BY survey_id
), counted AS (
    SELECT survey_id, (last_on - responded_on) // days AS place, sum(responses) AS responses
    FROM responses JOIN spans USING (survey_id) GROUP BY ALL
), scores AS (
    SELECT survey_id, (last_on - responded_on) // days AS place,
        {{{{ count_where('nps_group is not null') }}}} AS nps_answers,
        {{{{ count_where("nps_group = 'promoter'") }}}} AS promoters,
        {{{{ count_where("nps_group = 'detractor'") }}}} AS detractors,
        {{{{ count_where('is_csat') }}}} AS csat_answers,
        {{{{ count_where('is_satisfied') }}}} AS satisfied
    FROM {{{{ ref('int_hotjar__answer_enriched') }}}} JOIN spans USING (survey_id)
    WHERE nps_group IS NOT NULL OR is_csat GROUP BY ALL
)
SELECT first_on::VARCHAR, days, (last_on - (place * days)::INTEGER)::VARCHAR,
    responses::BIGINT, nps_answers, {{{{ nps('promoters', 'detractors', 'nps_answers') }}}},
    csat_answers, {{{{ percent('satisfied', 'csat_answers') }}}}
FROM counted JOIN spans USING (survey_id) LEFT JOIN scores USING (survey_id, place)
ORDER BY place DESC
"""
_ANSWERS = f"""
WITH answers AS (
    SELECT survey_id, question_position, question_id, question_text, question_type, score,
        trim(answer) AS choice
    FROM {{{{ ref('int_hotjar__answer_enriched') }}}}
    WHERE score IS NOT NULL OR question_type IN ('single-option', 'multiple-option')
), choices AS (
    SELECT survey_id, question_id, trim(choice_text) AS choice, min(choice_position) AS place
    FROM {{{{ ref('stg_hotjar__question_choice') }}}} GROUP BY ALL
)
SELECT question_id, coalesce(any_value(question_text), question_id), CASE
        WHEN question_type = 'reaction' THEN ['hate', 'dislike', 'neutral', 'like', 'love'][score]
        WHEN question_type = 'reaction-binary' THEN ['dislike', 'like'][score + 1]
        WHEN score IS NOT NULL THEN score::VARCHAR
        WHEN place IS NOT NULL THEN choices.choice
        ELSE '{OTHER}' END AS said, count(*),
    100 * count(*) / sum(count(*)) OVER (PARTITION BY question_position, question_id)
FROM answers LEFT JOIN choices USING (survey_id, question_id, choice)
GROUP BY survey_id, question_position, question_id, question_type, score, place, said
ORDER BY question_position, question_id, score, place
"""


def trends_of(connection: duckdb.DuckDBPyConnection, survey_ids: Sequence[str]) -> dict[str, Trend]:
    """Read what the pictures of some surveys show, by survey id; none of one too large.

    One survey after the other: all in one query took 1.6 GB for a million responses.
    """
    connection.execute("SET threads = 1")
    connection.execute(f"SET memory_limit = {literal(_MEMORY_LIMIT)}")
    trends = {}
    for survey_id in survey_ids:
        # A picture is not worth a failed run.
        with suppress(duckdb.OutOfMemoryException):
            trends[survey_id] = _trend(
                _rows(connection, _SPANS, survey_id), _rows(connection, _ANSWERS, survey_id)
            )
    return trends


def _trend(spans: Sequence[Sequence[Any]], answers: Sequence[Sequence[Any]]) -> Trend:
    nps, csat = (any(row[place] for row in spans) for place in (4, 6))
    score = 5 if nps else 7
    return Trend(
        begins_on=date.fromisoformat(spans[0][0]) if spans else None,
        days=spans[0][1] if spans else 1,
        spans=[
            Span(date.fromisoformat(row[2]), row[3], row[score - 1] or 0, row[score])
            for row in spans
        ],
        score="NPS" if nps else "CSAT %" if csat else None,
        answers=[AnswerCount(*row) for row in answers[:MOST_ANSWERS]],
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, survey_id: str) -> list[tuple[Any, ...]]:
    """Query the tables as if they held one survey alone."""
    relations = {
        table.name: f"(FROM {qualified(connection, table.name)} "
        f"WHERE survey_id = {literal(survey_id)})"
        for table in (SURVEYS, SURVEY_RESPONSES)
    }
    return connection.execute(render(sql, relations)).fetchall()
