"""Tables of streams: what they hold of each unit, and committing walks through units."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from hotjar_assets.commits import Figures
from hotjar_assets.errors import HotjarLimitError, HotjarStoreError
from hotjar_assets.schema import Table
from hotjar_assets.spool import Segment
from hotjar_assets.streams.columns import UNKNOWN, wider_type
from hotjar_assets.streams.cursors import Value
from hotjar_assets.streams.making import Making, changes
from hotjar_assets.streams.sync import StreamRead, UnitState
from hotjar_assets.streams.tables import ORDINAL, StreamTable
from hotjar_assets.warehouse.compaction import note_compaction
from hotjar_assets.warehouse.database import (
    ROW_ERRORS,
    RowsRefusedError,
    add_columns,
    create_schema,
    literal,
    qualified,
    quote,
    tables_of,
)
from hotjar_assets.warehouse.merge import (
    Merge,
    chunks,
    records,
    unit_of,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCHS = {"timestamp": "epoch", "milliseconds": "epoch_ms"}
"""How DuckDB counts an instant in the units of a format."""
_NAMES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}


def types_of(connection: duckdb.DuckDBPyConnection, stream: StreamTable) -> dict[str, str]:
    """Map the columns of a stream's table to their types; empty if there is none."""
    there = tables_of(connection, stream.schema).get(stream.name, {})
    return {name: _NAMES.get(kind, kind) for name, kind in there.items()}


def unit_states(
    connection: duckdb.DuckDBPyConnection | None, stream: StreamTable
) -> dict[str, UnitState]:
    """Tell what a stream's table holds of each unit.

    Raises:
        HotjarStoreError: The stream would store other rows than those in the table.
    """
    there = types_of(connection, stream) if connection else {}
    if connection is None or not there:
        return {}
    require_fit(connection, stream, there)
    name = qualified(connection, stream.name, stream.schema)
    kind = there.get(stream.cursor or "")
    newest = _newest(stream, kind)
    rows = connection.execute(
        f"SELECT {unit_of(stream.table({}, there))}, count(*), {newest} FROM {name} t GROUP BY ALL"
    ).fetchall()
    is_instant = kind in {"TIMESTAMPTZ", "DATE"}
    return {
        unit: UnitState(count, _instant(newest) if is_instant else newest)
        for unit, count, newest in rows
    }


def _newest(stream: StreamTable, kind: str | None) -> str:
    """Return SQL for the newest value; one of the future would hide what comes before it."""
    given, cursor = stream.stream.incremental, stream.cursor
    if given is None or cursor is None or kind is None or kind == "JSON":
        return "NULL"
    column, now = f"t.{quote(cursor)}", literal(datetime.now(UTC))
    if kind in {"TIMESTAMPTZ", "DATE"}:
        instant = f"CAST({column} AS TIMESTAMPTZ)"
        return f"epoch_us(max({instant}) FILTER ({instant} BETWEEN '1900-01-01' AND {now}))"
    if kind in {"BIGINT", "DOUBLE"} and given.format in _EPOCHS:
        return f"max({column}) FILTER ({column} <= {_EPOCHS[given.format]}({now}))"
    return f"max({column})"


def _instant(microseconds: int | None) -> Value | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def parent_records(
    connection: duckdb.DuckDBPyConnection | None, parent: StreamTable, fields: Sequence[str]
) -> list[dict[str, Any]] | None:
    """List what a table holds of its records, each combination of the fields once.

    Args:
        connection: The database.
        parent: The table.
        fields: Fields of the record.

    Returns:
        The records, sorted, without the fields that have no column; None if there is no table.

    Raises:
        HotjarStoreError: The table is not as the stream makes it now.
    """
    there = types_of(connection, parent) if connection else {}
    if connection is None or not there:
        return None
    require_fit(connection, parent, there)
    names = sorted({name.partition(".")[0] for name in fields})
    columns = {name: parent.stored_column(name) for name in names}
    stored = {name: column for name, column in columns.items() if column in there}
    items = ", ".join(f"{quote(name)} := {quote(column)}" for name, column in stored.items())
    packed = f"struct_pack({items})" if items else "MAP {}"
    name = qualified(connection, parent.name, parent.schema)
    rows = connection.execute(
        f"SELECT DISTINCT CAST(to_json({packed}) AS VARCHAR) FROM {name} ORDER BY 1"
    ).fetchall()
    return [json.loads(text) for (text,) in rows]


