"""Rewriting a database file, so that its free blocks hold nothing of deleted rows.

DuckDB keeps deleted rows in the file until it needs their blocks, and a block is only free when
nothing else is in it.
"""

import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import duckdb

from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.schema import META
from hotjar_assets.warehouse.database import (
    create_table,
    literal,
    qualified,
    quote,
    rows_if_any,
)

_PAUSE_SECONDS = 0.2
_MEMORY_LIMIT = "200MB"
_COMPACTION_IS_DUE = "compaction_is_due"
"""Noted in a file whose free blocks may hold what was erased."""
_NEW = "hotjar_assets:new"
_CATALOG = {
    "tables": "schema_name, table_name, sql, comment",
    "views": "schema_name, view_name, sql, comment",
    "columns": "schema_name, table_name, column_index, column_name, data_type, comment",
    "indexes": "schema_name, table_name, index_name, sql",
    "sequences": "schema_name, sequence_name, sql",
    "types": "schema_name, type_name, logical_type",
    "functions": "schema_name, function_name, macro_definition",
}
"""What must be the same in the new file, by the function of DuckDB that lists it."""


def compact(
    connection: duckdb.DuckDBPyConnection, path: Path, *, sleep: Callable[[float], None]
) -> None:
    """Copy all that a file holds into a new one and put that in its place.

    No other process can write meanwhile, nor into the old file afterwards: both files are locked by
    this connection until it is closed. One that has just opened the old file, and has not locked
    it, is refused the lock and opens the new one at its next try.

    Args:
        connection: The file, outside of a transaction; it must be closed afterwards.
        path: Where it is.
        sleep: Called with the seconds to wait.

    Raises:
        HotjarStoreError: The file is as it was.
    """
    path = path.resolve()
    if path.stat().st_nlink > 1:
        raise _refused(path, "the file has another name too (a hard link)")
    for killed in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}.new*"):
        killed.unlink()
    new = path.with_name(f".{path.name}.{uuid4().hex}.new")
    try:
        _copy(connection, new)
        _take_over_rights(path, new)
        new.replace(path)
    except duckdb.ConstraintException:
        raise _refused(path, "DuckDB below 2 cannot copy a table with a foreign key") from None
    except (OSError, duckdb.Error) as error:
        raise _refused(path, type(error).__name__) from None
    finally:
        for left in (new, new.with_name(f"{new.name}.wal")):
            left.unlink(missing_ok=True)
    sleep(_PAUSE_SECONDS)


def is_compaction_due(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether the free blocks of the file may hold what was erased."""
    rows = rows_if_any(
        connection, META, "SELECT 1 FROM {table} WHERE name = {name}", name=_COMPACTION_IS_DUE
    )
    return bool(rows)


def note_compaction(connection: duckdb.DuckDBPyConnection, *, is_due: bool) -> None:
    """Note whether the free blocks of the file may hold what was erased."""
    create_table(connection, META)
    meta = qualified(connection, META.name)
    name = literal(_COMPACTION_IS_DUE)
    connection.execute(f"DELETE FROM {meta} WHERE name = {name}")
    if is_due:
        connection.execute(f"INSERT INTO {meta} VALUES ({name}, '1')")


def delete_spilled(path: Path) -> None:
    """Delete what killed processes had put aside on the disk; the file must be open.

    Nobody else has it open then, and nothing is put aside yet.
    """
    for killed in path.with_name(f"{path.name}.tmp").glob("duckdb_temp_*"):
        killed.unlink()


def _copy(connection: duckdb.DuckDBPyConnection, new: Path) -> None:
    connection.execute("SET threads = 1")
    connection.execute(f"SET memory_limit = {literal(_MEMORY_LIMIT)}")
    connection.execute("CHECKPOINT")
    ((catalog, tags),) = connection.execute(
        "SELECT database_name, tags FROM duckdb_databases() "
        "WHERE database_name = current_database()"
    ).fetchall()
    ((block_size,),) = connection.execute(
        "SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()"
    ).fetchall()
    # A file that an older DuckDB can read stays one.
    version = re.search(r"v\d+\.\d+\.\d+", str(tags))
    options = [f"BLOCK_SIZE {block_size}"]
    options += [f"STORAGE_VERSION {literal(version.group())}"] if version else []
    connection.execute(f"ATTACH {literal(str(new))} AS {quote(_NEW)} ({', '.join(options)})")
    connection.execute(f"COPY FROM DATABASE {quote(catalog)} TO {quote(_NEW)}")
    for kind, columns in _CATALOG.items():
        if _listed(connection, kind, columns, catalog) != _listed(connection, kind, columns, _NEW):
            raise OSError(f"{kind} differ")
    connection.execute(f"CHECKPOINT {quote(_NEW)}")


def _listed(
    connection: duckdb.DuckDBPyConnection, kind: str, columns: str, catalog: str
) -> list[tuple[object, ...]]:
    internal = "" if kind in {"indexes", "sequences"} else "AND NOT internal"
    listed: list[tuple[object, ...]] = connection.execute(
        f"SELECT {columns} FROM duckdb_{kind}() "
        f"WHERE database_name = {literal(catalog)} {internal} ORDER BY ALL"
    ).fetchall()
    if kind == "tables":
        for schema, table, *_ in listed.copy():
            name = ".".join(quote(str(part)) for part in (catalog, schema, table))
            listed += connection.execute(f"SELECT count(*) FROM {name}").fetchall()
    return listed


def _take_over_rights(path: Path, new: Path) -> None:
    """Give the new file the owner and mode of the old one; it must not be opened for that.

    A process that closes a file gives up all its locks on it.
    """
    old = path.stat()
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(new, old.st_uid, old.st_gid)
    new.chmod(old.st_mode & 0o7777)


def _refused(path: Path, problem: str) -> HotjarStoreError:
    return HotjarStoreError(
        f"{path} was not rewritten ({problem}), so its free blocks may still hold what was "
        "erased; make room beside it or export and import it, and erase again"
    )
