"""Ctrl-C and SIGTERM: real signals to the installed program, in a terminal and without one."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.sandbox import Fault, SandboxServer
from hotjar_assets_tests.cli.terminal import (
    CTRL_C,
    Terminal,
    program,
    variables,
    with_default_signals,
)
from hotjar_assets_tests.dagster.model import (
    SURVEY_IDS,
    account_ids,
    environment,
    pages_sent,
    stored_ids,
)

FAR_TOO_LONG = 3600.0
"""Seconds: whatever waits for such an answer waits until it is interrupted."""


def recorded(folder: Path) -> tuple[dg.DagsterRunStatus, set[str], list[str]]:
    """Return the status of the one run, the surveys it materialized, and its run events."""
    with dg.DagsterInstance.from_config(str(folder / ".dagster_home")) as instance:
        (run,) = instance.get_runs()
        events: list[Any] = [
            entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event
        ]
    stored = {
        event.partition
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.partition
    }
    kinds = [event.event_type_value for event in events if event.step_key is None]
    return run.status, stored, [kind for kind in kinds if kind.startswith("PIPELINE_")]


@pytest.fixture
def environ(server: SandboxServer, tmp_path: Path) -> dict[str, str]:
    return variables(**environment(server, tmp_path / "tables.duckdb"))


def test_ctrl_c_ends_a_sync_in_one_line_and_keeps_what_is_stored(server, environ, tmp_path):
    server.faults.add(Fault("slow", path="responses", survey_id="102", delay_seconds=FAR_TOO_LONG))
    with Terminal(program("sync", "--no-models"), tmp_path, environ) as terminal:
        # The bar moves while data is read, and names what is being read.
        terminal.read_until(b"3 of 4 surveys, 10 responses, ")
        terminal.read_until(b"reading Survey 102")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT
    line = b"Interrupted: 3 surveys stored, 1 unchanged. Run the command again to continue."
    assert terminal.shown.count(b"Interrupted") == 1
    assert line in terminal.shown
    for traces in (b"Traceback", b"KeyboardInterrupt", b"DagsterExecution", b"FAILED"):
        assert traces not in terminal.shown
    assert recorded(tmp_path) == (
        dg.DagsterRunStatus.CANCELED,
        {"101", "103", "104"},
        ["PIPELINE_START", "PIPELINE_CANCELING", "PIPELINE_CANCELED"],
    )
    database = tmp_path / "tables.duckdb"
    assert stored_ids(database, "102") == []
    assert stored_ids(database, "104") == account_ids(server.account, "104")

    server.faults.clear()
    server.clear_requests()
    done = subprocess.run(
        program("sync", "--no-models"), cwd=tmp_path, env=environ, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert pages_sent(server) == {"101": 1, "102": 2, "103": 1, "104": 1}
    assert {key: stored_ids(database, key) for key in SURVEY_IDS} == {
        key: account_ids(server.account, key) for key in SURVEY_IDS
    }


def test_sigterm_ends_a_sync_as_ctrl_c_does_and_json_tells_of_it(server, environ, tmp_path):
    server.faults.add(Fault("slow", path="responses", survey_id="102", delay_seconds=FAR_TOO_LONG))
    with subprocess.Popen(
        program("sync", "--no-models", "--json"),
        cwd=tmp_path,
        env=environ | {"HOTJAR_PROGRESS_SECONDS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            lines: list[str] = []
            while not lines or "3 of 4 surveys" not in lines[-1]:
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            process.terminate()
            out, err = process.stdout.read(), process.stderr.read()
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert lines[-1].endswith("; reading Survey 102\n")
    assert err.splitlines()[-1] == (
        "Interrupted: 3 surveys stored, 1 unchanged. Run the command again to continue."
    )
    assert "Traceback" not in err
    said = json.loads(out)
    assert said["interrupted"] is True
    assert {key: each["status"] for key, each in said["partitions"].items()} == dict.fromkeys(
        ("101", "103", "104"), "materialized"
    )
    status, stored, _ = recorded(tmp_path)
    assert (status, stored) == (dg.DagsterRunStatus.CANCELED, {"101", "103", "104"})


def test_ctrl_c_before_a_run_begins_says_that_nothing_was_stored(server, environ, tmp_path):
    server.faults.add(Fault("slow", path="surveys", delay_seconds=FAR_TOO_LONG))
    with Terminal(program("sync", "--no-models"), tmp_path, environ) as terminal:
        terminal.read_until(b"0 surveys, 0 responses, 2 requests")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT
    assert b"Interrupted: 0 surveys stored, 0 unchanged." in terminal.shown
    assert b"Traceback" not in terminal.shown
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster_home")) as instance:
        assert list(instance.get_runs()) == []


def test_ctrl_c_ends_other_commands_in_one_line_too(environ, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ["HOTJAR_API_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Terminal(program("check"), tmp_path, environ) as terminal:
            connection, _ = silent.accept()
            assert connection.recv(4) == b"POST"
            terminal.press(CTRL_C)
            assert terminal.wait() == 128 + signal.SIGINT
            connection.close()
    assert terminal.shown.splitlines()[-1] == b"^CInterrupted."
    assert b"Traceback" not in terminal.shown


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    script = """if True:
        import threading
        from hotjar_assets.cli.interrupts import watched

        with watched() as interrupts:
            interrupts.at_first = lambda: print("first", flush=True)
            try:
                print("ready", flush=True)
                threading.Event().wait()
            except KeyboardInterrupt:
                print("cleaning up", flush=True)
                threading.Event().wait()
    """
    with Terminal([sys.executable, "-c", script], tmp_path, variables()) as terminal:
        terminal.read_until(b"ready")
        terminal.press(CTRL_C)
        terminal.read_until(b"cleaning up")
        assert terminal.shown.index(b"first") < terminal.shown.index(b"cleaning up")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT


WAITING = """
import signal, sys, threading
from hotjar_assets.cli.interrupts import Interrupted, watched

def fail():
    raise OSError("no space left")

if "ignore" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    with watched() as interrupts:
        interrupts.at_first = fail
        print("ready", flush=True)
        threading.Event().wait()
except Interrupted as error:
    sys.exit(error.exit_code)
"""
"""A command that waits until a signal comes; with `ignore`, as `nohup` starts one."""


def test_ctrl_c_that_cannot_be_announced_interrupts_too(tmp_path):
    with Terminal([sys.executable, "-c", WAITING], tmp_path, variables()) as terminal:
        terminal.read_until(b"ready")
        terminal.press(CTRL_C)
        assert terminal.wait() == 128 + signal.SIGINT
    assert b"the run cannot be marked as being canceled: no space left" in terminal.shown
    assert b"Traceback" not in terminal.shown


def test_sigterm_where_ctrl_c_is_ignored_has_its_exit_code(tmp_path):
    with Terminal([sys.executable, "-c", WAITING, "ignore"], tmp_path, variables()) as terminal:
        terminal.read_until(b"ready")
        terminal.press(CTRL_C)
        terminal.process.terminate()
        assert terminal.wait() == 128 + signal.SIGTERM


def test_without_a_signal_everything_is_as_it_was(tmp_path):
    script = """if True:
        import signal
        from hotjar_assets.cli.interrupts import watched

        def state():
            handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
            return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ())

        before = state()
        with watched() as interrupts:
            assert state() != before
        assert state() == before
        assert not interrupts.by_ctrl_c
        print("as before")
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=with_default_signals,
    )
    assert (done.stdout, done.stderr) == ("as before\n", "")
