"""Two platforms in one file: each walk marks, counts and trusts the rows of its own alone.

Here both give a survey the same id, which neither promises nor rules out.
"""

from dataclasses import replace

import pytest

from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.sync import Depth

from . import model
from .conftest import Store, pages_sent, sent

TWIN = replace(HOTJAR, platform="twin")


@pytest.fixture
def twin(store, make_client):
    """The same file, read from another platform that has the same ids."""
    return Store(make_client(dialect=TWIN), store.path)


@pytest.fixture
def synced(store, survey_id):
    store.list_surveys()
    store.sync(survey_id)
    return survey_id


def test_a_survey_of_another_platform_is_not_asked_for(server, store, twin, synced):
    before = model.stored(store.path, "survey_responses")
    sent(server)
    for depth in Depth:
        read = twin.sync_one(synced, depth=depth).read
        assert read.skipped == "is on hotjar, and HOTJAR_PLATFORM is twin"
        assert read.requests == 0
    assert sent(server) == []
    assert model.stored(store.path, "survey_responses") == before


def test_the_watermark_of_another_platform_is_not_trusted(server, account, store, twin, synced):
    twin.list_surveys()
    sent(server)
    assert twin.sync_one(synced).figures.new == 0
    assert pages_sent(server, synced) == 3
    rows = model.responses(store.path, synced)
    assert {row["platform"] for row in rows.values()} == {"twin"}
    assert rows.keys() == {row["id"] for row in account.responses(synced)}
    twin.sync(synced)
    assert pages_sent(server, synced) == 1


@pytest.mark.parametrize("depth", list(Depth), ids=lambda depth: depth.value)
def test_rows_of_another_platform_are_not_missed(depth, account, store, twin, synced):
    before = model.responses(store.path, synced)
    for response_id in before:
        account.delete_response(synced, response_id)
    account.add_responses(synced, 150)
    twin.list_surveys()
    figures = twin.sync_one(synced, depth=depth).figures
    assert (figures.new, figures.deleted, figures.vanished) == (150, 0, 0)
    after = model.responses(store.path, synced)
    assert {key: after[key] for key in before} == before


def test_a_listing_marks_the_surveys_of_its_own_platform_alone(account, store, twin, synced):
    before = model.surveys(store.path)
    account.remove_survey(synced)
    account.add_survey("Another")
    assert twin.list_surveys().deleted == 0
    assert model.surveys(store.path)[synced] == before[synced]
    assert store.list_surveys().deleted == 1


def test_surveys_known_of_another_platform_make_no_listing_doubtful(server, account, twin, synced):
    account.remove_survey(synced)
    sent(server)
    twin.list_surveys()
    assert len(sent(server)) == 1
