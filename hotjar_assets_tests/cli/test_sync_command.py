"""`hotjar-assets sync`: what it prints, how it exits, what it asks of the API."""

import json
import subprocess
import sys
from typing import Any

import duckdb
import pytest

from hotjar_assets.defs.partitions import add_surveys, known_surveys
from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.dagster.model import (
    RESPONSES,
    SITE,
    SURVEY_IDS,
    account_ids,
    pages_sent,
    query,
    sent,
    stored_ids,
)

HELD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


def summary(result: Any) -> Any:
    """Return the one JSON document that stdout holds, without the names of the surveys."""
    (line,) = result.stdout.splitlines()
    said = json.loads(line)
    for figures in said["partitions"].values():
        del figures["name"]
    return said


def materialized(*, rows: int, new: int, requests: int = 1, **others: int) -> dict[str, Any]:
    figures = {"new": new, "updated": 0, "deleted": 0, "rows": rows, "requests": requests}
    return {"status": "materialized", **figures, **others}


FAILED = {
    "status": "failed",
    "new": 0,
    "updated": 0,
    "deleted": 0,
    "rows": None,
    "requests": None,
}


def marked(database) -> list[tuple[str, str]]:
    return query(
        database,
        "SELECT survey_id, response_id FROM hotjar.survey_responses "
        "WHERE deleted_at IS NOT NULL ORDER BY ALL",
    )


# --- What comes out ----------------------------------------------------------------------------


