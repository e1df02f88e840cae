"""Erasing one person's rows, for ever, whatever the tables keep of people."""

from typing import Any

import pytest

from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy
from hotjar_assets.sync import Depth
from hotjar_assets.warehouse import Person

from . import model

MODES = [
    Privacy(PiiMode.KEEP),
    Privacy(PiiMode.HASH, b"a key of sixteen bytes"),
    Privacy(PiiMode.DROP),
]
ADDRESS = "bob@x.example"
FOUND_BY_ADDRESS = {
    PiiMode.KEEP: [0, 1, 2, 3, 4, 5, 6],
    # One hash stands for a whole query, and for a whole field that is not known.
    PiiMode.HASH: [0, 1, 2, 3, 6],
    # Without ids, an address in a sentence is all that can be found.
    PiiMode.DROP: [1],
}
"""Which of Bob's responses are found by his address."""
FOUND_BY_ID = {PiiMode.KEEP: [0, 6], PiiMode.HASH: [0, 6], PiiMode.DROP: []}
"""Which are found by the id of two of them."""


@pytest.fixture(params=MODES, ids=lambda privacy: privacy.mode.value)
def privacy(request, store) -> Privacy:
    """Every mode, which the tables are of."""
    made: Privacy = request.param
    store.warehouse.adopt(made, rewrite=False)
    return made


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


def sync(store, survey_id, privacy, **options):
    return store.sync_one(survey_id, privacy=privacy, **options)


def erased(store, person, privacy):
    return sorted(row[1] for row in store.warehouse.erase_person(person, privacy))


def some(ids, which):
    return sorted(ids[each] for each in which)


def test_all_rows_of_an_address_and_of_its_users_are_erased(
    store, survey_id, bobs, others, privacy
):
    sync(store, survey_id, privacy)
    before = model.responses(store.path)
    gone = some(bobs, FOUND_BY_ADDRESS[privacy.mode])
    assert erased(store, Person(email="Bob@X.example"), privacy) == gone
    after = model.responses(store.path)
    assert after == {key: row for key, row in before.items() if key not in gone}
    assert set(others) <= after.keys()


def test_the_rows_of_a_user_are_erased(store, survey_id, bobs, privacy):
    sync(store, survey_id, privacy)
    before = model.responses(store.path)
    gone = some(bobs, FOUND_BY_ID[privacy.mode])
    assert erased(store, Person(user_id="bob-0"), privacy) == gone
    assert model.responses(store.path).keys() == before.keys() - set(gone)
    assert erased(store, Person(user_id="bob-0"), privacy) == []


def test_showing_erases_nothing(store, survey_id, bobs, privacy):
    sync(store, survey_id, privacy)
    before = model.responses(store.path)
    found = store.warehouse.find_person(Person(email=ADDRESS), privacy)
    assert sorted(row[1] for row in found) == some(bobs, FOUND_BY_ADDRESS[privacy.mode])
    assert {row[0] for row in found} == {survey_id}
    assert model.responses(store.path) == before


@pytest.mark.usefixtures("bobs")
@pytest.mark.parametrize("depth", list(Depth), ids=lambda depth: depth.value)
def test_no_later_sync_brings_an_erased_row_back(account, store, survey_id, depth, privacy):
    sync(store, survey_id, privacy)
    gone = erased(store, Person(email=ADDRESS), privacy)
    account.tag_response(survey_id, gone[0], tags=["changed since"])
    figures = sync(store, survey_id, privacy, depth=depth).figures
    assert (figures.new, figures.updated, figures.vanished) == (0, 0, 0)
    assert not set(gone) & model.responses(store.path).keys()


def test_a_survey_of_which_all_rows_were_erased_stays_empty(account, store, privacy):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    answers = [{"question_id": question, "answer": f"Write to {ADDRESS}."}]
    account.add_responses(survey_id, answers=answers)
    sync(store, survey_id, privacy)
    assert len(erased(store, Person(email=ADDRESS), privacy)) == 1
    assert sync(store, survey_id, privacy).figures.new == 0
    assert model.responses(store.path) == {}


def test_only_ids_are_kept(store, survey_id, bobs, privacy):
    sync(store, survey_id, privacy)
    gone = erased(store, Person(email=ADDRESS), privacy)
    with store.warehouse._database.connected() as connection:
        kept = connection.execute("FROM warehouse.hotjar.forgotten").fetchall()
        names = [column[0] for column in connection.description or ()]
    assert names == ["survey_id", "response_id", "forgotten_at"]
    assert sorted((row[0], row[1]) for row in kept) == [(survey_id, each) for each in gone]


def test_each_row_of_a_person_is_found_by_the_clear_text(store, survey_id, bobs, privacy):
    sync(store, survey_id, privacy)
    gone = [] if privacy.mode is PiiMode.DROP else [bobs[3]]
    assert erased(store, Person(user_id="bob-3"), privacy) == gone


def test_a_new_response_of_the_person_is_a_new_row(account, store, survey_id, bobs, privacy):
    sync(store, survey_id, privacy)
    erased(store, Person(email=ADDRESS), privacy)
    (later,) = account.add_responses(survey_id, hotjar_user_id="bob-0")
    sync(store, survey_id, privacy)
    assert later in model.responses(store.path)


def test_erasing_fails_as_a_whole(account, store, survey_id, bobs, privacy):
    question = account.survey(survey_id)["questions"][0]["id"]
    answers = [{"question_id": question, "answer": f"Again: {ADDRESS}."}]
    account.add_responses(survey_id, answers=answers)
    sync(store, survey_id, privacy)
    before = model.responses(store.path)
    with store.warehouse._database.transaction() as connection:
        # The table of tombstones refuses the second row, after the first one was written.
        connection.execute(
            "CREATE UNIQUE INDEX one_a_survey ON warehouse.hotjar.forgotten (survey_id)"
        )
    with pytest.raises(Exception, match="nothing was changed"):
        store.warehouse.erase_person(Person(email=ADDRESS), privacy)
    assert model.responses(store.path) == before


@pytest.mark.parametrize("nobody", ["", None, "00000000-0000-0000-0000-000000000000"])
def test_people_without_an_id_are_not_taken_for_one_person(
    account, store, survey_id, privacy, nobody
):
    question = account.survey(survey_id)["questions"][0]["id"]
    answers = [{"question_id": question, "answer": f"I am {ADDRESS}."}]
    bobs = [
        made
        for user in (nobody, "bob-0")
        for made in account.add_responses(survey_id, hotjar_user_id=user, answers=answers)
    ]
    account.add_responses(survey_id, 3, hotjar_user_id=nobody)
    sync(store, survey_id, privacy)
    assert erased(store, Person(email=ADDRESS), privacy) == sorted(bobs)