def require_fit(
    connection: duckdb.DuckDBPyConnection, stream: StreamTable, there: Mapping[str, str]
) -> Making | None:
    """Make sure that what a stream stores fits the rows of its table; return how that was made.

    Raises:
        HotjarStoreError: It does not; says what changed, and what to run.
    """
    if not there:
        return None
    noted = Making.parse(_comment(connection, stream))
    foreign = _foreign(connection, stream)
    ours = [name for name in there if name not in foreign] or list(there)
    found = list(changes(stream, noted, ours))
    if found:
        raise HotjarStoreError(
            f"{stream.schema}.{stream.name} was changed in a way that does not fit its rows: "
            f"{'; '.join(found)}; run {reload_command(stream)}, which reads everything and "
            "replaces the table, or undo the change (nothing was changed)"
        )
    return noted


def reload_command(stream: StreamTable) -> str:
    """Return the command that makes a stream's table again."""
    return f"`hotjar-assets streams reload {stream.schema}.{stream.name}`"


def reload_units(
    connection: duckdb.DuckDBPyConnection, stream: StreamTable, reads: Sequence[StreamRead]
) -> dict[str, Figures]:
    """Replace a stream's table by walks through all of its units, inside an open transaction.

    Raises:
        HotjarStoreError: There is a table with rows, and none was read.
    """
    name = qualified(connection, stream.name, stream.schema)
    if types_of(connection, stream):
        is_empty = not any(read.segments for read in reads)
        if is_empty and connection.execute(f"FROM {name} LIMIT 1").fetchone():
            raise HotjarStoreError(
                f"{stream.schema}.{stream.name}: the API gave no rows, and the table has some; "
                "drop the table if that is right (nothing was changed)"
            )
        noted = Making.parse(_comment(connection, stream))
        if noted is None or noted.replaced != Making.of(stream, ()).replaced:
            # The blocks that become free hold personal data as it was stored before.
            note_compaction(connection, is_due=True)
        connection.execute(f"DROP TABLE {name}")
    return commit_units(connection, stream, reads)


def _comment(connection: duckdb.DuckDBPyConnection, stream: StreamTable) -> str | None:
    rows = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() "
        f"AND schema_name = {literal(stream.schema)} AND table_name = {literal(stream.name)}"
    ).fetchall()
    return next((comment for (comment,) in rows), None)


def _note(connection: duckdb.DuckDBPyConnection, stream: StreamTable, noted: Making | None) -> None:
    """Note with the table how it is made."""
    foreign = _foreign(connection, stream)
    there = [name for name in types_of(connection, stream) if name not in foreign]
    making = Making.of(stream, there).after(noted, there)
    if making != noted:
        name = qualified(connection, stream.name, stream.schema)
        connection.execute(f"COMMENT ON TABLE {name} IS {literal(making.comment)}")


def commit_units(
    connection: duckdb.DuckDBPyConnection, stream: StreamTable, reads: Sequence[StreamRead]
) -> dict[str, Figures]:
    """Merge or replace units inside an open transaction.

    Raises:
        HotjarStoreError: Rows that a walk rests on are gone, or a column cannot be what it must.
    """
    there = types_of(connection, stream)
    noted = require_fit(connection, stream, there)
    found = _found(reads)
    foreign = _foreign(connection, stream)
    table = stream.table(found, there, foreign=foreign)
    units = [read.key for read in reads]
    is_typed = all(
        found.get(name, UNKNOWN) != UNKNOWN
        for name in {*table.key, *table.unit} & table.record.keys() - stream.declared.keys()
    )
    if not (there or is_typed or any(read.segments for read in reads)):
        # Nothing is known yet of what identifies a row: the first record will tell its type.
        return dict.fromkeys(units, Figures())
    try:
        stream.check_columns(len({*there, *(column.name for column in table.columns)}))
    except HotjarLimitError as error:
        raise RowsRefusedError(f"{error} (nothing was changed)") from None
    create_schema(connection, stream.schema)
    types = {column.name: column.type for column in table.columns}
    _change_types(connection, stream, types, there)
    add_columns(connection, stream.schema, stream.name, types)
    _sign_columns(connection, table, foreign | types.keys() - there.keys())
    _note(connection, stream, noted)
    merge = Merge(connection, table)
    before = merge.counts(units)
    for read in reads:
        if read.resumed and not before.get(read.key):
            raise HotjarStoreError(
                f"{stream.schema}.{stream.name} lost rows while it was read, and what was read "
                "rests on them; sync again (nothing was changed)"
            )
    if not table.key:
        merge.delete(units)
    segments = (segment for read in reads for segment in read.segments)
    for chunk in chunks(segments, stream.segment_bytes):
        try:
            merge.rows(chunk)
        except ROW_ERRORS:
            problem = refused_column(table, chunk)
            if problem is None:
                raise
            raise RowsRefusedError(problem) from None
    after = merge.counts(units)
    return {
        unit: Figures(
            rows=after.get(unit, 0),
            new=after.get(unit, 0) - (before.get(unit, 0) if table.key else 0),
            updated=merge.updated.get(unit, 0),
        )
        for unit in units
    }


