"""A web page in the user's browser sends requests to the sandbox, also by DNS rebinding.

Every request passes `sandbox/gate.py`, which takes only those that name the server and come from no
page. What another program of the machine may ask for is bounded by `sandbox/limits.py`.
"""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.sandbox import SandboxAccount, SandboxServer
from hotjar_assets.sandbox import gate as gate_module
from hotjar_assets.sandbox.gate import Gate, RefusedError
from hotjar_assets.sandbox.limits import (
    MAX_ADDED_BYTES,
    MAX_BODY_BYTES,
    MAX_FAULTS,
    MAX_KEPT_BYTES,
    MAX_RESPONSES,
    MAX_SURVEYS,
    MAX_TARGET_BYTES,
    RESPONSE_BYTES,
)
from hotjar_assets.sandbox.wire import ReceivedRequest, RequestLog

FAULT = {"kind": "500"}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    account = SandboxAccount.empty()
    account.add_survey("Small", survey_id="s1", responses=3)
    with SandboxServer(account) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> Iterator[SandboxServer]:
    running.clear_requests()
    yield running
    running.faults.clear()


def port_of(server: SandboxServer) -> int:
    return int(str(urlsplit(server.url).port))


def ask(
    server: SandboxServer,
    method: str,
    path: str,
    body: bytes | None = None,
    **headers: Any,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request with exactly these headers; `Host` is the server's unless given."""
    given = {"Host": f"127.0.0.1:{port_of(server)}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, answer.read()
    finally:
        connection.close()


def post(
    server: SandboxServer, path: str, body: Any, method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    status, _, answer = ask(server, method, f"/_sandbox/{path}", json.dumps(body).encode())
    return status, json.loads(answer)


# --- Another host --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}0",
        "127.0.0.1.evil.example:{port}",
        "localhost.:{port}",
        "evil.example@127.0.0.1:{port}",
        "127.0.0.1:{port}@evil.example",
        "127.0.0.2:{port}",
        "2130706433:{port}",
        "0.0.0.0:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "127.0.0.1:{port} ,evil",
        "",
        None,
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_sandbox/requests"), ("POST", "/_sandbox/faults"), ("POST", "/v1/oauth/token")],
)
def test_a_request_that_names_another_host_changes_nothing(server, method, path, host):
    named = None if host is None else host.format(port=port_of(server))
    status, _, body = ask(server, method, path, json.dumps(FAULT).encode(), Host=named)
    assert status in {400, 421}
    assert not server.requests
    assert len(server.faults) == 0
    assert b"evil" not in body


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/v1/sites/1/surveys", "/_sandbox/faults", "//x", "/%2e/"])
def test_no_method_and_no_path_goes_past_the_gate(server, method, path):
    assert ask(server, method, path, Host=f"rebound.example:{port_of(server)}")[0] == 421
    assert not server.requests


def test_two_hosts_are_refused(server):
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as sock:
        own = f"127.0.0.1:{port_of(server)}"
        sock.sendall(f"GET /v1/x HTTP/1.1\r\nHost: {own}\r\nHost: evil\r\n\r\n".encode())
        assert sock.recv(100).split()[1] in {b"400", b"421"}
    assert not server.requests


def test_a_whole_url_as_target_is_judged_by_its_host_header(server):
    path = "http://evil.example/_sandbox/requests"
    assert ask(server, "GET", path, Host="evil.example")[0] in {400, 421}


def test_the_old_http_without_a_host_is_refused(server):
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as sock:
        sock.sendall(b"GET /_sandbox/requests HTTP/1.0\r\n\r\n")
        assert sock.recv(100).split()[1] in {b"400", b"421"}


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_are_taken(server, name):
    assert ask(server, "GET", "/_sandbox/faults", Host=f"{name}:{port_of(server)}")[0] == 200


@pytest.mark.parametrize(
    ("bound", "host", "is_taken"),
    [
        ("0.0.0.0", "192.0.2.7:80", True),  # noqa: S104 - compared, never bound
        ("0.0.0.0", "rebound.example:80", False),  # noqa: S104 - the same
        ("::", "[2001:db8::1]:80", True),
        ("192.0.2.7", "192.0.2.8:80", False),
        ("sandbox", "sandbox:80", True),
        ("::1", "[::1]:80", True),
    ],
)
def test_a_server_for_other_machines_is_named_by_its_address_too(bound, host, is_taken):
    scope = {
        "headers": [(b"host", host.encode())],
        "server": (bound, 80),
        "raw_path": b"/",
        "query_string": b"",
    }
    if is_taken:
        Gate(bound).check(scope)
        return
    with pytest.raises(RefusedError):
        Gate(bound).check(scope)


# --- A page --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:{port}.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_sandbox/faults"),
        ("DELETE", "/_sandbox/faults"),
        ("GET", "/_sandbox/requests"),
        ("POST", "/v1/oauth/token"),
        ("POST", "/api/v2/users"),
        ("OPTIONS", "/_sandbox/faults"),
    ],
)
def test_a_request_of_a_page_changes_nothing(server, method, path, headers):
    named = {name: value.format(port=port_of(server)) for name, value in headers.items()}
    status, answered, _ = ask(server, method, path, json.dumps(FAULT).encode(), **named)
    assert status == 403
    assert not server.requests
    assert len(server.faults) == 0
    assert not [name for name in answered if name.startswith("access-control-")]


