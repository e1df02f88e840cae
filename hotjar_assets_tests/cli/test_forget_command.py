"""`forget --at-hotjar`: what Hotjar is asked, how often, and what is said of it."""

import json
from contextlib import closing
from typing import Any

import pytest

from hotjar_assets.sandbox import (
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
    Fault,
    SandboxServer,
)
from hotjar_assets_tests.cli.conftest import Shell
from hotjar_assets_tests.dagster.model import query, small_account, stored_ids
from hotjar_assets_tests.store.conftest import Store, new_client

ADDRESS = "ann@x.example"
LOOKUP = "/v1/organizations/501/user-lookup"
BY_ADDRESS = ("--email", ADDRESS)
BY_ID = ("--user", "ann-5e8d1f2a")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with one response of Ann, which holds her address and her id."""
    account = small_account()
    question = account.survey("104")["questions"][0]["id"]
    answers = [{"question_id": question, "answer": ADDRESS}]
    account.add_responses("104", hotjar_user_id=BY_ID[1], answers=answers)
    path = tmp_path_factory.mktemp("tables") / "tables.duckdb"
    with SandboxServer(account) as server, closing(new_client(server)) as client:
        Store(client, path).sync("104")
    return path.read_bytes()


@pytest.fixture
def known(quick: Shell, tables: bytes) -> Shell:
    """A shell whose tables have a response of Ann."""
    quick.variables["HOTJAR_ORGANIZATION_ID"] = "501"
    quick.database.write_bytes(tables)
    return quick


def test_a_database_that_is_not_there_is_not_taken_for_an_empty_one(quick):
    result = quick("forget", "--email", ADDRESS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{quick.database} does not exist, so nothing was looked at" in result.stderr
    assert not quick.database.exists()


def lookups(shell: Shell) -> list[tuple[str, str, dict[str, str], Any]]:
    """List all that was sent besides the login."""
    return [
        (request.method, request.path, request.query, json.loads(request.body))
        for request in shell.server.requests
        if request.path != "/v1/oauth/token"
    ]


@pytest.mark.parametrize(
    ("delete", "said"),
    [(False, "asked Hotjar to mail its report"), (True, "asked Hotjar to delete")],
    ids=["report", "delete"],
)
@pytest.mark.parametrize(
    ("person", "named"),
    [
        (BY_ADDRESS, {"data_subject_email": ADDRESS}),
        (
            BY_ID,
            {
                "data_subject_site_id_to_user_id_map": {
                    SANDBOX_SITE_ID: BY_ID[1],
                    SANDBOX_SECOND_SITE_ID: BY_ID[1],
                }
            },
        ),
    ],
    ids=["address", "id"],
)
def test_hotjar_is_asked_once_for_what_was_said(known, person, named, delete, said):
    known.variables["HOTJAR_SITE_ID"] = f"{SANDBOX_SITE_ID},{SANDBOX_SECOND_SITE_ID}"
    flags = ("--at-hotjar", *(("--delete-at-hotjar",) if delete else ()))
    result = known("forget", *person, "--yes", *flags)
    assert (result.exit_code, result.stderr) == (0, "")
    body = {**named, "delete_all_hits": delete}
    assert lookups(known) == [("POST", LOOKUP, {}, body)]
    assert known.server.account.user_lookups == [body]
    assert said in result.stdout.splitlines()


def test_json_says_what_hotjar_was_asked(known):
    result = known("forget", *BY_ADDRESS, "--yes", "--at-hotjar", "--delete-at-hotjar", "--json")
    assert json.loads(result.stdout)["asked_hotjar_to"] == "delete"
    assert [body["delete_all_hits"] for *_, body in lookups(known)] == [True]


@pytest.mark.parametrize(
    "flags",
    [("--at-hotjar",), ("--at-hotjar", "--delete-at-hotjar"), ("--yes",), ()],
    ids=["report, shown only", "delete, shown only", "here only", "here only, shown only"],
)
def test_hotjar_is_asked_nothing_that_was_not_said(known, flags):
    result = known("forget", *BY_ADDRESS, *flags)
    assert (result.exit_code, known.server.requests) == (0, [])
    assert "asked Hotjar" not in result.stdout


@pytest.mark.parametrize("yes", [("--yes",), ()], ids=["erased", "shown"])
def test_deleting_at_hotjar_needs_asking_hotjar(known, yes):
    before = stored_ids(known.database, "104")
    result = known("forget", *BY_ADDRESS, *yes, "--delete-at-hotjar")
    assert result.exit_code == 2
    assert "--delete-at-hotjar needs --at-hotjar" in result.stderr
    assert known.server.requests == []
    assert stored_ids(known.database, "104") == before


def test_asking_hotjar_needs_the_organization_and_else_erases_nothing(known):
    before = stored_ids(known.database, "104")
    result = known("forget", *BY_ADDRESS, "--yes", "--at-hotjar", HOTJAR_ORGANIZATION_ID=None)
    assert (result.exit_code, known.server.requests) == (2, [])
    assert result.stderr.strip() == "HOTJAR_ORGANIZATION_ID: --at-hotjar needs it"
    assert stored_ids(known.database, "104") == before


@pytest.mark.parametrize(
    ("fault", "told"),
    [("403", "403"), ("500", "500"), ("404", "404")],
    ids=["no plan", "server", "not found"],
)
def test_what_hotjar_refuses_is_asked_once_and_stays_erased_here(known, fault, told):
    known.server.faults.add(Fault(fault, path="user_lookup"))
    result = known("forget", *BY_ADDRESS, "--yes", "--at-hotjar", "--delete-at-hotjar")
    assert result.exit_code == 1
    assert told in result.stderr
    assert ADDRESS not in result.stderr
    assert "asked Hotjar" not in result.stdout
    assert [body["delete_all_hits"] for *_, body in lookups(known)] == [True]
    sql = "SELECT count(*) FROM hotjar.survey_responses WHERE hotjar_user_id = $user"
    assert query(known.database, sql, user=BY_ID[1]) == [(0,)]