def _found(reads: Sequence[StreamRead]) -> dict[str, str]:
    found: dict[str, str] = {}
    for read in reads:
        for column, kind in read.found.items():
            found[column] = wider_type(found.get(column, UNKNOWN), kind)
    return found


def _sign_columns(
    connection: duckdb.DuckDBPyConnection, table: Table, names: Collection[str]
) -> None:
    """Give columns a comment, by which they are known from those that somebody adds by hand."""
    name = qualified(connection, table.name, table.schema)
    for column in table.columns:
        if column.name in names:
            comment = literal(column.description or "A field of the record.")
            connection.execute(f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {comment}")


def _foreign(connection: duckdb.DuckDBPyConnection, stream: StreamTable) -> set[str]:
    """List the columns that somebody else added to a stream's table."""
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
        f"AND schema_name = {literal(stream.schema)} AND table_name = {literal(stream.name)} "
        "AND comment IS NULL"
    ).fetchall()
    return {name for (name,) in rows}


def _change_types(
    connection: duckdb.DuckDBPyConnection,
    stream: StreamTable,
    types: Mapping[str, str],
    there: Mapping[str, str],
) -> None:
    """Give stored columns the types that are wanted now.

    Raises:
        RowsRefusedError: A stored value would be lost.
    """
    name = qualified(connection, stream.name, stream.schema)
    for column, kind in types.items():
        stored = there.get(column, kind)
        if stored == kind:
            continue
        converted = _converted(quote(column), stored, kind)
        kept = _is_kept(quote(column), stored, kind)
        if column in {*stream.key, *stream.unit} and stored not in {"BIGINT", "JSON"}:
            # Another spelling of the same value would be another row.
            is_same = f"CAST(TRY_CAST({quote(column)} AS {kind}) AS VARCHAR) = {quote(column)}"
            kept = is_same if stored == "VARCHAR" else "false"
        try:
            ((lost,),) = connection.execute(
                f"SELECT count(*) FROM {name} WHERE NOT ({kept})"
            ).fetchall()
        except ROW_ERRORS:
            # No value of the one type can be one of the other.
            lost = "the"
        if lost:
            raise RowsRefusedError(
                f"column {column} of {stream.schema}.{stream.name} is {stored}, the stream makes "
                f"it {kind}, which {lost} stored values do not survive; run "
                f"{reload_command(stream)}, which reads everything and replaces the table, or "
                "declare another type (nothing was changed)"
            )
        connection.execute(
            f"ALTER TABLE {name} ALTER COLUMN {quote(column)} TYPE {kind} USING {converted}"
        )


def _is_kept(column: str, stored: str, kind: str) -> str:
    """Return SQL that is true of a stored value which another type can hold."""
    if kind in {"JSON", "VARCHAR"}:
        return "true"
    if stored in {"BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ"}:
        same = f"TRY_CAST(TRY_CAST({column} AS {kind}) AS {stored})"
        return f"{same} IS NOT DISTINCT FROM {column}"
    text = f"{column} ->> '$'" if stored == "JSON" else column
    return f"TRY_CAST({text} AS {kind}) IS NOT NULL OR {column} IS NULL"


def _converted(column: str, stored: str, kind: str) -> str:
    """Return SQL for a stored value in another type, written as the API would write it."""
    if stored == "JSON" and kind != "JSON":
        return f"CAST({column} ->> '$' AS {kind})"
    if stored == "TIMESTAMPTZ" and kind in {"VARCHAR", "JSON"}:
        column = f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f"to_json({column})" if kind == "JSON" else f"CAST({column} AS {kind})"


def refused_column(table: Table, segments: Sequence[Segment]) -> str | None:
    """Find the computed column that cannot be had from some rows, and say so; None if all can."""
    # By default, what does not fit into memory goes to the folder the process was started in.
    spool = str(segments[0].path.parent)
    with duckdb.connect(config={"temp_directory": spool}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for column in table.columns:
            if column.source in {None, quote(column.name)}:
                continue
            try:
                connection.execute(f"SELECT count({column.source}) FROM {records(table, segments)}")
            except ROW_ERRORS as error:
                return (
                    f"{table.schema}.{table.name}: the computed column {column.name} cannot be "
                    f"had ({_reason(error)}); check its sql and type against the columns "
                    f"{', '.join(sorted(table.record.keys() - {ORDINAL}))} (nothing was changed)"
                )
    return None


def _reason(error: duckdb.Error) -> str:
    # These speak of the expression alone, the others may quote a value.
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException):
        return str(error).partition("\n")[0].strip()
    return type(error).__name__
