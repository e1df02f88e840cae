"""Committing listings of surveys and walks through their responses, and marking what is gone."""

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from hotjar_assets.api.decoding import encode_lines
from hotjar_assets.commits import Figures
from hotjar_assets.private_files import new_file
from hotjar_assets.schema import FORGOTTEN, SURVEY_RESPONSES, SURVEYS, UNSETTLED
from hotjar_assets.spool import Segment, longest_line
from hotjar_assets.sync import SurveyListing, SurveyRead
from hotjar_assets.warehouse.database import literal, qualified
from hotjar_assets.warehouse.merge import Merge, chunks, select_keys


def commit_listing(
    connection: duckdb.DuckDBPyConnection, listing: SurveyListing, folder: Path
) -> Figures:
    """Merge a listing inside an open transaction; see `Warehouse.merge_surveys`."""
    file = folder / "surveys.jsonl"
    lines = encode_lines(listing.surveys)
    with open(file, "wb", opener=new_file) as opened:
        opened.write(lines)
    merge = Merge(connection, SURVEYS)
    before = merge.count()
    longest = longest_line(lines)
    merge.rows([Segment(file, len(listing.surveys), longest, has_duplicates=False)])
    merge.execute(
        """UPDATE {table} SET synced_at = {now}, deleted_at = CASE
             WHEN survey_id IN (SELECT unnest({listed}::VARCHAR[])) THEN NULL
             ELSE coalesce(deleted_at, {now}) END
           WHERE platform = {platform}
             AND site_id IN (SELECT unnest({sites}::VARCHAR[])) AND (deleted_at IS NULL
             OR survey_id IN (SELECT unnest({listed}::VARCHAR[])))""",
        listed=literal([str(survey.id) for survey in listing.surveys]),
        sites=literal(listing.site_ids),
        platform=literal(listing.platform),
    )
    rows, deleted = merge.one("SELECT count(*), count(*) FILTER (deleted_at = {now}) FROM {table}")
    return Figures(rows, rows - before, sum(merge.updated.values()), deleted)


def commit_walks(
    connection: duckdb.DuckDBPyConnection, reads: Sequence[SurveyRead], *, purge: bool
) -> dict[str, Figures]:
    """Merge walks inside an open transaction; see `Warehouse.commit_responses`."""
    merge = ResponseMerge(connection)
    survey_ids = [read.survey_id for read in reads]
    before = merge.counts(survey_ids)
    telling = [read for read in reads if read.pages or read.is_removed]
    merge.begin([read for read in telling if not read.is_filtered], before)
    for chunk in chunks(segment for read in reads for segment in read.segments):
        merge.rows(chunk)
    purged = merge.purge() if purge else {}
    merge.mark_unseen()
    after = merge.counts(survey_ids)
    deleted = merge.counts(survey_ids, "deleted_at = {now}")
    vanished = merge.vanished()
    merge.note_unsettled([read for read in reads if read.unsettles])
    return {
        key: Figures(
            rows=after.get(key, 0),
            new=after.get(key, 0) - before.get(key, 0) + purged.get(key, 0),
            updated=merge.updated.get(key, 0),
            deleted=deleted.get(key, 0),
            purged=purged.get(key, 0),
            vanished=vanished.get(key, 0),
        )
        for key in survey_ids
    }


