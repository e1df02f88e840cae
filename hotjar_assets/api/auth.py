"""OAuth client credentials: getting a token, keeping it, replacing it.

Knows tokens and nothing of pages or retries. The transport sends the token request.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hotjar_assets.errors import HotjarAuthError, HotjarSchemaError

DEFAULT_LIFETIME_SECONDS = 3600.0
"""Documented lifetime, for an answer that does not say.

Source: help.hotjar.com "Hotjar API Reference", read 2026-11-20.
"""
REFRESH_MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class TokenRequest:
    """`POST path` with a form-encoded body."""

    path: str
    form: dict[str, str] = field(repr=False)


class ClientCredentials:
    """One access token for all readers of an account; safe under threads.

    The token is asked for when first needed, replaced shortly before it expires, and replaced once
    more when the API rejects it (`renew`). A refusal by the token endpoint is final and remembered:
    asking again with the same credentials cannot help and may lock the account.

    Args:
        client_id: Client id of the API key.
        client_secret: Its secret.
        clock: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self, client_id: str, client_secret: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._request = TokenRequest(
            path="/v1/oauth/token",
            form={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
            },
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh_at = 0.0
        self._refusal: HotjarAuthError | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        return (self._request.form["client_secret"], *((self._token,) if self._token else ()))

    def token(self, send: Callable[[TokenRequest], dict[str, Any]]) -> str:
        """Return a token that is valid now, through `send` if a new one is needed.

        Raises:
            HotjarAuthError: The token endpoint refused the credentials.
        """
        with self._lock:
            if self._token is None or self._clock() >= self._refresh_at:
                self._token = self._new_token(send)
            return self._token

    def renew(self, rejected: str, send: Callable[[TokenRequest], dict[str, Any]]) -> str:
        """Return a token other than the rejected one."""
        with self._lock:
            # While this reader waited, another one may have been rejected and replaced it.
            if self._token is None or self._token == rejected:
                self._token = self._new_token(send)
            return self._token

    def _new_token(self, send: Callable[[TokenRequest], dict[str, Any]]) -> str:
        if self._refusal is not None:
            # Without its traceback, which would grow with every reader that meets the refusal.
            raise self._refusal.with_traceback(None)
        try:
            answer = send(self._request)
        except HotjarAuthError as error:
            self._refusal = error
            raise
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise HotjarSchemaError("access_token", "missing from the answer of the token endpoint")
        try:
            lifetime = float(answer.get("expires_in", DEFAULT_LIFETIME_SECONDS))
        except (TypeError, ValueError, OverflowError):
            lifetime = DEFAULT_LIFETIME_SECONDS
        margin = min(REFRESH_MARGIN_SECONDS, lifetime / 10)
        self._refresh_at = self._clock() + lifetime - margin
        return token
