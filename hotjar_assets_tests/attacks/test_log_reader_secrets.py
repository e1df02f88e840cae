"""Who reads logs and errors looks for secrets that a server has echoed, in whatever form.

`api/secrecy` covers them: once for all texts of an error, and in every logger of the libraries.
"""

import base64
import json
import logging
import math
import string
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import hypothesis
import pytest
from hypothesis import strategies as st

from hotjar_assets.api.auth import Credentials, FixedAuth, basic_auth
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.api.secrecy import redacted, shown_url
from hotjar_assets.api.transport import Transport
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarApiError, HotjarConfigError, HotjarSchemaError
from hotjar_assets_tests.api.model import FakeTime
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, json_reply, token_reply
from hotjar_assets_tests.attacks.raw_server import RawServer

KEY = "k3y/with+signs=é"


def lower_percent(text: str) -> str:
    return "".join(
        character if character in string.ascii_letters else quote(character, safe="").lower()
        for character in text
    )


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quote": lambda text: quote(text, safe=""),
    "quote-with-slash": quote,
    "quote-plus": quote_plus,
    "lower-case": lower_percent,
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every-byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "json": lambda text: json.dumps(text)[1:-1],
    "json-in-json": lambda text: json.dumps(json.dumps(text))[3:-3],
    "json-utf-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json-slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json-every-character": lambda text: "".join(
        f"\\u{unit:04X}" for unit in memoryview(text.encode("utf-16-le")).cast("H")
    ),
    "repr": lambda text: repr(text)[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
}


@pytest.mark.parametrize("name", FORMS)
@hypothesis.settings(max_examples=50)
@hypothesis.given(secret=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4))
@hypothesis.example(secret=KEY)
@hypothesis.example(secret="a b'\"\\")
def test_a_secret_is_covered_in_every_form(name, secret):
    hypothesis.assume(secret.strip())
    assert redacted(f"<<{FORMS[name](secret)}>>", (secret,)) == "<<…>>"


@hypothesis.given(
    before=st.binary(max_size=4), secret=st.text(string.printable, min_size=9), after=st.binary()
)
def test_a_secret_is_covered_in_base64_at_any_offset(before, secret, after):
    data = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = redacted(encode(data).decode(), (secret,))
        assert "…" in shown
        padded = shown.partition("…")[0]
        assert secret not in base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("latin-1")


@pytest.mark.parametrize(("secret", "text"), [("t", "http://host/t/text?t=t"), ("12", "120 s 12")])
def test_a_short_secret_hides_no_parts_of_words(secret, text):
    assert redacted(text, (secret,)) == text.replace("/t/", "/…/").replace("?t=t", "?…=…").replace(
        " 12", " …"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"https://host/a?key={KEY}", "https://host/a"),
        (f"https://host/a#{KEY}", "https://host/a"),
        (f"https://user:{quote(KEY, safe='')}@host/a", "https://host/a"),
        (f"https://host/{quote(KEY)}/b", "https://host/…/b"),
        (f"https://[{KEY}/b", "…"),
    ],
)
def test_a_url_is_shown_without_what_may_hold_a_secret(url, expected):
    assert shown_url(url, (KEY,)) == expected


# --- Through the transport -----------------------------------------------------------------------


def transport_to(url: str, auth: FixedAuth) -> Transport:
    time = FakeTime(step_seconds=61)
    return Transport(
        url,
        auth=auth,
        advice=HOTJAR.advice,
        pacer=Pacer(math.inf),
        sleep=time.sleep,
        clock=time.clock,
    )


ECHO = "sekr3t-key"
IN_BASE64 = base64.b64encode(f"id:{ECHO}".encode()).decode()
QUERY_KEY = FixedAuth(Credentials(params={"api_key": ECHO}), (ECHO,))


