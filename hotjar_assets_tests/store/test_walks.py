"""Which pages a walk asks for, and where it stops."""

import logging
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from time import monotonic

import duckdb
import pytest

from hotjar_assets.errors import HotjarStoreError, HotjarUnknownSurveyError
from hotjar_assets.sandbox import (
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
    Fault,
    SandboxAccount,
)
from hotjar_assets.sync import Depth, ResponseSync

from . import model
from .conftest import CLOCK, SURVEYS, Store, pages_sent, responses_path, sent

SITES = (SANDBOX_SITE_ID, SANDBOX_SECOND_SITE_ID)


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def add_by_age(account: SandboxAccount, survey_id: str, *days: float) -> None:
    """Add a page of responses for each age, the oldest first."""
    for age in sorted(days, reverse=True):
        account.add_responses(survey_id, 100, created_at=days_ago(age))


def assert_complete(account: SandboxAccount, store: Store, survey_id: str) -> None:
    expected = model.truth(account.responses(survey_id), survey_id=survey_id)
    assert model.cells(model.responses(store.path, survey_id)) == expected


# --- What is read ------------------------------------------------------------------------------


def test_a_survey_never_read_is_read_whole(account, server, store, survey_id):
    store.list_surveys()
    synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 3
    assert (synced.read.pages, synced.read.requests, synced.read.stopped_early) == (3, 3, False)
    assert (synced.figures.rows, synced.figures.new) == (250, 250)
    assert_complete(account, store, survey_id)


def test_a_second_sync_sends_one_request_a_survey(account, server, store, survey_id):
    others = [account.add_survey(responses=count) for count in (0, 1, 100, 101, 730)]
    store.list_surveys()
    store.sync(survey_id, *others)
    sent(server)
    synced = store.sync(survey_id, *others)
    assert sorted(sent(server), key=str) == sorted(
        ((responses_path(each), {"limit": "100"}) for each in (survey_id, *others)), key=str
    )
    assert all(each.figures.new == each.figures.updated == 0 for each in synced.values())
    assert synced[survey_id].read.stopped_early


def test_only_the_pages_with_new_rows_and_one_older_row_are_read(account, server, store, survey_id):
    store.sync(survey_id)
    account.add_responses(survey_id, 120)
    sent(server)
    synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 2
    assert (synced.figures.rows, synced.figures.new) == (370, 120)
    assert_complete(account, store, survey_id)


def test_the_walk_goes_on_while_a_page_ends_at_the_watermark_itself(
    account, server, store, survey_id
):
    store.sync(survey_id)
    # The page ends with the row that is the watermark: older rows of the same instant may follow.
    account.add_responses(survey_id, 99)
    sent(server)
    synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 2
    assert synced.figures.new == 99


def test_rows_of_the_same_instant_as_the_watermark_are_not_missed(account, server, store):
    survey = account.add_survey()
    instant = CLOCK - timedelta(days=3)
    account.add_responses(survey, 10, created_at=instant - timedelta(days=1))
    account.add_responses(survey, 120, created_at=instant)
    store.sync(survey)
    account.add_responses(survey, 130, created_at=instant)
    sent(server)
    synced = store.sync_one(survey)
    assert pages_sent(server, survey) == 3
    assert synced.figures.new == 130
    assert_complete(account, store, survey)


def test_a_full_sync_reads_to_the_end(account, server, store, survey_id):
    store.sync(survey_id)
    sent(server)
    synced = store.sync_one(survey_id, depth=Depth.ALL)
    assert pages_sent(server, survey_id) == 3
    assert (synced.read.is_full, synced.read.stopped_early) == (True, False)


def test_a_new_survey_beside_read_ones_is_read_whole_though_its_rows_are_older(
    account, server, store, survey_id
):
    store.sync(survey_id)
    late = account.add_survey("Found late")
    account.add_responses(late, 220, created_at=CLOCK - timedelta(days=300))
    sent(server)
    store.sync(survey_id, late)
    assert pages_sent(server, late) == 3
    assert_complete(account, store, late)


def test_a_survey_whose_rows_are_all_marked_is_read_whole(account, server, store, survey_id):
    store.sync(survey_id)
    ids = [each["id"] for each in account.responses(survey_id)]
    for each in ids:
        account.delete_response(survey_id, each)
    assert store.sync_one(survey_id, depth=Depth.ALL).figures.deleted == 250
    for each in ids:
        account.restore_response(survey_id, each)
    sent(server)
    synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 3
    assert (synced.figures.new, synced.figures.updated) == (0, 250)
    assert_complete(account, store, survey_id)


def test_the_figures_tell_the_newest_instant_seen(account, store, survey_id):
    synced = store.sync_one(survey_id)
    newest = account.responses(survey_id)[0]["created_time"]
    assert model.micros(synced.read.newest_at) == model.micros(newest)


