"""Cursors: sent as they came, followed to their end, and noticed when they have none."""

from dataclasses import dataclass
from itertools import count
from operator import attrgetter

import pytest

from hotjar_assets.api.pagination import MAX_EMPTY_PAGES, MAX_REPEATED_PAGES, iter_pages
from hotjar_assets.errors import HotjarPaginationError, HotjarSchemaError, HotjarServerError
from hotjar_assets_tests.api.model import RESPONSES_PATH, SITE_ID, SURVEY_ID, response_row
from hotjar_assets_tests.api.scripted_server import error, json_reply, page

IDENTIFY = attrgetter("results")


def pages(client, **options):
    return client.iter_response_pages(SITE_ID, SURVEY_ID, **options)


def read(client, **options):
    return [[row.id for row in page.results] for page in pages(client, **options)]


def cursors(api):
    return [sent.cursor for sent in api.data_requests]


@pytest.mark.parametrize(
    "end",
    [
        json_reply({"results": [response_row()]}),
        page(response_row(), next_cursor=None),
        page(response_row(), next_cursor=""),
    ],
    ids=["absent", "null", "empty"],
)
def test_listing_ends_without_a_cursor(end, client, api):
    api.answers(end)
    assert read(client) == [["r1"]]
    assert [(sent.path, sent.query) for sent in api.data_requests] == [
        (RESPONSES_PATH, {"limit": "100"})
    ]


@pytest.mark.parametrize(
    ("cursor", "sent"),
    [
        ("abc", "abc"),
        ("a+b/c=&d?e#f %", "a+b/c=&d?e#f %"),
        ("curseur-é-🙂", "curseur-é-🙂"),
        (0, "0"),
        (17, "17"),
        (12345678901234567890, "12345678901234567890"),
    ],
    ids=["text", "signs", "not-ascii", "zero", "number", "long-number"],
)
def test_cursor_is_sent_as_it_came(cursor, sent, client, api):
    api.answers(page(response_row("r1"), next_cursor=cursor), page(response_row("r2")))
    assert read(client) == [["r1"], ["r2"]]
    assert [request.query for request in api.data_requests] == [
        {"limit": "100"},
        {"limit": "100", "cursor": sent},
    ]


def test_listing_starts_from_a_given_cursor(client, api):
    api.answers(page(response_row("r3"), next_cursor="C"), page(response_row("r4")))
    assert read(client, start_cursor="B") == [["r3"], ["r4"]]
    assert cursors(api) == ["B", "C"]


def test_pages_are_read_when_asked_for(client, api):
    api.answers(page(response_row("r1"), next_cursor="A"))
    first = next(pages(client))
    assert first.next_cursor == "A"
    assert cursors(api) == [None]


def test_each_listing_begins_anew(client, api):
    once = [page(response_row("r1"), next_cursor="A"), page(response_row("r2"))]
    api.answers(*once, *once)
    assert read(client) == read(client)
    assert cursors(api) == [None, "A", None, "A"]


@pytest.mark.parametrize("rows", [[], [response_row("short")]], ids=["empty", "short"])
def test_page_with_a_cursor_is_not_the_end_however_few_its_rows(rows, client, api):
    api.answers(
        page(response_row("r1"), next_cursor="A"),
        page(*rows, next_cursor="B"),
        page(response_row("r2")),
    )
    assert read(client) == [["r1"], [row["id"] for row in rows], ["r2"]]
    assert cursors(api) == [None, "A", "B"]


@pytest.mark.parametrize(
    ("given", "asked", "number"),
    [
        ("AA", [None, "A"], 2),
        ("ABA", [None, "A", "B"], 3),
        ("ABCB", [None, "A", "B", "C"], 4),
    ],
    ids=["A-A", "A-B-A", "later-cycle"],
)
def test_repeated_cursor_raises_instead_of_looping(given, asked, number, client, api):
    api.answers(
        *(page(response_row(f"r{n}"), next_cursor=cursor) for n, cursor in enumerate(given))
    )
    with pytest.raises(HotjarPaginationError, match="repeats an earlier one") as caught:
        read(client)
    assert caught.value.page == number
    assert not caught.value.retryable
    assert cursors(api) == asked


