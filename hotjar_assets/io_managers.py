"""From an asset's output to its table, through the warehouse, and back to a DataFrame.

An output may be one of our syncs, which is read and committed here while it streams, or a plain
pandas DataFrame of anybody's asset, which replaces its partitions (or the table) in one transaction
and by column name. The asset key names the table: its last part, in the schema before it.
"""

import logging
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster_duckdb_pandas import DuckDBPandasIOManager
from pydantic import Field

from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarApiError, HotjarError, HotjarStoreError
from hotjar_assets.resources import as_failure
from hotjar_assets.sync import Depth, ResponseSync, SurveyRead, SurveySync
from hotjar_assets.warehouse import Figures, TableSlice, Warehouse

logger = logging.getLogger(__name__)

_FAILURES_SHOWN = 20
ROW_COUNT = "dagster/row_count"
PARTITION_ROW_COUNT = "dagster/partition_row_count"
FAILED_SURVEYS = "failed_surveys"
"""Metadata of a failed step: survey id to what happened."""


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
        self._report(context, sync, committed, failed)

    def _read_and_commit(
        self,
        sync: ResponseSync,
        stored: dict[str, tuple[SurveyRead, Figures]],
        failed: dict[str, HotjarError],
    ) -> None:
        states = self._warehouse.survey_states(sync.survey_ids)
        with self._warehouse.spool() as folder, ExitStack() as stack:
            for group in stack.enter_context(closing(sync.read(states, folder))):
                reads = {read.survey_id: read for read in group if not read.error}
                failed |= {read.survey_id: read.error for read in group if read.error}
                results = self._warehouse.commit_responses(list(reads.values()), purge=sync.purge)
                for survey_id, result in results.items():
                    if isinstance(result, HotjarError):
                        failed[survey_id] = result
                        continue
                    stored[survey_id] = _sum(stored.get(survey_id), reads[survey_id], result)
                # One line for the group: Dagster stores each line as an event of its own.
                logger.info(
                    "%d surveys committed; new responses: %s",
                    len(results),
                    _news(results),
                    extra={"surveys_stored": len(results)},
                )
                for segment in (segment for read in group for segment in read.segments):
                    segment.path.unlink(missing_ok=True)

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
            **({"newest_created_at": read.newest_at.isoformat()} if read.newest_at else {}),
            **({"out_of_order": True} if read.out_of_order else {}),
            **({"skipped": read.skipped} if read.skipped else {}),
            "account": sync.client.account,
            "database": str(self._warehouse.path),
        }

    def _report(
        self,
        context: dg.OutputContext,
        sync: ResponseSync,
        committed: Mapping[str, Mapping[str, Any]],
        failed: Mapping[str, HotjarError],
    ) -> None:
        """Give each partition its own figures, and fail if a survey did.

        Raises:
            dagster.Failure: Some surveys failed; names them.
        """
        if not failed:
            sync.report(committed)
            return
        # Dagster records a failing step's partitions as failed, those that are stored included.
        for survey_id, metadata in committed.items():
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=survey_id, metadata=metadata)
            )
        lines = {survey_id: str(error) for survey_id, error in failed.items()}
        shown = "\n".join(
            f"- {key}: {line}" for key, line in islice(lines.items(), _FAILURES_SHOWN)
        )
        raise dg.Failure(
            f"{len(failed)} of {len(failed) + len(committed)} surveys failed; the others are "
            f"stored and cost the next sync one request each:\n{shown}",
            metadata={FAILED_SURVEYS: dg.MetadataValue.json(lines)},
            allow_retries=any(
                isinstance(error, HotjarApiError) and error.retryable for error in failed.values()
            ),
        )

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
