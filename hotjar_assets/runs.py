"""Runs of the jobs in this process, and their outcome read back from Dagster.

The command line works through here. What it reports is what Dagster recorded, so that it cannot say
anything the UI does not show.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from hotjar_assets.api.exports import ExportFile
from hotjar_assets.api.limits import Limits
from hotjar_assets.config import Settings, is_id
from hotjar_assets.definitions import build_defs
from hotjar_assets.defs.abandoned import process_tag
from hotjar_assets.defs.assets import IO_MANAGER_KEY, survey_responses, surveys
from hotjar_assets.defs.jobs import reconcile_job, register_surveys, run_config, sync_job
from hotjar_assets.defs.models import (
    MODELS_JOB,
    ModelsDatabase,
    has_changes,
    has_dbt,
    has_unseen_changes,
    newest_run,
)
from hotjar_assets.defs.partitions import (
    add_surveys,
    known_surveys,
    range_tags,
    survey_partitions,
)
from hotjar_assets.errors import HotjarConfigError, HotjarError, HotjarStoreError
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.materializations import FAILED_CAUSE, FAILED_SURVEYS, PARTITION_ROW_COUNT
from hotjar_assets.printable import counted, labelled
from hotjar_assets.private_files import (
    NotPrivateError,
    owner_only,
    plain_path,
    refuse_foreign_folder,
)
from hotjar_assets.resources import HotjarResource
from hotjar_assets.survey_names import is_like_a_name, resolve_surveys
from hotjar_assets.sync import Depth, SurveyState
from hotjar_assets.sync_progress import SyncProgress
from hotjar_assets.warehouse import Warehouse

_INSTANCE_SETTINGS = Path(__file__).with_name("dagster.yaml")
SYNCS_LOCATION, MODELS_LOCATION = "hotjar_assets", "hotjar_models"
"""The code locations of `workspace.yaml`."""
_REPOSITORY_TAG = ".dagster/repository"
"""By this tag a job's page in the UI lists its runs. Dagster gives it to the runs it launches; its
timeline asks for an origin, which it gives to no others."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_EVENTS_AT_ONCE = 1000
_EVER_DAYS = 36500
_INTERRUPTED = "interrupted from the command line"
_TERMINATED = "UNEXPECTED_TERMINATION"
"""Dagster's reason for the failure of a run that a signal ended."""
_FAILURES_SHOWN = 3
"""Surveys that fail for one reason are each a line, up to this number."""
_FAILED = {
    "status": "failed",
    "new": 0,
    "updated": 0,
    "deleted": 0,
    "rows": None,
    "requests": None,
}


@dataclass
class Outcome:
    """What one or several runs did.

    Attributes:
        partitions: Figures by survey id: status, rows, new, updated, deleted, requests.
        problems: One line for each thing that failed.
        names: The name of each survey that was listed or stored before, by id.
        listed: Surveys that the account has.
        requests: Requests sent, with token and listing.
        has_changes: Whether any row was committed.
        is_interrupted: Whether a signal ended it before everything was read.
    """

    partitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    listed: int = 0
    requests: int = 0
    has_changes: bool = False
    is_interrupted: bool = False

    def fail(self, failed: Mapping[str, str], *, stored: int, cause: str | None) -> None:
        """Note the surveys of a run that failed, in one line if many have one cause.

        Args:
            failed: What happened, by survey.
            stored: How many others were stored.
            cause: What happened, if that is the same for each.
        """
        self.partitions |= {survey_id: dict(_FAILED) for survey_id in failed}
        is_same = len(set(failed.values())) == 1
        if cause and len(failed) > (_FAILURES_SHOWN if stored and not is_same else 1):
            total = counted(len(failed) + stored, "survey")
            share = f"{len(failed):,} of {total}" if stored else f"all {total}"
            self.problems.append(f"{share} failed: {cause}")
            return
        for survey_id, problem in failed.items():
            label = labelled(survey_id, self.names.get(survey_id))
            self.problems.append(f"survey {label}: {problem}")

    def fail_unread(self, survey_ids: Sequence[str]) -> None:
        """Note those of the surveys that no run came to, in the line that says why."""
        unread = [survey_id for survey_id in survey_ids if survey_id not in self.partitions]
        self.partitions |= {survey_id: dict(_FAILED) for survey_id in unread}
        if unread:
            problem = f": {self.problems.pop()}" if self.problems else ""
            self.problems.append(f"{counted(len(unread), 'survey')} not read{problem}")


