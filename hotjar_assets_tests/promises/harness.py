"""What reads and stores: the I/O manager without a run, a client that stops between pages, kills.

Nothing here knows what the tables must hold; that is in `model`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.api.records import Page, Response
from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.materializations import FAILED_SURVEYS
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxAccount,
)
from hotjar_assets.sandbox.pages import Cut, PageSlice
from hotjar_assets.sync import Depth, ResponseSync, SurveySync

PAGE_ROWS = 5
AfterPage = Callable[[str, int], None]


class ShortPages(SandboxAccount):
    """An account whose pages hold few rows, so that few rows fill many pages."""

    def response_page(self, survey_id: str, cut: Cut) -> PageSlice:
        return super().response_page(survey_id, replace(cut, limit=min(cut.limit, PAGE_ROWS)))


class PausingClient(HotjarClient):
    """Calls `after_page(survey, page)` between a page and the request for the next one."""

    def __init__(self, api_url: str, after_page: AfterPage | None = None) -> None:
        super().__init__(
            api_url,
            client_id=SANDBOX_CLIENT_ID,
            client_secret=SANDBOX_CLIENT_SECRET,
            site_ids=(SANDBOX_SITE_ID,),
            requests_per_minute=10_000_000,
            use_environment=False,
            sleep=lambda _seconds: None,
        )
        self._after_page = after_page

    def iter_response_pages(self, *args: Any, **options: Any) -> Iterator[Page[Response]]:
        survey_id = args[1]
        pages = super().iter_response_pages(*args, **options)
        for number, page in enumerate(pages, start=1):
            yield page
            if self._after_page and page.next_cursor is not None:
                self._after_page(survey_id, number)


def once(act: Callable[[], object], *, page: int, survey_id: str | None = None) -> AfterPage:
    """Act between that page and the next, the first time somebody comes by."""
    lock, pending = threading.Lock(), [act]

    def after_page(walked: str, number: int) -> None:
        with lock:
            if pending and number == page and survey_id in {None, walked}:
                pending.pop()()

    return after_page


class Killed(BaseException):
    """The process would be dead from here on."""


_READS = ("SELECT", "FROM", "SET")


class KillAt:
    """Counts the statements that write to the database, and acts instead of the n-th.

    A kill before a statement that only reads leaves what a kill before the next one leaves.
    """

    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self._left = at
        self._act = act
        self.happened = False

    def check(self, statement: str) -> None:
        if self.happened:
            raise Killed
        if statement.lstrip().startswith(_READS):
            return
        self._left -= 1
        if self._left <= 0:
            self.happened = True
            self._act()
            raise Killed


class Snapshot:
    """The database file as a kill leaves it: the operating system keeps its bytes."""

    def __init__(self, path: Path) -> None:
        self._files = [path, path.with_name(f"{path.name}.wal")]
        self._bytes: list[bytes | None] = []

    def take(self) -> None:
        self._bytes = [file.read_bytes() if file.exists() else None for file in self._files]

    def put_back(self) -> None:
        for file, content in zip(self._files, self._bytes, strict=True):
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)


class Connection:
    """A DuckDB connection whose every statement goes by a `KillAt`."""

    def __init__(self, connection: Any, kill: KillAt) -> None:
        self._connection = connection
        self._kill = kill

    def execute(self, sql: str, *args: Any) -> Any:
        self._kill.check(sql)
        return self._connection.execute(sql, *args)

    def executemany(self, sql: str, *args: Any) -> Any:
        self._kill.check(sql)
        return self._connection.executemany(sql, *args)

    def close(self) -> None:
        # The kill between the last statement and the end; what DuckDB does at a close is no loss.
        if not self._kill.happened:
            try:
                self._kill.check("end")
            finally:
                self._connection.close()
            return
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@dataclass
class Outcome:
    """What one sync says it did.

    Attributes:
        stored: The surveys it says are stored, with their figures.
        failed: The surveys it says failed, and why.
        problem: Why nothing at all was stored.
        is_killed: It did not come to say anything.
    """

    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    is_killed: bool = False


class Tables:
    """The I/O manager over one database file, and what an asset would hand it."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url

    def list_surveys(self, *, kill: KillAt | None = None) -> Outcome:
        """Store the listing."""
        with self._client() as client:
            return self._handle(surveys.key, SurveySync(client), Outcome(), kill)

    def sync(
        self,
        survey_ids: Sequence[str],
        depth: Depth = Depth.NEW,
        *,
        purge: bool = False,
        lookback_days: int = 7,
        after_page: AfterPage | None = None,
        kill: KillAt | None = None,
    ) -> Outcome:
        """Read and store the responses of some surveys."""
        outcome = Outcome()
        with self._client(after_page) as client:
            output = ResponseSync(
                client,
                survey_ids,
                depth,
                lookback_days=lookback_days,
                purge=purge,
                report=lambda figures: outcome.stored.update(
                    {key: dict(each) for key, each in figures.items()}
                ),
            )
            return self._handle(survey_responses.key, output, outcome, kill)

    @contextmanager
    def _client(self, after_page: AfterPage | None = None) -> Iterator[PausingClient]:
        client = PausingClient(self.url, after_page)
        try:
            yield client
        finally:
            client.close()

    def _handle(
        self, key: dg.AssetKey, output: object, outcome: Outcome, kill: KillAt | None
    ) -> Outcome:
        manager: Any = HotjarDuckDBIOManager(database=str(self.path)).create_io_manager(
            dg.build_init_resource_context()
        )
        if kill:
            database = manager._warehouse._database
            connect = database._connect
            database._connect = lambda: Connection(connect(), kill)
        context = dg.build_output_context(asset_key=key)
        try:
            manager.handle_output(context, output)
        except Killed:
            outcome.is_killed = True
        except dg.Failure as failure:
            if FAILED_SURVEYS in failure.metadata:
                outcome.failed = failure.metadata[FAILED_SURVEYS].value  # type: ignore[assignment]
            else:
                outcome.problem = failure.description
            for event in context.get_logged_events():
                assert isinstance(event, dg.AssetMaterialization)
                outcome.stored[str(event.partition)] = {
                    name: value.value for name, value in event.metadata.items()
                }
        return outcome
