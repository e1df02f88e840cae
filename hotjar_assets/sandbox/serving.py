"""Uvicorn, bent to a server that runs in a thread and stops at once.

Imported when a server starts, so that nothing else of the sandbox needs the web framework.
"""

import asyncio
import socket
import threading

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hotjar_assets.sandbox.app import SandboxApp

_STEPS_TO_LIST = 5


class _Protocol(HttpToolsProtocol):
    """HTTP that lets the application close a connection under an unfinished answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """A server whose start can be waited for and whose stop waits for nobody."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    async def main_loop(self) -> None:
        # Uvicorn looks ten times a second whether it should stop; an event costs no time at all.
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        # A connection that was just accepted is listed some steps of the loop later; left open, it
        # would outlive the loop.
        for _ in range(_STEPS_TO_LIST):
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
        for sock in sockets or ():
            sock.close()

    def stop(self) -> None:
        """Ask the server to stop; may be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class ServerThread:
    """The server on bound sockets, in a thread of its own."""

    def __init__(self, app: SandboxApp, sockets: list[socket.socket]) -> None:
        """Start serving; returns when requests are answered."""
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=(sockets,), name="hotjar-sandbox", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(timeout=10):
            message = "the sandbox did not start within 10 seconds"
            raise RuntimeError(message)

    def stop(self) -> None:
        """Stop serving and wait until the thread is gone."""
        self._server.stop()
        self._thread.join(timeout=10)
