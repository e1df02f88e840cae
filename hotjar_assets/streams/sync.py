"""Reading a stream: which parents, from where on, and when to stop. No Dagster and no database.

The walk of a stream, or of the children of one parent, is handed over only when it is complete.
Reading begins at the watermark, the newest value of the incremental field *in the table*, minus
the lookback. Where the API cannot filter, it must give the newest records first, and the walk ends
with the first page whose oldest record is strictly older.
"""

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hotjar_assets.api.transport import RequestCount
from hotjar_assets.commits import Figures, commit_groups
from hotjar_assets.errors import (
    HotjarConfigError,
    HotjarError,
    HotjarNotFoundError,
    HotjarStoreError,
)
from hotjar_assets.printable import get_logger
from hotjar_assets.readers import Client, NewestFirst, Read, Readers, Turns
from hotjar_assets.spool import SpoolWriter
from hotjar_assets.streams.cursors import Value, are_alike, comparable, minus_seconds
from hotjar_assets.streams.named_fields import NamedFields
from hotjar_assets.streams.spec import Source, Stream
from hotjar_assets.streams.tables import RecordLines, StreamTable, parent_fields
from hotjar_assets.streams.templates import as_text

logger = get_logger(__name__)

_SPOOLED_BYTES = 1024**2
"""About how much of a page is held as lines at once."""


class Page(Protocol):
    """What one request gave."""

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records, in the API's order."""

    @property
    def unanswered(self) -> Mapping[str, tuple[str, str]]:
        """What `pagination` names and the answer lacks, and what it may mean."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Values from the root of the answer, by column."""

    @property
    def flattened(self) -> Collection[str]:
        """Fields of the stream's `flatten` that a record had."""


class StreamClient(Client, Protocol):
    """What reads a source: `hotjar_assets.streams.reading.SourceClient`."""

    source: Source

    def iter_pages(
        self,
        stream: Stream,
        *,
        parent: Mapping[str, Any] | None = None,
        since: Value | None = None,
        count: RequestCount | None = None,
        folder: Path | None = None,
    ) -> Iterator[Page]:
        """Read a stream, for one parent where it has some; a long answer waits in the folder."""

    def close(self) -> None:
        """Close the connections."""

    def start_of(self, stream: Stream, parent: Mapping[str, Any] | None = None) -> Value | None:
        """Return the value from which a stream is read first."""


@dataclass(frozen=True)
class UnitState:
    """What the table holds of one parent's children, or of a stream without parent.

    Attributes:
        rows: Its rows.
        watermark: Newest value of the incremental field, not later than now; None where there is
            none, and then everything is read.
    """

    rows: int = 0
    watermark: Value | None = None


@dataclass(frozen=True)
class Unit:
    """What is read and committed whole: the children of one parent, or all of a stream.

    Attributes:
        key: Text that names it; "" for all of a stream.
        columns: Values of the columns that name the parent, personal ones replaced.
        parent: Fields of the parent's record.
    """

    key: str = ""
    columns: Mapping[str, int | str] = field(default_factory=dict)
    parent: Mapping[str, Any] | None = None


@dataclass
class StreamRead(Read):
    """One finished walk.

    Attributes:
        found: Types met in columns that are not declared.
        resumed: Whether it began at a watermark, and so rests on the rows that are stored.
    """

    found: dict[str, str] = field(default_factory=dict)
    resumed: bool = False


class StreamStore(Protocol):
    """Where streams are stored: `hotjar_assets.warehouse.Warehouse`."""

    def stream_parents(
        self, parent: StreamTable, fields: Sequence[str]
    ) -> Sequence[Mapping[str, Any]] | None:
        """List the records of a parent stream; None if it has no table."""

    def stream_states(self, stream: StreamTable) -> Mapping[str, UnitState]:
        """Tell what is held of each unit."""

    def spool(self) -> AbstractContextManager[Path]:
        """Give a folder for rows that wait to be committed; it is gone afterwards."""

    def commit_stream(
        self, stream: StreamTable, reads: Sequence[StreamRead]
    ) -> Mapping[str, Figures | HotjarStoreError]:
        """Store finished walks, each whole or not at all; tell what was done, by unit."""

    def reload_stream(
        self, stream: StreamTable, reads: Sequence[StreamRead]
    ) -> Mapping[str, Figures]:
        """Replace a table by finished walks, in one transaction; tell what was done, by unit."""


