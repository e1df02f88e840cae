"""`hotjar-assets report`: where the page goes, what it replaces, and how it fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from hotjar_assets.cli import main
from hotjar_assets.report.file import write_page
from hotjar_assets_tests.browser.dagster_dev import clean_environment
from hotjar_assets_tests.report.model import SCRIPT, Page


@pytest.fixture
def database(hard, tmp_path):
    return Path(shutil.copy(hard, tmp_path / "answers.duckdb"))


@pytest.fixture
def report(database):
    """Runs the command on the database, as a shell would."""

    def run(*args, **variables):
        environment = {"HOTJAR_DATABASE": str(database)} | variables
        result = CliRunner().invoke(main, ["report", *args], env=environment)
        # Whatever happens, nobody gets to see a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


def problem_of(result):
    """Return the one line of a command that had nothing to do."""
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


def test_the_page_stands_beside_the_database_and_its_path_is_printed(report, database):
    done = report()

    path = database.with_name("answers-report.html")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{path}\n", "")
    assert "5 surveys, 20 responses" in Page(path.read_text(encoding="utf-8")).text
    assert sorted(database.parent.iterdir()) == [path, database]


def test_surveys_can_be_chosen(report, tmp_path):
    out = tmp_path / "some.html"
    done = report("--survey", "3", "--survey", "1", "--out", str(out))

    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    page = Page(out.read_text(encoding="utf-8"))
    assert "2 surveys, 15 responses" in page.text
    assert page.values("href").count("#s2") == 1


def test_surveys_can_be_chosen_by_name(report, database, tmp_path):
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE hotjar.surveys SET name = 'Exit  poll' WHERE survey_id = '3'")

    done = report("--survey", "EXIT poll", "--out", str(tmp_path / "by_name.html"))
    same = report("--survey", "3", "--out", str(tmp_path / "by_id.html"))

    assert (done.exit_code, same.exit_code) == (0, 0)
    by_name, by_id = (
        Page((tmp_path / name).read_text(encoding="utf-8")).values("href")
        for name in ("by_name.html", "by_id.html")
    )
    assert by_name == by_id


def test_a_report_is_replaced_and_another_file_is_not(report, tmp_path, database):
    own, other = tmp_path / "own.html", tmp_path / "other.html"
    assert report("--out", str(own), "--survey", "3").exit_code == 0
    assert report("--out", str(own)).exit_code == 0
    other.write_text("mine", encoding="utf-8")

    assert SCRIPT in Page(own.read_text(encoding="utf-8")).text
    assert "is no report of hotjar-assets" in problem_of(report("--out", str(other)))
    assert other.read_text(encoding="utf-8") == "mine"
    assert "is not replaced" in problem_of(report("--out", str(database)))


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_page(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_page(path, "new \ud800")

    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--survey", "1", "--survey", "99"], "has no survey with the id or name '99'; "),
        (["--effort", "("], "--effort: is not a regular expression (missing ): ()"),
        (["--out", "missing/page.html"], "the folder missing does not exist"),
        (["--out", "."], "cannot be written (Is a directory)"),
        (["--out", "p" * 300], "cannot be written (File name too long)"),
    ],
    ids=["survey", "expression", "no folder", "folder", "name"],
)
def test_bad_usage_is_one_line(arguments, words, report):
    assert words in problem_of(report(*arguments))


def test_without_a_database_or_its_tables_it_says_what_to_run(report, tmp_path):
    missing, empty = tmp_path / "new" / "none.duckdb", tmp_path / "empty.duckdb"
    duckdb.connect(str(empty)).close()

    line = problem_of(report(HOTJAR_DATABASE=str(missing)))
    assert line == f"HOTJAR_DATABASE: {missing} does not exist; run hotjar-assets sync first"
    assert not missing.parent.exists()
    assert "has no tables of Hotjar's" in problem_of(report(HOTJAR_DATABASE=str(empty)))


def test_a_survey_that_is_gone_is_left_out(report, database, tmp_path):
    with duckdb.connect(str(database)) as connection:
        for table in ("surveys", "survey_responses"):
            connection.execute(
                f"UPDATE hotjar.{table} SET deleted_at = synced_at WHERE survey_id = '1'"
            )

    assert "gone from Hotjar" in problem_of(report("--survey", "1"))
    done = report("--out", str(tmp_path / "rest.html"))
    assert "4 surveys, 6 responses" in Page(Path(done.stdout.strip()).read_text("utf-8")).text


def test_no_account_is_needed_and_the_sandbox_has_a_page_of_its_own(report, hard, monkeypatch):
    Path("data").mkdir()
    shutil.copy(hard, "data/sandbox.duckdb")

    done = report(HOTJAR_DATABASE="", HOTJAR_SANDBOX="1")

    assert done.stdout == "data/sandbox-report.html\n"


def test_a_database_that_another_process_holds_is_one_line(report, database):
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        done = report(HOTJAR_LOCK_TIMEOUT_SECONDS="0")
        holder.communicate("\n")

    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
    assert f"{database} is held by PID {holder.pid}" in line


MANY = """
INSERT INTO hotjar.survey_responses BY NAME
SELECT survey_id, site_id, platform, synced_at, is_complete,
    'many' || n AS response_id, created_at - INTERVAL (n) MINUTE AS created_at,
    list_transform(answers, lambda a: struct_pack(question_id := a.question_id,
        answer := CASE WHEN a.question_id = '13' THEN (n % 11)::VARCHAR ELSE a.answer || n END,
        comment := a.comment, tags := a.tags, sentiment := a.sentiment)) AS answers
FROM (FROM hotjar.survey_responses WHERE survey_id = '1' LIMIT 1), range(1000000) AS r(n)
"""
MEASURE = """
import resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, time.monotonic() - began)
"""


@pytest.mark.slow
def test_a_million_responses_take_seconds_and_bounded_memory(database, project):
    with duckdb.connect(str(database)) as connection:
        connection.execute(MANY)
    program = str(Path(sys.executable).with_name("hotjar-assets"))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, program, "report"],
        env=clean_environment(HOTJAR_DATABASE=str(database), PYTHONPATH=str(project)),
        capture_output=True,
        text=True,
        check=True,
    )

    megabytes, seconds = (float(figure) for figure in done.stdout.split())
    assert megabytes < 400, megabytes
    assert seconds < 60, seconds
    path = database.with_name("answers-report.html")
    assert "1,000,014" in Page(path.read_text(encoding="utf-8")).text
    assert path.stat().st_size < 500_000
