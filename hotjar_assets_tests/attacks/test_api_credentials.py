r"""The API, or who sits between, names a URL so that credentials go to another host.

A URL such as `http://evil\@api/` is one host to one parser and another to the next. What holds is
`api/recipients`: the URL that is really sent decides, in one place. The hosts here listen, so that
a test sees who was connected to and not what a parser thinks.
"""

import io
import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import hypothesis
import pytest
from hypothesis import strategies as st

from hotjar_assets.api.auth import Auth, ClientCredentials, Credentials, FixedAuth, Login
from hotjar_assets.api.dialects import CONTENTSQUARE, HOTJAR
from hotjar_assets.api.insights import InsightsLogin
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.api.targets import origin_of
from hotjar_assets.api.transport import Transport
from hotjar_assets.errors import HotjarApiError
from hotjar_assets.streams.paging import next_cursor
from hotjar_assets.streams.spec import LinkPagination, Stream
from hotjar_assets_tests.attacks.raw_server import Connection, RawServer
from hotjar_assets_tests.conftest import NetworkBlockedError

WORD = "the-secret-word"
OWN, EVIL = "127.0.0.1", "127.0.0.2"
ADDRESSES = {OWN: OWN, EVIL: EVIL, "localhost": OWN, "[::ffff:127.0.0.2]": EVIL}


class Api:
    """Two servers on one port, the API's and a stranger's; both answer with `reply`.

    Attributes:
        reply: What is sent to each request; the API's own, once.
    """

    def __init__(self) -> None:
        self.reply = b""
        self.own = RawServer(self._answer_once, host=OWN)
        self.evil = RawServer(self._answer, host=EVIL, port=self.own.port)
        self._answers = 0

    def name(self, reply: bytes) -> None:
        """Answer the next request to the API with this, and all others with an object."""
        self.reply = reply
        self._answers = 0
        for server in (self.own, self.evil):
            server.connections.clear()

    def _answer_once(self, connection: Connection) -> None:
        self._answers += 1
        if self._answers == 1:
            connection.send(self.reply)
        else:
            self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        connection.send(answer(b"{}"))


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with ExitStack() as stack:
        made = Api()
        stack.enter_context(made.own)
        stack.enter_context(made.evil)
        yield made


@contextmanager
def transport_to(url: str, auth: Auth | None = None, **options: object) -> Iterator[Transport]:
    transport = Transport(
        url,
        auth=auth or FixedAuth(Credentials({"Authorization": f"Bearer {WORD}"}), (WORD,)),
        advice=HOTJAR.advice,
        pacer=Pacer(math.inf),
        sleep=_give_up,
        **options,  # type: ignore[arg-type]
    )
    try:
        yield transport
    finally:
        transport.close()


class _GaveUpError(HotjarApiError):
    pass


def _give_up(_seconds: float) -> None:
    raise _GaveUpError("one try is enough")


# --- Generated URLs ----------------------------------------------------------------------------

_HOSTS = st.sampled_from(
    [
        OWN,
        EVIL,
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "127.0.0.1.",
        "127.0.0.2.",
        "127.2",
        "2130706434",
        "0x7f000002",
        "127\u30020\u30020\u30022",
        "\uff11\uff12\uff17.0.0.2",
        "127.0.0.%32",
        "%31%32%37.0.0.2",
        "",
    ]
)
_GLUE = st.sampled_from(
    [
        *("\\", "\\\\", "/", "//", "@", "user:word@", "#", "?", ":", ";", "&", "[", "]", ".."),
        *("%5c", "%40", "%2f", "%23", "%3f"),
        *("\t", "\n", "\r", "\x00", "\x0b", "\x7f", "\x85", "\xa0", "\u202e", " "),
    ]
)
_SCHEMES = st.sampled_from(
    ["http:", "HTTP:", "hTtp:", "http", "https:", "", "ftp:", "file:", "http:http:", "javascript:"]
)
_SLASHES = st.sampled_from(["//", "///", "/", "\\\\", "/\\", "\\/", "", "//\\", "/ /", "/\t/"])
_PARTS = st.lists(st.one_of(_GLUE, _HOSTS), max_size=3).map("".join)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """Build a URL in which several hosts could be read; `{port}` is the port of both servers."""
    port = draw(st.sampled_from([":{port}", ":{port}", ":0{port}", "", ":80:{port}", ":{port}@"]))
    if draw(st.booleans()):
        host = draw(st.sampled_from([OWN, EVIL, "localhost", "[::ffff:127.0.0.2]"]))
        return f"http://{host}:{{port}}" + draw(st.sampled_from(["/", "?", "#"])) + draw(_PARTS)
    plain = draw(st.booleans())
    begin = "http://" if plain else draw(_SCHEMES) + draw(_SLASHES)
    before, after = ("" if plain else draw(_PARTS)), draw(_PARTS)
    authority = before + draw(_HOSTS) + port + after
    if draw(st.booleans()):
        authority += draw(_GLUE) + draw(_HOSTS) + ":{port}"
    return begin + authority + draw(st.sampled_from(["/x", "", "?a"]))


