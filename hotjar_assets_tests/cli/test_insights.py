"""The export as a source: the same tables from e-mail and password, and from a file on the disk."""

import json
import logging
import os
import signal
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hotjar_assets.api import exports
from hotjar_assets.config import Settings
from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.partitions import known_surveys, survey_partitions
from hotjar_assets.runs import local_instance, run_sync
from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_SECRET,
    SANDBOX_EMAIL,
    SANDBOX_PASSWORD,
    SANDBOX_SITE_ID,
    Fault,
    SandboxAccount,
    SandboxServer,
)
from hotjar_assets.sandbox.catalog import default_blueprints
from hotjar_assets.sandbox.insights import export_file, wide_csv
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import CLOCK, query

EVERY_TYPE, CANCELLED, ODD, LONG, EMPTY = "1204510", "1204505", "77", "78", "79"
SURVEY_IDS = [EVERY_TYPE, CANCELLED, ODD, LONG, EMPTY]
LONG_ROWS = 700
WHY = 'Pourquoi\u00a0?\n("réponse" libre, s\'il vous plaît)'


def exported_account() -> SandboxAccount:
    """Surveys with every type of question, with equal texts, of two pages, and without rows."""
    kept = [each for each in default_blueprints() if each.survey_id in SURVEY_IDS]
    account = SandboxAccount(clock=CLOCK, blueprints=kept)
    questions = [
        {"id": name, "text": text, "type": "long-text", "is_required": False, "choices": None}
        for name, text in (("a", WHY), ("b", "Country"), ("c", WHY), ("d", WHY))
    ]
    account.add_survey("Odd", survey_id=ODD, questions=questions)
    for given in ({"a": "first", "c": 'x,"y"\nz'}, {"d": "last", "b": "Malta"}, {"c": "  "}):
        answers = [{"question_id": name, "answer": text} for name, text in given.items()]
        account.add_responses(ODD, answers=answers)
    account.add_survey("Long", survey_id=LONG, responses=LONG_ROWS)
    account.add_survey("Empty", survey_id=EMPTY)
    return account


