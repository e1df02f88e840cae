"""What Dagster's catalogue shows of every asset alike: its table, its owners, where its code is."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from hotjar_assets.defs.beta import without_beta_warnings
from hotjar_assets.printable import printable, printable_lines
from hotjar_assets.schema import Table

RAW = {"raw": ""}
"""Tag of what is stored as an API gives it; the dbt models have the names of their layers."""
PERSONAL_DATA = {"personal_data": ""}
"""Tag of assets and columns that may hold what is known of a person."""


def table_metadata(table: Table) -> dict[str, Any]:
    """Tell Dagster the name and the columns of a table."""
    columns = [
        dg.TableColumn(
            printable(column.name),
            column.type,
            description=printable_lines(column.description),
            tags=PERSONAL_DATA if column.is_personal else None,
        )
        for column in table.columns
    ]
    key = [f"key: {', '.join(table.key)}"] if table.key else []
    return {
        "dagster/table_name": f"{table.schema}.{table.name}",
        "dagster/column_schema": dg.TableSchema(
            columns=columns, constraints=dg.TableConstraints(other=key)
        ),
    }


def version_setter(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    """Return what gives the materializations of a run their data version.

    A version that changes only with the rows keeps what is downstream from being shown as behind
    after a run that changed nothing.
    """

    def set_version(version: str) -> None:
        context.set_data_version(context.asset_key, dg.DataVersion(version))

    return set_version


def with_owners(
    assets: Iterable[dg.AssetsDefinition], owners: Sequence[str]
) -> list[dg.AssetsDefinition]:
    """Give assets owners, beside those they have."""

    def owned(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(owners=list(dict.fromkeys([*spec.owners, *owners])))

    return list(dg.map_asset_specs(owned, assets))


def with_code(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Link each asset to the function that makes it, in the files that run here."""
    with without_beta_warnings():
        linked = dg.with_source_code_references(assets)
    return [asset for asset in linked if isinstance(asset, dg.AssetsDefinition)]


def code_metadata(path: Path) -> dict[str, Any]:
    """Link an asset to a file that runs here."""
    with without_beta_warnings():
        reference = dg.LocalFileCodeReference(file_path=str(path))
        references = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": references}
