"""Another user of the machine reads what a sync leaves on the disk.

`owner_only` holds: files are 0600 and folders 0700 whatever the umask, those of DuckDB, Dagster and
dbt included, and `check` names what an earlier release left open.
"""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hotjar_assets.config import make_database_folder
from hotjar_assets.private_files import owner_only
from hotjar_assets.sandbox import SandboxServer
from hotjar_assets.warehouse.database import Database
from hotjar_assets_tests.attacks.machine import open_to_others, umask
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import small_account

_umask_of_nothing = pytest.fixture(autouse=True)(umask(0))


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell without the models, whose folders all have to be made."""
    monkeypatch.setattr("hotjar_assets.runs.has_dbt", lambda: False)
    monkeypatch.chdir(tmp_path)
    with SandboxServer(small_account()) as server:
        yield Shell(server, tmp_path / "data" / "of" / "tables.duckdb")


def test_a_sync_and_a_report_leave_nothing_that_others_can_read(shell, tmp_path):
    for command in ("sync", "report"):
        assert shell(command).exit_code == 0

    names = {path.name for path in tmp_path.rglob("*")}
    assert {"tables.duckdb", "tables-report.html", ".dagster_home", "dagster.yaml"} <= names
    assert open_to_others(tmp_path) == []


def test_a_command_leaves_the_umask_as_it_was(shell):
    shell("check")

    assert os.umask(0) == 0


def test_what_a_process_of_dagster_makes_is_private_too(tmp_path):
    """No command line is there that could have set the umask."""
    database = Database(
        tmp_path / "data" / "tables.duckdb", lock_timeout_seconds=1, connection_config={}
    )
    with database.transaction(memory_limit="40MB") as connection:
        connection.execute("CREATE TABLE answers AS SELECT 'a' AS answer")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TEMP TABLE held AS SELECT random() || repeat('x', 1000) FROM range(100000)"
        )
        connection.execute("INSERT INTO answers SELECT 'b'")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert {
            "data/tables.duckdb",
            "data/tables.duckdb.wal",
            "data/tables.duckdb.tmp",
        } <= made
        assert open_to_others(tmp_path) == []


def test_only_folders_that_are_made_get_the_mode(tmp_path):
    tmp_path.chmod(0o755)
    make_database_folder(tmp_path / "a" / "b" / "tables.duckdb")

    assert open_to_others(tmp_path) == []
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_umask_comes_back_when_the_last_thread_is_done():
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with owner_only():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with owner_only():
        thread.start()
        assert inside.wait(10)
    during = os.umask(0o077)
    os.umask(during)
    leave.set()
    thread.join()

    assert (during, os.umask(0)) == (0o077, 0)


def test_an_open_database_of_an_earlier_release_is_named_and_not_changed(shell, monkeypatch):
    shell("check")
    shell.database.chmod(0o644)
    # The folders of pytest are closed, which protects all that is in them.
    real = Path.stat

    def reachable(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        if path not in shell.database.parents:
            return found
        return os.stat_result((found.st_mode | 0o055, *found[1:]))

    monkeypatch.setattr(Path, "stat", reachable)
    result = shell("check")

    assert result.exit_code == 0
    assert (
        f"warning other users can read {shell.database}; to prevent it: chmod 600 {shell.database}"
    ) in result.stdout
    assert stat.S_IMODE(shell.database.stat().st_mode) == 0o644
    shell.database.chmod(0o600)
    assert "warning" not in shell("check").stdout


def test_a_folder_in_which_others_can_replace_the_database_is_named(shell):
    assert shell("check").exit_code == 0
    shell.database.parent.chmod(0o777)

    result = shell("check")

    assert result.exit_code == 0
    (warning,) = [line for line in result.stdout.splitlines() if line.startswith("warning")]
    assert f"{shell.database.parent} belongs to another user or can be written" in warning
    shell.database.parent.chmod(0o1777)
    assert "warning" not in shell("check").stdout


@pytest.mark.slow
def test_the_demo_with_its_models_leaves_nothing_that_others_can_read(tmp_path):
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home" / "cache"),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    (tmp_path / "temporary").mkdir(mode=0o700)
    (tmp_path / "work").mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-c", "from hotjar_assets.cli import main; main(['demo'])"],
        cwd=tmp_path / "work",
        env=environment,
        umask=0,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.rglob("*")}
    assert {"sandbox.duckdb", "sandbox-report.html", "partial_parse.msgpack"} <= names
    assert open_to_others(tmp_path) == []
    assert list((tmp_path / "temporary").iterdir()) == []
