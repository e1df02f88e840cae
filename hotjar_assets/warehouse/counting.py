"""Counts what the answers of each survey add up to: the SQL behind `summaries`.

DuckDB counts, in bounded memory and without dbt: the answers are read a few times and never held,
and what is fetched grows with the surveys, their questions and periods, not with the responses.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from hotjar_assets.config import PiiMode
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.schema import META, SURVEY_RESPONSES, SURVEYS
from hotjar_assets.survey_names import resolve_surveys
from hotjar_assets.warehouse.database import (
    ROW_ERRORS,
    literal,
    qualified,
    rows_if_any,
)
from hotjar_assets.warehouse.stored import reading_surveys, survey_names
from hotjar_assets.warehouse.summaries import (
    CHOICE_TYPES,
    REACTIONS,
    SATISFACTION_TYPES,
    SCALES,
    TEXT_TYPES,
    TOP_BOXES,
    Ces,
    Choice,
    Comment,
    Counts,
    Csat,
    Moods,
    Nps,
    Period,
    PeriodName,
    Question,
    Summaries,
    Survey,
    Tag,
)

MOST_CHOICES = 50
MOST_TAGS = 10
LATEST_COMMENTS = 5
MOST_CHARACTERS = 700
"""What is fetched of a question's choices and comments, of a comment, and of a survey's tags."""
_DAYS_SHOWN = 3650
_MEMORY_LIMIT = "400MB"


def read_summaries(
    path: Path,
    *,
    lock_timeout_seconds: float,
    today: date,
    wanted: Collection[str] = (),
    comments: bool | None = None,
    effort: str | None = None,
) -> Summaries:
    """Count the answers of some surveys, or of all that Hotjar still has.

    Args:
        path: The DuckDB file.
        lock_timeout_seconds: How long to wait for another process that holds it.
        today: Later days have no place in a trend.
        wanted: The surveys, by id or name; empty for all.
        comments: Whether to read the latest comments; None: only if the file keeps personal values.
        effort: Regular expression for the text of rating questions that ask for effort.

    Raises:
        HotjarConfigError: There is no such file, table or survey, several surveys have a name that
            is wanted, or the expression is not valid.
        HotjarStoreError: The file cannot be used.
    """
    with reading_surveys(path, lock_timeout_seconds=lock_timeout_seconds) as connection:
        where = f"{path} (without those gone from Hotjar)"
        survey_ids = resolve_surveys(wanted, survey_names(connection), where=where)
        connection.execute(f"SET memory_limit = {literal(_MEMORY_LIMIT)}")
        facts = dict(rows_if_any(connection, META, "SELECT name, value FROM {table}"))
        pii = PiiMode(facts.get("pii") or PiiMode.KEEP)
        has_comments = pii is PiiMode.KEEP if comments is None else comments
        counting = _Counting(connection, survey_ids, effort)
        return Summaries(
            account=facts.get("account"),
            pii=pii,
            has_comments=has_comments,
            synced_at=counting.synced_at(),
            surveys=counting.surveys(today, LATEST_COMMENTS if has_comments else 0),
        )


def _texts(texts: Sequence[str]) -> str:
    return f"({', '.join(map(literal, texts))})"


def _stripped(text: str) -> str:
    """Return the text without blanks, tabs and ends of lines around it; empty for null."""
    return f"trim(coalesce({text}, ''), e' \\t\\r\\n')"


_SCALES = ", ".join(f"({literal(kind)}, {least}, {most})" for kind, (least, most) in SCALES.items())
_ANSWERS = """(
    SELECT survey_id, response_id, created_at, unnest(answers) AS a,
        generate_subscripts(answers, 1) AS place
    FROM {responses} JOIN report_surveys USING (survey_id) WHERE deleted_at IS NULL
)"""
_ASKED = """LEFT JOIN report_questions AS asked
    ON asked.survey_id = given.survey_id AND asked.question_id = given.a.question_id"""
_WHOLE = r"try_cast(regexp_extract(said, '^(\d{{1,2}})(\.0+)?$', 1) AS INTEGER)"
_TABLES = {
    # Rows of a survey that is not listed are those of an import.
    "report_surveys": """
        WITH chosen AS (
            SELECT survey_id, name, type, language, is_enabled, deleted_at FROM {surveys}
            UNION ALL BY NAME
            SELECT DISTINCT survey_id, deleted_at FROM {responses}
            WHERE deleted_at IS NULL AND survey_id NOT IN (SELECT survey_id FROM {surveys})
        )
        SELECT * EXCLUDE (deleted_at) FROM chosen WHERE deleted_at IS NULL
        AND (len({ids}::VARCHAR[]) = 0 OR list_contains({ids}::VARCHAR[], survey_id))""",
    "report_questions": f"""
        SELECT survey_id, q.question_id, q.position, q.type, q.text, q.low_label, q.high_label,
            list_transform(q.choices, lambda c: c.text) AS choices, least, most,
            coalesce(q.type LIKE 'rating-%' AND regexp_matches(q.text, {{effort}}, 'i'), false)
                AS is_effort,
            coalesce(q.type IN {_texts(SATISFACTION_TYPES)}, false) AND NOT is_effort AS is_csat
        FROM (
            SELECT survey_id, unnest(questions) AS q
            FROM {{surveys}} JOIN report_surveys USING (survey_id)
        ) LEFT JOIN (VALUES {_SCALES}) AS scales (type, least, most) ON scales.type = q.type
        WHERE q.question_id IS NOT NULL
        QUALIFY row_number() OVER (
            PARTITION BY survey_id, q.question_id ORDER BY q.position
        ) = 1""",
    "report_days": """
        SELECT survey_id, timezone('UTC', created_at)::DATE AS day, count(*) AS responses,
            count(is_complete) AS told, count(*) FILTER (is_complete) AS complete
        FROM {responses} JOIN report_surveys USING (survey_id)
        WHERE deleted_at IS NULL GROUP BY ALL""",
    "report_answers": f"""
        WITH typed AS (
            SELECT given.survey_id, coalesce(a.question_id, '') AS question_id,
                timezone('UTC', created_at)::DATE AS day, type, least, most, a.sentiment,
                {_stripped("a.answer")} AS answer, lower(answer) AS said,
                {_stripped("a.comment")} != '' AS has_comment
            FROM {_ANSWERS} AS given {_ASKED}
        ), numbered AS (
            SELECT *, CASE
                WHEN type = 'reaction-binary' AND said IN ('dislike', 'like')
                    THEN (said = 'like')::INTEGER
                WHEN type = 'reaction' AND said IN {_texts(REACTIONS)}
                    THEN list_position({list(REACTIONS)}, said)
                WHEN least IS NOT NULL THEN {_WHOLE} END AS number
            FROM typed
        )
        SELECT survey_id, question_id, day, sentiment,
            CASE WHEN number BETWEEN least AND most THEN number END AS score,
            CASE WHEN type IN {_texts(CHOICE_TYPES)} AND answer != '' THEN answer END AS choice,
            count(*) AS times, count(*) FILTER (answer != '') AS answers,
            count(*) FILTER (has_comment) AS comments,
            coalesce(sum(length(answer)) FILTER (type IN {_texts(TEXT_TYPES)}), 0) AS characters
        FROM numbered GROUP BY ALL""",
}
"""Temporary tables. In the last, answers of one day that say the same are one row."""


def _times(condition: str) -> str:
    return f"coalesce(sum(times) FILTER ({condition}), 0)"


_COUNTS = ", ".join(
    [
        *(_times(f"type = 'nps' AND score {which}") for which in (">= 0", ">= 9", "<= 6")),
        *(_times(f"is_csat AND score > {least}") for least in ("0", f"most - {TOP_BOXES}")),
        _times("is_effort AND score > 0"),
        *(f"coalesce(sum(times * {n}) FILTER (is_effort), 0)" for n in ("score", "score * score")),
        *(_times(f"sentiment = '{mood}'") for mood in Moods._fields),
    ]
)
"""The numbers of `Counts`, in its order."""
_SCORED = """report_answers AS given LEFT JOIN report_questions AS asked
    ON asked.survey_id = given.survey_id AND asked.question_id = given.question_id"""


def _counts(numbers: Sequence[int]) -> Counts:
    return Counts(
        Nps(*numbers[0:3]), Csat(*numbers[3:5]), Ces(*numbers[5:8]), Moods(*numbers[8:11])
    )


class _Counting:
    """Temporary tables of one connection, which are gone when it is closed."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        survey_ids: Collection[str],
        effort: str | None,
    ) -> None:
        self._connection = connection
        self._names = {
            "surveys": qualified(connection, SURVEYS.name),
            "responses": qualified(connection, SURVEY_RESPONSES.name),
        }
        try:
            self._rows("SELECT regexp_matches('', {effort}, 'i')", effort=effort)
        except ROW_ERRORS as error:
            # DuckDB quotes no more than the expression, which was typed.
            reason = str(error).partition(": ")[2]
            problem = f"is not a regular expression ({reason})"
            raise HotjarConfigError("--effort", problem) from None
        for name, sql in _TABLES.items():
            self._rows(f"CREATE TEMP TABLE {name} AS {sql}", ids=list(survey_ids), effort=effort)

    def _rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        literals = {key: literal(value) for key, value in values.items()}
        return self._connection.execute(sql.format(**self._names, **literals)).fetchall()

    def synced_at(self) -> datetime | None:
        """Tell when the last row was written."""
        written = "SELECT synced_at FROM"
        ((newest,),) = self._rows(
            "SELECT timezone('UTC', max(synced_at)) "
            f"FROM ({written} {{surveys}} UNION ALL {written} {{responses}})"
        )
        return None if newest is None else datetime.fromisoformat(str(newest))

    def surveys(self, today: date, comments: int) -> list[Survey]:
        """Put together what was counted."""
        counts = {
            survey_id: _counts(numbers)
            for survey_id, *numbers in self._rows(
                f"SELECT given.survey_id, {_COUNTS} FROM {_SCORED} GROUP BY given.survey_id"
            )
        }
        trends, questions, tags = self._trends(today), self._questions(comments), self._tags()
        surveys = []
        for survey_id, *facts in self._rows(
            """SELECT survey_id, any_value(name), any_value(type), any_value(language),
                   any_value(is_enabled), coalesce(sum(responses), 0),
                   CASE WHEN sum(told) > 0 THEN sum(complete) / sum(told) END,
                   strftime(min(day), '%Y-%m-%d'), strftime(max(day), '%Y-%m-%d')
               FROM report_surveys LEFT JOIN report_days USING (survey_id)
               GROUP BY survey_id ORDER BY coalesce(sum(responses), 0) DESC, survey_id"""
        ):
            name, kind, language, is_enabled, responses, completion, first_on, last_on = facts
            period, periods = trends.get(survey_id, ("day", []))
            surveys.append(
                Survey(
                    survey_id,
                    name,
                    kind,
                    language,
                    is_enabled,
                    responses,
                    completion,
                    first_on,
                    last_on,
                    counts.get(survey_id, Counts()),
                    period,
                    periods,
                    questions.get(survey_id, []),
                    tags.get(survey_id, []),
                )
            )
        return surveys

    def _trends(self, today: date) -> dict[str, tuple[PeriodName, list[Period]]]:
        found: dict[str, tuple[PeriodName, list[Period]]] = {}
        for survey_id, period, starts_on, responses, *numbers in self._rows(
            f"""WITH days AS (
                    FROM report_days WHERE day <= {{today}} AND day > {{today}} - {_DAYS_SHOWN}
                ), spans AS (
                    SELECT survey_id, CASE WHEN max(day) - min(day) < 62 THEN 'day'
                        WHEN max(day) - min(day) < 731 THEN 'week' ELSE 'month' END AS period
                    FROM days GROUP BY survey_id
                ), responses AS (
                    SELECT survey_id, period, date_trunc(period, day)::DATE AS starts_on,
                        sum(responses) AS responses
                    FROM days JOIN spans USING (survey_id) GROUP BY ALL
                ), scores AS (
                    SELECT given.survey_id, date_trunc(period, day)::DATE AS starts_on, {_COUNTS}
                    FROM {_SCORED} JOIN spans ON spans.survey_id = given.survey_id GROUP BY ALL
                )
                SELECT survey_id, period, starts_on, responses,
                    scores.* EXCLUDE (survey_id, starts_on)
                FROM responses LEFT JOIN scores USING (survey_id, starts_on)
                ORDER BY survey_id, starts_on""",
            today=today,
        ):
            _, periods = found.setdefault(survey_id, (period, []))
            periods.append(Period(starts_on, responses, _counts([n or 0 for n in numbers])))
        return found

    def _questions(self, comments: int) -> dict[str, list[Question]]:
        choices = self._choices()
        latest = self._latest(comments) if comments else {}
        questions: dict[str, list[Question]] = defaultdict(list)
        for row in self._rows(
            f"""WITH people AS (
                    SELECT survey_id, question_id, count(*) AS people FROM (
                        SELECT survey_id, unnest(list_distinct(list_transform(
                            list_filter(answers, lambda a: {_stripped("a.answer")} != ''),
                            lambda a: coalesce(a.question_id, '')))) AS question_id
                        FROM {{responses}} JOIN report_surveys USING (survey_id)
                        WHERE deleted_at IS NULL
                    ) GROUP BY ALL
                ), counted AS (
                    SELECT given.survey_id, given.question_id, sum(answers) AS answers,
                        sum(comments) AS comments, sum(characters) AS characters, {_COUNTS}
                    FROM {_SCORED} GROUP BY ALL
                )
                SELECT survey_id, question_id, position, type, text, low_label, high_label, least,
                    most, coalesce(is_effort, false), coalesce(choices, []),
                    coalesce(people, 0), counted.* EXCLUDE (survey_id, question_id)
                FROM report_questions FULL JOIN counted USING (survey_id, question_id)
                LEFT JOIN people USING (survey_id, question_id)
                ORDER BY survey_id, position NULLS LAST, question_id"""
        ):
            survey_id, question_id, position, kind, text, low, high, least, most = row[:9]
            is_effort, offered, people, *numbers = row[9:]
            answers, written, characters, *scores = (number or 0 for number in numbers)
            said = choices.get((survey_id, question_id), {})
            listed = dict.fromkeys(offered if least is None else range(least, most + 1), 0)
            questions[survey_id].append(
                Question(
                    question_id,
                    position,
                    kind,
                    text,
                    labels=(low, high),
                    scale=None if least is None else (least, most),
                    is_effort=is_effort,
                    answers=answers,
                    people=people,
                    comments=written,
                    characters=characters,
                    counts=_counts(scores),
                    choices=[
                        Choice(answer, times, answer in listed)
                        for answer, times in {**listed, **said}.items()
                    ],
                    latest=latest.get((survey_id, question_id), []),
                )
            )
        return questions

    def _choices(self) -> dict[tuple[str, str], dict[int | str, int]]:
        found: dict[tuple[str, str], dict[int | str, int]] = defaultdict(dict)
        for survey_id, question_id, score, choice, times in self._rows(
            f"""SELECT survey_id, question_id, score, choice, sum(times) AS times
                FROM report_answers WHERE score IS NOT NULL OR choice IS NOT NULL
                GROUP BY survey_id, question_id, score, choice
                QUALIFY row_number() OVER (
                    PARTITION BY survey_id, question_id ORDER BY sum(times) DESC, choice
                ) <= {MOST_CHOICES}
                ORDER BY times DESC, choice, score"""
        ):
            found[survey_id, question_id][choice if score is None else score] = times
        return found

    def _latest(self, comments: int) -> dict[tuple[str, str], list[Comment]]:
        found: dict[tuple[str, str], list[Comment]] = {}
        for survey_id, question_id, latest in self._rows(
            f"""WITH written AS (
                    SELECT given.survey_id, coalesce(a.question_id, '') AS question_id,
                        created_at, response_id, place, a.sentiment AS sentiment,
                        concat_ws(chr(10),
                            CASE WHEN type IS NULL OR type IN {_texts(TEXT_TYPES)}
                                THEN nullif({_stripped("a.answer")}, '') END,
                            nullif({_stripped("a.comment")}, '')) AS text
                    FROM {_ANSWERS} AS given {_ASKED}
                    WHERE type IS DISTINCT FROM 'email'
                )
                SELECT survey_id, question_id, max_by(
                    [strftime(timezone('UTC', created_at), '%Y-%m-%d'),
                        left(text, {MOST_CHARACTERS}), sentiment,
                        (length(text) > {MOST_CHARACTERS})::VARCHAR],
                    row(created_at, response_id, place), {comments})
                FROM written WHERE text != '' GROUP BY ALL"""
        ):
            found[survey_id, question_id] = [
                Comment(said_on, text, is_cut == "true", sentiment)
                for said_on, text, sentiment, is_cut in latest
            ]
        return found

    def _tags(self) -> dict[str, list[Tag]]:
        tags: dict[str, list[Tag]] = defaultdict(list)
        moods = ", ".join(f"count(*) FILTER (sentiment = '{mood}')" for mood in Moods._fields)
        for survey_id, name, answers, *numbers in self._rows(
            f"""SELECT survey_id, tag, count(*), {moods} FROM (
                    SELECT survey_id, a.sentiment AS sentiment, unnest(list_distinct(a.tags)) AS tag
                    FROM {_ANSWERS} WHERE len(a.tags) > 0
                ) GROUP BY survey_id, tag
                QUALIFY row_number() OVER (
                    PARTITION BY survey_id ORDER BY count(*) DESC, tag
                ) <= {MOST_TAGS}
                ORDER BY survey_id, count(*) DESC, tag"""
        ):
            tags[survey_id].append(Tag(name, answers, Moods(*numbers)))
        return tags
