"""The code locations of `workspace.yaml`: the syncs, and apart from them the dbt models.

Every run loads the location it belongs to, and loading dbt takes longer than a small sync. As one
location there is `hotjar_assets.definitions`.
"""

import dagster as dg

from hotjar_assets.definitions import build_models_defs, build_project


@dg.definitions
def syncs() -> dg.Definitions:
    """Return everything but the models."""
    return build_project(models=False)


@dg.definitions
def models() -> dg.Definitions:
    """Return the models; nothing if the extra `dbt` is not installed."""
    return build_models_defs()
