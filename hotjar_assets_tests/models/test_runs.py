"""When the models run and what Dagster records: the job, the sensor, a sync that fails in part."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from hotjar_assets import runs
from hotjar_assets.cli import main
from hotjar_assets.defs.abandoned import PROCESS_TAG
from hotjar_assets.defs.assets import surveys
from hotjar_assets.defs.models import (
    MODELS_JOB,
    RETRY_SECONDS,
    has_changes,
    models_sensor,
    reason_to_wait,
)
from hotjar_assets.defs.retention import KEPT_DAYS, delete_superseded_runs
from hotjar_assets.sandbox import Fault
from hotjar_assets_tests.dagster.model import (
    QUIET,
    RESPONSES,
    SURVEY_IDS,
    Deployment,
    deployed,
    environment,
)
from hotjar_assets_tests.models.model import rows

# dbt takes 20 processor seconds or more, before any data.
pytestmark = pytest.mark.timeout(400)

# --- When --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"new": 0, "updated": 0, "deleted": 0, "requests": 1}, False),
        ({"new": 1, "updated": 0, "deleted": 0}, True),
        ({"new": 0, "updated": 1, "deleted": 0}, True),
        ({"new": 0, "updated": 0, "deleted": 1}, True),
        ({"new": 0, "updated": 0, "deleted": 0, "purged": 2}, True),
        ({"new": 0, "updated": 0, "deleted": 0, "depth": "all"}, True),
        ({"new": 0, "updated": 0, "deleted": 0, "depth": "new"}, False),
        ({}, True),
    ],
    ids=["nothing", "new", "updated", "deleted", "purged", "full", "not full", "no figures"],
)
def test_only_what_changed_rows_counts(figures, expected):
    assert has_changes(figures) is expected


GOOD, BAD = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("runs_before", "has_changed", "has_unseen", "has_dbt", "due"),
    [
        ([], False, False, True, False),
        ([], False, True, True, True),
        ([GOOD], False, True, True, False),
        ([GOOD], True, False, True, True),
        ([BAD], False, True, True, True),
        ([BAD], False, False, True, False),
        ([GOOD, BAD], False, True, True, False),
        ([BAD, GOOD], False, True, True, False),
        ([], True, True, False, False),
    ],
    ids=[
        "nothing stored",
        "never made",
        "made",
        "changed",
        "failed",
        "failed, nothing stored",
        "failed, made before",
        "made at last",
        "no dbt",
    ],
)
def test_models_are_due_after_changes_or_where_they_are_not_made(  # noqa: PLR0917 - the cases
    monkeypatch, runs_before, has_changed, has_unseen, has_dbt, due
):
    monkeypatch.setattr(runs, "has_dbt", lambda: has_dbt)
    with dg.DagsterInstance.ephemeral() as instance:
        if has_unseen:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(surveys.key, metadata={"new": 1, "updated": 0})
            )
        for status in runs_before:
            instance.create_run_for_job(stand_in_job, status=status)
        assert runs.models_are_due(instance, runs.Outcome(has_changes=has_changed)) is due


def test_a_failed_run_is_repeated_with_new_rows_or_after_a_pause():
    reason = reason_to_wait(changed_at=10, failed_at=20, now=20 + RETRY_SECONDS - 1)
    assert reason is not None
    assert "failed" in reason
    assert reason_to_wait(changed_at=10, failed_at=20, now=20 + RETRY_SECONDS) is None
    assert reason_to_wait(changed_at=21, failed_at=20, now=22) is None
    assert reason_to_wait(changed_at=0, failed_at=0, now=1) is not None


@dg.op
def stand_in(context: dg.OpExecutionContext) -> None:
    if "fail" in context.run.tags:
        raise dg.Failure("as asked")


@dg.job(name=MODELS_JOB, executor_def=dg.in_process_executor)
def stand_in_job() -> None:
    """A job of the same name: the sensor sees runs, and takes no interest in what they do."""
    stand_in()


@pytest.fixture
def deployment(tmp_path) -> Iterator[Deployment]:
    with deployed(tmp_path) as deployment:
        deployment.add_partitions()
        yield deployment


def make(deployment: Deployment, **tags: str) -> None:
    stand_in_job.execute_in_process(
        instance=deployment.instance, tags=tags, run_config=QUIET, raise_on_error=False
    )


def tick(deployment: Deployment, cursor: str | None = None) -> Any:
    with dg.build_sensor_context(instance=deployment.instance, cursor=cursor) as context:
        return models_sensor.evaluate_tick(context)


def asked(done: Any) -> bool:
    """Tell whether a tick asked for the models: for one run, and without a key that repeats."""
    assert [request.run_key for request in done.run_requests] in ([], [None])
    return bool(done.run_requests)


def test_without_a_sync_there_is_nothing_to_do(deployment):
    done = tick(deployment)

    assert not asked(done)
    assert done.skip_message == "no sync committed anything since the models were made"


def test_a_sync_that_committed_is_followed_once(deployment):
    deployment.run(keys=SURVEY_IDS)
    first = tick(deployment)
    make(deployment)
    second = tick(deployment, first.cursor)
    third = tick(deployment, second.cursor)

    assert [asked(done) for done in (first, second, third)] == [True, False, False]


def test_a_sync_that_found_nothing_new_is_not_followed(deployment):
    deployment.run(keys=SURVEY_IDS)
    make(deployment)
    cursor = tick(deployment).cursor
    deployment.run(keys=SURVEY_IDS)

    done = tick(deployment, cursor)

    assert not asked(done)
    # What was looked at is not looked at again.
    assert json.loads(done.cursor)["hotjar/surveys"] > json.loads(cursor or "{}").get(
        "hotjar/surveys", 0
    )


def test_one_new_response_is_enough(deployment):
    deployment.run(keys=SURVEY_IDS)
    make(deployment)
    cursor = tick(deployment).cursor
    deployment.account.add_responses("104", 1)
    deployment.run(keys=SURVEY_IDS)

    assert asked(tick(deployment, cursor))


def test_a_failing_survey_does_not_freeze_the_models(deployment):
    deployment.server.faults.add(Fault("403", path="responses", survey_id="101"))
    failed = deployment.run(keys=SURVEY_IDS)
    make_first = tick(deployment)
    make(deployment)
    deployment.account.add_responses("104", 1)
    failed_again = deployment.run(keys=SURVEY_IDS)

    assert (failed.success, failed_again.success) == (False, False)
    assert asked(make_first)
    assert asked(tick(deployment))


def test_a_failing_sync_that_committed_nothing_is_not_followed(deployment):
    deployment.run(keys=SURVEY_IDS)
    make(deployment)
    deployment.server.faults.add(Fault("403", path="responses"))
    assert not deployment.run(keys=SURVEY_IDS).success

    assert not asked(tick(deployment))


def test_one_run_at_a_time(deployment):
    deployment.run(keys=SURVEY_IDS)
    run = deployment.instance.create_run_for_job(stand_in_job)

    done = tick(deployment)

    assert not asked(done)
    assert done.skip_message == f"run {run.run_id} makes the models just now"


def test_a_run_whose_process_was_killed_is_not_waited_for(deployment):
    deployment.run(keys=SURVEY_IDS)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    tags = {PROCESS_TAG: f"{socket.gethostname()}:{gone.pid}"}
    deployment.instance.create_run_for_job(stand_in_job, tags=tags)
    first = tick(deployment)
    deployment.account.add_responses("104", 1)
    deployment.run(keys=SURVEY_IDS)

    # The killed run failed just now, so it is repeated after a pause or with new rows.
    assert not asked(first)
    assert "failed" in first.skip_message
    assert asked(tick(deployment, first.cursor))


def test_a_failed_run_waits_for_new_rows(deployment):
    deployment.run(keys=SURVEY_IDS)
    make(deployment, fail="1")
    first = tick(deployment)
    deployment.account.add_responses("104", 1)
    deployment.run(keys=SURVEY_IDS)
    second = tick(deployment, first.cursor)

    assert [asked(first), asked(second)] == [False, True]


def test_old_runs_of_the_models_go_but_the_last_good_one(deployment):
    later = datetime.now(UTC) + timedelta(days=KEPT_DAYS, hours=1)
    make(deployment)
    make(deployment, fail="1")
    make(deployment)
    make(deployment, fail="1")
    newest, good, *old = [run.run_id for run in deployment.instance.get_runs()]

    assert delete_superseded_runs(deployment.instance, MODELS_JOB) == []
    assert set(delete_superseded_runs(deployment.instance, MODELS_JOB, now=later)) == set(old)
    assert [run.run_id for run in deployment.instance.get_runs()] == [newest, good]


# --- The command line --------------------------------------------------------------------------


@pytest.fixture
def shell(deployment, monkeypatch, tmp_path) -> Any:
    """The command line over the small account, with an instance in memory."""
    opened: Any = nullcontext(deployment.instance)
    monkeypatch.setattr("hotjar_assets.runs.local_instance", lambda: opened)
    variables = environment(deployment.server, deployment.database)

    def run(*args: str, **changes: str) -> Any:
        return CliRunner().invoke(main, args, env=variables | changes)

    return run


@pytest.mark.slow
def test_a_sync_from_the_command_line_makes_the_models_of_what_it_committed(deployment, shell):
    deployment.server.faults.add(Fault("403", path="responses", survey_id="101", times=1))

    first = shell("sync", "--json")
    second = shell("sync", "--json", "--survey", "102")

    assert (first.exit_code, json.loads(first.stdout)["models"]) == (1, True)
    assert (second.exit_code, json.loads(second.stdout)["models"]) == (0, False)
    counts = "SELECT survey_id, responses FROM hotjar_marts.hotjar__survey ORDER BY 1"
    assert [tuple(row.values()) for row in rows(deployment.database, counts)] == [
        ("101", 0),
        *list(RESPONSES.items())[1:],
    ]
    jobs = [run.job_name for run in deployment.instance.get_runs()]
    assert jobs == ["sync_job", MODELS_JOB, "sync_job"]
    assert not asked(tick(deployment))


@pytest.fixture
def modelled(deployment, shell, monkeypatch) -> Any:
    """The command line, with models that do nothing; they fail once for each item of `failures`."""
    failures: list[str] = []

    def run(_instance: Any, _database: Path) -> str | None:
        make(deployment, **({"fail": "1"} if failures else {}))
        return failures.pop() if failures else None

    monkeypatch.setattr("hotjar_assets.runs.run_models", run)
    shell.failures = failures
    return shell


def jobs(deployment: Deployment) -> list[str]:
    return [run.job_name for run in deployment.instance.get_runs()]


@pytest.mark.parametrize(
    ("args", "variables", "exit_code"),
    [
        (["sync", "--survey", "999"], {}, 2),
        (["sync"], {"HOTJAR_CLIENT_SECRET": "wrong"}, 1),
        (["import", "notes.csv", "--survey", "999", "--site", "1"], {}, 1),
    ],
    ids=["unknown survey", "refused login", "refused file"],
)
def test_nothing_that_committed_no_row_is_followed_by_models(
    deployment, modelled, args, variables, exit_code
):
    Path("notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")

    done = modelled(*args, **variables)

    assert done.exit_code == exit_code
    assert len(done.stderr.splitlines()) == 1
    assert "models" not in done.stderr
    assert MODELS_JOB not in jobs(deployment)


def test_an_account_without_surveys_is_not_followed_by_models(deployment, modelled):
    for survey_id in SURVEY_IDS:
        deployment.account.remove_survey(survey_id)
        deployment.instance.delete_dynamic_partition("survey_id", survey_id)

    done = modelled("sync", "--json")

    assert (done.exit_code, json.loads(done.stdout)["models"]) == (0, False)
    assert jobs(deployment) == ["sync_job"]


def test_surveys_alone_are_rows_that_the_models_are_made_of(deployment, modelled):
    deployment.server.faults.add(Fault("403", path="responses"))

    done = modelled("sync", "--json")

    assert (done.exit_code, json.loads(done.stdout)["models"]) == (1, True)


def test_models_that_failed_are_made_by_the_next_sync_whatever_it_finds(deployment, modelled):
    modelled.failures.append("the models failed")

    said = [json.loads(modelled("sync", "--json").stdout) for _ in range(3)]

    assert [each["models"] for each in said] == [True, True, False]
    assert jobs(deployment) == ["sync_job", MODELS_JOB, "sync_job", MODELS_JOB, "sync_job"][::-1]


@pytest.mark.slow
def test_a_person_who_is_forgotten_leaves_the_models_too(deployment, shell):
    person = deployment.account.responses("102")[0]["hotjar_user_id"]
    shell("sync", "--json")
    stored = f"SELECT 1 FROM hotjar_marts.hotjar__response WHERE hotjar_user_id = '{person}'"
    before = rows(deployment.database, stored)

    done = shell("forget", "--user", person, "--yes")

    assert before
    assert "made the dbt models anew" in done.stdout
    assert rows(deployment.database, stored) == []


def test_no_models_are_made_if_they_are_not_wanted(deployment, shell):
    said = json.loads(shell("sync", "--json", "--no-models").stdout)

    assert said["models"] is False
    assert [run.job_name for run in deployment.instance.get_runs()] == ["sync_job"]


@pytest.mark.slow
def test_the_demo_ends_with_scores_and_a_report(deployment, shell):
    for survey_id in SURVEY_IDS:
        deployment.instance.delete_dynamic_partition("survey_id", survey_id)

    done = shell("demo")

    assert done.exit_code == 0, done.output
    table = done.stdout.partition("What the dbt models make of them:")[2]
    (nps,) = [line for line in table.splitlines() if line.strip().startswith("Checkout NPS")][:1]
    assert re.search(r"[+-]\d+ ± \d+ \(2400\)", nps), nps
    assert done.stdout.splitlines()[-1].endswith("dagster dev -m hotjar_assets.definitions")
    report = Path("data", "sandbox-report.html")
    assert f"A report of them, for any browser: {report}\n" in done.stdout
    assert "12 surveys, 12,160 responses" in report.read_text(encoding="utf-8")
