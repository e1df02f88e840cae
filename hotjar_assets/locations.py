"""The code locations of `workspace.yaml`: the syncs, and apart from them the dbt models.

Every run loads the location it belongs to, and loading dbt takes longer than a small sync. As one
location there is `hotjar_assets.definitions`.
"""

import dagster as dg

from hotjar_assets.garbage import without_garbage


@dg.definitions
def syncs() -> dg.Definitions:
    """Return everything but the models."""
    with without_garbage():
        from hotjar_assets.definitions import build_project  # noqa: PLC0415

        return build_project(models=False)


@dg.definitions
def models() -> dg.Definitions:
    """Return the models; nothing if the extra `dbt` is not installed."""
    with without_garbage():
        from hotjar_assets.config import is_automated  # noqa: PLC0415
        from hotjar_assets.definitions import build_models_defs  # noqa: PLC0415

        return build_models_defs(automation=is_automated())
