"""The table of surveys: what a listing adds, changes and marks."""

import logging

import pytest

from hotjar_assets.errors import HotjarAuthError, HotjarSchemaError, HotjarServerError
from hotjar_assets.sandbox import SANDBOX_SECOND_SITE_ID, SANDBOX_SITE_ID, Fault

from . import model
from .conftest import SURVEYS, Store, sent

SITES = (SANDBOX_SITE_ID, SANDBOX_SECOND_SITE_ID)
LISTING = (SURVEYS, {"limit": "100", "with_questions": "true"})


@pytest.fixture
def ten(account) -> list[str]:
    """The ids of ten surveys of one site."""
    return [account.add_survey(f"Survey {number}") for number in range(10)]


@pytest.fixture
def listed(store, server, ten: list[str]) -> list[str]:
    """Ten surveys that were listed once."""
    store.list_surveys()
    server.clear_requests()
    return ten


def marked(store: Store) -> set[str]:
    return {key for key, row in model.surveys(store.path).items() if row["deleted_at"]}


def assert_complete(store: Store, account, site_id: str = SANDBOX_SITE_ID) -> None:
    expected = {
        str(each["id"]): model.survey_row(each, site_id=site_id)
        for each in account.surveys(site_id)
    }
    rows = model.cells(model.surveys(store.path))
    assert {key: row for key, row in rows.items() if row["site_id"] == site_id} == expected


def test_a_first_listing_asks_for_questions_and_stores_every_survey(account, server, store, ten):
    figures = store.list_surveys()
    assert sent(server) == [LISTING]
    assert (figures.rows, figures.new, figures.updated, figures.deleted) == (10, 10, 0, 0)
    assert_complete(store, account)


def test_a_listing_of_several_pages_is_followed_to_its_end(account, server, store):
    for number in range(205):
        account.add_survey(f"Survey {number}")
    assert store.list_surveys().rows == 205
    cursors = [query.get("cursor") for _, query in sent(server)]
    assert cursors[0] is None
    assert len(set(cursors)) == 3
    assert_complete(store, account)


def test_a_repeated_listing_changes_nothing_but_when_it_was_seen(server, store, listed):
    before = model.surveys(store.path)
    figures = store.list_surveys()
    assert sent(server) == [LISTING]
    assert (figures.rows, figures.new, figures.updated, figures.deleted) == (10, 0, 0, 0)
    assert model.cells(model.surveys(store.path)) == model.cells(before)


def test_changed_and_new_surveys_are_counted_and_stored(account, store, listed):
    account.update_survey(listed[3], name="Renamed", is_enabled=False)
    account.update_survey(listed[4], questions=[])
    account.add_survey("New")
    figures = store.list_surveys()
    assert (figures.rows, figures.new, figures.updated) == (11, 1, 2)
    assert_complete(store, account)


def test_an_account_without_surveys_makes_the_empty_tables(server, store):
    figures = store.list_surveys()
    assert (figures.rows, figures.new) == (0, 0)
    assert model.surveys(store.path) == {}
    assert model.responses(store.path) == {}


def test_a_survey_gone_from_the_listing_is_marked_once(account, server, store, listed):
    account.remove_survey(listed[0])
    assert store.list_surveys().deleted == 1
    assert sent(server) == [LISTING]
    first = model.surveys(store.path)[listed[0]]
    assert store.list_surveys().deleted == 0
    assert marked(store) == {listed[0]}
    assert model.surveys(store.path)[listed[0]] == first


def test_a_survey_that_comes_back_loses_its_mark(account, store, listed):
    account.remove_survey(listed[0])
    store.list_surveys()
    account.restore_survey(listed[0])
    assert store.list_surveys().updated == 1
    assert marked(store) == set()
    assert_complete(store, account)


def test_half_of_the_surveys_gone_is_believed_at_once(account, server, store, listed):
    for each in listed[:5]:
        account.remove_survey(each)
    assert store.list_surveys().deleted == 5
    assert sent(server) == [LISTING]


def test_more_than_half_gone_is_listed_again_before_it_is_believed(
    account, server, store, listed, caplog
):
    for each in listed[:6]:
        account.remove_survey(each)
    with caplog.at_level(logging.WARNING, logger="hotjar_assets"):
        assert store.list_surveys().deleted == 6
    assert sent(server) == [LISTING, LISTING]
    assert caplog.messages == [
        "site 1001 lists 4 of the 10 surveys known; listing it again to be sure"
    ]


def test_an_empty_listing_is_believed_after_a_second_one(account, server, store, listed):
    for each in listed:
        account.remove_survey(each)
    assert store.list_surveys().deleted == 10
    assert sent(server) == [LISTING, LISTING]


@pytest.mark.parametrize("rows_left", [0, 4], ids=["empty", "less than half"])
def test_a_short_listing_that_the_second_one_contradicts_marks_nothing(
    server, store, listed, rows_left
):
    short = Fault("mutate_rows", path="surveys", times=1, transform=lambda rows: rows[:rows_left])
    server.faults.add(short)
    assert store.list_surveys().deleted == 0
    assert sent(server) == [LISTING, LISTING]
    assert marked(store) == set()


