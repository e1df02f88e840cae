"""How many readers work at once: as many as the setting allows, unless the processor is the limit.

Readers that wait for the network cost nothing and are all let in. Where answers come faster than
one interpreter can decode them, further readers only take turns, which costs more than it brings
(8 readers of a server without latency took 1.6 times as long as 2).
"""

import threading
import time
from collections import deque
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
        self._there = self._free = min(FIRST_SEATS, most)
        self._waiting: deque[threading.Event] = deque()
        self._began = clock(), used()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a seat, and hold it."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    def give_way(self) -> None:
        """Leave the seat to who has waited longest, and wait for another, when few still wait.

        Fewer than there are seats: readers that keep theirs until they are done would leave the
        last ones to be read while the other seats are empty.
        """
        if 0 < len(self._waiting) < self._there:
            self._leave()
            self._take()

    def add_if_idle(self) -> int:
        """Double the seats if the processor was mostly idle since last asked; return how many."""
        with self._lock:
            now, used = self._clock(), self._used()
            elapsed, busy = now - self._began[0], used - self._began[1]
            if elapsed >= WINDOW_SECONDS:
                self._began = now, used
                if busy < BUSY_SHARE * elapsed:
                    added = min(self._there, self._most - self._there)
                    self._there += added
                    self._free += added
                    self._fill()
            return self._there

    def _take(self) -> None:
        mine = threading.Event()
        with self._lock:
            self._waiting.append(mine)
            self._fill()
        while not mine.wait(timeout=WINDOW_SECONDS):
            self.add_if_idle()

    def _leave(self) -> None:
        with self._lock:
            self._free += 1
            self._fill()

    def _fill(self) -> None:
        """Hand free seats to those who wait, first come first served; the lock is held."""
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().set()
