"""Which column of a dbt model comes from which columns, read from its SQL: no database is opened.

dagster-dbt can tell as well, but asks the database after every run for what never changes, and
keeps it open from then on.
"""

from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlglot.lineage import Node, lineage

from hotjar_assets.schema import SCHEMA, SURVEY_RESPONSES, SURVEYS
from hotjar_assets.warehouse.models import model_queries

_TABLES = (SURVEYS, SURVEY_RESPONSES)
Origin = tuple[str, str]
"""A relation, and a column of it."""


def column_origins(
    columns: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, list[Origin]]]:
    """Tell the origins of each column of each model, in the models and tables it selects from.

    Args:
        columns: The columns of each model.
    """
    tables = {table.name: [column.name for column in table.columns] for table in _TABLES}
    known = {**tables, **columns}
    schema = {SCHEMA: {name: dict.fromkeys(names, "VARCHAR") for name, names in known.items()}}
    queries = model_queries({name: f"{SCHEMA}.{name}" for name in known})
    return {
        model: {
            column: sorted(_origins(node))
            for column, node in lineage(None, queries[model], schema, dialect="duckdb").items()
        }
        for model in columns
    }


def _origins(node: Node) -> set[Origin]:
    return {
        (leaf.expression.name, exp.to_column(leaf.name).name)
        for leaf in node.walk()
        if not leaf.downstream and isinstance(leaf.expression, exp.Table)
    }
