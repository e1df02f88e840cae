"""What a commit does to the rows that are there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from hotjar_assets.sandbox import Fault, SandboxAccount
from hotjar_assets.sync import Depth

from . import model
from .conftest import Store, sent


def counted(store: Store, survey_id: str, **options: Any) -> tuple[int, int, int, int]:
    """Sync and return rows, new, updated, deleted."""
    figures = store.sync_one(survey_id, **options).figures
    return figures.rows, figures.new, figures.updated, figures.deleted


def latest(store: Store, column: str) -> datetime:
    """Return the latest instant in a column."""
    instants = [row[column] for row in model.responses(store.path).values() if row[column]]
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(instants))


def assert_complete(account: SandboxAccount, store: Store, survey_id: str) -> None:
    expected = model.truth(account.responses(survey_id), survey_id=survey_id)
    assert model.cells(model.responses(store.path, survey_id)) == expected


@pytest.fixture
def synced_id(account, store, survey_id: str) -> str:
    """A survey that was read once."""
    store.sync(survey_id)
    return survey_id


# --- Repeating -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", list(Depth), ids=lambda depth: depth.value)
def test_a_repeated_sync_changes_no_cell(store, synced_id, depth):
    before = model.responses(store.path)
    assert counted(store, synced_id, depth=depth) == (250, 0, 0, 0)
    assert model.responses(store.path) == before


def test_only_changed_rows_are_written_again(account, store, synced_id):
    before = model.responses(store.path)
    changed = account.responses(synced_id)[40]["id"]
    account.tag_response(synced_id, changed, tags=["price"], sentiment="negative")
    assert counted(store, synced_id) == (250, 0, 1, 0)
    after = model.responses(store.path)
    assert {key for key in after if after[key] != before[key]} == {changed}
    assert after[changed]["synced_at"] > before[changed]["synced_at"]
    assert_complete(account, store, synced_id)


def test_a_change_of_any_field_is_an_update(account, store, synced_id):
    changes = {
        "is_complete": False,
        "device": "fridge",
        "country": "ZZ",
        "window_size": {"width": 1, "height": 2},
        "response_origin_url": "https://shop.example.com/other",
        "recording_url": "https://recordings.example.com/1",
        "user_attributes": [{"name": "plan", "value": "pro"}],
        "answers": [],
        "mood": "a field nobody declared",
    }
    before = model.responses(store.path)
    changed = [each["id"] for each in account.responses(synced_id)[: len(changes)]]
    for key, (field, value) in zip(changed, changes.items(), strict=True):
        account.set_response(synced_id, key, **{field: value})
    assert counted(store, synced_id) == (250, 0, len(changes), 0)
    after = model.responses(store.path)
    assert {key for key in after if after[key] != before[key]} == set(changed)
    assert counted(store, synced_id) == (250, 0, 0, 0)


def test_a_response_that_was_completed_is_updated(account, store, survey_id):
    (begun,) = account.add_responses(survey_id, is_complete=False, answers=[])
    store.sync(survey_id)
    account.complete_response(survey_id, begun)
    assert counted(store, survey_id) == (251, 0, 1, 0)
    assert_complete(account, store, survey_id)


def test_a_field_that_turned_null_is_null_in_the_table(account, store, synced_id):
    newest = account.responses(synced_id)[0]["id"]
    account.set_response(synced_id, newest, country=None, window_size=None, hotjar_user_id=None)
    store.sync(synced_id)
    assert_complete(account, store, synced_id)


def test_a_field_that_left_extra_leaves_it_in_the_table(account, store, survey_id):
    (odd,) = account.add_responses(survey_id, mood="odd")
    store.sync(survey_id)
    assert model.responses(store.path)[odd]["extra"] == {"mood": "odd"}
    account.set_response(survey_id, odd, without=["mood"])
    assert counted(store, survey_id) == (251, 0, 1, 0)
    assert model.responses(store.path)[odd]["extra"] is None


# --- What retention removes ----------------------------------------------------------------------


@pytest.fixture
def identified(account: SandboxAccount, store, survey_id) -> str:
    (made,) = account.add_responses(
        survey_id,
        recording_url="https://recordings.example.com/1",
        user_attributes=[{"name": "plan", "value": "pro"}],
    )
    store.sync(survey_id)
    return made


@pytest.mark.parametrize("how", ["null", "absent", "empty"])
def test_recording_and_attributes_are_kept_when_the_api_gives_none_any_more(
    account, store, survey_id, identified, how
):
    fields = ("recording_url", "user_attributes")
    if how == "null":
        account.set_response(survey_id, identified, **dict.fromkeys(fields))
    elif how == "absent":
        account.set_response(survey_id, identified, without=fields)
    else:
        account.set_response(survey_id, identified, recording_url="", user_attributes=[])
    before = model.responses(store.path)
    assert counted(store, survey_id) == (251, 0, 0, 0)
    assert model.responses(store.path) == before
    assert before[identified]["user_attributes"] == [{"name": "plan", "value": "pro"}]


def test_other_changes_come_through_while_the_recording_is_kept(
    account, store, survey_id, identified
):
    account.set_response(survey_id, identified, recording_url=None, country="MT")
    assert counted(store, survey_id) == (251, 0, 1, 0)
    row = model.responses(store.path)[identified]
    assert (row["country"], row["recording_url"]) == ("MT", "https://recordings.example.com/1")


def test_a_recording_that_changed_is_replaced(account, store, survey_id, identified):
    account.set_response(survey_id, identified, recording_url="https://recordings.example.com/2")
    store.sync(survey_id)
    row = model.responses(store.path)[identified]
    assert row["recording_url"] == "https://recordings.example.com/2"


# --- Rows that come twice ------------------------------------------------------------------------


@pytest.fixture(params=[40_000, 100], ids=["in one merge", "in a merge each"])
def _small_segments(request, monkeypatch) -> None:
    """A file for each page, and one merge for all of them or for each."""
    monkeypatch.setattr("hotjar_assets.spool.SEGMENT_ROWS", 100)
    monkeypatch.setattr("hotjar_assets.warehouse.merge._CHUNK_ROWS", request.param)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("duplicate_rows", path="responses"),
        Fault("overlap", path="responses", rows=7),
        Fault("overlap", path="responses", rows=99, times=5),
    ],
    ids=["twice in a page", "pages overlap", "pages overlap almost wholly"],
)
def test_rows_that_come_twice_are_there_once(server, store, survey_id, fault):
    server.faults.add(fault)
    for new in (250, 0):
        assert counted(store, survey_id, depth=Depth.ALL) == (250, new, 0, 0)
    assert server.faults.hits(fault)
    assert_complete(server.account, store, survey_id)


@pytest.mark.usefixtures("_small_segments")
def test_rows_that_come_twice_in_different_files_are_there_once(account, server, store, survey_id):
    server.faults.add(Fault("overlap", path="responses", rows=30))
    for new in (250, 0):
        assert counted(store, survey_id, depth=Depth.ALL) == (250, new, 0, 0)
    assert_complete(account, store, survey_id)


def test_of_a_row_twice_in_a_page_the_last_one_wins(account, server, store, survey_id):
    newest = account.responses(survey_id)[0]

    def later(rows: list[Any]) -> list[Any]:
        return [rows[0] | {"country": "AA"}, *rows, rows[0] | {"country": "ZZ"}]

    server.faults.add(Fault("mutate_rows", path="responses", page=1, transform=later))
    assert counted(store, survey_id) == (250, 250, 0, 0)
    assert model.responses(store.path)[newest["id"]]["country"] == "ZZ"


@pytest.mark.usefixtures("_small_segments")
def test_of_a_row_on_two_pages_the_one_read_last_wins(account, server, store, survey_id):
    newest = account.responses(survey_id)[0]
    changed = newest | {"country": "ZZ"}
    server.faults.add(
        Fault("mutate_rows", path="responses", page=2, transform=lambda rows: [changed, *rows])
    )
    assert counted(store, survey_id) == (250, 250, 0, 0)
    assert model.responses(store.path)[newest["id"]]["country"] == "ZZ"


@pytest.mark.usefixtures("_small_segments")
def test_a_stored_row_that_comes_twice_counts_as_one_update(account, server, store, synced_id):
    newest = account.responses(synced_id)[0]
    account.set_response(synced_id, newest["id"], country="YY")
    changed = newest | {"country": "ZZ"}
    server.faults.add(
        Fault("mutate_rows", path="responses", page=2, transform=lambda rows: [changed, *rows])
    )
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 1, 0)
    assert model.responses(store.path)[newest["id"]]["country"] == "ZZ"


@pytest.mark.usefixtures("_small_segments")
def test_a_survey_of_many_files_is_stored_and_marked_as_a_whole(account, store, synced_id):
    gone = [each["id"] for each in account.responses(synced_id)[::60]]
    for each in gone:
        account.delete_response(synced_id, each)
    account.add_responses(synced_id, 5)
    assert counted(store, synced_id, depth=Depth.ALL) == (255, 5, 0, 5)
    rows = model.responses(store.path)
    assert {key for key, row in rows.items() if row["deleted_at"]} == set(gone)


# --- Rows that go --------------------------------------------------------------------------------


def test_a_full_sync_marks_what_the_api_no_longer_has(account, store, synced_id):
    gone = account.responses(synced_id)[120]["id"]
    before = model.responses(store.path)
    account.delete_response(synced_id, gone)
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 1)
    after = model.responses(store.path)
    assert {key for key in after if after[key] != before[key]} == {gone}
    assert after[gone]["deleted_at"] == after[gone]["synced_at"] > before[gone]["synced_at"]
    assert {**after[gone], "deleted_at": None, "synced_at": None} == {
        **before[gone],
        "synced_at": None,
    }


def test_a_marked_row_keeps_the_instant_of_its_first_mark(account, store, synced_id):
    gone = account.responses(synced_id)[0]["id"]
    account.delete_response(synced_id, gone)
    store.sync(synced_id, depth=Depth.ALL)
    before = model.responses(store.path)
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 0)
    assert model.responses(store.path) == before


def test_an_incremental_sync_marks_nothing(account, store, synced_id):
    account.delete_response(synced_id, account.responses(synced_id)[0]["id"])
    assert counted(store, synced_id) == (250, 0, 0, 0)
    assert not any(row["deleted_at"] for row in model.responses(store.path).values())


@pytest.mark.parametrize("depth", [Depth.NEW, Depth.ALL], ids=["new", "all"])
def test_a_row_that_comes_back_loses_its_mark(account, store, synced_id, depth):
    gone = account.responses(synced_id)[0]["id"]
    account.delete_response(synced_id, gone)
    store.sync(synced_id, depth=Depth.ALL)
    account.restore_response(synced_id, gone)
    assert counted(store, synced_id, depth=depth) == (250, 0, 1, 0)
    assert_complete(account, store, synced_id)


def test_a_full_sync_marks_no_row_that_came_while_it_read(
    account, make_client, store, synced_id, tmp_path
):
    account.delete_response(synced_id, account.responses(synced_id)[0]["id"])
    with store.warehouse.spool() as folder:
        walk = store.walk(synced_id, folder, depth=Depth.ALL)
        added = set(account.add_responses(synced_id, 3))
        assert counted(store, synced_id) == (253, 3, 0, 0)
        figures = store.warehouse.commit_responses([walk])[synced_id]
    assert (figures.rows, figures.new, figures.deleted) == (253, 0, 1)
    rows = model.responses(store.path)
    assert not any(rows[key]["deleted_at"] for key in added)


@pytest.mark.parametrize(("later", "marked"), [(0, 0), (1, 250)], ids=["then", "just before"])
def test_a_row_stored_when_a_full_walk_began_was_not_there_for_it(
    account, store, synced_id, later, marked
):
    for each in account.responses(synced_id):
        account.delete_response(synced_id, each["id"])
    with store.warehouse.spool() as folder:
        walk = store.walk(synced_id, folder, depth=Depth.ALL)
        walk.started_at = latest(store, "synced_at") + timedelta(microseconds=later)
        figures = store.warehouse.commit_responses([walk])[synced_id]
    assert figures.deleted == marked


def test_a_full_sync_of_one_survey_marks_nothing_in_another(account, store, synced_id):
    other = account.add_survey(responses=20)
    store.sync(other)
    for survey in (synced_id, other):
        account.delete_response(survey, account.responses(survey)[0]["id"])
    store.sync(synced_id, depth=Depth.ALL)
    assert not any(row["deleted_at"] for row in model.responses(store.path, other).values())


def test_a_full_sync_of_an_emptied_survey_marks_all_its_rows(account, store, synced_id):
    for each in account.responses(synced_id):
        account.delete_response(synced_id, each["id"])
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 250)


# --- Purging -------------------------------------------------------------------------------------


@pytest.fixture
def marked(account, store, synced_id) -> set[str]:
    """Two rows that a full sync marked."""
    gone = {each["id"] for each in account.responses(synced_id)[:2]}
    for each in gone:
        account.delete_response(synced_id, each)
    store.sync(synced_id, depth=Depth.ALL)
    return gone


def test_a_purge_deletes_what_an_earlier_full_sync_marked(account, store, synced_id, marked):
    late = account.responses(synced_id)[-1]["id"]
    account.delete_response(synced_id, late)
    synced = store.sync_one(synced_id, depth=Depth.ALL, purge=True)
    figures = synced.figures
    assert (figures.rows, figures.new, figures.deleted, figures.purged) == (248, 0, 1, 2)
    rows = model.responses(store.path)
    assert not marked & rows.keys()
    assert rows[late]["deleted_at"]


def test_a_purge_spares_what_was_marked_after_its_walk_began(account, store, synced_id, marked):
    late = account.responses(synced_id)[-1]["id"]
    account.delete_response(synced_id, late)
    with store.warehouse.spool() as folder:
        walk = store.walk(synced_id, folder, depth=Depth.ALL)
        assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 1)
        figures = store.warehouse.commit_responses([walk], purge=True)[synced_id]
    assert figures.purged == len(marked)
    assert late in model.responses(store.path)


@pytest.mark.parametrize(("later", "purged"), [(0, 0), (1, 2)], ids=["then", "just before"])
def test_a_row_marked_when_a_full_walk_began_is_not_purged(store, synced_id, marked, later, purged):
    with store.warehouse.spool() as folder:
        walk = store.walk(synced_id, folder, depth=Depth.ALL)
        walk.started_at = latest(store, "deleted_at") + timedelta(microseconds=later)
        figures = store.warehouse.commit_responses([walk], purge=True)[synced_id]
    assert (figures.purged, figures.rows) == (purged, 250 - purged)
    assert len(marked & model.responses(store.path).keys()) == 2 - purged


def test_without_purge_marked_rows_stay(store, synced_id, marked):
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 0)
    assert marked <= model.responses(store.path).keys()


def test_a_purge_of_an_incremental_sync_deletes_nothing(store, synced_id, marked):
    figures = store.sync_one(synced_id, purge=True).figures
    assert (figures.rows, figures.purged) == (250, 0)


def test_a_purge_spares_a_row_that_came_back(account, store, synced_id, marked):
    back = min(marked)
    account.restore_response(synced_id, back)
    figures = store.sync_one(synced_id, depth=Depth.ALL, purge=True).figures
    assert (figures.rows, figures.new, figures.updated, figures.purged) == (249, 0, 1, 1)
    assert_complete(account, store, synced_id)


def test_a_purge_spares_other_surveys(account, store, synced_id, marked):
    other = account.add_survey(responses=3)
    store.sync(other, depth=Depth.ALL, purge=True)
    assert marked <= model.responses(store.path, synced_id).keys()


def test_a_purge_empties_a_survey_that_was_removed(account, server, store, synced_id):
    store.list_surveys()
    account.remove_survey(synced_id)
    store.list_surveys()
    first = store.sync_one(synced_id, depth=Depth.ALL, purge=True).figures
    assert (first.rows, first.deleted, first.purged) == (250, 250, 0)
    sent(server)
    second = store.sync_one(synced_id, depth=Depth.ALL, purge=True).figures
    assert (second.rows, second.deleted, second.purged) == (0, 0, 250)
    assert sent(server) == []


# --- Any order -----------------------------------------------------------------------------------


def changes(account: SandboxAccount, survey_id: str, seed: int) -> Iterator[Depth]:
    """Yield depths to sync at, after changes of every kind."""
    rng, gone = Random(seed), []
    yield Depth.NEW
    for _ in range(6):
        # What is deleted was synced before: a response that nobody ever saw does not come back.
        for kind in sorted(rng.choices(range(5), k=rng.randrange(6))):
            some = rng.choice(account.responses(survey_id))["id"]
            match kind:
                case 0:
                    account.delete_response(survey_id, some)
                    gone.append(some)
                case 1 if gone:
                    account.restore_response(survey_id, gone.pop(0))
                case 2:
                    account.set_response(survey_id, some, country=rng.choice(["MT", "IT", None]))
                case 3:
                    account.tag_response(survey_id, some, tags=[rng.choice("abc")])
                case 4:
                    account.add_responses(survey_id, rng.choice([1, 40, 150]))
        yield rng.choice(list(Depth))


@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_changes_and_syncs_ends_in_the_truth(account, store, seed):
    survey_id = account.add_survey(responses=230)
    for depth in changes(account, survey_id, seed):
        store.sync(survey_id, depth=depth)
        # Whatever was read, no response that exists is missing.
        live = {row["id"] for row in account.responses(survey_id)}
        assert live <= model.responses(store.path).keys()
    store.sync(survey_id, depth=Depth.ALL)
    rows = model.cells(model.responses(store.path))
    expected = model.truth(account.responses(survey_id), survey_id=survey_id)
    assert {key: row for key, row in rows.items() if not row["deleted_at"]} == expected


def test_a_column_that_somebody_added_keeps_its_values(account, store, synced_id):
    with store.warehouse._database.transaction() as connection:
        table = "warehouse.hotjar.survey_responses"
        connection.execute(f"ALTER TABLE {table} ADD COLUMN reviewed_by VARCHAR")
        connection.execute(f"UPDATE {table} SET reviewed_by = 'ada'")
    changed = account.responses(synced_id)[40]["id"]
    account.tag_response(synced_id, changed, tags=["price"])
    assert counted(store, synced_id) == (250, 0, 1, 0)
    with store.warehouse._database.connected() as connection:
        reviewers = connection.execute(f"SELECT DISTINCT reviewed_by FROM {table}").fetchall()
    assert reviewers == [("ada",)]


def test_a_full_walk_whose_pages_overlapped_marks_and_settles_nothing(
    account, server, store, synced_id
):
    gone = account.responses(synced_id)[40]["id"]
    account.delete_response(synced_id, gone)
    server.faults.add(Fault("overlap", path="responses", rows=2))
    assert counted(store, synced_id, depth=Depth.ALL) == (249 + 1, 0, 0, 0)
    assert store.warehouse.survey_states([synced_id])[synced_id].unsettled
    assert counted(store, synced_id, depth=Depth.ALL, is_second=True) == (250, 0, 0, 0)
    assert not store.warehouse.survey_states([synced_id])[synced_id].unsettled
    server.faults.clear()
    assert counted(store, synced_id, depth=Depth.ALL) == (250, 0, 0, 1)


def test_a_survey_stored_with_an_impossible_instant_can_be_read_again(server, store, survey_id):
    def ancient(rows: list[Any]) -> list[Any]:
        return [{**row, "created_time": "0001-01-01T00:00:00+14:00"} for row in rows]

    server.faults.add(Fault("mutate_rows", path="responses", transform=ancient))
    assert counted(store, survey_id) == (250, 250, 0, 0)
    assert counted(store, survey_id) == (250, 0, 0, 0)
