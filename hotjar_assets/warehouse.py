"""The DuckDB file: connecting, transactions, merging, marking. All SQL of the package is here.

Every write is one transaction on a connection held only for it, so that a failure at any moment
leaves the old rows, and readers wait for moments. Waiting for another process that holds the file
is logged, jittered and bounded.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import tenacity

from hotjar_assets.api.records import encode_lines
from hotjar_assets.config import PiiMode, make_database_folder
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.privacy import Privacy
from hotjar_assets.schema import SCHEMA, SCHEMA_VERSION, SURVEY_RESPONSES, SURVEYS, Table
from hotjar_assets.spool import Segment, spool_folder
from hotjar_assets.sync import SurveyListing, SurveyRead, SurveyState

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 60.0
_CHUNK_ROWS = 40_000
_MIN_OBJECT_BYTES = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Figures:
    """What one commit did to one survey's rows, or to the table of surveys.

    Attributes:
        rows: Rows now in the table, marked ones included.
        new: Rows that were not there.
        updated: Rows that changed.
        deleted: Rows newly marked as deleted.
        purged: Rows removed that an earlier full sync had marked.
        vanished: Unmarked rows that a walk should have met and did not: some are gone from Hotjar.
    """

    rows: int = 0
    new: int = 0
    updated: int = 0
    deleted: int = 0
    purged: int = 0
    vanished: int = 0

    def __add__(self, later: "Figures") -> "Figures":
        """Sum up two commits of the same survey."""
        return Figures(
            rows=later.rows,
            new=self.new + later.new,
            updated=self.updated + later.updated,
            deleted=self.deleted + later.deleted,
            purged=self.purged + later.purged,
            vanished=later.vanished,
        )


@dataclass(frozen=True)
class TableSlice:
    """A table of anybody's asset, or some partitions of it.

    Attributes:
        schema: Its schema.
        table: Its name.
        expression: SQL expression that gives a row's partition; None for the whole table.
        keys: The partition keys.
        window: First instant, and the first one after it, instead of keys.
    """

    schema: str
    table: str
    expression: str | None = None
    keys: tuple[str, ...] = ()
    window: tuple[datetime, datetime] | None = None

    @property
    def condition(self) -> str:
        """SQL that is true for the rows of the slice."""
        if self.expression is None:
            return "true"
        if self.window:
            return f"(({self.expression}) >= $start AND ({self.expression}) < $end)"
        return f"CAST({self.expression} AS VARCHAR) IN (SELECT unnest($keys::VARCHAR[]))"

    @property
    def parameters(self) -> dict[str, object] | None:
        """What `condition` needs."""
        if self.expression is None:
            return None
        if self.window:
            # A column without a zone holds UTC, and the session's zone is UTC.
            return {"start": self.window[0], "end": self.window[1]}
        return {"keys": list(self.keys)}


class Warehouse:
    """One DuckDB file.

    Args:
        path: The file; it and its folder are made when first written.
        lock_timeout_seconds: How long to wait for another process that holds the file.
        connection_config: DuckDB's configuration; must be the same for all of a process.
        sleep: Called with the seconds to wait.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
        connection_config: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = Path(path)
        self._lock_timeout_seconds = lock_timeout_seconds
        self._connection_config = dict(connection_config or {})
        self._sleep = sleep

    @contextmanager
    def spool(self) -> Iterator[Path]:
        """Give a folder for rows that wait to be committed; it is gone afterwards.

        Raises:
            HotjarConfigError: The folder of the database cannot be made or written to.
        """
        make_database_folder(self.path)
        with spool_folder(self.path.absolute()) as folder:
            yield folder

    def check(self, account: str) -> None:
        """Make the tables if they are missing, as the first sync would.

        Raises:
            HotjarStoreError: The file cannot be written, or is of another account.
        """
        with self._writing(account):
            pass

    def adopt(self, privacy: Privacy, *, rewrite: bool) -> None:
        """Make sure that the file is of this privacy mode and key.

        Args:
            privacy: What personal values become from now on.
            rewrite: Whether a file of another mode is rewritten. What the old mode removed only
                comes back with the rows that Hotjar still has.

        Raises:
            HotjarStoreError: It is of another mode or key, and `rewrite` is not wanted.
        """
        wanted = {"pii": privacy.mode.value, "pii_key_fingerprint": privacy.fingerprint}
        with self._writing(None) as connection:
            meta = _name(connection, "meta")
            noted = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
            if noted.items() >= wanted.items():
                return
            facts = {"pii": PiiMode.KEEP.value, "pii_key_fingerprint": "", **noted}
            is_same = facts.items() >= wanted.items()
            is_new = "pii" not in noted and not _has_rows(connection)
            if not (is_same or is_new or rewrite):
                raise HotjarStoreError(
                    f"{self.path} was written with HOTJAR_PII={facts['pii']} and the "
                    f"settings say {privacy.mode.value}, or its key is another; rewrite the file "
                    "with reconcile_job (hotjar-assets sync --full), or restore the settings"
                )
            _rewrite_personal(connection, privacy)
            connection.execute(f"DELETE FROM {meta} WHERE name LIKE 'pii%'")
            connection.executemany(f"INSERT INTO {meta} VALUES (?, ?)", list(wanted.items()))

    def survey_states(self, survey_ids: Sequence[str]) -> dict[str, SurveyState]:
        """Tell what the file holds of each survey, for `ResponseSync.read`."""
        with self._reading() as connection:
            surveys = _rows_if_any(
                connection,
                SURVEYS,
                "SELECT survey_id, site_id, deleted_at IS NOT NULL, list_transform(list_filter("
                "questions, lambda q: q.type = 'email'), lambda q: q.question_id) FROM {table} "
                "WHERE survey_id IN (SELECT unnest($ids::VARCHAR[]))",
                ids=list(survey_ids),
            )
            watermarks = _rows_if_any(
                connection,
                SURVEY_RESPONSES,
                "SELECT survey_id, epoch_us(max(created_at)) FROM {table} "
                "WHERE survey_id IN (SELECT unnest($ids::VARCHAR[])) "
                "AND deleted_at IS NULL AND created_at <= $now GROUP BY survey_id",
                ids=list(survey_ids),
                now=datetime.now(UTC),
            )
        states = {survey_id: SurveyState(survey_id) for survey_id in survey_ids}
        for survey_id, site_id, removed, email_questions in surveys:
            states[survey_id] = SurveyState(
                survey_id,
                site_id=site_id,
                removed=removed,
                email_questions=frozenset(email_questions or ()),
            )
        for survey_id, microseconds in watermarks:
            watermark = _EPOCH + timedelta(microseconds=microseconds)
            states[survey_id] = replace(states[survey_id], watermark=watermark)
        return states

    def known_surveys(self) -> dict[str, set[str]]:
        """Map each site to the ids of its surveys that are not marked as deleted."""
        known: dict[str, set[str]] = {}
        with self._reading() as connection:
            rows = _rows_if_any(
                connection,
                SURVEYS,
                "SELECT site_id, survey_id FROM {table} WHERE deleted_at IS NULL",
            )
        for site_id, survey_id in rows:
            known.setdefault(site_id, set()).add(survey_id)
        return known

    def merge_surveys(self, listing: SurveyListing) -> Figures:
        """Upsert a complete listing and mark the surveys of its sites that it no longer has.

        Raises:
            HotjarStoreError: Nothing was changed.
        """
        with self.spool() as folder, self._writing(listing.account) as connection:
            file = folder / "surveys.jsonl"
            lines = encode_lines(listing.surveys)
            file.write_bytes(lines)
            merge = _Merge(connection, SURVEYS)
            before = merge.count()
            merge.rows([Segment(file, len(listing.surveys), len(lines), has_duplicates=False)])
            merge.execute(
                """UPDATE {table} SET synced_at = $now, deleted_at = CASE
                     WHEN survey_id IN (SELECT unnest($listed::VARCHAR[])) THEN NULL
                     ELSE coalesce(deleted_at, $now) END
                   WHERE site_id IN (SELECT unnest($sites::VARCHAR[])) AND (deleted_at IS NULL
                     OR survey_id IN (SELECT unnest($listed::VARCHAR[])))""",
                listed=[str(survey.id) for survey in listing.surveys],
                sites=list(listing.site_ids),
            )
            rows, deleted = merge.one(
                "SELECT count(*), count(*) FILTER (deleted_at = $now) FROM {table}"
            )
            return Figures(rows, rows - before, sum(merge.updated.values()), deleted)

    def commit_responses(
        self, reads: Sequence[SurveyRead], *, purge: bool = False
    ) -> dict[str, Figures | HotjarStoreError]:
        """Merge finished walks in one transaction; if that fails, each in its own.

        Args:
            reads: Walks without an error.
            purge: Whether rows that an earlier full sync marked are deleted where this one is full.

        Returns:
            What was done, by survey id; an error for a survey whose rows could not be stored.

        Raises:
            HotjarStoreError: The file cannot be written at all. Nothing was changed.
        """
        try:
            return dict(self._commit_group(reads, purge=purge))
        except _RowsRefusedError as error:
            if len(reads) == 1:
                return {reads[0].survey_id: error}
        results: dict[str, Figures | HotjarStoreError] = {}
        for read in reads:
            results |= self.commit_responses([read], purge=purge)
        return results

    def replace(self, part: TableSlice, frame: "pd.DataFrame") -> int:
        """Replace a slice by the rows of a frame, by column name, in one transaction.

        A missing table is created and a new column added; a column the frame lacks becomes null.

        Returns:
            The rows written.

        Raises:
            HotjarStoreError: A row belongs to another partition, or a value would change its
                meaning in the column's type. Nothing was changed.
        """
        make_database_folder(self.path)
        with self._transaction() as connection:
            table = _name(connection, part.table, part.schema)
            connection.register("frame", frame)
            given = _frame_types(connection, frame)
            _create_schema(connection, part.schema)
            _add_columns(connection, part.schema, part.table, given)
            types = _columns(connection, part.table, part.schema)
            _refuse_loss(connection, part, given, types)
            stray = f"SELECT count(*) FROM frame WHERE ({part.condition}) IS NOT TRUE"
            ((strays,),) = connection.execute(stray, part.parameters).fetchall()
            if strays:
                raise _RowsRefusedError(
                    f"{strays} rows for {part.schema}.{part.table} belong to a partition that is "
                    f"not being written ({part.expression}); nothing was changed"
                )
            connection.execute(f"DELETE FROM {table} WHERE {part.condition}", part.parameters)
            columns = ", ".join(
                f"CAST({_quote(name)} AS {types[name]}) AS {_quote(name)}" for name in given
            )
            connection.execute(f"INSERT INTO {table} BY NAME SELECT {columns} FROM frame")
        return len(frame)

    def load(self, part: TableSlice, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Load a slice as a DataFrame.

        Raises:
            HotjarStoreError: There is no such table.
        """
        with self._reading() as connection:
            if connection is None or not _columns(connection, part.table, part.schema):
                raise HotjarStoreError(
                    f"{self.path} has no table {part.schema}.{part.table}; materialize it first"
                )
            names = ", ".join(map(_quote, columns)) if columns else "*"
            table = _name(connection, part.table, part.schema)
            return connection.execute(
                f"SELECT {names} FROM {table} WHERE {part.condition}", part.parameters
            ).df()

    def _commit_group(self, reads: Sequence[SurveyRead], *, purge: bool) -> dict[str, Figures]:
        account = next((read.account for read in reads if read.account), None)
        with self._writing(account) as connection:
            merge = _Merge(connection, SURVEY_RESPONSES)
            survey_ids = [read.survey_id for read in reads]
            before = merge.counts(survey_ids)
            merge.begin([read for read in reads if read.pages or read.is_removed])
            for chunk in _chunks(segment for read in reads for segment in read.segments):
                merge.rows(chunk)
            purged = merge.purge() if purge else {}
            merge.mark_unseen()
            after = merge.counts(survey_ids)
            deleted = merge.counts(survey_ids, "deleted_at = $now")
            vanished = merge.vanished()
            return {
                key: Figures(
                    rows=after.get(key, 0),
                    new=after.get(key, 0) - before.get(key, 0) + purged.get(key, 0),
                    updated=merge.updated.get(key, 0),
                    deleted=deleted.get(key, 0),
                    purged=purged.get(key, 0),
                    vanished=vanished.get(key, 0),
                )
                for key in survey_ids
            }

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open the file if there is one. Not read-only: one process must always connect alike."""
        if not self.path.exists():
            yield None
            return
        with self._connected() as connection:
            yield connection

    @contextmanager
    def _writing(self, account: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a transaction on a file that is of this account (None: of whichever it is)."""
        make_database_folder(self.path)
        with self._transaction() as connection:
            _prepare(connection, self.path, account)
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connected() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                _roll_back(connection)
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
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
        def log_wait(state: tenacity.RetryCallState) -> None:
            if state.attempt_number & (state.attempt_number - 1) == 0:
                logger.warning("waiting for %s, held by %s", self.path, _holder(state))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_locked),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(self._lock_timeout_seconds),
            before_sleep=log_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(duckdb.connect, str(self.path), config=self._connection_config)
        except duckdb.Error as error:
            raise _store_error(error, self.path) from None


class _RowsRefusedError(HotjarStoreError):
    """The database works, but not with these rows."""


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


def _holder(state: tenacity.RetryCallState) -> str:
    error = state.outcome and state.outcome.exception()
    process = re.search(r"PID \d+", str(error))
    return process.group() if process else "another process"


def _store_error(error: duckdb.Error, path: Path) -> HotjarStoreError:
    text = str(error)
    if _is_locked(error):
        process = re.search(r"PID \d+", text)
        holder = process.group() if process else "another process"
        return HotjarStoreError(
            f"{path} is held by {holder} and did not become free; "
            "end that process or close its connection, and sync again (nothing was changed)"
        )
    if "No space left" in text or isinstance(error, duckdb.OutOfMemoryException):
        return HotjarStoreError(
            f"{path}: no space left on the disk or in memory; free some and sync again "
            "(nothing was changed)"
        )
    if isinstance(error, duckdb.IOException | duckdb.ConnectionException | duckdb.FatalException):
        return HotjarStoreError(
            f"{path} cannot be used ({type(error).__name__}); check that it is a DuckDB file, that "
            "its folder is writable, and that its disk works (nothing was changed)"
        )
    return _RowsRefusedError(
        f"{path} refused the rows ({type(error).__name__}); compare the columns of its tables in "
        f"the schema {SCHEMA} with the README (nothing was changed)"
    )


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.Error as error:
        # After a fatal error there is no transaction any more, and closing discards it anyway.
        logger.debug("no rollback: %s", type(error).__name__)


def _name(connection: duckdb.DuckDBPyConnection, table: str, schema: str = SCHEMA) -> str:
    """Qualify with the catalog: a file named hotjar.duckdb makes `hotjar.x` ambiguous."""
    ((catalog,),) = connection.execute("SELECT current_database()").fetchall()
    return ".".join(_quote(part) for part in (catalog, schema, table))


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _columns(connection: duckdb.DuckDBPyConnection, table: str, schema: str) -> dict[str, str]:
    """Map the columns of an existing table to their types; empty if there is no such table."""
    return dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = $schema "
            "AND table_name = $table ORDER BY column_index",
            {"schema": schema, "table": table},
        ).fetchall()
    )


def _rows_if_any(
    connection: duckdb.DuckDBPyConnection | None, table: Table, sql: str, **parameters: object
) -> list[tuple[Any, ...]]:
    if connection is None or not _columns(connection, table.name, SCHEMA):
        return []
    statement = sql.format(table=_name(connection, table.name))
    return connection.execute(statement, parameters or None).fetchall()


def _prepare(connection: duckdb.DuckDBPyConnection, path: Path, account: str | None) -> None:
    """Make or extend the tables, and refuse a file of another account or a newer release."""
    _create_schema(connection, SCHEMA)
    meta = _name(connection, "meta")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {meta} (name VARCHAR, value VARCHAR)")
    known = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
    if int(known.get("schema_version", SCHEMA_VERSION)) > int(SCHEMA_VERSION):
        raise HotjarStoreError(f"{path} was written by a newer release; upgrade hotjar-assets")
    if account and known.get("account", account) != account:
        raise HotjarStoreError(
            f"{path} holds the data of a {known['account']} account and these answers come from a "
            f"{account} one; set HOTJAR_DATABASE to another file (nothing was changed)"
        )
    facts = {"schema_version": SCHEMA_VERSION, "account": account}
    for name, value in facts.items():
        if value and name not in known:
            connection.execute(f"INSERT INTO {meta} VALUES (?, ?)", [name, value])
    for table in (SURVEYS, SURVEY_RESPONSES):
        types = {column.name: column.type for column in table.columns}
        _add_columns(connection, SCHEMA, table.name, types)


def _has_rows(connection: duckdb.DuckDBPyConnection) -> bool:
    table = _name(connection, SURVEY_RESPONSES.name)
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def _rewrite_personal(connection: duckdb.DuckDBPyConnection, privacy: Privacy) -> None:
    """Replace the personal values of the stored rows, those that Hotjar no longer has included."""
    if privacy.mode is PiiMode.KEEP:
        return

    def attributes(text: str | None) -> str | None:
        items = json.loads(text or "null")
        return items and json.dumps(
            [{**item, "value": privacy.value(item["value"])} for item in items]
        )

    def answers(text: str | None, email_questions: str | None) -> str | None:
        items, asked = json.loads(text or "null"), json.loads(email_questions or "[]")
        return items and json.dumps(
            [
                {**item, "answer": privacy.answer(item["answer"], item["question_id"], asked)}
                for item in items
            ]
        )

    def extra(text: str | None) -> str | None:
        return text and json.dumps(privacy.unknown(json.loads(text)))

    functions: dict[str, Callable[..., str | None]] = {
        "personal_value": privacy.value,
        "personal_url": privacy.url,
        "personal_attributes": attributes,
        "personal_answers": answers,
        "personal_extra": extra,
    }
    for name, function in functions.items():
        text = duckdb.sqltype("VARCHAR")
        parameters = [text] * len(signature(function).parameters)
        # Nulls are passed in and may come out.
        connection.create_function(name, function, parameters, text, null_handling="special")  # type: ignore[call-overload]
    types = {column.name: column.type for column in SURVEY_RESPONSES.columns}
    connection.execute(
        f"""UPDATE {_name(connection, SURVEY_RESPONSES.name)} t SET
              hotjar_user_id = personal_value(hotjar_user_id),
              response_origin_url = personal_url(response_origin_url),
              user_attributes = CAST(CAST(personal_attributes(CAST(to_json(user_attributes)
                AS VARCHAR)) AS JSON) AS {types["user_attributes"]}),
              answers = CAST(CAST(personal_answers(CAST(to_json(answers) AS VARCHAR), (
                SELECT CAST(to_json(list_transform(list_filter(s.questions,
                  lambda q: q.type = 'email'), lambda q: q.question_id)) AS VARCHAR)
                FROM {_name(connection, SURVEYS.name)} s WHERE s.survey_id = t.survey_id
                )) AS JSON) AS {types["answers"]}),
              extra = CAST(personal_extra(CAST(extra AS VARCHAR)) AS JSON),
              synced_at = $now""",
        {"now": datetime.now(UTC)},
    )


def _create_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    ((catalog,),) = connection.execute("SELECT current_database()").fetchall()
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(catalog)}.{_quote(schema)}")


def _add_columns(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, types: Mapping[str, str]
) -> None:
    """Create the table, or add the columns it lacks."""
    name, there = _name(connection, table, schema), _columns(connection, table, schema)
    if not there:
        columns = ", ".join(f"{_quote(column)} {kind}" for column, kind in types.items())
        connection.execute(f"CREATE TABLE {name} ({columns})")
        return
    for column, kind in types.items():
        if column not in there:
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {_quote(column)} {kind}")


def _frame_types(connection: duckdb.DuckDBPyConnection, frame: "pd.DataFrame") -> dict[str, str]:
    """Map the columns of the registered frame to DuckDB types; a column without values is text."""
    types = connection.execute("SELECT column_name, column_type FROM (DESCRIBE frame)").fetchall()
    return {
        name: "VARCHAR" if frame[name].dtype == object and frame[name].isna().all() else kind
        for name, kind in types
    }


def _refuse_loss(
    connection: duckdb.DuckDBPyConnection,
    part: TableSlice,
    given: Mapping[str, str],
    types: Mapping[str, str],
) -> None:
    """Refuse a frame with a value that the column's type would change, say 0.5 as integer."""
    for name, kind in given.items():
        if kind == types[name]:
            continue
        column = _quote(name)
        kept = f"TRY_CAST(TRY_CAST({column} AS {types[name]}) AS {kind})"
        lost = f"SELECT count(*) FROM frame WHERE {kept} IS DISTINCT FROM CAST({column} AS {kind})"
        ((count,),) = connection.execute(lost).fetchall()
        if count:
            raise _RowsRefusedError(
                f"column {name} of {part.schema}.{part.table} is {types[name]} and {count} values "
                f"of type {kind} would change in it; cast them in the asset (nothing was changed)"
            )


def _chunks(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    chunk: list[Segment] = []
    for segment in segments:
        if chunk and sum(each.rows for each in chunk) + segment.rows > _CHUNK_ROWS:
            yield chunk
            chunk = []
        chunk.append(segment)
    if chunk:
        yield chunk


class _Merge:
    """Merges spooled rows into one table inside an open transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._names = {
            "table": _name(connection, table.name),
            "same_key": " AND ".join(f"t.{key} = i.{key}" for key in table.key),
            "keys": ", ".join(table.key),
        }
        # The instant of the commit, after any wait for the lock: a full walk that began before it
        # must not take these rows for ones it should have seen.
        self._now = datetime.now(UTC)
        self.updated: dict[str, int] = {}

    def execute(self, sql: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        """Run one statement; `{table}` and `$now` may stand in it."""
        sql = sql.format(**self._names)
        if "$now" in sql:
            parameters["now"] = self._now
        return self._connection.execute(sql, parameters or None)

    def one(self, sql: str, **parameters: object) -> tuple[Any, ...]:
        """Return the only row of a query."""
        (row,) = self.execute(sql, **parameters).fetchall()
        return row

    def count(self) -> int:
        """Count the rows of the table."""
        return int(self.one("SELECT count(*) FROM {table}")[0])

    def counts(self, survey_ids: Sequence[str], condition: str = "true") -> dict[str, int]:
        """Count rows by survey."""
        sql = (
            "SELECT survey_id, count(*) FROM {table} WHERE survey_id IN "
            f"(SELECT unnest($ids::VARCHAR[])) AND {condition} GROUP BY survey_id"
        )
        return dict(self.execute(sql, ids=list(survey_ids)).fetchall())

    def rows(self, segments: Sequence[Segment]) -> None:
        """Insert the rows that are new and replace those that changed.

        A value the API no longer gives is kept where the column says so, and a row that comes back
        loses its mark.
        """
        table = self._table
        columns = ", ".join(f"{column.source} AS {_quote(column.name)}" for column in table.sourced)
        record = ", ".join(
            f"{_quote(name)}: {_literal(kind)}" for name, kind in table.record.items()
        )
        files = ", ".join(_literal(str(segment.path)) for segment in segments)
        latest = (
            f"QUALIFY row_number() OVER (PARTITION BY {self._names['keys']} "
            'ORDER BY "hotjar_assets:ordinal" DESC) = 1'
            if len(segments) > 1 or segments[0].has_duplicates
            else ""
        )
        longest = max(_MIN_OBJECT_BYTES, *(segment.longest for segment in segments))
        self.execute(
            f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT {columns} FROM read_json([{files}], "
            f"format = 'newline_delimited', columns = {{{{{record}}}}}, "
            f"maximum_object_size = {longest}) {latest}"
        )
        if table is SURVEY_RESPONSES:
            self.execute("INSERT INTO seen SELECT {keys} FROM incoming")
        self.execute(
            "CREATE OR REPLACE TEMP TABLE existing AS SELECT * FROM {table} t "
            "WHERE EXISTS (FROM incoming i WHERE {same_key})"
        )
        merged = ", ".join(
            f"coalesce(i.{column.name}, t.{column.name}) AS {column.name}"
            if column.kept_when_removed
            else f"i.{column.name} AS {column.name}"
            for column in table.sourced
        )
        names = [column.name for column in table.sourced]
        differs = " OR ".join(f"n.{name} IS DISTINCT FROM n.t.{name}" for name in names)
        self.execute(
            f"CREATE OR REPLACE TEMP TABLE changed AS FROM (SELECT {merged}, t FROM incoming i "
            f"JOIN existing t ON {{same_key}}) n WHERE n.t.deleted_at IS NOT NULL OR {differs}"
        )
        counted = "SELECT survey_id, count(*) FROM changed WHERE t.synced_at < $now GROUP BY ALL"
        for survey_id, count in self.execute(counted).fetchall():
            self.updated[survey_id] = self.updated.get(survey_id, 0) + count
        self.execute("DELETE FROM {table} t USING changed i WHERE {same_key}")
        self.execute(
            "INSERT INTO {table} BY NAME SELECT * EXCLUDE (t), $now AS synced_at FROM changed"
        )
        self.execute(
            "INSERT INTO {table} BY NAME SELECT *, $now AS synced_at FROM incoming i "
            "WHERE NOT EXISTS (FROM existing t WHERE {same_key})"
        )

    def begin(self, reads: Sequence[SurveyRead]) -> None:
        """Note what each walk covers, and from then on remember what it saw."""
        self.execute("CREATE OR REPLACE TEMP TABLE seen (survey_id VARCHAR, response_id VARCHAR)")
        self.execute(
            "CREATE OR REPLACE TEMP TABLE walks AS SELECT unnest($ids::VARCHAR[]) AS survey_id, "
            "unnest($full::BOOLEAN[]) AS is_full, unnest($starts::TIMESTAMPTZ[]) AS started_at, "
            "unnest($floors::TIMESTAMPTZ[]) AS floor, unnest($oldest::TIMESTAMPTZ[]) AS oldest_at",
            ids=[read.survey_id for read in reads],
            full=[read.is_full or read.is_removed for read in reads],
            starts=[read.started_at for read in reads],
            floors=[read.floor for read in reads],
            oldest=[read.oldest_at for read in reads],
        )

    def purge(self) -> dict[str, int]:
        """Delete what an earlier full sync marked, and count it by survey."""
        condition = "t.survey_id = i.survey_id AND i.is_full AND t.deleted_at < i.started_at"
        marked = f"FROM {{table}} t JOIN walks i ON {condition} GROUP BY t.survey_id"
        counts = dict(self.execute(f"SELECT t.survey_id, count(*) {marked}").fetchall())
        self.execute(f"DELETE FROM {{table}} t USING walks i WHERE {condition}")
        return counts

    def mark_unseen(self) -> None:
        """Mark the rows that a full walk did not see."""
        self.execute(
            f"UPDATE {{table}} t SET deleted_at = $now, synced_at = $now FROM walks w "
            f"WHERE w.is_full AND {self._unseen}"
        )

    def vanished(self) -> dict[str, int]:
        """Count by survey the rows that a walk did not see although it passed their place."""
        unseen = f"FROM {{table}} t, walks w WHERE NOT w.is_full AND {self._unseen}"
        counts = f"SELECT t.survey_id, count(*) {unseen} GROUP BY t.survey_id"
        return dict(self.execute(counts).fetchall())

    @property
    def _unseen(self) -> str:
        """SQL for a row `t` that was there when the walk `w` began, in its range, and not met."""
        return (
            "t.survey_id = w.survey_id AND t.deleted_at IS NULL AND t.synced_at < w.started_at "
            "AND (w.floor IS NULL OR t.created_at >= w.floor) "
            "AND (w.oldest_at IS NULL OR t.created_at > w.oldest_at) "
            f"AND NOT EXISTS (FROM seen i WHERE {self._names['same_key']})"
        )
