"""A source, a database file, and the loop that the I/O manager runs over them, without Dagster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from hotjar_assets.errors import HotjarError
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable, parent_fields
from hotjar_assets.warehouse import Figures, Warehouse

Outcome = Figures | HotjarError


def source_of(url: str, *streams: dict[str, Any], **fields: Any) -> Source:
    """Return a source named acme."""
    described = {"name": "acme", "base_url": url, "requests_per_minute": 1_000_000, **fields}
    return Source.model_validate({**described, "streams": list(streams)})


def orders(**fields: Any) -> dict[str, Any]:
    """Describe a stream of one page."""
    return {"name": "orders", "path": "/orders", "primary_key": ["id"], **fields}


class StreamStore:
    """Reads streams into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warehouse = Warehouse(path)

    def sync(
        self, client: SourceClient, name: str, keys: Sequence[str] | None = None
    ) -> dict[str, Outcome]:
        """Read and store one stream; tell what became of each unit."""
        table = StreamTable.of(client.source, name)
        sync = StreamSync(client, table, keys)
        above = sync.parent_table
        fields = parent_fields(table.stream)
        parents = self.warehouse.stream_parents(above, fields) if above else None
        outcomes: dict[str, Outcome] = {}
        with self.warehouse.spool() as folder:
            states = self.warehouse.stream_states(table)
            for group in sync.read(sync.units(parents), states, folder):
                whole = [read for read in group if not read.error and not read.skipped]
                outcomes |= self.warehouse.commit_stream(table, whole)
                outcomes |= {read.key: read.error for read in group if read.error}
        return outcomes

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the file."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET python_enable_replacements = false")
            return connection.execute(sql).fetchall()

    def types(self, table: str) -> dict[str, str]:
        """Map the columns of a table to their types."""
        rows = self.query(f"SELECT column_name, column_type FROM (DESCRIBE {table})")
        return dict(rows)
