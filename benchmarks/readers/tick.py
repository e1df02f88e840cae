"""The sensor alone: tick after tick, its cursor kept, until it has asked for every survey."""

import os
import time
import warnings

warnings.simplefilter("ignore")

import dagster as dg  # noqa: E402
from account import report  # noqa: E402

from hotjar_assets.config import Settings  # noqa: E402
from hotjar_assets.defs.sensors import new_surveys_sensor  # noqa: E402
from hotjar_assets.resources import HotjarResource  # noqa: E402

ticks: list[float] = []


def work() -> dict[str, float]:
    """Tick until every survey was asked for; return the longest tick."""
    hotjar, cursor, added = HotjarResource.from_settings(Settings.from_environment()), None, 0
    with dg.DagsterInstance.get() as instance:
        while added < int(os.environ["EXPECTED_ROWS"]):
            started = time.perf_counter()
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"hotjar": hotjar}
            ) as context:
                result = new_surveys_sensor(context)
            ticks.append(time.perf_counter() - started)
            for request in result.dynamic_partitions_requests:
                instance.add_dynamic_partitions("survey_id", list(request.partition_keys))
                added += len(request.partition_keys)
            cursor = result.cursor
    hotjar.close()
    return {"rows": added, "ticks": len(ticks), "longest_seconds": round(max(ticks), 3)}


report(work)
