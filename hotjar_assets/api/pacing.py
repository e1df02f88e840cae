"""When the next request may go: one even pace shared by every reader of an account.

All waiting ends at once when somebody cancels it.
"""

import threading
import time
from collections.abc import Callable

from hotjar_assets.errors import HotjarTransportError

PACE_SHARE = 0.99
"""Share of the allowed rate that is used; the rest absorbs the jitter of the network: of 3,000 a
minute, what arrives 0.6 s late or early."""


class Pacer:
    """Hand out evenly spaced slots, without bursts: an unused slot is not made up for.

    Token buckets, which the usual libraries offer, allow a burst of the whole minute's budget at
    once, and a server that counts by the second answers that with 429.

    Args:
        requests_per_minute: What the account allows; `PACE_SHARE` of it is used.
        sleep: Called with the seconds until the slot.
        clock: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self,
        requests_per_minute: float,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval_seconds = 60 / (requests_per_minute * PACE_SHARE)
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next_slot = clock()
        self._held_until = self._next_slot

    def wait(self) -> None:
        """Take the next free slot and sleep until it comes."""
        slot = self._take_slot()
        # A hold that began meanwhile voids the slots it covers.
        while slot < self._held_until:
            slot = self._take_slot()

    def hold(self, seconds: float) -> None:
        """Let nobody go for so many seconds: the API asked everybody to wait."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
            self._next_slot = max(self._next_slot, self._held_until)

    def _take_slot(self) -> float:
        with self._lock:
            now = self._clock()
            slot = max(now, self._next_slot)
            self._next_slot = slot + self._interval_seconds
        if slot > now:
            self._sleep(slot - now)
        return slot


class Wait:
    """Sleep until the time is over, or fail as soon as it is cancelled.

    Args:
        sleep: Sleeps that many seconds, returning true if it was cancelled meanwhile.
    """

    def __init__(self, sleep: Callable[[float], bool | None] | None = None) -> None:
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait

    def __call__(self, seconds: float) -> None:
        """Sleep.

        Raises:
            HotjarTransportError: It was cancelled.
        """
        if self._sleep(seconds):
            raise HotjarTransportError("cancelled while waiting")

    def resume(self) -> None:
        """Let readers wait again after a `cancel`."""
        self._cancelled.clear()

    def cancel(self) -> None:
        """Make every waiting reader stop with an error."""
        self._cancelled.set()
