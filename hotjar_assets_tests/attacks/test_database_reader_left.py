"""Somebody reads what lies in and beside the database after `forget --yes`.

What the command can erase is erased, down to the free blocks of the file; what it cannot is named
on stderr with exit code 1, so that an exit code of 0 means that nothing is left.
"""

import json
import os
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from hotjar_assets.cli import main
from hotjar_assets.config import PiiMode
from hotjar_assets.person import Person
from hotjar_assets.privacy import Privacy
from hotjar_assets.sandbox import SandboxServer
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.dagster.model import SURVEY_IDS, query, small_account
from hotjar_assets_tests.store.conftest import Store, new_client

ADDRESS = "ann.o'bell@left.example"
USER = "ann-5e8d1f2a"
KEY = "a key of sixteen bytes"
TEXT = "MARK-in-her-own-words, longer than what is kept in a header"


class Shell:
    """Runs the command line on a database; no command here makes a request."""

    def __init__(self, database: Path, **variables: str) -> None:
        self.database = database
        self.variables = {"HOTJAR_DATABASE": str(database), **variables}

    def __call__(self, *args: str) -> Result:
        result = CliRunner().invoke(main, args, env=self.variables)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result


@pytest.fixture(autouse=True)
def _without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotjar_assets.defs.models.has_dbt", lambda: False)


@pytest.fixture(scope="module", params=list(PiiMode), ids=lambda mode: mode.value)
def privacy(request: pytest.FixtureRequest) -> Privacy:
    """Every mode: what is left of a person is no different."""
    return Privacy(request.param, KEY.encode())


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, privacy: Privacy) -> bytes:
    """A database in which one response is the person's."""
    account = small_account()
    question = account.survey("104")["questions"][0]["id"]
    answers = [{"question_id": question, "answer": f"{TEXT} {ADDRESS}"}]
    account.add_responses("104", hotjar_user_id=USER, answers=answers)
    path = tmp_path_factory.mktemp("tables") / "tables.duckdb"
    with SandboxServer(account) as server, closing(new_client(server)) as client:
        store = Store(client, path)
        store.warehouse.adopt(privacy, rewrite=False)
        store.list_surveys()
        store.sync(*SURVEY_IDS, privacy=privacy)
    return path.read_bytes()


@pytest.fixture
def known(tmp_path: Path, tables: bytes, privacy: Privacy) -> Shell:
    mode = {"HOTJAR_PII": privacy.mode.value, "HOTJAR_PII_KEY": KEY}
    shell = Shell(tmp_path / "tables.duckdb", **mode)
    shell.database.write_bytes(tables)
    return shell


def stored(user: str, privacy: Privacy) -> str:
    """Return what a table holds of an id; of none, something that is nowhere."""
    is_kept = privacy.mode is PiiMode.KEEP
    return user if is_kept else privacy.value(user) or "nobody-5e8d1f2a"


def forget(shell: Any, *args: str) -> Any:
    return shell("forget", "--email", ADDRESS, "--yes", *args)


def execute(shell: Any, *statements: str) -> None:
    with duckdb.connect(str(shell.database)) as connection:
        for statement in statements:
            connection.execute(statement, {"a": ADDRESS} if "$a" in statement else None)


def test_nothing_is_left_of_a_person_who_is_only_in_our_table(known):
    result = forget(known)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "erased 1 response" in result.stdout
    assert "free blocks hold nothing" in result.stdout
    assert [path.name for path in known.database.parent.iterdir() if ".new" in path.name] == []


def test_the_file_holds_no_bytes_of_the_person(known, privacy):
    # Without compression, so that what is there can be seen.
    execute(
        known,
        "PRAGMA force_compression = 'uncompressed'",
        "CREATE TABLE again AS FROM hotjar.survey_responses",
        "DELETE FROM hotjar.survey_responses",
        "CHECKPOINT",
        "INSERT INTO hotjar.survey_responses FROM again",
        "CHECKPOINT",
        "DROP TABLE again",
        "CHECKPOINT",
    )
    marks = [ADDRESS.encode(), TEXT.encode()]
    if privacy.mode is not PiiMode.DROP:
        marks.append(stored(USER, privacy).encode())
    assert all(mark in known.database.read_bytes() for mark in marks)
    rows = query(known.database, "SELECT count(*) FROM hotjar.survey_responses")
    assert forget(known).exit_code == 0
    assert [mark for mark in marks if mark in known.database.read_bytes()] == []
    assert not known.database.with_name(f"{known.database.name}.wal").exists()
    after = query(known.database, "SELECT count(*) FROM hotjar.survey_responses")
    assert after[0][0] == rows[0][0] - 1


