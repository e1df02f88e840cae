"""A server below HTTP: what it sends is up to the test, byte by byte."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

TICK_SECONDS = 0.02
"""Pause between the bytes of a server that drips."""


class Connection:
    """One accepted connection.

    Attributes:
        received: What the client has sent.
    """

    def __init__(self, accepted: socket.socket, closing: threading.Event) -> None:
        self._socket = accepted
        self._closing = closing
        self.received = b""

    def read_request(self) -> bytes:
        """Read up to the end of a request's headers; what there is, if the client hangs up."""
        while b"\r\n\r\n" not in self.received:
            data = self._socket.recv(65536)
            self.received += data
            # What does not begin with a method (TLS does not) has no end that could be seen.
            if not data or not self.received[:1].isalpha():
                break
        return self.received

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def drip(self, data: bytes, *, every: float = TICK_SECONDS) -> None:
        """Send the bytes one at a time, again and again, until the client hangs up."""
        while not self._closing.is_set():
            for number in range(len(data)):
                if self._closing.wait(every):
                    return
                self._socket.sendall(data[number : number + 1])

    def flood(self, data: bytes) -> None:
        """Send the same again and again, as fast as it goes, until the client hangs up."""
        while not self._closing.is_set():
            self._socket.sendall(data)

    def hold(self) -> None:
        """Say nothing until the client hangs up."""
        self._socket.recv(1)


class RawServer:
    """Listens on an address of this machine; a script answers each connection.

    Attributes:
        connections: Every connection, oldest first.
    """

    def __init__(
        self,
        script: Callable[[Connection], None] = Connection.hold,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        reads_request: bool = True,
    ) -> None:
        self._script = script
        self._reads_request = reads_request
        self._closing = threading.Event()
        self._listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.connections: list[Connection] = []
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for used in self._sockets:
            # Closing alone does not wake a thread that is sending.
            with suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)
            used.close()
        for thread in self._threads:
            thread.join()

    @property
    def received(self) -> bytes:
        """All that was received."""
        return b"".join(connection.received for connection in self.connections)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.settimeout(60)
            connection = Connection(accepted, self._closing)
            self._sockets.append(accepted)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, accepted), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            if self._reads_request:
                connection.read_request()
            self._script(connection)
        except OSError:
            # The client hung up, or the test is over: what most scripts are about.
            return
        finally:
            accepted.close()
