"""From an asset's output to its table, through the warehouse, and back to a DataFrame.

An output may be one of our syncs, which is read and committed here while it streams, or a plain
pandas DataFrame of anybody's asset, which replaces its partitions (or the table) in one transaction
and by column name. The asset key names the table: its last part, in the schema before it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_duckdb import DuckDBIOManager
from pydantic import Field

from hotjar_assets.config import (
    Settings,
    default_database,
    environment_variable,
    is_sandbox,
    set_names,
    wanted_source,
)
from hotjar_assets.defs.catalogue import PERSONAL_DATA
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.extras import NO_PICTURES, can_draw
from hotjar_assets.materializations import (
    FAILED_SURVEYS,
    PARTITION_ROW_COUNT,
    ROW_COUNT,
    begun,
    ended,
    pictures,
    record,
    record_stored,
    record_stream,
    record_units,
    response_figures,
    survey_figures,
)
from hotjar_assets.printable import get_logger, printable
from hotjar_assets.resources import as_failure
from hotjar_assets.schema import SURVEY_RESPONSES, Table
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets.sync import ResponseSync, StoredResponses, SurveySync
from hotjar_assets.sync_progress import repeatedly
from hotjar_assets.warehouse import Health, TableSlice, Warehouse

logger = get_logger(__name__)

_LOG_SECONDS = 20
"""Pause between the lines of a run's log that say how far its sync is."""

if TYPE_CHECKING:
    import pandas as pd
    from dagster_duckdb_pandas import DuckDBPandasTypeHandler


