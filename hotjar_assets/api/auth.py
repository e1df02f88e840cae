"""How requests prove who asks: getting credentials, keeping them, replacing them.

Knows tokens and nothing of pages or retries. The transport sends the login request.
"""

import base64
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotjar_assets.errors import HotjarApiError, HotjarAuthError, HotjarSchemaError

DEFAULT_LIFETIME_SECONDS = 3600.0
"""Documented lifetime, for an answer that does not say.

Source: help.hotjar.com "Hotjar API Reference", read 2026-11-20.
"""
REFRESH_MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class Login:
    """`POST path` with a form-encoded or a JSON body, and headers.

    Attributes:
        path: Below the base URL; or a URL, on any host.
        form: The form.
        json: The JSON.
        headers: Further headers.
        refusals: Statuses that say that the credentials will not do.
        needs_json: Whether an answer that is no JSON object is malformed; else it has no fields.
    """

    path: str
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Mapping[str, object] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    refusals: frozenset[int] = frozenset({400, 401, 403})
    needs_json: bool = True


@dataclass(frozen=True)
class LoginAnswer:
    """What a login was answered.

    Attributes:
        fields: The fields of its JSON.
        cookies: The cookies it set.
        url: Where it was sent, as it may be shown.
    """

    fields: Mapping[str, Any] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    url: str = ""


@dataclass(frozen=True)
class Credentials:
    """What is added to every request, and where the login said that requests go.

    Attributes:
        headers: Headers to send.
        params: Query parameters to send.
        endpoint: Base URL that the login's answer named, unchecked; None if it named none.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint: object = None


SendLogin = Callable[[Login], LoginAnswer]


def check_header_value(value: str) -> str:
    """Return a text that a header can hold as it is.

    Raises:
        ValueError: It cannot; the text is not quoted.
    """
    if not value.isprintable() or value != value.strip():
        raise ValueError("holds a line break, a control character or a blank at an end")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        # Its own text quotes the value.
        raise ValueError("holds a character that no header can hold (not in latin-1)") from None
    return value


class Auth(Protocol):
    """One way to prove who asks; safe under threads."""

    refused: str
    """What it means that a login was refused, and what to do."""

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""

    def credentials(self, send: SendLogin) -> Credentials:
        """Return what is valid now, through `send` if there must be a login."""

    def renew(self, rejected: Credentials, send: SendLogin) -> Credentials | None:
        """Return credentials other than the rejected ones; None if there are no others."""

    def may_have_expired(self, rejected: Credentials) -> bool:
        """Tell whether a 403 may mean that these credentials have expired."""


class FixedAuth:
    """The same credentials for every request; when they are rejected there are no others.

    Args:
        credentials: What every request carries.
        secrets: What of it must never be shown.
    """

    refused = "nothing is logged in"

    def __init__(
        self, credentials: Credentials = Credentials(), secrets: tuple[str, ...] = ()
    ) -> None:
        self._credentials = credentials
        self._secrets = secrets

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        return self._secrets

    def credentials(self, _send: SendLogin) -> Credentials:
        """Return the credentials."""
        return self._credentials

    def renew(self, _rejected: Credentials, _send: SendLogin) -> None:
        """Return none."""

    def may_have_expired(self, _rejected: Credentials) -> bool:
        """Return false: there are no others."""
        return False


def basic_auth(username: str, password: str = "") -> FixedAuth:
    """Return HTTP Basic; many an API has its key for a username, so that both are secrets."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    credentials = Credentials(headers={"Authorization": f"Basic {pair}"})
    return FixedAuth(credentials, (username, password, pair))


