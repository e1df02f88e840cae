"""The DuckDB file: its tables, other processes, kills, and what is no database."""

import logging
import re
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from hotjar_assets.errors import HotjarConfigError, HotjarStoreError
from hotjar_assets.sandbox import SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, SANDBOX_SITE_ID
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS
from hotjar_assets.sync import Depth
from hotjar_assets.warehouse import Warehouse
from hotjar_assets.warehouse.database import RowsRefusedError, _store_error

from . import model
from .conftest import Store

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
connection.close()
print("free", flush=True)
sys.stdin.readline()
"""

DYING_SYNC = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    import duckdb
    from hotjar_assets.api.client import HotjarClient
    from hotjar_assets.sync import Depth, ResponseSync
    from hotjar_assets.warehouse import Warehouse

    class Dying:
        def __init__(self, connection):
            self.connection = connection
        def execute(self, sql, *parameters):
            if sql == "COMMIT":
                print("dying", flush=True)
                os._exit(9)
            return self.connection.execute(sql, *parameters)
        def __getattr__(self, name):
            return getattr(self.connection, name)

    url, client_id, secret, site_id, path, survey_id = sys.argv[1:]
    client = HotjarClient(
        url, client_id=client_id, client_secret=secret, site_ids=(site_id,), use_environment=False
    )
    warehouse = Warehouse(path)
    sync = ResponseSync(client, [survey_id], Depth.ALL)
    with warehouse.spool() as folder:
        ((read,),) = sync.read(warehouse.survey_states([survey_id]), folder)
        connect = duckdb.connect
        duckdb.connect = lambda *args, **options: Dying(connect(*args, **options))
        warehouse.commit_responses([read])
    """
)


def columns(path, table: str) -> dict[str, str]:
    with duckdb.connect(str(path)) as connection:
        return {
            str(name): str(kind)
            for name, kind in connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $table "
                "AND schema_name = 'hotjar' ORDER BY column_index",
                {"table": table},
            ).fetchall()
        }


def assert_complete(account, store, survey_id) -> None:
    expected = model.truth(account.responses(survey_id), survey_id=survey_id)
    assert model.cells(model.responses(store.path)) == expected


# --- Tables --------------------------------------------------------------------------------------


def test_a_first_sync_of_an_empty_survey_makes_both_tables(account, store):
    store.sync(account.add_survey())
    for table in (SURVEYS, SURVEY_RESPONSES):
        assert list(columns(store.path, table.name)) == [each.name for each in table.columns]


def test_missing_folders_are_made(store, tmp_path, survey_id):
    deep = Store(store.client, tmp_path / "a" / "b" / "c.duckdb")
    deep.sync(survey_id)
    assert len(model.responses(deep.path)) == 250


def test_columns_that_an_older_file_lacks_are_added(account, store, survey_id):
    store.list_surveys()
    store.sync(survey_id)
    expected = {table: columns(store.path, table) for table in ("surveys", "survey_responses")}
    dropped = {
        "surveys": ("extra", "language", "is_enabled"),
        "survey_responses": ("extra", "window_width", "user_attributes", "answers"),
    }
    with duckdb.connect(str(store.path)) as connection:
        for table, names in dropped.items():
            for name in names:
                connection.execute(f"ALTER TABLE hotjar.{table} DROP COLUMN {name}")
    account.add_responses(survey_id, 1)
    synced = store.sync_one(survey_id)
    # Page 1 fills in what the older release had not kept.
    assert (synced.figures.new, synced.figures.updated) == (1, 99)
    store.sync(survey_id, depth=Depth.ALL)
    store.list_surveys()
    for table, types in expected.items():
        assert columns(store.path, table).items() == types.items()
    assert_complete(account, store, survey_id)


