"""Another user of the machine prepares files where this user's database and Dagster instance will
be: a log that DuckDB replays, a link that it follows, a `dagster.yaml` that names code.

`refuse_planted` holds for the database, `refuse_foreign_folder` for the instance.
"""

import os
from pathlib import Path

import duckdb
import pytest

from hotjar_assets.errors import HotjarConfigError, HotjarStoreError
from hotjar_assets.runs import local_instance
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.attacks.machine import another_user_owns, shared_folder

BESIDE = (".wal", ".wal.checkpoint", ".wal.recovery", ".checkpoint.wal", ".tmp")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return shared_folder(tmp_path / "shared") / "tables.duckdb"


def refused(database: Path) -> str:
    with pytest.raises(HotjarStoreError) as raised:
        Warehouse(database).check("sandbox")
    return str(raised.value)


@pytest.mark.parametrize("suffix", BESIDE)
@pytest.mark.parametrize("folder", ["shared", "own"])
def test_a_link_beside_the_database_is_not_followed(database, tmp_path, suffix, folder):
    if folder == "own":
        database = tmp_path / "tables.duckdb"
    target = tmp_path / "target"
    database.with_name(f"tables.duckdb{suffix}").symlink_to(target)

    problem = refused(database)

    assert f"tables.duckdb{suffix} is a link" in problem
    assert "HOTJAR_DATABASE" in problem
    assert not target.exists()
    assert not database.exists()


@pytest.mark.parametrize("suffix", ["", *BESIDE])
def test_a_file_of_another_user_in_a_shared_folder_is_refused(database, suffix, monkeypatch):
    with duckdb.connect(str(database)):
        pass
    planted = database.with_name(f"tables.duckdb{suffix}")
    if suffix:
        planted.touch()
    another_user_owns(monkeypatch, planted)

    problem = refused(database)

    # Where all files belong to another user, the first is named.
    assert f"{planted if os.geteuid() == 0 else database} belongs to another user" in problem


def test_a_link_of_another_user_in_place_of_the_database_is_refused(
    database, tmp_path, monkeypatch
):
    database.symlink_to(tmp_path / "theirs.duckdb")
    another_user_owns(monkeypatch, database)

    assert "belongs to another user" in refused(database)
    assert not (tmp_path / "theirs.duckdb").exists()


def test_files_of_our_own_in_a_shared_folder_are_used(database):
    for _ in range(2):
        Warehouse(database).check("sandbox")
    assert account_of(database) == [("sandbox",)]


def test_a_database_that_an_administrator_gave_us_is_used(tmp_path, monkeypatch):
    """Only the owner of the folder may write to it: that user chose every file in it."""
    folder = tmp_path / "given"
    folder.mkdir(mode=0o755)
    database = folder / "tables.duckdb"
    Warehouse(database).check("sandbox")
    another_user_owns(monkeypatch, folder, database)

    Warehouse(database).check("sandbox")

    assert account_of(database) == [("sandbox",)]


def account_of(database):
    """Return what the file notes of its account."""
    with duckdb.connect(database) as connection:
        return connection.execute("SELECT value FROM hotjar.meta WHERE name = 'account'").fetchall()


# --- The Dagster instance ------------------------------------------------------------------------

CODE = """
telemetry: {enabled: false}
run_launcher: {module: planted, class: Launcher}
"""


@pytest.fixture
def home() -> Path:
    """The instance in the folder where a command is started."""
    folder = Path.cwd() / ".dagster_home"
    folder.mkdir(mode=0o700)
    (folder / "dagster.yaml").write_text(CODE)
    return folder


def instance_is_refused() -> str:
    with pytest.raises(HotjarConfigError) as raised:
        local_instance()
    return str(raised.value)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o722, 0o702])
def test_an_instance_that_others_may_write_to_is_refused(home, mode):
    home.chmod(mode)

    problem = instance_is_refused()

    assert f"chmod go-w {home}" in problem


def test_an_instance_of_another_user_is_refused(home, monkeypatch):
    another_user_owns(monkeypatch, home)

    problem = instance_is_refused()

    assert f"{home} belongs to another user" in problem
    assert "set DAGSTER_HOME" in problem


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_an_instance_that_others_may_read_still_works(home, mode, monkeypatch):
    home.chmod(mode)
    opened = object()
    monkeypatch.setattr("dagster.DagsterInstance.get", lambda: opened)

    assert local_instance() is opened