class ResponseMerge(Merge):
    """Merges walks through surveys, and marks what a walk should have met and did not."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection, SURVEY_RESPONSES)
        self._names |= {
            "forgotten": qualified(connection, FORGOTTEN.name),
            "unsettled": qualified(connection, UNSETTLED.name),
        }

    is_stored = "NOT EXISTS (FROM {forgotten} t WHERE {same_key})"

    def arrived(self, segments: Sequence[Segment]) -> None:
        """Note what was seen; where nothing was stored before, nothing can be missed."""
        self.execute(
            "INSERT INTO seen SELECT survey_id, response_id FROM ({keys}) "
            "WHERE survey_id IN (SELECT survey_id FROM walks WHERE had_rows)",
            keys=select_keys(SURVEY_RESPONSES, segments),
        )

    def begin(self, reads: Sequence[SurveyRead], before: Collection[str]) -> None:
        """Note what each walk covers, and what it can meet.

        Args:
            reads: The walks.
            before: The surveys that have rows already.
        """
        self.stored_units = before
        self.has_forgotten = bool(self.one("SELECT count(*) FROM {forgotten}")[0])
        self.execute("CREATE OR REPLACE TEMP TABLE seen (survey_id VARCHAR, response_id VARCHAR)")
        self.execute(
            "CREATE OR REPLACE TEMP TABLE walks AS SELECT unnest({ids}::VARCHAR[]) AS survey_id, "
            "unnest({platforms}::VARCHAR[]) AS platform, "
            "unnest({tells}::BOOLEAN[]) AS tells_deleted, unnest({settles}::BOOLEAN[]) AS settles, "
            "unnest({before}::BOOLEAN[]) AS had_rows, "
            "unnest({starts}::TIMESTAMPTZ[]) AS started_at, "
            "unnest({floors}::TIMESTAMPTZ[]) AS floor, "
            "unnest({oldest}::TIMESTAMPTZ[]) AS oldest_at",
            ids=literal([read.survey_id for read in reads]),
            platforms=literal([read.platform for read in reads]),
            tells=literal([read.tells_deleted or read.is_removed for read in reads]),
            settles=literal([read.settles or read.is_removed for read in reads]),
            before=literal([read.survey_id in before for read in reads]),
            starts=literal([read.started_at for read in reads]),
            floors=literal([read.floor for read in reads]),
            oldest=literal([read.oldest_at for read in reads]),
        )

    def purge(self) -> dict[str, int]:
        """Delete what an earlier full sync marked, and count it by survey."""
        condition = "t.survey_id = i.survey_id AND i.tells_deleted AND t.deleted_at < i.started_at"
        marked = f"FROM {{table}} t JOIN walks i ON {condition} GROUP BY t.survey_id"
        counts = dict(self.execute(f"SELECT t.survey_id, count(*) {marked}").fetchall())
        self.execute(f"DELETE FROM {{table}} t USING walks i WHERE {condition}")
        return counts

    def mark_unseen(self) -> None:
        """Mark the rows that a walk which tells what is deleted did not see."""
        self.execute(
            f"UPDATE {{table}} t SET deleted_at = {{now}}, synced_at = {{now}} FROM walks w "
            f"WHERE w.tells_deleted AND {self._unseen}"
        )

    def vanished(self) -> dict[str, int]:
        """Count by survey the rows that a walk did not see although it passed their place."""
        unseen = f"FROM {{table}} t, walks w WHERE NOT w.settles AND {self._unseen}"
        counts = f"SELECT t.survey_id, count(*) {unseen} GROUP BY t.survey_id"
        return dict(self.execute(counts).fetchall())

    def note_unsettled(self, unsettling: Sequence[SurveyRead]) -> None:
        """Keep in mind, until a walk settles it, the surveys whose watermark cannot be trusted."""
        self.execute(
            f"INSERT INTO {{unsettled}} SELECT DISTINCT survey_id, {{now}} FROM walks w "
            "WHERE NOT w.settles AND w.survey_id NOT IN (SELECT survey_id FROM {unsettled}) "
            "AND (w.survey_id IN (SELECT unnest({unsettling}::VARCHAR[])) "
            f"OR EXISTS (FROM {{table}} t WHERE {self._unseen}))",
            unsettling=literal([read.survey_id for read in unsettling]),
        )
        self.execute(
            "DELETE FROM {unsettled} WHERE survey_id IN (SELECT survey_id FROM walks WHERE settles)"
        )

    @property
    def _unseen(self) -> str:
        """SQL for a row `t` that was there when the walk `w` began, in its range, and not met."""
        return (
            "t.survey_id = w.survey_id AND t.platform = w.platform "
            "AND t.deleted_at IS NULL AND t.synced_at < w.started_at "
            "AND (w.floor IS NULL OR t.created_at >= w.floor) "
            "AND (w.oldest_at IS NULL OR t.created_at > w.oldest_at) "
            f"AND NOT EXISTS (FROM seen i WHERE {self._names['same_key']})"
        )
