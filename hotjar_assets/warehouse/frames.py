"""DataFrames of anybody's assets: replacing a table or some partitions of it, and loading them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.printable import counted
from hotjar_assets.warehouse.database import (
    Database,
    RowsRefusedError,
    add_columns,
    create_schema,
    has_table,
    literal,
    qualified,
    quote,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableSlice:
    """A table of anybody's asset, or some partitions of it.

    Attributes:
        schema: Its schema.
        table: Its name.
        expression: SQL expression that gives a row's partition; None for the whole table.
        keys: The partition keys.
        window: First instant, and the first one after it, instead of keys.
    """

    schema: str
    table: str
    expression: str | None = None
    keys: tuple[str, ...] = ()
    window: tuple[datetime, datetime] | None = None

    @property
    def condition(self) -> str:
        """SQL that is true for the rows of the slice."""
        if self.expression is None:
            return "true"
        if self.window:
            # DuckDB compares an instant with neither a text nor what pandas makes of a date.
            instant = f"TRY_CAST(({self.expression}) AS TIMESTAMPTZ)"
            # A column without a zone holds UTC, and the session's zone is UTC.
            begin, end = map(literal, self.window)
            return f"({instant} >= {begin} AND {instant} < {end})"
        keys = literal(self.keys)
        return f"CAST({self.expression} AS VARCHAR) IN (SELECT unnest({keys}::VARCHAR[]))"


def replace_rows(database: Database, part: TableSlice, frame: "pd.DataFrame") -> int:
    """Replace a slice by the rows of a frame, by column name, in one transaction.

    A missing table is created and a new column added; a column the frame lacks becomes null.

    Returns:
        The rows written.

    Raises:
        HotjarStoreError: A row belongs to another partition, or a value would change its
            meaning in the column's type. Nothing was changed.
    """
    with database.transaction() as connection:
        table = qualified(connection, part.table, part.schema)
        connection.register("frame", frame)
        given = _frame_types(connection, frame)
        create_schema(connection, part.schema)
        types = add_columns(connection, part.schema, part.table, given)
        _refuse_loss(connection, part, given, types)
        stray = f"SELECT count(*) FROM frame WHERE ({part.condition}) IS NOT TRUE"
        ((strays,),) = connection.execute(stray).fetchall()
        if strays:
            raise RowsRefusedError(
                f"{counted(strays, 'row')} for {part.schema}.{part.table} "
                f"{'belongs' if strays == 1 else 'belong'} to a partition that is not being "
                f"written ({part.expression}); nothing was changed"
            )
        connection.execute(f"DELETE FROM {table} WHERE {part.condition}")
        columns = ", ".join(
            f"CAST({quote(name)} AS {types[name]}) AS {quote(name)}" for name in given
        )
        connection.execute(f"INSERT INTO {table} BY NAME SELECT {columns} FROM frame")
    return len(frame)


def load_rows(
    database: Database, part: TableSlice, columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """Load a slice as a DataFrame.

    Raises:
        HotjarStoreError: There is no such table.
    """
    with database.reading() as connection:
        table = qualified(connection, part.table, part.schema) if connection else ""
        if connection is None or not has_table(connection, table):
            raise HotjarStoreError(
                f"{database.path} has no table {part.schema}.{part.table}; materialize it first"
            )
        names = ", ".join(map(quote, columns)) if columns else "*"
        return connection.execute(f"SELECT {names} FROM {table} WHERE {part.condition}").df()


def _frame_types(connection: duckdb.DuckDBPyConnection, frame: "pd.DataFrame") -> dict[str, str]:
    """Map the columns of the registered frame to DuckDB types; a column without values is text."""
    types = connection.execute("SELECT column_name, column_type FROM (DESCRIBE frame)").fetchall()
    return {
        name: "VARCHAR" if frame[name].dtype == object and frame[name].isna().all() else kind
        for name, kind in types
    }


def _refuse_loss(
    connection: duckdb.DuckDBPyConnection,
    part: TableSlice,
    given: Mapping[str, str],
    types: Mapping[str, str],
) -> None:
    """Refuse a frame with a value that the column's type would change, say 0.5 as integer."""
    for name, kind in given.items():
        if kind == types[name]:
            continue
        column = quote(name)
        kept = f"TRY_CAST(TRY_CAST({column} AS {types[name]}) AS {kind})"
        lost = f"SELECT count(*) FROM frame WHERE {kept} IS DISTINCT FROM CAST({column} AS {kind})"
        ((count,),) = connection.execute(lost).fetchall()
        if count:
            raise RowsRefusedError(
                f"column {name} of {part.schema}.{part.table} is {types[name]} and "
                f"{counted(count, 'value')} of type {kind} would change in it; cast them in the "
                "asset (nothing was changed)"
            )
