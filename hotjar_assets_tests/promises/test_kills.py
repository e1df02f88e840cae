"""Real processes that are killed, starved of disk, robbed of their file, or not alone."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, survey_partitions
from hotjar_assets.sandbox import SandboxAccount, SandboxServer
from hotjar_assets.sandbox.pages import PageSlice
from hotjar_assets_tests.browser.dagster_dev import DagsterDev, free_port
from hotjar_assets_tests.promises import model
from hotjar_assets_tests.promises.processes import PROJECT, CommandLine, file_limit, kill
from hotjar_assets_tests.store.conftest import CLOCK

pytestmark = pytest.mark.slow

SURVEYS = 10
ROWS = 130
REQUESTS = 2 * SURVEYS

READER = """
import sys, time
import duckdb

# What dbt does: connect, tried again while somebody writes; read; let go.
reads, path = 0, sys.argv[1]
while reads < 20:
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.IOException as error:
        assert "lock" in str(error), error
        time.sleep(0.02)
        continue
    sql = "SELECT count(*), count(DISTINCT (survey_id, response_id)) FROM hotjar.survey_responses"
    ((rows, keys),) = connection.execute(sql).fetchall()
    assert rows == keys
    connection.close()
    reads += 1
print(reads)
"""


class Watched(SandboxAccount):
    """Calls `on_page` with the number of every page of responses that is asked for."""

    on_page: Callable[[int], None] | None = None
    pages = 0

    def response_page(self, *args: Any, **options: Any) -> PageSlice:
        page = super().response_page(*args, **options)
        self.pages += 1
        if self.on_page:
            self.on_page(self.pages)
        return page


@pytest.fixture
def account() -> Watched:
    account = Watched(clock=CLOCK, blueprints=())
    for _ in range(SURVEYS):
        account.add_survey(responses=ROWS)
    account.build()
    return account


@pytest.fixture
def server(account: Watched) -> Iterator[SandboxServer]:
    with SandboxServer(account, latency_seconds=0.02) as running:
        yield running


@pytest.fixture
def line(server: SandboxServer, tmp_path: Path) -> CommandLine:
    return CommandLine(server, tmp_path)


def assert_complete(account: SandboxAccount, database: Path) -> None:
    """Every cell of both tables is as the API gives it, and no spool is left."""
    assert model.held_surveys(database) == model.listed(account)
    held = model.held_responses(database)
    for survey_id in account.survey_ids():
        assert held.get(survey_id, {}) == model.given(account, survey_id)
    spool = database.with_name(f".{database.name}.spool")
    assert [path.name for path in spool.glob("*")] == []


def assert_whole_or_old(
    account: SandboxAccount, database: Path, before: dict[str, model.Rows]
) -> dict[str, model.Rows]:
    """Every survey is as it was, or as the API gives it, and nothing between."""
    held = model.held_responses(database)
    for survey_id in account.survey_ids():
        rows = held.get(survey_id, {})
        assert rows in (before.get(survey_id, {}), model.given(account, survey_id))
    return held


def statuses(line: CommandLine, account: SandboxAccount) -> set[str | None]:
    with dg.DagsterInstance.from_config(str(line.home)) as instance:
        found = instance.get_status_by_partition(
            survey_responses.key, account.survey_ids(), survey_partitions
        )
        under_way = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert found is not None
    assert not under_way
    return {status and status.value for status in found.values()}


def moments(account: Watched, database: Path, chance: random.Random) -> Callable[[Any], None]:
    """Choose a moment of a sync: when so many pages were asked for, or so many writes were seen."""
    if chance.random() < 0.5:
        wanted, reached = account.pages + chance.randint(1, REQUESTS), threading.Event()
        account.on_page = reaching(wanted, reached)
        return lambda process: until(reached.is_set, process)
    writes, last = chance.randint(1, 12), [0, 0]
    files = (database, database.with_name(f"{database.name}.wal"))

    def is_written() -> bool:
        now = hash(tuple(_state(file) for file in files))
        last[0], last[1] = last[0] + (now != last[1]), now
        return last[0] > writes

    return lambda process: until(is_written, process)


def _state(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def until(is_reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for a moment, or for the end of the process that did not come to it."""
    while not is_reached() and process.poll() is None:
        time.sleep(0.001)


