"""The server: where it listens, how it starts and stops, and the foreground command."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.config import SANDBOX_DATABASE, Settings
from hotjar_assets.sandbox import SANDBOX_SITE_ID, Fault, SandboxAccount, SandboxServer
from hotjar_assets.sandbox.server import run
from hotjar_assets_tests.sandbox.conftest import SURVEYS, PlainClient


@pytest.fixture
def server():
    with SandboxServer(SandboxAccount.empty()) as server:
        yield server


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com", ""])  # noqa: S104 - refused
def test_address_that_others_reach_is_refused(host):
    with pytest.raises(ValueError, match="only listens on this machine"):
        SandboxServer(host=host)


@pytest.mark.parametrize(
    ("host", "allow_remote"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)],  # noqa: S104 - asked for, never bound
)
def test_address_of_this_machine_or_one_that_was_asked_for_is_taken(host, allow_remote):
    assert isinstance(SandboxServer(host=host, allow_remote=allow_remote), SandboxServer)


def test_address_is_unknown_before_the_start():
    with pytest.raises(RuntimeError, match="before it was started"):
        _ = SandboxServer().url


def test_servers_have_addresses_of_their_own(server):
    with SandboxServer(SandboxAccount.empty()) as other:
        assert server.url != other.url
        assert server.url.startswith("http://127.0.0.1:")


def test_port_that_is_taken_is_an_error(server):
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        SandboxServer(SandboxAccount.empty(), port=port).start()


def test_stop_closes_open_connections_and_leaves_no_thread():
    before = set(threading.enumerate())
    server = SandboxServer(SandboxAccount.empty())
    server.start()
    with PlainClient(server).authorize().session:
        server.stop()
    assert set(threading.enumerate()) == before


def test_stop_does_not_wait_for_a_slow_answer(server):
    server.faults.add(Fault("slow", delay_seconds=60))
    errors = []

    def ask():
        try:
            requests.get(server.url + SURVEYS, timeout=30)
        except requests.exceptions.ConnectionError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not server.requests:
        time.sleep(0.001)
    server.stop()
    asking.join(timeout=5)
    assert errors


def test_stopped_server_refuses_and_starts_again_at_the_same_address(server):
    with (client := PlainClient(server).authorize()).session:
        url = server.url
        server.stop()
        with pytest.raises(requests.exceptions.ConnectionError):
            client.get(SURVEYS)
        server.start()
        assert server.url == url
        assert client.get(SURVEYS).status_code == 200


def test_start_and_stop_twice_do_no_harm(server):
    server.start()
    assert requests.get(server.url, timeout=5).status_code == 404
    server.stop()
    server.stop()


def test_constants_come_without_the_web_framework():
    program = (
        "import sys, hotjar_assets.sandbox as s; s.SandboxServer(s.SandboxAccount.empty());"
        "print({'starlette', 'uvicorn', 'dagster', 'duckdb', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_foreground_server_says_where_it_is_and_ends_with_a_signal(number):
    urls = []
    handlers = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]

    def on_start(url):
        urls.append(url)
        assert requests.get(url, timeout=5).status_code == 404
        os.kill(os.getpid(), number)

    run(port=0, on_start=on_start)
    assert len(urls) == 1
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == handlers


def test_the_command_prints_settings_that_a_shell_takes_as_they_are(tmp_path):
    program = str(Path(sys.executable).with_name("hotjar-assets"))
    command = [program, "sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout
        first, *lines = (sandbox.stdout.readline() for _ in range(11))
        shell = ["sh", "-c", "".join([*lines, "exec env"])]
        shown = subprocess.run(shell, capture_output=True, check=True, text=True).stdout
        variables = dict(line.partition("=")[::2] for line in shown.splitlines())
        settings = Settings.from_environment(variables)
        answer = requests.post(
            f"{settings.api_url}/v1/oauth/token",
            data={
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
            },
            timeout=5,
        )
        sandbox.send_signal(signal.SIGTERM)
    assert sandbox.returncode == 0
    assert first.startswith(f"Sandbox at {settings.api_url}; Ctrl+C stops it. ")
    assert answer.status_code == 200
    assert settings.site_id == (SANDBOX_SITE_ID,)
    assert str(settings.database_path) == SANDBOX_DATABASE


def test_what_a_shell_would_expand_is_quoted(monkeypatch):
    def start(*, on_start, **_options):
        on_start("http://[::1]:8787")

    monkeypatch.setattr("hotjar_assets.sandbox.server.run", start)

    lines = CliRunner().invoke(main, ["sandbox", "--host", "::1"]).stdout.splitlines()

    assert "export HOTJAR_API_URL='http://[::1]:8787'" in lines
