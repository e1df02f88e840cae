"""`hotjar-assets check`: each thing a sync needs, what is wrong with it, and what to do."""

from pathlib import Path

import pytest

from hotjar_assets.sandbox import Fault
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.dagster.model import SITE, SURVEY_IDS, sent


def lines(result):
    """Return (ok or failed, what, problem) of every line."""
    found = []
    for line in result.stdout.splitlines():
        verdict, _, rest = line.partition(" ")
        what, _, problem = rest.strip().partition(": ")
        found.append((verdict, what, problem))
    return found


def test_a_good_account_passes_in_three_requests(shell):
    result = shell("check")

    assert result.exit_code == 0
    assert [(verdict, problem) for verdict, _, problem in lines(result)] == [("ok", "")] * 4
    assert [what for _, what, _ in lines(result)] == [
        "settings",
        "credentials",
        "site 1001",
        f"database {shell.database}",
    ]
    requests = sent(shell.server)
    assert requests[:2] == [
        ("POST", "/v1/oauth/token", {}),
        ("GET", SITE, {"limit": "100", "with_questions": "false"}),
    ]
    newest = shell.server.account.survey_ids()[0]
    assert [path for _, path, _ in requests[2:]] == [f"{SITE}/{newest}/responses"]


def test_an_account_without_surveys_passes(shell):
    for survey_id in SURVEY_IDS:
        shell.server.account.remove_survey(survey_id)

    assert shell("check").exit_code == 0


def test_a_wrong_secret_is_said_with_what_to_do_and_ends_the_check(shell):
    result = shell("check", HOTJAR_CLIENT_SECRET="not-the-secret-at-all")

    assert result.exit_code == 1
    assert [verdict for verdict, _, _ in lines(result)] == ["ok", "failed"]
    _, what, problem = lines(result)[-1]
    assert what == "credentials"
    assert "the client id or secret is wrong, or the key has expired" in problem
    assert "make a new one in Hotjar's settings" in problem
    assert "not-the-secret-at-all" not in result.output
    assert [path for _, path, _ in sent(shell.server)] == ["/v1/oauth/token"]


def test_each_site_is_tested_and_an_unknown_one_is_named(shell):
    result = shell("check", HOTJAR_SITE_ID="1001,9999,1002")

    assert result.exit_code == 1
    verdicts = {what: (verdict, problem) for verdict, what, problem in lines(result)}
    assert [verdicts[f"site {site_id}"][0] for site_id in ("1001", "9999", "1002")] == [
        "ok",
        "failed",
        "ok",
    ]
    assert "check HOTJAR_SITE_ID" in verdicts["site 9999"][1]


@pytest.mark.parametrize("path", ["surveys", "responses"])
def test_a_plan_without_survey_export_is_said_with_what_to_do(shell, path):
    shell.server.faults.add(Fault("403", path=path))

    result = shell("check")

    assert result.exit_code == 1
    (failed,) = [line for line in lines(result) if line[0] == "failed"]
    assert failed[1] == "site 1001"
    assert "survey export needs the Ask Scale plan" in failed[2]


def test_a_file_that_is_no_database_is_said_with_what_to_do(shell):
    shell.database.write_text("my notes", encoding="utf-8")

    result = shell("check")

    assert result.exit_code == 1
    assert lines(result)[-1][:2] == ("failed", f"database {shell.database}")
    assert "check that it is a DuckDB file" in lines(result)[-1][2]


def test_a_database_of_a_real_account_refuses_the_sandbox(shell):
    Warehouse(shell.database).check("real")

    result = shell("check")

    assert result.exit_code == 1
    assert "holds the data of a real account" in lines(result)[-1][2]


def test_problems_are_all_found_in_one_go(shell):
    shell.database.write_text("my notes", encoding="utf-8")

    result = shell("check", HOTJAR_SITE_ID="9999,8888")

    assert [verdict for verdict, _, _ in lines(result)] == [
        "ok",
        "ok",
        "failed",
        "failed",
        "failed",
    ]


def test_each_file_of_streams_is_checked_without_a_request(shell):
    folder = Path("streams")
    folder.mkdir()
    text = "name: acme\nbase_url: https://example.com\nstreams: [{name: orders, path: /orders}]\n"
    (folder / "acme.yaml").write_text(text, encoding="utf-8")
    (folder / "bad.yaml").write_text(text.replace("path:", "pth:"), encoding="utf-8")
    result = shell("check")

    assert result.exit_code == 1
    assert lines(result)[-2:] == [
        ("ok", "streams streams/acme.yaml", ""),
        (
            "failed",
            "streams streams/bad.yaml",
            "streams/bad.yaml:3: streams[orders].pth: unknown field; did you mean `path`?",
        ),
    ]
    assert len(sent(shell.server)) == 3


def test_streams_are_checked_where_the_account_has_no_settings(shell):
    folder = Path("streams")
    folder.mkdir()
    text = "name: acme\nbase_url: https://example.com\nstreams: [{name: orders, path: /orders}]\n"
    (folder / "acme.yaml").write_text(text, encoding="utf-8")
    (folder / "bad.yml").write_text(text.replace("path:", "pth:"), encoding="utf-8")

    result = shell("check", HOTJAR_CLIENT_SECRET=None, HOTJAR_SITE_ID=None)

    (settings, *streams) = lines(result)
    assert settings[:2] == ("failed", "settings")
    assert "HOTJAR_CLIENT_SECRET: is not set" in settings[2]
    assert "HOTJAR_SITE_ID: is not set" in settings[2]
    assert [line[:2] for line in streams] == [
        ("ok", "streams streams/acme.yaml"),
        ("failed", "streams streams/bad.yml"),
    ]
    assert (result.exit_code, result.stderr, sent(shell.server)) == (1, "", [])


def test_without_streams_missing_settings_are_all_there_is_to_say(shell):
    result = shell("check", HOTJAR_CLIENT_SECRET=None)

    assert (result.exit_code, result.stdout, sent(shell.server)) == (2, "", [])
    assert "HOTJAR_CLIENT_SECRET: is not set" in result.stderr
