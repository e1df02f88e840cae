"""A code location with a job of one step that does nothing."""

import dagster as dg


@dg.asset
def empty_step() -> None:
    """Do nothing."""


defs = dg.Definitions(
    assets=[empty_step],
    jobs=[dg.define_asset_job("empty", [empty_step], executor_def=dg.in_process_executor)],
)
