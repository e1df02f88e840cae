"""What each kind of bad input gets: how it exits, what it says, what is stored.

Most rows are about one survey among others. They are played in a single full sync over an account
where every survey has its own trouble, after a good sync of all of them; each test then looks at
its survey. Waiting is recorded instead of done.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import PrivateAttr

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.api.source import SurveySource
from hotjar_assets.defs.partitions import add_surveys
from hotjar_assets.resources import HotjarResource
from hotjar_assets.runs import Outcome, run_sync
from hotjar_assets.sandbox import Fault, SandboxAccount, SandboxServer
from hotjar_assets_tests.dagster.model import (
    CLOCK,
    SITE,
    SURVEY_IDS,
    account_ids,
    pages_sent,
    query,
    sent,
    settings_for,
    stored_ids,
)

QUIET = "1000"
"""A survey without trouble."""
REMOVED = "1001"
"""A survey that is removed between the two syncs."""
TYPED = "typed by hand"
"""A partition that is no survey."""
CELLS = "1002"
"""A survey whose rows are not of the documented shape."""


class PatientHotjar(HotjarResource):
    """An account whose client notes how long it would wait, and does not."""

    _waits: list[float] = PrivateAttr(default_factory=list)

    def client(self) -> SurveySource:
        if self._client is None:
            settings = self.settings
            self._client = client = HotjarClient(
                settings.api_url,
                client_id=str(settings.client_id),
                client_secret=str(settings.client_secret),
                site_ids=settings.site_id,
                requests_per_minute=settings.requests_per_minute,
                sleep=self._waits.append,
            )
            self._opened.callback(client.close)
        return self._client


SOON = "50 seconds from now, as an HTTP date"


def on_page(kind: str, page: int = 1, **options: Any) -> Fault:
    return Fault(kind, path="responses", page=page, **options)  # type: ignore[arg-type]


def without(name: str) -> Callable[[list[Any]], list[Any]]:
    """Return what takes a field out of the second row of a page."""

    def transform(rows: list[Any]) -> list[Any]:
        second = {key: value for key, value in rows[1].items() if key != name}
        return [rows[0], second, *rows[2:]]

    return transform


def with_value(name: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    def transform(rows: list[Any]) -> list[Any]:
        return [rows[0], rows[1] | {name: value}, *rows[2:]]

    return transform


PASSING: dict[str, Fault] = {
    "401 in mid-paging": on_page("401", 2, times=1),
    "429 with seconds": on_page("429", 2, times=1, retry_after=7),
    "429 with a date": on_page("429", times=1, retry_after=SOON),
    "429 with nothing": on_page("429", times=1),
    "500s that pass": on_page("500", 2, times=5),
    "503 that passes": on_page("503", times=1, retry_after=3),
    "a cut body": on_page("cut", 2, times=1),
    "no answer": on_page("disconnect", times=1),
    "HTML with status 200": on_page("html", 2, times=2),
    "JSON that breaks off": on_page("invalid_json", times=1),
    "results missing": on_page("results_missing", 2, times=1),
    "results null": on_page("results_null", times=1),
    "next_cursor absent": Fault("cursor_absent", path="responses"),
    "next_cursor empty": Fault("cursor_empty", path="responses"),
    "an empty page with a cursor": on_page("empty_page", 2, times=3),
    "pages that overlap": Fault("overlap", path="responses", rows=5),
    "rows twice in a page": Fault("duplicate_rows", path="responses"),
    "pages out of order": Fault("unsorted", path="responses"),
    "a byte-order mark": Fault("bom", path="responses"),
    "a wrong content type": Fault("content_type", path="responses"),
    "a redirect on the same host": on_page("redirect_same_host", 2),
}
"""Trouble that a sync gets over: nothing is missing and nothing is there twice."""

FAILING: dict[str, tuple[Fault, str, int]] = {
    "401 twice": (on_page("401", 2), "the API rejected two tokens in a row", 2),
    "403": (on_page("403"), "survey export needs the Ask Scale plan", 1),
    "listed, but 404": (on_page("404"), "not found", 1),
    "400": (on_page("400", 2), "the API did not understand the request", 2),
    "429 that stays": (on_page("429", 2, retry_after=0), "too many requests", 2),
    "429 for an hour": (on_page("429", retry_after=3600), "too many requests", 1),
    "500s that stay": (on_page("500", 2), "the API failed", 2),
    "a cut body that stays": (on_page("cut", 2), "no complete answer", 2),
    "no answer that stays": (on_page("disconnect"), "no complete answer", 1),
    "HTML that stays": (on_page("html", 2), "not the JSON it should be", 2),
    "JSON that stays broken": (on_page("invalid_json"), "not the JSON it should be", 1),
    "results that stay missing": (on_page("results_missing", 2), "needs a list `results`", 2),
    "results that stay null": (on_page("results_null"), "needs a list `results`", 1),
    "next_cursor repeated": (
        Fault("repeat_cursor", path="responses"),
        "the next cursor repeats an earlier one",
        2,
    ),
    "next_cursor cycling": (
        Fault("cycle_cursor", path="responses"),
        "the next cursor repeats an earlier one",
        3,
    ),
    "a redirect to another host": (
        on_page("redirect_other_host", location="http://127.0.0.1:9/"),
        "redirected to another host",
        1,
    ),
    "a row without id": (
        on_page("mutate_rows", 2, transform=without("id")),
        "results[1].id: is missing",
        2,
    ),
    "a row without created_time": (
        on_page("mutate_rows", 2, transform=without("created_time")),
        "results[1].created_time: is missing",
        2,
    ),
    "a created_time that is none": (
        on_page("mutate_rows", transform=with_value("created_time", "yesterday")),
        "results[1].created_time: is not the instant it is documented to be",
        1,
    ),
    "a row that is no object": (
        on_page("mutate_rows", transform=lambda rows: [rows[0], "row", *rows[2:]]),
        "results[1]: is not an object",
        1,
    ),
}
"""Trouble that stays: the fault, what is said, and the page that is named."""

IDS = {name: str(2000 + number) for number, name in enumerate([*PASSING, *FAILING])}
"""The survey that has each trouble."""
ODD_ROW: dict[str, Any] = {
    "device": "smart fridge",
    "browser": 7,
    "os": True,
    "user_attributes": None,
    "window_size": "1280x720",
    "mood": {"is": "new"},
    "country": "n\ud800l",
    "response_origin_url": "a\x00b",
    "hotjar_user_id": 2**70,
    "answers": [{"question_id": 12, "answer": 9, "tags": ["x"], "ai_summary": "short"}],
}


@dataclass
class Played:
    """What the second sync did, and what was there before it."""

    outcome: Outcome
    server: SandboxServer
    database: Path
    waits: list[float]
    before: dict[str, list[str]] = field(default_factory=dict)

    def problem(self, survey_id: str) -> str:
        starts = (f"survey {survey_id} (", f"survey {survey_id}: ")
        (line,) = [line for line in self.outcome.problems if line.startswith(starts)]
        return line


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Iterator[Played]:
    account = SandboxAccount(clock=CLOCK, blueprints=())
    for survey_id in (QUIET, REMOVED, CELLS, *IDS.values()):
        rows = 250 if survey_id == IDS["next_cursor cycling"] else 110
        account.add_survey(survey_id=survey_id, responses=rows)
    database = tmp_path_factory.mktemp("bad-input") / "tables.duckdb"
    with SandboxServer(account.build()) as server, dg.DagsterInstance.ephemeral() as instance:
        settings = settings_for(server, database, HOTJAR_CONCURRENCY="4")
        assert run_sync(instance, settings).problems == []
        before = {key: stored_ids(database, key) for key in account.survey_ids()}
        for survey_id in account.survey_ids():
            account.add_responses(survey_id)
        account.remove_survey(REMOVED)
        account.set_response(CELLS, account.responses(CELLS)[0]["id"], **ODD_ROW)
        add_surveys(instance, [TYPED])
        for name, survey_id in IDS.items():
            fault = PASSING[name] if name in PASSING else FAILING[name][0]
            if fault.retry_after == SOON:
                soon = datetime.now(UTC) + timedelta(seconds=50)
                fault = replace(fault, retry_after=format_datetime(soon, usegmt=True))
            server.faults.add(replace(fault, survey_id=survey_id))
        server.clear_requests()
        hotjar = PatientHotjar.from_settings(settings)
        assert isinstance(hotjar, PatientHotjar)
        outcome = run_sync(instance, settings, hotjar=hotjar, full=True)
        yield Played(outcome, server, database, hotjar._waits, before)


# --- One survey among others -------------------------------------------------------------------


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_passes_leaves_nothing_out_and_nothing_twice(played, name):
    survey_id = IDS[name]

    assert played.outcome.partitions[survey_id]["status"] == "materialized"
    assert played.outcome.partitions[survey_id]["new"] == 1
    assert stored_ids(played.database, survey_id) == account_ids(played.server.account, survey_id)


@pytest.mark.parametrize("name", FAILING)
def test_trouble_that_stays_fails_its_survey_and_says_why_and_where(played, name):
    _, what, page = FAILING[name]
    survey_id = IDS[name]

    assert played.outcome.partitions[survey_id] == {
        "status": "failed",
        "new": 0,
        "updated": 0,
        "deleted": 0,
        "rows": None,
        "requests": None,
    }
    assert what in played.problem(survey_id)
    assert re.search(rf"[\[ ]page {page}[\],]", played.problem(survey_id))


@pytest.mark.parametrize("name", FAILING)
def test_trouble_that_stays_leaves_the_old_rows_as_they_were(played, name):
    survey_id = IDS[name]

    assert stored_ids(played.database, survey_id) == played.before[survey_id]
    marked = (
        "SELECT count(*) FROM hotjar.survey_responses "
        "WHERE survey_id = $key AND deleted_at IS NOT NULL"
    )
    assert query(played.database, marked, key=survey_id) == [(0,)]


def test_a_survey_without_trouble_is_committed_beside_the_others(played):
    assert played.outcome.partitions[QUIET] == {
        "status": "materialized",
        "new": 1,
        "updated": 0,
        "deleted": 0,
        "rows": 111,
        "requests": 2,
    }


def test_every_failure_is_one_line(played):
    assert len(played.outcome.problems) == len(FAILING)
    assert [line for line in played.outcome.problems if "\n" in line] == []


def test_a_partition_that_is_no_survey_is_skipped(played):
    assert played.outcome.partitions[TYPED] == {
        "status": "materialized",
        "new": 0,
        "updated": 0,
        "deleted": 0,
        "rows": 0,
        "requests": 1,
    }


def test_a_removed_survey_is_no_failure_and_costs_no_request(played):
    assert played.outcome.partitions[REMOVED] == {
        "status": "materialized",
        "new": 0,
        "updated": 0,
        "deleted": 110,
        "rows": 110,
        "requests": 0,
    }


def test_waits_are_as_long_as_the_api_says(played):
    assert 7.0 in played.waits
    assert 3.0 in played.waits
    assert [wait for wait in played.waits if 30 < wait <= 50]


def test_nothing_waits_longer_than_a_minute(played):
    assert max(played.waits) <= 60


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("401 twice", 3),
        ("403", 1),
        ("listed, but 404", 1),
        ("400", 2),
        ("429 that stays", 7),
        ("429 for an hour", 1),
        ("500s that stay", 7),
        ("HTML that stays", 7),
        ("next_cursor repeated", 2),
        ("a row without id", 2),
    ],
)
def test_only_what_can_pass_is_tried_again_and_six_times_at_most(played, name, requests):
    assert pages_sent(played.server)[IDS[name]] == requests


def test_a_rejected_token_is_replaced_and_the_same_page_asked_for_again(played):
    survey_id = IDS["401 in mid-paging"]
    cursors = [
        request.query.get("cursor")
        for request in played.server.requests
        if request.path == f"{SITE}/{survey_id}/responses"
    ]

    assert cursors[0] is None
    assert cursors[1] == cursors[2] is not None
    assert len(cursors) == 3


def test_a_row_of_another_shape_is_stored_and_keeps_what_does_not_fit(played):
    (odd,) = query(
        played.database,
        "SELECT device, browser, os, country, response_origin_url, hotjar_user_id, window_width, "
        "answers[1].question_id, answers[1].answer, answers[1].tags, extra "
        "FROM hotjar.survey_responses WHERE survey_id = $key AND device = 'smart fridge'",
        key=CELLS,
    )

    assert odd[:10] == (
        "smart fridge",
        "7",
        "true",
        "n�l",
        "a�b",
        str(2**70),
        None,
        "12",
        "9",
        ["x"],
    )
    assert json.loads(odd[10]) == {
        "window_size": "1280x720",
        "mood": {"is": "new"},
        "answers[0].ai_summary": "short",
    }


# --- The whole sync ----------------------------------------------------------------------------


WHOLE = [
    pytest.param(
        {"HOTJAR_CLIENT_SECRET": "not-the-secret"},
        None,
        "the client id or secret is wrong, or the key has expired",
        ["/v1/oauth/token"],
        id="wrong secret",
    ),
    pytest.param(
        {},
        Fault("403", path="token"),
        "make a new one in Hotjar's settings",
        ["/v1/oauth/token"],
        id="key refused",
    ),
    pytest.param(
        {},
        Fault("403", path="surveys"),
        "survey export needs the Ask Scale plan",
        ["/v1/oauth/token", SITE],
        id="plan without survey export",
    ),
    pytest.param(
        {"HOTJAR_SITE_ID": "9999"},
        None,
        "check HOTJAR_SITE_ID",
        ["/v1/oauth/token", "/v1/sites/9999/surveys"],
        id="unknown site",
    ),
    pytest.param(
        {},
        Fault("500", path="surveys", retry_after=0),
        "the API failed",
        ["/v1/oauth/token", *[SITE] * 6],
        id="500s at the listing",
    ),
    pytest.param(
        {},
        Fault("repeat_cursor", path="surveys"),
        "the next cursor repeats an earlier one",
        ["/v1/oauth/token", SITE, SITE],
        id="a listing without end",
    ),
]


@pytest.mark.parametrize(("variables", "fault", "problem", "paths"), WHOLE)
def test_trouble_at_the_token_or_the_listing_touches_no_table(
    synced, variables, fault, problem, paths
):
    tables = "FROM hotjar.surveys UNION ALL BY NAME FROM hotjar.survey_responses ORDER BY ALL"
    before = query(synced.database, tables)
    if fault and fault.kind == "repeat_cursor":
        for number in range(100):
            synced.server.account.add_survey(survey_id=f"more {number}")
    if fault:
        synced.server.faults.add(fault)

    result = synced("sync", "--json", **variables)

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert problem in line
    assert "not-the-secret" not in result.output
    said = json.loads(result.stdout)
    assert (said["surveys"], said["partitions"], said["requests"]) == (0, {}, len(paths))
    assert [path for _, path, _ in sent(synced.server)] == paths
    assert query(synced.database, tables) == before


def test_a_listing_that_fails_within_the_run_fails_every_survey_in_one_line(quick):
    """The first listing registers what is new, the second one is the run's own."""
    quick.server.faults.add(Fault("403", path="surveys", after=1))

    result = quick("sync", "--json")

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("4 surveys not read: hotjar__surveys: not allowed")
    assert {
        key: own["status"] for key, own in json.loads(result.stdout)["partitions"].items()
    } == dict.fromkeys(SURVEY_IDS, "failed")