def test_columns_in_another_order_and_columns_of_the_users_own_are_fine(account, store, survey_id):
    types = {column.name: column.type for column in reversed(SURVEY_RESPONSES.columns)}
    ddl = ", ".join(f"{name} {kind}" for name, kind in types.items())
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("CREATE SCHEMA hotjar")
        connection.execute(f"CREATE TABLE hotjar.survey_responses (note VARCHAR, {ddl})")
    store.sync(survey_id)
    account.set_response(survey_id, account.responses(survey_id)[0]["id"], country="ZZ")
    assert store.sync_one(survey_id).figures.updated == 1
    assert list(columns(store.path, "survey_responses")) == ["note", *types]
    rows = model.cells(model.responses(store.path))
    assert {row.pop("note") for row in rows.values()} == {None}
    assert rows == model.truth(account.responses(survey_id), survey_id=survey_id)


@pytest.mark.parametrize("name", ["hotjar.duckdb", "my data; drop 'it'.duckdb", "main.duckdb"])
def test_a_file_of_any_name_works(account, store, survey_id, tmp_path, name):
    named = Store(store.client, tmp_path / name)
    for new in (250, 0):
        assert named.list_surveys().rows == 1
        assert named.sync_one(survey_id).figures.new == new
    assert named.known == {SANDBOX_SITE_ID: {survey_id}}
    assert_complete(account, named, survey_id)


# --- What is no database -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"no database at all", b"\x00" * 20_000, b"id,name\n" * 9_000],
    ids=["a text", "zeros", "a table as text"],
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(store, survey_id, content):
    store.path.write_bytes(content)
    with pytest.raises(HotjarStoreError, match="check that it is a DuckDB file"):
        store.list_surveys()
    with pytest.raises(HotjarStoreError, match="check that it is a DuckDB file"):
        store.sync(survey_id)
    assert store.path.read_bytes() == content


def test_a_damaged_database_is_refused(store, survey_id):
    store.sync(survey_id)
    intact = store.path.read_bytes()
    damaged = intact[:4096] + b"\xff" * (len(intact) - 4096)
    store.path.write_bytes(damaged)
    with pytest.raises(HotjarStoreError, match=r"warehouse\.duckdb") as caught:
        store.sync(survey_id)
    assert "or its log warehouse.duckdb.wal, is damaged" in str(caught.value)
    assert "restore both from a backup" in str(caught.value)
    assert store.path.read_bytes() == damaged


def test_a_damaged_block_is_told_in_the_words_of_duckdb(store, survey_id):
    store.sync(survey_id)
    damaged = bytearray(store.path.read_bytes())
    # The first block behind the three headers.
    damaged[12_500:12_700] = b"z" * 200
    store.path.write_bytes(damaged)

    with pytest.raises(HotjarStoreError, match="checksum") as caught:
        store.sync(survey_id)

    assert not isinstance(caught.value, RowsRefusedError)
    assert "is damaged (" in str(caught.value)
    assert "compare the columns" not in str(caught.value)
    assert "\n" not in str(caught.value)