class TokenAuth(ABC):
    """One token for all readers of an account; safe under threads.

    The token is asked for when first needed, replaced shortly before it expires, and replaced once
    more when the API rejects it (`renew`). A refusal of the login is final and remembered: asking
    again with the same credentials cannot help and may lock the account.

    Args:
        clock: Seconds on a clock that never goes backwards.
    """

    refused = "the login was refused; check the credentials"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh_at = 0.0
        self._issued_at = 0.0
        self._has_lifetime = True
        self._is_renewal = False
        self._refusal: HotjarAuthError | None = None

    @abstractmethod
    def _login(self) -> Login:
        """Return the request that asks for a token."""

    @abstractmethod
    def _token_of(self, answer: LoginAnswer) -> tuple[str, float]:
        """Return the token of an answer and its lifetime in seconds.

        Raises:
            HotjarSchemaError: There is none.
            HotjarAuthError: There is none because the login was refused.
        """

    @abstractmethod
    def _credentials(self, token: str) -> Credentials:
        """Return what a request with this token carries."""

    def secrets(self) -> tuple[str, ...]:
        """Return the token, if there is one; a subclass adds what it logs in with."""
        return (self._token,) if self._token else ()

    def credentials(self, send: SendLogin) -> Credentials:
        """Return credentials that are valid now.

        Raises:
            HotjarAuthError: The login was refused.
        """
        with self._lock:
            if self._token is None or self._clock() >= self._refresh_at:
                self._token = self._new_token(send)
                self._is_renewal = False
            return self._credentials(self._token)

    def renew(self, rejected: Credentials, send: SendLogin) -> Credentials | None:
        """Return credentials other than the rejected ones."""
        with self._lock:
            # While this reader waited, another one may have been rejected and replaced it.
            if self._token is None or self._credentials(self._token) == rejected:
                self._token = self._new_token(send)
                self._is_renewal = True
            return self._credentials(self._token)

    def may_have_expired(self, rejected: Credentials) -> bool:
        """Tell whether a 403 may mean that these credentials have expired.

        A token whose lifetime is known does not expire unnoticed. A new one may be one that the API
        keeps and gave before; the one that replaced it, while it is new, was refused for another
        reason.
        """
        with self._lock:
            is_new = self._clock() - self._issued_at < REFRESH_MARGIN_SECONDS
            is_replaced = self._token is not None and self._credentials(self._token) != rejected
            return not self._has_lifetime and (is_replaced or not (self._is_renewal and is_new))

    def _new_token(self, send: SendLogin) -> str:
        if self._refusal is not None:
            # Without its traceback, which would grow with every reader that meets the refusal.
            raise self._refusal.with_traceback(None)
        try:
            answer = send(self._login())
            try:
                token, lifetime = self._token_of(answer)
                check_header_value(token)
            except HotjarApiError as error:
                raise error.locate(method="POST", url=answer.url) from None
            except ValueError as error:
                unusable = HotjarSchemaError("the token in the login's answer", str(error))
                raise unusable.locate(method="POST", url=answer.url) from None
        except HotjarAuthError as error:
            self._refusal = error
            raise
        margin = min(REFRESH_MARGIN_SECONDS, lifetime / 10)
        self._issued_at = self._clock()
        self._refresh_at = self._issued_at + lifetime - margin
        return token


class ClientCredentials(TokenAuth):
    """The OAuth 2 client credentials grant.

    Args:
        login: The request for a token; its body holds the secret.
        secret: The client secret.
        refused: What a refusal means.
        endpoint_field: Field of the answer that names the base URL of all other requests, on a
            platform that has one.
        clock: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self,
        login: Login,
        *,
        secret: str,
        refused: str,
        endpoint_field: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock=clock)
        self._request = login
        self._secret = secret
        self.refused = refused
        self._endpoint_field = endpoint_field
        self._endpoint: object = None

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        return (self._secret, *super().secrets())

    def _login(self) -> Login:
        return self._request

    def _credentials(self, token: str) -> Credentials:
        return Credentials({"Authorization": f"Bearer {token}"}, endpoint=self._endpoint)

    def _token_of(self, answer: LoginAnswer) -> tuple[str, float]:
        token = answer.fields.get("access_token")
        if not isinstance(token, str) or not token:
            raise HotjarSchemaError("access_token", "missing from the answer of the token endpoint")
        try:
            lifetime = float(answer.fields["expires_in"])
            self._has_lifetime = True
        except (KeyError, TypeError, ValueError, OverflowError):
            lifetime = DEFAULT_LIFETIME_SECONDS
            self._has_lifetime = False
        if self._endpoint_field:
            self._endpoint = answer.fields.get(self._endpoint_field) or None
        return token, lifetime