def test_an_empty_survey_costs_one_request_each_time(account, server, store):
    empty = account.add_survey()
    for _ in range(2):
        synced = store.sync_one(empty)
        assert sent(server)[-1:] == [(responses_path(empty), {"limit": "100"})]
        assert (synced.figures.rows, synced.read.newest_at, synced.read.pages) == (0, None, 1)


# --- What a walk should have met ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "missed"), [(0, 0), (1, 1)], ids=["where it stopped", "just before"]
)
def test_rows_of_the_instant_at_which_a_walk_stopped_are_not_missed(
    account, server, store, at, missed
):
    survey = account.add_survey()
    stopped_at = CLOCK - timedelta(days=5)
    # Of the rows of that instant, the first page has some, and the next one would have the others.
    account.add_responses(survey, 130, created_at=stopped_at)
    (gone,) = account.add_responses(survey, created_at=stopped_at + timedelta(microseconds=at))
    account.add_responses(survey, 60, created_at=CLOCK - timedelta(days=1))
    store.sync(survey)
    account.delete_response(survey, gone)
    sent(server)
    synced = store.sync_one(survey)
    assert pages_sent(server, survey) == 1
    assert (synced.read.stopped_early, synced.read.oldest_at) == (True, stopped_at)
    assert (synced.figures.vanished, synced.figures.deleted) == (missed, 0)
    assert store.warehouse.survey_states([survey])[survey].unsettled is bool(missed)


# --- Lookback ----------------------------------------------------------------------------------


def test_a_lookback_reads_until_a_row_older_than_its_days(account, server, store):
    survey = account.add_survey()
    add_by_age(account, survey, 1, 5, 6, 10, 20)
    store.sync(survey)
    changed = account.responses(survey)[250]["id"]
    account.tag_response(survey, changed, tags=["late"], sentiment="negative")
    sent(server)
    assert store.sync_one(survey).figures.updated == 0
    assert pages_sent(server, survey) == 2
    synced = store.sync_one(survey, depth=Depth.LOOKBACK, lookback_days=7)
    assert pages_sent(server, survey) == 4
    assert (synced.figures.new, synced.figures.updated) == (0, 1)
    assert model.responses(store.path)[changed]["answers"][0]["tags"] == ["late"]


def test_a_longer_lookback_reads_further(account, server, store):
    survey = account.add_survey()
    add_by_age(account, survey, 1, 5, 10, 20)
    store.sync(survey)
    sent(server)
    store.sync(survey, depth=Depth.LOOKBACK, lookback_days=15)
    assert pages_sent(server, survey) == 4


def test_a_lookback_shorter_than_the_age_of_the_watermark_loses_nothing(account, server, store):
    survey = account.add_survey()
    add_by_age(account, survey, 60, 90)
    store.sync(survey)
    add_by_age(account, survey, 30, 40, 50)
    sent(server)
    synced = store.sync_one(survey, depth=Depth.LOOKBACK, lookback_days=7)
    assert pages_sent(server, survey) == 5
    assert synced.figures.new == 300


def test_a_lookback_marks_nothing_as_deleted(account, store, survey_id):
    store.sync(survey_id)
    account.delete_response(survey_id, account.responses(survey_id)[0]["id"])
    synced = store.sync_one(survey_id, depth=Depth.LOOKBACK, lookback_days=36500)
    assert (synced.read.pages, synced.figures.deleted) == (3, 0)


# --- The watermark -----------------------------------------------------------------------------


def test_a_row_of_the_future_never_moves_the_watermark(account, server, store, survey_id):
    account.add_responses(survey_id, created_at=days_ago(-400))
    store.sync(survey_id)
    # Newer than the watermark, older than the row of the future, and more than a page.
    times = [CLOCK + timedelta(days=20, seconds=second) for second in range(120)]
    for instant in times:
        account.add_responses(survey_id, created_at=instant)
    sent(server)
    synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 2
    assert synced.figures.new == 120
    assert_complete(account, store, survey_id)


def test_a_survey_of_rows_of_the_future_alone_is_read_whole_each_time(account, server, store):
    survey = account.add_survey()
    account.add_responses(survey, 130, created_at=days_ago(-400))
    store.sync(survey)
    sent(server)
    assert store.sync_one(survey).figures.new == 0
    assert pages_sent(server, survey) == 2


def test_a_marked_row_never_holds_the_watermark(account, server, store, survey_id):
    newest = account.responses(survey_id)[0]["id"]
    store.sync(survey_id)
    account.delete_response(survey_id, newest)
    store.sync(survey_id, depth=Depth.ALL)
    state = store.warehouse.survey_states([survey_id])[survey_id]
    expected = account.responses(survey_id)[0]["created_time"]
    assert model.micros(state.watermark) == model.micros(expected)


