"""One deadline for a whole exchange: from connecting to the last byte of the answer.

A timeout of a socket begins again with every byte. A server that sends one byte a second, of a
header or of anything that HTTP lets it repeat (`100 Continue`, chunk extensions), would hold a
reader indefinitely. Here a timer shuts the socket down from outside.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import requests.adapters
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from hotjar_assets.errors import HotjarTransportError


class Deadline:
    """The end of one exchange.

    Args:
        seconds: How long the exchange may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._remaining_seconds = seconds
        self._started_at = 0.0
        self._timer: threading.Timer
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._expired = False

    def start(self) -> None:
        """Start the timer with the time that is left."""
        self._started_at = time.monotonic()
        self._timer = threading.Timer(max(0.0, self._remaining_seconds), self.expire)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Stop the timer and remember the time that is left."""
        self._timer.cancel()
        self._remaining_seconds -= time.monotonic() - self._started_at

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the deadline inside the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def check(self) -> None:
        """Make sure that the time is not over.

        Raises:
            HotjarTransportError: It is over. What came so far may look complete and is not.
        """
        if self._expired:
            raise HotjarTransportError(f"the answer took longer than {self._seconds:g} s")

    def watch(self, connection: HTTPConnection) -> None:
        """Shut the socket of a connection down when the time is over, or now if it is."""
        with self._lock:
            self._connection = connection
            # A connection forgets its socket while the last answer on it is still being read.
            self._socket = connection.sock
            if self._expired:
                self._shut_down()

    def expire(self) -> None:
        """End the exchange."""
        with self._lock:
            self._expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        sockets = [self._socket, self._connection.sock if self._connection else None]
        for used in sockets:
            if used is not None:
                # The method of SSLSocket would drop the encryption while another thread reads.
                with suppress(OSError):
                    socket.socket.shutdown(used, socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_after(seconds: float) -> Iterator[Deadline]:
    """Give what this thread sends and receives through a `DeadlineAdapter` a deadline."""
    deadline = Deadline(seconds)
    token = _current.set(deadline)
    deadline.start()
    try:
        yield deadline
    finally:
        deadline.stop()
        _current.reset(token)


class _Watched(HTTPConnection):
    """Tells the current deadline which socket is in use."""

    def connect(self) -> None:
        """Connect; a proxy may be slow before there is a connection to the host itself."""
        self._watch()
        super().connect()
        self._watch()

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request; one on a new connection connects first."""
        self._watch()
        super().request(*args, **options)

    def _watch(self) -> None:
        if deadline := _current.get():
            deadline.watch(self)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class DeadlineAdapter(requests.adapters.HTTPAdapter):
    """Sends requests over connections that obey `deadline_after`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
