"""What the tables and views of some schemas are like now."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hotjar_assets.warehouse.database import Database, qualified, tables_of


@dataclass(frozen=True)
class Relation:
    """A table or view.

    Attributes:
        types: Its columns and their types, in order.
        rows: Its rows.
    """

    types: dict[str, str]
    rows: int


def read_relations(
    path: Path, schemas: Collection[str], *, lock_timeout_seconds: float
) -> dict[tuple[str, str], Relation]:
    """Read the tables and views of some schemas, by schema and name.

    Raises:
        HotjarStoreError: The database cannot be used.
    """
    database = Database(path, lock_timeout_seconds=lock_timeout_seconds, connection_config={})
    found: dict[tuple[str, str], Relation] = {}
    with database.reading() as connection:
        if connection is None:
            return found
        for schema in schemas:
            for name, types in tables_of(connection, schema).items():
                relation = qualified(connection, name, schema)
                ((rows,),) = connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
                found[schema, name] = Relation(types, rows)
    return found
