"""Which pages to read, and when to stop: a sync without Dagster and without a database.

Two syncs live here. `SurveySync` lists the surveys of every site; `ResponseSync` reads the
responses of many surveys at once and hands each to the store only when its walk is complete, so
that a survey is committed whole or not at all. Both are told by the store what it already holds.

What makes a survey's incremental walk right: the watermark is the newest `created_at` in the table,
pages come newest first, and the walk ends with the first page whose oldest row is strictly older
than the cutoff. If a page breaks that order the walk goes to the end; and where the platform does
not promise it, so does a walk whose pages have not yet proved it (see `NewestFirst`).
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from hotjar_assets.api.records import Page, Response, Survey
from hotjar_assets.api.source import ResponseSource, SurveySource
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.commits import Figures, commit_groups
from hotjar_assets.config import environment_variable, place_name
from hotjar_assets.errors import (
    HotjarError,
    HotjarSchemaError,
    HotjarStoreError,
    HotjarUnknownSurveyError,
)
from hotjar_assets.printable import counted, get_logger, labelled
from hotjar_assets.privacy import Privacy
from hotjar_assets.readers import NewestFirst, Read, Readers, Turns
from hotjar_assets.spool import ResponseSpool
from hotjar_assets.sync_progress import SyncProgress

logger = get_logger(__name__)

UNKNOWN = "is neither in the account nor in the database"
"""Why a survey is skipped whose partition was left by another account, or typed by hand."""
_SHOWN = 5
"""Most ids in one line."""


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
        oldest_at: The oldest of them.
        unsettled: Whether pages shifted under an earlier walk, or came in an order that nobody
            promised, so that the watermark cannot be trusted until a full walk.
        email_questions: Ids of its questions that ask for an e-mail address.
        url: Its page.
        name: Its name.
    """

    survey_id: str
    site_id: str | None = None
    platform: str | None = None
    removed: bool = False
    watermark: datetime | None = None
    oldest_at: datetime | None = None
    unsettled: bool = False
    email_questions: frozenset[str] = frozenset()
    url: str | None = None
    name: str | None = None


@dataclass
class SurveyRead(Read):
    """One finished walk through a survey's responses.

    Attributes:
        site_id: Its site.
        platform: The platform it is on.
        account: `real` or `sandbox`: who answered; None when nobody was asked.
        source: `api` or `insights`: what the ids of the rows belong to; None as for the account.
        is_filtered: Whether responses may have been left out: none that it did not see is gone.
        newest_at: Newest `created_at` seen.
        oldest_at: Every response created after it was seen; None: every one there is.
        overlapped: Whether a row came again on a later page: the pages shifted meanwhile.
        is_full: Whether the walk read everything there is.
        tells_deleted: Whether a row it did not see is gone from the API: it was full and no page
            shifted meanwhile, which could have hidden the row.
        unsettles: Whether the watermark cannot be trusted afterwards, unless the walk settles it.
        settles: Whether an earlier shift is made up for.
        floor: Nothing created before was read.
        is_removed: The survey is gone from Hotjar.
        url: The page of the survey.
        name: Its name.
    """

    site_id: str | None = None
    platform: str | None = None
    account: str | None = None
    source: str | None = None
    is_filtered: bool = False
    newest_at: datetime | None = None
    oldest_at: datetime | None = None
    overlapped: bool = False
    is_full: bool = False
    tells_deleted: bool = False
    unsettles: bool = False
    settles: bool = False
    floor: datetime | None = None
    is_removed: bool = False
    url: str | None = None
    name: str | None = None

    @property
    def survey_id(self) -> str:
        """The survey."""
        return self.key

    @property
    def label(self) -> str:
        """The survey's id and name."""
        return labelled(self.key, self.name)

    @property
    def counts_all(self) -> bool:
        """Whether its rows are what the API has, each once."""
        is_repeated = any(segment.has_duplicates for segment in self.segments)
        return self.tells_deleted and not (self.is_filtered or is_repeated)


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
    """List the surveys of every site of an account.

    Attributes:
        client: The account.
        set_version: Called with the data version of the table when the listing is stored.
    """

    client: SurveySource
    set_version: Callable[[str], None] = lambda _version: None

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


class ResponseStore(Protocol):
    """Where responses are stored: `hotjar_assets.warehouse.Warehouse`."""

    def begin(
        self, survey_ids: Sequence[str], privacy: Privacy, *, rewrite: bool
    ) -> Mapping[str, SurveyState]:
        """Be of a privacy mode, rewritten if need be; tell what is held of each survey."""

    def spool(self) -> AbstractContextManager[Path]:
        """Give a folder for rows that wait to be committed; it is gone afterwards."""

    def commit_responses(
        self, reads: Sequence[SurveyRead], *, purge: bool
    ) -> Mapping[str, Figures | HotjarStoreError]:
        """Store finished walks, each whole or not at all; tell what was done, by survey id."""


