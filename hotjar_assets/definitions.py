"""What `dagster dev` loads: the assets, jobs, schedules and sensors, bound to one account.

Nothing is read or requested at import; of settings only the names of the environment variables are
taken, and Dagster reads their values when a run or a tick starts. (The models are shown with the
name of the database, which is read.) dbt is loaded with the definitions, never with this module.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from hotjar_assets.config import given_database, given_owners, streams_folder
from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.defs.catalogue import with_code, with_owners
from hotjar_assets.defs.checks import api_key_age
from hotjar_assets.defs.jobs import (
    lookback_schedule,
    reconcile_job,
    reconcile_schedule,
    sync_job,
    sync_schedule,
)
from hotjar_assets.defs.models import ModelsDatabase, has_dbt, models_sensor
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.defs.streams import stream_defs
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.resources import HotjarResource
from hotjar_assets.streams.loading import load_folder


def build_defs(
    *,
    overrides: Mapping[str, object] | None = None,
    models: bool = True,
    owners: Sequence[str] | None = None,
) -> dg.Definitions:
    """Build the definitions, for this project or to merge into another one.

    Args:
        overrides: Resources to use instead of those that the environment gives: `hotjar` (a
            `HotjarResource`), `io_manager` (a `HotjarDuckDBIOManager`) and `hotjar_dbt` (a
            `ModelsDatabase`).
        models: Whether the dbt models are among them, if the extra `dbt` is installed.
        owners: Who answers for the assets: e-mail addresses, or `team:NAME`; None: those of
            `HOTJAR_OWNERS`.

    Raises:
        HotjarConfigError: dbt cannot parse the models, or `HOTJAR_OWNERS` names no owners.
    """
    owners = given_owners() if owners is None else owners
    core = dg.Definitions(
        assets=with_owners(with_code([surveys, survey_responses]), owners),
        asset_checks=[api_key_age],
        jobs=[sync_job, reconcile_job],
        schedules=[sync_schedule, lookback_schedule, reconcile_schedule],
        sensors=[new_surveys_sensor],
        resources={
            "hotjar": HotjarResource.from_environment(),
            "io_manager": HotjarDuckDBIOManager.from_environment(),
            **(overrides or {}),
        },
    )
    if not models:
        return core
    return dg.Definitions.merge(core, build_models_defs(overrides=overrides, owners=owners))


def build_models_defs(
    *, overrides: Mapping[str, object] | None = None, owners: Sequence[str] | None = None
) -> dg.Definitions:
    """Build the definitions of the dbt models alone; none if the extra `dbt` is not installed.

    Args:
        overrides: Resources to use instead of those that the environment gives: `hotjar_dbt` (a
            `ModelsDatabase`).
        owners: Who answers for the assets; None: those of `HOTJAR_OWNERS`.

    Raises:
        HotjarConfigError: dbt cannot parse the models, or `HOTJAR_OWNERS` names no owners.
    """
    if not has_dbt():
        return dg.Definitions()
    # It takes more than a second to load, and a sync does without.
    from hotjar_assets.defs.dbt import build_models  # noqa: PLC0415

    assets, job = build_models(given_database())
    database = ModelsDatabase(database=HotjarDuckDBIOManager.from_environment().database)
    return dg.Definitions(
        assets=with_owners([assets], given_owners() if owners is None else owners),
        jobs=[job],
        sensors=[models_sensor],
        resources={"hotjar_dbt": (overrides or {}).get("hotjar_dbt", database)},
    )


def build_project(*, models: bool) -> dg.Definitions:
    """Build what this project runs: `build_defs` and the sources in the folder of streams.

    Raises:
        HotjarConfigError: A source is described wrongly; names the file, the line and the field.
            Or `HOTJAR_OWNERS` names no owners.
    """
    sources = load_folder(streams_folder())
    # A process for each step costs seconds and gains nothing here. Apart from `build_defs`, so that
    # a project it is merged into keeps an executor of its own.
    return dg.Definitions.merge(
        build_defs(models=models),
        *(
            stream_defs(source, io_manager_key="io_manager", owners=given_owners())
            for source in sources
        ),
        dg.Definitions(executor=dg.in_process_executor),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything, as one code location."""
    return build_project(models=True)
