"""The command line over an account of Contentsquare."""

import json

import pytest

from hotjar_assets.sandbox import SANDBOX_PROJECT_ID, Fault
from hotjar_assets.sandbox.contentsquare import survey_id_here
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import RESPONSES, query, sent

PROJECT = f"/v1/public/projects/{SANDBOX_PROJECT_ID}/surveys"
COOKIES = survey_id_here("1204511")
"""A survey of the built-in account that fills one page."""


def use_contentsquare(shell: Shell) -> None:
    shell.variables |= {
        "HOTJAR_PLATFORM": "contentsquare",
        "HOTJAR_PROJECT_ID": SANDBOX_PROJECT_ID,
        "HOTJAR_SITE_ID": None,
    }


@pytest.fixture
def project(shell: Shell) -> Shell:
    use_contentsquare(shell)
    return shell


def problems(result):
    return [line for line in result.stdout.splitlines() if line.startswith("failed")]


# --- sync --------------------------------------------------------------------------------------


def test_a_sync_reads_the_project(quick):
    use_contentsquare(quick)

    result = quick("sync", "--json")

    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert {key: row["rows"] for key, row in summary["partitions"].items()} == {
        survey_id_here(survey_id): count for survey_id, count in RESPONSES.items()
    }
    # The token, two listings and the pages.
    assert summary["requests"] == 1 + 2 + 5


def test_surveys_of_the_other_platform_keep_their_names_in_the_summary(quick):
    assert quick("sync").exit_code == 0
    use_contentsquare(quick)

    result = quick("sync", "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    names = {key: row["name"] for key, row in summary["partitions"].items()}
    assert names == {
        key_here: f"Survey {key}" for key in RESPONSES for key_here in (key, survey_id_here(key))
    }
    assert summary["surveys"] == len(RESPONSES)


def test_the_built_in_sandbox_needs_no_project(quick):
    quick.variables = {
        "HOTJAR_SANDBOX": "1",
        "HOTJAR_PLATFORM": "contentsquare",
        "HOTJAR_DATABASE": str(quick.database),
    }

    result = quick("sync", "--survey", COOKIES)

    assert result.exit_code == 0
    counted = "SELECT platform, site_id, count(*) FROM hotjar.survey_responses GROUP BY ALL"
    assert query(quick.database, counted) == [("contentsquare", SANDBOX_PROJECT_ID, 100)]


def test_a_missing_project_is_named_before_any_request(project):
    result = project("sync", HOTJAR_PROJECT_ID=None)

    assert result.exit_code == 2
    assert result.stderr.startswith("HOTJAR_PROJECT_ID: is not set")
    assert project.server.requests == []


# --- check -------------------------------------------------------------------------------------


def test_a_good_project_passes_in_three_requests(project):
    result = project("check")

    assert result.exit_code == 0
    assert [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()] == [
        "settings",
        "credentials",
        f"project {SANDBOX_PROJECT_ID}",
        f"database {project.database}",
    ]
    newest = project.server.contentsquare.survey_ids()[0]
    assert sent(project.server) == [
        ("POST", "/v1/oauth/token", {}),
        ("GET", PROJECT, {"limit": "100", "with_questions": "false"}),
        ("GET", f"{PROJECT}/{newest}/responses", {"limit": "100"}),
    ]


def test_a_project_of_somebody_else_fails_the_credentials(project):
    (failed,) = problems(project("check", HOTJAR_PROJECT_ID="9999"))

    assert "credentials" in failed
    assert "check both in Contentsquare, and HOTJAR_PROJECT_ID" in failed


def test_a_project_without_the_api_is_said_with_what_to_do(project):
    project.server.faults.add(Fault("403", path="surveys"))

    (failed,) = problems(project("check"))

    assert f"project {SANDBOX_PROJECT_ID}" in failed
    assert "the Responses API needs the Pro plan" in failed


# --- forget ------------------------------------------------------------------------------------


def test_hotjars_user_lookup_is_refused_and_nothing_is_erased(project):
    result = project(
        "forget", "--user", "u-1", "--at-hotjar", "--yes", HOTJAR_ORGANIZATION_ID="501"
    )

    assert result.exit_code == 2
    assert result.stderr.strip() == (
        "HOTJAR_PLATFORM: contentsquare has no such request; leave out --at-hotjar and ask it there"
    )
    assert project.server.requests == []
    assert not project.database.exists()


def test_a_person_is_forgotten_here(quick):
    use_contentsquare(quick)
    quick.server.account.add_responses("104", 1, hotjar_user_id="somebody")
    assert quick("sync").exit_code == 0

    result = quick("forget", "--user", "somebody", "--yes")

    assert result.exit_code == 0
    assert "erased 1 response" in result.stdout