def bytes_of(url: str) -> str:
    """Return a URL as it stands in a header: its UTF-8, which is read as latin-1."""
    return url.encode("utf-8", "replace").decode("latin-1")


@hypothesis.settings(
    max_examples=100, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(urls=urls())
@hypothesis.example(urls="http://127.0.0.2:{port}\\@127.0.0.1:{port}/x")
@hypothesis.example(urls="\\\\127.0.0.2:{port}/x")
@hypothesis.example(urls="http:\\\\127.0.0.2:{port}/x")
@hypothesis.example(urls="//127.0.0.2:{port}\\@127.0.0.1:{port}/x")
@hypothesis.example(urls="http://127.0.0.1:{port}@127.0.0.2:{port}/x")
@hypothesis.example(urls="http://127.0.0.2:{port}#@127.0.0.1:{port}/x")
def test_no_url_that_an_answer_names_takes_credentials_elsewhere(api, urls, blocked_attempts):
    url = urls.replace("{port}", str(api.own.port))
    in_header = bytes_of(url)
    for way in (redirected, linked_in_header, linked_in_body, redirected_login, endpoint_of_login):
        with transport_to(api.own.url) as transport:
            way(api, transport, url, in_header)
        assert WORD.encode() not in api.evil.received, way.__name__
        assert api.evil.connections == [], way.__name__
    assert blocked_attempts == []


def redirected(api: Api, transport: Transport, url: str, in_header: str) -> None:
    del url
    api.name(answer(b"", "307 Moved", Location=_one_line(in_header)))
    with _ignoring_errors():
        transport.get("/v1/x", decode=json.loads)
    assert api.own.connections[0].received.count(WORD.encode()) == 1


def linking(selector: str | None = None) -> Stream:
    """Return a stream whose pages are links."""
    return Stream(name="x", path="/x", pagination=LinkPagination(type="link", selector=selector))


def linked_in_header(api: Api, transport: Transport, url: str, in_header: str) -> None:
    del url
    api.name(answer(b"{}", Link=f'<{_one_line(in_header)}>; rel="next"'))
    _follow(transport, linking())


def linked_in_body(api: Api, transport: Transport, url: str, in_header: str) -> None:
    del in_header
    api.name(answer(json.dumps({"next": url}).encode()))
    _follow(transport, linking(selector="$.next"))


def redirected_login(api: Api, transport: Transport, url: str, in_header: str) -> None:
    del url
    base_url = transport._base_url
    form = Login("/v1/oauth/token", form={"client_secret": WORD})
    for auth in (ClientCredentials(form, secret=WORD, refused="no"), InsightsLogin("a@b.c", WORD)):
        api.name(answer(b"", "307 Moved", Location=_one_line(in_header)))
        with transport_to(base_url, auth) as login, pytest.raises(HotjarApiError):
            login.authenticate()
        assert len(api.own.connections) == 1


def endpoint_of_login(api: Api, transport: Transport, url: str, in_header: str) -> None:
    del in_header
    auth = CONTENTSQUARE.auth("client", WORD, ("1",), lambda: 0.0)
    told = {"access_token": WORD, "endpoint": url}
    api.name(answer(json.dumps(told).encode()))
    with (
        transport_to(transport._base_url, auth, domain=CONTENTSQUARE.domain) as login,
        _ignoring_errors(),
    ):
        login.get("/v1/x", decode=json.loads)


def _follow(transport: Transport, stream: Stream) -> None:
    with _ignoring_errors():
        cursor = transport.read(
            "/v1/x",
            lambda got: next_cursor(
                stream, None, document=json.loads(got.body), rows=1, answer=got
            ),
        )
        if cursor is not None:
            transport.get(cursor, decode=json.loads)


@contextmanager
def _ignoring_errors() -> Iterator[None]:
    """Let a request fail as it likes: the listening servers say what happened.

    A name that would have to be looked up, as `2130706434`, is not reached in a test.
    """
    try:
        yield
    except NetworkBlockedError:
        return
    except HotjarApiError as error:
        if WORD in str(error):
            raise


def _one_line(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")


@hypothesis.settings(
    max_examples=300, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(urls=urls())
@hypothesis.example(urls="http://127.0.0.2:{port}\\@127.0.0.1:{port}/x")
def test_the_host_that_is_connected_to_is_the_host_that_was_approved(api, urls, blocked_attempts):
    """A download may go to any host, so that every URL that is approved is really requested."""
    url = urls.replace("{port}", str(api.own.port))
    api.name(answer(b"{}"))
    with transport_to(api.own.url) as transport, _ignoring_errors():
        try:
            approved = origin_of(transport.download_hosts.resolve(url))
        except ValueError:
            hypothesis.event("refused")
            return
        hypothesis.event("approved")
        transport.download(url, io.BytesIO())
    reached = {server.host for server in (api.own, api.evil) if server.connections}
    if approved.port == api.own.port and not blocked_attempts:
        assert reached == {ADDRESSES[approved.host]}
    else:
        assert reached == set()
    assert WORD.encode() not in api.own.received + api.evil.received
    blocked_attempts.clear()