def test_the_own_origin_and_the_address_bar_are_taken(server):
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert ask(server, "GET", "/_sandbox/faults", **own)[0] == 200
    assert ask(server, "GET", "/_sandbox/faults", Sec_Fetch_Site="none")[0] == 200


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json-patch+json",
        "",
        None,
    ],
)
def test_what_a_form_can_send_is_not_taken_as_json(server, media_type):
    body = json.dumps(FAULT).encode()
    assert ask(server, "POST", "/_sandbox/faults", body, Content_Type=media_type)[0] == 415
    assert ask(server, "DELETE", "/_sandbox/faults", body, Content_Type=media_type)[0] == 415
    assert len(server.faults) == 0
    login = json.dumps({"action": "login", "email": "e", "password": "p", "remember": True})
    answer = ask(server, "POST", "/api/v2/users", login.encode(), Content_Type=media_type)
    assert answer[0] == 400


@pytest.mark.parametrize(
    "path", ["/_sandbox/faults", "/_sandbox/nowhere", "/nowhere", "/v1/sites/1001/surveys"]
)
def test_no_answer_can_be_read_or_run_by_a_page(server, path):
    _, headers, _ = ask(server, "GET", path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]


def test_a_preflight_is_not_answered_with_permission(server):
    asked: dict[str, Any] = {"Access-Control-Request-Method": "POST"}
    status, headers, _ = ask(server, "OPTIONS", "/_sandbox/faults", **asked)
    assert status == 405
    assert not [name for name in headers if name.startswith("access-control-")]


def test_an_error_page_repeats_no_markup_as_html(server):
    mark = "<script>alert(1)</script>"
    for status, answered, body in (
        ask(server, "GET", "/%3Cscript%3E"),
        ask(server, "POST", "/_sandbox/faults", json.dumps({"kind": mark}).encode()),
        ask(server, "GET", "/_sandbox/%3Cscript%3E"),
    ):
        assert status in {400, 404}
        assert mark.encode() not in body or answered["content-type"] == "application/json"


def test_a_redirect_of_the_sandbox_stays_on_it(server):
    assert post(server, "faults", {"kind": "redirect_same_host"})[0] == 200
    status, headers, _ = ask(server, "GET", "//evil.example/x")
    assert status == 307
    assert not headers["location"].startswith("//")