def local_instance() -> dg.DagsterInstance:
    """Return the instance of `DAGSTER_HOME`, by default `.dagster_home` here, as `make dev` uses.

    It is made if it is missing, with the settings of a `dagster.yaml` that lies here, or else with
    a copy of this package's.

    Raises:
        HotjarConfigError: It cannot be made, its settings are not valid, or nobody named it and
            another user may write to it.
    """
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given or Path.cwd() / ".dagster_home")
    if not home.is_absolute():
        raise HotjarConfigError("DAGSTER_HOME", f"{home} is no absolute path; write the whole path")
    here, settings = Path.cwd() / "dagster.yaml", home / "dagster.yaml"
    try:
        with owner_only():
            home.mkdir(parents=True, exist_ok=True)
            if not given:
                refuse_foreign_folder(home)
            if not settings.exists():
                # A link to a file that is gone would be written through.
                settings.unlink(missing_ok=True)
                if here.exists():
                    settings.symlink_to(os.path.relpath(here, home))
                else:
                    settings.write_bytes(_INSTANCE_SETTINGS.read_bytes())
    except NotPrivateError as error:
        # What its dagster.yaml names is imported.
        problem = f"{error}; or set DAGSTER_HOME to a folder that you trust"
        raise HotjarConfigError("DAGSTER_HOME", problem) from error
    except OSError as error:
        problem = f"the folder {home} cannot be used ({error.strerror}); choose another"
        raise HotjarConfigError("DAGSTER_HOME", problem) from error
    # Dagster makes a URL of the path and quotes nothing.
    os.environ["DAGSTER_HOME"] = str(plain_path(settings, "?%").parent)
    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterInvalidConfigError, yaml.YAMLError) as error:
        problem = f"{settings} is no valid configuration of a Dagster instance"
        raise HotjarConfigError("DAGSTER_HOME", problem) from error


def run_sync(
    instance: dg.DagsterInstance,
    settings: Settings,
    *,
    hotjar: HotjarResource | None = None,
    lookback_days: int | None = None,
    full: bool = False,
    purge: bool = False,
    wanted: Sequence[str] = (),
    progress: SyncProgress | None = None,
) -> Outcome:
    """Register new surveys, then run `sync_job` or `reconcile_job` over some or all of them.

    If the surveys cannot be listed there is no run, and the outcome says why.

    Args:
        instance: Where the runs are recorded.
        settings: The account and the database.
        hotjar: The account, if it is not the one that the settings give.
        lookback_days: Days to read again.
        full: Whether to read everything.
        purge: Whether a full sync deletes what an earlier one marked.
        wanted: The surveys, by id or name; empty for all.
        progress: Told of what is read and stored.

    Raises:
        HotjarConfigError: A survey that is wanted is unknown, or several have its name.
    """
    depth = Depth.ALL if full else Depth.LOOKBACK if lookback_days else Depth.NEW
    config = run_config(depth, lookback_days=lookback_days, purge=purge)
    hotjar = hotjar or HotjarResource.from_settings(settings)
    hotjar.report_to(progress or SyncProgress())
    outcome = Outcome()
    client = hotjar.client()
    try:
        listed = register_surveys(instance, client)
        outcome.listed = len(listed)
        outcome.names = {str(survey.id): str(survey.name or "") for survey in listed}
        known = known_surveys(instance)
        if set(known) - outcome.names.keys():
            # Read from another platform, or imported.
            stored = _warehouse(settings).survey_names()
            outcome.names = outcome.names | stored | outcome.names
        names = dict.fromkeys(known, "") | outcome.names
        survey_ids = resolve_surveys(wanted or known, names, where="the account")
        hotjar.progress.expect(len(survey_ids))
        runs: list[dict[str, str] | None] = [*range_tags(known, survey_ids)]
        if runs or not wanted:
            job = _job(reconcile_job.name if full else sync_job.name, hotjar, settings)
            for tags in runs or [None]:
                _run(job, instance, tags, config, outcome, assets=None if tags else [surveys.key])
                if outcome.is_interrupted:
                    return outcome
        outcome.fail_unread(survey_ids)
    except HotjarConfigError:
        raise
    except HotjarError as error:
        outcome.problems.append(str(error))
    finally:
        outcome.requests = client.requests_sent
        hotjar.close()
    return outcome


def models_are_due(instance: dg.DagsterInstance, outcome: Outcome) -> bool:
    """Tell whether a sync committed rows, or an earlier one whose models were not finished."""
    if not has_dbt():
        return False
    if outcome.has_changes:
        return True
    newest = newest_run(instance)
    is_made = newest is not None and newest.dagster_run.status is dg.DagsterRunStatus.SUCCESS
    return not is_made and has_unseen_changes(instance)


