"""What is wrong in the tables, counted by survey or by field.

Nothing that a person answered leaves this room: only ids of surveys, names of fields and numbers.
"""

from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from hotjar_assets.schema import FORGOTTEN, META, SURVEY_RESPONSES, SURVEYS, Table
from hotjar_assets.warehouse.database import has_table, literal, qualified, quote

_MEMORY_LIMIT = "80MB"
_LONGEST_NAME = 100
"""A field of an export is named by the header of its column, which may be any text."""


@dataclass(frozen=True)
class Health:
    """What was found in one table; without the table, nothing.

    Attributes:
        rows: Its rows.
        source: `api` or `insights`: where the rows of the file come from; None before any came.
        repeated: Rows too many of one key, by survey.
        unknown_fields: Rows that Hotjar still has with a field that no column holds, by its place
            without the numbers of items.
        unknown_questions: Answers to a question that the survey does not have, by survey.
        live: Rows that Hotjar is believed to have, by survey.
        forgotten: Responses that were erased here and may still be at Hotjar, by survey.
        removed: Surveys that Hotjar does not have any more; 1 for each.
    """

    rows: int = 0
    source: str | None = None
    repeated: dict[str, int] = field(default_factory=dict)
    unknown_fields: dict[str, int] = field(default_factory=dict)
    unknown_questions: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)


def health_of(
    connection: duckdb.DuckDBPyConnection | None, table: Table, *, since: datetime | None = None
) -> Health:
    """Look for what is wrong in `hotjar.surveys` or `hotjar.survey_responses`, in one query.

    Args:
        connection: The file; None if there is none yet.
        table: Which of the two.
        since: Only rows created from then on count as live.
    """
    if connection is None:
        return Health()
    names = {
        each.name: qualified(connection, each.name)
        for each in (META, SURVEYS, SURVEY_RESPONSES, FORGOTTEN)
    }
    if not has_table(connection, names[table.name]):
        return Health()
    connection.execute("SET threads = 1")
    connection.execute(f"SET memory_limit = {literal(_MEMORY_LIMIT)}")
    findings = _BOTH if table is SURVEYS else _BOTH + _OF_RESPONSES
    sql = " UNION ALL ".join(f"({each})" for each in findings).format(
        table=names[table.name],
        key=", ".join(map(quote, table.key)),
        since=literal(since),
        **names,
    )
    found: dict[str, dict[str, int]] = {}
    for kind, name, count in connection.execute(sql).fetchall():
        found.setdefault(kind, {})[name] = int(count)
    rows = sum(found.pop("rows").values())
    source = next(iter(found.pop("source", {})), None)
    return Health(rows, source, **found)


# Each finds (kind, name, count). Keys are compared by their hash first, which takes a third of the
# memory; only those that seem to come twice are compared themselves.
_BOTH = (
    "SELECT 'rows' AS kind, '' AS name, count(*) AS count FROM {table}",
    "SELECT 'source', value, 1 FROM {meta} WHERE name = 'source'",
    """WITH suspects AS (
           SELECT hash({key}) AS hash FROM {table} GROUP BY hash HAVING count(*) > 1
       ), repeated AS (
           SELECT survey_id, count(*) - 1 AS too_many FROM {table}
           WHERE hash({key}) IN (FROM suspects) GROUP BY {key} HAVING count(*) > 1
       )
       SELECT 'repeated', survey_id, sum(too_many) FROM repeated GROUP BY survey_id""",
    f"""WITH fields AS (
           SELECT unnest(list_distinct(list_transform(json_keys(extra), lambda place:
               left(regexp_replace(place, '\\[[0-9]+\\]', '[]', 'g'), {_LONGEST_NAME})))) AS place
           FROM {{table}} WHERE extra IS NOT NULL AND deleted_at IS NULL
       )
       SELECT 'unknown_fields', place, count(*) FROM fields GROUP BY place""",
)
_OF_RESPONSES = (
    """WITH asked AS (
           SELECT survey_id, unnest(questions).question_id AS question_id FROM {surveys}
       ), answered AS (
           SELECT survey_id, unnest(answers).question_id AS question_id FROM {survey_responses}
           WHERE deleted_at IS NULL
       )
       SELECT 'unknown_questions', survey_id, count(*)
       FROM answered ANTI JOIN asked USING (survey_id, question_id) GROUP BY survey_id""",
    """SELECT 'live', survey_id, count(*) FROM {survey_responses}
       WHERE deleted_at IS NULL AND ({since} IS NULL OR created_at >= {since})
       GROUP BY survey_id""",
    "SELECT 'forgotten', survey_id, count(*) FROM {forgotten} GROUP BY survey_id",
    "SELECT 'removed', survey_id, 1 FROM {surveys} WHERE deleted_at IS NOT NULL",
)