def test_start_cursor_that_comes_back_raises(client, api):
    api.answers(page(response_row(), next_cursor="A"))
    with pytest.raises(HotjarPaginationError):
        read(client, start_cursor="A")
    assert cursors(api) == ["A"]


def test_number_that_repeats_as_text_raises(client, api):
    api.answers(page(response_row(), next_cursor=7), page(response_row(), next_cursor="7"))
    with pytest.raises(HotjarPaginationError):
        read(client)


@dataclass(frozen=True)
class Listed:
    results: list[int]
    next_cursor: str | None


def test_empty_pages_without_end_raise():
    asked = []

    def get_page(cursor):
        asked.append(cursor)
        return Listed([], f"c{len(asked)}")

    with pytest.raises(HotjarPaginationError, match="1000 empty pages in a row") as caught:
        list(iter_pages(get_page))
    assert caught.value.page == MAX_EMPTY_PAGES
    assert asked == [None, *(f"c{n}" for n in range(1, MAX_EMPTY_PAGES))]


def test_rows_between_empty_pages_start_the_count_anew():
    listing = [Listed([], f"c{n}") for n in range(MAX_EMPTY_PAGES - 1)]
    listing += [Listed([7], "middle")]
    listing += [Listed([], f"d{n}") for n in range(MAX_EMPTY_PAGES - 1)]
    listing += [Listed([], None)]
    waiting = iter(listing)
    assert list(iter_pages(lambda _: next(waiting))) == listing


@pytest.mark.parametrize("forbid", [True, False])
def test_pages_that_came_before_raise_only_where_they_must_not_be(forbid):
    """Two that alternate, with empty ones between; one that repeats alone is no fault."""
    contents = [[1], [2], [], *([[1], [2]] * MAX_REPEATED_PAGES)]
    listing = iter([Listed(rows, f"c{number}") for number, rows in enumerate(contents)])
    pages = iter_pages(lambda _: next(listing), identify=IDENTIFY if forbid else None)
    before = 3 + MAX_REPEATED_PAGES - 1
    assert [next(pages).results for _ in range(before)] == contents[:before]
    if forbid:
        with pytest.raises(HotjarPaginationError, match="hold what came before") as caught:
            next(pages)
        assert caught.value.page == before + 1
    else:
        assert next(pages).results == contents[before]


def test_pages_that_repeat_between_new_ones_are_no_fault():
    rows = [[1], [2], [1], [3], [1], [4], [1], [5], [1], [6], [1], [7], [1]]
    listing = [Listed(each, f"c{number}") for number, each in enumerate(rows)]
    waiting = iter([*listing, Listed([], None)])
    assert len(list(iter_pages(lambda _: next(waiting), identify=IDENTIFY))) == len(rows) + 1


@pytest.mark.parametrize("list_rows", [pages, lambda client: client.iter_surveys(SITE_ID)])
def test_the_same_rows_behind_ever_new_cursors_end(list_rows, client, api):
    asked = count()
    api.answers_always(lambda _: page(response_row(), next_cursor=f"c{next(asked)}"))
    with pytest.raises(HotjarPaginationError, match="hold what came before"):
        list(list_rows(client))
    assert len(api.data_requests) == 1 + MAX_REPEATED_PAGES


def test_metadata_of_the_root_is_given(client, api):
    api.answers(page(response_row(), total=12, meta={"a": [1]}))
    (only,) = pages(client)
    assert only.metadata == {"total": 12, "meta": {"a": [1]}}


def test_metadata_is_given_by_the_tolerant_decoder_too(client, api):
    api.answers(page(response_row(surprise=1), total=12, meta={"a": [1]}))
    (only,) = pages(client)
    assert only.results[0].extra == {"surprise": 1}
    assert only.metadata == {"total": 12, "meta": {"a": [1]}}


@pytest.mark.parametrize(
    ("bad", "kind"),
    [(error(500), HotjarServerError), (page({"id": "r9"}), HotjarSchemaError)],
    ids=["status", "schema"],
)
def test_error_names_its_page(bad, kind, client, api):
    first = [page(response_row(f"r{n}"), next_cursor=f"c{n}") for n in range(3)]
    api.answers(*first, *[bad] * 6)
    with pytest.raises(kind, match=r"\[GET .*/responses, page 4") as caught:
        read(client)
    assert caught.value.page == 4
    assert set(cursors(api)[3:]) == {"c2"}