def test_a_first_sync_says_what_it_did_in_one_json_document(quick):
    result = quick("sync", "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    said = summary(result)
    assert said.pop("seconds") > 0
    assert said == {
        "surveys": 4,
        "partitions": {
            "101": materialized(rows=3, new=3),
            "102": materialized(rows=120, new=120, requests=2),
            "103": materialized(rows=0, new=0),
            "104": materialized(rows=7, new=7),
        },
        "requests": 8,
        "models": False,
    }
    assert len(quick.server.requests) == 8


def test_a_first_sync_stores_what_the_account_has(quick):
    quick("sync", "--json")

    assert {key: stored_ids(quick.database, key) for key in SURVEY_IDS} == {
        key: account_ids(quick.server.account, key) for key in SURVEY_IDS
    }


def test_names_are_told_with_the_ids(quick):
    quick.server.account.add_survey("Checkout NPS", survey_id="050", responses=1)
    quick.server.faults.add(Fault("403", path="responses", survey_id="050"))
    result = quick("sync", "--json")

    partitions = json.loads(result.stdout)["partitions"]
    assert {key: figures["name"] for key, figures in partitions.items()} == {
        "050": "Checkout NPS",
        **{key: f"Survey {key}" for key in SURVEY_IDS},
    }
    assert result.stderr.startswith("survey 050 (Checkout NPS): not allowed")


def test_a_second_sync_with_nothing_new_sends_one_request_a_survey(synced):
    result = synced("sync", "--json")

    assert result.exit_code == 0
    assert sorted(sent(synced.server), key=repr) == sorted(
        [
            ("POST", "/v1/oauth/token", {}),
            ("GET", SITE, {"limit": "100", "with_questions": "false"}),
            ("GET", SITE, {"limit": "100", "with_questions": "true"}),
            *(("GET", f"{SITE}/{key}/responses", {"limit": "100"}) for key in SURVEY_IDS),
        ],
        key=repr,
    )
    assert summary(result)["partitions"] == {
        key: materialized(rows=rows, new=0) for key, rows in RESPONSES.items()
    }


def test_a_new_survey_is_loaded_whole_without_a_daemon(synced):
    synced.server.account.add_survey("New", survey_id="050", responses=130)

    result = synced("sync", "--json")

    assert summary(result)["partitions"]["050"] == materialized(rows=130, new=130, requests=2)


def test_a_table_is_printed_for_people(quick):
    result = quick("sync")

    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["102", "Survey", "102", "120", "120", "0", "0", "2"] in rows
    assert "4 surveys, 130 responses, 130 new, 8 requests" in result.stdout
    assert f"database: {quick.database}" in result.stdout


def test_no_table_is_printed_where_nothing_was_read(quick):
    result = quick("sync", HOTJAR_CLIENT_SECRET="wrong")

    assert result.exit_code == 1
    assert "secret is wrong" in result.stderr
    summed, database = result.stdout.splitlines()
    assert summed.startswith("0 surveys, 0 responses, 0 new, 1 request, ")
    assert database == f"database: {quick.database}"


def test_an_account_without_surveys_is_a_success(quick):
    for survey_id in SURVEY_IDS:
        quick.server.account.remove_survey(survey_id)

    for options in ((), ("--full",)):
        result = quick("sync", "--json", *options)

        assert (result.exit_code, result.stderr) == (0, "")
        assert (summary(result)["surveys"], summary(result)["partitions"]) == (0, {})


# --- Options -----------------------------------------------------------------------------------


def test_only_the_surveys_that_are_named_are_read(quick, instance):
    """Surveys that are no neighbours in Dagster's order need a run each."""
    result = quick("sync", "--json", "--survey", "104", "--survey", "101", "--survey", "104")

    assert result.exit_code == 0
    assert pages_sent(quick.server) == {"101": 1, "104": 1}
    assert summary(result)["partitions"] == {
        "101": materialized(rows=3, new=3),
        "104": materialized(rows=7, new=7),
    }
    assert len(instance.get_runs()) == 2
    assert list(known_surveys(instance)) == SURVEY_IDS


def test_a_run_is_listed_under_its_job_and_shows_no_tag_of_ours(quick, instance):
    quick("sync")

    (run,) = instance.get_runs()
    assert run.job_name == "sync_job"
    assert run.tags[".dagster/repository"] == "__repository__@hotjar_assets"
    assert [tag for tag in run.tags if not tag.startswith(("dagster/", ".dagster/"))] == []


def test_a_survey_is_taken_by_its_name_too(quick):
    quick.server.account.add_survey("Checkout NPS", survey_id="050", responses=2)

    result = quick("sync", "--json", "--survey", "  checkout   nps", "--survey", "101")

    assert result.exit_code == 0
    assert pages_sent(quick.server) == {"050": 1, "101": 1}
    assert summary(result)["partitions"] == {
        "050": materialized(rows=2, new=2),
        "101": materialized(rows=3, new=3),
    }


def test_an_id_comes_before_the_name_of_another_survey(quick):
    quick.server.account.add_survey("101", survey_id="050", responses=2)

    result = quick("sync", "--json", "--survey", "101")

    assert list(summary(result)["partitions"]) == ["101"]


def test_an_unknown_or_ambiguous_survey_is_a_usage_error_and_nothing_is_read(quick, instance):
    for survey_id, name in (("050", "Checkout"), ("051", "CHECKOUT")):
        quick.server.account.add_survey(name, survey_id=survey_id, responses=2)

    wanted = ("Chekout NPS", "checkout", "101")
    options = [part for name in wanted for part in ("--survey", name)]
    result = quick("sync", "--json", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "--survey: the account has no survey with the id or name 'Chekout NPS'; nearest: "
        "050 (Checkout), 051 (CHECKOUT); 'checkout' is the name of 2 surveys: "
        "050 (Checkout), 051 (CHECKOUT); give the id\n"
    )
    assert pages_sent(quick.server) == {}
    assert instance.get_runs() == []


def test_what_no_survey_is_like_names_the_command_that_lists_them(quick):
    result = quick("sync", "--survey", "zzzzzzzzz")
    assert result.exit_code == 2
    assert result.stderr == (
        "--survey: the account has no survey with the id or name 'zzzzzzzzz'; "
        "`hotjar-assets surveys` lists those stored\n"
    )


def test_names_are_printed_whole_where_there_is_no_terminal(quick):
    name = "A name that is long, too " * 9
    quick.server.account.add_survey(name.strip(), survey_id="109", responses=1)

    for command in (("sync", "--no-models"), ("surveys",)):
        result = quick(*command)
        assert result.exit_code == 0
        assert [line for line in result.stdout.splitlines() if name.strip() in line]


def test_the_surveys_that_were_read_are_counted(quick):
    quick("sync", "--no-models")
    result = quick("sync", "--no-models", "--survey", "101")
    assert result.stdout.splitlines()[-2].startswith("1 survey, 3 responses, 0 new")


def test_a_sync_without_dbt_says_how_to_get_the_models(quick):
    first, second = quick("sync"), quick("sync")
    assert first.exit_code == second.exit_code == 0
    said = "the dbt models are not made: pip install 'hotjar-assets[dbt]'"
    assert first.stdout.splitlines()[-1] == said
    assert said not in second.stdout
    quick.server.account.add_responses("101", 1)
    assert said not in quick("sync", "--no-models").stdout


def test_what_another_account_left_in_the_instance_is_skipped(quick, instance):
    add_surveys(instance, ["of the sandbox", "and one more"])
    result = quick("sync", "--no-models")
    assert result.exit_code == 0
    assert "sandbox" not in result.stdout
    assert "4 surveys, 130 responses" in result.stdout
    assert "2 surveys skipped, neither in the account nor in the database: " in result.stderr


def test_ids_are_printed_whole_however_long_they_are(quick):
    long = "0123456789abcdef" * 4
    quick.server.account.add_survey("A name that is long, too " * 4, survey_id=long, responses=1)

    result = quick("sync")

    assert long in [line.split()[0] for line in result.stdout.splitlines()]


def test_full_runs_reconcile_job_and_marks_what_is_gone(synced, instance):
    gone = account_ids(synced.server.account, "102")[0]
    synced.server.account.delete_response("102", gone)

    result = synced("sync", "--json", "--full")

    assert pages_sent(synced.server) == {"101": 1, "102": 2, "103": 1, "104": 1}
    assert [run.job_name for run in instance.get_runs()] == ["reconcile_job"]
    assert summary(result)["partitions"]["102"] == materialized(
        rows=120, new=0, deleted=1, requests=2
    )
    assert marked(synced.database) == [("102", gone)]


def test_purge_deletes_what_an_earlier_full_sync_marked(synced):
    account = synced.server.account
    account.delete_response("104", account_ids(account, "104")[0])
    synced("sync", "--json", "--full", "--survey", "104")

    result = synced("sync", "--json", "--full", "--purge", "--survey", "104")

    assert summary(result)["partitions"]["104"]["rows"] == 6
    assert stored_ids(synced.database, "104") == account_ids(account, "104")


def test_lookback_reads_the_days_that_are_given(synced):
    account, only = synced.server.account, ("--survey", "102")
    account.tag_response("102", account.responses("102")[-1]["id"], tags=["late"])

    near = synced("sync", "--json", "--lookback", "1", *only)
    far = synced("sync", "--json", "--lookback", "36500", *only)

    assert summary(near)["partitions"]["102"]["updated"] == 0
    assert summary(far)["partitions"]["102"]["updated"] == 1


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["sync", "--full", "--lookback", "3"], "--full reads everything; leave out --lookback"),
        (["sync", "--purge"], "--purge needs --full"),
        (["sync", "--lookback", "0"], "0 is not in the range 1<=x<=36500"),
        (["sync", "--lookback", "99999999999"], "is not in the range 1<=x<=36500"),
        (["sync", "--lookback", "x"], "'x' is not a valid integer"),
        (["sync", "--fast"], "No such option"),
        (["sync", "extra"], "unexpected extra argument"),
        (["sink"], "No such command 'sink'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage_exits_with_2_and_requests_nothing(shell, args, problem):
    result = shell(*args)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stdout == ""
    assert shell.server.requests == []


# --- Settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("HOTJAR_CLIENT_ID", None, "is not set"),
        ("HOTJAR_CLIENT_SECRET", "", "is not set"),
        ("HOTJAR_SITE_ID", "123,", "holds an empty or malformed item"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "0", "must be 1 or more"),
        ("HOTJAR_API_URL", "http://127.0.0.1:99999", "has a port that is none"),
        ("HOTJAR_DATABASE", ".", "is a folder"),
        ("HOTJAR_DATABASE", "/dev/null/tables.duckdb", "cannot be made"),
        ("HOTJAR_DATABASE", ":memory:", "name a file"),
        ("DAGSTER_HOME", "relative", "no absolute path"),
        ("DAGSTER_HOME", "/dev/null/home", "cannot be used"),
    ],
)
@pytest.mark.parametrize("command", ["sync", "check"])
def test_a_bad_setting_exits_with_2_and_requests_nothing(shell, command, variable, value, problem):
    if command == "check" and variable == "DAGSTER_HOME":
        command = "sync"

    result = shell(command, **{variable: value})

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{variable}: ")
    assert problem in line
    assert result.stdout == ""
    assert shell.server.requests == []


