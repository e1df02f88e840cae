"""What the catalogue shows of the dbt models: their files, where columns come from, rows and types.

dagster-dbt would ask the database for columns, lineage and rows through dbt's own connection, which
stays open for as long as the process lives, gives types that are not DuckDB's, and works out after
every run which column comes from which, though only a release changes that. So it is worked out
once, beside the parsed project, and the rest is read in one short connection of our own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock

from hotjar_assets.config import Settings
from hotjar_assets.defs.catalogue import code_metadata
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.materializations import ROW_COUNT
from hotjar_assets.private_files import replace_file
from hotjar_assets.schema import SCHEMA
from hotjar_assets.warehouse.relations import Relation, read_relations

Origins = Mapping[str, Mapping[str, list[list[str]]]]
"""By model and column: the relations and columns it comes from."""
_COLUMNS = "dagster/column_schema"


def described(models: dg.AssetsDefinition, manifest: Path, *, project: Path) -> dg.AssetsDefinition:
    """Link each model to its file, and each of its columns to those it comes from.

    Args:
        models: The assets.
        manifest: The parsed project.
        project: The folder of the project.
    """
    nodes, origins = _nodes(manifest), _origins(manifest)
    keys = {_node(spec, nodes)["name"]: spec.key for spec in models.specs}

    def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
        node = _node(spec, nodes)
        given = origins[node["name"]]
        columns = [
            dg.TableColumn(
                name, "?", description=_with_origins(column["description"], given.get(name, []))
            )
            for name, column in node["columns"].items()
        ]
        lineage = {
            name: [
                dg.TableColumnDep(keys.get(relation, dg.AssetKey([SCHEMA, relation])), column)
                for relation, column in pairs
            ]
            for name, pairs in given.items()
        }
        return spec.merge_attributes(
            metadata={
                **code_metadata(project / node["original_file_path"]),
                _COLUMNS: dg.TableSchema(columns),
                "dagster/column_lineage": dg.TableColumnLineage(lineage),
            }
        )

    return models.map_asset_specs(describe)


def with_facts(events: Iterable[Any], manifest: Path, database: Path, *, log: Any) -> Iterator[Any]:
    """Yield dbt's events once it has ended, those of models with the rows and types they have now.

    Nobody else may read the file while dbt runs. What dbt raised is raised when all are yielded.

    Args:
        events: dbt's events.
        manifest: The parsed project.
        database: The DuckDB file.
        log: Where it is said that the file could not be read.
    """
    told, problem = [], None
    try:
        for event in events:
            told.append(event)  # noqa: PERF402 - what came before an error is kept
    except dg.Failure as error:
        problem = error
    nodes = _nodes(manifest)
    timeout = Settings.model_fields["lock_timeout_seconds"].default
    relations: dict[tuple[str, str], Relation] = {}
    try:
        relations = read_relations(
            database,
            {node["schema"] for node in nodes.values()},
            lock_timeout_seconds=timeout,
        )
    except HotjarStoreError as error:
        log.warning("rows and types of the models are not shown: %s", error)
    for event in told:
        unique_id = getattr(event, "metadata", {}).get("unique_id")
        node = nodes.get(str(unique_id.value)) if unique_id else None
        relation = relations.get((node["schema"], node["alias"])) if node else None
        if relation and isinstance(event, dg.Output | dg.AssetMaterialization):
            columns = [dg.TableColumn(*column) for column in relation.types.items()]
            schema = dg.TableSchema(columns)
            yield event.with_metadata(
                {**event.metadata, ROW_COUNT: relation.rows, _COLUMNS: schema}
            )
        else:
            yield event
    if problem:
        raise problem


def _nodes(manifest: Path) -> dict[str, dict[str, Any]]:
    """Read the models of a parsed project, by dbt's id."""
    nodes = json.loads(manifest.read_bytes())["nodes"]
    return {key: node for key, node in nodes.items() if node["resource_type"] == "model"}


def _node(spec: dg.AssetSpec, nodes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return nodes[spec.metadata["dagster_dbt/unique_id"]]


def _origins(manifest: Path) -> Origins:
    """Tell where the columns of the models come from; work it out if nobody did."""
    found = manifest.with_name("origins.json")
    if not found.exists():
        with FileLock(f"{found}.lock", mode=0o600):
            if not found.exists():
                # It takes a second to load and another to work.
                from hotjar_assets.warehouse.lineage import column_origins  # noqa: PLC0415

                columns = {
                    node["name"]: list(node["columns"]) for node in _nodes(manifest).values()
                }
                replace_file(found, json.dumps(column_origins(columns)).encode())
    origins: Origins = json.loads(found.read_bytes())
    return origins


def _with_origins(description: str, origins: Iterable[list[str]]) -> str:
    """Say where a column comes from, since Dagster's UI shows the lineage of assets alone."""
    texts = ", ".join(f"`{relation}.{column}`" for relation, column in origins)
    return f"{description}\n\nFrom {texts}." if texts else description
