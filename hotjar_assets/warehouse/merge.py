"""Merging spooled rows into a table, and marking what a walk should have met and did not."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from hotjar_assets.schema import FORGOTTEN, SCHEMA, UNSETTLED, Column, Table
from hotjar_assets.spool import Segment
from hotjar_assets.sync import SurveyRead
from hotjar_assets.warehouse.database import columns_of, literal, qualified, quote

_CHUNK_ROWS = 10_000
_HELD = ("incoming", "existing", "changed")
_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Figures:
    """What one commit did to one survey's rows, or to the table of surveys.

    Attributes:
        rows: Rows now in the table, marked ones included.
        new: Rows that were not there.
        updated: Rows that changed.
        deleted: Rows newly marked as deleted.
        purged: Rows removed that an earlier full sync had marked.
        vanished: Unmarked rows that a walk should have met and did not: some are gone from Hotjar.
    """

    rows: int = 0
    new: int = 0
    updated: int = 0
    deleted: int = 0
    purged: int = 0
    vanished: int = 0

    def __add__(self, later: "Figures") -> "Figures":
        """Sum up two commits of the same survey."""
        return Figures(
            rows=later.rows,
            new=self.new + later.new,
            updated=self.updated + later.updated,
            deleted=self.deleted + later.deleted,
            purged=self.purged + later.purged,
            vanished=later.vanished,
        )


def chunks(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Group segments, in their order, to what one merge handles at a time."""
    chunk: list[Segment] = []
    for segment in segments:
        if chunk and sum(each.rows for each in chunk) + segment.rows > _CHUNK_ROWS:
            yield chunk
            chunk = []
        chunk.append(segment)
    if chunk:
        yield chunk


def _lines(segments: Sequence[Segment]) -> str:
    """Return SQL for a relation of the segments' lines, in its column `line`.

    As CSV of one column, by separators that JSON escapes: `read_json` would take 36 MB of buffers.
    """
    files = ", ".join(literal(str(segment.path)) for segment in segments)
    longest = max(segment.longest for segment in segments)
    return (
        f"read_csv([{files}], columns = {{{{'line': 'VARCHAR'}}}}, auto_detect = false, "
        f"header = false, delim = chr(30), quote = '', escape = '', max_line_size = {longest}, "
        f"buffer_size = {max(_BUFFER_BYTES, 2 * longest)})"
    )