@dataclass
class StoredResponses:
    """What became of the surveys of a sync.

    Attributes:
        walks: The stored ones: all their walks summed up, and what their commits did.
        failed: Why the others are not stored, or cannot be trusted.
        labels: The ids and names of the surveys that were read.
    """

    walks: dict[str, tuple[SurveyRead, Figures]] = field(default_factory=dict)
    failed: dict[str, HotjarError] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def shifted(self) -> list[str]:
        """The surveys of which rows vanished or came twice: pages shifted under their walk.

        A second walk, which is whole, settles that.
        """
        return [
            survey_id
            for survey_id, (read, figures) in self.walks.items()
            if not read.settles and (figures.vanished or read.overlapped)
        ]

    @property
    def committed(self) -> dict[str, tuple[SurveyRead, Figures]]:
        """The walks of the surveys that did not fail."""
        return {key: walk for key, walk in self.walks.items() if key not in self.failed}

    def add(self, read: SurveyRead, result: Figures | HotjarError) -> None:
        """Add a walk, to an earlier one through the same survey if there was one."""
        self.labels[read.key] = read.label
        if not isinstance(result, Figures):
            self.failed[read.key] = result
            return
        if earlier := self.walks.get(read.key):
            read = replace(
                read,
                requests=earlier[0].requests + read.requests,
                pages=earlier[0].pages + read.pages,
            )
            result = earlier[1] + result
        self.walks[read.key] = read, result


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
        set_version: Called with the data version of the table when all surveys are stored.
        shown: Called with a survey id: what was reported of it last. None: no pictures are wanted.
        progress: Told of what is read and stored.
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
    set_version: Callable[[str], None] = lambda _version: None
    shown: Callable[[str], Mapping[str, Any]] | None = None
    progress: SyncProgress = field(default_factory=SyncProgress)

    def run(self, store: ResponseStore, stored: StoredResponses | None = None) -> StoredResponses:
        """Read the surveys and store them as they arrive.

        Where pages shifted under a walk, other rows may have hidden from it: such a survey is read
        a second time, and whole.

        Args:
            store: Where they are stored.
            stored: Takes what became of each survey, also if an exception ends the sync.

        Returns:
            What became of each survey; an error that ended everything is that of each survey which
            was not finished by then.

        Raises:
            HotjarStoreError: The store cannot be used, or is of another privacy mode.
        """
        stored = StoredResponses() if stored is None else stored
        states = _begin(self, store)
        try:
            _read_and_commit(self, states, store, stored)
            if shifted := stored.shifted:
                labels = ", ".join(stored.labels[survey_id] for survey_id in shifted)
                logger.warning("pages shifted under %s; reading it whole", labels)
                whole = replace(
                    self, survey_ids=shifted, depth=Depth.ALL, purge=False, is_second=True
                )
                _read_and_commit(whole, _begin(whole, store), store, stored)
            _warn_of_unknown(stored)
        except HotjarError as error:
            done = (stored.walks.keys() - set(stored.shifted)) | stored.failed.keys()
            stored.failed |= {key: error for key in self.survey_ids if key not in done}
        return stored

    def read(
        self, states: Mapping[str, SurveyState], spool_folder: Path
    ) -> Generator[list[SurveyRead], None, None]:
        """Read the surveys concurrently.

        Args:
            states: What the store holds, by survey id.
            spool_folder: Where the rows of finished walks wait; the caller deletes it.

        Returns:
            Groups of finished walks, each survey exactly once, failed ones with their error.
            Reading goes on while the caller handles a group; it may delete the group's segments.
        """
        readers: Readers[str, SurveyRead] = Readers(
            self.client,
            lambda survey_id, turns: self._walk(
                states.get(survey_id, SurveyState(survey_id)), spool_folder, turns
            ),
            lambda survey_id, error: SurveyRead(survey_id, datetime.now(UTC), error=error),
            self.concurrency,
            spool_folder,
        )
        return readers.read(self.survey_ids)

    def _is_full(self, state: SurveyState) -> bool:
        return self.depth is Depth.ALL or state.unsettled

    def _cutoff(self, state: SurveyState) -> datetime | None:
        """Return the instant from which on everything is read again; None reads all."""
        if self._is_full(state) or state.watermark is None:
            return None
        if self.depth is Depth.LOOKBACK:
            return min(state.watermark, datetime.now(UTC) - timedelta(days=self.lookback_days))
        return state.watermark

    def _walk(self, state: SurveyState, spool_folder: Path, turns: Turns) -> SurveyRead:
        read = SurveyRead(
            state.survey_id,
            started_at=datetime.now(UTC),
            site_id=state.site_id,
            platform=state.platform or self.client.platform,
            is_removed=state.removed,
            url=state.url,
            name=state.name,
            skipped=self._reason_to_skip(state),
        )
        if read.skipped:
            return read
        count, spool = RequestCount(), ResponseSpool(spool_folder, state.survey_id)
        self.progress.begin(state.survey_id, state.name)
        try:
            if not read.site_id:
                read.site_id = self.client.find_site(state.survey_id, count=count)
            pages = self.client.iter_response_pages(
                read.site_id, read.survey_id, folder=spool_folder, count=count
            )
            self._read_pages(read, state, spool, turns.taken(pages))
        except HotjarUnknownSurveyError as error:
            # Partitions of another account, such as the sandbox, stay in a Dagster instance. Asked
            # for alone, a survey that is unknown is a mistake.
            if len(self.survey_ids) == 1:
                read.error = error
            else:
                read.skipped = UNKNOWN
            spool.discard()
        except HotjarError as error:
            read.error = error
            spool.discard()
        finally:
            spool.close()
            self.progress.end(state.survey_id)
        read.requests = count.sent
        if read.skipped:
            return read
        read.segments = spool.segments
        read.overlapped = spool.has_overlap
        read.tells_deleted = read.is_full and not read.overlapped
        # Rows that once came in another order may by chance look newest first another time.
        unordered = read.out_of_order and not self.client.is_newest_first
        read.unsettles = read.overlapped or unordered
        read.settles = read.is_full and not unordered and (self.is_second or not read.overlapped)
        read.account, read.source = self.client.account, self.client.name
        read.is_filtered = self.client.is_filtered
        return read

    def _reason_to_skip(self, state: SurveyState) -> str | None:
        if state.removed:
            return "removed in Hotjar"
        if state.platform and state.platform != self.client.platform:
            return f"is on {state.platform}, and HOTJAR_PLATFORM is {self.client.platform}"
        if state.site_id and state.site_id not in self.client.site_ids:
            setting = place_name(self.client.platform)
            place = setting.removesuffix("_id")
            return f"{place} {state.site_id} is not in {environment_variable(setting)}"
        return None

    def _read_pages(
        self,
        read: SurveyRead,
        state: SurveyState,
        spool: ResponseSpool,
        pages: Iterable[Page[Response]],
    ) -> None:
        floor = read.floor = self.start_at
        stops = [instant for instant in (self._cutoff(state), floor) if instant]
        order = NewestFirst(
            f"survey {read.label}",
            max(stops, default=None),
            is_promised=self.client.is_newest_first,
            known=(state.oldest_at, state.watermark) if state.watermark else None,
        )
        for page in pages:
            read.pages += 1
            self.progress.read(read.survey_id, len(page.results))
            is_past = order.see(
                [response.created_time for response in page.results], is_unsorted=page.is_unsorted
            )
            read.newest_at, read.out_of_order = order.newest, order.out_of_order
            for response in page.results:
                self.privacy.apply(response, state.email_questions)
            spool.write([row for row in page.results if not floor or row.created_time >= floor])
            if is_past:
                read.stopped_early = page.next_cursor is not None
                read.oldest_at = order.oldest
                break
        read.is_full = self._is_full(state)