LEAVES_A_LOG = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("PRAGMA disable_checkpoint_on_shutdown")
connection.execute("CREATE TABLE left_over AS SELECT range AS n FROM range(1000)")
os._exit(0)
"""


def test_a_damaged_log_is_named(store, survey_id):
    store.sync(survey_id)
    subprocess.run([sys.executable, "-c", LEAVES_A_LOG, str(store.path)], check=True)
    log = store.path.with_name(f"{store.path.name}.wal")
    damaged = bytearray(log.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 8] = b"z" * 8
    log.write_bytes(damaged)

    with pytest.raises(HotjarStoreError, match="is damaged") as caught:
        store.sync(survey_id)

    assert not isinstance(caught.value, RowsRefusedError)
    assert "or its log warehouse.duckdb.wal, is damaged" in str(caught.value)
    assert log.read_bytes() == damaged


def test_a_file_of_a_newer_duckdb_is_told_as_such(tmp_path):
    said = (
        "IO Error: Trying to read a database file with version number 999, but we can only read "
        "versions between 64 and 67"
    )

    error = _store_error(duckdb.IOException(said), tmp_path / "warehouse.duckdb")

    assert f"written by a newer DuckDB than {duckdb.__version__}" in str(error)


SECRET = "MARKED-answer"
NOT_ROWS = {
    "damaged": (duckdb.Error("Corrupt database file: computed checksum 1"), "is damaged (Corrupt"),
    "later": (
        duckdb.FatalException(f"FATAL Error: {SECRET} Corrupt WAL file"),
        "is damaged (FatalException)",
    ),
    "inside": (duckdb.InternalException(f"INTERNAL Error: {SECRET}"), "(InternalException)"),
    "interrupted": (duckdb.InterruptException("INTERRUPT Error: Interrupted!"), "interrupted"),
    "conflict": (
        duckdb.TransactionException(f"TransactionContext Error: Conflict on update! {SECRET}"),
        "changed the same rows at the same time",
    ),
    "disk": (
        duckdb.TransactionException(
            "TransactionContext Error: Failed to commit: No space left on device"
        ),
        "no space left on the disk",
    ),
    "permission": (
        duckdb.IOException('IO Error: Cannot open file "a": Permission denied'),
        "check the permissions",
    ),
    "not-allowed": (duckdb.PermissionException("Permission Error: no"), "(PermissionException)"),
    "written-otherwise": (
        duckdb.SerializationException("Serialization Error: Failed to deserialize"),
        "(SerializationException)",
    ),
}


@pytest.mark.parametrize(("error", "words"), NOT_ROWS.values(), ids=NOT_ROWS)
def test_what_is_not_about_the_rows_is_not_told_as_if_it_were(error, words, tmp_path):
    told = _store_error(error, tmp_path / "warehouse.duckdb")

    assert not isinstance(told, RowsRefusedError)
    assert words in str(told)
    assert "nothing was changed" in str(told)
    assert SECRET not in str(told)


@pytest.mark.parametrize(
    "value", ["Corrupt", "No space left", "Permission denied", "memory", "replaying WAL"]
)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (duckdb.ConstraintException, 'Constraint Error: duplicate key "{}"'),
        (duckdb.ConversionException, "Conversion Error: Could not convert string '{}'"),
        (
            duckdb.TransactionException,
            'TransactionContext Error: Failed to commit: UNIQUE constraint violation: key "{}"',
        ),
    ],
    ids=["constraint", "conversion", "commit"],
)
def test_a_value_that_reads_like_another_error_is_still_a_refused_row(kind, text, value, tmp_path):
    told = _store_error(kind(text.format(value)), tmp_path / "warehouse.duckdb")

    assert isinstance(told, RowsRefusedError)
    assert value not in str(told)


def test_two_connections_that_change_the_same_row_are_told_as_such(store, survey_id):
    store.sync(survey_id)
    database = store.warehouse._database
    change = "UPDATE hotjar.survey_responses SET country = 'XX'"

    def change_twice():
        with database.transaction() as first, database.transaction() as second:
            first.execute(change)
            second.execute(change)

    with pytest.raises(HotjarStoreError, match="changed the same rows at the same time"):
        change_twice()

    assert "XX" not in {row["country"] for row in model.responses(store.path).values()}


def test_a_folder_in_place_of_the_file_names_the_setting(store, survey_id):
    store.path.mkdir()
    with pytest.raises(HotjarConfigError, match=r"HOTJAR_DATABASE: .* is a folder"):
        store.warehouse.check("sandbox")


# --- Another process that holds the file ---------------------------------------------------------


@pytest.fixture
def holder(store, survey_id):
    """Another process that holds the file until it is told to close it."""
    store.sync(survey_id)
    command = [sys.executable, "-c", HOLDER, store.path]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_file_held_by_another_process_is_waited_for_and_the_wait_is_logged(
    account, store, survey_id, holder, caplog
):
    account.add_responses(survey_id, 3)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 60:
            holder.stdin.write("close\n")
            assert holder.stdout.readline() == "free\n"

    store.warehouse = Warehouse(store.path, sleep=sleep)
    with caplog.at_level(logging.WARNING, logger="hotjar_assets"):
        assert store.sync_one(survey_id).figures.new == 3
    assert len(waits) == 60
    line = rf"waiting for {re.escape(str(store.path))}, held by PID {holder.pid} \(python"
    told = [
        re.fullmatch(rf"{line}.* \((\d+) s so far, 60 s at most\)", message)
        for message in caplog.messages
    ]
    first, *later = [int(match[1]) for match in told if match]
    # At once, then with growing pauses.
    assert first == 0
    assert later[0] >= 2
    assert all(after >= 2 * before for before, after in pairwise(later))
    assert 2 <= len(later) <= 5
    assert len(told) == 1 + len(later)


READS = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
input()
"""


