"""The tables in a DuckDB file: all SQL of the package is in this room.

`database` connects, `facts` is what a file notes about itself, `states` what it holds of a survey,
`merge` merges rows, `walks` and `units` commit them, `frames` stores DataFrames, `expressions`
checks and tries what a stream computes, `personal` rewrites and erases, `health` looks for what is
wrong, `trends` reads what pictures show, with the SQL of the dbt models (`models`); `Warehouse` is
their door. `stored` lists the surveys, `counting` and `scores` read for people, and have doors of
their own.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from hotjar_assets.api.records import Question
from hotjar_assets.commits import Figures
from hotjar_assets.config import Settings, environment_variable, make_database_folder
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.person import Person, PersonSearch
from hotjar_assets.privacy import Privacy
from hotjar_assets.readers import ReadT
from hotjar_assets.schema import Table
from hotjar_assets.spool import spool_folder
from hotjar_assets.streams.sync import StreamRead, UnitState
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets.sync import SurveyListing, SurveyRead, SurveyState
from hotjar_assets.warehouse import facts, states
from hotjar_assets.warehouse.compaction import (
    compact,
    delete_spilled,
    is_compaction_due,
    note_compaction,
)
from hotjar_assets.warehouse.database import (
    FIRST_MEMORY_LIMIT,
    Database,
    OutOfMemoryError,
    RowsRefusedError,
)
from hotjar_assets.warehouse.frames import TableSlice, load_rows, replace_rows
from hotjar_assets.warehouse.health import Health, health_of
from hotjar_assets.warehouse.merge import bytes_at_once
from hotjar_assets.warehouse.personal import (
    Row,
    Trace,
    erase_declared,
    erase_rows,
    find_rows,
    find_traces,
)
from hotjar_assets.warehouse.stored import survey_names
from hotjar_assets.warehouse.trends import Trend, trends_of
from hotjar_assets.warehouse.units import (
    commit_units,
    parent_records,
    reload_units,
    types_of,
    unit_states,
)
from hotjar_assets.warehouse.walks import commit_listing, commit_walks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Figures", "Health", "Person", "TableSlice", "Trace", "Warehouse"]

LOCK_TIMEOUT_SECONDS = 60.0
_COPIES_OF_TEXT = 5
"""How often a commit holds the text of the rows it handles at once: measured, 4 to 5 times."""


class Warehouse:
    """One DuckDB file.

    Args:
        path: The file; it and its folder are made when first written.
        lock_timeout_seconds: How long to wait for another process that holds the file.
        connection_config: DuckDB's configuration; must be the same for all of a process.
        sleep: Called with the seconds to wait.
        max_commit_mb: MiB of memory that DuckDB may take for a commit.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
        connection_config: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        max_commit_mb: int = Settings.model_fields["max_commit_mb"].default,
    ) -> None:
        self.path = Path(path)
        self._max_commit_mb = max_commit_mb
        self._memory_limits = (FIRST_MEMORY_LIMIT, f"{max_commit_mb}MB")
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
        self.begin((), privacy, rewrite=rewrite)

    def begin(
        self, survey_ids: Sequence[str], privacy: Privacy, *, rewrite: bool
    ) -> dict[str, SurveyState]:
        """Begin a sync: `adopt` its privacy and give the `survey_states`, on one connection."""
        self._privacy_facts = facts.of_privacy(privacy)
        with self._writing(None) as connection:
            facts.adopt(connection, self.path, privacy, rewrite=rewrite)
            self._file_id_of_states = facts.file_id(connection)
            return states.survey_states(connection, survey_ids)

    def survey_states(self, survey_ids: Sequence[str]) -> dict[str, SurveyState]:
        """Tell what the file holds of each survey, for `ResponseSync.read`."""
        with self._database.reading() as connection:
            self._file_id_of_states = facts.file_id(connection)
            return states.survey_states(connection, survey_ids)

    def survey_names(self) -> dict[str, str]:
        """Map the ids of the surveys that Hotjar still has, or that were imported, to names."""
        with self._database.reading() as connection:
            return survey_names(connection)

    def questions(self, survey_id: str) -> list[Question] | None:
        """List a survey's questions, as an export needs them, in order; None if none are known."""
        with self._database.reading() as connection:
            return states.questions(connection, survey_id)

    def site_of_rows(self, survey_id: str) -> str | None:
        """Tell on which site the stored responses of a survey are; None if there are none."""
        with self._database.reading() as connection:
            return states.site_of_rows(connection, survey_id)

    def known_surveys(self, platform: str) -> dict[str, set[str]]:
        """Map each site of a platform to the ids of its surveys that are not marked as deleted."""
        with self._database.reading() as connection:
            return states.known_surveys(connection, platform)

    def merge_surveys(self, listing: SurveyListing) -> Figures:
        """Upsert a complete listing and mark the surveys of its sites that it no longer has.

        A site of another platform may have the same id: its surveys are left alone.

        Raises:
            HotjarStoreError: Nothing was changed.
        """
        writing = self._writing(listing.account, listing.source)
        with self.spool() as folder, writing as connection:
            return commit_listing(connection, listing, folder)

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

        return self._commit_each(reads, commit)

    def replace(self, part: TableSlice, frame: "pd.DataFrame") -> int:
        """Replace a slice by a frame; see `frames.replace_rows`."""
        return replace_rows(self._database, part, frame)

    def load(self, part: TableSlice, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Load a slice as a DataFrame; see `frames.load_rows`."""
        return load_rows(self._database, part, columns)

    def version(self, table: Table) -> states.TableVersion:
        """Tell which state of its rows a table is in, marked ones included."""
        with self._database.reading() as connection:
            return states.table_version(connection, table)

    def surveys_version(self) -> str:
        """Return a text that changes with what is known of the surveys."""
        with self._database.reading() as connection:
            return states.surveys_version(connection)

    def trends(self, survey_ids: Sequence[str]) -> dict[str, Trend]:
        """Read what the pictures of some surveys show; see `trends.trends_of`."""
        with self._database.reading() as connection:
            return trends_of(connection, survey_ids) if connection else {}

    def health(self, table: Table, *, since: datetime | None = None) -> Health:
        """Look for what is wrong in a table; see `health.health_of`."""
        with self._database.reading() as connection:
            return health_of(connection, table, since=since)

    def find_person(self, person: Person, privacy: Privacy) -> list[Row]:
        """List (survey_id, response_id, hotjar_user_id) of a person's rows; see `personal`."""
        with self._writing(None) as connection:
            return find_rows(connection, person, privacy)

    def erase_person(self, person: Person, privacy: Privacy) -> list[Row]:
        """Delete a person's rows in one transaction and return what was deleted.

        Their ids stay, so that no later sync brings them back.
        """
        with self._writing(None) as connection:
            rows = find_rows(connection, person, privacy)
            if rows:
                erase_rows(connection, rows)
        return rows

    def erase_declared(self, search: PersonSearch) -> list[Trace]:
        """Delete a person's rows of streams in one transaction; see `personal.erase_declared`."""
        with self._writing(None) as connection:
            return erase_declared(connection, search)

    def find_traces(self, search: PersonSearch, rows: Sequence[Row] = ()) -> list[Trace]:
        """Look for a person in every other table of the file; see `personal.find_traces`."""
        with self._database.reading() as connection:
            return find_traces(connection, search, rows) if connection else []

    def compact(self, *, is_due: bool = False) -> bool:
        """Rewrite the file where its free blocks may hold what was erased; tell whether it was.

        Args:
            is_due: Whether they may, besides what `erase_person` noted.

        Raises:
            HotjarStoreError: The file is as it was.
        """
        with self._database.reading() as connection:
            if connection is None:
                return False
            delete_spilled(self.path)
            if not (is_due or is_compaction_due(connection)):
                return False
            compact(connection, self.path, sleep=self._database.sleep)
        with self._database.transaction() as connection:
            note_compaction(connection, is_due=False)
        return True

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

        return self._commit_each(reads, commit) if reads else {}

    def reload_stream(self, stream: StreamTable, reads: Sequence[StreamRead]) -> dict[str, Figures]:
        """Replace a stream's table by walks through all of its units, in one transaction.

        Args:
            stream: How the stream is stored.
            reads: Walks without an error, from the beginning.

        Returns:
            What was done, by unit.

        Raises:
            HotjarStoreError: The table is as it was.
        """

        def commit(some: Sequence[StreamRead], memory_limit: str) -> dict[str, Figures]:
            with self._database.transaction(memory_limit=memory_limit) as connection:
                return reload_units(connection, stream, some)

        return self._commit_together(reads, commit)

    def _commit_group(
        self, reads: Sequence[SurveyRead], *, purge: bool, memory_limit: str
    ) -> dict[str, Figures]:
        account, source = next(
            ((read.account, read.source) for read in reads if read.account), (None, None)
        )
        with self._writing(account, source, memory_limit=memory_limit) as connection:
            facts.refuse_change(connection, self.path, self._file_id_of_states, self._privacy_facts)
            return commit_walks(connection, reads, purge=purge)

    def _commit_each(
        self,
        reads: Sequence[ReadT],
        commit: Callable[[Sequence[ReadT], str], dict[str, Figures]],
    ) -> dict[str, Figures | HotjarStoreError]:
        """Commit reads together, and where that fails one by one."""
        try:
            return dict(self._commit_together(reads, commit))
        except (OutOfMemoryError, RowsRefusedError) as error:
            if len(reads) == 1:
                return {reads[0].key: error}
        results: dict[str, Figures | HotjarStoreError] = {}
        for read in reads:
            results |= self._commit_each([read], commit)
        return results

    def _commit_together(
        self,
        reads: Sequence[ReadT],
        commit: Callable[[Sequence[ReadT], str], dict[str, Figures]],
    ) -> dict[str, Figures]:
        """Commit reads together, with more memory where needed."""
        *limits, last = self._memory_limits
        self._refuse_long_rows(reads)
        for limit in limits:
            with suppress(OutOfMemoryError):
                return commit(reads, limit)
        return commit(reads, last)

    def _refuse_long_rows(self, reads: Sequence[ReadT]) -> None:
        """Refuse rows whose text takes more memory than DuckDB may: its limit does not count it.

        Raises:
            OutOfMemoryError: Says which setting allows more.
        """
        held = bytes_at_once(segment for read in reads for segment in read.segments)
        if held * _COPIES_OF_TEXT > self._max_commit_mb * 1024**2:
            raise OutOfMemoryError(
                f"{self.path}: the rows are so long that {held // 1024**2} MiB of text would be in "
                f"memory at once, {_COPIES_OF_TEXT} times over; "
                f"{environment_variable('max_commit_mb')} is {self._max_commit_mb}; set it higher "
                "if this is right (nothing was changed)"
            )

    @contextmanager
    def _writing(
        self, account: str | None, source: str | None = None, *, memory_limit: str = ""
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a transaction on a file of this account and source (None: of whichever it is)."""
        with self._database.transaction(memory_limit=memory_limit) as connection:
            facts.prepare(connection, self.path, account, source)
            yield connection
