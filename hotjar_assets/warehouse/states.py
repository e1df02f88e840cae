"""What the tables hold of each survey: what a sync and an export must know before they read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import duckdb

from hotjar_assets.api.records import Choice, Question
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS, UNSETTLED, Table
from hotjar_assets.sync import SurveyState
from hotjar_assets.warehouse.database import rows_if_any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A state of the rows of a table; as text it changes with every row that is written or goes.

    Attributes:
        rows: How many there are.
        written_at: When the newest was written, in microseconds since 1970; None without rows.
    """

    rows: int
    written_at: int | None

    def __str__(self) -> str:
        """Return it as a data version of Dagster's."""
        return f"{self.rows}-{self.written_at or 0}"


def survey_states(
    connection: duckdb.DuckDBPyConnection | None, survey_ids: Sequence[str]
) -> dict[str, SurveyState]:
    """Tell what the file holds of each survey."""
    surveys = rows_if_any(
        connection,
        SURVEYS,
        "SELECT survey_id, site_id, platform, deleted_at IS NOT NULL, "
        "list_transform(list_filter(questions, lambda q: q.type = 'email'), "
        "lambda q: q.question_id), url, name FROM {table} "
        "WHERE survey_id IN (SELECT unnest({ids}::VARCHAR[]))",
        ids=list(survey_ids),
    )
    watermarks = rows_if_any(
        connection,
        SURVEY_RESPONSES,
        "SELECT survey_id, platform, epoch_us(min(created_at)), "
        "epoch_us(max(created_at)) FROM {table} "
        "WHERE survey_id IN (SELECT unnest({ids}::VARCHAR[])) "
        "AND deleted_at IS NULL AND created_at BETWEEN '1900-01-01' AND {now} "
        "GROUP BY survey_id, platform ORDER BY 4",
        ids=list(survey_ids),
        now=datetime.now(UTC),
    )
    unsettled = rows_if_any(connection, UNSETTLED, "SELECT survey_id FROM {table}")
    states = {survey_id: SurveyState(survey_id) for survey_id in survey_ids}
    for survey_id, site_id, platform, removed, email_questions, url, name in surveys:
        states[survey_id] = SurveyState(
            survey_id,
            site_id=site_id,
            platform=platform,
            removed=removed,
            email_questions=frozenset(email_questions or ()),
            url=url,
            name=name,
        )
    for survey_id, platform, *microseconds in watermarks:
        oldest_at, watermark = (_EPOCH + timedelta(microseconds=each) for each in microseconds)
        if states[survey_id].platform in {None, platform}:
            states[survey_id] = replace(states[survey_id], oldest_at=oldest_at, watermark=watermark)
    for (survey_id,) in unsettled:
        if survey_id in states:
            states[survey_id] = replace(states[survey_id], unsettled=True)
    return states


def questions(
    connection: duckdb.DuckDBPyConnection | None, survey_id: str
) -> list[Question] | None:
    """List a survey's questions in order; None if none are known."""
    rows = rows_if_any(
        connection,
        SURVEYS,
        "SELECT q.question_id, q.text, q.type, list_transform(q.choices, lambda c: c.text) "
        "FROM (SELECT unnest(questions) AS q "
        "FROM {table} WHERE survey_id = {survey_id}) ORDER BY q.position",
        survey_id=survey_id,
    )
    return [
        Question(
            id=key, text=text, type=kind, choices=[Choice(text=each) for each in choices or ()]
        )
        for key, text, kind, choices in rows
    ] or None


def site_of_rows(connection: duckdb.DuckDBPyConnection | None, survey_id: str) -> str | None:
    """Tell on which site the stored responses of a survey are; None if there are none."""
    rows = rows_if_any(
        connection,
        SURVEY_RESPONSES,
        "SELECT site_id FROM {table} WHERE survey_id = {survey_id} LIMIT 1",
        survey_id=survey_id,
    )
    return next((str(site_id) for (site_id,) in rows), None)


def table_version(connection: duckdb.DuckDBPyConnection | None, table: Table) -> TableVersion:
    """Tell which state of its rows a table is in."""
    query = "SELECT count(*), epoch_us(max(synced_at)) FROM {table}"
    for rows, written_at in rows_if_any(connection, table, query):
        return TableVersion(int(rows), written_at)
    return TableVersion(0, None)


def surveys_version(connection: duckdb.DuckDBPyConnection | None) -> str:
    """Return a text that changes with what is known of the surveys.

    Every listing writes `synced_at` of all of them, so the rows are hashed without it.
    """
    query = (
        "SELECT count(*), bit_xor(md5_number(CAST(to_json(t) AS VARCHAR))) "
        "FROM (SELECT * EXCLUDE (synced_at) FROM {table}) t"
    )
    for rows, digest in rows_if_any(connection, SURVEYS, query):
        return f"{rows}-{digest or 0:x}"
    return str(TableVersion(0, None))


def known_surveys(
    connection: duckdb.DuckDBPyConnection | None, platform: str
) -> dict[str, set[str]]:
    """Map each site of a platform to the ids of its surveys that are not marked as deleted."""
    rows = rows_if_any(
        connection,
        SURVEYS,
        "SELECT site_id, survey_id FROM {table} WHERE deleted_at IS NULL AND platform = {platform}",
        platform=platform,
    )
    known: dict[str, set[str]] = {}
    for site_id, survey_id in rows:
        known.setdefault(site_id, set()).add(survey_id)
    return known
