"""A team's own dbt project and Python assets, downstream of the tables of the other location."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.io_managers import HotjarDuckDBIOManager

project = DbtProject(Path(__file__).with_name("dbt"))
project.prepare_if_dev()

# Known here by key, partitions and table; made over there.
tables = [asset.get_asset_spec() for asset in (surveys, survey_responses)]


@dbt_assets(manifest=project.manifest_path)
def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    """Build our models, and those of hotjar_assets with our variables."""
    command = ["build", "--exclude-resource-type", "unit_test"]
    yield from dbt.cli(command, context=context).stream()


@dg.asset(key_prefix="analytics", ins={"responses": dg.AssetIn(survey_responses.key)})
def answers_a_day(responses: pd.DataFrame) -> pd.DataFrame:
    """One row is a day; it takes all responses and replaces its table."""
    return responses.groupby(responses.created_at.dt.date).size().reset_index(name="answers")


@dg.asset(
    key_prefix="analytics",
    ins={
        "responses": dg.AssetIn(
            survey_responses.key,
            metadata={"columns": ["survey_id", "response_id", "device", "country"]},
        )
    },
    partitions_def=survey_responses.partitions_def,
    metadata={"partition_expr": "survey_id"},
)
def devices(responses: pd.DataFrame) -> pd.DataFrame:
    """One row is a device of a survey; it takes one survey at a time, and some columns of it."""
    counts = responses.groupby(["survey_id", "device"], dropna=False)
    return counts.size().reset_index(name="answers")


defs = dg.Definitions(
    assets=[models, answers_a_day, devices, *tables],
    resources={
        "dbt": DbtCliResource(project_dir=project),
        "io_manager": HotjarDuckDBIOManager(database=dg.EnvVar("HOTJAR_DATABASE")),
    },
)
