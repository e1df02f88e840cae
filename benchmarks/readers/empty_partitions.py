"""What Dagster itself costs: the same partitions in one run, with an asset that does nothing."""

import os
import warnings

warnings.simplefilter("ignore")

import dagster as dg  # noqa: E402
from account import new_session, report, survey_ids  # noqa: E402

PARTITIONS = dg.DynamicPartitionsDefinition(name="nothing")


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def nothing() -> None:
    """Do nothing."""


def work() -> int:
    """Materialize every partition."""
    keys = survey_ids(new_session())
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("nothing", keys)
        dg.Definitions(
            assets=[nothing],
            jobs=[dg.define_asset_job("job", [nothing])],
            resources={"io_manager": dg.mem_io_manager},
        ).resolve_job_def("job").execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return int(os.environ["EXPECTED_ROWS"])


report(work)