def _warn_of_unknown(stored: StoredResponses) -> None:
    # Walks end in any order.
    unknown = sorted(key for key, (read, _) in stored.walks.items() if read.skipped == UNKNOWN)
    if unknown:
        shown = ", ".join(unknown[:_SHOWN]) + (", …" if len(unknown) > _SHOWN else "")
        logger.warning(
            "%s skipped, neither in the account nor in the database: %s; if of an account or "
            "platform that was read before, set HOTJAR_DATABASE to the file with the rows, else "
            "delete the partitions in Dagster",
            counted(len(unknown), "survey"),
            shown,
        )


def _begin(sync: ResponseSync, store: ResponseStore) -> Mapping[str, SurveyState]:
    return store.begin(sync.survey_ids, sync.privacy, rewrite=sync.depth is Depth.ALL)


def _read_and_commit(
    sync: ResponseSync,
    states: Mapping[str, SurveyState],
    store: ResponseStore,
    stored: StoredResponses,
) -> None:
    def commit(reads: Sequence[SurveyRead]) -> Mapping[str, Figures | HotjarStoreError]:
        return store.commit_responses(reads, purge=sync.purge)

    with store.spool() as folder:
        for read, result in commit_groups(sync.read(states, folder), commit, "surveys"):
            stored.add(read, result)
            sync.progress.finish(read.key)
