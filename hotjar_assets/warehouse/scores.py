"""What the dbt models say of each survey, for whoever has a terminal and no BI tool."""

from dataclasses import dataclass
from pathlib import Path

from hotjar_assets.warehouse.database import Database, qualified

_MARTS = "hotjar_marts"
_TOP_TAGS = 3


@dataclass(frozen=True)
class SurveyScores:
    """The scores of one survey, null where it does not ask for them.

    Attributes:
        name: Its name.
        responses: Responses it has.
        nps: From -100 to 100, with half the width of its 95 % interval, over `nps_answers`.
        csat: In percent, with half the width of its 95 % interval, over `csat_answers`.
        tags: Its most frequent tags, the most frequent first.
    """

    name: str
    responses: int
    nps: float | None
    nps_margin: float | None
    nps_answers: int
    csat: float | None
    csat_margin: float | None
    csat_answers: int
    tags: list[str]


def read_scores(path: Path, *, lock_timeout_seconds: float) -> list[SurveyScores]:
    """Read the scores of the surveys that have any, or tags; most responses first.

    Raises:
        HotjarStoreError: The database cannot be used, or the models were never made.
    """
    database = Database(path, lock_timeout_seconds=lock_timeout_seconds, connection_config={})
    with database.reading() as connection:
        if connection is None:
            return []
        surveys, tags = (
            qualified(connection, name, _MARTS)
            for name in ("hotjar__survey", "hotjar__tag_summary")
        )
        rows = connection.execute(
            f"""WITH counted AS (
                    SELECT survey_id, tag, sum(answers) AS answers FROM {tags} GROUP BY ALL
                ), tags AS (
                    SELECT survey_id, list(tag ORDER BY answers DESC, tag)[:{_TOP_TAGS}] AS tags
                    FROM counted GROUP BY survey_id
                )
                SELECT coalesce(survey_name, survey_id), responses, nps, nps_margin, nps_answers,
                    csat, csat_margin, csat_answers, coalesce(tags, [])
                FROM {surveys} LEFT JOIN tags USING (survey_id)
                WHERE nps_answers > 0 OR csat_answers > 0 OR tags IS NOT NULL
                ORDER BY responses DESC, survey_id"""
        ).fetchall()
    return [SurveyScores(*row) for row in rows]
