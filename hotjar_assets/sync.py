"""Which pages to read, and when to stop: a sync without Dagster and without a database.

Two syncs live here. `SurveySync` lists the surveys of every site; `ResponseSync` reads the
responses of many surveys at once and hands each over only when its walk is complete, so that
whoever stores them can commit a survey whole or not at all. Both are told by the store what it
already holds.

What makes a survey's incremental walk right: the watermark is the newest `created_at` in the table,
pages come newest first, and the walk ends with the first page whose oldest row is strictly older
than the cutoff. If a page breaks that order the walk goes to the end; and where the platform does
not promise it, so does a walk whose pages have not yet proved it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import Any, TypeVar

from hotjar_assets.api.records import Page, Response, Survey
from hotjar_assets.api.source import ResponseSource, SurveySource
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.errors import (
    HotjarError,
    HotjarSchemaError,
    HotjarStoreError,
    HotjarTransportError,
)
from hotjar_assets.privacy import Privacy
from hotjar_assets.seats import Seats
from hotjar_assets.spool import Segment, SpoolWriter

logger = logging.getLogger(__name__)
FinishedT = TypeVar("FinishedT")

GROUP_ROWS = 120_000
GROUP_SECONDS = 1.0
"""Finished surveys are handed over after so many rows or so long, whichever comes first."""
COLLECTING_SHARE = 4
"""Groups are collected this many times as long as the last one took to store: each time it is
stored, a database rewrites the end of its table."""
WAITING_PER_READER = 8
"""Surveys that may be begun or wait for the store, for each reader: bounds the spool."""


class Depth(Enum):
    """How far back a sync reads."""

    NEW = "new"
    LOOKBACK = "lookback"
    ALL = "all"


@dataclass(frozen=True)
class SurveyState:
    """What the store holds of one survey.

    Attributes:
        survey_id: The survey.
        site_id: Its site; None when the survey is not known.
        platform: The platform the site is on; None when the survey is not known.
        removed: Whether a complete listing no longer had it.
        watermark: Newest `created_at` among the rows the API is believed to have, not later than
            now; None when there is none, and then the survey is read whole.
        unsettled: Whether pages shifted under an earlier walk, or came in an order that nobody
            promised, so that the watermark cannot be trusted until a full walk.
        email_questions: Ids of its questions that ask for an e-mail address.
    """

    survey_id: str
    site_id: str | None = None
    platform: str | None = None
    removed: bool = False
    watermark: datetime | None = None
    unsettled: bool = False
    email_questions: frozenset[str] = frozenset()


@dataclass
class SurveyRead:
    """One finished walk through a survey's responses.

    Attributes:
        survey_id: The survey.
        site_id: Its site.
        platform: The platform it is on.
        account: `real` or `sandbox`: who answered; None when nobody was asked.
        source: `api` or `insights`: what the ids of the rows belong to; None as for the account.
        is_filtered: Whether responses may have been left out: none that it did not see is gone.
        segments: The rows, to be merged in this order.
        started_at: When the walk began: only rows stored before can have vanished from the API.
        pages: Pages read.
        requests: Requests sent, retries included.
        newest_at: Newest `created_at` seen.
        oldest_at: Every response created after it was seen; None: every one there is.
        stopped_early: Whether the walk ended at the cutoff and not at the end.
        out_of_order: Whether a page broke the newest-first order.
        overlapped: Whether a row came again on a later page: the pages shifted meanwhile.
        is_full: Whether the walk read everything there is.
        tells_deleted: Whether a row it did not see is gone from the API: it was full and no page
            shifted meanwhile, which could have hidden the row.
        unsettles: Whether the watermark cannot be trusted afterwards, unless the walk settles it.
        settles: Whether an earlier shift is made up for.
        floor: Nothing created before was read.
        is_removed: The survey is gone from Hotjar.
        skipped: Why nothing was requested.
        error: Why the walk failed; then there is nothing to store.
    """

    survey_id: str
    started_at: datetime
    site_id: str | None = None
    platform: str | None = None
    account: str | None = None
    source: str | None = None
    is_filtered: bool = False
    segments: list[Segment] = field(default_factory=list)
    pages: int = 0
    requests: int = 0
    newest_at: datetime | None = None
    oldest_at: datetime | None = None
    stopped_early: bool = False
    out_of_order: bool = False
    overlapped: bool = False
    is_full: bool = False
    tells_deleted: bool = False
    unsettles: bool = False
    settles: bool = False
    floor: datetime | None = None
    is_removed: bool = False
    skipped: str | None = None
    error: HotjarError | None = None

    @property
    def rows(self) -> int:
        """Rows read, repeated ones included."""
        return sum(segment.rows for segment in self.segments)


@dataclass(frozen=True)
class SurveyListing:
    """The complete listing of every site.

    Attributes:
        surveys: The surveys, with questions.
        site_ids: The sites that were listed.
        platform: The platform they are on.
        account: `real` or `sandbox`.
        source: `api` or `insights`.
        requests: Requests sent.
    """

    surveys: list[Survey]
    site_ids: tuple[str, ...]
    platform: str
    account: str
    source: str
    requests: int


@dataclass(frozen=True)
class SurveySync:
    """List the surveys of every site of an account."""

    client: SurveySource

    def read(self, known: Mapping[str, Collection[str]]) -> SurveyListing:
        """List every site completely.

        A listing that is empty, or that lost more than half of the surveys known of its site, is
        believed only after a second one: a survey that either of them has is not gone.

        Args:
            known: Ids of the surveys the store believes to exist on this platform, by site.

        Raises:
            HotjarApiError: A listing failed; a failed listing never looks like an empty one.
        """
        count = RequestCount()
        surveys: dict[str, Survey] = {}
        for site_id in self.client.site_ids:
            listed = self._list(site_id, count)
            before = set(known.get(site_id, ()))
            if len(before - listed.keys()) * 2 > len(before):
                logger.warning(
                    "site %s lists %d of the %d surveys known; listing it again to be sure",
                    site_id,
                    len(before & listed.keys()),
                    len(before),
                )
                listed |= self._list(site_id, count)
            twice = sorted(listed.keys() & surveys.keys())
            if twice:
                # The id alone names the partition and the key, so one of the two would be lost.
                raise HotjarSchemaError(
                    f"survey {twice[0]}",
                    f"is listed by site {site_id} and by site {surveys[twice[0]].site_id}; "
                    "take one of the two sites out of HOTJAR_SITE_ID",
                )
            surveys |= listed
        return SurveyListing(
            list(surveys.values()),
            self.client.site_ids,
            self.client.platform,
            self.client.account,
            self.client.name,
            count.sent,
        )

    def _list(self, site_id: str, count: RequestCount) -> dict[str, Survey]:
        return {str(survey.id): survey for survey in self.client.iter_surveys(site_id, count=count)}


@dataclass(frozen=True)
class ResponseSync:
    """Read the responses of some surveys.

    Attributes:
        client: The account.
        survey_ids: The surveys to read.
        depth: How far back.
        lookback_days: Days a `LOOKBACK` reads again.
        start_at: Nothing older is read or marked as deleted.
        concurrency: Surveys read at once, where reading mostly waits for the API.
        purge: Whether a full sync removes rows that an earlier one marked as deleted.
        is_second: Whether these surveys were read just before and are read whole now because pages
            had shifted; then overlapping pages are believed to be the API's habit.
        privacy: What personal values become before they are spooled.
        report: Called with the figures by survey id when all surveys are stored.
    """

    client: ResponseSource
    survey_ids: Sequence[str]
    depth: Depth = Depth.NEW
    lookback_days: int = 7
    start_at: datetime | None = None
    concurrency: int = 8
    purge: bool = False
    is_second: bool = False
    privacy: Privacy = field(default_factory=Privacy)
    report: Callable[[Mapping[str, Mapping[str, Any]]], None] = lambda _figures: None

    def read(
        self, states: Mapping[str, SurveyState], spool_folder: Path
    ) -> Generator[list[SurveyRead], None, None]:
        """Read the surveys concurrently.

        Args:
            states: What the store holds, by survey id.
            spool_folder: Where the rows of finished walks wait; the caller deletes it.

        Yields:
            Groups of finished walks, each survey exactly once, failed ones with their error.
            Reading goes on while the caller handles a group; it may delete the group's segments.
        """
        waiting = iter(self.survey_ids)
        finished: queue.SimpleQueue[SurveyRead | BaseException] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="hotjar-reader")
        seats, given_up = Seats(self.concurrency), threading.Event()
        under_way, storing = 0, 0.0
        self.client.resume()

        def walk(survey_id: str) -> None:
            state = states.get(survey_id, SurveyState(survey_id))
            with seats.taken():
                finished.put(self._walk_or_error(state, spool_folder, given_up))

        def begin(most: int) -> int:
            return sum(bool(pool.submit(walk, survey_id)) for survey_id in islice(waiting, most))

        try:
            under_way = begin(self.concurrency * WAITING_PER_READER)
            while under_way:
                group: list[SurveyRead] = []
                patience = max(GROUP_SECONDS, storing * COLLECTING_SHARE)
                for read in _closely_following(finished, patience):
                    if isinstance(read, BaseException):
                        raise read
                    group.append(read)
                    under_way += begin(1) - 1
                    if not under_way or sum(read.rows for read in group) >= GROUP_ROWS:
                        break
                handed_over = monotonic()
                yield group
                storing = monotonic() - handed_over
        finally:
            given_up.set()
            if under_way:
                self.client.cancel()
            pool.shutdown(wait=True, cancel_futures=True)

    def _walk_or_error(
        self, state: SurveyState, spool_folder: Path, given_up: threading.Event
    ) -> SurveyRead | BaseException:
        """Walk one survey; an error is returned only if no other survey can be read either."""
        try:
            return self._walk(state, spool_folder, given_up)
        except OSError as error:
            return HotjarStoreError(
                f"cannot spool to {spool_folder}: {error.strerror}; free some disk space"
            )
        except HotjarError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one survey must not stop the others
            place = extract_tb(error.__traceback__)[-1]
            problem = f"unexpected {type(error).__name__} in {place.name}, line {place.lineno}"
            return SurveyRead(state.survey_id, datetime.now(UTC), error=HotjarError(problem))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            return error

    def _is_full(self, state: SurveyState) -> bool:
        return self.depth is Depth.ALL or state.unsettled

    def _cutoff(self, state: SurveyState) -> datetime | None:
        """Return the instant from which on everything is read again; None reads all."""
        if self._is_full(state) or state.watermark is None:
            return None
        if self.depth is Depth.LOOKBACK:
            return min(state.watermark, datetime.now(UTC) - timedelta(days=self.lookback_days))
        return state.watermark

    def _walk(
        self, state: SurveyState, spool_folder: Path, given_up: threading.Event
    ) -> SurveyRead:
        read = SurveyRead(
            state.survey_id,
            started_at=datetime.now(UTC),
            site_id=state.site_id,
            platform=state.platform or self.client.platform,
            is_removed=state.removed,
            skipped=self._reason_to_skip(state),
        )
        if read.skipped:
            return read
        count, spool = RequestCount(), SpoolWriter(spool_folder)
        try:
            if not read.site_id:
                read.site_id = self.client.find_site(state.survey_id, count=count)
            pages = self.client.iter_response_pages(
                read.site_id, read.survey_id, folder=spool_folder, count=count
            )
            self._read_pages(read, state, spool, _until(given_up, pages))
        except HotjarError as error:
            read.error = error
            spool.discard()
        finally:
            spool.close()
        read.segments = spool.segments
        read.overlapped = spool.has_overlap
        read.tells_deleted = read.is_full and not read.overlapped
        # Rows that once came in another order may by chance look newest first another time.
        unordered = read.out_of_order and not self.client.is_newest_first
        read.unsettles = read.overlapped or unordered
        read.settles = read.is_full and not unordered and (self.is_second or not read.overlapped)
        read.requests = count.sent
        read.account, read.source = self.client.account, self.client.name
        read.is_filtered = self.client.is_filtered
        return read

    def _reason_to_skip(self, state: SurveyState) -> str | None:
        if state.removed:
            return "removed in Hotjar"
        if state.platform and state.platform != self.client.platform:
            return f"is on {state.platform}, and HOTJAR_PLATFORM is {self.client.platform}"
        if state.site_id and state.site_id not in self.client.site_ids:
            return f"site {state.site_id} is not in HOTJAR_SITE_ID"
        return None

    def _read_pages(
        self,
        read: SurveyRead,
        state: SurveyState,
        spool: SpoolWriter,
        pages: Iterable[Page[Response]],
    ) -> None:
        floor = read.floor = self.start_at
        stops = [instant for instant in (self._cutoff(state), floor) if instant]
        stop_below = max(stops, default=None)
        is_newest_first = self.client.is_newest_first
        last: datetime | None = None
        for page in pages:
            read.pages += 1
            is_unsorted = page.is_unsorted
            for response in page.results:
                is_newest_first |= last is not None and response.created_time < last
                is_unsorted |= last is not None and response.created_time > last
                last = response.created_time
                read.newest_at = max(read.newest_at or last, last)
                self.privacy.apply(response, state.email_questions)
            if is_unsorted and not read.out_of_order:
                read.out_of_order = True
                logger.warning(
                    "survey %s: page %d is not newest first; reading to the end",
                    read.survey_id,
                    read.pages,
                )
            spool.write([row for row in page.results if not floor or row.created_time >= floor])
            may_stop = is_newest_first and not read.out_of_order
            if may_stop and stop_below and last and last < stop_below:
                read.stopped_early = page.next_cursor is not None
                read.oldest_at = last
                break
        read.is_full = self._is_full(state)


def _until(given_up: threading.Event, pages: Iterable[Page[Response]]) -> Iterator[Page[Response]]:
    for page in pages:
        if given_up.is_set():
            cancelled = "cancelled while reading"
            raise HotjarTransportError(cancelled)
        yield page


def _closely_following(
    finished: "queue.SimpleQueue[FinishedT]", seconds: float
) -> Iterator["FinishedT"]:
    """Wait for one, then yield what comes within so many seconds."""
    yield finished.get()
    deadline = monotonic() + seconds
    with suppress(queue.Empty):
        while True:
            yield finished.get(timeout=max(0.0, deadline - monotonic()))
