"""What a stream computes: checked to be one expression, and tried on some records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from hotjar_assets.errors import HotjarConfigError, HotjarStoreError
from hotjar_assets.privacy import Privacy
from hotjar_assets.spool import SpoolWriter
from hotjar_assets.streams.loading import StreamsFolder, load_folder
from hotjar_assets.streams.spec import Source, Stream
from hotjar_assets.streams.tables import RecordLines, StreamTable
from hotjar_assets.warehouse.database import ROW_ERRORS
from hotjar_assets.warehouse.merge import select_rows
from hotjar_assets.warehouse.row_expressions import problem_of
from hotjar_assets.warehouse.units import refused_column


def check_expressions(stream: StreamTable) -> None:
    """Make sure that each computed column of a stream is one expression over a row's columns.

    Raises:
        HotjarConfigError: Names stream and column.
    """
    for name, computed in stream.stream.transform.computed.items():
        problem = problem_of(computed.sql)
        if problem:
            raise HotjarConfigError(
                f"{stream.schema}.{stream.name}",
                f"transform.computed.{name}.sql {problem}; write one DuckDB expression over the "
                "columns of the row",
            )


def load_checked_folder(folder: Path) -> StreamsFolder:
    """Read the sources of a folder; one whose computed columns are no expressions is a mistake."""
    loaded = load_folder(folder)
    for path, source in list(loaded.sources.items()):
        try:
            for stream in source.streams:
                check_expressions(StreamTable.of(source, stream.name))
        except HotjarConfigError as error:
            loaded.mistakes[path] = error
            del loaded.sources[path]
    return loaded


@dataclass(frozen=True)
class Preview:
    """Rows as a stream's table would hold them.

    Attributes:
        types: The columns and their DuckDB types, in order.
        rows: The rows, as long as `types`.
    """

    types: dict[str, str]
    rows: list[tuple[Any, ...]]


def preview(
    source: Source,
    stream: Stream,
    rows: Iterable[Mapping[str, Any]],
    privacy: Privacy = Privacy(),  # noqa: B008 - frozen
) -> Preview:
    """Apply a stream's transform to some records, in memory.

    Args:
        source: The source.
        stream: One of its streams.
        rows: Records, with the columns of `parent.fields` and `metadata` beside their fields.
        privacy: What becomes of personal values.

    Raises:
        HotjarConfigError: A computed column is no expression, or `personal` cannot be applied.
        HotjarSchemaError: A value does not fit the declared type of its column.
        HotjarStoreError: A computed column cannot be had from these records.
    """
    table = StreamTable.of(source, stream.name, privacy)
    check_expressions(table)
    table.check_personal()
    with TemporaryDirectory() as folder:
        spool = SpoolWriter(Path(folder))
        found: dict[str, str] = {}
        for row in rows:
            metadata = {name: row.get(name) for name in table.metadata}
            parent = {name: row.get(name) for name in table.inherited}
            around = {*metadata, *parent}
            record = {name: value for name, value in row.items() if name not in around}
            lines = RecordLines(table, parent, found)
            spool.append(lines.encode([record], spool.ordinal, metadata), 1)
        spool.close()
        stored = table.table(found)
        types = {column.name: column.type for column in stored.sourced}
        if not spool.segments:
            return Preview(types, [])
        with duckdb.connect(config={"temp_directory": folder}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            columns = ", ".join(
                # As text, an instant needs no pytz.
                f"CAST(#{n} AS VARCHAR)" if kind == "TIMESTAMPTZ" else f"#{n}"
                for n, kind in enumerate(types.values(), 1)
            )
            try:
                result = connection.execute(
                    f"SELECT {columns} FROM ({select_rows(stored, spool.segments)} "
                    'ORDER BY "hotjar_assets:ordinal")'
                ).fetchall()
            except ROW_ERRORS:
                problem = refused_column(stored, spool.segments)
                if problem is None:
                    raise
                raise HotjarStoreError(problem) from None
    return Preview(types, result)
