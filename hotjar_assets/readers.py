"""Reading many things at once, each whole or not at all: what every sync shares.

What is committed whole is a unit: a survey, or the children of one parent. Its walk spools to disk
and is handed over only when it is complete. No Dagster, no database, and no knowledge of what is
read.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import Any, Generic, Protocol, TypeVar

from hotjar_assets.api.limits import large_answers
from hotjar_assets.errors import HotjarError, HotjarStoreError, HotjarTransportError
from hotjar_assets.printable import get_logger
from hotjar_assets.seats import Seats
from hotjar_assets.spool import Segment

logger = get_logger(__name__)

GROUP_ROWS = 120_000
GROUP_SECONDS = 1.0
"""Finished walks are handed over after so many rows or so long, whichever comes first."""
COLLECTING_SHARE = 2
"""Groups are collected this many times as long as the last one took to store: each time it is
stored, a database rewrites the end of its table."""
LAST_GROUP_ROWS = 10_000
"""Once there is less left than readers, so many rows are handed over at once: the processor is
free, and what is stored by then need not be waited for in the end."""
WAITING_PER_READER = 8
"""Units that may be begun or wait for the store, for each reader: bounds the spool."""


@dataclass
class Read:
    """One finished walk through a unit.

    Attributes:
        key: The unit.
        started_at: When the walk began: only rows stored before can have vanished from the API.
        segments: The rows, to be merged in this order.
        pages: Pages read.
        requests: Requests sent, retries included.
        stopped_early: Whether the walk ended at the cutoff and not at the end.
        out_of_order: Whether a page broke the newest-first order.
        skipped: Why nothing was requested or is stored.
        error: Why the walk failed; then there is nothing to store.
    """

    key: str
    started_at: datetime
    segments: list[Segment] = field(default_factory=list, kw_only=True)
    pages: int = field(default=0, kw_only=True)
    requests: int = field(default=0, kw_only=True)
    stopped_early: bool = field(default=False, kw_only=True)
    out_of_order: bool = field(default=False, kw_only=True)
    skipped: str | None = field(default=None, kw_only=True)
    error: HotjarError | None = field(default=None, kw_only=True)

    @property
    def label(self) -> str:
        """What people call the unit."""
        return self.key

    @property
    def rows(self) -> int:
        """Rows read, repeated ones included."""
        return sum(segment.rows for segment in self.segments)


ReadT = TypeVar("ReadT", bound=Read)
UnitT = TypeVar("UnitT")
ItemT = TypeVar("ItemT")


class Client(Protocol):
    """What many readers share."""

    def resume(self) -> None:
        """Allow requests again."""

    def cancel(self) -> None:
        """End every request and wait that is under way."""


@dataclass(frozen=True)
class Readers(Generic[UnitT, ReadT]):
    """Reads units concurrently and hands them over in groups.

    Attributes:
        client: Ends its requests when reading is given up.
        walk: Reads one unit; what it raises that is not its unit's own fault ends everything.
        failed: Makes the outcome of a walk that failed in an unexpected way.
        concurrency: Units read at once, where reading mostly waits for the API.
        spool_folder: Where the rows of finished walks wait.
    """

    client: Client
    walk: "Callable[[UnitT, Turns], ReadT]"
    failed: Callable[[UnitT, HotjarError], ReadT]
    concurrency: int
    spool_folder: Path

    def read(self, units: Iterable[UnitT]) -> Generator[list[ReadT], None, None]:
        """Read the units.

        Yields:
            Groups of finished walks, each unit exactly once, failed ones with their error. Reading
            goes on while the caller handles a group; it may delete the group's segments.
        """
        waiting = iter(units)
        finished: queue.SimpleQueue[ReadT | BaseException] = queue.SimpleQueue()
        # One more may wait for each seat, so that the last ones can share them.
        pool = ThreadPoolExecutor(2 * self.concurrency, thread_name_prefix="hotjar-reader")
        turns = Turns(Seats(self.concurrency))
        under_way, storing = 0, 0.0
        self.client.resume()

        def walk(unit: UnitT) -> None:
            with turns.seats.taken():
                finished.put(self._walk_or_error(unit, turns))

        def begin(most: int) -> int:
            return sum(bool(pool.submit(walk, unit)) for unit in islice(waiting, most))

        try:
            under_way = begin(self.concurrency * WAITING_PER_READER)
            while under_way:
                group: list[ReadT] = []
                patience = max(GROUP_SECONDS, storing * COLLECTING_SHARE)
                for read in _closely_following(finished, patience):
                    if isinstance(read, BaseException):
                        raise read
                    group.append(read)
                    under_way += begin(1) - 1
                    is_ending = under_way < self.concurrency and finished.empty()
                    enough = LAST_GROUP_ROWS if is_ending else GROUP_ROWS
                    if not under_way or sum(read.rows for read in group) >= enough:
                        break
                handed_over = monotonic()
                yield group
                storing = monotonic() - handed_over
        finally:
            turns.cancelled.set()
            if under_way:
                self.client.cancel()
            pool.shutdown(wait=True, cancel_futures=True)

    def _walk_or_error(self, unit: UnitT, turns: "Turns") -> ReadT | BaseException:
        """Walk one unit; an error is returned only if no other unit can be read either."""
        try:
            with large_answers.walking():
                return _without_frames(self.walk(unit, turns))
        except OSError as error:
            return HotjarStoreError(
                f"cannot spool to {self.spool_folder}: {error.strerror}; free some disk space"
            )
        except HotjarError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one unit must not stop the others
            place = extract_tb(error.__traceback__)[-1]
            problem = f"unexpected {type(error).__name__} in {place.name}, line {place.lineno}"
            return self.failed(unit, HotjarError(problem))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            return error


def _without_frames(read: ReadT) -> ReadT:
    """Return a read whose error no longer holds what it came through: the pages of its scan."""
    if read.error is not None:
        read.error.__traceback__ = read.error.__context__ = read.error.__cause__ = None
    return read


@dataclass(frozen=True)
class Turns:
    """What a walk asks between two pages: whether to go on, and whether another goes first.

    Attributes:
        seats: Where walks sit while they read.
        cancelled: Set once every walk is to end.
    """

    seats: Seats
    cancelled: threading.Event = field(default_factory=threading.Event)

    def taken(self, pages: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield pages until it is cancelled; the next is asked for once one is dealt with."""
        for page in pages:
            if self.cancelled.is_set():
                cancelled = "cancelled while reading"
                raise HotjarTransportError(cancelled)
            yield page
            large_answers.leave()
            self.seats.give_way()


