"""Where a request goes: its URL, and the hosts that may get credentials or a redirected request."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests

from hotjar_assets.api.refusals import Advice
from hotjar_assets.config import is_loopback
from hotjar_assets.errors import HotjarStatusError


def join(base_url: str, path: str) -> str:
    """Return the URL of a path; of one that is a URL itself, that."""
    return path if "://" in path.partition("?")[0] else base_url + path


def with_query(url: str, params: Mapping[str, str | int]) -> str:
    """Return the URL with these parameters, in place of those of the same names."""
    if not params:
        return url
    bare, _, query = url.partition("#")[0].partition("?")
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in params]
    return f"{bare}?{urlencode([*kept, *params.items()])}"


def is_secure(url: str) -> bool:
    """Tell whether a URL is of https, or of this machine."""
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and is_loopback(str(host))))


def _redirect_target(response: requests.Response) -> str:
    try:
        target = urljoin(response.url, response.headers["Location"])
        origin(target)
    except ValueError:
        raise HotjarStatusError("redirected to nowhere", status=response.status_code) from None
    return target


def secure_target(response: requests.Response) -> str:
    """Return where an answer redirects to.

    Raises:
        HotjarStatusError: To nowhere, or to what is neither https nor this machine.
    """
    target = _redirect_target(response)
    if not is_secure(target):
        what = "the download was redirected to a URL that is not https"
        raise HotjarStatusError(what, status=response.status_code)
    return target


def own_target(response: requests.Response, advice: Advice) -> str:
    """Return where an answer redirects to, on the host it came from.

    Raises:
        HotjarStatusError: To nowhere or another host, or in a way that drops the request's body.
    """
    target = _redirect_target(response)
    here, there = origin(response.url), origin(target)
    if here != there:
        scheme, host, port = there
        what = (
            f"redirected to another host ({scheme}://{host}:{port}), which gets no credentials; "
            f"check {advice.url_setting}"
        )
        raise HotjarStatusError(what, status=response.status_code)
    keeps_method = response.status_code in {307, 308}
    if response.request.method != "GET" and not keeps_method:
        raise HotjarStatusError("the redirect would drop the body", status=response.status_code)
    return target


_PLAIN_URL = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", re.ASCII | re.IGNORECASE)


def may_get_credentials(endpoint: object, base_url: str, domain: str | None) -> bool:
    """Tell whether credentials for `base_url` may go to an endpoint that an answer named."""
    # Whatever else could be read in two ways is refused with the rest.
    if not isinstance(endpoint, str) or not _PLAIN_URL.fullmatch(endpoint):
        return False
    try:
        scheme, host, _ = origin(endpoint)
    except ValueError:
        return False
    here_scheme, here, _ = origin(base_url)
    if host == here:
        return scheme in {"https", here_scheme}
    return scheme == "https" and domain is not None and f".{host}".endswith(f".{domain}")


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: who gets what is sent to a URL.

    Raises:
        ValueError: It is no URL.
    """
    parts = urlsplit(url)
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default_port
