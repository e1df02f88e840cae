"""Moving an account to Contentsquare: one database, one instance, first the one platform's API.

The sandbox speaks both, with the same answers under ids of their own.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.checks import account_key_age
from hotjar_assets.defs.partitions import known_surveys
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.resources import HotjarResource
from hotjar_assets.runs import Outcome, run_sync
from hotjar_assets.sandbox import SANDBOX_PROJECT_ID, SANDBOX_SITE_ID
from hotjar_assets.sandbox.constants import SANDBOX_SECOND_PROJECT_ID
from hotjar_assets_tests.dagster.model import (
    QUIET,
    RESPONSES,
    SURVEY_IDS,
    Deployment,
    environment,
    query,
    settings_for,
    stored_ids,
)

TABLES = ("surveys", "survey_responses")
PROJECT = f"/v1/public/projects/{SANDBOX_PROJECT_ID}/surveys"


def rows_of(moving: Deployment, platform: str) -> dict[str, list[Any]]:
    """Return every value of the platform's rows, when each was written included."""
    return {
        table: query(
            moving.database,
            f"FROM hotjar.{table} WHERE platform = $platform ORDER BY ALL",
            platform=platform,
        )
        for table in TABLES
    }


def sync(deployment: Deployment, **options: Any) -> Outcome:
    """Sync as the command line does, and tell of this sync's requests alone."""
    deployment.server.clear_requests()
    outcome = run_sync(
        deployment.instance,
        deployment.settings,
        hotjar=HotjarResource.from_settings(deployment.settings),
        **options,
    )
    assert outcome.problems == []
    return outcome


@pytest.fixture
def before(deployment: Deployment) -> Deployment:
    """An account of Hotjar, synced."""
    sync(deployment)
    return deployment


@pytest.fixture
def after(before: Deployment) -> Iterator[Deployment]:
    """The same database and instance, with the settings of Contentsquare."""
    settings = settings_for(
        before.server,
        before.database,
        HOTJAR_PLATFORM="contentsquare",
        HOTJAR_PROJECT_ID=SANDBOX_PROJECT_ID,
    )
    moved = Deployment(
        before.server, settings, before.instance, HotjarResource.from_settings(settings)
    )
    yield moved
    moved.hotjar.close()


def assert_all_there(moved: Deployment) -> None:
    shown = moved.server.contentsquare
    assert shown.survey_ids()
    for survey_id in shown.survey_ids():
        truth = sorted(str(row["id"]) for row in shown.responses(survey_id))
        assert stored_ids(moved.database, survey_id) == truth


def paths(moved: Deployment) -> set[str]:
    return {request.path for request in moved.server.requests} - {"/v1/oauth/token"}


# --- The move ----------------------------------------------------------------------------------


def test_the_first_sync_after_the_move_adds_the_new_platform_and_leaves_the_old_alone(after):
    old = rows_of(after, "hotjar")

    outcome = sync(after)

    assert rows_of(after, "hotjar") == old
    assert_all_there(after)
    new_ids = after.server.contentsquare.survey_ids()
    assert outcome.listed == len(new_ids)
    assert set(outcome.names) == {*SURVEY_IDS, *new_ids}
    assert set(known_surveys(after.instance)) == {*SURVEY_IDS, *new_ids}
    counts = "SELECT platform, count(*), count(deleted_at) FROM hotjar.{} GROUP BY ALL ORDER BY 1"
    assert query(after.database, counts.format("surveys")) == [
        ("contentsquare", 4, 0),
        ("hotjar", 4, 0),
    ]
    assert query(after.database, counts.format("survey_responses")) == [
        ("contentsquare", sum(RESPONSES.values()), 0),
        ("hotjar", sum(RESPONSES.values()), 0),
    ]
    placed = "SELECT DISTINCT platform, site_id FROM hotjar.survey_responses ORDER BY ALL"
    assert query(after.database, placed) == [
        ("contentsquare", SANDBOX_PROJECT_ID),
        ("hotjar", SANDBOX_SITE_ID),
    ]


@pytest.mark.parametrize(
    "options",
    [{}, {"lookback_days": 30}, {"full": True}, {"full": True, "purge": True}],
    ids=["new", "lookback", "full", "purge"],
)
def test_surveys_of_the_old_platform_cost_no_request_and_are_no_failure(options, after):
    sync(after)
    old = rows_of(after, "hotjar")

    outcome = sync(after, **options)

    for survey_id, count in RESPONSES.items():
        assert outcome.partitions[survey_id] == {
            "status": "materialized",
            "rows": count,
            "new": 0,
            "updated": 0,
            "deleted": 0,
            "requests": 0,
        }
    assert paths(after)
    assert all(path.startswith(PROJECT) for path in paths(after))
    assert rows_of(after, "hotjar") == old
    assert set(after.statuses(list(known_surveys(after.instance))).values()) == {"MATERIALIZED"}


def test_a_skipped_survey_says_why(after):
    keys = list(known_surveys(after.instance))

    result = after.run(keys=keys)

    assert result.success
    reasons = {figures["skipped"] for _, figures in after.materialized(result)}
    assert reasons == {"is on hotjar, and HOTJAR_PLATFORM is contentsquare"}


def test_what_comes_after_the_move_comes_once_and_from_the_new_platform(after):
    sync(after)
    after.account.add_responses("104", 2)

    outcome = sync(after)

    assert sum(figures["new"] for figures in outcome.partitions.values()) == 2
    assert_all_there(after)
    assert len(stored_ids(after.database, "104")) == RESPONSES["104"]
    # The token, two listings, and a page for each survey: 103 is empty and the others prove their
    # order on one page, or have no more than one.
    assert outcome.requests == 1 + 2 + 4


