"""What `dagster dev` loads: the assets, jobs, schedules and sensors, bound to one account.

Nothing is read or requested at import; of settings only the names of the environment variables are
taken, and Dagster reads their values when a run or a tick starts. (The models are shown with the
name of the database, which is read.) dbt is loaded with the definitions, never with this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from hotjar_assets import env_file
from hotjar_assets.config import (
    Source,
    given_database,
    given_owners,
    is_automated,
    streams_folder,
    wanted_source,
)
from hotjar_assets.defs.assets import IO_MANAGER_KEY, survey_responses, surveys
from hotjar_assets.defs.automation import automated
from hotjar_assets.defs.catalogue import with_code, with_owners
from hotjar_assets.defs.checks import api_key_age, responses_checks, surveys_checks
from hotjar_assets.defs.jobs import (
    checks_job,
    checks_schedule,
    lookback_schedule,
    reconcile_job,
    reconcile_schedule,
    sync_job,
    sync_schedule,
)
from hotjar_assets.defs.models import ModelsDatabase, has_dbt, models_sensor
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.defs.streams import invalid_source_spec, stream_defs
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.printable import get_logger
from hotjar_assets.resources import HotjarResource
from hotjar_assets.warehouse.expressions import load_checked_folder

logger = get_logger(__name__)


def build_defs(
    *,
    overrides: Mapping[str, object] | None = None,
    models: bool = True,
    automation: bool = False,
    owners: Sequence[str] | None = None,
) -> dg.Definitions:
    """Build the definitions, for this project or to merge into another one.

    Args:
        overrides: Resources to use instead of those that the environment gives: `hotjar` (a
            `HotjarResource`), `hotjar_io_manager` (a `HotjarDuckDBIOManager`) and `hotjar_dbt` (a
            `ModelsDatabase`; without it, the models use the database of `hotjar_io_manager`). A
            `HotjarDuckDBIOManager` given as `io_manager` is that of our tables too.
        models: Whether the dbt models are among them, if the extra `dbt` is installed.
        automation: Whether the assets have conditions of declarative automation, instead of the
            hourly schedule and the sensor of the models.
        owners: Who answers for the assets: e-mail addresses, or `team:NAME`; None: those of
            `HOTJAR_OWNERS`.

    Raises:
        HotjarConfigError: dbt cannot parse the models, or `HOTJAR_OWNERS` names no owners.
    """
    env_file.restore()
    owners = given_owners() if owners is None else owners
    given = dict(overrides or {})
    if isinstance(given.get("io_manager"), HotjarDuckDBIOManager):
        given.setdefault(IO_MANAGER_KEY, given["io_manager"])
    resources: dict[str, Any] = {
        "hotjar": HotjarResource.from_environment(),
        IO_MANAGER_KEY: HotjarDuckDBIOManager.from_environment(),
        **given,
    }
    tables = with_owners(with_code([surveys, survey_responses]), owners)
    core = dg.Definitions(
        assets=automated(tables) if automation else tables,
        # A check that can check nothing would be green.
        asset_checks=[
            surveys_checks,
            responses_checks,
            *([api_key_age] if _has_dated_key(resources["hotjar"]) else []),
        ],
        jobs=[sync_job, reconcile_job, checks_job],
        schedules=[
            *([] if automation else [sync_schedule]),
            lookback_schedule,
            reconcile_schedule,
            checks_schedule,
        ],
        sensors=[new_surveys_sensor],
        resources=resources,
    )
    if not models:
        return core
    models_defs = build_models_defs(overrides=resources, automation=automation, owners=owners)
    return dg.Definitions.merge(core, models_defs)


def _has_dated_key(hotjar: object) -> bool:
    # A resource that is made only when a run starts tells nothing before.
    is_known = isinstance(hotjar, HotjarResource) and hotjar.key_created_on is not None
    return is_known and wanted_source() is Source.API


def build_models_defs(
    *,
    overrides: Mapping[str, Any] | None = None,
    automation: bool = False,
    owners: Sequence[str] | None = None,
) -> dg.Definitions:
    """Build the definitions of the dbt models alone; none if the extra `dbt` is not installed.

    Args:
        overrides: Resources to use instead of those that the environment gives:
            `hotjar_io_manager` and `hotjar_dbt`, as for `build_defs`.
        automation: As for `build_defs`.
        owners: As for `build_defs`.

    Raises:
        HotjarConfigError: dbt cannot parse the models, or `HOTJAR_OWNERS` names no owners.
    """
    env_file.restore()
    if not has_dbt():
        return dg.Definitions()
    # It takes more than a second to load, and a sync does without.
    from hotjar_assets.defs.dbt import build_models  # noqa: PLC0415

    assets, job = build_models(given_database())
    owned = with_owners([assets], given_owners() if owners is None else owners)
    given = overrides or {}
    tables = given.get(IO_MANAGER_KEY) or HotjarDuckDBIOManager.from_environment()
    return dg.Definitions(
        assets=automated(owned) if automation else owned,
        jobs=[job],
        sensors=[] if automation else [models_sensor],
        resources={
            IO_MANAGER_KEY: tables,
            "hotjar_dbt": given.get("hotjar_dbt")
            or ModelsDatabase.from_environment(tables.database),
        },
    )


def build_project(*, models: bool) -> dg.Definitions:
    """Build what this project runs: `build_defs` and the sources in the folder of streams.

    A source that is described wrongly is left out: the log and an asset in its place say why.

    Raises:
        HotjarConfigError: `HOTJAR_OWNERS` names no owners.
    """
    # Streams name variables of their own.
    env_file.restore(prefix="")
    env_file.warn_of_unknown()
    folder = load_checked_folder(streams_folder())
    for mistake in folder.mistakes.values():
        logger.error("%s (this source is left out)", mistake)
    # A process for each step costs seconds and gains nothing here. Apart from `build_defs`, so that
    # a project it is merged into keeps an executor of its own.
    return dg.Definitions.merge(
        build_defs(models=models, automation=is_automated()),
        *(
            stream_defs(source, io_manager_key=IO_MANAGER_KEY, owners=given_owners())
            for source in folder.sources.values()
        ),
        dg.Definitions(
            assets=[invalid_source_spec(*invalid) for invalid in folder.mistakes.items()]
        ),
        dg.Definitions(executor=dg.in_process_executor),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything, as one code location."""
    return build_project(models=True)