def test_everything_else_of_the_file_is_as_it_was(known):
    execute(
        known,
        "CREATE VIEW of_all AS FROM tables.hotjar.survey_responses",
        "CREATE SEQUENCE numbers START 5",
        "CREATE TYPE mood AS ENUM ('a', 'b')",
        "CREATE MACRO twice(x) AS 2 * x",
        "CREATE TABLE own (id INTEGER PRIMARY KEY, m mood DEFAULT 'a', CHECK (id > 0))",
        "CREATE TABLE child (id INTEGER, n INTEGER DEFAULT nextval('numbers'))",
        "INSERT INTO own (id) VALUES (1)",
        "INSERT INTO child (id) VALUES (1)",
        "COMMENT ON TABLE own IS 'a comment'",
        "CREATE INDEX of_ids ON hotjar.survey_responses (response_id)",
    )
    known.database.chmod(0o640)
    assert forget(known).exit_code == 0
    assert known.database.stat().st_mode & 0o777 == 0o640
    assert query(
        known.database,
        "SELECT (SELECT count(*) FROM of_all) = (SELECT count(*) FROM hotjar.survey_responses), "
        "nextval('numbers'), twice(3), (SELECT max(m) FROM own), (SELECT max(n) FROM child), "
        "(SELECT max(comment) FROM duckdb_tables()), (SELECT max(index_name) FROM duckdb_indexes()"
        " WHERE table_name = 'survey_responses')",
    ) == [(True, 6, 6, "a", 5, "a comment", "of_ids")]


def test_a_table_with_a_foreign_key_is_copied_or_named(known):
    execute(
        known,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER REFERENCES parent (id))",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1)",
    )
    result = forget(known)
    if duckdb.__version__.startswith("1."):
        assert result.exit_code == 1
        assert "DuckDB below 2 cannot copy a table with a foreign key" in result.stderr
        assert "free blocks may still hold what was erased" in result.stderr
    else:
        assert (result.exit_code, result.stderr) == (0, "")
    assert query(known.database, "SELECT count(*) FROM parent JOIN child USING (id)") == [(1,)]


def test_a_file_that_cannot_be_written_anew_is_named(known, tmp_path):
    other = tmp_path / "other name"
    os.link(known.database, other)
    result = forget(known)
    assert result.exit_code == 1
    assert "free blocks may still hold what was erased" in result.stderr
    other.unlink()
    # What was not done is done the next time, though no row is found any more.
    again = forget(known)
    assert (again.exit_code, again.stderr) == (0, "")
    assert "erased 0 responses" in again.stdout
    assert "free blocks hold nothing" in again.stdout
    assert "free blocks" not in forget(known).stdout


