"""One DuckDB file: connecting to it, transactions, its errors, and names in SQL.

Every write is one transaction on a connection held only for it, so that a failure at any moment
leaves the old rows, and readers wait for moments. Waiting for another process that holds the file
is logged, jittered and bounded.
"""

import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import tenacity

from hotjar_assets.config import environment_variable, make_database_folder
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.printable import get_logger
from hotjar_assets.private_files import owner_only, refuse_planted
from hotjar_assets.schema import SCHEMA, Table

logger = get_logger(__name__)


FIRST_MEMORY_LIMIT = "80MB"
"""What a commit may keep in memory at its first try; the second may take `HOTJAR_MAX_COMMIT_MB`.

Without a limit, 600,000 rows committed at once took 850 MB; with one, they wait on the disk.
"""


_STORAGE_VERSION = "v1.0.0"
"""The format of new files: DuckDB 1.0 and newer open it. DuckDB 2's own is closed to all 1.x."""


ROW_ERRORS = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.ProgrammingError,
    duckdb.NotSupportedError,
)
"""What DuckDB raises for rows and statements; their text may quote a value."""
_MAY_QUOTE = (duckdb.FatalException, duckdb.InternalException, duckdb.TransactionException)
"""Others whose text may hold that of such an error."""
_IS_REFUSED_AT_COMMIT = re.compile("Failed to commit: .*constraint", re.IGNORECASE)
_COMMIT_NEEDS_MEMORY = re.compile(r"Failed to commit: .*(failed to (pin|allocate)|memory)")
_SECOND_LINE_SECONDS = 2
_HELD_BY = re.compile(r"(?:held in (?P<program>.*) )?\(?PID (?P<pid>\d+)")
_NO_SPACE = re.compile("No space left|File too large|quota exceeded")
_IS_DAMAGED = re.compile(r"Corrupt|replaying WAL|Could not read enough bytes|\bchecksum")
_IS_NEWER = re.compile("database file with version number|database was created with a newer")
_NOT_ALLOWED = re.compile("Permission denied|Read-only file system")


class Database:
    """One DuckDB file.

    Args:
        path: The file; it and its folder are made when first written.
        lock_timeout_seconds: How long to wait for another process that holds the file.
        connection_config: DuckDB's configuration; must be the same for all of a process.
        sleep: Called with the seconds to wait.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock_timeout_seconds: float,
        connection_config: Mapping[str, Any],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._lock_timeout_seconds = lock_timeout_seconds
        self._connection_config = dict(connection_config)
        self.sleep = sleep

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open the file if there is one. Not read-only: one process must always connect alike."""
        if not self.path.exists():
            yield None
            return
        with self.connected() as connection:
            yield connection

    @contextmanager
    def transaction(self, *, memory_limit: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a transaction: committed at the end, rolled back on any exception.

        Args:
            memory_limit: Beyond it, rows that are not committed yet go to disk.

        Raises:
            HotjarStoreError: The file cannot be written, or refused a statement.
        """
        make_database_folder(self.path)
        with self.connected() as connection:
            # A second thread would parse rows no sooner, and double the buffers it parses them in.
            connection.execute("SET threads = 1")
            # Whoever wraps a connection puts a frame between a name and its use.
            connection.execute("SET python_scan_all_frames = true")
            if memory_limit:
                connection.execute(f"SET memory_limit = {literal(memory_limit)}")
            connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                _roll_back(connection)
                raise
            connection.execute("COMMIT")

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect, waiting for another process that holds the file; always closed.

        Raises:
            HotjarStoreError: The file cannot be used, or another user prepared it.
        """
        refuse_planted(self.path)
        # DuckDB makes its log and its temporary files by the umask, at any moment until it closes.
        with owner_only():
            connection = self._connect()
            try:
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
            except duckdb.Error as error:
                # DuckDB's text may quote the value it could not store.
                raise _store_error(error, self.path) from None
            finally:
                connection.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        due = 0.0

        def log_wait(state: tenacity.RetryCallState) -> None:
            # At once, then after 2, 4, 8 … seconds: soon enough to see, and never many lines.
            nonlocal due
            if state.idle_for >= due:
                due = max(_SECOND_LINE_SECONDS, 2 * state.idle_for)
                error = state.outcome and state.outcome.exception()
                logger.warning(
                    "waiting for %s, held by %s (%d s so far, %d s at most)",
                    self.path,
                    _holder(error),
                    state.idle_for,
                    self._lock_timeout_seconds,
                )

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_locked),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(self._lock_timeout_seconds),
            before_sleep=log_wait,
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(self._open)
        except duckdb.Error as error:
            raise _store_error(error, self.path) from None

    def _open(self) -> duckdb.DuckDBPyConnection:
        # The format can only be chosen when a file is attached, and is then that of the file.
        if not self.path.exists():
            with duckdb.connect() as connection:
                connection.execute(
                    f"ATTACH {literal(str(self.path))} AS {quote('hotjar_assets:new')} "
                    f"(STORAGE_VERSION {literal(_STORAGE_VERSION)})"
                )
        return duckdb.connect(str(self.path), config=self._connection_config)