def test_a_row_taken_out_of_the_table_by_hand_comes_back(account, server, store, survey_id):
    store.sync(survey_id)
    newest = datetime.fromisoformat(account.responses(survey_id)[130]["created_time"])
    with duckdb.connect(str(store.path)) as connection:
        connection.execute(
            "DELETE FROM hotjar.survey_responses WHERE created_at > $newest", {"newest": newest}
        )
    sent(server)
    assert store.sync_one(survey_id).figures.new == 130
    assert pages_sent(server, survey_id) == 2
    assert_complete(account, store, survey_id)


# --- Order -------------------------------------------------------------------------------------


def test_a_page_out_of_order_is_read_to_the_end_and_said(account, server, store, survey_id, caplog):
    store.sync(survey_id)
    account.add_responses(survey_id, 1)
    server.faults.add(Fault("unsorted", path="responses", survey_id=survey_id, page=1))
    sent(server)
    with caplog.at_level(logging.WARNING, logger="hotjar_assets"):
        synced = store.sync_one(survey_id)
    assert pages_sent(server, survey_id) == 3
    assert (synced.read.out_of_order, synced.read.stopped_early) == (True, False)
    assert caplog.messages == [
        f"survey {survey_id}: page 1 is not newest first; reading to the end"
    ]
    assert_complete(account, store, survey_id)


def test_order_is_checked_across_pages_too(account, server, store, survey_id):
    oldest = account.responses(survey_id)[-1]
    server.faults.add(
        Fault("mutate_rows", path="responses", page=1, transform=lambda rows: [*rows, oldest])
    )
    synced = store.sync_one(survey_id)
    assert synced.read.out_of_order
    assert_complete(account, store, survey_id)


def test_rows_of_the_same_instant_are_in_order(account, store):
    survey = account.add_survey()
    account.add_responses(survey, 250, created_at=CLOCK)
    assert not store.sync_one(survey).read.out_of_order


# --- The start date ----------------------------------------------------------------------------


def test_nothing_older_than_the_start_date_is_read_or_stored(account, server, store, survey_id):
    rows = account.responses(survey_id)
    start_at = datetime.fromisoformat(rows[120]["created_time"])
    synced = store.sync_one(survey_id, start_at=start_at)
    assert pages_sent(server, survey_id) == 2
    assert synced.read.stopped_early
    assert model.cells(model.responses(store.path)) == model.truth(rows[:121], survey_id=survey_id)


@pytest.mark.parametrize("depth", list(Depth), ids=lambda depth: depth.value)
def test_the_start_date_holds_for_every_depth(account, server, store, survey_id, depth):
    rows = account.responses(survey_id)
    store.sync(survey_id, start_at=datetime.fromisoformat(rows[120]["created_time"]))
    sent(server)
    start_at = datetime.fromisoformat(rows[20]["created_time"])
    synced = store.sync_one(survey_id, start_at=start_at, depth=depth, lookback_days=36500)
    assert pages_sent(server, survey_id) == 1
    assert synced.figures.rows == 121


def test_a_full_sync_marks_nothing_older_than_the_start_date(account, store, survey_id):
    rows = account.responses(survey_id)
    store.sync(survey_id)
    for gone in (rows[10], rows[200]):
        account.delete_response(survey_id, gone["id"])
    start_at = datetime.fromisoformat(rows[120]["created_time"])
    synced = store.sync_one(survey_id, depth=Depth.ALL, start_at=start_at)
    assert synced.figures.deleted == 1
    stored = model.responses(store.path)
    assert stored[rows[10]["id"]]["deleted_at"]
    assert not stored[rows[200]["id"]]["deleted_at"]


@pytest.mark.parametrize(("after", "marked"), [(0, 1), (1, 0)], ids=["at it", "just before it"])
def test_a_full_sync_marks_what_is_gone_from_the_instant_of_the_start_date_on(
    account, store, survey_id, after, marked
):
    gone = account.responses(survey_id)[120]
    store.sync(survey_id)
    account.delete_response(survey_id, gone["id"])
    start_at = datetime.fromisoformat(gone["created_time"]) + timedelta(microseconds=after)
    synced = store.sync_one(survey_id, depth=Depth.ALL, start_at=start_at)
    assert synced.figures.deleted == marked
    assert bool(model.responses(store.path)[gone["id"]]["deleted_at"]) is bool(marked)


# --- Surveys that are not read -----------------------------------------------------------------


