"""What is stored of personal values, and what becomes of a file when the mode changes."""

import json
from datetime import UTC, datetime
from itertools import product

import duckdb
import pytest

from hotjar_assets.api.decoding import decode_response_page
from hotjar_assets.api.records import Answer, Response, UserAttribute
from hotjar_assets.config import PiiMode
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.privacy import Privacy
from hotjar_assets.sync import Depth

from . import model

HASH = Privacy(PiiMode.HASH, b"a key of sixteen bytes")
DROP = Privacy(PiiMode.DROP)
KEEP = Privacy()
PERSON = {
    "hotjar_user_id": "user-MARK1",
    "user_attributes": [
        {"name": "email", "value": "ada@MARK2.example"},
        {"name": "orders", "value": 7},
        {"name": "nothing", "value": None},
    ],
    "response_origin_url": "https://shop.example.com/cart?token=MARK3#part-MARK4",
    "recording_url": "https://insights.hotjar.com/r/MARK8",
    "mood": {"unknown": "MARK5"},
}
MARKS = ["MARK1", "MARK2", "MARK3", "MARK4", "MARK5", "MARK6", "MARK7", "MARK8"]


@pytest.fixture
def person(account, survey_id) -> str:
    """One response that is personal through and through; returns its id."""
    questions = account.survey(survey_id)["questions"]
    answers = [
        {"question_id": questions[0]["id"], "answer": "MARK6 no address", "comment": None},
        {"question_id": "other", "answer": " Ada@MARK7.example ", "comment": None},
        {"question_id": "other", "answer": "in my own words", "comment": "a comment"},
    ]
    account.update_survey(survey_id, questions=[{**questions[0], "type": "email"}])
    return str(account.add_responses(survey_id, **PERSON, answers=answers)[0])


def sync(store, survey_id, privacy, depth=Depth.NEW):
    store.list_surveys()
    store.warehouse.adopt(privacy, rewrite=depth is Depth.ALL)
    return store.sync(survey_id, privacy=privacy, depth=depth)


def stored(store, survey_id, response_id):
    return model.responses(store.path, survey_id)[response_id]


def everything(store, survey_id) -> str:
    return json.dumps(model.responses(store.path, survey_id), default=str)


def test_keep_stores_everything(store, survey_id, person):
    sync(store, survey_id, KEEP)
    text = everything(store, survey_id)
    assert [mark for mark in MARKS if mark not in text] == []


@pytest.mark.parametrize("privacy", [HASH, DROP], ids=["hash", "drop"])
def test_no_personal_value_is_stored(store, survey_id, person, privacy):
    sync(store, survey_id, privacy)
    text = everything(store, survey_id)
    assert [mark for mark in MARKS if mark in text] == []
    row = stored(store, survey_id, person)
    assert row["answers"][2]["answer"] == "in my own words"
    assert row["response_origin_url"].startswith("https://shop.example.com/cart")
    assert [each["name"] for each in row["user_attributes"]] == ["email", "orders", "nothing"]


def test_a_hash_is_stable_keyed_and_joins_addresses_in_any_case():
    assert HASH.value("Ada@x.example") == HASH.value(" ada@X.example ")
    assert HASH.value("Ada") != HASH.value("ada")
    assert HASH.value(7) != HASH.value("x")
    assert HASH.value(HASH.value("Ada")) == HASH.value("Ada")
    assert HASH.value("Ada") != Privacy(PiiMode.HASH, b"another key, also long").value("Ada")
    assert HASH.value(None) is None


def test_text_that_is_not_valid_unicode_is_hashed_too():
    assert HASH.value("half of a pair: \ud83d") != HASH.value("half of a pair: \ud83e")


def test_the_spool_holds_no_personal_value(store, survey_id, person, tmp_path):
    store.list_surveys()
    read = store.walk(survey_id, tmp_path, privacy=DROP)
    spooled = b"".join(segment.path.read_bytes() for segment in read.segments).decode()
    assert "in my own words" in spooled
    assert [mark for mark in MARKS if mark in spooled] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [pair for pair in product([KEEP, HASH, DROP], repeat=2) if pair[0] != pair[1]],
    ids=lambda privacy: privacy.mode.value,
)
def test_another_mode_is_refused_until_a_full_sync_rewrites_the_file(
    store, survey_id, person, before, after
):
    sync(store, survey_id, before)
    rows = model.responses(store.path)
    with pytest.raises(HotjarStoreError, match="--full"):
        sync(store, survey_id, after)
    assert model.responses(store.path) == rows
    sync(store, survey_id, after, Depth.ALL)
    rewritten = model.cells(model.responses(store.path, survey_id))
    store.path.unlink()
    sync(store, survey_id, after)
    assert rewritten == model.cells(model.responses(store.path, survey_id))


