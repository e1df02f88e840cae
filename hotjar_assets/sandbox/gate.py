"""Which requests the sandbox takes at all: none that a page in a browser could send by itself.

A page of any site can post to 127.0.0.1, and by DNS rebinding it can also read the answers. Such a
request names another host in `Host`, another origin in `Origin`, or says in `Sec-Fetch-Site` that
it comes from elsewhere. Every request passes here, whatever its method and path.

Sources: https://fetch.spec.whatwg.org/#origin-header and https://www.w3.org/TR/fetch-metadata/
(read on 2026-11-28).
"""

import asyncio
import ipaddress
from collections.abc import Sequence

from starlette.types import Message, Receive, Scope

from hotjar_assets.sandbox.limits import (
    MAX_BODY_BYTES,
    MAX_BODY_SECONDS,
    MAX_HEADER_BYTES,
    MAX_TARGET_BYTES,
)

_OWN_SITES = frozenset({b"same-origin", b"none"})


class RefusedError(Exception):
    """The request is not taken.

    Args:
        status: The HTTP status of the answer.
        reason: Why, and what would be taken; repeats nothing of the request.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Gate:
    """Takes requests that name the server by its own address."""

    def __init__(self, host: str) -> None:
        """Take `host`, and the names of this machine.

        Args:
            host: The address the server was bound to.
        """
        bound = f"[{host}]" if ":" in host else host
        self._names = {"127.0.0.1", "localhost", "[::1]", bound.lower()}
        # Bound to every address of the machine, it is reached by any of them: but not by a name,
        # which is what rebinding needs.
        self._takes_any_address = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    def check(self, scope: Scope) -> None:
        """Look at the target and the headers.

        Raises:
            RefusedError: The request is not for this server, comes from a page, or is too long.
        """
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            raise RefusedError(414, f"path and query are longer than {MAX_TARGET_BYTES} bytes")
        if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
            raise RefusedError(431, f"the headers are longer than {MAX_HEADER_BYTES} bytes")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_own(hosts[0].decode("latin-1"), scope["server"][1]):
            port = scope["server"][1]
            raise RefusedError(421, f"the Host header must name this server: 127.0.0.1:{port}")
        for name, value in headers:
            if name == b"origin" and value.lower() != b"http://" + hosts[0].lower():
                raise RefusedError(403, "requests of web pages are not taken (Origin)")
            if name == b"sec-fetch-site" and value.lower() not in _OWN_SITES:
                raise RefusedError(403, "requests of web pages are not taken (Sec-Fetch-Site)")

    def _is_own(self, host: str, port: int) -> bool:
        name, _, given_port = host.rpartition(":")
        if given_port != str(port):
            return False
        return name.lower() in self._names or (self._takes_any_address and _is_address(name))


async def read_body(receive: Receive) -> bytes:
    """Read the body of a request.

    Raises:
        RefusedError: It is too long, or takes too long to arrive.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MAX_BODY_BYTES:
                    raise RefusedError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise RefusedError(408, f"the body took longer than {MAX_BODY_SECONDS:g} s") from None
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read once more, and then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
