import os
import socket
import threading
from pathlib import Path

import pytest
import requests

from hotjar_assets_tests.conftest import NetworkBlockedError

# A documentation address: nobody has it (RFC 5737).
FOREIGN = "192.0.2.1"
USER_ENVIRONMENT = {
    "HOTJAR_CLIENT_SECRET": "of-the-user",
    "DAGSTER_HOME": "/instance/of/the/user",
    "HTTPS_PROXY": "http://proxy.example",
    "no_proxy": "example.com",
}


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, (FOREIGN, 443)),
        (socket.AF_INET, ("10.0.0.1", 443)),
        (socket.AF_INET, ("api.hotjar.io", 443)),
        (socket.AF_INET6, ("2001:db8::1", 443, 0, 0)),
        (socket.AF_INET6, ("::ffff:192.0.2.1", 443, 0, 0)),
    ],
    ids=["ipv4", "private", "name", "ipv6", "ipv4-in-ipv6"],
)
def test_foreign_address_is_refused(method, family, address, blocked_attempts):
    with socket.socket(family) as sock, pytest.raises(NetworkBlockedError, match="tried to reach"):
        getattr(sock, method)(address)
    assert blocked_attempts == [f"{address[0]}:443"]
    blocked_attempts.clear()


def test_datagram_to_a_foreign_address_is_refused(blocked_attempts):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(NetworkBlockedError),
    ):
        sock.sendto(b"question", (FOREIGN, 53))
    blocked_attempts.clear()


@pytest.mark.parametrize("function", ["getaddrinfo", "gethostbyname", "gethostbyname_ex"])
def test_foreign_name_is_not_looked_up(function, blocked_attempts):
    arguments = ("api.hotjar.io", 443) if function == "getaddrinfo" else ("api.hotjar.io",)
    with pytest.raises(NetworkBlockedError, match=r"look up api\.hotjar\.io"):
        getattr(socket, function)(*arguments)
    blocked_attempts.clear()


def test_name_that_never_exists_fails_as_a_resolver_would(blocked_attempts):
    with pytest.raises(requests.ConnectionError):
        requests.get("http://hotjar.invalid", timeout=5)
    assert not blocked_attempts


def test_attempt_in_a_thread_is_kept(blocked_attempts):
    def attempt():
        with pytest.raises(NetworkBlockedError):
            socket.create_connection((FOREIGN, 443))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert blocked_attempts == [FOREIGN]
    blocked_attempts.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_loopback_is_reached(host):
    with (
        socket.create_server(("127.8.8.8" if host == "127.8.8.8" else "127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1])) as client,
    ):
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize("name", USER_ENVIRONMENT)
def test_environment_of_the_user_is_hidden(name):
    assert name not in os.environ


def test_working_folder_is_empty(project):
    assert not list(Path.cwd().iterdir())
    assert not Path.cwd().is_relative_to(project)


@pytest.fixture
def with_this_conftest(pytester, monkeypatch):
    """Run pytest in a folder of its own, under the conftest of this suite."""
    conftest = Path(__file__).with_name("conftest.py").read_text()
    pytester.makeconftest(conftest)
    for name, value in USER_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def run(source, *args):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)

    return run


def test_swallowed_attempt_still_fails_the_test(with_this_conftest):
    result = with_this_conftest(
        f"""
        import contextlib
        import socket

        def test_swallows():
            with contextlib.suppress(Exception):
                socket.create_connection(("{FOREIGN}", 443))
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"*the test tried to reach {FOREIGN}*"])


def test_variables_that_were_set_before_the_run_are_hidden(with_this_conftest):
    result = with_this_conftest(
        f"""
        import os

        def test_hidden():
            assert not set(os.environ) & {set(USER_ENVIRONMENT)}
        """
    )
    result.assert_outcomes(passed=1)


SKIPS = {
    "mark": "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_a(): pass",
    "condition": "import pytest\n@pytest.mark.skipif(1, reason='no browser')\ndef test_a(): pass",
    "call": "import pytest\ndef test_a(): pytest.skip('no browser')",
    "fixture": (
        "import pytest\n@pytest.fixture\ndef chromium(): pytest.skip('no browser')\n"
        "def test_a(chromium): pass"
    ),
    "module": "import pytest\npytest.skip('no browser', allow_module_level=True)",
}


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS.keys())
def test_skip_fails_when_asked_to(source, with_this_conftest):
    result = with_this_conftest(source, "--fail-on-skip")
    assert result.ret in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    result.stdout.fnmatch_lines(["*no browser (--fail-on-skip)*"])


@pytest.mark.parametrize("name", ["mark", "call"])
def test_skip_stays_a_skip_when_not_asked_to(name, with_this_conftest):
    result = with_this_conftest(SKIPS[name])
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=1)


def test_expected_failure_is_no_skip(with_this_conftest):
    result = with_this_conftest(
        "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): assert False",
        "--fail-on-skip",
    )
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_run_without_any_test_fails(with_this_conftest):
    result = with_this_conftest("def test_a(): pass", "-k", "nothing", "--fail-on-skip")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