def test_a_row_that_hotjar_no_longer_has_is_rewritten_too(account, store, survey_id, person):
    sync(store, survey_id, KEEP)
    account.delete_response(survey_id, person)
    sync(store, survey_id, DROP, Depth.ALL)
    assert stored(store, survey_id, person)["deleted_at"]
    text = everything(store, survey_id)
    assert [mark for mark in MARKS if mark in text] == []


@pytest.mark.parametrize("after", [HASH, DROP], ids=["hash", "drop"])
def test_a_file_whose_free_blocks_hold_rows_of_another_mode_is_rewritten(
    store, survey_id, person, after
):
    sync(store, survey_id, KEEP)
    assert store.warehouse.compact() is False
    sync(store, survey_id, after, Depth.ALL)
    assert store.warehouse.compact() is True
    content = store.path.read_bytes()
    assert [mark for mark in MARKS if mark.encode() in content] == []
    # DuckDB 2 compresses what it copies: that the bytes do not show a value is not enough.
    with duckdb.connect(str(store.path)) as connection:
        unused = connection.execute("SELECT free_blocks FROM pragma_database_size()").fetchall()
    assert unused == [(0,)]
    text = everything(store, survey_id)
    assert [mark for mark in [*MARKS, "in my own words"] if mark in text] == ["in my own words"]
    assert store.warehouse.compact() is False


def test_another_key_is_refused(store, survey_id, person):
    sync(store, survey_id, HASH)
    with pytest.raises(HotjarStoreError, match="its key is another"):
        sync(store, survey_id, Privacy(PiiMode.HASH, b"another key, also long"))


def test_the_key_is_not_in_the_file(store, survey_id, person):
    sync(store, survey_id, HASH)
    assert HASH.key not in store.path.read_bytes()
    assert HASH.key.decode() not in repr(HASH)


def test_a_file_from_before_there_were_modes_is_one_that_keeps(store, survey_id, person):
    sync(store, survey_id, KEEP)
    with store.warehouse._database.transaction() as connection:
        connection.execute("DELETE FROM warehouse.hotjar.meta WHERE name LIKE 'pii%'")
    with pytest.raises(HotjarStoreError, match="HOTJAR_PII=keep"):
        sync(store, survey_id, DROP)
    assert sync(store, survey_id, KEEP)[survey_id].figures.new == 0


def test_both_decoders_lead_to_the_same_hash(survey_id):
    row = {"id": "1", "created_time": "2026-01-01T00:00:00Z", "hotjar_user_id": "u"}
    pages = ([row], [{**row, "unknown": 1}])
    rows = [
        decode_response_page(json.dumps({"results": page}).encode()).results[0] for page in pages
    ]
    for each in rows:
        HASH.apply(each)
    assert rows[0].hotjar_user_id == rows[1].hotjar_user_id == HASH.value("u")


def test_an_attribute_without_value_and_a_url_without_query_stay_as_they_are():
    response = Response(
        id="1",
        created_time=datetime(2026, 1, 1, tzinfo=UTC),
        response_origin_url="https://shop.example.com/",
        user_attributes=[UserAttribute("plan", None)],
        answers=[Answer("q", "9")],
    )
    HASH.apply(response)
    assert response.response_origin_url == "https://shop.example.com/"
    assert response.user_attributes == [UserAttribute("plan", None)]
    assert response.answers == [Answer("q", "9")]


def test_stored_values_can_be_read_without_the_package(store, survey_id, person):
    sync(store, survey_id, HASH)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        counts = connection.execute(
            "SELECT count(*) FROM hotjar.survey_responses, unnest(user_attributes) AS u(a) "
            "WHERE a.value->>'$' LIKE 'hmac:%'"
        ).fetchone()
    assert counts is not None
    assert counts[0] >= 2


def test_a_sync_under_the_old_mode_commits_nothing_after_the_file_was_rewritten(
    account, store, survey_id, person
):
    sync(store, survey_id, KEEP)
    rewriting = type(store)(store.client, store.path)
    rewriting.warehouse.adopt(DROP, rewrite=True)
    account.add_responses(survey_id, hotjar_user_id="MARK1")
    with pytest.raises(HotjarStoreError, match="was rewritten"):
        store.sync(survey_id, privacy=KEEP)
    assert "MARK1" not in everything(store, survey_id)