def kill_again_and_again(account: Watched, line: CommandLine, *, times: int, seed: int) -> None:
    chance, killed = random.Random(seed), 0
    held: dict[str, model.Rows] = {}
    for _ in range(times):
        for survey_id in chance.sample(account.survey_ids(), 3):
            account.add_responses(survey_id, chance.choice([1, ROWS]))
        moment = moments(account, line.database, chance)
        process = line.start(*chance.choice([[], [], ["--full"], ["--lookback", "9000"]]))
        moment(process)
        killed += process.poll() is None
        kill(process)
        account.on_page = None
        held = assert_whole_or_old(account, line.database, held)
    assert killed > times // 2
    done = line.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert_complete(account, line.database)
    assert statuses(line, account) == {"MATERIALIZED"}


# --- Killed --------------------------------------------------------------------------------------


def test_after_a_killed_sync_every_survey_is_whole_and_the_next_sync_completes_them(account, line):
    kill_again_and_again(account, line, times=5, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_after_fifty_killed_syncs_every_survey_is_whole(account, line):
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    kill_again_and_again(account, line, times=50, seed=seed)


def reaching(page: int, reached: threading.Event) -> Callable[[int], None]:
    """Return what notes that a page of responses was asked for."""

    def look(number: int) -> None:
        if number >= page:
            reached.set()

    return look


def kill_workers(account: Watched, line: CommandLine, *, times: int) -> None:
    """Let `dagster dev` run a sync and kill the process of the run."""
    (line.folder / "workspace.yaml").symlink_to(PROJECT / "workspace.yaml")
    line.home.mkdir()
    (line.home / "dagster.yaml").symlink_to(PROJECT / "hotjar_assets" / "dagster.yaml")
    port, keys = free_port(), account.survey_ids()
    with dg.DagsterInstance.from_config(str(line.home)) as instance:
        instance.add_dynamic_partitions(str(survey_partitions.name), keys)
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "dagster", "dev", *where]
    environ = line.environ({})
    held: dict[str, model.Rows] = {}
    with DagsterDev(command, folder=line.folder, environ=environ, port=port) as dev:
        for number in range(times):
            for survey_id in keys[:3]:
                account.add_responses(survey_id, ROWS)
            reached = threading.Event()
            account.on_page = reaching(account.pages + 3 * number + 5, reached)
            run_id = launch(dev, keys)
            assert reached.wait(60), dev.events(run_id)
            os.kill(worker_of(dev, run_id), signal.SIGKILL)
            account.on_page = None
            held = assert_whole_or_old(account, line.database, held)
        done = line.run()
        assert done.returncode == 0, done.stderr
        assert_complete(account, line.database)
        assert dev.partitions()["materialized"] == set(keys)


def launch(dev: DagsterDev, keys: list[str]) -> str:
    mutation = """mutation ($params: ExecutionParams!) {
        launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } }
            ... on PythonError { message } } }"""
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "hotjar_assets",
        "jobName": "sync_job",
    }
    tags = [{"key": RANGE_START, "value": keys[0]}, {"key": RANGE_END, "value": keys[-1]}]
    # A run that the daemon starts again would run beside those that follow.
    tags.append({"key": "dagster/max_retries", "value": "0"})
    params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
    return str(dev.graphql(mutation, params=params)["launchRun"]["run"]["runId"])


def worker_of(dev: DagsterDev, run_id: str) -> int:
    started = re.compile(r"Started process for run \(pid: (\d+)\)\.")
    messages = [event["message"] for event in dev.events(run_id, "EngineEvent")]
    (pid,) = (int(match.group(1)) for text in messages if (match := started.fullmatch(text)))
    return pid


def test_after_a_killed_run_worker_the_next_sync_completes_what_is_missing(account, line):
    kill_workers(account, line, times=1)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_after_five_killed_run_workers_the_next_sync_completes_what_is_missing(account, line):
    kill_workers(account, line, times=5)


# --- Not alone -----------------------------------------------------------------------------------


