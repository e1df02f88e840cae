"""Erasing one person's rows, for ever."""

from typing import Any

import pytest

from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy
from hotjar_assets.sync import Depth
from hotjar_assets.warehouse import Person

from . import model

KEEP = Privacy()
HASH = Privacy(PiiMode.HASH, b"a key of sixteen bytes")
ADDRESS = "bob@x.example"


@pytest.fixture
def bobs(account, survey_id) -> list[str]:
    """Responses of one person, each giving the address in another place; returns their ids."""
    question = account.survey(survey_id)["questions"][0]["id"]
    quiet = [{"question_id": question, "answer": "9"}]
    places: list[dict[str, Any]] = [
        {"answers": [{"question_id": question, "answer": "BOB@x.example "}]},
        {"answers": [{"question_id": question, "answer": f"Write to {ADDRESS}."}]},
        {"answers": [{"question_id": question, "answer": "9", "comment": f"<{ADDRESS}>"}]},
        {"answers": quiet, "user_attributes": [{"name": "email", "value": ADDRESS}]},
        {"answers": quiet, "response_origin_url": "https://s.example/?e=bob%40x.example&a=1"},
        {"answers": quiet, "contact": {"mail": ADDRESS}},
    ]
    ids = []
    for number, place in enumerate(places):
        ids += account.add_responses(survey_id, **{"hotjar_user_id": f"bob-{number}", **place})
    ids += account.add_responses(survey_id, answers=quiet, hotjar_user_id="bob-0")
    return ids


@pytest.fixture
def others(account, survey_id) -> list[str]:
    """Responses of people whose address looks like it."""
    question = account.survey(survey_id)["questions"][0]["id"]
    addresses = ["jimbob@x.example", "bob@x.example.au", "bob@x.examples", "a-bob@x.example"]
    return [
        made
        for address in addresses
        for made in account.add_responses(
            survey_id, answers=[{"question_id": question, "answer": address}]
        )
    ]


def erased(store, person, privacy=KEEP):
    return sorted(row[1] for row in store.warehouse.erase_person(person, privacy))


def test_all_rows_of_an_address_and_of_its_users_are_erased(store, survey_id, bobs, others):
    store.sync(survey_id)
    before = model.responses(store.path)
    assert erased(store, Person(email="Bob@X.example")) == sorted(bobs)
    after = model.responses(store.path)
    assert after == {key: row for key, row in before.items() if key not in bobs}
    assert set(others) <= after.keys()


def test_the_rows_of_a_user_are_erased(store, survey_id, bobs):
    store.sync(survey_id)
    assert erased(store, Person(user_id="bob-0")) == sorted([bobs[0], bobs[-1]])
    assert erased(store, Person(user_id="bob-0")) == []


def test_showing_erases_nothing(store, survey_id, bobs):
    store.sync(survey_id)
    before = model.responses(store.path)
    found = store.warehouse.find_person(Person(email=ADDRESS), KEEP)
    assert sorted(row[1] for row in found) == sorted(bobs)
    assert {row[0] for row in found} == {survey_id}
    assert model.responses(store.path) == before


@pytest.mark.parametrize("depth", list(Depth), ids=lambda depth: depth.value)
def test_no_later_sync_brings_an_erased_row_back(account, store, survey_id, bobs, depth):
    store.sync(survey_id)
    erased(store, Person(email=ADDRESS))
    account.tag_response(survey_id, bobs[0], tags=["changed since"])
    figures = store.sync_one(survey_id, depth=depth).figures
    assert (figures.new, figures.updated, figures.vanished) == (0, 0, 0)
    assert not set(bobs) & model.responses(store.path).keys()


def test_a_survey_of_which_all_rows_were_erased_stays_empty(account, store):
    survey_id = account.add_survey()
    account.add_responses(survey_id, hotjar_user_id="bob-0")
    store.sync(survey_id)
    erased(store, Person(user_id="bob-0"))
    assert store.sync(survey_id)[survey_id].figures.new == 0
    assert model.responses(store.path) == {}


def test_only_ids_are_kept(store, survey_id, bobs):
    store.sync(survey_id)
    erased(store, Person(email=ADDRESS))
    with store.warehouse._database.connected() as connection:
        kept = connection.execute("FROM warehouse.hotjar.forgotten").fetchall()
        names = [column[0] for column in connection.description or ()]
    assert names == ["survey_id", "response_id", "forgotten_at"]
    assert {(row[0], row[1]) for row in kept} == {(survey_id, each) for each in bobs}


def test_a_hashed_person_is_found_by_the_clear_text(store, survey_id, bobs):
    store.warehouse.adopt(HASH, rewrite=False)
    store.sync(survey_id, privacy=HASH)
    assert erased(store, Person(user_id="bob-3"), HASH) == [bobs[3]]
    rest = erased(store, Person(email=ADDRESS), HASH)
    assert {bobs[0], bobs[1], bobs[2], bobs[-1]} <= set(rest)


def test_a_new_response_of_the_person_is_a_new_row(account, store, survey_id, bobs):
    store.sync(survey_id)
    erased(store, Person(user_id="bob-0"))
    (later,) = account.add_responses(survey_id, hotjar_user_id="bob-0")
    store.sync(survey_id)
    assert later in model.responses(store.path)


def test_erasing_fails_as_a_whole(store, survey_id, bobs):
    store.sync(survey_id)
    before = model.responses(store.path)
    with store.warehouse._database.transaction() as connection:
        # The table of tombstones refuses the second row, after the first one was written.
        connection.execute(
            "CREATE UNIQUE INDEX one_a_survey ON warehouse.hotjar.forgotten (survey_id)"
        )
    with pytest.raises(Exception, match="nothing was changed"):
        store.warehouse.erase_person(Person(email=ADDRESS), KEEP)
    assert model.responses(store.path) == before


def test_people_without_an_id_are_not_taken_for_one_person(account, store, survey_id):
    question = account.survey(survey_id)["questions"][0]["id"]
    answers = [{"question_id": question, "answer": ADDRESS}]
    (bob,) = account.add_responses(survey_id, hotjar_user_id="", answers=answers)
    account.add_responses(survey_id, 3, hotjar_user_id="")
    store.sync(survey_id)
    assert erased(store, Person(email=ADDRESS)) == [bob]