def lacks_models(outcome: Outcome) -> bool:
    """Tell whether rows were committed and the extra that makes models of them is missing."""
    return outcome.has_changes and not has_dbt()


def run_models(instance: dg.DagsterInstance, database: Path) -> str | None:
    """Run `models_job`; return what went wrong.

    What dbt prints is left out: it is in the run's log.

    Raises:
        KeyboardInterrupt: A signal ended the run.
    """
    overrides = {"hotjar_dbt": ModelsDatabase.from_environment(str(database))}
    with redirect_stdout(StringIO()):
        result = (
            build_defs(overrides=overrides)
            .resolve_job_def(MODELS_JOB)
            .execute_in_process(
                instance=instance,
                tags={**process_tag(), _REPOSITORY_TAG: _repository(MODELS_LOCATION)},
                run_config=_QUIET,
                raise_on_error=False,
            )
        )
    if result.success:
        return None
    if _settle_interruption(instance, result.run_id):
        raise KeyboardInterrupt
    return f"the models failed; the log of run {result.run_id} in Dagster says why"


def cancel_own_runs(instance: dg.DagsterInstance) -> None:
    """Ask for the end of the run that this process executes, so that it will count as canceled."""
    for run in _own_runs(instance, dg.DagsterRunStatus.STARTED):
        instance.report_run_canceling(run, _INTERRUPTED)


def end_own_runs(instance: dg.DagsterInstance) -> None:
    """Cancel the runs of this process that Dagster does not execute any more."""
    unfinished = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED)
    for run in _own_runs(instance, *unfinished, dg.DagsterRunStatus.CANCELING):
        instance.report_run_canceled(run, _INTERRUPTED)


def _own_runs(
    instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus
) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(dg.RunsFilter(statuses=list(statuses), tags=process_tag()))


def _repository(location: str) -> str:
    return f"__repository__@{location}"


