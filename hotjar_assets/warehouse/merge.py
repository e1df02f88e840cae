"""Merging spooled rows into a table: whoever reads them, they are stored by this."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from hotjar_assets.schema import Column, Table
from hotjar_assets.spool import SEGMENT_BYTES, Segment
from hotjar_assets.warehouse.database import (
    RowsRefusedError,
    columns_in,
    literal,
    qualified,
    quote,
)

_CHUNK_ROWS = 10_000
_BUFFER_BYTES = 1024 * 1024
_LONG_BYTES = 128 * 1024
"""Beyond this, DuckDB's parallel reader may refuse a file; the other one takes more memory."""


_VECTOR_ROWS = 2048
"""Rows that DuckDB handles at once, with all of their text in memory."""


def bytes_at_once(segments: Iterable[Segment]) -> int:
    """Return how much text DuckDB holds at once when these segments are committed, at most."""
    sizes = [(segment.path.stat().st_size / segment.rows, segment.rows) for segment in segments]
    held, free = 0.0, _VECTOR_ROWS
    for row_bytes, rows in sorted(sizes, reverse=True):
        held += row_bytes * min(rows, free)
        free = max(0, free - rows)
    return int(held)


def chunks(segments: Iterable[Segment], most_bytes: int = SEGMENT_BYTES) -> Iterator[list[Segment]]:
    """Group segments, in their order, to what one merge handles at a time."""
    chunk: list[Segment] = []
    rows = size = 0
    for segment in segments:
        rows, size = rows + segment.rows, size + segment.bytes
        if chunk and (rows > _CHUNK_ROWS or size > most_bytes):
            yield chunk
            chunk, rows, size = [], segment.rows, segment.bytes
        chunk.append(segment)
    if chunk:
        yield chunk


def unit_of(table: Table) -> str:
    """Return SQL for the key of the unit that a row belongs to, as text."""
    texts = [f"CAST({quote(name)} AS VARCHAR)" for name in table.unit]
    if len(texts) > 1:
        return f"CAST(to_json([{', '.join(texts)}]) AS VARCHAR)"
    return texts[0] if texts else "''"


def records(table: Table, segments: Sequence[Segment], *, of_keys: bool = False) -> str:
    """Return SQL for a relation of the spooled records, or of the fields that the key rests on.

    Read as CSV of one column, by separators that JSON escapes: `read_json` would take 36 MB of
    buffers.
    """
    files = ", ".join(literal(str(segment.path)) for segment in segments)
    longest = max(segment.longest for segment in segments)
    record = literal(_record_type(table, of_keys=of_keys))
    return (
        f"(SELECT unnest(from_json(line, {record})) FROM read_csv([{files}], "
        "columns = {'line': 'VARCHAR'}, auto_detect = false, "
        "header = false, delim = chr(30), quote = '', escape = '', "
        f"parallel = {longest <= _LONG_BYTES}, max_line_size = {longest}, "
        f"buffer_size = {max(_BUFFER_BYTES, 2 * longest)}))"
    )


def select_rows(table: Table, segments: Sequence[Segment]) -> str:
    """Return SQL for the rows that spooled records become."""
    columns = ", ".join(f"{column.source} AS {quote(column.name)}" for column in table.sourced)
    latest = ""
    if table.key and not _stands_once(table, segments):
        keys = ", ".join(map(quote, table.key))
        latest = (
            f"QUALIFY row_number() OVER (PARTITION BY {keys} "
            'ORDER BY "hotjar_assets:ordinal" DESC) = 1'
        )
    return f"SELECT {columns} FROM {records(table, segments)} {latest}"


def _stands_once(table: Table, segments: Sequence[Segment]) -> bool:
    """Tell whether no row can stand twice in the segments: each is all there is of its unit."""
    if any(segment.has_duplicates for segment in segments):
        return False
    units = {segment.unit for segment in segments}
    return len(segments) == 1 or (len(units) == len(segments) and table.keeps_units_apart)


def select_keys(table: Table, segments: Sequence[Segment]) -> str:
    """Return SQL for the keys of the rows that spooled records become, repeated ones included."""
    columns = ", ".join(f"{key.source} AS {quote(key.name)}" for key in _keys(table))
    return f"SELECT {columns or 'NULL'} FROM {records(table, segments, of_keys=True)}"


