"""The tables in a DuckDB file: all SQL of the package is in this room.

`database` connects, `merge` merges rows, `walks` and `units` commit them, `frames` stores
DataFrames, `expressions` checks and tries what a stream computes, `personal` rewrites and erases,
`health` looks for what is wrong, `trends` reads what pictures show, with the SQL of the dbt models
(`models`); `Warehouse` is their door. `counting` and `scores` read for people, and have doors of
their own.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb

from hotjar_assets.api.decoding import encode_lines
from hotjar_assets.api.records import Choice, Question
from hotjar_assets.commits import Figures
from hotjar_assets.config import PiiMode, Source, make_database_folder
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.privacy import Privacy
from hotjar_assets.readers import ReadT
from hotjar_assets.schema import (
    FORGOTTEN,
    META,
    SCHEMA,
    SCHEMA_VERSION,
    SURVEY_RESPONSES,
    SURVEYS,
    UNSETTLED,
    Table,
)
from hotjar_assets.spool import Segment, spool_folder
from hotjar_assets.streams.sync import StreamRead, UnitState
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets.sync import SurveyListing, SurveyRead, SurveyState
from hotjar_assets.warehouse.database import (
    MEMORY_LIMITS,
    Database,
    OutOfMemoryError,
    RowsRefusedError,
    add_columns,
    create_schema,
    qualified,
    rows_if_any,
    tables_of,
)
from hotjar_assets.warehouse.frames import TableSlice, load_rows, replace_rows
from hotjar_assets.warehouse.health import Health, health_of
from hotjar_assets.warehouse.merge import Merge, chunks
from hotjar_assets.warehouse.personal import (
    Person,
    erase_rows,
    find_rows,
    has_rows,
    rewrite_personal,
)
from hotjar_assets.warehouse.trends import Trend, trends_of
from hotjar_assets.warehouse.units import (
    commit_units,
    parent_records,
    types_of,
    unit_states,
)
from hotjar_assets.warehouse.walks import ResponseMerge

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Figures", "Health", "Person", "TableSlice", "Warehouse"]

LOCK_TIMEOUT_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        self._file_id_of_states: str | None = None
        self._privacy_facts: dict[str, str] = {}
        self._database = Database(
            self.path,
            lock_timeout_seconds=lock_timeout_seconds,
            connection_config=connection_config or {},
            sleep=sleep,
        )

    @contextmanager
    def spool(self) -> Iterator[Path]:
        """Give a folder for rows that wait to be committed; it is gone afterwards.

        Raises:
            HotjarConfigError: The folder of the database cannot be made or written to.
        """
        make_database_folder(self.path)
        with spool_folder(self.path.absolute()) as folder:
            yield folder

    def check(self, account: str, source: str | None = None) -> None:
        """Make the tables if they are missing, as the first sync would.

        Raises:
            HotjarStoreError: The file cannot be written, or is of another account or source.
        """
        with self._writing(account, source):
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
        self._privacy_facts = wanted
        with self._writing(None) as connection:
            meta = qualified(connection, META.name)
            noted = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
            if noted.items() >= wanted.items():
                return
            facts = {"pii": PiiMode.KEEP.value, "pii_key_fingerprint": "", **noted}
            is_same = facts.items() >= wanted.items()
            is_new = "pii" not in noted and not has_rows(connection)
            if not (is_same or is_new or rewrite):
                raise HotjarStoreError(
                    f"{self.path} was written with HOTJAR_PII={facts['pii']} and the "
                    f"settings say {privacy.mode.value}, or its key is another; rewrite the file "
                    "with reconcile_job (hotjar-assets sync --full), or restore the settings"
                )
            # Hashes under another key join with nothing; they come back with the rows.
            was_hashed = facts["pii"] == PiiMode.HASH.value
            drops = was_hashed and privacy.mode is PiiMode.HASH
            rewrite_personal(connection, Privacy(PiiMode.DROP) if drops else privacy)
            # Until each survey was read whole, its rows are partly of the old mode.
            unsettled, responses = (
                qualified(connection, table.name) for table in (UNSETTLED, SURVEY_RESPONSES)
            )
            connection.execute(
                f"INSERT INTO {unsettled} SELECT DISTINCT survey_id, $now FROM {responses}",
                {"now": datetime.now(UTC)},
            )
            connection.execute(f"DELETE FROM {meta} WHERE name LIKE 'pii%'")
            connection.executemany(f"INSERT INTO {meta} VALUES (?, ?)", list(wanted.items()))

    def survey_states(self, survey_ids: Sequence[str]) -> dict[str, SurveyState]:
        """Tell what the file holds of each survey, for `ResponseSync.read`."""
        with self._database.reading() as connection:
            surveys = rows_if_any(
                connection,
                SURVEYS,
                "SELECT survey_id, site_id, platform, deleted_at IS NOT NULL, "
                "list_transform(list_filter(questions, lambda q: q.type = 'email'), "
                "lambda q: q.question_id), url FROM {table} "
                "WHERE survey_id IN (SELECT unnest($ids::VARCHAR[]))",
                ids=list(survey_ids),
            )
            watermarks = rows_if_any(
                connection,
                SURVEY_RESPONSES,
                "SELECT survey_id, platform, epoch_us(min(created_at)), "
                "epoch_us(max(created_at)) FROM {table} "
                "WHERE survey_id IN (SELECT unnest($ids::VARCHAR[])) "
                "AND deleted_at IS NULL AND created_at BETWEEN '1900-01-01' AND $now "
                "GROUP BY survey_id, platform ORDER BY 4",
                ids=list(survey_ids),
                now=datetime.now(UTC),
            )
            unsettled = rows_if_any(connection, UNSETTLED, "SELECT survey_id FROM {table}")
            self._file_id_of_states = _file_id(connection)
        states = {survey_id: SurveyState(survey_id) for survey_id in survey_ids}
        for survey_id, site_id, platform, removed, email_questions, url in surveys:
            states[survey_id] = SurveyState(
                survey_id,
                site_id=site_id,
                platform=platform,
                removed=removed,
                email_questions=frozenset(email_questions or ()),
                url=url,
            )
        for survey_id, platform, *microseconds in watermarks:
            oldest_at, watermark = (_EPOCH + timedelta(microseconds=each) for each in microseconds)
            if states[survey_id].platform in {None, platform}:
                states[survey_id] = replace(
                    states[survey_id], oldest_at=oldest_at, watermark=watermark
                )
        for (survey_id,) in unsettled:
            if survey_id in states:
                states[survey_id] = replace(states[survey_id], unsettled=True)
        return states

    def questions(self, survey_id: str) -> list[Question] | None:
        """List a survey's questions, as an export needs them, in order; None if none are known."""
        with self._database.reading() as connection:
            rows = rows_if_any(
                connection,
                SURVEYS,
                "SELECT q.question_id, q.text, q.type, list_transform(q.choices, lambda c: c.text) "
                "FROM (SELECT unnest(questions) AS q "
                "FROM {table} WHERE survey_id = $survey_id) ORDER BY q.position",
                survey_id=survey_id,
            )
        return [
            Question(
                id=key, text=text, type=kind, choices=[Choice(text=each) for each in choices or ()]
            )
            for key, text, kind, choices in rows
        ] or None

    def site_of_rows(self, survey_id: str) -> str | None:
        """Tell on which site the stored responses of a survey are; None if there are none."""
        with self._database.reading() as connection:
            rows = rows_if_any(
                connection,
                SURVEY_RESPONSES,
                "SELECT site_id FROM {table} WHERE survey_id = $survey_id LIMIT 1",
                survey_id=survey_id,
            )
        return next((str(site_id) for (site_id,) in rows), None)

    def known_surveys(self, platform: str) -> dict[str, set[str]]:
        """Map each site of a platform to the ids of its surveys that are not marked as deleted."""
        known: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            rows = rows_if_any(
                connection,
                SURVEYS,
                "SELECT site_id, survey_id FROM {table} "
                "WHERE deleted_at IS NULL AND platform = $platform",
                platform=platform,
            )
        for site_id, survey_id in rows:
            known.setdefault(site_id, set()).add(survey_id)
        return known

    def merge_surveys(self, listing: SurveyListing) -> Figures:
        """Upsert a complete listing and mark the surveys of its sites that it no longer has.

        A site of another platform may have the same id: its surveys are left alone.

        Raises:
            HotjarStoreError: Nothing was changed.
        """
        writing = self._writing(listing.account, listing.source)
        with self.spool() as folder, writing as connection:
            file = folder / "surveys.jsonl"
            lines = encode_lines(listing.surveys)
            file.write_bytes(lines)
            merge = Merge(connection, SURVEYS)
            before = merge.count()
            merge.rows([Segment(file, len(listing.surveys), len(lines), has_duplicates=False)])
            merge.execute(
                """UPDATE {table} SET synced_at = $now, deleted_at = CASE
                     WHEN survey_id IN (SELECT unnest($listed::VARCHAR[])) THEN NULL
                     ELSE coalesce(deleted_at, $now) END
                   WHERE platform = $platform
                     AND site_id IN (SELECT unnest($sites::VARCHAR[])) AND (deleted_at IS NULL
                     OR survey_id IN (SELECT unnest($listed::VARCHAR[])))""",
                listed=[str(survey.id) for survey in listing.surveys],
                sites=list(listing.site_ids),
                platform=listing.platform,
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

        def commit(some: Sequence[SurveyRead], memory_limit: str) -> dict[str, Figures]:
            return self._commit_group(some, purge=purge, memory_limit=memory_limit)

        return _commit_each(reads, commit)

    def replace(self, part: TableSlice, frame: "pd.DataFrame") -> int:
        """Replace a slice by a frame; see `frames.replace_rows`."""
        return replace_rows(self._database, part, frame)

    def load(self, part: TableSlice, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Load a slice as a DataFrame; see `frames.load_rows`."""
        return load_rows(self._database, part, columns)

    def response_count(self) -> int:
        """Count the responses, marked ones included."""
        with self._database.reading() as connection:
            counted = rows_if_any(connection, SURVEY_RESPONSES, "SELECT count(*) FROM {table}")
        return sum(count for (count,) in counted)

    def trends(self, survey_ids: Sequence[str]) -> dict[str, Trend]:
        """Read what the pictures of some surveys show; see `trends.trends_of`."""
        with self._database.reading() as connection:
            return trends_of(connection, survey_ids) if connection else {}

    def health(self, table: Table, *, since: datetime | None = None) -> Health:
        """Look for what is wrong in a table; see `health.health_of`."""
        with self._database.reading() as connection:
            return health_of(connection, table, since=since)

    def find_person(self, person: Person, privacy: Privacy) -> list[tuple[str, str, str | None]]:
        """List (survey_id, response_id, hotjar_user_id) of a person's rows; see `personal`."""
        with self._writing(None) as connection:
            return find_rows(connection, person, privacy)

    def erase_person(self, person: Person, privacy: Privacy) -> list[tuple[str, str, str | None]]:
        """Delete a person's rows in one transaction and return what was deleted.

        Their ids stay, so that no later sync brings them back.
        """
        with self._writing(None) as connection:
            rows = find_rows(connection, person, privacy)
            if rows:
                erase_rows(connection, rows)
        return rows

    def stream_states(self, stream: StreamTable) -> dict[str, UnitState]:
        """Tell what the file holds of each unit of a stream, for `StreamSync.read`."""
        with self._database.reading() as connection:
            return unit_states(connection, stream)

    def stream_parents(
        self, parent: StreamTable, fields: Sequence[str]
    ) -> list[dict[str, Any]] | None:
        """List the records of a parent stream; None if it has no table."""
        with self._database.reading() as connection:
            return parent_records(connection, parent, fields)

    def stream_columns(self, stream: StreamTable) -> dict[str, str]:
        """Map the columns of a stream's table to their types; empty if there is none."""
        with self._database.reading() as connection:
            return types_of(connection, stream) if connection else {}

    def stream_count(self, stream: StreamTable) -> int:
        """Count the rows of a stream's table."""
        return sum(state.rows for state in self.stream_states(stream).values())

    def commit_stream(
        self, stream: StreamTable, reads: Sequence[StreamRead]
    ) -> dict[str, Figures | HotjarStoreError]:
        """Commit finished walks in one transaction; if that fails, each in its own.

        Args:
            stream: How the stream is stored.
            reads: Walks without an error.

        Returns:
            What was done, by unit; an error for a unit whose rows could not be stored.

        Raises:
            HotjarStoreError: The file cannot be written at all. Nothing was changed.
        """

        def commit(some: Sequence[StreamRead], memory_limit: str) -> dict[str, Figures]:
            with self._database.transaction(memory_limit=memory_limit) as connection:
                return commit_units(connection, stream, some)

        return _commit_each(reads, commit) if reads else {}

    def _commit_group(
        self, reads: Sequence[SurveyRead], *, purge: bool, memory_limit: str
    ) -> dict[str, Figures]:
        account, source = next(
            ((read.account, read.source) for read in reads if read.account), (None, None)
        )
        with self._writing(account, source, memory_limit=memory_limit) as connection:
            if self._file_id_of_states not in {None, _file_id(connection)}:
                raise HotjarStoreError(
                    f"{self.path} is not the file it was when the sync began, and what was read "
                    "rests on that one; sync again (nothing was changed)"
                )
            meta = qualified(connection, META.name)
            noted = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
            if not noted.items() >= self._privacy_facts.items():
                raise HotjarStoreError(
                    f"{self.path} was rewritten for another HOTJAR_PII or key while the sync was "
                    "running; restart with the same settings (nothing was changed)"
                )
            merge = ResponseMerge(connection)
            survey_ids = [read.survey_id for read in reads]
            before = merge.counts(survey_ids)
            telling = [read for read in reads if read.pages or read.is_removed]
            merge.begin([read for read in telling if not read.is_filtered], before)
            for chunk in chunks(segment for read in reads for segment in read.segments):
                merge.rows(chunk)
            purged = merge.purge() if purge else {}
            merge.mark_unseen()
            after = merge.counts(survey_ids)
            deleted = merge.counts(survey_ids, "deleted_at = $now")
            vanished = merge.vanished()
            merge.note_unsettled([read for read in reads if read.unsettles])
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
    def _writing(
        self, account: str | None, source: str | None = None, *, memory_limit: str = ""
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a transaction on a file of this account and source (None: of whichever it is)."""
        with self._database.transaction(memory_limit=memory_limit) as connection:
            _prepare(connection, self.path, account, source)
            yield connection


def _commit_each(
    reads: Sequence[ReadT], commit: Callable[[Sequence[ReadT], str], dict[str, Figures]]
) -> dict[str, Figures | HotjarStoreError]:
    """Commit walks together and with little memory; with more where needed, then one by one."""
    *limits, last = MEMORY_LIMITS
    try:
        for limit in limits:
            with suppress(OutOfMemoryError):
                return dict(commit(reads, limit))
        return dict(commit(reads, last))
    except RowsRefusedError as error:
        if len(reads) == 1:
            return {reads[0].key: error}
    results: dict[str, Figures | HotjarStoreError] = {}
    for read in reads:
        results |= _commit_each([read], commit)
    return results


def _file_id(connection: duckdb.DuckDBPyConnection | None) -> str | None:
    """Return the id that the file was given when it was made, if it has one."""
    sql = "SELECT value FROM {table} WHERE name = 'file_id'"
    return next((value for (value,) in rows_if_any(connection, META, sql)), None)


def _prepare(
    connection: duckdb.DuckDBPyConnection, path: Path, account: str | None, source: str | None
) -> None:
    """Make or extend the tables; refuse a file of another account, source or newer release."""
    create_schema(connection, SCHEMA)
    there = tables_of(connection, SCHEMA)
    for table in (META, SURVEYS, SURVEY_RESPONSES, FORGOTTEN, UNSETTLED):
        types = {column.name: column.type for column in table.columns}
        add_columns(connection, SCHEMA, table.name, types, there.get(table.name, {}))
    meta = qualified(connection, META.name)
    known = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
    if int(known.get("schema_version") or SCHEMA_VERSION) > int(SCHEMA_VERSION):
        raise HotjarStoreError(f"{path} was written by a newer release; upgrade hotjar-assets")
    if account and known.get("account", account) != account:
        raise HotjarStoreError(
            f"{path} holds the data of a {known['account']} account and these answers come from a "
            f"{account} one; set HOTJAR_DATABASE to another file (nothing was changed)"
        )
    # A file that notes its account and no source is older than the other sources.
    known_source = known.get("source", Source.API.value if "account" in known else source)
    if source and known_source != source:
        raise HotjarStoreError(
            f"{path} was filled with HOTJAR_SOURCE={known_source} and these rows are of {source}, "
            "which numbers responses in its own way, so that each would stand there twice; set "
            "HOTJAR_DATABASE to another file (nothing was changed)"
        )
    facts = {
        "schema_version": SCHEMA_VERSION,
        "account": account,
        "source": source,
        "file_id": uuid4().hex,
    }
    for name, value in facts.items():
        if value and name not in known:
            connection.execute(f"INSERT INTO {meta} VALUES (?, ?)", [name, value])
