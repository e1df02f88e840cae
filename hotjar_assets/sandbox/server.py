"""The sandbox as a server: a socket, a thread, and handles on what it serves.

What it answers is in `app`. The web framework is imported when a server starts, not before.
"""

import ipaddress
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from hotjar_assets.sandbox.account import (
    DEFAULT_CLOCK,
    DEFAULT_SEED,
    SandboxAccount,
)
from hotjar_assets.sandbox.constants import SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET
from hotjar_assets.sandbox.contentsquare import ContentsquareAccount
from hotjar_assets.sandbox.faults import Faults
from hotjar_assets.sandbox.insights import ExportFormat
from hotjar_assets.sandbox.limits import MAX_DELAY_SECONDS
from hotjar_assets.sandbox.pages import Order, Paging
from hotjar_assets.sandbox.settings import ServerSettings
from hotjar_assets.sandbox.wire import ReceivedRequest, RequestLog

if TYPE_CHECKING:
    from hotjar_assets.sandbox.app import SandboxApp
    from hotjar_assets.sandbox.serving import ServerThread


class SandboxServer:
    """A local Hotjar in a thread; use it as a context manager, or call `start` and `stop`.

    After a stop it starts again at the same address and with the same account, so that an outage
    can be played.

    Attributes:
        account: The data served; change it while the server runs.
        contentsquare: The same data as Contentsquare shows it.
        faults: What goes wrong; change it while the server runs.
    """

    def __init__(
        self,
        account: SandboxAccount | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        client_id: str = SANDBOX_CLIENT_ID,
        client_secret: str = SANDBOX_CLIENT_SECRET,
        latency_seconds: float = 0.0,
        requests_per_minute: int | None = None,
        paging: Paging = "keyset",
        order: Order = "newest_first",
        endpoint: str | None = None,
        token_lifetime_seconds: float = 3600,
        export_format: ExportFormat = "zip",
        needs_cookies: bool = False,
        allow_remote: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the server; nothing is bound before `start`.

        Args:
            account: The data to serve; the default account when None.
            host: The address to listen on.
            port: The port; 0 for a free one.
            client_id: The client id that gets a token.
            client_secret: Its secret.
            latency_seconds: How long every answer takes at least.
            requests_per_minute: Beyond this many in any minute, answer 429; None for no limit.
            paging: How cursors work: "keyset" stays right while rows come and go, "offset" not.
            order: In which order responses come.
            endpoint: The base URL that Contentsquare's token answer names; the server's when None.
            token_lifetime_seconds: How long a token is good.
            export_format: What an export is downloaded as: "zip" or "csv".
            needs_cookies: Whether the export wants the cookie of its login, besides `X-Acc`.
            allow_remote: Listen on an address that other machines reach.
            monotonic: The clock of tokens and of the rate limit, in seconds.

        Raises:
            ValueError: The address is not this machine's own and `allow_remote` is not set.
        """
        if not allow_remote and not _is_loopback(host):
            message = (
                f"the sandbox only listens on this machine (127.0.0.1), not on {host!r}: "
                "it has no security of its own; set allow_remote to listen there all the same"
            )
            raise ValueError(message)
        self.account = SandboxAccount() if account is None else account
        self.contentsquare = ContentsquareAccount(self.account)
        self.faults = Faults()
        self._host = host
        self._port = port
        self._downloads_port = 0
        self._log = RequestLog()
        self._settings = ServerSettings(
            client_id=client_id,
            client_secret=client_secret,
            latency_seconds=latency_seconds,
            requests_per_minute=requests_per_minute,
            paging=paging,
            order=order,
            endpoint=endpoint,
            token_lifetime_seconds=token_lifetime_seconds,
            export_format=export_format,
            needs_cookies=needs_cookies,
            monotonic=monotonic,
        )
        self._app: SandboxApp | None = None
        self._thread: ServerThread | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """The address to give a client, without a slash at the end.

        Raises:
            RuntimeError: The server was never started and its port is not known yet.
        """
        if not self._port:
            message = "the sandbox has no address before it was started"
            raise RuntimeError(message)
        return self._url(self._port)

    def _url(self, port: int) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests to the API received so far, oldest first, token requests included."""
        return self._log.all()

    def clear_requests(self) -> None:
        """Forget the requests received so far."""
        self._log.clear()

    def expire_tokens(self) -> None:
        """Make every token issued so far invalid."""
        if self._app is not None:
            self._app.expire_tokens()

    def start(self) -> None:
        """Listen and serve; returns when requests are answered.

        Raises:
            OSError: The port is taken.
        """
        if self._thread is not None:
            return
        from hotjar_assets.sandbox.app import SandboxApp  # noqa: PLC0415 - the web framework
        from hotjar_assets.sandbox.serving import ServerThread  # noqa: PLC0415 - the web framework

        sock = _listen(self._host, self._port)
        self._port = sock.getsockname()[1]
        try:
            downloads = _listen(self._host, self._downloads_port)
        except OSError:
            sock.close()
            raise
        self._downloads_port = downloads.getsockname()[1]
        if self._app is None:
            self._app = SandboxApp(
                self.account,
                faults=self.faults,
                requests=self._log,
                settings=self._settings,
                host=self._host,
                downloads_url=self._url(self._downloads_port),
            )
        self._thread = ServerThread(self._app, [sock, downloads])

    def stop(self) -> None:
        """Close all connections and end the thread; does nothing when it is not running."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None


def run(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = DEFAULT_SEED,
    clock: datetime = DEFAULT_CLOCK,
    latency_seconds: float = 0.0,
    requests_per_minute: int | None = None,
    paging: Paging = "keyset",
    allow_remote: bool = False,
    on_start: Callable[[str], object],
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; call it from the main thread.

    Args:
        host: The address to listen on.
        port: The port; 0 for a free one.
        seed: What the data is drawn from.
        clock: The account's aware "now".
        latency_seconds: How long every answer takes at least.
        requests_per_minute: Beyond this many in any minute, answer 429; None for no limit.
        paging: How cursors work.
        allow_remote: Listen on an address that other machines reach.
        on_start: Called with the URL once requests are answered.

    Raises:
        ValueError: The address is not this machine's own and `allow_remote` is not set, or the
            latency is out of range.
        OSError: The port is taken.
    """
    if not 0 <= latency_seconds <= MAX_DELAY_SECONDS:
        raise ValueError(f"the latency must be from 0 to {MAX_DELAY_SECONDS:g} seconds")
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    server = SandboxServer(
        SandboxAccount(seed=seed, clock=clock),
        host=host,
        port=port,
        latency_seconds=latency_seconds,
        requests_per_minute=requests_per_minute,
        paging=paging,
        allow_remote=allow_remote,
    )
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        with server:
            on_start(server.url)
            # A wait without end would not notice a signal on every platform.
            while not stopped.wait(0.5):
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