def _record_type(table: Table, *, of_keys: bool) -> str:
    """Return the type of a record; of the keys alone, it is parsed in a third of the time."""
    sources = " ".join(str(key.source) for key in _keys(table))
    wanted = {name: kind for name, kind in table.record.items() if not of_keys or name in sources}
    return json.dumps(wanted)


def _keys(table: Table) -> list[Column]:
    return [column for column in table.sourced if column.name in table.key]


class Merge:
    """Merges spooled rows into one table inside an open transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._names = {
            "table": qualified(connection, table.name, table.schema),
            "unit": unit_of(table),
            "same_key": " AND ".join(f"t.{quote(key)} = i.{quote(key)}" for key in table.key),
            # The instant of the commit, after any wait for the lock: a full walk that began before
            # it must not take these rows for ones it should have seen.
            "now": literal(datetime.now(UTC)),
        }
        declared = {column.name for column in table.columns}
        there = columns_in(connection, self._names["table"])
        self._others = [name for name in there if name not in declared]
        self.updated: dict[str, int] = {}
        self._begun: set[str] = set()
        self.stored_units: Collection[str] | None = None
        """The units that had rows; None: any may have had some."""
        self.has_forgotten = False
        """Whether some rows must not come back."""

    def execute(self, sql: str, **fragments: str) -> duckdb.DuckDBPyConnection:
        """Run one statement; `{table}`, `{now}` and fragments may stand in it."""
        return self._connection.execute(sql.format(**self._names, **fragments))

    def _hold(self, name: str, sql: str, **fragments: str) -> int:
        """Hold the rows of a query in a temporary table; return how many.

        One that is replaced keeps its room until the commit, but DuckDB moves it to the disk.
        """
        self.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", **fragments)
        return int(self.one(f"SELECT count(*) FROM {name}")[0])

    def one(self, sql: str) -> tuple[Any, ...]:
        """Return the only row of a query."""
        (row,) = self.execute(sql).fetchall()
        return row

    def count(self) -> int:
        """Count the rows of the table."""
        return int(self.one("SELECT count(*) FROM {table}")[0])

    def counts(self, units: Sequence[str], condition: str = "true") -> dict[str, int]:
        """Count rows by unit."""
        sql = (
            "SELECT {unit}, count(*) FROM {table} t WHERE {unit} IN "
            f"(SELECT unnest({{units}}::VARCHAR[])) AND {condition} GROUP BY ALL"
        )
        return dict(self.execute(sql, units=literal(units)).fetchall())

    def delete(self, units: Sequence[str]) -> None:
        """Delete every row of some units."""
        self.execute(
            "DELETE FROM {table} t WHERE {unit} IN (SELECT unnest({units}::VARCHAR[]))",
            units=literal(units),
        )

    def rows(self, segments: Sequence[Segment]) -> None:
        """Insert the rows that are new and replace those that changed.

        A value the API no longer gives is kept where the column says so, and a row that comes back
        loses its mark.

        Raises:
            RowsRefusedError: A row has no value in a column of the key.
        """
        table = self._table
        fragments = {
            "rows": select_rows(table, segments),
            "keys": select_keys(table, segments),
            "differs": self._differs,
            "is_stored": self.is_stored.format(**self._names),
        }
        self._refuse_missing_keys(segments)
        if not table.key or not self._can_meet(segments, fragments):
            self.execute(
                "INSERT INTO {table} BY NAME SELECT *, {now} AS synced_at FROM ({rows})",
                **fragments,
            )
            return
        self.arrived(segments)
        if not self._brings_news(fragments):
            return
        self._hold("incoming", "FROM ({rows}) i WHERE {is_stored}", **fragments)
        if self._hold("existing", "FROM {table} t SEMI JOIN incoming i ON {same_key}"):
            self._replace_changed()
        self.execute(
            "INSERT INTO {table} BY NAME SELECT *, {now} AS synced_at FROM incoming i "
            "WHERE NOT EXISTS (FROM existing t WHERE {same_key})"
        )

    def _can_meet(self, segments: Sequence[Segment], fragments: Mapping[str, str]) -> bool:
        """Tell whether a row may be in the table, or be one that must not come back."""
        units = {segment.unit for segment in segments}
        is_begun = not self._begun.isdisjoint(units)
        self._begun |= units
        if self.has_forgotten:
            return True
        if self.stored_units is not None:
            if not units.isdisjoint(self.stored_units):
                return True
            if not is_begun and self._table.keeps_units_apart:
                return False
        met = "FROM {table} t SEMI JOIN ({keys}) i ON {same_key}"
        return self._exists(met, fragments)

    is_stored = "true"
    """SQL that is true for rows `i` that are to be stored."""

    def arrived(self, segments: Sequence[Segment]) -> None:
        """Look at rows before they are merged."""

    def _brings_news(self, fragments: Mapping[str, str]) -> bool:
        """Tell whether any row is new or changed. Mostly none is, and nothing has to be held."""
        added = "FROM ({keys}) i ANTI JOIN {table} t ON {same_key} WHERE {is_stored}"
        changed = "FROM ({rows}) i JOIN {table} t ON {same_key} WHERE {differs}"
        return self._exists(added, fragments) or self._exists(changed, fragments)

    def _exists(self, rows: str, fragments: Mapping[str, str]) -> bool:
        found = self.execute(f"SELECT EXISTS ({rows})", **fragments).fetchall()
        return bool(found[0][0])

    def _refuse_missing_keys(self, segments: Sequence[Segment]) -> None:
        table = self._table
        for key in table.unsure:
            (source,) = (str(each.source) for each in table.columns if each.name == key)
            ((first,),) = self.execute(
                'SELECT min("hotjar_assets:ordinal") FROM {records} WHERE ({source}) IS NULL',
                records=records(table, segments),
                source=source,
            ).fetchall()
            if first is not None:
                raise RowsRefusedError(
                    f"{table.schema}.{table.name}: row {first + 1} has no value in {key}, a column "
                    "of the key; take another key (nothing was changed)"
                )

    @property
    def _merged(self) -> dict[str, str]:
        """Map columns to SQL for what they become where the row `i` meets the stored row `t`."""
        return {
            quote(column.name): _merged_value(quote(column.name), kept=column.kept_when_removed)
            for column in self._table.sourced
        }

    @property
    def _differs(self) -> str:
        """SQL that is true where the stored row `t` changes."""
        differs = [f"{sql} IS DISTINCT FROM t.{name}" for name, sql in self._merged.items()]
        # A field of that name, which a stream may have, is a value as any other.
        if any(each.name == "deleted_at" and not each.source for each in self._table.columns):
            differs.append("t.deleted_at IS NOT NULL")
        return f"({' OR '.join(differs)})"

    def _replace_changed(self) -> None:
        # Columns that somebody added to the table by hand keep their values.
        merged = self._merged | {quote(name): f"t.{quote(name)}" for name in self._others}
        self._hold(
            "changed",
            'SELECT {merged}, t.synced_at AS "hotjar_assets:stored_at" '
            "FROM incoming i JOIN existing t ON {same_key} WHERE {differs}",
            merged=", ".join(f"{sql} AS {name}" for name, sql in merged.items()),
            differs=self._differs,
        )
        counted = (
            "SELECT {unit}, count(*) FROM changed t "
            'WHERE "hotjar_assets:stored_at" < {now} GROUP BY ALL'
        )
        for unit, count in self.execute(counted).fetchall():
            self.updated[unit] = self.updated.get(unit, 0) + count
        self.execute("DELETE FROM {table} t USING changed i WHERE {same_key}")
        self.execute(
            'INSERT INTO {table} BY NAME SELECT * EXCLUDE ("hotjar_assets:stored_at"), '
            "{now} AS synced_at FROM changed"
        )


def _merged_value(name: str, *, kept: bool) -> str:
    """Return SQL for what a column of the row `i` becomes where the row `t` is stored."""
    if kept:
        # Removed at Hotjar may mean null or empty.
        return f"CASE WHEN len(i.{name}) > 0 THEN i.{name} ELSE coalesce(t.{name}, i.{name}) END"
    return f"i.{name}"
