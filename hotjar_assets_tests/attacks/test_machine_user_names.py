"""A folder has a name that DuckDB, dbt or Dagster take for part of a URL, a template or a pattern.

Files are made in this folder and in no other, or the name is refused: `plain_path` holds for dbt
and Dagster, `make_database_folder` for DuckDB.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.config import make_database_folder
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.runs import local_instance
from hotjar_assets.sandbox import SandboxServer
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import SURVEY_IDS, query, small_account

ODD = "%41#&a=b c'\";$HOME {{x}} {%y%} ü*[z]~:@\n"
NAMES = ["%41", "a#b", "a;b", "{{ x }}", "[a]*", "'\"", "$HOME", "ü", "a\nb", ODD]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_database_is_made_in_its_folder_and_nowhere_else(tmp_path, name):
    folder = tmp_path / name
    for _ in range(2):
        Warehouse(folder / "tables.duckdb").check("sandbox")

    assert names_in(tmp_path) == [name]
    assert [each for each in names_in(folder) if not each.startswith(".")] == ["tables.duckdb"]


@pytest.mark.parametrize("path", ["%41?#/a.duckdb", "a?b.duckdb", "a\\b.duckdb", "a\\b/c.duckdb"])
def test_a_path_that_duckdb_cannot_open_is_refused_before_anything_is_made(tmp_path, path):
    """DuckDB puts its log elsewhere, or opens a file of another folder; it resolves every link."""
    with pytest.raises(HotjarConfigError, match=r"HOTJAR_DATABASE: .* a \? or .*; choose another"):
        make_database_folder(tmp_path / path)
    assert names_in(tmp_path) == []


def test_a_folder_that_duckdb_cannot_use_is_named_on_the_command_line(tmp_path, monkeypatch):
    folder = tmp_path / "%41?#"
    folder.mkdir()
    monkeypatch.chdir(folder)

    result = CliRunner().invoke(main, ["sync"], env={"HOTJAR_SANDBOX": "1"})

    assert result.exit_code == 2
    assert result.stderr.startswith("HOTJAR_DATABASE: ")
    assert "%41?#" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("home", ["%41?#/home", "%41"])
def test_an_instance_is_made_in_its_folder_and_nowhere_else(tmp_path, monkeypatch, home):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / home))

    with local_instance() as instance:
        instance.add_dynamic_partitions("survey_id", ["1"])

    assert names_in(tmp_path) == [home.partition("/")[0]]
    assert {"history", "schedules"} <= set(names_in(tmp_path / home))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a#b", "a;b", ODD], ids=ascii)
def test_a_sync_its_models_and_a_report_run_in_such_a_folder(tmp_path, name):
    """The database, the instance and the report are all where the command is started."""
    folder = tmp_path / name
    folder.mkdir()
    with SandboxServer(small_account()) as server:
        shell = Shell(server, Path("data") / "tables.duckdb")
        for command in ("sync", "report"):
            done = subprocess.run(
                [sys.executable, "-c", f"from hotjar_assets.cli import main; main(['{command}'])"],
                cwd=folder,
                env={**os.environ, **{key: str(value) for key, value in shell.variables.items()}},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr

    assert names_in(tmp_path) == [name]
    assert names_in(folder / "data") == [
        ".tables.duckdb.spool",
        "tables-report.html",
        "tables.duckdb",
    ]
    assert {"history", "schedules"} <= set(names_in(folder / ".dagster_home"))
    marts = "SELECT count(*) FROM hotjar_marts.hotjar__survey"
    assert query(folder / "data" / "tables.duckdb", marts) == [(len(SURVEY_IDS),)]