def test_a_reader_is_named_by_its_script_and_not_by_its_arguments(store, survey_id, tmp_path):
    store.sync(survey_id)
    script = tmp_path / "nightly_figures.py"
    script.write_text(READS, encoding="utf-8")
    command = [sys.executable, str(script), str(store.path), "--password=MARKED"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "held\n"
        with pytest.raises(HotjarStoreError) as caught:
            Warehouse(store.path, lock_timeout_seconds=0).check("sandbox")
        reader.communicate("\n")

    program = Path(sys.executable).name
    assert f"is held by PID {reader.pid} ({program} nightly_figures.py) and" in str(caught.value)
    assert "MARKED" not in str(caught.value)
    assert "HOTJAR_LOCK_TIMEOUT_SECONDS higher" in str(caught.value)


def test_waits_are_jittered_and_short(store, survey_id, holder):
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 40:
            holder.stdin.write("close\n")
            holder.stdout.readline()

    Warehouse(store.path, sleep=sleep).check("sandbox")
    assert all(0 <= seconds <= 1 for seconds in waits)
    assert len(set(waits)) > 30


@pytest.mark.parametrize("timeout_seconds", [0, 2])
def test_a_file_that_stays_held_gives_up_and_names_the_holder(
    account, store, survey_id, holder, timeout_seconds
):
    waits: list[float] = []
    store.warehouse = Warehouse(
        store.path, lock_timeout_seconds=timeout_seconds, sleep=waits.append
    )
    with pytest.raises(HotjarStoreError) as caught:
        store.sync(survey_id)
    assert f"{store.path} is held by PID {holder.pid} (python" in str(caught.value)
    assert "in a notebook: connection.close()" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert bool(waits) is bool(timeout_seconds)


def test_after_the_holder_is_gone_the_sync_works(account, store, survey_id, holder):
    holder.kill()
    holder.wait()
    assert store.sync_one(survey_id).figures.new == 0


# --- Killed before the commit --------------------------------------------------------------------


def test_a_process_killed_before_its_commit_leaves_the_old_rows(account, server, store, survey_id):
    store.sync(survey_id)
    before = model.responses(store.path)
    account.add_responses(survey_id, 20)
    account.delete_response(survey_id, account.responses(survey_id)[-1]["id"])
    account.set_response(survey_id, account.responses(survey_id)[30]["id"], country="ZZ")
    arguments = [SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, SANDBOX_SITE_ID, store.path, survey_id]
    killed = subprocess.run(
        [sys.executable, "-c", DYING_SYNC, server.url, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (killed.stdout, killed.returncode) == ("dying\n", 9), killed.stderr
    assert model.responses(store.path) == before
    spool = store.path.parent / f".{store.path.name}.spool"
    assert list(spool.rglob("*.jsonl"))
    figures = store.sync_one(survey_id, depth=Depth.ALL).figures
    assert (figures.rows, figures.new, figures.updated, figures.deleted) == (270, 20, 1, 1)
    assert list(spool.rglob("*")) == []


def test_duckdb_1_opens_a_new_file_whatever_version_made_it(tmp_path):
    path = tmp_path / "new.duckdb"
    Warehouse(path).check("real")
    with duckdb.connect(str(path)) as connection:
        ((tags,),) = connection.execute(
            "SELECT tags FROM duckdb_databases() WHERE database_name = 'new'"
        ).fetchall()
    assert tags == {"storage_version": "v1.0.0+"}
