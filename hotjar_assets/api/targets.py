"""URLs of requests: how they are put together, and which host each of them reaches.

Who may receive a request is decided in `recipients`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from hotjar_assets.config import is_loopback

_INVALID = "an invalid URL"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Who receives what is sent to a URL; the host is in lower case and ASCII."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return the beginning of a URL."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host.strip("[]"))


@lru_cache(maxsize=256)
def origin_of(url: str) -> Origin:
    """Return the origin that a request to a URL is sent to.

    The URL is normalized as requests does before it sends one, and parsed by urllib3, which
    connects. The standard library must read the same host in it: requests asks both.

    Raises:
        ValueError: The URL is not http or https, or the two parsers disagree.
    """
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
        parsed, again = parse_url(str(prepared.url)), urlsplit(str(prepared.url))
        default_port = _DEFAULT_PORTS[str(parsed.scheme)]
        port = parsed.port or default_port
        origin = Origin(str(parsed.scheme), str(parsed.host), port)
        other = (again.scheme, again.hostname, again.port or port)
    except (requests.RequestException, LocationValueError, ValueError, KeyError):
        # The texts of these errors quote the URL.
        raise ValueError(_INVALID) from None
    if not parsed.host or other != (origin.scheme, origin.host.strip("[]"), origin.port):
        raise ValueError(_INVALID)
    return origin


def resolve(named: object, base_url: str) -> str:
    r"""Return the URL that an answer names, made absolute.

    Args:
        named: What stands in the answer.
        base_url: Where the answer came from.

    Raises:
        ValueError: The URL is invalid, or parsers may disagree about it: it holds a backslash,
            a control character or user info (`user:password@`).
    """
    if not isinstance(named, str) or not named.isprintable() or "\\" in named:
        raise ValueError("an invalid URL (it holds a backslash or a control character)")
    try:
        url = urljoin(base_url, named)
        has_user_info = "@" in urlsplit(url).netloc
    except ValueError:
        raise ValueError(_INVALID) from None
    if has_user_info:
        raise ValueError("a URL with user info")
    origin_of(url)
    return url


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