@pytest.mark.parametrize("text", ["storage: [", "no_such_key: 1"], ids=["no yaml", "unknown key"])
def test_a_broken_dagster_yaml_exits_with_2_and_requests_nothing(shell, tmp_path, text):
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")

    result = shell("sync", DAGSTER_HOME=str(tmp_path))

    assert result.exit_code == 2
    path = tmp_path / "dagster.yaml"
    assert result.stderr == (
        f"DAGSTER_HOME: {path} is no valid configuration of a Dagster instance\n"
    )
    assert shell.server.requests == []


def test_settings_come_from_dot_env_here_and_the_environment_wins(shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = "HOTJAR_CLIENT_SECRET=sandbox-secret\nHOTJAR_SITE_ID=9999\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")

    result = shell("check", HOTJAR_CLIENT_SECRET=None)

    assert result.exit_code == 0
    assert [path for _, path, _ in sent(shell.server)[:2]] == ["/v1/oauth/token", SITE]


def test_a_dot_env_that_is_no_text_exits_with_2(shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"HOTJAR_CLIENT_ID=\xff\n")

    result = shell("check")

    assert (result.exit_code, result.stderr) == (2, ".env: is not UTF-8 text; save it as that\n")


# --- What fails --------------------------------------------------------------------------------


def test_each_failing_survey_is_one_line_and_the_others_are_stored(quick):
    quick.server.faults.add(
        Fault("403", path="responses", survey_id="101"),
        Fault("500", path="responses", survey_id="102", retry_after=0),
    )

    result = quick("sync", "--json")

    assert result.exit_code == 1
    first, second = sorted(result.stderr.splitlines())
    assert first.startswith(
        "survey 101 (Survey 101): not allowed: survey export needs the Ask Scale plan"
    )
    assert second.startswith("survey 102 (Survey 102): the API failed")
    assert summary(result)["partitions"] == {
        "101": FAILED,
        "102": FAILED,
        "103": materialized(rows=0, new=0),
        "104": materialized(rows=7, new=7),
    }