class Merge:
    """Merges spooled rows into one table inside an open transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._names = {
            "table": qualified(connection, table.name),
            "forgotten": qualified(connection, FORGOTTEN.name),
            "unsettled": qualified(connection, UNSETTLED.name),
            "same_key": " AND ".join(f"t.{key} = i.{key}" for key in table.key),
            "keys": ", ".join(table.key),
        }
        declared = {column.name for column in table.columns}
        there = columns_of(connection, table.name, SCHEMA)
        self._others = [name for name in there if name not in declared]
        # The instant of the commit, after any wait for the lock: a full walk that began before it
        # must not take these rows for ones it should have seen.
        self._now = datetime.now(UTC)
        self.updated: dict[str, int] = {}
        self._held: dict[str, pa.Table] = {}
        self._remembers = False
        """Whether rows that come in are compared with what was seen or forgotten before."""

    def execute(self, sql: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        """Run one statement; `{table}`, `$now` and the rows that are held may stand in it."""
        # DuckDB finds them by the names they have here. Registered, they would stay until the
        # commit, as a temporary table that is replaced would.
        incoming, existing, changed = map(self._held.get, _HELD)  # noqa: RUF059
        return self._connection.execute(*self._statement(sql, parameters))

    def _hold(self, name: str, sql: str, **parameters: object) -> int:
        """Hold the rows of a query in memory, one of `_HELD`; return how many."""
        incoming, existing = map(self._held.get, _HELD[:2])  # noqa: RUF059 - as in `execute`
        query, values = self._statement(sql, parameters)
        rows = self._connection.sql(query, params=values).to_arrow_table()
        self._held[name] = rows
        return int(rows.num_rows)

    def _statement(
        self, sql: str, parameters: dict[str, object]
    ) -> tuple[str, dict[str, object] | None]:
        sql = sql.format(**self._names)
        if "$now" in sql:
            parameters["now"] = self._now
        return sql, parameters or None

    def one(self, sql: str, **parameters: object) -> tuple[Any, ...]:
        """Return the only row of a query."""
        (row,) = self.execute(sql, **parameters).fetchall()
        return row

    def count(self) -> int:
        """Count the rows of the table."""
        return int(self.one("SELECT count(*) FROM {table}")[0])

    def counts(self, survey_ids: Sequence[str], condition: str = "true") -> dict[str, int]:
        """Count rows by survey."""
        sql = (
            "SELECT survey_id, count(*) FROM {table} WHERE survey_id IN "
            f"(SELECT unnest($ids::VARCHAR[])) AND {condition} GROUP BY survey_id"
        )
        return dict(self.execute(sql, ids=list(survey_ids)).fetchall())

    def rows(self, segments: Sequence[Segment]) -> None:
        """Insert the rows that are new and replace those that changed.

        A value the API no longer gives is kept where the column says so, and a row that comes back
        loses its mark.
        """
        latest = (
            f"QUALIFY row_number() OVER (PARTITION BY {self._names['keys']} "
            'ORDER BY "hotjar_assets:ordinal" DESC) = 1'
            if len(segments) > 1 or segments[0].has_duplicates
            else ""
        )
        record = json.dumps(self._table.record)
        lines = f"FROM (SELECT unnest(from_json(line, $record)) FROM {_lines(segments)})"
        parsed = f"SELECT {self._sources(self._table.sourced)} {lines} {latest}"
        keys = [column for column in self._table.sourced if column.name in self._table.key]
        met = f"FROM {{table}} t SEMI JOIN (SELECT {self._sources(keys)} {lines}) i ON {{same_key}}"
        if not (self._remembers or self.one(f"SELECT EXISTS ({met})", record=record)[0]):
            self.execute(
                f"INSERT INTO {{table}} BY NAME SELECT *, $now AS synced_at FROM ({parsed})",
                record=record,
            )
            return
        forgotten = "WHERE NOT EXISTS (FROM {forgotten} t WHERE {same_key})"
        unforgotten = f"FROM ({parsed}) i {forgotten if self._remembers else ''}"
        self._hold("incoming", unforgotten, record=record)
        if self._remembers:
            # Where nothing was stored before, nothing can be missed.
            self.execute(
                "INSERT INTO seen SELECT {keys} FROM incoming "
                "WHERE survey_id IN (SELECT survey_id FROM walks WHERE had_rows)"
            )
        if self._hold("existing", "FROM {table} t SEMI JOIN incoming i ON {same_key}"):
            self._replace_changed()
        self.execute(
            "INSERT INTO {table} BY NAME SELECT *, $now AS synced_at FROM incoming i "
            "WHERE NOT EXISTS (FROM existing t WHERE {same_key})"
        )

    def _sources(self, columns: Iterable[Column]) -> str:
        return ", ".join(f"{column.source} AS {quote(column.name)}" for column in columns)

    def _replace_changed(self) -> None:
        table = self._table
        merged = ", ".join(
            # Removed at Hotjar may mean null or empty.
            f"CASE WHEN len(i.{column.name}) > 0 THEN i.{column.name} "
            f"ELSE coalesce(t.{column.name}, i.{column.name}) END AS {column.name}"
            if column.kept_when_removed
            else f"i.{column.name} AS {column.name}"
            for column in table.sourced
        )
        names = [column.name for column in table.sourced]
        differs = " OR ".join(f"n.{name} IS DISTINCT FROM n.t.{name}" for name in names)
        self._hold(
            "changed",
            f"FROM (SELECT {merged}, t FROM incoming i JOIN existing t ON {{same_key}}) n "
            f"WHERE n.t.deleted_at IS NOT NULL OR {differs}",
        )
        counted = "SELECT survey_id, count(*) FROM changed WHERE t.synced_at < $now GROUP BY ALL"
        for survey_id, count in self.execute(counted).fetchall():
            self.updated[survey_id] = self.updated.get(survey_id, 0) + count
        self.execute("DELETE FROM {table} t USING changed i WHERE {same_key}")
        # Columns that somebody added to the table by hand keep their values.
        others = "".join(f", t.{quote(name)} AS {quote(name)}" for name in self._others)
        self.execute(
            "INSERT INTO {table} BY NAME "
            f"SELECT * EXCLUDE (t), $now AS synced_at{others} FROM changed"
        )

    def begin(self, reads: Sequence[SurveyRead], before: Collection[str]) -> None:
        """Note what each walk covers, and from then on remember what it saw.

        Args:
            reads: The walks.
            before: The surveys that have rows already.
        """
        self._remembers = bool(before) or bool(self.one("SELECT count(*) FROM {forgotten}")[0])
        self.execute("CREATE OR REPLACE TEMP TABLE seen (survey_id VARCHAR, response_id VARCHAR)")
        self.execute(
            "CREATE OR REPLACE TEMP TABLE walks AS SELECT unnest($ids::VARCHAR[]) AS survey_id, "
            "unnest($platforms::VARCHAR[]) AS platform, "
            "unnest($tells::BOOLEAN[]) AS tells_deleted, unnest($settles::BOOLEAN[]) AS settles, "
            "unnest($before::BOOLEAN[]) AS had_rows, unnest($starts::TIMESTAMPTZ[]) AS started_at, "
            "unnest($floors::TIMESTAMPTZ[]) AS floor, unnest($oldest::TIMESTAMPTZ[]) AS oldest_at",
            ids=[read.survey_id for read in reads],
            platforms=[read.platform for read in reads],
            tells=[read.tells_deleted or read.is_removed for read in reads],
            settles=[read.settles or read.is_removed for read in reads],
            before=[read.survey_id in before for read in reads],
            starts=[read.started_at for read in reads],
            floors=[read.floor for read in reads],
            oldest=[read.oldest_at for read in reads],
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
            f"UPDATE {{table}} t SET deleted_at = $now, synced_at = $now FROM walks w "
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
            f"INSERT INTO {{unsettled}} SELECT DISTINCT survey_id, $now FROM walks w "
            "WHERE NOT w.settles AND w.survey_id NOT IN (SELECT survey_id FROM {unsettled}) "
            "AND (w.survey_id IN (SELECT unnest($unsettling::VARCHAR[])) "
            f"OR EXISTS (FROM {{table}} t WHERE {self._unseen}))",
            unsettling=[read.survey_id for read in unsettling],
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