class OutOfMemoryError(HotjarStoreError):
    """The rows need more memory than was allowed."""


class RowsRefusedError(HotjarStoreError):
    """The database works, but not with these rows."""


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


def _holder(error: object) -> str:
    """Name the process that holds the file, as DuckDB's message and /proc do."""
    found = _HELD_BY.search(str(error))
    if not found:
        return "another process"
    program = _command(found["pid"]) or Path(found["program"] or "").name
    return f"PID {found['pid']}{f' ({program})' if program else ''}"


def _command(pid: str) -> str:
    """Return the program of a process and the script or module it runs; else an empty text.

    No further argument is shown, and of a path only its end: arguments may hold secrets.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    program, *arguments = words.split("\0")
    match arguments:
        case ["-m", module, *_]:
            return f"{Path(program).name} -m {module}"
        case [first, *_] if first and not first.startswith("-"):
            return f"{Path(program).name} {Path(first).name}"
    return Path(program).name


def _store_error(error: duckdb.Error, path: Path) -> HotjarStoreError:
    text = str(error)
    if isinstance(error, ROW_ERRORS) or _IS_REFUSED_AT_COMMIT.search(text):
        return RowsRefusedError(
            f"{path} refused the rows ({type(error).__name__}); compare the columns of the "
            f"table with what is written (those of the schema {SCHEMA} are in the README), and "
            "check the partition_expr of an asset of your own (nothing was changed)"
        )
    is_disk = _NO_SPACE.search(text) is not None
    # A commit that has too little memory is a transaction error by its type.
    is_memory = isinstance(error, duckdb.OutOfMemoryException) or _COMMIT_NEEDS_MEMORY.search(text)
    if is_memory and not is_disk:
        setting = environment_variable("max_commit_mb")
        return OutOfMemoryError(
            f"{path}: no space left in memory, or on the disk for what does not fit in it; free "
            f"some, or set {setting} higher if rows are very long, and sync again (nothing was "
            "changed)"
        )
    # Of several that are true, the first says most.
    problems = [
        (
            _is_locked(error),
            (
                f" is held by {_holder(error)} and did not become free; close its connection (in a "
                "notebook: connection.close(), or restart the kernel) or end that process, and "
                f"try again, or set {environment_variable('lock_timeout_seconds')} higher"
            ),
        ),
        (is_disk, ": no space left on the disk; free some and sync again"),
        (
            _NOT_ALLOWED.search(text),
            (
                " cannot be opened or written; check the permissions of the file, its folder and "
                "its disk"
            ),
        ),
        (
            _IS_NEWER.search(text),
            (
                f" was written by a newer DuckDB than {duckdb.__version__}, which is installed; "
                "upgrade duckdb"
            ),
        ),
        (
            _IS_DAMAGED.search(text),
            (
                f", or its log {path.name}.wal, is damaged ({_told(error)}); check the disk, and "
                "restore both from a backup, or move both away, sync again, which reads "
                "everything, and import again what was imported"
            ),
        ),
        (isinstance(error, duckdb.InterruptException), ": interrupted; sync again"),
        (
            isinstance(error, duckdb.TransactionException),
            (
                ": another connection of this process changed the same rows at the same time; sync "
                "again"
            ),
        ),
        (
            True,
            (
                f" cannot be used ({type(error).__name__}); check that it is a DuckDB file, that "
                "its folder is writable, and that its disk works"
            ),
        ),
    ]
    problem = next(problem for is_true, problem in problems if is_true)
    return HotjarStoreError(f"{path}{problem} (nothing was changed)")


def _told(error: duckdb.Error) -> str:
    """Return what DuckDB says in its first line, or its type where that may quote a value."""
    if isinstance(error, (*ROW_ERRORS, *_MAY_QUOTE)):
        return type(error).__name__
    return textwrap.shorten(str(error).partition("\n")[0], 300, placeholder="…")


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.Error as error:
        # After a fatal error there is no transaction any more, and closing discards it anyway.
        logger.debug("no rollback: %s", type(error).__name__)


def qualified(connection: duckdb.DuckDBPyConnection, table: str, schema: str = SCHEMA) -> str:
    """Qualify with the catalog: a file named hotjar.duckdb makes `hotjar.x` ambiguous."""
    ((catalog,),) = connection.execute("SELECT current_database()").fetchall()
    return ".".join(quote(part) for part in (catalog, schema, table))


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """Write a value as SQL: a text, a number, a boolean, a day, an instant, null, or a list.

    No statement binds its values: DuckDB 1.5 imports pandas for the first one, which takes 85 MB.

    Raises:
        TypeError: It is of another type.
        ValueError: An instant has no zone.
    """
    match value:
        case None:
            return "NULL"
        case int():  # booleans too
            return str(value).lower()
        case str():
            # For DuckDB's parser, a NUL is the end of the statement.
            parts = (f"'{part}'" for part in value.replace("'", "''").split("\0"))
            text = " || chr(0) || ".join(parts)
            return f"({text})" if "\0" in value else text
        case datetime():
            if value.tzinfo is None:
                raise ValueError("an instant without a zone")
            return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat()}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            raise TypeError(f"no literal for {type(value).__name__}")


def has_table(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Tell whether there is a table of this qualified name; if not, a transaction is over."""
    try:
        connection.execute(f"FROM {name} LIMIT 0")
    except duckdb.CatalogException:
        return False
    return True


