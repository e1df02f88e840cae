"""From an asset's output to its table, through the warehouse, and back to a DataFrame.

An output may be one of our syncs, which is read and committed here while it streams, or a plain
pandas DataFrame of anybody's asset, which replaces its partitions (or the table) in one transaction
and by column name. The asset key names the table: its last part, in the schema before it.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster_duckdb_pandas import DuckDBPandasIOManager
from pydantic import Field

from hotjar_assets.config import (
    Settings,
    default_database,
    environment_variable,
    is_sandbox,
    set_names,
    wanted_source,
)
from hotjar_assets.errors import HotjarApiError, HotjarError, HotjarStoreError
from hotjar_assets.readers import ReadT
from hotjar_assets.resources import as_failure, failure
from hotjar_assets.schema import Table
from hotjar_assets.streams.sync import StreamRead, StreamSync
from hotjar_assets.streams.tables import StreamTable, parent_fields
from hotjar_assets.sync import Depth, ResponseSync, SurveyRead, SurveySync
from hotjar_assets.warehouse import Figures, Health, TableSlice, Warehouse

logger = logging.getLogger(__name__)

_FAILURES_SHOWN = 20
ROW_COUNT = "dagster/row_count"
PARTITION_ROW_COUNT = "dagster/partition_row_count"
RESPONSES_COUNTED = "responses_counted"
"""Metadata of a partition that was read whole: how many responses the API has."""
FAILED_SURVEYS = "failed_surveys"
"""Metadata of a failed step: survey id to what happened."""
FAILED_PARENTS = "failed_parents"
"""Metadata of a failed step: unit to what happened."""


class HotjarDuckDBIOManager(DuckDBPandasIOManager):
    """The DuckDB I/O manager with transactions, merging and streaming.

    Configured like `DuckDBPandasIOManager`. What differs: every write is one transaction, columns
    go by name, a column that is new is added, another process that holds the file is waited for
    and named, and the outputs of this package stream through it.
    """

    lock_timeout_seconds: int = Field(
        default=Settings.model_fields["lock_timeout_seconds"].default,
        description=Settings.model_fields["lock_timeout_seconds"].description,
    )

    @classmethod
    def from_environment(cls) -> "HotjarDuckDBIOManager":
        """Name the environment variables that are set; Dagster reads them when a run starts."""
        present = set_names()
        given: dict[str, Any] = {
            "database": default_database(sandbox=is_sandbox(), source=wanted_source())
        }
        if "database" in present:
            given["database"] = dg.EnvVar(environment_variable("database"))
        if "lock_timeout_seconds" in present:
            variable = environment_variable("lock_timeout_seconds")
            given["lock_timeout_seconds"] = dg.EnvVar.int(variable)
        return cls(**given)

    def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:  # type: ignore[override]  # noqa: ARG002
        """Return the I/O manager proper."""
        warehouse = Warehouse(
            Path(self.database),
            lock_timeout_seconds=self.lock_timeout_seconds,
            connection_config=self.connection_config,
        )
        return _HotjarIOManager(warehouse, self.schema_)


class _HotjarIOManager(dg.IOManager):
    def __init__(self, warehouse: Warehouse, default_schema: str | None) -> None:
        self._warehouse = warehouse
        self._default_schema = default_schema

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store an output; on any failure the table is as it was, or better."""
        with as_failure():
            if isinstance(obj, SurveySync):
                self._store_surveys(context, obj)
            elif isinstance(obj, ResponseSync):
                self._store_responses(context, obj)
            elif isinstance(obj, StreamSync):
                with closing(obj.client):
                    self._store_stream(context, obj)
            elif isinstance(obj, pd.DataFrame):
                rows = self._warehouse.replace(
                    self._slice(context, context.definition_metadata or {}), obj
                )
                name = PARTITION_ROW_COUNT if context.has_asset_partitions else ROW_COUNT
                context.add_output_metadata({name: rows})
            else:
                problem = (
                    f"an output of type {type(obj).__name__} cannot be stored; return a pandas "
                    "DataFrame, or give the asset another io_manager_key"
                )
                raise HotjarStoreError(problem)

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Load a table, or the partitions asked for, as a DataFrame."""
        with as_failure():
            if context.dagster_type.typing_type not in {pd.DataFrame, Any}:
                problem = "only a pandas DataFrame can be loaded; annotate the input with it"
                raise HotjarStoreError(problem)
            stored = context.upstream_output
            part = self._slice(context, (stored and stored.definition_metadata) or {})
            return self._warehouse.load(part, (context.definition_metadata or {}).get("columns"))

    def _store_surveys(self, context: dg.OutputContext, sync: SurveySync) -> None:
        listing = sync.read(self._warehouse.known_surveys(sync.client.platform))
        figures = self._warehouse.merge_surveys(listing)
        context.add_output_metadata(
            {
                ROW_COUNT: figures.rows,
                "new": figures.new,
                "updated": figures.updated,
                "deleted": figures.deleted,
                "requests": listing.requests,
                "account": listing.account,
                "database": str(self._warehouse.path),
            }
        )

    def _store_responses(self, context: dg.OutputContext, sync: ResponseSync) -> None:
        """Commit surveys as they arrive; record each; fail at the end if one failed."""
        stored: dict[str, tuple[SurveyRead, Figures]] = {}
        failed: dict[str, HotjarError] = {}
        self._warehouse.adopt(sync.privacy, rewrite=sync.depth is Depth.ALL)
        try:
            self._read_and_commit(sync, stored, failed)
            # Where rows vanished or came twice, pages shifted under a walk and may hide others.
            shifted = [
                survey_id
                for survey_id, (read, figures) in stored.items()
                if figures.vanished or read.overlapped
            ]
            if shifted:
                logger.warning("pages shifted under %s; reading it whole", ", ".join(shifted))
                whole = replace(
                    sync, survey_ids=shifted, depth=Depth.ALL, purge=False, is_second=True
                )
                self._read_and_commit(whole, stored, failed)
        except HotjarError as error:
            whole_ones = {
                survey_id
                for survey_id, (read, figures) in stored.items()
                if not (figures.vanished or read.overlapped)
            }
            done = whole_ones | failed.keys()
            failed |= {key: error for key in sync.survey_ids if key not in done}
        committed = {
            survey_id: self._metadata(read, figures, sync)
            for survey_id, (read, figures) in stored.items()
            if survey_id not in failed
        }
        _report(context, sync.report, committed, failed, FAILED_SURVEYS)

    def _read_and_commit(
        self,
        sync: ResponseSync,
        stored: dict[str, tuple[SurveyRead, Figures]],
        failed: dict[str, HotjarError],
    ) -> None:
        states = self._warehouse.survey_states(sync.survey_ids)

        def commit(reads: Sequence[SurveyRead]) -> Mapping[str, Figures | HotjarStoreError]:
            return self._warehouse.commit_responses(reads, purge=sync.purge)

        with self._warehouse.spool() as folder:
            for read, result in _committed(sync.read(states, folder), commit, "surveys"):
                if isinstance(result, Figures):
                    stored[read.key] = _sum(stored.get(read.key), read, result)
                else:
                    failed[read.key] = result

    def health(self, table: Table, *, since: datetime | None = None) -> Health:
        """Look for what is wrong in a table."""
        return self._warehouse.health(table, since=since)

    def stream_parents(
        self, parent: StreamTable, fields: Sequence[str]
    ) -> list[dict[str, Any]] | None:
        """List the records of a parent stream as stored; None if it has no table."""
        return self._warehouse.stream_parents(parent, fields)

    def _store_stream(self, context: dg.OutputContext, sync: StreamSync) -> None:
        """Commit units as they arrive; record them; fail at the end if one failed."""
        above, table = sync.parent_table, sync.table
        parents = self.stream_parents(above, parent_fields(sync.stream)) if above else None
        units = sync.units(parents)
        stored: dict[str, tuple[StreamRead, Figures]] = {}
        gone: dict[str, StreamRead] = {}
        failed: dict[str, HotjarError] = {}

        def commit(reads: Sequence[StreamRead]) -> Mapping[str, Figures | HotjarStoreError]:
            kept = {read.key: Figures() for read in reads if read.skipped}
            rest = [read for read in reads if not read.skipped]
            return {**kept, **self._warehouse.commit_stream(table, rest)}

        states = self._warehouse.stream_states(table)
        try:
            with self._warehouse.spool() as folder:
                reads = sync.read(units, states, folder)
                for read, result in _committed(reads, commit, f"units of {table.name}"):
                    if read.skipped:
                        gone[read.key] = read
                    elif isinstance(result, Figures):
                        stored[read.key] = read, result
                    else:
                        failed[read.key] = result
        except HotjarError as error:
            done = {*stored, *gone, *failed}
            failed |= {unit.key: error for unit in units if unit.key not in done}
        if not stored:
            # Where no parent at all is found, it is the path that is wrong.
            failed |= {key: read.error for key, read in gone.items() if read.error}
        self._report_stream(context, sync, stored, gone, failed)

    def _report_stream(
        self,
        context: dg.OutputContext,
        sync: StreamSync,
        stored: Mapping[str, tuple[StreamRead, Figures]],
        gone: Mapping[str, StreamRead],
        failed: Mapping[str, HotjarError],
    ) -> None:
        """Give each partition, or the table, its figures, and fail if a unit did.

        Raises:
            dagster.Failure: Names the parents that failed.
        """
        if sync.stream.parent is None and failed:
            raise failure(failed[""])
        if sync.report is not None:
            committed: dict[str, dict[str, Any]] = {
                key: {PARTITION_ROW_COUNT: figures.rows, **_stream_figures([(read, figures)])}
                for key, (read, figures) in stored.items()
            }
            absent = dict.fromkeys(
                (key for key in sync.keys or () if key not in {*stored, *gone, *failed}),
                "the parent is not in its table",
            )
            skipped = {key: str(read.skipped) for key, read in gone.items() if key not in failed}
            committed |= {key: {"skipped": why} for key, why in (absent | skipped).items()}
            _report(context, sync.report, committed, failed, FAILED_PARENTS)
            return

        def report(_: Mapping[str, Mapping[str, Any]]) -> None:
            columns = self._warehouse.stream_columns(sync.table)
            schema = dg.TableSchema([dg.TableColumn(*item) for item in columns.items()])
            context.add_output_metadata(
                {
                    ROW_COUNT: self._warehouse.stream_count(sync.table),
                    **_stream_figures(stored.values()),
                    **({"parents": len(stored)} if sync.stream.parent else {}),
                    **({"parents_gone": len(gone)} if gone else {}),
                    "dagster/column_schema": schema,
                    "database": str(self._warehouse.path),
                }
            )

        _report(context, report, {key: {} for key in stored}, failed, FAILED_PARENTS)

    def _metadata(
        self, read: SurveyRead, figures: Figures, sync: ResponseSync
    ) -> Mapping[str, Any]:
        return {
            PARTITION_ROW_COUNT: figures.rows,
            "new": figures.new,
            "updated": figures.updated,
            "deleted": figures.deleted,
            **({"purged": figures.purged} if sync.purge else {}),
            "requests": read.requests,
            "pages": read.pages,
            "depth": sync.depth.value,
            "stopped_early": read.stopped_early,
            **({RESPONSES_COUNTED: read.rows} if read.counts_all else {}),
            **({"newest_created_at": read.newest_at.isoformat()} if read.newest_at else {}),
            **({"out_of_order": True} if read.out_of_order else {}),
            **({"skipped": read.skipped} if read.skipped else {}),
            "account": sync.client.account,
            "database": str(self._warehouse.path),
        }

    def _slice(
        self, context: dg.OutputContext | dg.InputContext, metadata: Mapping[str, Any]
    ) -> TableSlice:
        """Name the table, and the part of it that the partitions are.

        Args:
            context: The output or input.
            metadata: That of the asset that is stored in the table.
        """
        path = context.asset_key.path if context.has_asset_key else [str(context.name)]
        schema = (
            metadata.get("schema")
            or self._default_schema
            or (path[-2] if len(path) > 1 else "public")
        )
        if not context.has_asset_partitions:
            return TableSlice(schema, path[-1])
        expression = metadata.get("partition_expr")
        if not isinstance(expression, str):
            problem = (
                f"the partitioned asset {context.asset_key.to_user_string()} needs the metadata "
                "partition_expr: the SQL expression that gives a row's partition key"
            )
            raise HotjarStoreError(problem)
        if isinstance(context.asset_partitions_def, dg.TimeWindowPartitionsDefinition):
            window = context.asset_partitions_time_window
            return TableSlice(schema, path[-1], expression, window=(window.start, window.end))
        return TableSlice(schema, path[-1], expression, keys=tuple(context.asset_partition_keys))


def _committed(
    groups: Generator[list[ReadT], None, None],
    commit: Callable[[Sequence[ReadT]], Mapping[str, Figures | HotjarStoreError]],
    what: str,
) -> Iterator[tuple[ReadT, Figures | HotjarError]]:
    """Commit groups of finished walks while reading goes on; yield what became of each."""
    with closing(groups):
        for group in groups:
            whole = [read for read in group if not read.error]
            results = commit(whole)
            # One line for the group: Dagster stores each line as an event of its own.
            logger.info(
                "%d %s committed; new rows: %s",
                len(results),
                what,
                _news(results),
                extra={"surveys_stored": len(results)},
            )
            for segment in (segment for read in group for segment in read.segments):
                segment.path.unlink(missing_ok=True)
            for read in group:
                yield read, read.error or results[read.key]


def _report(
    context: dg.OutputContext,
    report: Callable[[Mapping[str, Mapping[str, Any]]], None],
    committed: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, HotjarError],
    name: str,
) -> None:
    """Give each partition its own figures, and fail if one of them did.

    Raises:
        dagster.Failure: Some failed; names them under the metadata `name`.
    """
    if not failed:
        report(committed)
        return
    # Dagster records a failing step's partitions as failed, those that are stored included. Of a
    # table without partitions there are no figures by key.
    for key, metadata in committed.items():
        if metadata:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata)
            )
    lines = {key: str(error) for key, error in failed.items()}
    shown = "\n".join(f"- {key}: {line}" for key, line in islice(lines.items(), _FAILURES_SHOWN))
    raise dg.Failure(
        f"{len(failed)} of {len(failed) + len(committed)} {name.removeprefix('failed_')} failed; "
        f"the others are stored and cost the next sync one request each:\n{shown}",
        metadata={name: dg.MetadataValue.json(lines)},
        allow_retries=any(
            isinstance(error, HotjarApiError) and error.retryable for error in failed.values()
        ),
    )


def _stream_figures(walks: Iterable[tuple[StreamRead, Figures]]) -> dict[str, Any]:
    walks = list(walks)
    return {
        "new": sum(figures.new for _, figures in walks),
        "updated": sum(figures.updated for _, figures in walks),
        "requests": sum(read.requests for read, _ in walks),
        "pages": sum(read.pages for read, _ in walks),
        **({"stopped_early": True} if any(read.stopped_early for read, _ in walks) else {}),
        **({"out_of_order": True} if any(read.out_of_order for read, _ in walks) else {}),
    }


def _news(results: Mapping[str, Figures | HotjarStoreError]) -> str:
    new = {key: result.new for key, result in results.items() if isinstance(result, Figures)}
    return ", ".join(f"{count} in {key}" for key, count in new.items() if count) or "none"


def _sum(
    earlier: tuple[SurveyRead, Figures] | None, read: SurveyRead, figures: Figures
) -> tuple[SurveyRead, Figures]:
    """Add an earlier walk through the same survey to a later one."""
    if earlier is None:
        return read, figures
    walk = replace(
        read, requests=earlier[0].requests + read.requests, pages=earlier[0].pages + read.pages
    )
    return walk, earlier[1] + figures