def test_a_file_that_was_rewritten_is_read_whole_at_the_next_chance(store, survey_id, person):
    sync(store, survey_id, DROP)
    store.warehouse.adopt(KEEP, rewrite=True)
    assert sync(store, survey_id, KEEP)[survey_id].read.pages == 3
    assert [mark for mark in MARKS if mark not in everything(store, survey_id)] == []


def test_another_key_leaves_no_hash_of_the_old_one(account, store, survey_id, person):
    sync(store, survey_id, HASH)
    account.delete_response(survey_id, person)
    store.warehouse.adopt(Privacy(PiiMode.HASH, b"another key, also long"), rewrite=True)
    assert str(HASH.value("user-MARK1")) not in everything(store, survey_id)


# --- What an earlier release took for personal -------------------------------------------------


def written_by_an_earlier_release(store, survey_id, person, privacy):
    """Make a file as it was when recordings were kept in every mode, with a model of it."""
    sync(store, survey_id, privacy)
    with store.warehouse._database.transaction() as connection:
        connection.execute(
            "UPDATE warehouse.hotjar.survey_responses SET recording_url = $url, answers = "
            "list_transform(answers, lambda a: struct_update(a, comment := 'ada@MARK7.example')) "
            "WHERE response_id = $person",
            {"url": PERSON["recording_url"], "person": person},
        )
        connection.execute("DELETE FROM warehouse.hotjar.meta WHERE name = 'pii_rules'")
        connection.execute("CREATE SCHEMA warehouse.marts")
        connection.execute(
            "CREATE TABLE warehouse.marts.hotjar__response AS "
            "SELECT * EXCLUDE (answers), 'https://u@s.example/ada%40MARK7.example/x' AS page "
            "FROM warehouse.hotjar.survey_responses"
        )


@pytest.mark.parametrize("privacy", [HASH, DROP], ids=["hash", "drop"])
def test_a_file_of_an_earlier_release_is_brought_up_to_date_when_it_is_opened(
    store, survey_id, person, privacy
):
    sync(store, survey_id, privacy)
    expected = model.cells(model.responses(store.path, survey_id))
    store.path.unlink()
    written_by_an_earlier_release(store, survey_id, person, privacy)
    store.warehouse.adopt(privacy, rewrite=False)
    rows = model.responses(store.path, survey_id)
    assert rows[person]["recording_url"] == privacy.value(PERSON["recording_url"])
    assert rows[person]["answers"][0]["comment"] == privacy.value("ada@MARK7.example")
    with duckdb.connect(str(store.path)) as connection:
        models = str(connection.execute("FROM marts.hotjar__response").fetchall())
    assert [mark for mark in MARKS if mark in models and mark != "MARK6"] == []
    # Nothing else changed, and nothing is hashed twice.
    assert sync(store, survey_id, privacy, Depth.ALL)[survey_id].figures.new == 0
    assert model.cells(model.responses(store.path, survey_id)) == expected


def test_a_recording_that_hotjar_removed_is_not_kept_in_clear_text(
    account, store, survey_id, person
):
    sync(store, survey_id, KEEP)
    account.set_response(survey_id, person, recording_url=None)
    sync(store, survey_id, HASH, Depth.ALL)
    assert stored(store, survey_id, person)["recording_url"] == HASH.value(PERSON["recording_url"])


@pytest.mark.parametrize(
    ("url", "hashed", "dropped"),
    [
        ("https://s.example/a", "https://s.example/a", "https://s.example/a"),
        ("https://bob:MARK@s.example/a", "https://s.example/a", "https://s.example/a"),
        ("//bob@s.example", "//s.example", "//s.example"),
        ("https://s.example/@bob/a", "https://s.example/@bob/a", "https://s.example/@bob/a"),
        (
            "https://s.example/u/Bob%40x.example/a",
            f"https://s.example/u/{HASH.value('bob@x.example')}/a",
            "https://s.example/u//a",
        ),
        (
            "/u/bob@x.example?a=1",
            f"/u/{HASH.value('bob@x.example')}?{HASH.value('a=1')}",
            "/u/",
        ),
    ],
)
def test_of_a_url_only_the_page_is_kept(url, hashed, dropped):
    assert (HASH.url(url), DROP.url(url)) == (hashed, dropped)
    assert HASH.url(HASH.url(url)) == hashed