# --- How much ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"survey_id": "s1", "count": MAX_RESPONSES + 1}),
        ("responses", {"survey_id": "s1", "count": 3_000_000}),
        ("responses", {"survey_id": "s1", "count": -1}),
        ("responses", {"survey_id": "s1", "count": 10**400}),
        ("responses", {"survey_id": "s1", "count": 1.5}),
        ("responses", {"survey_id": "s1", "count": True}),
        ("responses", {"survey_id": "s1", "count": "7"}),
        ("responses", {"survey_id": "s1", "count": MAX_RESPONSES, "fields": {"os": "x" * 30_000}}),
        ("surveys", {"responses": 3_000_000}),
        ("surveys", {"responses": float("inf")}),
        ("faults", {"kind": "huge", "size_bytes": 10**12}),
        ("faults", {"kind": "slow", "delay_seconds": 10**9}),
        ("faults", {"kind": "slow", "delay_seconds": float("nan")}),
        ("faults", {"kind": "slow", "delay_seconds": "1"}),
        ("faults", {"kind": "overlap", "path": "responses", "rows": 10**9}),
        ("faults", {"kind": "500", "times": 10**30}),
        ("faults", {"kind": "500", "after": -1}),
        ("faults", {"kind": "raw_body", "status": 1000}),
        ("faults", {"kind": "raw_body", "content_type": "a/b\r\nSet-Cookie: x=1"}),
        ("faults", {"kind": "redirect_other_host", "location": "/\nX: 1"}),
        ("faults", {"kind": "429", "retry_after": "1\r\nX: 1"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_too_much_is_refused_with_a_reason(server, path, body):
    before = server.account.response_count("s1"), server.account.survey_ids()
    status, answer = post(server, path, body)
    assert status == 400
    assert 10 < len(answer["error"]) < 3_000
    assert (server.account.response_count("s1"), server.account.survey_ids()) == before
    assert len(server.faults) == 0


def test_many_small_requests_add_no_more_than_one_large():
    account = SandboxAccount.empty()
    account.add_survey(survey_id="s1")
    with SandboxServer(account) as server:
        # Made when first read, so nothing is made here.
        for _ in range(MAX_ADDED_BYTES // (RESPONSE_BYTES + 4) // MAX_RESPONSES):
            assert post(server, "surveys", {"responses": MAX_RESPONSES})[0] == 200
        status, answer = post(server, "surveys", {"responses": MAX_RESPONSES})
        assert status == 400
        assert "256 MB" in answer["error"]
        status, _ = post(server, "responses", {"survey_id": "s1", "count": MAX_RESPONSES})
        assert status == 400


def test_surveys_and_faults_are_counted(server, monkeypatch):
    monkeypatch.setattr("hotjar_assets.sandbox.control.MAX_SURVEYS", 2)
    monkeypatch.setattr("hotjar_assets.sandbox.control.MAX_FAULTS", 2)
    with SandboxServer(SandboxAccount.empty()) as other:
        assert [post(other, "surveys", {})[0] for _ in range(3)] == [200, 200, 400]
        assert [post(other, "faults", FAULT)[0] for _ in range(3)] == [200, 200, 400]
    assert MAX_SURVEYS + MAX_FAULTS < 100_000


def test_a_body_without_end_is_refused_before_it_is_kept(server):
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as sock:
        head = f"POST /v1/oauth/token HTTP/1.1\r\nHost: 127.0.0.1:{port_of(server)}\r\n"
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            sock.sendall(chunk)
        assert sock.recv(100).split()[1] == b"413"
    assert not server.requests


def test_a_body_that_does_not_arrive_is_given_up(server, monkeypatch):
    monkeypatch.setattr(gate_module, "MAX_BODY_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as sock:
        head = f"POST /v1/oauth/token HTTP/1.1\r\nHost: 127.0.0.1:{port_of(server)}\r\n"
        sock.sendall(f"{head}Content-Length: 100\r\n\r\nx".encode())
        assert sock.recv(100).split()[1] == b"408"
        while sock.recv(4096):
            pass
    assert not server.requests


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/" + "x" * MAX_TARGET_BYTES, {}, 414),
        ("/?" + "x" * MAX_TARGET_BYTES, {}, 414),
        ("/", {f"X-{n}": "x" * 8_000 for n in range(9)}, 431),
    ],
    ids=["path", "query", "headers"],
)
def test_a_long_target_or_head_is_refused(server, path, headers, status):
    assert ask(server, "GET", path, **headers)[0] == status
    assert not server.requests


@pytest.mark.parametrize("body", [b"[" * 200_000, b"{" * 10, b"\xff\xfe", b"null", b'"text"', b"7"])
def test_json_that_is_not_an_object_is_a_bad_request(server, body):
    for method, path in (("POST", "faults"), ("PATCH", "surveys"), ("DELETE", "responses")):
        assert ask(server, method, f"/_sandbox/{path}", body)[0] == 400


@pytest.mark.parametrize("path", ["/v1/oauth/token", "/api/v2/users"])
def test_json_without_an_end_of_depth_is_a_bad_request(server, path):
    body = b'{"client_id": ' + b"[" * 200_000
    assert ask(server, "POST", path, body)[0] == 400
    body = b'{"unknown": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert ask(server, "POST", path, body)[0] == 400


def test_the_log_of_requests_is_bounded():
    log = RequestLog()
    large = ReceivedRequest("POST", "/", {}, {}, {}, b"x" * (MAX_KEPT_BYTES // 4))
    for _ in range(9):
        log.append(large)
    assert len(log.all()) == 4
    log.clear()
    log.append(large)
    assert log.all() == [large]


def test_requests_are_shown_without_the_session(server):
    session = "ACC=session-of-the-export"
    for _ in range(3):
        ask(server, "GET", "/v1/x", Cookie=session)
    _, _, body = ask(server, "GET", "/_sandbox/requests")
    assert session.encode() not in body
    assert len(json.loads(body)["requests"]) == 3


# --- The command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "-1"], "--port"),
    ],
    ids=str,
)
def test_the_command_refuses_a_port_that_is_none(arguments, words):
    result = CliRunner().invoke(main, ["sandbox", *arguments])
    assert result.exit_code == 2
    assert words in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--latency", "-1"], "--latency: must be from 0 to "),
        (["--latency", "1e9"], "--latency: must be from 0 to "),
        (["--latency", "nan"], "--latency: must be from 0 to "),
        (["--host", "0.0.0.0"], "--host: must be an address of this machine"),  # noqa: S104
        (["--host", "192.0.2.1"], "--host: must be an address of this machine"),
        (["--host", "example.com"], "--host: must be an address of this machine"),
    ],
    ids=str,
)
def test_the_command_refuses_what_is_out_of_range_in_one_line(arguments, words):
    result = CliRunner().invoke(main, ["sandbox", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(words)


def test_the_command_says_in_one_line_that_a_port_is_taken(server):
    result = CliRunner().invoke(main, ["sandbox", "--port", str(port_of(server))])
    assert result.exit_code == 1
    assert "Address already in use" in result.output
    assert len(result.output.splitlines()) == 1
