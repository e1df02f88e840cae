"""Another user of the machine prepares a parsed dbt project where this user's process looks for it:
what dbt reads there, it runs.

`private_cache` holds: only a folder that no other user can have prepared is used, else a temporary
one.
"""

import functools
import os
import pickle
import stat
import tempfile
from pathlib import Path

import pytest

from hotjar_assets.defs import dbt as dbt_defs
from hotjar_assets_tests.attacks.machine import another_user_owns, shared_folder

DATABASE = Path("tables.duckdb")
NAMES = ("hotjar_assets", "hotjar-assets")


class Prepared:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture(autouse=True)
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write a manifest instead of parsing for seconds; list the folders of those written."""
    folders: list[Path] = []

    def parse(_: Path, manifest: Path) -> None:
        folders.append(manifest.parent)
        manifest.write_text("ours")

    monkeypatch.setattr(dbt_defs, "_parse", parse)
    return folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the machine."""
    folder = shared_folder(tmp_path / "tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    # The one that this process made is not in this folder.
    made = functools.cache(lambda: Path(tempfile.mkdtemp()))
    monkeypatch.setattr("hotjar_assets.private_files._make_temporary_folder", made)
    return folder


def prepare(cache: Path) -> None:
    """Put a parsed project where a process of this release looks for it."""
    folder = cache / f"tables-{dbt_defs._fingerprint()}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("prepared")
    trace = Prepared(cache.parent / "trace")
    (folder / "partial_parse.msgpack").write_bytes(pickle.dumps(trace))


def manifest_is_ours() -> bool:
    return dbt_defs._manifest(DATABASE).read_text() == "ours"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o755])
def test_a_cache_that_is_open_to_others_is_not_used(tmp_path, temporary, monkeypatch, mode):
    home = tmp_path / "cache"
    for name in NAMES:
        prepare(home / name)
        (home / name).chmod(mode)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))

    assert manifest_is_ours()


def test_a_cache_of_another_user_is_not_used(tmp_path, temporary, monkeypatch):
    home = tmp_path / "cache"
    for name in NAMES:
        prepare(home / name)
        (home / name).chmod(0o700)
    another_user_owns(monkeypatch, *(home / name for name in NAMES))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))

    assert home not in dbt_defs._cache().parents


def test_a_link_in_place_of_the_cache_is_not_followed(tmp_path, temporary, monkeypatch):
    prepare(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o700)
    (tmp_path / "cache").mkdir()
    for name in NAMES:
        (tmp_path / "cache" / name).symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert manifest_is_ours()


@pytest.mark.parametrize("above", ["cache", "."], ids=["its folder", "a folder above"])
def test_a_cache_whose_place_others_can_change_is_not_used(tmp_path, temporary, monkeypatch, above):
    """It is ours and closed now, but others can rename it and put theirs there."""
    home = tmp_path / "home" / "cache"
    for name in NAMES:
        prepare(home / name)
        (home / name).chmod(0o700)
    (tmp_path / "home" / above).chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    assert manifest_is_ours()


@pytest.mark.parametrize("home", ["unset", "a file", "a missing user"])
def test_without_a_home_a_prepared_temporary_folder_is_not_used(
    tmp_path, temporary, monkeypatch, home
):
    for name in NAMES:
        folder = temporary / f"{name}-{os.geteuid()}"
        prepare(folder)
        folder.chmod(0o777)
    monkeypatch.delenv("XDG_CACHE_HOME")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    if home == "a missing user":
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    elif home == "unset":
        monkeypatch.setenv("HOME", "/dev/null")

    assert manifest_is_ours()


def test_without_a_home_processes_share_a_private_temporary_folder(
    tmp_path, temporary, monkeypatch, parsed
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").touch()

    assert dbt_defs._manifest(DATABASE) == dbt_defs._manifest(DATABASE)
    (folder,) = parsed
    assert folder.parent == temporary / f"hotjar-assets-{os.geteuid()}"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_private_cache_is_used_again(tmp_path, monkeypatch, parsed):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert dbt_defs._manifest(DATABASE) == dbt_defs._manifest(DATABASE)
    (folder,) = parsed
    assert folder.parent == tmp_path / "cache" / "hotjar-assets"
