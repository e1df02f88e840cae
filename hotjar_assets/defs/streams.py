"""What Dagster is given of a source of streams: an asset for each, its key the table, and jobs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from hotjar_assets.api.limits import Limits
from hotjar_assets.config import given_limits, given_pii
from hotjar_assets.defs.beta import asset
from hotjar_assets.defs.catalogue import (
    PERSONAL_DATA,
    RAW,
    table_metadata,
    version_setter,
    with_owners,
)
from hotjar_assets.defs.partitions import DynamicPartitionsDefinition, range_tags
from hotjar_assets.errors import HotjarConfigError, HotjarStoreError
from hotjar_assets.printable import counted, is_printable, printable_lines
from hotjar_assets.privacy import Privacy
from hotjar_assets.resources import as_failure
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source, Stream
from hotjar_assets.streams.sync import StreamSync, units_of
from hotjar_assets.streams.tables import StreamTable, parent_fields
from hotjar_assets.warehouse.expressions import check_expressions
from hotjar_assets.warehouse.merge import unit_of

_NO_RETRIES = {"dagster/retry_on_asset_or_op_failure": "false"}
"""A failed walk is read again by the next run; what a retry can mend, the transport has tried."""


def stream_defs(
    source: Source, *, io_manager_key: str, owners: Sequence[str] = ()
) -> dg.Definitions:
    """Build the definitions of one source.

    A job reads all streams in their order, apart from those that are partitioned by parent: each of
    these has a job of its own and a sensor that requests it whenever the parent was read.

    Args:
        source: What the YAML says.
        io_manager_key: The resource that stores, a `HotjarDuckDBIOManager`.
        owners: Who answers for the assets: e-mail addresses, or `team:NAME`.

    Raises:
        HotjarConfigError: What a stream computes is no expression; names it.
    """
    assets, jobs, sensors = [], [], []
    together: list[dg.AssetsDefinition] = []
    for stream in source.streams:
        table = StreamTable.of(source, stream.name)
        check_expressions(table)
        partitions = _partitions(source, stream)
        asset = _asset(source, table, partitions, io_manager_key)
        assets.append(asset)
        if partitions is None:
            together.append(asset)
            continue
        job = _job(f"{source.name}_{stream.name}_job", [asset], f"Every partition of {asset.key}.")
        jobs.append(job)
        sensors.append(_sensor(source, table, partitions, job.name, io_manager_key))
    description = f"The streams of {source.name}, parents first."
    job = _job(f"{source.name}_job", together, description)
    jobs.append(job)
    schedules = [
        dg.ScheduleDefinition(
            name=f"{source.name}_schedule", job=job, cron_schedule=cron, description=description
        )
        for cron in (source.schedule,)
        if cron
    ]
    return dg.Definitions(
        assets=with_owners(assets, owners), jobs=jobs, sensors=sensors, schedules=schedules
    )


def invalid_source_spec(path: Path, mistake: HotjarConfigError) -> dg.AssetSpec:
    """Return what the UI shows of a file that is not a valid source: its mistake."""
    description = f"**This source is invalid and left out.** Correct it and reload.\n\n{mistake}"
    return dg.AssetSpec(
        key=["invalid_streams", re.sub(r"[^A-Za-z0-9_]", "_", path.name)],
        group_name="invalid_streams",
        description=printable_lines(description),
        tags={"invalid": ""},
    )


def _job(name: str, assets: Sequence[dg.AssetsDefinition], description: str) -> Any:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        executor_def=dg.in_process_executor,
        description=description,
        tags=_NO_RETRIES,
    )


def _partitions(source: Source, stream: Stream) -> DynamicPartitionsDefinition | None:
    if stream.parent is None or not stream.parent.partitions:
        return None
    return DynamicPartitionsDefinition(name=f"{source.name}_{stream.name}")


def _asset(
    source: Source,
    table: StreamTable,
    partitions: DynamicPartitionsDefinition | None,
    io_manager_key: str,
) -> dg.AssetsDefinition:
    stream = table.stream
    declared = table.table()
    metadata = table_metadata(declared)
    if partitions is not None:
        metadata["partition_expr"] = unit_of(declared)

    @asset(
        key=[source.name, stream.name],
        deps=[dg.AssetKey([source.name, stream.parent.stream])] if stream.parent else [],
        group_name=source.name,
        kinds={"python", "duckdb"},
        tags={**RAW, **PERSONAL_DATA} if table.personal else RAW,
        description=_description(source, table),
        metadata=metadata,
        io_manager_key=io_manager_key,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
    )
    def read_stream(context: dg.AssetExecutionContext) -> StreamSync:
        is_partitioned = context.has_partition_key or context.has_partition_key_range
        keys = context.partition_keys if partitions and is_partitioned else None

        def report(figures: Mapping[str, Mapping[str, Any]]) -> None:
            assert partitions is not None  # noqa: S101 - else nobody calls it
            with partitions.held():
                for key, each in figures.items():
                    context.add_asset_metadata(each, partition_key=key)

        with as_failure():
            limits = Limits.of(given_limits())
            client = SourceClient(source, limits=limits)
            privacy = Privacy.from_settings(given_pii())
            stored = replace(table, max_columns=limits.columns, privacy=privacy)
            return StreamSync(
                client,
                stored,
                keys,
                report=None if keys is None else report,
                set_version=version_setter(context),
            )

    return read_stream


def _description(source: Source, table: StreamTable) -> str:
    stream = table.stream
    key = f"the key is `({', '.join(table.key)})`" if table.key else "it is replaced at every run"
    begin = stream.description or f"What `{stream.path}` of {source.name} gives."
    of_parent = f", for each of `{stream.parent.stream}`" if stream.parent else ""
    return printable_lines(f"{begin}\n\nOne row is a record of `{stream.path}`{of_parent}; {key}.")


def _sensor(
    source: Source,
    table: StreamTable,
    partitions: DynamicPartitionsDefinition,
    job_name: str,
    io_manager_key: str,
) -> dg.SensorDefinition:
    """Request every partition once the parent was read, those that are new included.

    A partition is added before the run that is over it: keys added inside of a run are invisible
    to it. None is removed.
    """
    parent = table.stream.parent
    assert parent is not None  # noqa: S101 - only children are partitioned
    above = StreamTable.of(source, parent.stream)
    parent_key = dg.AssetKey([source.name, parent.stream])

    @dg.sensor(
        name=f"{source.name}_{table.name}_sensor",
        job_name=job_name,
        minimum_interval_seconds=60,
        required_resource_keys={io_manager_key},
        description=f"After each run of {parent.stream}: a partition of {table.name} for each of "
        "its rows, and a run over all of them.",
    )
    def parents_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        event = context.instance.get_latest_materialization_event(parent_key)
        if event is None:
            return dg.SkipReason(f"{parent_key.to_user_string()} was never read")
        # The cursor is the run whose parents were asked for last.
        if event.run_id == context.cursor:
            return dg.SkipReason(f"{parent_key.to_user_string()} was not read since")
        tables = getattr(context.resources, io_manager_key)
        with as_failure():
            privacy = Privacy.from_settings(given_pii())
            children = replace(table, privacy=privacy)
            children.check_personal()
            stored = replace(above, privacy=privacy)
            records = tables.stream_parents(stored, parent_fields(table.stream)) or []
            keys = [unit.key for unit in units_of(children, records)]
            _require_printable(keys, parent_key)
        known = context.instance.get_dynamic_partitions(str(partitions.name))
        added = sorted(set(keys) - set(known))
        ordered = [*known, *added]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(tags=tags) for tags in range_tags(ordered, ordered)],
            dynamic_partitions_requests=[partitions.build_add_request(added)] if added else [],
            cursor=event.run_id,
        )

    return parents_sensor


def _require_printable(keys: Sequence[str], parent: dg.AssetKey) -> None:
    """Refuse keys that Dagster cannot take as partitions, or that a person cannot read."""
    unsafe = sum(not is_printable(key) for key in keys)
    if unsafe:
        raise HotjarStoreError(
            f"{counted(unsafe, 'row')} of {parent.to_user_string()} "
            f"{'has' if unsafe == 1 else 'have'} control or invisible characters in what names a "
            "partition; correct them at their source, or set `partitions: false`"
        )
