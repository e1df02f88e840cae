"""What every client of an API is made of: a transport, a pace, and waits that can be cancelled."""

from collections.abc import Callable
from typing import Any

from hotjar_assets.api.pacing import Pacer, Wait
from hotjar_assets.api.transport import Transport


class PacedClient:
    """A client of one API; safe under threads, nothing is requested before a call.

    Args:
        base_url: Of the API.
        requests_per_minute: What it allows.
        sleep: Sleeps that many seconds, returning true if it was cancelled meanwhile.
        clock: Seconds on a clock that never goes backwards.
        options: Of the `Transport`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        requests_per_minute: float,
        sleep: Callable[[float], bool | None] | None,
        clock: Callable[[], float],
        **options: Any,
    ) -> None:
        self._wait = Wait(sleep)
        pacer = Pacer(requests_per_minute, sleep=self._wait, clock=clock)
        self._transport = Transport(base_url, pacer=pacer, sleep=self._wait, clock=clock, **options)

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, with retries and logins."""
        return self._transport.total.sent

    @property
    def retries(self) -> int:
        """Attempts so far that repeated one which failed."""
        return self._transport.retries

    def resume(self) -> None:
        """Let readers wait again after a `cancel`."""
        self._wait.resume()

    def cancel(self) -> None:
        """Make every reader stop with an error, whether it waits or reads an answer."""
        self._wait.cancel()
        self._transport.cancel()

    def close(self) -> None:
        """Stop all readers and close the connections."""
        self.cancel()
        self._transport.close()
