"""A Dagster project with assets and resources of its own, and Hotjar's among them."""

import os

import dagster as dg
import pandas as pd

from hotjar_assets import build_defs
from hotjar_assets.defs.assets import IO_MANAGER_KEY
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.resources import HotjarResource

RESPONSES = {"responses": dg.AssetIn(["hotjar", "survey_responses"])}
SCORES = {"scores": dg.AssetIn(["hotjar_marts", "hotjar__survey"])}


@dg.asset(ins=RESPONSES)
def devices(responses: pd.DataFrame) -> dict[str, int]:
    """How often each device answered: stored by the project's own I/O manager."""
    counts = responses["device"].value_counts()
    return {str(device): int(count) for device, count in counts.items()}


@dg.asset(key_prefix="marketing", ins=SCORES, io_manager_key=IO_MANAGER_KEY)
def ranking(scores: pd.DataFrame) -> pd.DataFrame:
    """One row is a survey, best first: stored beside Hotjar's tables, in one transaction."""
    return scores.dropna(subset=["nps"]).sort_values("nps", ascending=False)[["survey_name", "nps"]]


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[devices, ranking],
        resources={"io_manager": dg.FilesystemIOManager(base_dir=os.environ.get("ACME_FILES"))},
    ),
    build_defs(
        overrides={
            "hotjar": HotjarResource(
                api_url=dg.EnvVar("ACME_HOTJAR_URL"),
                client_id=dg.EnvVar("ACME_HOTJAR_CLIENT_ID"),
                client_secret=dg.EnvVar("ACME_HOTJAR_CLIENT_SECRET"),
                site_id="1001",
            ),
            IO_MANAGER_KEY: HotjarDuckDBIOManager(database=dg.EnvVar("ACME_DATABASE")),
        }
    ),
)