@pytest.mark.slow
def test_no_commit_of_another_process_is_lost_while_the_file_is_rewritten(tmp_path):
    path = tmp_path / "tables.duckdb"
    Warehouse(path).check("real")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE counted (n INTEGER)")
    stop = tmp_path / "stop"
    program = """
import os, sys, duckdb
database, stop = sys.argv[1:]
done = 0
while not os.path.exists(stop):
    try:
        connection = duckdb.connect(database)
    except duckdb.IOException:
        continue
    connection.execute("INSERT INTO counted VALUES (1)")
    connection.close()
    done += 1
print(done)
"""
    command = [sys.executable, "-c", program, str(path), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            warehouse = Warehouse(path)
            for _ in range(5):
                warehouse.compact(is_due=True)
        finally:
            stop.touch()
        committed, _ = writer.communicate()
    assert writer.returncode == 0
    assert int(committed) > 0
    assert query(path, "SELECT count(*) FROM counted") == [(int(committed),)]


# --- Beside the database -----------------------------------------------------------------------


def test_the_report_beside_the_database_is_deleted_and_others_are_named(known):
    report = Path(known("report").stdout.strip())
    board, elsewhere = report.with_name("board.html"), report.with_name("page.html")
    assert known("report", "--out", str(board)).exit_code == 0
    elsewhere.write_text("<html>not ours</html>", encoding="utf-8")
    killed = report.with_name(".hotjar-5e8d1f2a.new")
    killed.write_bytes(report.read_bytes())
    shown = known("forget", "--email", ADDRESS)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert f"{report.name}: would be deleted" in shown.stdout
    assert report.exists()
    result = forget(known)
    assert result.exit_code == 1
    assert not report.exists()
    assert not killed.exists()
    assert f"{board}: is a report of this database" in result.stderr
    assert "page.html" not in result.output
    assert board.exists()
    assert elsewhere.exists()


def test_a_report_that_is_a_link_is_named_and_its_target_stays(known, tmp_path):
    report = Path(known("report").stdout.strip())
    target = tmp_path / "elsewhere.html.kept"
    report.rename(target)
    report.symlink_to(target)
    result = forget(known)
    assert result.exit_code == 1
    assert str(report) in result.stderr
    assert target.exists()


def killed_spool(database: Path, name: str = "5e8d1f2a5e8d1f2a5e8d1f2a5e8d1f2a") -> Path:
    root = database.with_name(f".{database.name}.spool")
    root.mkdir(mode=0o700, exist_ok=True)
    folder = root / name
    folder.mkdir(mode=0o700)
    (folder / "rows.jsonl").write_text(TEXT, encoding="utf-8")
    Path(f"{folder}.lock").touch()
    return folder


def test_the_spool_of_a_killed_sync_is_deleted(known):
    folder = killed_spool(known.database)
    assert "would be deleted" in known("forget", "--email", ADDRESS).stdout
    assert folder.exists()
    result = forget(known)
    assert (result.exit_code, result.stderr) == (0, "")
    assert not folder.exists()
    assert "deleted what killed syncs left" in result.stdout


def test_the_spool_of_a_sync_that_runs_is_named(known):
    folder = killed_spool(known.database)
    with FileLock(f"{folder}.lock"):
        result = forget(known)
    assert result.exit_code == 1
    assert "a sync is running" in result.stderr
    assert (folder / "rows.jsonl").exists()


def test_what_duckdb_had_put_aside_is_deleted(known):
    spilled = known.database.with_name(f"{known.database.name}.tmp") / "duckdb_temp_storage-0.tmp"
    spilled.parent.mkdir()
    spilled.write_text(TEXT, encoding="utf-8")
    assert forget(known).exit_code == 0
    assert not spilled.exists()


# --- Other tables ------------------------------------------------------------------------------


def test_rows_of_other_tables_are_named_with_their_number(known, privacy):
    # The id is known from the responses, where it stands as it is stored.
    user, other = stored(USER, privacy), stored(f"{USER}x", privacy)
    count = 3 if privacy.mode is PiiMode.DROP else 4
    execute(
        known,
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders "
        "(id INTEGER, customer VARCHAR, note JSON, items STRUCT(t VARCHAR)[])",
        "INSERT INTO shop.orders VALUES (1, $a, NULL, NULL), (2, 'x', NULL, [{t: 'to ' || $a}]), "
        "(3, 'x', to_json({n: [{m: $a}]}), NULL), (4, 'xx' || $a, NULL, NULL), "
        f"(5, NULL, '\"{user}\"', NULL), (6, '{other}', NULL, NULL)",
        'CREATE TABLE "odd "" name" (m MAP(VARCHAR, VARCHAR), b BLOB, u UNION(t VARCHAR))',
        'INSERT INTO "odd "" name" VALUES (MAP {$a: \'x\'}, encode($a), $a)',
        "CREATE VIEW shop.seen AS FROM shop.orders",
        "CREATE TABLE shop.numbers AS SELECT 1 AS n",
    )
    rows = query(known.database, "FROM shop.orders")
    shown = known("forget", "--email", ADDRESS)
    assert shown.exit_code == 0
    assert f"left: shop.orders ({count} rows, in customer, items, note)" in shown.stdout
    result = forget(known)
    assert result.exit_code == 1
    done = "is not changed; delete the rows where they come from, then here"
    assert sorted(result.stderr.splitlines()) == [
        f'left: main.odd " name (1 row, in b, m, u): {done}',
        f"left: shop.orders ({count} rows, in customer, items, note): {done}",
    ]
    assert query(known.database, "FROM shop.orders") == rows
    # Exit code 1 until they are gone; who is found by the address alone is still found.
    assert forget(known).exit_code == 1
    execute(known, 'DROP TABLE "odd "" name"', "DELETE FROM shop.orders")
    assert forget(known).exit_code == 0


def test_a_survey_that_names_the_person_is_named(known):
    execute(known, "UPDATE hotjar.surveys SET name = 'Ask ' || $a WHERE survey_id = '101'")
    result = forget(known)
    assert result.exit_code == 1
    assert "left: hotjar.surveys (1 row, in name)" in result.stderr


def with_models(shell: Any) -> Any:
    """Make what an earlier run of dbt left, with an answer that does not hold the address."""
    execute(
        shell,
        "CREATE SCHEMA hotjar_marts",
        "CREATE TABLE hotjar_marts.hotjar__response AS SELECT survey_id, response_id, "
        "recording_url, 'x' AS texts FROM hotjar.survey_responses",
    )
    return shell


def test_models_without_dbt_are_named_and_not_left_in_silence(known):
    result = forget(with_models(known))
    assert result.exit_code == 1
    assert "left: hotjar_marts.hotjar__response (1 row, in response_id)" in result.stderr
    assert "install hotjar-assets[dbt]" in result.stderr
    # The response is gone and still known by its id.
    assert forget(known).exit_code == 1
    execute(known, "DROP TABLE hotjar_marts.hotjar__response")
    assert forget(known).exit_code == 0


def test_models_that_fail_are_named_and_run_again(known, monkeypatch):
    with_models(known)
    outcomes = ["the models failed; the log of run 1 in Dagster says why", None]

    def run(_instance: Any, database: Path) -> str | None:
        problem = outcomes.pop(0)
        if problem is None:
            execute(known, "DROP TABLE hotjar_marts.hotjar__response")
        return problem

    monkeypatch.setattr("hotjar_assets.defs.models.has_dbt", lambda: True)
    monkeypatch.setattr("hotjar_assets.runs.run_models", run)
    monkeypatch.setattr("hotjar_assets.runs.local_instance", nullcontext)
    first = forget(known)
    assert first.exit_code == 1
    assert "left: dbt models: the models failed" in first.stderr
    assert "left: hotjar_marts.hotjar__response (1 row" in first.stderr
    second = forget(known)
    assert (second.exit_code, second.stderr) == (0, "")
    assert "made the dbt models anew" in second.stdout
    assert outcomes == []


# --- What is said ------------------------------------------------------------------------------


def test_json_says_the_same(known):
    Path(known("report").stdout.strip())
    shown = json.loads(known("forget", "--email", ADDRESS, "--json").stdout)
    assert shown["is_erased"] is False
    execute(known, "CREATE TABLE own AS SELECT $a AS mail")
    result = forget(known, "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert said["is_erased"] is True
    assert said["responses"] == shown["responses"]
    assert [each["survey_id"] for each in said["responses"]] == ["104"]
    places = {Path(place["name"]).name: place for place in said["places"]}
    assert places.keys() == {"tables-report.html", "main.own", "tables.duckdb"}
    assert [name for name, place in places.items() if place["is_left"]] == ["main.own"]
    assert (places["main.own"]["rows"], places["main.own"]["columns"]) == (1, ["mail"])
    assert said["asked_hotjar_to"] is None


@pytest.mark.parametrize(
    ("mode", "said"),
    [("keep", None), ("hash", "stored as one hash"), ("drop", "no ids are stored")],
)
def test_what_cannot_be_found_is_said(tmp_path, mode, said):
    quick = Shell(tmp_path / "tables.duckdb", HOTJAR_PII=mode, HOTJAR_PII_KEY=KEY)
    Warehouse(quick.database).adopt(Privacy(PiiMode(mode), KEY.encode()), rewrite=False)
    notes = json.loads(quick("forget", "--email", ADDRESS, "--json").stdout)["not_searched"]
    assert any("a name" in note for note in notes)
    assert [note for note in notes if "HOTJAR_PII" in note and str(said) in note] == [
        note for note in notes if "HOTJAR_PII" in note
    ]
    assert any("HOTJAR_PII" in note for note in notes) is (said is not None)
    short = quick("forget", "--user", "7").stdout
    assert "looked for in hotjar_user_id alone" in short


@pytest.mark.parametrize(
    "args", [("--user", " "), ("--user", ""), ("--email", "ann"), ("--email", "")]
)
def test_what_would_be_found_with_everybody_is_refused(known, args):
    before = query(known.database, "SELECT count(*) FROM hotjar.survey_responses")
    result = known("forget", *args, "--yes")
    assert result.exit_code == 2
    assert query(known.database, "SELECT count(*) FROM hotjar.survey_responses") == before


def test_erasing_twice_at_once_is_safe(known, privacy):
    person = Person(email=ADDRESS)
    rows = Warehouse(known.database).erase_person(person, privacy)
    assert len(rows) == 1
    assert Warehouse(known.database).erase_person(person, privacy) == []
