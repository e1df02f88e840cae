"""`hotjar-assets surveys`: what the database holds, told without a request."""

import json
from datetime import datetime

import duckdb

from hotjar_assets_tests.dagster.model import RESPONSES, query


def test_surveys_are_listed_with_what_is_stored_of_each(synced):
    with duckdb.connect(str(synced.database)) as connection:
        connection.execute("UPDATE hotjar.surveys SET name = 'NPS' WHERE survey_id = '104'")
        connection.execute(
            "UPDATE hotjar.surveys SET deleted_at = synced_at WHERE survey_id = '101'"
        )
    newest = dict(
        query(
            synced.database,
            "SELECT survey_id, max(created_at)::VARCHAR FROM hotjar.survey_responses GROUP BY ALL",
        )
    )

    result = synced("surveys", "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    listed = json.loads(result.stdout)["surveys"]
    assert [(each["survey_id"], each["name"], each["rows"]) for each in listed] == [
        ("104", "NPS", 7),
        ("101", "Survey 101", 3),
        ("102", "Survey 102", 120),
        ("103", "Survey 103", 0),
    ]
    assert {key: each["newest_response_at"] for key, each in by_id(listed).items()} == {
        key: str(datetime.fromisoformat(newest[key]).isoformat()) if rows else None
        for key, rows in RESPONSES.items()
    }
    written = query(synced.database, "SELECT max(synced_at)::VARCHAR FROM hotjar.surveys")
    assert by_id(listed)["103"]["last_sync_at"] == (
        datetime.fromisoformat(written[0][0]).isoformat()
    )
    assert {key for key, each in by_id(listed).items() if each["is_deleted"]} == {"101"}
    assert {each["platform"] for each in listed} == {"hotjar"}
    assert synced.server.requests == []


def by_id(listed):
    return {each["survey_id"]: each for each in listed}


def test_ids_are_printed_whole(synced):
    long = "0123456789abcdef" * 6
    with duckdb.connect(str(synced.database)) as connection:
        connection.execute(
            f"UPDATE hotjar.surveys SET survey_id = '{long}', name = 'one of many words' "
            "WHERE survey_id = '103'"
        )

    result = synced("surveys")

    assert result.exit_code == 0
    assert long in [line.split()[0] for line in result.stdout.splitlines()]
    assert "…" not in result.stdout
    assert result.stdout.endswith(f"4 surveys in {synced.database}\n")


def test_a_survey_that_was_only_imported_is_listed_without_a_name(synced):
    with duckdb.connect(str(synced.database)) as connection:
        connection.execute("DELETE FROM hotjar.surveys WHERE survey_id = '104'")

    listed = by_id(json.loads(synced("surveys", "--json").stdout)["surveys"])

    assert (listed["104"]["name"], listed["104"]["platform"], listed["104"]["rows"]) == (
        None,
        None,
        7,
    )
    assert listed["104"]["last_sync_at"] is not None


def test_without_a_database_it_says_what_to_run(quick):
    result = quick("surveys")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"HOTJAR_DATABASE: {quick.database} does not exist; run hotjar-assets sync first\n"
    )
    assert not quick.database.exists()


def test_it_needs_no_credentials(synced):
    result = synced("surveys", HOTJAR_CLIENT_SECRET=None, HOTJAR_SITE_ID=None)

    assert result.exit_code == 0
