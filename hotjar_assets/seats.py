"""How many readers work at once: as many as the setting allows, unless the processor is the limit.

Readers that wait for the network cost nothing and are all let in. Where answers come faster than
one interpreter can decode them, further readers only take turns, which costs more than it brings
(8 readers of a server without latency took 1.6 times as long as 2).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_SEATS = 2
WINDOW_SECONDS = 0.05
BUSY_SHARE = 0.75
"""Share of one processor from which on there is no use for another reader."""


class Seats:
    """Lets readers in: a few at first, twice as many whenever the process was mostly idle.

    Args:
        most: Readers at once in the end.
        clock: Seconds on a clock that never goes backwards.
        used: Processor seconds used by this process.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._most = most
        self._clock = clock
        self._used = used
        self._lock = threading.Lock()
        self._there = min(FIRST_SEATS, most)
        self._free = threading.Semaphore(self._there)
        self._began = clock(), used()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a seat, and hold it."""
        while not self._free.acquire(timeout=WINDOW_SECONDS):
            self.add_if_idle()
        try:
            yield
        finally:
            self._free.release()

    def add_if_idle(self) -> int:
        """Double the seats if the processor was mostly idle since last asked; return how many."""
        with self._lock:
            now, used = self._clock(), self._used()
            elapsed, busy = now - self._began[0], used - self._began[1]
            if elapsed >= WINDOW_SECONDS:
                self._began = now, used
                added = min(self._there, self._most - self._there)
                if added and busy < BUSY_SHARE * elapsed:
                    self._there += added
                    self._free.release(added)
            return self._there