class HotjarDuckDBIOManager(DuckDBIOManager):
    """The DuckDB I/O manager for pandas with transactions, merging and streaming.

    Configured like `DuckDBPandasIOManager` of dagster-duckdb-pandas, and takes its place. What
    differs: every write is one transaction, columns go by name, a column that is new is added,
    another process that holds the file is waited for and named, and the outputs of this package
    stream through it.
    """

    lock_timeout_seconds: int = Field(
        default=Settings.model_fields["lock_timeout_seconds"].default,
        description=Settings.model_fields["lock_timeout_seconds"].description,
    )
    max_commit_mb: int = Field(
        default=Settings.model_fields["max_commit_mb"].default,
        description=Settings.model_fields["max_commit_mb"].description,
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
        for name in ("lock_timeout_seconds", "max_commit_mb"):
            if name in present:
                given[name] = dg.EnvVar.int(environment_variable(name))
        return cls(**given)

    # To import pandas takes longer than what a run loads of this package, and a sync needs none.
    @staticmethod
    def type_handlers() -> "Sequence[DuckDBPandasTypeHandler]":
        """Return the handler of DataFrames."""
        from dagster_duckdb_pandas import DuckDBPandasTypeHandler  # noqa: PLC0415

        return [DuckDBPandasTypeHandler()]

    @staticmethod
    def default_load_type() -> "type[pd.DataFrame]":
        """Return what an input without a type is loaded as."""
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame

    def create_io_manager(self, context: dg.InitResourceContext) -> dg.IOManager:  # type: ignore[override]  # noqa: ARG002
        """Return the I/O manager proper."""
        warehouse = Warehouse(
            Path(self.database),
            lock_timeout_seconds=self.lock_timeout_seconds,
            connection_config=self.connection_config,
            max_commit_mb=self.max_commit_mb,
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
            else:
                self._store_frame(context, obj)

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """Load a table, or the partitions asked for, as a DataFrame."""
        import pandas as pd  # noqa: PLC0415

        with as_failure():
            if context.dagster_type.typing_type not in {pd.DataFrame, Any}:
                problem = "only a pandas DataFrame can be loaded; annotate the input with it"
                raise HotjarStoreError(problem)
            stored = context.upstream_output
            part = self._slice(context, (stored and stored.definition_metadata) or {})
            return self._warehouse.load(part, (context.definition_metadata or {}).get("columns"))

    def _store_frame(self, context: dg.OutputContext, frame: object) -> None:
        import pandas as pd  # noqa: PLC0415

        if not isinstance(frame, pd.DataFrame):
            problem = (
                f"an output of type {type(frame).__name__} cannot be stored; return a pandas "
                "DataFrame, or give the asset another io_manager_key"
            )
            raise HotjarStoreError(problem)
        part = self._slice(context, context.definition_metadata or {})
        rows = self._warehouse.replace(part, frame)
        name = PARTITION_ROW_COUNT if context.has_asset_partitions else ROW_COUNT
        context.add_output_metadata({name: rows})

    def _store_surveys(self, context: dg.OutputContext, sync: SurveySync) -> None:
        listing = sync.read(self._warehouse.known_surveys(sync.client.platform))
        figures = self._warehouse.merge_surveys(listing)
        sync.set_version(self._version(context, self._warehouse.surveys_version))
        context.add_output_metadata({**survey_figures(listing, figures), **self._database})

    def _store_responses(self, context: dg.OutputContext, sync: ResponseSync) -> None:
        """Commit surveys as they arrive; record each; fail at the end if one failed.

        What was stored by then is recorded if the run is interrupted, too.
        """
        stored, started, progress = StoredResponses(), monotonic(), sync.progress
        retries_before = progress.retries()
        context.log.info(begun(sync))
        try:
            with repeatedly(lambda: context.log.info(progress.describe()), _LOG_SECONDS):
                sync.run(self._warehouse, stored)
        except BaseException:
            # The database is not queried: it may be held, and an interruption must not wait for it.
            metadata = self._response_metadata(sync, stored, {})
            record_stored(context, metadata, version=context.run_id)
            raise
        finally:
            retries, seconds = progress.retries() - retries_before, monotonic() - started
            context.log.info(ended(stored, retries=retries, seconds=seconds))
        version, facts = "", {}
        # Where none is stored, the database may be held, and cannot be asked.
        if stored.committed:
            version = self._version(context, partial(self._warehouse.version, SURVEY_RESPONSES))
            sync.set_version(version)
            facts = self._facts_of_responses(sync, stored)
        record(
            context,
            sync.report,
            self._response_metadata(sync, stored, facts),
            stored.failed,
            FAILED_SURVEYS,
            version=version,
            labels=stored.labels,
        )

    def _response_metadata(
        self,
        sync: ResponseSync,
        stored: StoredResponses,
        facts: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, dict[str, Any]]:
        """Return the metadata of each stored survey, with what was read from the database."""
        return {
            survey_id: {
                # In this order they are shown: the name is the first.
                **response_figures(read, figures, sync),
                **facts.get(survey_id, {}),
                **self._database,
            }
            for survey_id, (read, figures) in stored.committed.items()
        }

    def _facts_of_responses(
        self, sync: ResponseSync, stored: StoredResponses
    ) -> dict[str, dict[str, Any]]:
        """Read what is shown of each stored survey; nothing if the file is held meanwhile."""
        walks = stored.committed
        try:
            shown = pictures(sync, walks, self._warehouse.trends)
            rows = self._warehouse.version(SURVEY_RESPONSES).rows
        except HotjarStoreError as error:
            logger.warning("pictures and the number of rows are not shown: %s", error)
            return {}
        if shown and not can_draw():
            logger.info(NO_PICTURES)
        return {key: {**shown.get(key, {}), ROW_COUNT: rows} for key in walks}

    def _version(self, context: dg.OutputContext, read: Callable[[], object]) -> str:
        """Return the data version of a table that was written.

        Committed rows must be recorded even if another process holds the file. The run's id is the
        version then, because no earlier version equals it.
        """
        try:
            return str(read())
        except HotjarStoreError as error:
            logger.warning("the version of the rows is not known: %s", error)
            return context.run_id

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
        stored = sync.run(self._warehouse)
        version = ""
        if stored.walks:
            table = sync.table.table()
            version = self._version(context, partial(self._warehouse.version, table))
            sync.set_version(version)
        if sync.report is not None:
            record_units(context, sync, stored, version=version)
        else:
            facts = partial(self._facts_of, sync.table)
            record_stream(context, sync, stored, facts, version=version)

    def _facts_of(self, table: StreamTable) -> dict[str, Any]:
        try:
            columns = self._warehouse.stream_columns(table)
            rows = self._warehouse.stream_count(table)
        except HotjarStoreError as error:
            logger.warning("columns and the number of rows are not shown: %s", error)
            return self._database
        schema = dg.TableSchema(
            [
                dg.TableColumn(
                    printable(name), kind, tags=PERSONAL_DATA if table.is_personal(name) else None
                )
                for name, kind in columns.items()
            ]
        )
        return {ROW_COUNT: rows, "dagster/column_schema": schema, **self._database}

    @property
    def _database(self) -> dict[str, str]:
        return {"database": printable(self._warehouse.path)}

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