def everything_shown(error: HotjarApiError, caplog: pytest.LogCaptureFixture) -> str:
    shown = "\n".join(traceback.format_exception(error))
    return shown + repr(vars(error)) + repr(error.args) + caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=307, headers={"Location": f"http://{ECHO}.invalid/x"}),
        Reply(status=307, headers={"Location": f"http://{ECHO.upper()}.invalid/x"}),
        Reply(status=307, headers={"Location": f"/again#{ECHO}"}),
        Reply(status=307, headers={"Location": f"/{quote(ECHO)}/again"}),
        Reply(
            status=400, headers={"X-Request-Id": base64.b64encode(f"id:{ECHO}".encode()).decode()}
        ),
        Reply(b"x", headers={"Content-Type": f"text/{ECHO}"}),
        json_reply({ECHO: ECHO}),
    ],
    ids=["host", "host-in-capitals", "fragment", "path", "request-id", "type", "field"],
)
def test_no_error_shows_what_a_server_echoes(reply, caplog):
    caplog.set_level(logging.DEBUG)
    with ScriptedServer() as server:
        server.answers_always(reply)
        transport = transport_to(server.url, QUERY_KEY)
        with pytest.raises(HotjarApiError) as caught:
            transport.get("/v1/x", decode=_refuse)
        transport.close()
        assert server.sent[0].query == {"api_key": ECHO}
    shown = everything_shown(caught.value, caplog)
    assert ECHO not in shown.lower()
    assert IN_BASE64 not in shown


def _refuse(body: bytes) -> None:
    raise HotjarSchemaError(f"results.{body.decode()}", "is unknown")


def test_a_warning_of_urllib3_shows_neither_key_nor_traceback_with_it(caplog):
    """`urllib3.connection` logs the whole URL, with a traceback, when headers cannot be parsed."""
    caplog.set_level(logging.DEBUG)
    bad = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{ECHO} no colon\r\nX: 1\r\n\r\n{{}}".encode()
    with RawServer(lambda connection: connection.send(bad)) as server:
        transport = transport_to(server.url, QUERY_KEY)
        assert transport.get("/v1/x", decode=json.loads) == {}
        transport.close()
        assert f"api_key={ECHO}".encode() in server.received
    warned = [record for record in caplog.records if record.name == "urllib3.connection"]
    assert [record.levelname for record in warned] == ["WARNING"]
    assert "Failed to parse headers" in caplog.text
    assert ECHO not in caplog.text


def test_a_logger_that_urllib3_makes_later_is_filtered_too(caplog):
    caplog.set_level(logging.DEBUG)
    late = logging.getLogger("urllib3.made.later")

    def log(_sent: object) -> Reply:
        return json_reply({})

    def decode(body: bytes) -> bytes:
        late.warning("asked for /x?api_key=%s", ECHO, stack_info=True)
        return body

    with ScriptedServer() as server:
        server.answers_always(log)
        transport = transport_to(server.url, QUERY_KEY)
        transport.get("/v1/x", decode=decode)
        transport.close()
    assert "asked for /x?…" in caplog.text
    assert ECHO not in caplog.text


@pytest.mark.parametrize("encode", [str, lambda text: base64.b64encode(text.encode()).decode()])
def test_basic_credentials_are_covered_alone_and_together(encode):
    secrets = basic_auth("the-user-name", "pass word").secrets()
    for text in ("the-user-name", "pass word", "the-user-name:pass word"):
        assert text not in redacted(encode(text), secrets)
        assert base64.b64encode(text.encode()).decode() not in redacted(encode(text), secrets)


# --- Secrets that no request can hold ------------------------------------------------------------


@pytest.mark.parametrize("token", ["tokén-€-s3kr1t", "token\ns3kr1t", "token-s3kr1t ", "\ud800"])
def test_a_token_that_no_header_can_hold_is_named_and_not_quoted(token):
    login = HOTJAR.auth("client", "word", ("1",), lambda: 0.0)
    with ScriptedServer() as server:
        server.grants([token_reply(token)])
        transport = transport_to(server.url, login)  # type: ignore[arg-type]
        with pytest.raises(
            HotjarSchemaError, match="token in the login's answer: holds a"
        ) as caught:
            transport.get("/v1/x", decode=bytes.decode)
        transport.close()
        assert [sent.path for sent in server.sent] == ["/v1/oauth/token"]
    shown = "\n".join(traceback.format_exception(caught.value))
    assert "s3kr1t" not in shown
    assert "€" not in shown


@pytest.mark.parametrize("name", ["client_id", "client_secret", "email", "password"])
def test_a_setting_that_no_request_can_hold_is_named_and_not_quoted(name):
    with pytest.raises(HotjarConfigError, match=f"HOTJAR_{name.upper()}: holds a") as caught:
        Settings.parse({name: "sekret\nword"}, needs_account=False)
    assert "sekret" not in str(caught.value)