def test_one_cause_that_fails_all_surveys_is_one_line(quick):
    quick.server.faults.add(Fault("403", path="responses"))

    result = quick("sync", "--json")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("all 4 surveys failed: not allowed: survey export needs the Ask Scale")
    assert "/responses" not in line
    assert summary(result)["partitions"] == dict.fromkeys(SURVEY_IDS, FAILED)


def test_one_cause_that_fails_many_surveys_is_one_line_and_few_are_named(quick):
    quick.server.account.add_survey("More", survey_id="105", responses=1)
    for survey_id in ("101", "102", "103"):
        quick.server.faults.add(Fault("403", path="responses", survey_id=survey_id))
    few = quick("sync", "--json")
    quick.server.faults.add(Fault("403", path="responses", survey_id="104"))
    many = quick("sync", "--json")

    assert [line.partition(" (")[0] for line in few.stderr.splitlines()] == [
        "survey 101",
        "survey 102",
        "survey 103",
    ]
    (line,) = many.stderr.splitlines()
    assert line.startswith("4 of 5 surveys failed: not allowed: survey export needs the Ask Scale")


def test_one_of_anything_is_said_in_the_singular(quick):
    for survey_id in ("102", "103", "104"):
        quick.server.account.remove_survey(survey_id)
    for response_id in account_ids(quick.server.account, "101")[1:]:
        quick.server.account.delete_response("101", response_id)

    assert "1 survey, 1 response, 1 new, 4 requests" in quick("sync").stdout


