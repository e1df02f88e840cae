"""The API, or who sits between, tries to hold a sync for ever.

Each answer here goes on without an end and without ever being silent for as long as a timeout.
One deadline for the whole exchange holds, because it closes the socket from outside.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hotjar_assets.api.auth import Auth, ClientCredentials, Credentials, FixedAuth, Login
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.api.transport import Transport
from hotjar_assets.errors import HotjarApiError, HotjarTransportError
from hotjar_assets_tests.api.model import FakeTime
from hotjar_assets_tests.attacks.raw_server import Connection, RawServer

EXCHANGE_SECONDS = 0.3
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def then(begin: bytes, again: bytes) -> Callable[[Connection], None]:
    def script(connection: Connection) -> None:
        connection.send(begin)
        connection.drip(again)

    return script


def flood(begin: bytes, again: bytes) -> Callable[[Connection], None]:
    def script(connection: Connection) -> None:
        connection.send(begin)
        connection.flood(again)

    return script


SCRIPTS = {
    "status-line": then(b"HTTP/1.1 200 ", b"O"),
    "header": then(HEAD + b"X-Slow: ", b"a"),
    "headers": then(HEAD, b"X-Slow: a\r\n"),
    "100-continue": then(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100-continue-fast": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "103-early-hints": then(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "chunk-extension": then(CHUNKED + b"1;", b"a"),
    "chunk-size": then(CHUNKED, b"0"),
    "chunks": then(CHUNKED, b"1\r\n \r\n"),
    "trailers": then(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Slow: a\r\n"),
    "trailers-fast": flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Slow: a\r\n" * 100),
    "length": then(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "until-close": then(HEAD + b"Connection: close\r\n\r\n{}", b" "),
    "gzip": then(HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n", b"\x1f\x8b\x08"),
    "error-body": then(b"HTTP/1.1 418 No\r\nContent-Length: 100000\r\n\r\n", b" "),
}
ENDS_OTHERWISE = {"headers", "100-continue-fast", "103-early-hints", "gzip", "error-body"}
"""May end sooner: more headers than HTTP libraries take, no gzip, a status that says enough."""


@contextmanager
def transport_to(url: str, auth: Auth | None = None) -> Iterator[Transport]:
    # Every look at the clock takes a minute, so that nothing is tried twice.
    time = FakeTime(step_seconds=61)
    transport = Transport(
        url,
        auth=auth or FixedAuth(Credentials({"Authorization": "Bearer word"}), ("word",)),
        advice=HOTJAR.advice,
        pacer=Pacer(math.inf),
        sleep=time.sleep,
        clock=time.clock,
        exchange_seconds=EXCHANGE_SECONDS,
    )
    try:
        yield transport
    finally:
        transport.close()


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_endless_answer_is_given_up(name):
    with RawServer(SCRIPTS[name]) as server, transport_to(server.url) as transport:
        with pytest.raises(HotjarApiError) as caught:
            transport.get("/v1/x", decode=bytes.decode)
        assert server.received.startswith(b"GET /v1/x HTTP/1.1\r\n")
        assert len(server.connections) == 1
    if name not in ENDS_OTHERWISE:
        assert isinstance(caught.value, HotjarTransportError)
        assert f"took longer than {EXCHANGE_SECONDS} s" in str(caught.value)


@pytest.mark.parametrize("name", ["header", "100-continue", "chunk-extension"])
def test_an_endless_answer_to_the_login_is_given_up(name):
    login = Login("/v1/oauth/token", form={"client_secret": "word"})
    auth = ClientCredentials(login, secret="word", refused="no")
    with (
        RawServer(SCRIPTS[name]) as server,
        transport_to(server.url, auth) as transport,
        pytest.raises(HotjarTransportError, match="took longer"),
    ):
        transport.authenticate()


@pytest.mark.parametrize("name", ["header", "length", "until-close"])
def test_an_endless_download_is_given_up(name, monkeypatch):
    monkeypatch.setattr("hotjar_assets.api.transport.MAX_DOWNLOAD_SECONDS", EXCHANGE_SECONDS)
    with (
        RawServer(SCRIPTS[name]) as server,
        transport_to(server.url) as transport,
        pytest.raises(HotjarTransportError, match="took longer"),
    ):
        transport.download(f"{server.url}/file", io.BytesIO())


def test_an_endless_tls_handshake_is_given_up(monkeypatch):
    """Its bytes come before any header; the timeout of connecting holds for all of it."""
    monkeypatch.setattr("hotjar_assets.api.transport.CONNECT_TIMEOUT_SECONDS", EXCHANGE_SECONDS)
    with RawServer(then(b"\x16\x03\x03\x40\x00", b"\x02"), reads_request=False) as server:
        url = server.url.replace("http:", "https:")
        with transport_to(url) as transport, pytest.raises(HotjarTransportError):
            transport.get("/v1/x", decode=bytes.decode)


def test_an_endless_answer_of_a_proxy_is_given_up(monkeypatch):
    with RawServer(then(b"HTTP/1.1 5", b"0")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            transport_to("https://api.invalid") as transport,
            pytest.raises(HotjarTransportError, match="took longer"),
        ):
            transport.get("/v1/x", decode=bytes.decode)
        assert proxy.received.startswith(b"CONNECT api.invalid:443")