@dataclass
class StoredUnits:
    """What became of the units of a sync.

    Attributes:
        walks: The stored ones: their walks, and what their commits did.
        gone: The walks of parents that are gone from the API.
        failed: Why the others are not stored.
    """

    walks: dict[str, tuple[StreamRead, Figures]] = field(default_factory=dict)
    gone: dict[str, StreamRead] = field(default_factory=dict)
    failed: dict[str, HotjarError] = field(default_factory=dict)

    def add(self, read: StreamRead, result: Figures | HotjarError) -> None:
        """Add a walk."""
        if read.skipped:
            self.gone[read.key] = read
        elif isinstance(result, Figures):
            self.walks[read.key] = read, result
        else:
            self.failed[read.key] = result


@dataclass(frozen=True)
class StreamSync:
    """Read one stream.

    Attributes:
        client: The source.
        table: How it is stored.
        keys: Units to read; None for all.
        report: Called with the figures by unit when all units are stored; None where the figures
            of the whole table are wanted.
        set_version: Called with the data version of the table when all units are stored.
    """

    client: StreamClient
    table: StreamTable
    keys: Sequence[str] | None = None
    report: Callable[[Mapping[str, Mapping[str, Any]]], None] | None = None
    set_version: Callable[[str], None] = lambda _version: None

    @property
    def stream(self) -> Stream:
        """The stream."""
        return self.table.stream

    @property
    def parent_table(self) -> StreamTable | None:
        """How the parent is stored."""
        parent = self.stream.parent
        if parent is None:
            return None
        return StreamTable.of(self.client.source, parent.stream, self.table.privacy)

    def units(self, parents: Iterable[Mapping[str, Any]] | None) -> list[Unit]:
        """List what is to be read.

        Args:
            parents: The parents' records as their table gives them; None reads them from the API.

        Raises:
            HotjarApiError: The parents could not be read.
            HotjarConfigError: `parent.fields` does not tell two parents apart, or `personal` cannot
                be applied.
        """
        self.table.check_personal()
        above = self.parent_table
        # Requests are made of clear text: where the table has none, the API is asked again.
        if parents is None or above is None or above.replaces_any(parent_fields(self.stream)):
            units = units_read(self.client, self.table)
        else:
            units = units_of(self.table, parents)
        wanted = None if self.keys is None else set(self.keys)
        return [unit for unit in units if wanted is None or unit.key in wanted]

    def run(self, store: StreamStore) -> StoredUnits:
        """Read the units and store them as they arrive.

        Returns:
            What became of each unit; an error that ended everything is that of each unit which was
            not finished by then.

        Raises:
            HotjarError: What is to be read cannot be told.
        """
        table, stored = self.table, StoredUnits()
        # First of all: a table that does not fit is refused before any request.
        states = store.stream_states(table)
        units = self.units(self._parents(store))

        def commit(reads: Sequence[StreamRead]) -> Mapping[str, Figures | HotjarStoreError]:
            kept = {read.key: Figures() for read in reads if read.skipped}
            rest = [read for read in reads if not read.skipped]
            return {**kept, **store.commit_stream(table, rest)}

        try:
            with store.spool() as folder:
                groups = self.read(units, states, folder)
                for read, result in commit_groups(groups, commit, f"units of {table.name}"):
                    stored.add(read, result)
        except HotjarError as error:
            done = {*stored.walks, *stored.gone, *stored.failed}
            stored.failed |= {unit.key: error for unit in units if unit.key not in done}
        if not stored.walks:
            # Where no parent at all is found, it is the path that is wrong.
            stored.failed |= {key: read.error for key, read in stored.gone.items() if read.error}
        return stored

    def reload(self, store: StreamStore) -> StoredUnits:
        """Read everything from the beginning, and replace the table in one transaction.

        Returns:
            What became of each unit; parents that are gone from the API have no rows any more.

        Raises:
            HotjarError: The table is as it was: a unit could not be read, or the rows not stored.
        """
        stored = StoredUnits()
        with store.spool() as folder:
            units = self.units(self._parents(store))
            with closing(self.read(units, {}, folder)) as groups:
                reads = [read for group in groups for read in group]
            failed = next((read.error for read in reads if read.error and not read.skipped), None)
            if failed:
                raise failed
            whole = [read for read in reads if not read.skipped]
            figures = store.reload_stream(self.table, whole)
        for read in reads:
            stored.add(read, figures.get(read.key, Figures()))
        return stored

    def _parents(self, store: StreamStore) -> Sequence[Mapping[str, Any]] | None:
        above = self.parent_table
        return store.stream_parents(above, parent_fields(self.stream)) if above else None

    def read(
        self, units: Sequence[Unit], states: Mapping[str, UnitState], spool_folder: Path
    ) -> Generator[list[StreamRead], None, None]:
        """Read the units concurrently.

        Args:
            units: What to read.
            states: What the table holds, by unit.
            spool_folder: Where the rows of finished walks wait; the caller deletes it.

        Yields:
            Groups of finished walks, each unit exactly once, failed ones with their error.
            Reading goes on while the caller handles a group; it may delete the group's segments.
        """
        named = NamedFields(self.table.schema, self.stream)
        readers: Readers[Unit, StreamRead] = Readers(
            self.client,
            lambda unit, turns: self._walk(
                unit, states.get(unit.key, UnitState()), spool_folder, turns, named
            ),
            lambda unit, error: StreamRead(unit.key, datetime.now(UTC), error=error),
            self.client.source.concurrency,
            spool_folder,
        )
        yield from readers.read(units)
        named.warn()

    def _walk(
        self, unit: Unit, state: UnitState, spool_folder: Path, turns: Turns, named: NamedFields
    ) -> StreamRead:
        read = StreamRead(unit.key, datetime.now(UTC))
        count, spool = (
            RequestCount(),
            SpoolWriter(spool_folder, segment_bytes=self.table.segment_bytes),
        )
        lines = RecordLines(self.table, unit.columns)
        try:
            since = self._since(unit, state)
            read.resumed = state.watermark is not None
            pages = self.client.iter_pages(
                self.stream, parent=unit.parent, since=since, count=count, folder=spool_folder
            )
            self._read_pages(read, since, spool, lines, _noted(turns.taken(pages), named))
        except HotjarNotFoundError as error:
            if unit.parent is None:
                read.error = error
            else:
                read.skipped, read.error = _GONE, None if state.rows else error
        except HotjarError as error:
            read.error = error
        finally:
            spool.close()
        if read.error or read.skipped:
            spool.discard()
        read.segments = spool.segments
        read.found = lines.found
        read.requests = count.sent
        return read

    def _since(self, unit: Unit, state: UnitState) -> Value | None:
        """Return the value from which on to read; None reads all."""
        given = self.stream.incremental
        if given is None:
            return None
        if state.watermark is None:
            start: Value | None = comparable(self.client.start_of(self.stream, unit.parent))
            return start
        return minus_seconds(state.watermark, given.lookback_seconds, given.format, self.stream)

    def _read_pages(
        self,
        read: StreamRead,
        since: Value | None,
        spool: SpoolWriter,
        lines: RecordLines,
        pages: Iterable[Page],
    ) -> None:
        given = self.stream.incremental
        name = f"{self.table.schema}.{self.table.name} {read.key}".rstrip()
        order = NewestFirst(name, since)
        is_comparable = True
        for page in pages:
            read.pages += 1
            records, is_past = page.records, False
            if given is not None and given.parameter is None:
                values = [comparable(record.get(given.cursor)) for record in records]
                # A value that cannot be compared proves nothing: then all is read.
                is_comparable = is_comparable and all(are_alike(value, since) for value in values)
                is_past = is_comparable and order.see(values)
                read.out_of_order = order.out_of_order or not is_comparable
                if not read.resumed and is_comparable and since is not None:
                    # Before the start, nothing is wanted.
                    records = [
                        record
                        for record, value in zip(records, values, strict=True)
                        if value >= since
                    ]
            self._spool(records, page.metadata, spool, lines)
            if is_past:
                read.stopped_early = True
                break

    def _spool(
        self,
        records: Sequence[Mapping[str, Any]],
        metadata: Mapping[str, Any],
        spool: SpoolWriter,
        lines: RecordLines,
    ) -> None:
        """Write the records of a page, as many at once as are about `_SPOOLED_BYTES`."""
        start, most = 0, 10
        while start < max(1, len(records)):
            part = records[start : start + most]
            encoded = lines.encode(part, spool.ordinal, metadata)
            spool.append(encoded, len(part))
            start += most
            most = max(1, most * _SPOOLED_BYTES // max(_SPOOLED_BYTES // 100, len(encoded)))


def _noted(pages: Iterable[Page], named: NamedFields) -> Iterator[Page]:
    for page in pages:
        named.see(page.records, page.flattened, page.unanswered)
        yield page


_GONE = "the parent is gone from the API"


def units_read(client: StreamClient, table: StreamTable) -> Iterator[Unit]:
    """Yield the units of a stream, its parents read from the API, through all generations."""
    if table.stream.parent is None:
        yield Unit()
        return
    # Of the parents, the clear text is needed, whatever is stored of it.
    above = StreamTable.of(client.source, table.stream.parent.stream).in_clear
    records = (
        {**unit.columns, **page.metadata, **record}
        for unit in units_read(client, above)
        for page in client.iter_pages(above.stream, parent=unit.parent)
        for record in page.records
    )
    yield from units_of(table, records)


def units_of(table: StreamTable, parents: Iterable[Mapping[str, Any]]) -> Iterator[Unit]:
    """Yield the units of a child from its parents' records, in their order.

    Raises:
        HotjarConfigError: Two parents that are requested differently share the columns that should
            tell them apart; a field of `parent.fields` is an array or object; or no parent has it.
    """
    parent = table.stream.parent
    fields = parent.fields if parent else {}
    needed = {name.partition(".")[0] for name in parent_fields(table.stream)}
    units: dict[str, Unit] = {}
    without, presence = 0, {name: set[bool | None]() for name in fields.values()}
    for record in parents:
        for name, known in presence.items():
            known.add(_has_field(record, name))
        values = {column: _of_record(record, name) for column, name in fields.items()}
        if any(value is None for value in values.values()):
            without += 1
            continue
        columns = {
            column: table.protect(column, _identifier(table, column, value))
            for column, value in values.items()
        }
        key = unit_key(columns[column] for column in table.unit)
        unit = Unit(key, columns, {name: record.get(name) for name in needed})
        if key not in units:
            units[key] = unit
            yield unit
        elif units[key] != unit:
            raise HotjarConfigError(
                f"{table.schema}.{table.name}",
                "parent.fields does not tell the parents apart: two of them share its values and "
                "are requested differently; add the field that differs",
            )
    absent = [name for name, known in presence.items() if known & {True, False} == {False}]
    if absent:
        raise HotjarConfigError(
            f"{table.schema}.{table.name}",
            f"no parent has a field {absent[0]}, so none can be read; in parent.fields the column "
            "of this stream comes first, then the field of the parent: {order_id: id}",
        )
    if without:
        logger.warning(
            "%s.%s: %d parents lack a field of parent.fields and are not read",
            table.schema,
            table.name,
            without,
        )


def unit_key(values: Iterable[int | str]) -> str:
    """Return the text that names a unit: the value, or a JSON array of several."""
    texts = [str(value) for value in values]
    if len(texts) == 1:
        return texts[0]
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def _of_record(record: Mapping[str, Any], name: str) -> Any:
    value: Any = record
    if name in record:
        return record[name]
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _has_field(record: Mapping[str, Any], name: str) -> bool | None:
    """Tell whether a record has a field; None where an object that would hold it is null."""
    value: Any = record
    for part in [name] if name in record else name.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _identifier(table: StreamTable, column: str, value: Any) -> int | str:
    if isinstance(value, list | dict):
        what = "an array" if isinstance(value, list) else "an object"
        raise HotjarConfigError(
            f"{table.schema}.{table.name}",
            f"parent.fields.{column} is {what} in a parent; name a single value (of an object: "
            "`object.field`)",
        )
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer else as_text(value)