def test_a_key_that_stands_twice_is_one_line_that_says_what_to_do(synced):
    with duckdb.connect(str(synced.database)) as connection:
        connection.execute("INSERT INTO hotjar.survey_responses FROM hotjar.survey_responses")

    result = synced("sync", "--json")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "hotjar/survey_responses: survey_id, response_id stands more than once for 3 surveys: 102, "
    )
    assert "delete the rows of these surveys from hotjar.survey_responses" in line
    assert {each["status"] for each in summary(result)["partitions"].values()} == {"materialized"}


def test_a_failing_survey_stands_in_the_table_as_failed(quick):
    quick.server.faults.add(Fault("403", path="responses", survey_id="101"))

    result = quick("sync")

    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["101", "FAILED", "Survey", "101", "-", "0", "0", "0", "-"] in rows


def test_a_database_held_by_another_process_is_said_with_its_pid(synced):
    holder = subprocess.Popen(
        [sys.executable, "-c", HELD, str(synced.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        result = synced("sync", "--json", "--survey", "101", HOTJAR_LOCK_TIMEOUT_SECONDS="0")

        holder.communicate(b"\n")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("1 survey not read: hotjar__surveys: ")
    assert f"is held by PID {holder.pid}" in line
    assert "close its connection (in a notebook: connection.close(), " in line
    assert stored_ids(synced.database, "101") == account_ids(synced.server.account, "101")


READS = """
import sys, time, duckdb
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=True)
    except duckdb.IOException:
        continue
    break
print("held", flush=True)
input()
"""


def test_a_reader_that_comes_while_surveys_are_read_is_one_line(synced):
    for survey_id in SURVEY_IDS:
        synced.server.account.add_responses(survey_id, 1)
    readers = []

    def open_and_keep(rows: list[Any]) -> list[Any]:
        reader = subprocess.Popen(
            [sys.executable, "-c", READS, str(synced.database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"held\n"
        readers.append(reader)
        return rows

    fault = Fault("mutate_rows", path="responses", times=1, transform=open_and_keep)
    synced.server.faults.add(fault)
    held = synced("sync", "--json", HOTJAR_LOCK_TIMEOUT_SECONDS="0", HOTJAR_CONCURRENCY="1")
    for reader in readers:
        reader.communicate(b"\n")
    later = synced("sync", "--json")

    (line,) = held.stderr.splitlines()
    assert line.startswith("all 4 surveys failed: ")
    assert f"is held by PID {readers[0].pid} (" in line
    assert summary(held)["partitions"] == dict.fromkeys(SURVEY_IDS, FAILED)
    assert {each["new"] for each in summary(later)["partitions"].values()} == {1}


def test_a_file_that_is_no_database_is_left_as_it_is(quick):
    quick.database.write_text("my notes", encoding="utf-8")

    result = quick("sync", "--json")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("4 surveys not read: hotjar__surveys: ")
    assert "check that it is a DuckDB file" in line
    assert summary(result)["partitions"] == dict.fromkeys(SURVEY_IDS, FAILED)
    assert quick.database.read_text(encoding="utf-8") == "my notes"