def columns_in(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    """Map the columns of an existing table, by its qualified name, to their types."""
    described = connection.execute(f"FROM {name} LIMIT 0").description or ()
    return {column: str(kind) for column, kind, *_ in described}


def tables_of(connection: duckdb.DuckDBPyConnection, schema: str) -> dict[str, dict[str, str]]:
    """Map the tables of a schema to their columns and types.

    The first look into the catalog takes 20 ms on each connection, so a sync does without.
    """
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        f"WHERE database_name = current_database() AND schema_name = {literal(schema)} "
        "ORDER BY column_index"
    ).fetchall():
        tables.setdefault(table, {})[column] = kind
    return tables


def rows_if_any(
    connection: duckdb.DuckDBPyConnection | None, table: Table, sql: str, **values: Any
) -> list[tuple[Any, ...]]:
    """Query `{table}`; without the file or the table there are no rows (see `has_table`).

    Args:
        connection: The file; None if there is none yet.
        table: One of its tables.
        sql: The query.
        values: What stands in it by name, as `literal` writes it.
    """
    if connection is None:
        return []
    name = qualified(connection, table.name, table.schema)
    if not has_table(connection, name):
        return []
    literals = {key: literal(value) for key, value in values.items()}
    return connection.execute(sql.format(table=name, **literals)).fetchall()


def create_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Create a schema if it is missing."""
    ((catalog,),) = connection.execute("SELECT current_database()").fetchall()
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(catalog)}.{quote(schema)}")


def create_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create one of our tables with its schema, or add the columns it lacks."""
    create_schema(connection, table.schema)
    types = {column.name: column.type for column in table.columns}
    add_columns(connection, table.schema, table.name, types)


def add_columns(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, types: Mapping[str, str]
) -> dict[str, str]:
    """Create the table, or add the columns it lacks; return the types of all it has."""
    name = qualified(connection, table, schema)
    columns = {column: f"{quote(column)} {kind}" for column, kind in types.items()}
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns.values())})")
    there = columns_in(connection, name)
    for column, definition in columns.items():
        if column not in there:
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {definition}")
    return columns_in(connection, name)
