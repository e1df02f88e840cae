"""Who may receive a request: the one place that decides where credentials go.

Every request has a recipient, and the transport asks it with the prepared request, which holds the
URL that is connected to, right before it is sent. Credentials (headers, the cookies of a login,
query parameters) exist only together with the one origin that may receive them.

| request | recipient | redirects |
|---|---|---|
| with credentials | the origin of the base URL, or of the endpoint the login named | within it |
| login | the origin of the configured login URL | none |
| a stream's GET that was redirected, if it allows that | as a download | as a download |
| download | any https host (http: this machine), without credentials | to such hosts |
"""

from contextlib import suppress
from dataclasses import dataclass, field

import requests

from hotjar_assets.api.auth import Credentials
from hotjar_assets.api.targets import Origin, origin_of, resolve


class ForeignOriginError(ValueError):
    """A URL names an origin that may not receive the request.

    Args:
        origin: The origin.
    """

    def __init__(self, origin: Origin) -> None:
        super().__init__(f"another host ({origin}), which gets no credentials")


class RedirectError(ValueError):
    """A redirect must not be followed."""


@dataclass(frozen=True)
class OwnHost:
    """The one origin that receives requests with these credentials.

    Attributes:
        origin: The origin.
        credentials: What is added to each request.
        elsewhere: Who a GET may be redirected to, without anything that it carried; None: nobody.
    """

    origin: Origin
    credentials: Credentials = field(default_factory=Credentials, repr=False)
    elsewhere: "AnySecureHost | None" = None

    def check(self, url: str) -> None:
        """Make sure that a URL may be requested.

        Raises:
            ForeignOriginError: It is of another origin.
            ValueError: The URL is invalid.
        """
        origin = origin_of(url)
        if origin != self.origin:
            raise ForeignOriginError(origin)

    def redirected(self, response: requests.Response) -> str:
        """Return the URL that an answer redirects to.

        Raises:
            ForeignOriginError: It is of another origin.
            RedirectError: Following it would drop the body of the request.
            ValueError: The URL is invalid or may not be followed.
        """
        url = resolve(_location(response), response.url)
        if self.elsewhere and response.request.method == "GET" and origin_of(url) != self.origin:
            self.elsewhere.check(url)
            return url
        self.check(url)
        keeps_method = response.status_code in {307, 308}
        if response.request.method != "GET" and not keeps_method:
            raise RedirectError("the redirect would drop the body")
        return url

    def after_redirect(self, url: str) -> "Recipient":
        """Return who receives the request that goes on at a URL."""
        return self.elsewhere if self.elsewhere and origin_of(url) != self.origin else self


@dataclass(frozen=True)
class LoginHost(OwnHost):
    """The one origin that receives the login, whose body holds the secret."""

    def redirected(self, response: requests.Response) -> str:  # noqa: ARG002
        """Refuse: a server that redirects a login must not choose who gets the secret."""
        raise RedirectError("the login was redirected, and a login is sent nowhere else")


@dataclass(frozen=True)
class AnySecureHost:
    """Any host over TLS, for a request without credentials.

    Attributes:
        allows_loopback: Whether hosts of this machine may be asked over http. Only where the API
            is on this machine: another API must not reach what listens here.
    """

    allows_loopback: bool
    credentials = Credentials()

    def check(self, url: str) -> None:
        """Make sure that a URL may be requested.

        Raises:
            ValueError: It is not https, or no URL.
        """
        origin = origin_of(url)
        if origin.scheme != "https" and not (self.allows_loopback and origin.is_loopback):
            raise ValueError("a URL that is not https")

    def resolve(self, named: object, base_url: str = "") -> str:
        """Return a URL that an answer names, made absolute; errors as in `check`."""
        url = resolve(named, base_url)
        self.check(url)
        return url

    def redirected(self, response: requests.Response) -> str:
        """Return the URL that an answer redirects to; errors as in `check`."""
        return self.resolve(_location(response), response.url)

    def after_redirect(self, url: str) -> "Recipient":  # noqa: ARG002
        """Return who receives the request that goes on at a URL."""
        return self


Recipient = OwnHost | AnySecureHost


def endpoint_of_login(endpoint: object, base_url: str, domain: str | None) -> str:
    """Return the base URL that a login's answer names, if it may get the token.

    Args:
        endpoint: What the answer holds.
        base_url: The configured base URL.
        domain: Domain of the hosts that may be named, besides the host of `base_url`.

    Raises:
        ValueError: It is neither https on a host under the domain, nor on the configured host.
    """
    url = resolve(endpoint, "")
    if not {"?", "#"}.isdisjoint(url):
        raise ValueError("a URL with a query or fragment")
    named, own = origin_of(url), origin_of(base_url)
    is_own = named.host == own.host and named.scheme in {"https", own.scheme}
    is_under = domain is not None and f".{named.host}".endswith(f".{domain}")
    if not is_own and not (is_under and named.scheme == "https"):
        raise ForeignOriginError(named)
    return url.rstrip("/")


def _location(response: requests.Response) -> str:
    location = response.headers.get("Location", "")
    # Headers are read as latin-1, and servers write UTF-8.
    with suppress(UnicodeError):
        return location.encode("latin-1").decode()
    return location