def _settle_interruption(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell whether a signal ended a run; see to it that it counts as canceled.

    A signal that nobody announced by `cancel_own_runs` is a failure to Dagster.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.status is dg.DagsterRunStatus.CANCELED:
        return run is not None
    reasons = {
        event.job_failure_data.failure_reason
        for event in _events(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
    }
    was_interrupted = any(reason and reason.value == _TERMINATED for reason in reasons)
    if was_interrupted:
        instance.report_run_canceled(run, _INTERRUPTED)
    return was_interrupted


def run_import(
    instance: dg.DagsterInstance,
    settings: Settings,
    path: Path,
    *,
    survey: str,
    site_id: str | None = None,
    progress: SyncProgress | None = None,
) -> Outcome:
    """Store an export that lies on this disk, as a run of `sync_job` over the survey's partition.

    The whole file is read whatever the table holds already, and no row is marked as deleted:
    nobody knows which responses were exported.

    Args:
        instance: Where the run is recorded.
        settings: The database; no credentials are needed.
        path: The file.
        survey: The survey it is of, by id or name; an id need not be known.
        site_id: Its site, where the database does not know it.
        progress: Told of what is read and stored.

    Raises:
        HotjarConfigError: The survey or the site is not known, or is another one, or the name of
            the file says another site or survey.
        HotjarStoreError: The survey is marked as deleted, or the database cannot be read.
    """
    warehouse = _warehouse(settings)
    names = warehouse.survey_names()
    is_new = survey not in names and is_id(survey) and not is_like_a_name(survey, names)
    where = str(settings.database_path)
    survey_id = survey if is_new else resolve_surveys([survey], names, where=where)[0]
    state = warehouse.survey_states([survey_id])[survey_id]
    if not state.site_id:
        state = replace(state, site_id=warehouse.site_of_rows(survey_id))
    export = ExportFile(
        path,
        (_site_of(state, site_id, settings),),
        warehouse.questions(survey_id),
        "sandbox" if settings.sandbox else "real",
        Limits.of(settings),
    )
    export.check_name(survey_id)
    added = add_surveys(instance, [survey_id])
    (tags,) = range_tags(known_surveys(instance), [survey_id])
    outcome = Outcome(names={survey_id: state.name or path.name}, listed=1)
    config = run_config(Depth.LOOKBACK, lookback_days=_EVER_DAYS)
    progress = progress or SyncProgress()
    progress.expect(1)
    job = _job(sync_job.name, _Import(settings, export, progress), settings)
    _run(job, instance, tags, config, outcome, assets=[survey_responses.key])
    if added and (outcome.problems or (outcome.is_interrupted and not outcome.partitions)):
        # Of a mistyped survey nothing should stay that later syncs would ask Hotjar for.
        instance.delete_dynamic_partition(str(survey_partitions.name), survey_id)
    return outcome


@dataclass(frozen=True)
class _Import:
    """Stands where `HotjarResource` stands, for the asset that reads responses."""

    settings: Settings
    export: ExportFile
    progress: SyncProgress

    def client(self) -> ExportFile:
        return self.export


def _site_of(state: SurveyState, site_id: str | None, settings: Settings) -> str:
    if state.removed:
        raise HotjarStoreError(
            f"survey {state.survey_id} is marked as gone from Hotjar (deleted_at in hotjar.surveys)"
            ", and its rows with it; import into another file (nothing was changed)"
        )
    if site_id and state.site_id and site_id != state.site_id:
        raise HotjarConfigError("--site", f"the survey is on site {state.site_id}")
    found = site_id or state.site_id
    if not found and len(settings.site_id) == 1:
        (found,) = settings.site_id
    if not found:
        raise HotjarConfigError("--site", "is needed: the database does not know the survey")
    return found


def _warehouse(settings: Settings) -> Warehouse:
    return Warehouse(settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds)


def _job(name: str, hotjar: HotjarResource | _Import, settings: Settings) -> dg.JobDefinition:
    # As an object, the resource and its plain secrets are no part of what Dagster records; and the
    # run shares its client, so that there is one token and one pace.
    account = dg.ResourceDefinition.hardcoded_resource(hotjar)
    tables = HotjarDuckDBIOManager(
        database=str(settings.database_path),
        lock_timeout_seconds=settings.lock_timeout_seconds,
        max_commit_mb=settings.max_commit_mb,
    )
    overrides = {"hotjar": account, IO_MANAGER_KEY: tables}
    return build_defs(overrides=overrides, models=False).resolve_job_def(name)


def _run(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None,
    config: Mapping[str, Any],
    outcome: Outcome,
    *,
    assets: Sequence[dg.AssetKey] | None,
) -> None:
    """Run over a range of partitions, or over none; of all assets of the job, or of some."""
    result = job.execute_in_process(
        instance=instance,
        tags={**(tags or {}), **process_tag(), _REPOSITORY_TAG: _repository(SYNCS_LOCATION)},
        asset_selection=assets,
        run_config={**(config if tags else {}), **_QUIET},
        raise_on_error=False,
    )
    outcome.is_interrupted = _settle_interruption(instance, result.run_id)
    problems = len(outcome.problems)
    _collect(outcome, instance, result.run_id)
    if outcome.is_interrupted:
        return
    if not result.success and len(outcome.problems) == problems:
        outcome.problems.append(f"run {result.run_id} failed; its log in Dagster says why")


def _collect(outcome: Outcome, instance: dg.DagsterInstance, run_id: str) -> None:
    stored = 0
    for event in _events(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION):
        materialization = event.step_materialization_data.materialization
        figures = {name: value.value for name, value in materialization.metadata.items()}
        outcome.has_changes |= has_changes(figures)
        if materialization.asset_key == survey_responses.key:
            stored += 1
            outcome.partitions[str(materialization.partition)] = {
                "status": "materialized",
                "rows": figures[PARTITION_ROW_COUNT],
                **{name: figures[name] for name in ("new", "updated", "deleted", "requests")},
            }
    if outcome.is_interrupted:
        return
    refused: dict[str, str] = {}
    for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        if check.blocking and not check.passed:
            refused[event.step_key] = f"{check.asset_key.to_user_string()}: {check.description}"
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        if event.step_key in refused:
            outcome.problems.append(refused[event.step_key])
            continue
        failure = event.step_failure_data
        cause = failure.user_failure_data
        failed = cause.metadata.get(FAILED_SURVEYS) if cause else None
        if failed:
            shared = cause.metadata.get(FAILED_CAUSE)
            outcome.fail(failed.value, stored=stored, cause=shared.value if shared else None)
        else:
            text = cause.description if cause else _root_message(failure.error)
            outcome.problems.append(f"{event.step_key}: {text}")


def _root_message(error: Any) -> str:
    """Return what was raised first; what Dagster wraps around it only says where."""
    while error.cause:
        error = error.cause
    return str(error.message).strip()


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[Any]:
    cursor, has_more = None, True
    while has_more:
        page = instance.get_records_for_run(
            run_id, cursor=cursor, of_type=kind, limit=_EVENTS_AT_ONCE
        )
        yield from (record.event_log_entry.dagster_event for record in page.records)
        cursor, has_more = page.cursor, page.has_more