def test_going_back_goes_on_where_the_old_platform_stopped(before, after):
    sync(after)
    new = rows_of(after, "contentsquare")
    before.account.add_responses("104", 2)

    outcome = sync(before)

    assert outcome.partitions["104"]["new"] == 2
    assert rows_of(before, "contentsquare") == new
    assert paths(before)
    assert not any(path.startswith(PROJECT) for path in paths(before))


def test_a_project_that_has_the_id_of_a_site_marks_nothing_of_the_site(deployment, after):
    """Both number their own, so that the two may meet."""
    twin = after.account.add_survey("Twin", site_id=SANDBOX_PROJECT_ID, responses=5)
    settings = settings_for(
        deployment.server, deployment.database, HOTJAR_SITE_ID=SANDBOX_PROJECT_ID
    )
    site = Deployment(deployment.server, settings, deployment.instance, deployment.hotjar)
    assert sync(site).partitions[twin]["new"] == 5
    old = rows_of(after, "hotjar")

    for options in ({}, {"full": True}):
        assert sync(after, **options).partitions[twin]["requests"] == 0

    assert rows_of(after, "hotjar") == old
    assert_all_there(after)


def test_the_sensor_asks_for_the_surveys_of_the_new_platform_alone(after):
    resources = {"hotjar": after.hotjar}
    with dg.build_sensor_context(instance=after.instance, resources=resources) as context:
        result = new_surveys_sensor(context)

    assert isinstance(result, dg.SensorResult)
    (added,) = result.dynamic_partitions_requests or ()
    assert sorted(added.partition_keys) == sorted(after.server.contentsquare.survey_ids())
    assert len(result.run_requests or ()) == 1


def test_a_run_takes_the_platform_from_the_environment(after, monkeypatch):
    variables = environment(after.server, after.database) | {
        "HOTJAR_PLATFORM": "contentsquare",
        "HOTJAR_PROJECT_ID": SANDBOX_PROJECT_ID,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOTJAR_SITE_ID")
    job = build_defs(models=False).resolve_job_def("sync_job")

    result = job.execute_in_process(
        instance=after.instance,
        asset_selection=[dg.AssetKey(["hotjar", "surveys"])],
        run_config=QUIET,
    )

    assert result.success
    assert len(rows_of(after, "contentsquare")["surveys"]) == len(SURVEY_IDS)


def test_a_new_file_beside_the_old_instance_says_what_to_do_with_the_old_surveys(
    after, tmp_path, caplog
):
    settings = after.settings.model_copy(update={"database": str(tmp_path / "new.duckdb")})

    outcome = run_sync(after.instance, settings)

    assert {key: outcome.partitions[key]["rows"] for key in SURVEY_IDS} == dict.fromkeys(
        SURVEY_IDS, 0
    )
    assert outcome.problems == []
    told = f"{len(SURVEY_IDS)} surveys skipped, neither in the account nor in the database: 101, "
    assert told in caplog.text
    assert "set HOTJAR_DATABASE to the file with the rows, else delete the" in caplog.text
    assert_all_there(Deployment(after.server, settings, after.instance, after.hotjar))


def test_a_survey_of_another_project_is_skipped_and_says_so(after):
    sync(after)
    moved = settings_for(
        after.server,
        after.database,
        HOTJAR_PLATFORM="contentsquare",
        HOTJAR_PROJECT_ID=SANDBOX_SECOND_PROJECT_ID,
    )
    other = Deployment(after.server, moved, after.instance, HotjarResource.from_settings(moved))

    result = other.run(keys=list(known_surveys(after.instance)))

    assert result.success
    assert f"project {SANDBOX_PROJECT_ID} is not in HOTJAR_PROJECT_ID" in {
        figures["skipped"] for _, figures in other.materialized(result)
    }


# --- The key's age -----------------------------------------------------------------------------


def test_where_no_key_expires_none_is_said_to(deployment):
    login = {"HOTJAR_SOURCE": "insights", "HOTJAR_EMAIL": "a@b.example", "HOTJAR_PASSWORD": "c"}
    aged = settings_for(
        deployment.server, deployment.database, **login, HOTJAR_KEY_CREATED_ON="2020-01-01"
    )

    result = account_key_age(aged, today=date(2026, 1, 1))

    assert result is None


@pytest.mark.parametrize(
    ("created_on", "passed", "words"),
    [
        ("2025-12-01", True, "the API key expires in 334 days"),
        ("2025-01-20", False, "expires in 19 days; make a new key in Contentsquare"),
        ("2020-01-01", False, "has expired; make a new key in Contentsquare"),
    ],
    ids=["new", "soon", "expired"],
)
def test_credentials_of_contentsquare_expire_too_which_is_a_warning(
    created_on, passed, words, deployment
):
    project = {"HOTJAR_PLATFORM": "contentsquare", "HOTJAR_PROJECT_ID": SANDBOX_PROJECT_ID}
    made = {"HOTJAR_KEY_CREATED_ON": created_on}
    settings = settings_for(deployment.server, deployment.database, **project, **made)

    result = account_key_age(settings, today=date(2026, 1, 1))

    assert result is not None
    assert result.passed is passed
    assert passed or result.severity is dg.AssetCheckSeverity.WARN
    assert words in str(result.description)

    undated = settings_for(deployment.server, deployment.database, **project)
    assert account_key_age(undated, today=date(2026, 1, 1)) is None