class NewestFirst:
    """Tells when a walk whose pages come newest first has met everything that is wanted.

    Args:
        name: What is walked through, for the log.
        stop_below: The walk may end with the first page whose oldest value is strictly below; None
            reads to the end.
        is_promised: Whether pages come newest first; if not, they must prove it before the walk may
            end early.
        known: The oldest and the newest value that earlier walks met, for the proof.

    Pages that are newest first inside may still follow one another in any order. So it is proved
    only by a value on a later page that is older than the whole first one, or by a first page that
    leaves out older values that are known; and never before the newest known value was met.
    """

    def __init__(
        self,
        name: str,
        stop_below: Any | None,
        *,
        is_promised: bool = True,
        known: tuple[Any, Any] | None = None,
    ) -> None:
        self._name = name
        self._stop_below = stop_below
        self._is_promised = is_promised
        self._known = known
        self._first_oldest: Any = None
        self.pages = 0
        self.newest: Any = None
        self.oldest: Any = None
        self.out_of_order = False

    def see(self, values: Iterable[Any], *, is_unsorted: bool = False) -> bool:
        """Take the values of one page, in its order; return whether the walk may end here.

        Args:
            values: The values.
            is_unsorted: Whether the page is known to break the order, whatever its values.
        """
        self.pages += 1
        last = self.oldest
        for value in values:
            is_unsorted |= last is not None and bool(value > last)
            last = value
            self.newest = value if self.newest is None else max(self.newest, value)
        if is_unsorted and not self.out_of_order:
            self.out_of_order = True
            logger.warning(
                "%s: page %d is not newest first; reading to the end", self._name, self.pages
            )
        self.oldest = last
        self._first_oldest = last if self._first_oldest is None else self._first_oldest
        return (
            self._stop_below is not None
            and last is not None
            and not self.out_of_order
            and self._is_newest_first()
            and bool(last < self._stop_below)
        )

    def _is_newest_first(self) -> bool:
        if self._is_promised:
            return True
        followed = bool(self.oldest < self._first_oldest)
        if self._known is None:
            return followed
        oldest, newest = self._known
        left_out = oldest < self._first_oldest < self.newest
        return bool(self.newest >= newest and (followed or left_out))


def _closely_following(finished: "queue.SimpleQueue[ItemT]", seconds: float) -> Iterator["ItemT"]:
    """Wait for one, then yield what comes within so many seconds."""
    yield finished.get()
    deadline = monotonic() + seconds
    with suppress(queue.Empty):
        while True:
            yield finished.get(timeout=max(0.0, deadline - monotonic()))