@pytest.fixture(params=["zip", "csv"])
def export_format(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(exported_account()) as server:
        yield server


@pytest.fixture
def shell(server: SandboxServer, tmp_path: Path) -> Shell:
    return exporting(server, tmp_path)


def exporting(server: SandboxServer, folder: Path) -> Shell:
    """Return a shell that has an e-mail and a password, and no API key."""
    shell = Shell(server, folder / "tables.duckdb")
    del shell.variables["HOTJAR_CLIENT_ID"], shell.variables["HOTJAR_CLIENT_SECRET"]
    shell.variables |= {
        "HOTJAR_SOURCE": "insights",
        "HOTJAR_EMAIL": SANDBOX_EMAIL,
        "HOTJAR_PASSWORD": SANDBOX_PASSWORD,
    }
    return shell


def figures(shell: Shell, *args: str, **variables: str | None) -> dict[str, Any]:
    """Run a command that must succeed, and return what it says of each survey."""
    result = shell(*args, "--json", **variables)
    assert result.exit_code == 0, result.stderr
    partitions: dict[str, Any] = json.loads(result.stdout)["partitions"]
    return partitions


def expected(account: SandboxAccount, survey_id: str) -> list[tuple[Any, ...]]:
    """Return the account's truth as the table should hold it, as far as an export tells it."""
    rows = []
    for number, row in account.numbered_responses(survey_id):
        given: dict[str, list[str]] = {}
        for answer in row["answers"]:
            if answer["answer"] is not None:
                given.setdefault(answer["question_id"], []).append(answer["answer"])
        attributes = {each["name"]: each["value"] for each in row["user_attributes"]}
        rows.append(
            (
                str(number),
                SANDBOX_SITE_ID,
                "hotjar",
                datetime.fromisoformat(row["created_time"]).replace(microsecond=0),
                None,
                row["device"],
                row["browser"],
                row["os"],
                row["country"],
                row["hotjar_user_id"],
                row["response_origin_url"],
                {
                    name: str(value).lower() if isinstance(value, bool) else str(value)
                    for name, value in attributes.items()
                    if value is not None
                },
                given,
                {"User": attributes["user_id"]} if "user_id" in attributes else None,
            )
        )
    return sorted(rows, key=lambda row: int(row[0]))


def stored(database: Path, survey_id: str) -> list[tuple[Any, ...]]:
    rows = query(
        database,
        "SELECT response_id, site_id, platform, CAST(epoch_us(created_at) AS VARCHAR), is_complete,"
        " device, browser, os, country, hotjar_user_id, response_origin_url, "
        "CAST(to_json(user_attributes) AS VARCHAR), CAST(to_json(answers) AS VARCHAR), "
        "CAST(extra AS VARCHAR) "
        "FROM hotjar.survey_responses WHERE survey_id = $key ORDER BY CAST(response_id AS INTEGER)",
        key=survey_id,
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [
        (
            *row[:3],
            epoch + timedelta(microseconds=int(row[3])),
            *row[4:11],
            {item["name"]: item["value"] for item in json.loads(row[11])},
            _by_question(json.loads(row[12])),
            json.loads(row[13] or "null"),
        )
        for row in rows
    ]


def _by_question(answers: list[dict[str, Any]]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for answer in answers:
        given.setdefault(answer["question_id"], []).append(answer["answer"])
    return given


def count(database: Path, condition: str = "true") -> int:
    ((rows,),) = query(database, f"SELECT count(*) FROM hotjar.survey_responses WHERE {condition}")
    return int(rows)


def write_export(account: SandboxAccount, survey_id: str, path: Path) -> Path:
    text = wide_csv(account.survey(survey_id), account.numbered_responses(survey_id))
    path.write_bytes(export_file(text, "zip" if path.suffix == ".zip" else "csv"))
    return path


# --- Syncing -----------------------------------------------------------------------------------


def test_the_tables_hold_the_truth_of_the_account(instance, tmp_path, export_format):
    with SandboxServer(exported_account(), export_format=export_format) as server:
        shell = exporting(server, tmp_path)

        synced = figures(shell, "sync")

        assert {key: each["rows"] for key, each in synced.items()} == {
            survey_id: server.account.response_count(survey_id) for survey_id in SURVEY_IDS
        }
        for survey_id in SURVEY_IDS:
            assert stored(shell.database, survey_id) == expected(server.account, survey_id)
        listed = query(
            shell.database, "SELECT survey_id, len(questions) FROM hotjar.surveys ORDER BY ALL"
        )
        assert listed == sorted(
            (each["id"], len(each["questions"])) for each in server.account.surveys()
        )
        assert instance.get_status_by_partition(
            survey_responses.key, SURVEY_IDS, survey_partitions
        ).keys() == set(SURVEY_IDS)


def test_a_second_sync_costs_the_same_requests_and_writes_nothing(quick):
    figures(quick, "sync")
    quick.server.clear_requests()

    again = figures(quick, "sync")

    assert {each["requests"] for each in again.values()} == {3}
    assert {(each["new"], each["updated"], each["deleted"]) for each in again.values()} == {
        (0, 0, 0)
    }
    downloads = [each for each in quick.server.requests if each.path.startswith("/exports/")]
    assert len(downloads) == len(SURVEY_IDS)
    for download in downloads:
        assert not {"x-acc", "cookie", "authorization"} & download.headers.keys()
        assert download.headers["host"] != quick.server.url.removeprefix("http://")


def test_a_server_that_checks_the_cookies_of_the_login_is_read(tmp_path):
    with SandboxServer(exported_account(), needs_cookies=True) as server:
        shell = exporting(server, tmp_path)

        figures(shell, "sync", "--survey", ODD, "--no-models")
        server.expire_tokens()
        figures(shell, "sync", "--survey", ODD, "--no-models")

        sent = [each for each in server.requests if each.path.startswith("/api/")]
        downloads = [each for each in server.requests if each.path.startswith("/exports/")]

    with_session = [each.headers for each in sent if "x-acc" in each.headers]
    assert len(with_session) > len(downloads) == 2
    assert {each["cookie"] == f"ACC={each['x-acc']}" for each in with_session} == {True}
    assert [{"cookie", "x-acc"} & each.headers.keys() for each in downloads] == [set(), set()]


def test_what_is_new_changed_or_gone_arrives(quick):
    figures(quick, "sync")
    account = quick.server.account
    account.add_responses(LONG, 3)
    newest, *_ = account.responses(ODD)
    account.set_response(ODD, newest["id"], country="IS")
    account.delete_response(LONG, account.responses(LONG)[400]["id"])

    synced = figures(quick, "sync", "--full")

    assert (synced[LONG]["new"], synced[LONG]["deleted"]) == (3, 1)
    assert (synced[ODD]["new"], synced[ODD]["updated"]) == (0, 1)
    assert count(quick.database, "country = 'IS'") == 1
    assert count(quick.database, "deleted_at IS NOT NULL") == 1


def test_an_export_that_is_not_newest_first_is_read_to_its_end(quick):
    figures(quick, "sync")
    account = quick.server.account
    oldest = account.responses(LONG)[-1]
    account.set_response(LONG, oldest["id"], created_time="2026-03-01T00:00:00Z")

    result = quick("sync", "--survey", LONG, "--json")

    assert json.loads(result.stdout)["partitions"][LONG]["updated"] == 1
    assert f"survey {LONG} (Long): page 1 is not newest first; reading to the end" in result.stderr


def test_only_the_pages_that_may_hold_something_new_are_stored_again(quick, instance):
    figures(quick, "sync")
    figures(quick, "sync", "--survey", LONG)

    (record,) = instance.fetch_materializations(survey_responses.key, limit=1).records
    metadata = {name: each.value for name, each in record.asset_materialization.metadata.items()}
    assert (record.partition_key, metadata["pages"], metadata["stopped_early"]) == (LONG, 1, True)


def test_nothing_older_than_the_start_date_is_stored(quick):
    cut = expected(quick.server.account, LONG)[LONG_ROWS // 2][3]
    start = (cut + timedelta(days=1)).date()

    figures(quick, "sync", HOTJAR_START_DATE=start.isoformat())

    rows = expected(quick.server.account, LONG)
    kept = [row for row in rows if row[3].date() >= start]
    assert 0 < len(kept) < LONG_ROWS
    assert stored(quick.database, LONG) == kept


@pytest.mark.parametrize("is_filtered", [True, False], ids=["filtered", "whole"])
def test_with_a_filter_nothing_that_is_missing_counts_as_deleted(quick, is_filtered):
    figures(quick, "sync")
    account = quick.server.account
    account.delete_response(LONG, account.responses(LONG)[0]["id"])
    clauses = '{"sort_by":"-index","clauses":[{"by":"country"}]}' if is_filtered else None

    for args in (["sync"], ["sync", "--full"], ["sync", "--full", "--purge"]):
        figures(quick, *args, HOTJAR_SURVEY_QUERY=clauses)

    assert count(quick.database, f"survey_id = '{LONG}'") == LONG_ROWS - (not is_filtered)
    assert count(quick.database, "deleted_at IS NOT NULL") == 0


def test_personal_values_are_dropped_before_they_are_stored(quick):
    figures(quick, "sync", HOTJAR_PII="drop")

    account = quick.server.account
    rows = stored(quick.database, EVERY_TYPE)
    assert len(rows) == account.response_count(EVERY_TYPE)
    truth = expected(account, EVERY_TYPE)
    emails = {
        each["id"] for each in account.survey(EVERY_TYPE)["questions"] if each["type"] == "email"
    }
    assert any(emails & row[12].keys() for row in truth)
    for row, true in zip(rows, truth, strict=True):
        assert row[9] is None
        assert row[10] == true[10].partition("?")[0].partition("#")[0]
        assert row[11] == dict.fromkeys(true[11])
        assert row[12] == {
            name: [None] if name in emails else texts for name, texts in true[12].items()
        }
        assert row[13] == (true[13] and {"User": None})


def test_a_hash_joins_the_rows_of_one_person(quick):
    figures(quick, "sync", HOTJAR_PII="hash", HOTJAR_PII_KEY="0123456789abcdef")

    users = {
        (true[9], row[9])
        for row, true in zip(
            stored(quick.database, EVERY_TYPE),
            expected(quick.server.account, EVERY_TYPE),
            strict=True,
        )
    }
    assert len(users) == len({user for user, _ in users})
    assert {hashed[:5] for _, hashed in users} == {"hmac:"}


# --- What goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("sso", path="login"),
        Fault("two_factor", path="login"),
        Fault("401", path="login"),
    ],
    ids=["sso", "two-factor", "wrong"],
)
def test_a_login_that_is_not_enough_says_so_and_is_tried_once(quick, fault):
    quick.server.faults.add(fault)

    result = quick("sync")

    assert result.exit_code == 1
    assert "works only with e-mail and password, without SSO and 2FA" in result.stderr
    assert SANDBOX_EMAIL not in result.output
    assert SANDBOX_PASSWORD not in result.output
    assert [each.path for each in quick.server.requests] == ["/api/v2/users"]


def test_an_export_without_its_link_fails_that_survey_alone(quick):
    quick.server.faults.add(Fault("download_url_missing", path="export", survey_id=ODD))

    result = quick("sync", "--json")

    assert result.exit_code == 1
    assert f"survey {ODD} (Odd): download_url: is missing" in result.stderr
    partitions = json.loads(result.stdout)["partitions"]
    failed = [key for key, each in partitions.items() if each["status"] == "failed"]
    assert failed == [ODD]


def test_a_download_that_breaks_off_twice_is_whole_at_last(quick):
    quick.server.faults.add(Fault("cut", path="download", times=2))

    synced = figures(quick, "sync", "--survey", LONG)

    assert (synced[LONG]["rows"], synced[LONG]["requests"]) == (LONG_ROWS, 5)


def test_a_session_that_runs_out_between_two_syncs_is_renewed(quick):
    figures(quick, "sync", "--survey", ODD)
    quick.server.faults.add(Fault("401", path="export", times=1))

    assert figures(quick, "sync", "--survey", ODD)[ODD]["requests"] == 4


def test_check_tells_whether_the_login_works(quick):
    assert quick("check").exit_code == 0

    quick.server.faults.add(Fault("sso", path="login"))
    result = quick("check")

    assert result.exit_code == 1
    assert "failed  credentials: the login was refused" in result.stdout


@pytest.mark.parametrize("first", ["api", "insights"])
def test_rows_of_the_api_and_of_the_export_are_never_mixed(quick, first):
    key = {"HOTJAR_CLIENT_ID": "sandbox", "HOTJAR_CLIENT_SECRET": SANDBOX_CLIENT_SECRET}
    second = {"api": "insights", "insights": "api"}[first]
    figures(quick, "sync", HOTJAR_SOURCE=first, **key)
    rows = count(quick.database)

    result = quick("sync", HOTJAR_SOURCE=second, **key)

    assert result.exit_code == 1
    assert f"was filled with HOTJAR_SOURCE={first} and these rows are of {second}" in result.stderr
    assert "set HOTJAR_DATABASE to another file" in result.stderr
    assert count(quick.database) == rows


def test_a_file_of_an_older_release_counts_as_filled_from_the_api(quick):
    figures(
        quick,
        "sync",
        HOTJAR_SOURCE="api",
        HOTJAR_CLIENT_ID="sandbox",
        HOTJAR_CLIENT_SECRET=SANDBOX_CLIENT_SECRET,
    )
    query(quick.database, "DELETE FROM hotjar.meta WHERE name = 'source'")

    assert "was filled with HOTJAR_SOURCE=api" in quick("sync").stderr


def test_asking_hotjar_to_forget_needs_the_api(quick):
    result = quick("forget", "--user", "u", "--at-hotjar", "--yes")

    assert result.exit_code == 2
    assert "HOTJAR_SOURCE: --at-hotjar needs the API" in result.stderr


def test_no_answer_and_no_login_is_said_or_left(caplog, capfd, monkeypatch, tmp_path):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with SandboxServer(exported_account()) as server:
        server.account.add_responses(
            ODD, answers=[{"question_id": "a", "answer": "MARKED-answer"}], country="MARKED-land"
        )
        shell = exporting(server, tmp_path)
        settings = Settings.from_environment({k: str(v) for k, v in shell.variables.items()})
        with local_instance() as instance:
            problems = []
            for fault in (
                Fault("403", path="download", survey_id=None, times=1),
                Fault("raw_body", path="download", body=b"MARKED-answer,x\n", times=1),
                Fault("two_factor", path="login"),
            ):
                server.faults.clear()
                server.faults.add(fault)
                outcome = run_sync(instance, settings, full=True)
                problems += outcome.problems
            assert len(problems) == 3
    said = capfd.readouterr()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    left = b"".join(path.read_bytes() for path in files if path.name != "tables.duckdb")
    assert len(left) > 100_000
    text = "\n".join([caplog.text, said.out, said.err, *problems])
    assert "DEBUG" in text
    for hidden in ("MARKED-answer", "MARKED-land", SANDBOX_EMAIL, SANDBOX_PASSWORD):
        assert hidden not in text
        assert hidden.encode() not in left


def test_one_line_shows_it_without_an_account(instance, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell = Shell.__new__(Shell)
    shell.variables = {"HOTJAR_SANDBOX": "1", "HOTJAR_SOURCE": "insights"}

    synced = figures(shell, "sync", "--survey", "1204511")

    assert synced["1204511"]["rows"] == 100
    database = tmp_path / "data" / "sandbox-insights.duckdb"
    noted = dict(query(database, "SELECT name, value FROM hotjar.meta"))
    assert (noted["account"], noted["source"]) == ("sandbox", "insights")


# --- Importing ---------------------------------------------------------------------------------


@pytest.fixture
def offline(instance, tmp_path) -> Shell:
    """A shell with a database and nothing else: no account and no server."""
    shell = Shell.__new__(Shell)
    shell.database = tmp_path / "offline.duckdb"
    shell.variables = {"HOTJAR_DATABASE": str(shell.database)}
    return shell


@pytest.fixture(scope="module")
def account() -> SandboxAccount:
    """An account that no test changes."""
    return exported_account()


@pytest.mark.parametrize("name", ["a.csv", "a.zip"])
def test_an_import_is_a_run_of_its_partition_and_may_be_repeated(
    offline, account, instance, tmp_path, name
):
    path = write_export(account, EVERY_TYPE, tmp_path / name)
    command = ["import", str(path), "--survey", EVERY_TYPE, "--site", SANDBOX_SITE_ID]

    first, second = figures(offline, *command), figures(offline, *command)

    rows = account.response_count(EVERY_TYPE)
    done = {
        "name": name,
        "status": "materialized",
        "rows": rows,
        "updated": 0,
        "deleted": 0,
        "requests": 0,
    }
    assert first == {EVERY_TYPE: {**done, "new": rows}}
    assert second == {EVERY_TYPE: {**done, "new": 0}}
    assert list(known_surveys(instance)) == [EVERY_TYPE]
    statuses = instance.get_status_by_partition(
        survey_responses.key, [EVERY_TYPE], survey_partitions
    )
    assert statuses[EVERY_TYPE].value == "MATERIALIZED"
    texts = {
        text
        for row in stored(offline.database, EVERY_TYPE)
        for text in row[12].get("How easy was it to set up?", ())
    }
    assert {"1", "2", "3", "4", "5"} & texts


def test_an_import_takes_the_questions_from_the_database_if_it_knows_them(quick, tmp_path):
    figures(quick, "sync", "--survey", EMPTY)
    path = write_export(quick.server.account, EVERY_TYPE, tmp_path / "a.csv")
    quick.server.clear_requests()

    figures(quick, "import", str(path), "--survey", EVERY_TYPE, HOTJAR_SANDBOX="1")

    assert quick.server.requests == []
    assert stored(quick.database, EVERY_TYPE) == expected(quick.server.account, EVERY_TYPE)
    assert figures(quick, "sync")[EVERY_TYPE]["updated"] == 0


def test_an_import_reads_what_is_older_than_the_table_and_deletes_nothing(
    offline, account, tmp_path
):
    survey, numbered = account.survey(LONG), account.numbered_responses(LONG)
    newer, older = tmp_path / "newer.csv", tmp_path / "older.csv"
    newer.write_bytes(export_file(wide_csv(survey, numbered[:100]), "csv"))
    older.write_bytes(export_file(wide_csv(survey, numbered[50:]), "csv"))
    place = ["--survey", LONG, "--site", SANDBOX_SITE_ID]

    figures(offline, "import", str(newer), *place)
    second = figures(offline, "import", str(older), *place)

    assert (second[LONG]["new"], second[LONG]["rows"]) == (LONG_ROWS - 100, LONG_ROWS)
    assert count(offline.database, "deleted_at IS NOT NULL") == 0


def test_an_interrupted_import_says_only_that_the_file_is_not_stored(
    offline, account, instance, tmp_path, monkeypatch
):
    def interrupt(*_: object) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    monkeypatch.setattr(exports, "check_rows", interrupt)
    path = write_export(account, EVERY_TYPE, tmp_path / "a.csv")

    result = offline("import", str(path), "--survey", EVERY_TYPE, "--site", SANDBOX_SITE_ID)

    said = "Interrupted: the file is not stored. Run the command again to read all of it."
    assert result.stderr.splitlines()[-1] == said
    assert result.exit_code == 128 + signal.SIGTERM
    assert known_surveys(instance) == []


def test_an_import_keeps_to_the_privacy_and_the_start_date_of_the_settings(
    offline, account, tmp_path
):
    path = write_export(account, LONG, tmp_path / "a.csv")
    cut = expected(account, LONG)[LONG_ROWS // 2][3].date() + timedelta(days=1)

    figures(
        offline,
        "import",
        str(path),
        "--survey",
        LONG,
        HOTJAR_SITE_ID=SANDBOX_SITE_ID,
        HOTJAR_PII="drop",
        HOTJAR_START_DATE=cut.isoformat(),
    )

    assert 0 < count(offline.database) < LONG_ROWS
    assert count(offline.database, f"created_at < '{cut}'") == 0
    assert count(offline.database, "hotjar_user_id IS NOT NULL") == 0


def test_a_forgotten_person_does_not_come_back_with_an_import(offline, account, tmp_path):
    path = write_export(account, EVERY_TYPE, tmp_path / "a.csv")
    command = ["import", str(path), "--survey", EVERY_TYPE, "--site", SANDBOX_SITE_ID]
    figures(offline, *command)
    person = expected(account, EVERY_TYPE)[0][9]

    assert offline("forget", "--user", person, "--yes").exit_code == 0
    figures(offline, *command)

    assert count(offline.database, f"hotjar_user_id = '{person}'") == 0
    assert count(offline.database) < account.response_count(EVERY_TYPE)


def test_a_file_that_is_no_export_is_told_and_leaves_no_partition(offline, instance, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("MARKED-answer,b\n1,2\n", encoding="utf-8")

    result = offline("import", str(path), "--survey", "mistyped", "--site", "1")

    assert result.exit_code == 1
    assert "survey mistyped (notes.csv): line 1: there is no column Number" in result.stderr
    assert "MARKED-answer" not in result.output
    assert list(known_surveys(instance)) == []
    assert count(offline.database) == 0


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["a.csv"], "Missing option '--survey'"),
        (["missing.csv", "--survey", "1"], "does not exist"),
        (["a.csv", "--survey", "1"], "--site: is needed: the database does not know the survey"),
        (["a.csv", "--survey", "a b", "--site", "1"], "no survey with the id or name 'a b'"),
        (["a.csv", "--survey", "1", "--site", "1/2"], "--site is not a valid id"),
    ],
)
def test_a_wrong_usage_of_import_is_told_before_anything_is_done(offline, account, args, problem):
    write_export(account, ODD, Path("a.csv"))

    result = offline("import", *args)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert not offline.database.exists()


def test_an_import_keeps_the_rows_of_a_survey_on_their_site(offline, account, tmp_path):
    command = ["import", str(write_export(account, ODD, tmp_path / "a.csv")), "--survey", ODD]
    figures(offline, *command, "--site", SANDBOX_SITE_ID)

    result = offline(*command, "--site", "5")

    assert result.exit_code == 2
    assert f"--site: the survey is on site {SANDBOX_SITE_ID}" in result.stderr
    assert count(offline.database, "site_id = '5'") == 0
    assert figures(offline, *command)[ODD]["rows"] == 3


def test_an_import_takes_the_name_of_a_survey_and_refuses_a_misspelled_one(quick, tmp_path):
    figures(quick, "sync")
    path = write_export(quick.server.account, LONG, tmp_path / "a.csv")
    command = ("import", str(path), "--survey")

    assert list(figures(quick, *command, "long", HOTJAR_SANDBOX="1")) == [LONG]

    misspelled = quick(*command, "Lonng", "--site", SANDBOX_SITE_ID)
    assert misspelled.exit_code == 2
    assert f"no survey with the id or name 'Lonng'; nearest: {LONG} (Long)" in misspelled.stderr


def test_an_import_into_a_file_of_the_api_is_refused(quick, tmp_path):
    figures(
        quick,
        "sync",
        HOTJAR_SOURCE="api",
        HOTJAR_CLIENT_ID="sandbox",
        HOTJAR_CLIENT_SECRET=SANDBOX_CLIENT_SECRET,
    )
    rows = count(quick.database)
    path = write_export(quick.server.account, ODD, tmp_path / "a.csv")

    result = quick("import", str(path), "--survey", ODD, HOTJAR_SANDBOX="1")

    assert result.exit_code == 1
    assert "was filled with HOTJAR_SOURCE=api and these rows are of insights" in result.stderr
    assert count(quick.database) == rows


def test_an_import_does_not_contradict_the_listing(quick, tmp_path):
    figures(quick, "sync")
    path = write_export(quick.server.account, ODD, tmp_path / "a.csv")

    moved = quick("import", str(path), "--survey", ODD, "--site", "2")
    quick.server.account.remove_survey(ODD)
    figures(quick, "sync")
    gone = quick("import", str(path), "--survey", ODD)

    assert (moved.exit_code, gone.exit_code) == (2, 1)
    assert f"--site: the survey is on site {SANDBOX_SITE_ID}" in moved.stderr
    assert f"survey {ODD} is marked as gone from Hotjar" in gone.stderr


HOTJAR_NAME = "hotjar_survey_response_export_0a1b2c_{}_{}_Odd survey.csv"


@pytest.mark.parametrize("named", [(SANDBOX_SITE_ID, LONG), ("5", ODD)], ids=["survey", "site"])
def test_a_file_that_is_named_as_another_survey_is_refused(
    offline, account, instance, tmp_path, named
):
    site, survey = named
    path = write_export(account, ODD, tmp_path / HOTJAR_NAME.format(site, survey))

    result = offline("import", str(path), "--survey", ODD, "--site", SANDBOX_SITE_ID)

    assert result.exit_code == 2
    assert f"the file is named as one of survey {survey} of site {site}" in result.stderr
    assert "rename the file if its name is wrong" in result.stderr
    assert list(known_surveys(instance)) == []
    assert not offline.database.exists()


def test_a_file_of_a_zip_that_is_named_as_another_survey_is_refused(
    offline, account, instance, tmp_path
):
    member = HOTJAR_NAME.format(SANDBOX_SITE_ID, LONG)
    inner = write_export(account, ODD, tmp_path / "a.csv").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, inner)
    command = ["import", str(tmp_path / "a.zip"), "--survey", ODD, "--site", SANDBOX_SITE_ID]

    result = offline(*command)

    assert result.exit_code == 1
    assert f"{member} is of survey {LONG} of site {SANDBOX_SITE_ID}" in result.stderr
    assert list(known_surveys(instance)) == []
    assert count(offline.database) == 0


def test_a_file_that_is_named_as_its_survey_is_imported(offline, account, tmp_path):
    path = write_export(account, ODD, tmp_path / HOTJAR_NAME.format(SANDBOX_SITE_ID, ODD))

    done = figures(offline, "import", str(path), "--survey", ODD, "--site", SANDBOX_SITE_ID)

    assert done[ODD]["rows"] == 3


@pytest.mark.parametrize("pii", ["keep", "hash", "drop"])
def test_tags_of_an_import_are_kept_whatever_the_privacy(offline, tmp_path, pii):
    path = tmp_path / "tags.csv"
    path.write_text(
        "Number,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,"
        "Response URL,Why?,Tags for: Why?\n3,u,2023-10-03 12:00:00,Spain,https://x/,phone,F,W,"
        '00000000-0000-0000-0000-000000000000,https://y/,price,"pricing, rooms"\n',
        encoding="utf-8",
    )
    key = {"HOTJAR_PII_KEY": "0123456789abcdef"} if pii == "hash" else {}

    figures(offline, "import", str(path), "--survey", "77", "--site", "1", HOTJAR_PII=pii, **key)

    (stored_row,) = query(
        offline.database,
        "SELECT device, hotjar_user_id, len(user_attributes), answers[1].question_id, "
        "CAST(to_json(answers[1].tags) AS VARCHAR), len(answers) FROM hotjar.survey_responses",
    )
    assert stored_row == ("mobile", None, 0, "Why?", '["pricing","rooms"]', 1)
