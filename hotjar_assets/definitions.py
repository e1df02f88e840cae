"""What `dagster dev` loads: the assets, jobs, schedules and the sensor, bound to one account.

Nothing is read or requested at import; of settings only the names of the environment variables are
taken, and Dagster reads their values when a run or a tick starts.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from hotjar_assets.config import (
    default_database,
    environment_variable,
    is_sandbox,
    set_names,
    wanted_source,
)
from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.defs.checks import api_key_age
from hotjar_assets.defs.jobs import (
    lookback_schedule,
    reconcile_job,
    reconcile_schedule,
    sync_job,
    sync_schedule,
)
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.resources import HotjarResource


def build_defs(*, overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Build the definitions, for this project or to merge into another one.

    Args:
        overrides: Resources to use instead of those that the environment gives: `hotjar` (a
            `HotjarResource`) and `io_manager` (a `HotjarDuckDBIOManager`).
    """
    return dg.Definitions(
        assets=[surveys, survey_responses],
        asset_checks=[api_key_age],
        jobs=[sync_job, reconcile_job],
        schedules=[sync_schedule, lookback_schedule, reconcile_schedule],
        sensors=[new_surveys_sensor],
        resources={
            "hotjar": HotjarResource.from_environment(),
            "io_manager": _io_manager(),
            **(overrides or {}),
        },
    )


def _io_manager() -> HotjarDuckDBIOManager:
    present = set_names()
    default = default_database(sandbox=is_sandbox(), source=wanted_source())
    given: dict[str, Any] = {"database": default}
    if "database" in present:
        given["database"] = dg.EnvVar(environment_variable("database"))
    if "lock_timeout_seconds" in present:
        variable = environment_variable("lock_timeout_seconds")
        given["lock_timeout_seconds"] = dg.EnvVar.int(variable)
    return HotjarDuckDBIOManager(**given)


# A process for each step costs seconds and gains nothing here. Apart from `build_defs`, so that a
# project it is merged into keeps an executor of its own.
defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
