"""Every value that the API gives is in the table, cell by cell."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.sandbox import (
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
    SandboxAccount,
    SandboxServer,
)

from . import model
from .conftest import Store, new_client

SITES = (SANDBOX_SITE_ID, SANDBOX_SECOND_SITE_ID)


@pytest.fixture(scope="module")
def whole_account(tmp_path_factory: pytest.TempPathFactory) -> tuple[SandboxAccount, Path]:
    """The default account, synced once."""
    path = tmp_path_factory.mktemp("whole") / "warehouse.duckdb"
    with SandboxServer() as server:
        client = new_client(server, site_ids=SITES)
        store = Store(client, path)
        store.list_surveys()
        store.sync(*(each for site in SITES for each in server.account.survey_ids(site)))
        client.close()
        return server.account, path


def test_every_cell_of_every_response_is_what_the_api_says(whole_account):
    account, path = whole_account
    expected = {
        survey_id: model.truth(account.responses(survey_id), survey_id=survey_id, site_id=site_id)
        for site_id in SITES
        for survey_id in account.survey_ids(site_id)
    }
    rows = model.stored(path, "survey_responses")
    for survey_id, truth in expected.items():
        of_survey = {r["response_id"]: r for r in rows if r["survey_id"] == survey_id}
        assert model.cells(of_survey) == truth
    assert len(rows) == sum(map(len, expected.values())) > 12_000


def test_every_cell_of_every_survey_is_what_the_api_says(whole_account):
    account, path = whole_account
    expected = {
        survey["id"]: model.survey_row(survey, site_id=site_id)
        for site_id in SITES
        for survey in account.surveys(site_id)
    }
    assert model.cells(model.surveys(path)) == expected


def test_odd_values_are_stored_as_declared_and_kept_in_extra_where_they_cannot_be(
    account: SandboxAccount, store: Store, survey_id: str
):
    (odd,) = account.add_responses(
        survey_id,
        browser=117,
        country=["MT", "IT"],
        hotjar_user_id="nul \x00 and \ud83d alone",
        window_size="1280x720",
        user_attributes=[
            {"name": "plan", "value": None},
            {"name": "big", "value": 2**70},
            {"name": "nested", "value": {"a": [1, "ü"]}},
        ],
        answers=[
            {
                "question_id": 7,
                "answer": 9,
                "tags": ["price", {"name": "ux", "color": "red"}],
                "ai_summary": "cross",
            }
        ],
        mood={"x": [1, {"y": None}]},
    )
    store.sync(survey_id)
    row = model.responses(store.path)[odd]
    assert row["browser"] == "117"
    assert row["country"] is None
    assert row["hotjar_user_id"] == "nul \ufffd and \ufffd alone"
    assert (row["window_width"], row["window_height"]) == (None, None)
    assert row["user_attributes"] == [
        {"name": "plan", "value": None},
        {"name": "big", "value": str(2**70)},
        {"name": "nested", "value": {"a": [1, "ü"]}},
    ]
    assert row["answers"] == [
        {
            "question_id": "7",
            "answer": "9",
            "comment": None,
            "tags": ["price", "ux"],
            "sentiment": None,
        }
    ]
    assert row["extra"] == {
        "country": ["MT", "IT"],
        "window_size": "1280x720",
        "answers[0].tags[1].color": "red",
        "answers[0].ai_summary": "cross",
        "mood": {"x": [1, {"y": None}]},
    }


def test_a_field_that_is_null_or_absent_is_null_in_the_table(account, store, survey_id):
    fields = {
        "is_complete": "is_complete",
        "device": "device",
        "window_size": "window_width",
        "user_attributes": "user_attributes",
        "answers": "answers",
    }
    rows = iter(account.responses(survey_id))
    columns: dict[str, str] = {}
    for field, column in fields.items():
        without, with_null = next(rows)["id"], next(rows)["id"]
        account.set_response(survey_id, without, without=[field])
        account.set_response(survey_id, with_null, **{field: None})
        columns |= {without: column, with_null: column}
    store.sync(survey_id)
    stored = model.responses(store.path)
    assert {key: stored[key][column] for key, column in columns.items()} == dict.fromkeys(columns)
    assert not any(row["extra"] for row in stored.values())


@pytest.fixture
def _in_new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
def test_an_instant_is_stored_to_the_microsecond_in_utc(account, store, survey_id):
    instants = {
        "2025-06-01T10:00:00Z": datetime(2025, 6, 1, 10, tzinfo=UTC),
        "2025-06-01T12:30:00.000001+02:30": datetime(2025, 6, 1, 10, 0, 0, 1, tzinfo=UTC),
        "2025-06-01T10:00:00": datetime(2025, 6, 1, 10, tzinfo=UTC),
        "1999-12-31T23:59:59.999999-05:00": datetime(2000, 1, 1, 4, 59, 59, 999999, tzinfo=UTC),
    }
    oldest = [each["id"] for each in account.responses(survey_id)[-len(instants) :]]
    for key, text in zip(oldest, instants, strict=True):
        account.set_response(survey_id, key, created_time=text)
    store.sync(survey_id)
    stored = model.responses(store.path)
    assert [stored[key]["created_at"] for key in oldest] == [
        model.micros(instant) for instant in instants.values()
    ]


def test_a_row_of_several_megabytes_is_stored_whole(account, store, survey_id):
    text = "größer 🙂 " * 300_000
    (long,) = account.add_responses(
        survey_id, answers=[{"question_id": "q", "answer": text, "tags": [], "sentiment": None}]
    )
    store.sync(survey_id)
    assert model.responses(store.path)[long]["answers"][0]["answer"] == text


def test_the_same_response_id_in_two_surveys_is_two_rows(account, store):
    first, second = account.add_survey("First"), account.add_survey("Second")
    account.add_responses(first, id="same", country="MT")
    account.add_responses(second, id="same", country="IT")
    store.sync(first, second)
    rows = model.stored(store.path, "survey_responses")
    assert {(row["survey_id"], row["response_id"], row["country"]) for row in rows} == {
        (first, "same", "MT"),
        (second, "same", "IT"),
    }


def test_an_id_that_is_text_once_and_a_number_later_is_one_row(account, store, survey_id):
    newest = account.responses(survey_id)[0]["id"]
    store.sync(survey_id)
    account.set_response(survey_id, newest, id=int(newest), country="MT")
    figures = store.sync_one(survey_id).figures
    assert (figures.rows, figures.new, figures.updated) == (250, 0, 1)
    assert model.responses(store.path)[newest]["country"] == "MT"


def test_a_row_of_a_second_site_names_its_site(
    account: SandboxAccount, make_client: Callable[..., HotjarClient], path: Path
):
    survey = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID, responses=3)
    store = Store(make_client(site_ids=SITES), path)
    store.sync(survey)
    expected = model.truth(
        account.responses(survey), survey_id=survey, site_id=SANDBOX_SECOND_SITE_ID
    )
    assert model.cells(model.responses(path)) == expected
