"""What a commit may keep in memory, and what happens when that is too little."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from hotjar_assets.defs.dbt import PROJECT
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.sandbox import SandboxAccount, SandboxServer
from hotjar_assets.spool import Segment
from hotjar_assets.warehouse.merge import bytes_at_once
from hotjar_assets_tests.dagster.model import environment
from hotjar_assets_tests.models.model import DBT, dbt_environment
from hotjar_assets_tests.store.conftest import Store, new_client

PEAK_MB = 350
# A process begins with the peak of the one that started it, which here holds the account.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture
def large(tmp_path):
    """A survey of 20,000 responses, and where it goes."""
    account = SandboxAccount.sized(surveys=1, responses=20_000)
    with SandboxServer(account) as server:
        client = new_client(server)
        yield Store(client, tmp_path / "rows.duckdb"), account.survey_ids()[0]
        client.close()


def test_a_commit_that_needs_more_memory_gets_it_and_loses_nothing(large, monkeypatch):
    store, survey_id = large
    tried = []
    transaction = store.warehouse._database.transaction

    def remember(*, memory_limit=""):
        tried.append(memory_limit)
        return transaction(memory_limit=memory_limit)

    monkeypatch.setattr(store.warehouse, "_memory_limits", ("4MB", "200MB"))
    monkeypatch.setattr(store.warehouse._database, "transaction", remember)

    figures = store.sync_one(survey_id).figures

    assert tried == ["4MB", "200MB"]
    assert (figures.rows, figures.new) == (20_000, 20_000)


def test_a_commit_keeps_to_the_last_limit_if_there_is_one(large, monkeypatch):
    store, survey_id = large
    monkeypatch.setattr(store.warehouse, "_memory_limits", ("32MB",))

    assert store.sync_one(survey_id).figures.new == 20_000


def test_a_commit_that_fits_in_no_memory_says_so_and_changes_nothing(large, monkeypatch):
    store, survey_id = large
    monkeypatch.setattr(store.warehouse, "_memory_limits", ("4MB",))

    error = store.sync_one(survey_id).error

    assert isinstance(error, HotjarStoreError)
    assert "no space left in memory" in str(error)
    assert "HOTJAR_MAX_COMMIT_MB" in str(error)
    assert store.warehouse.survey_states([survey_id])[survey_id].watermark is None


def test_rows_that_are_too_long_to_be_held_at_once_are_refused_by_their_setting(large, monkeypatch):
    store, survey_id = large
    monkeypatch.setattr(store.warehouse, "_max_commit_mb", 1)

    error = store.sync_one(survey_id).error

    assert isinstance(error, HotjarStoreError)
    assert "HOTJAR_MAX_COMMIT_MB is 1; set it higher" in str(error)
    assert store.warehouse.survey_states([survey_id])[survey_id].watermark is None


def test_of_several_surveys_only_the_one_with_long_rows_is_refused(tmp_path, monkeypatch):
    account = SandboxAccount.sized(surveys=2, responses=20)
    short, long = account.survey_ids()
    account.add_responses(long, browser="x" * 1024**2)
    with SandboxServer(account) as server:
        client = new_client(server)
        store = Store(client, tmp_path / "rows.duckdb")
        monkeypatch.setattr(store.warehouse, "_max_commit_mb", 4)
        synced = store.sync(short, long)
        client.close()

    assert synced[short].figures.new == 20
    assert "HOTJAR_MAX_COMMIT_MB" in str(synced[long].error)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([(1_000, 10)], 10_000),
        ([(3_000, 10)], 20_480),
        ([(2_000, 10), (48, 100), (1_000, 1)], 24_800),
    ],
)
def test_the_longest_rows_that_duckdb_handles_at_once_are_weighed(sizes, expected, tmp_path):
    segments = []
    for number, (rows, row_bytes) in enumerate(sizes):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * rows * row_bytes)
        segments.append(Segment(path, rows, row_bytes, has_duplicates=False, unit="1", bytes=0))
    assert bytes_at_once(segments) == expected


@pytest.mark.slow
@pytest.mark.parametrize("responses", [100_000, 300_000])
def test_a_sync_of_one_survey_of_any_size_stays_below(responses):
    with tempfile.TemporaryDirectory() as folder:
        account = SandboxAccount.sized(surveys=1, responses=responses).build()
        with SandboxServer(account) as server:
            database = Path(folder, "rows.duckdb")
            peak_mb = peak_of_sync(server, database)
        stored = rows_in(database)
    assert stored == responses
    assert peak_mb < PEAK_MB


def peak_of_sync(server, database):
    """Sync in a process of its own; return its peak in MB."""
    settings = environment(server) | {"HOTJAR_DATABASE": str(database)}
    program = Path(sys.executable).with_name("hotjar-assets")
    outcome = subprocess.run(
        [sys.executable, "-c", MEASURE, program, "sync", "--json", "--no-models"],
        cwd=database.parent,
        env={**os.environ, **settings, "DAGSTER_HOME": str(database.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(outcome.stdout) / 1024


def rows_in(database):
    query = "SELECT count(DISTINCT (survey_id, response_id)) FROM hotjar.survey_responses"
    with duckdb.connect(database) as connection:
        ((rows,),) = connection.execute(query).fetchall()
    return rows


OLDER = """
INSERT INTO hotjar.survey_responses BY NAME
SELECT r.* REPLACE (response_id || '-' || n AS response_id)
FROM hotjar.survey_responses r, range($times) AS times(n)
"""
READ = """
import json, sys
from hotjar_assets.schema import SURVEY_RESPONSES
from hotjar_assets.warehouse import Warehouse
warehouse, survey_ids = Warehouse(sys.argv[1]), json.loads(sys.argv[2])
assert all(trend.spans for trend in warehouse.trends(survey_ids).values())
assert warehouse.health(SURVEY_RESPONSES).rows == int(sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pictures_and_checks_of_many_large_surveys_stay_below(tmp_path):
    surveys, recent, times = 10, 50, 999
    account = SandboxAccount.sized(surveys=surveys, responses=recent)
    with SandboxServer(account) as server:
        client = new_client(server)
        store = Store(client, tmp_path / "rows.duckdb")
        store.sync(*account.survey_ids())
        client.close()
    with duckdb.connect(store.path) as connection:
        connection.execute(OLDER, {"times": times})
    rows = surveys * recent * (times + 1)
    arguments = [str(store.path), json.dumps(account.survey_ids()), str(rows)]
    outcome = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-c", READ, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(outcome.stdout) / 1024 < 200


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sync_over_many_stored_responses_stays_below(tmp_path):
    """With the pictures of 20 surveys."""
    surveys, recent, times, added = 20, 50, 499, 2_000
    database = tmp_path / "rows.duckdb"
    account = SandboxAccount.sized(surveys=surveys, responses=recent)
    with SandboxServer(account) as server:
        peak_of_sync(server, database)
        with duckdb.connect(database) as connection:
            connection.execute(OLDER, {"times": times})
        for survey_id in account.survey_ids():
            account.add_responses(survey_id, added)
        peak_mb = peak_of_sync(server, database)
    assert rows_in(database) == surveys * (recent * (times + 1) + added)
    assert peak_mb < PEAK_MB


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_models_of_many_responses_keep_to_their_memory(tmp_path):
    """DuckDB gets 128 MiB; to be imported and to parse the project takes dbt some 190 MB."""
    surveys, recent, times = 10, 300, 99
    account = SandboxAccount.sized(surveys=surveys, responses=recent)
    with SandboxServer(account) as server:
        client = new_client(server)
        store = Store(client, tmp_path / "rows.duckdb")
        store.list_surveys()
        store.sync(*account.survey_ids())
        client.close()
    with duckdb.connect(store.path) as connection:
        connection.execute(OLDER, {"times": times})
    outcome = subprocess.run(
        [sys.executable, "-c", MEASURE, DBT, "run"],
        cwd=PROJECT,
        env=dbt_environment(store.path) | {"HOTJAR_MAX_MODELS_MB": "128"},
        capture_output=True,
        text=True,
        check=True,
    )
    with duckdb.connect(store.path) as connection:
        made = connection.execute(
            "SELECT sum(responses) FROM hotjar_marts.hotjar__survey "
            "UNION ALL SELECT count(*) FROM hotjar_marts.hotjar__response"
        ).fetchall()
    rows = surveys * recent * (times + 1)
    assert made == [(rows,), (rows,)]
    assert int(outcome.stdout) / 1024 < 400