def test_two_syncs_and_a_reader_at_once_all_succeed(account, line):
    assert line.run().returncode == 0
    for survey_id in account.survey_ids():
        account.add_responses(survey_id, ROWS)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(line.database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    syncs = [line.start(), line.start("--full")]
    for sync in syncs:
        _, errors = sync.communicate(timeout=100)
        assert sync.returncode == 0, errors
        waited = rf"WARNING: waiting for {re.escape(str(line.database))}, held by PID \d+ \(.*"
        assert all(re.fullmatch(waited, told) for told in errors.splitlines()), errors
    read, errors = reader.communicate(timeout=100)
    assert (read, errors) == ("20\n", "")
    assert_complete(account, line.database)
    assert statuses(line, account) == {"MATERIALIZED"}


def test_who_waits_says_for_whom_and_goes_on_when_the_file_is_free(account, line):
    assert line.run().returncode == 0
    account.add_responses(account.survey_ids()[0], 5)
    waiting = f"WARNING: waiting for {line.database}, held by PID {os.getpid()} ("
    with duckdb.connect(str(line.database)):
        syncs = [line.start(), line.start()]
        told = [sync.stderr.readline() for sync in syncs if sync.stderr]
        assert [text[: len(waiting)] for text in told] == [waiting, waiting]
    for sync in syncs:
        sync.communicate(timeout=100)
        assert sync.returncode == 0
    assert_complete(account, line.database)


# --- No disk, no folder, no file -----------------------------------------------------------------


def add_bulk(account: SandboxAccount) -> None:
    """Add three megabytes of text, which no compression makes small, to each of some surveys."""
    chance = random.Random(1)
    for survey_id in account.survey_ids()[:6]:
        for _ in range(300):
            url = f"https://shop.example/{chance.randbytes(5_000).hex()}"
            account.add_responses(survey_id, response_origin_url=url)


@pytest.mark.parametrize(
    "size_bytes", [6_000_000, 2_000_000], ids=["of the tables", "of the spool"]
)
def test_a_disk_that_is_full_fails_the_sync_and_keeps_every_survey_whole(account, line, size_bytes):
    assert line.run().returncode == 0
    held = model.held_responses(line.database)
    add_bulk(account)
    starved = line.run(prepare=file_limit(size_bytes))
    assert starved.returncode == 1
    assert re.search("disk", starved.stderr), starved.stderr
    assert "Traceback" not in starved.stderr
    assert_whole_or_old(account, line.database, held)
    assert line.run().returncode == 0
    assert_complete(account, line.database)
    assert statuses(line, account) == {"MATERIALIZED"}


def test_a_folder_below_a_file_is_a_bad_setting_and_nothing_is_requested(line, server, tmp_path):
    (tmp_path / "file").write_text("")
    done = line.run(HOTJAR_DATABASE=str(tmp_path / "file" / "warehouse.duckdb"))
    assert done.returncode == 2
    assert re.fullmatch("HOTJAR_DATABASE: .* choose another.*\n", done.stderr)
    assert server.requests == []


def test_a_folder_that_takes_no_files_fails_the_sync_in_words(line):
    """The permissions of /proc say that root may write; the kernel does not agree."""
    done = line.run(HOTJAR_DATABASE="/proc/warehouse.duckdb")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "/proc" in done.stderr


@pytest.fixture
def removed(account: Watched, line: CommandLine) -> threading.Event:
    """Set when the database was removed, which happens when the sync asks for its third page."""
    removed = threading.Event()

    def remove(number: int) -> None:
        if number >= 3 and not removed.is_set():
            line.database.unlink()
            removed.set()

    account.on_page = remove
    return removed


def test_after_the_file_was_removed_in_mid_sync_the_next_sync_makes_it_whole(
    account, line, removed
):
    line.run()
    assert removed.is_set()
    assert_whole_or_old(account, line.database, {})
    assert line.run().returncode == 0
    assert_complete(account, line.database)
    assert statuses(line, account) == {"MATERIALIZED"}


def test_a_file_that_is_removed_in_mid_sync_fails_the_sync(line, removed):
    done = line.run()
    assert removed.is_set()
    assert done.returncode == 1
    assert str(line.database) in done.stderr
