"""Another user of the machine prepares the folder where rows wait, so that its clean-up deletes or
overwrites other files, or so that rows are written where that user can read them.

`spool_folder` holds: it uses a private folder only, and deletes in it only what it names itself.
"""

from pathlib import Path

import pytest

from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.spool import spool_folder
from hotjar_assets_tests.attacks.machine import another_user_owns, shared_folder

OURS = "0123456789abcdef" * 2


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder of several databases that other users may write to."""
    folder = shared_folder(tmp_path / "shared")
    (folder / "other.duckdb").write_text("another database")
    return folder


@pytest.fixture
def database(shared: Path) -> Path:
    return shared / "tables.duckdb"


@pytest.fixture
def root(database: Path) -> Path:
    """The folder where rows of the database wait, not made yet."""
    return database.with_name(".tables.duckdb.spool")


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "...", "precious", OURS.upper(), OURS[1:], f"{OURS}0", f"{OURS}\n", "é" * 32],
    ids=["..", ".", "empty", "...", "word", "capitals", "short", "long", "newline", "no ASCII"],
)
def test_a_lock_of_a_name_that_is_not_ours_deletes_nothing(shared, database, root, name):
    root.mkdir(mode=0o700)
    (root / f"{name}.lock").touch()
    (root / "precious").mkdir()
    before = everything(shared)

    with spool_folder(database):
        pass

    assert everything(shared) == before


def test_a_link_of_a_name_like_ours_is_not_followed(shared, database, root):
    root.mkdir(mode=0o700)
    (root / f"{OURS}.lock").touch()
    (root / OURS).symlink_to(shared)

    with spool_folder(database):
        pass

    assert (shared / "other.duckdb").read_text() == "another database"


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_lock_that_is_a_link_changes_no_other_file(shared, database, root, kind):
    root.mkdir(mode=0o700)
    (root / OURS).mkdir()
    lock = root / f"{OURS}.lock"
    if kind == "hard":
        lock.hardlink_to(shared / "other.duckdb")
    else:
        lock.symlink_to(shared / "other.duckdb")

    with spool_folder(database):
        pass

    assert (shared / "other.duckdb").read_text() == "another database"
    # A lock that is not ours says nothing about the folder.
    assert (root / OURS).exists()


def test_a_lock_that_is_a_link_to_nothing_creates_no_file(shared, database, root):
    root.mkdir(mode=0o700)
    (root / f"{OURS}.lock").symlink_to(shared / "made")

    with spool_folder(database):
        pass

    assert not (shared / "made").exists()


def refused(database: Path) -> str:
    with pytest.raises(HotjarStoreError) as raised, spool_folder(database):
        pass
    return str(raised.value)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o755, 0o710, 0o701])
def test_a_folder_that_is_open_to_others_is_refused(database, root, mode):
    root.mkdir()
    root.chmod(mode)
    (root / f"{OURS}.lock").touch()

    problem = refused(database)

    assert str(root) in problem
    assert f"mode {mode:04o} instead of 0700" in problem
    assert "remove it" in problem
    assert (root / f"{OURS}.lock").exists()


def test_a_folder_of_another_user_is_refused(database, root, monkeypatch):
    root.mkdir(mode=0o700)
    another_user_owns(monkeypatch, root)

    assert "belongs to another user" in refused(database)


@pytest.mark.parametrize("target", ["folder", "file", "nothing", "parent"])
def test_a_link_in_place_of_the_folder_is_refused(shared, database, root, target):
    elsewhere = shared / target if target != "parent" else shared.parent
    if target == "folder":
        elsewhere.mkdir(mode=0o700)
    elif target == "file":
        elsewhere.touch(mode=0o600)
    root.symlink_to(elsewhere)
    before = everything(shared.parent)

    assert str(root) in refused(database)
    assert everything(shared.parent) == before


def test_a_folder_that_is_swapped_while_rows_wait_is_not_the_one_that_is_cleaned(shared, database):
    precious = shared / "precious"
    with spool_folder(database) as folder:
        (folder / "rows.jsonl").write_text("what somebody answered")
        (precious / folder.name).mkdir(parents=True)
        (precious / f"{folder.name}.lock").touch()
        folder.parent.rename(shared / "moved")
        folder.parent.symlink_to(precious)

    assert (precious / folder.name).exists()
    assert everything(shared / "moved") == set()


def test_a_spool_of_an_earlier_release_is_swept_as_before(database, root):
    root.mkdir(mode=0o700)
    (root / OURS).mkdir(mode=0o700)
    (root / OURS / "rows.jsonl").write_text("what somebody answered")
    (root / f"{OURS}.lock").touch(mode=0o644)

    with spool_folder(database):
        assert not (root / OURS).exists()

    assert list(root.iterdir()) == []
