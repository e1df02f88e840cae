"""The installed program as a process of its own: .env, exit codes, streams, Dagster's instance."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.cli.sandbox import ui_command
from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.partitions import survey_partitions
from hotjar_assets.sandbox import Fault, SandboxServer
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import (
    SURVEY_IDS,
    account_ids,
    environment,
    pages_sent,
    small_account,
    stored_ids,
)


def run(folder: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    """Run the program in a folder, without any variable of ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOTJAR_", "DAGSTER_"))
    }
    program = str(Path(sys.executable).with_name("hotjar-assets"))
    return subprocess.run(
        [program, *args], cwd=folder, env=inherited, capture_output=True, text=True, check=False
    )


@dataclass(frozen=True)
class Story:
    """Two syncs in one folder: a good one, and one in which a survey fails."""

    folder: Path
    server: SandboxServer
    good: "subprocess.CompletedProcess[str]"
    bad: "subprocess.CompletedProcess[str]"
    pages_of_bad: dict[str, int]
    statuses: dict[str, Any]
    runs: list[Any]


def test_the_command_that_opens_the_ui_can_be_pasted(tmp_path, monkeypatch):
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    command = ui_command()

    variables = [f"DAGSTER_HOME={folder / '.dagster_home'}", "HOTJAR_SANDBOX=1"]
    assert sorted(shlex.split(command)[:2]) == variables
    assert command.endswith("dagster dev -m hotjar_assets.definitions")
    done = subprocess.run(["sh", "-c", f"{command} --help"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_in_a_checkout_make_opens_the_ui(project, monkeypatch):
    monkeypatch.chdir(project)

    assert ui_command() == "HOTJAR_SANDBOX=1 make dev"


def test_what_a_command_creates_where_it_is_run_is_told_once(server):
    shell = Shell(server, Path("data", "warehouse.duckdb"))

    first, second = shell("check"), shell("check")

    created = f"created data/warehouse.duckdb in {Path.cwd()}\n"
    assert (first.exit_code, first.stderr) == (0, created)
    assert (second.exit_code, second.stderr) == (0, "")


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("folder")
    with SandboxServer(small_account()) as server:
        lines = [f"{name}={value}" for name, value in environment(server).items()]
        (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
        good = run(folder, "sync", "--json", "--no-models")
        server.clear_requests()
        server.faults.add(Fault("403", path="responses", survey_id="102"))
        bad = run(folder, "sync", "--json", "--no-models")
        with dg.DagsterInstance.from_config(str(folder / ".dagster_home")) as instance:
            statuses = instance.get_status_by_partition(
                survey_responses.key, SURVEY_IDS, survey_partitions
            )
            yield Story(
                folder,
                server,
                good,
                bad,
                pages_sent(server),
                {key: status and status.value for key, status in (statuses or {}).items()},
                list(instance.get_runs()),
            )


def test_a_good_sync_exits_with_0_and_says_what_is_new_and_json(story):
    assert story.good.returncode == 0
    # On a slow machine, matplotlib says before that it builds its font cache.
    assert story.good.stderr.splitlines()[-1] == (
        f"created data/warehouse.duckdb and .dagster_home in {story.folder}"
    )
    said = json.loads(story.good.stdout)
    assert {key: own["rows"] for key, own in said["partitions"].items()} == {
        "101": 3,
        "102": 120,
        "103": 0,
        "104": 7,
    }


def test_settings_of_dot_env_reach_the_default_database(story):
    database = story.folder / "data" / "warehouse.duckdb"
    assert stored_ids(database, "102") == account_ids(story.server.account, "102")


def test_a_failing_sync_exits_with_1_and_says_one_line(story):
    assert story.bad.returncode == 1
    (line,) = story.bad.stderr.splitlines()
    assert line.startswith("survey 102 (Survey 102): not allowed")
    statuses = {
        key: own["status"] for key, own in json.loads(story.bad.stdout)["partitions"].items()
    }
    assert statuses == {
        "101": "materialized",
        "102": "failed",
        "103": "materialized",
        "104": "materialized",
    }


def test_a_second_sync_sends_one_request_a_survey(story):
    assert story.pages_of_bad == dict.fromkeys(SURVEY_IDS, 1)


def test_the_instance_that_the_ui_uses_shows_both_runs(story):
    assert [(run.job_name, run.status.value) for run in story.runs] == [
        ("sync_job", "FAILURE"),
        ("sync_job", "SUCCESS"),
    ]
    assert story.statuses == {
        "101": "MATERIALIZED",
        "102": "FAILED",
        "103": "MATERIALIZED",
        "104": "MATERIALIZED",
    }


def test_the_secret_is_nowhere_in_what_dagster_stored(story):
    secret = environment(story.server)["HOTJAR_CLIENT_SECRET"].encode()
    files = [path for path in (story.folder / ".dagster_home").rglob("*") if path.is_file()]

    assert files
    assert [path for path in files if secret in path.read_bytes()] == []


def test_missing_settings_exit_with_2_in_one_line_for_each(tmp_path):
    done = run(tmp_path, "sync", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "HOTJAR_CLIENT_ID: is not set",
        "HOTJAR_CLIENT_SECRET: is not set",
        "HOTJAR_SITE_ID: is not set",
    ]
    assert "organization settings, API access" in lines[0]
    assert lines[-1].endswith(", or set HOTJAR_SANDBOX=1 to try the sandbox")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_the_program_is_loaded_ends_it_without_a_traceback():
    program = """
import os, signal, sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Pressed())
from hotjar_assets.program import main
main()
"""
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == -signal.SIGINT
    assert outcome.stderr == ""


def test_ctrl_c_raises_once_the_program_is_loaded():
    program = """
import signal, sys
sys.argv = ["hotjar-assets", "--version"]
from hotjar_assets.program import main
try:
    main()
finally:
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert outcome.stdout.splitlines()[-1] == "True"