def test_a_removed_survey_is_marked_with_its_rows_and_costs_no_request(
    account, server, store, survey_id
):
    store.list_surveys()
    store.sync(survey_id)
    account.remove_survey(survey_id)
    store.list_surveys()
    sent(server)
    first, second = (store.sync_one(survey_id) for _ in range(2))
    assert sent(server) == []
    assert first.read.skipped == "removed in Hotjar"
    assert (first.figures.rows, first.figures.deleted, second.figures.deleted) == (250, 250, 0)
    assert all(row["deleted_at"] for row in model.responses(store.path).values())


def test_a_survey_that_comes_back_is_read_whole_and_loses_its_marks(
    account, server, store, survey_id
):
    store.list_surveys()
    store.sync(survey_id)
    account.remove_survey(survey_id)
    store.list_surveys()
    store.sync(survey_id)
    account.restore_survey(survey_id)
    store.list_surveys()
    sent(server)
    store.sync(survey_id)
    assert pages_sent(server, survey_id) == 3
    assert_complete(account, store, survey_id)


def test_a_survey_on_a_site_taken_out_of_the_settings_is_left_alone(
    account, server, make_client, path, survey_id
):
    docs = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID, responses=30)
    both = Store(make_client(site_ids=SITES), path)
    both.list_surveys()
    both.sync(survey_id, docs)
    before = model.responses(path)
    one = Store(make_client(), path)
    one.list_surveys()
    sent(server)
    synced = one.sync(docs, depth=Depth.ALL)[docs]
    assert sent(server) == []
    assert synced.read.skipped == "site 1002 is not in HOTJAR_SITE_ID"
    assert (synced.figures.rows, synced.figures.deleted) == (30, 0)
    assert model.responses(path) == before
    assert model.surveys(path)[docs]["deleted_at"] is None


# --- Keys whose site is not known --------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "segment"),
    [("nope", "nope"), ("a/b?c", "a%2Fb%3Fc"), ("é", "%C3%A9")],
    ids=["a word", "reserved characters", "an accent"],
)
def test_an_unknown_key_asks_each_site_and_fails_as_unknown(
    server, make_client, path, key, segment
):
    store = Store(make_client(site_ids=SITES), path)
    synced = store.sync_one(key)
    assert sent(server) == [(f"/v1/sites/{site}/surveys/{segment}", {}) for site in SITES]
    assert isinstance(synced.error, HotjarUnknownSurveyError)
    assert f"no such survey: {key!r} is on none of the sites 1001, 1002" in str(synced.error)


def test_a_survey_that_was_never_listed_is_found_on_its_site(account, server, make_client, path):
    docs = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID, responses=3)
    store = Store(make_client(site_ids=SITES), path)
    synced = store.sync_one(docs)
    assert sent(server) == [
        (f"{SURVEYS}/{docs}", {}),
        (f"/v1/sites/1002/surveys/{docs}", {}),
        (responses_path(docs, "1002"), {"limit": "100"}),
    ]
    assert (synced.read.site_id, synced.read.requests) == ("1002", 3)


def test_a_listed_survey_is_not_looked_for(account, server, store, survey_id):
    store.list_surveys()
    sent(server)
    store.sync(survey_id)
    assert [path for path, _ in sent(server)] == [responses_path(survey_id)] * 3


# --- Many surveys at once ----------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 64])
def test_each_survey_is_handed_over_exactly_once(account, make_client, path, concurrency):
    ids = [account.add_survey(responses=7) for _ in range(20)]
    store = Store(make_client(), path)
    synced = store.sync(*ids, concurrency=concurrency)
    assert len(synced) == 20
    assert all(each.figures.new == 7 for each in synced.values())


def test_no_survey_is_no_work(server, store):
    assert store.sync() == {}
    assert sent(server) == []


def test_no_more_surveys_are_begun_than_the_spool_should_hold(
    account, server, make_client, tmp_path, monkeypatch
):
    monkeypatch.setattr("hotjar_assets.readers.GROUP_SECONDS", 0.0)
    ids = [account.add_survey() for _ in range(200)]
    groups = ResponseSync(make_client(), ids, concurrency=2).read({}, tmp_path)
    assert isinstance(groups, Generator)
    handed_over = len(next(groups))
    # Eight surveys for each of two readers, and one more for each that was handed over.
    most = 2 * 8 + handed_over
    deadline = monotonic() + 10
    while len(_surveys_asked_for(server)) < most and monotonic() < deadline:
        pass
    assert len(_surveys_asked_for(server)) == most < 200
    groups.close()


def _surveys_asked_for(server) -> set[str]:
    return {request.path.split("/")[5] for request in server.requests if "surveys" in request.path}


def test_a_spool_that_cannot_be_written_ends_the_sync_and_says_so(
    account, make_client, survey_id, tmp_path
):
    gone = tmp_path / "gone"
    sync = ResponseSync(make_client(), [survey_id])
    with pytest.raises(HotjarStoreError, match=r"cannot spool to .*gone: No such file"):
        list(sync.read({}, gone))