def test_a_survey_that_either_of_two_short_listings_has_is_not_gone(server, store, listed):
    halves = (lambda rows: rows[:4], lambda rows: rows[4:8])
    server.faults.add(
        *(Fault("mutate_rows", path="surveys", times=1, transform=half) for half in halves)
    )
    assert store.list_surveys().deleted == 2
    assert len(marked(store)) == 2


def test_already_marked_surveys_do_not_count_as_lost(account, server, store, listed):
    for each in listed[:5]:
        account.remove_survey(each)
    store.list_surveys()
    sent(server)
    store.list_surveys()
    assert sent(server) == [LISTING]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("500", path="surveys"), HotjarServerError),
        (Fault("403", path="surveys"), HotjarAuthError),
        (Fault("500", path="surveys", after=1), HotjarServerError),
    ],
    ids=["the API fails", "the plan does not allow it", "the second listing fails"],
)
def test_a_failed_listing_raises_and_leaves_the_table(server, store, listed, fault, error):
    before = model.surveys(store.path)
    for each in listed:
        server.account.remove_survey(each)
    server.faults.add(fault)
    with pytest.raises(error):
        store.list_surveys()
    assert model.surveys(store.path) == before


def test_each_site_is_listed_and_judged_by_itself(account, server, make_client, path, ten):
    docs = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID)
    store = Store(make_client(site_ids=SITES), path)
    store.list_surveys()
    sent(server)
    account.remove_survey(docs)
    # All of the second site is gone, and little of both together.
    store.list_surveys()
    second = (f"/v1/sites/{SANDBOX_SECOND_SITE_ID}/surveys", LISTING[1])
    assert sent(server) == [LISTING, second, second]
    assert marked(store) == {docs}


def test_surveys_of_a_site_taken_out_of_the_settings_are_not_marked(
    account, server, make_client, path, ten
):
    docs = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID)
    Store(make_client(site_ids=SITES), path).list_surveys()
    before = model.surveys(path)[docs]
    sent(server)
    one = Store(make_client(), path)
    assert one.list_surveys().deleted == 0
    assert sent(server) == [LISTING]
    assert model.surveys(path)[docs] == before


def test_a_second_site_that_fails_marks_nothing_on_the_first(
    account, server, make_client, path, ten
):
    store = Store(make_client(site_ids=SITES), path)
    store.list_surveys()
    account.remove_survey(ten[0])
    server.faults.add(Fault("404", path="surveys", site_id=SANDBOX_SECOND_SITE_ID))
    with pytest.raises(Exception, match="no such site"):
        store.list_surveys()
    assert marked(store) == set()


def test_surveys_that_come_twice_are_there_once(account, server, store, ten):
    server.faults.add(Fault("duplicate_rows", path="surveys"))
    for new in (10, 0):
        assert store.list_surveys().new == new
    assert_complete(store, account)


def test_a_survey_id_on_two_sites_is_refused_and_nothing_is_stored(
    account, server, make_client, path, ten
):
    store = Store(make_client(site_ids=SITES), path)
    same = account.survey(ten[0])
    server.faults.add(
        Fault(
            "mutate_rows",
            path="surveys",
            site_id=SANDBOX_SECOND_SITE_ID,
            transform=lambda _rows: [same],
        )
    )
    with pytest.raises(HotjarSchemaError, match=f"survey {ten[0]}: is listed by site 1002 and by"):
        store.list_surveys()
    assert store.known == {}


def test_odd_fields_of_a_survey_are_kept(account, store, ten):
    account.update_survey(
        ten[0],
        id=int(ten[0]),
        is_enabled="sometimes",
        theme={"dark": True},
        questions=[
            {"id": 7, "text": "Why?", "type": "matrix", "choices": ["a"], "logic": [1]},
        ],
    )
    store.list_surveys()
    row = model.surveys(store.path)[ten[0]]
    assert row["is_enabled"] is None
    assert row["questions"] == [
        {
            "question_id": "7",
            "position": 0,
            "type": "matrix",
            "text": "Why?",
            "is_required": None,
            "choices": [{"text": "a", "allow_comment": None}],
            "low_label": None,
            "high_label": None,
            "image_url": None,
        }
    ]
    assert row["extra"] == {
        "is_enabled": "sometimes",
        "theme": {"dark": True},
        "questions[0].logic": [1],
    }


def test_the_store_tells_which_surveys_of_each_site_it_believes_in(account, make_client, path, ten):
    docs = account.add_survey("Docs", site_id=SANDBOX_SECOND_SITE_ID)
    store = Store(make_client(site_ids=SITES), path)
    assert store.known == {}
    store.list_surveys()
    account.remove_survey(ten[0])
    store.list_surveys()
    assert store.known == {SANDBOX_SITE_ID: set(ten[1:]), SANDBOX_SECOND_SITE_ID: {docs}}
