"""From where on a stream is read, when reading stops, and what one parent's failure does."""

import json
from pathlib import Path
from typing import Any

import pytest

from hotjar_assets.errors import HotjarConfigError, HotjarError, HotjarNotFoundError
from hotjar_assets.warehouse import Figures
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, Sent, error, json_reply
from hotjar_assets_tests.streams.conftest import example
from hotjar_assets_tests.streams.servers import Helpdesk, Shop, serving
from hotjar_assets_tests.streams.store import StreamStore, orders, source_of

PAGES = {"type": "cursor", "selector": "$.next", "parameter": "cursor"}


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "warehouse.duckdb")


def page(*rows: dict[str, Any], following: str | None = None) -> Reply:
    return json_reply({"rows": rows, "next": following})


def at(day: int, number: int | None = None) -> dict[str, Any]:
    return {"id": number or day, "at": f"2026-01-{day:02}T00:00:00Z"}


# --- The API filters -----------------------------------------------------------------------------


def test_the_newest_value_in_the_table_less_the_lookback_is_sent(store, connect):
    shop, source = Shop(60), example("shop")
    with serving(shop) as server:
        client = connect(source, shop.environment(server.url))
        store.sync(client, "orders")
        shop.put(7, hours=70, total=1000)
        shop.put(61, hours=71)
        (outcome,) = store.sync(client, "orders").values()
        since = [sent.query["updated_since"] for sent in server.sent]
    assert isinstance(outcome, Figures)
    assert (outcome.rows, outcome.new, outcome.updated) == (61, 1, 1)
    # 2026-01-01, then an hour before the newest change, which came 60 hours later.
    assert since == ["1767225600"] * 3 + [str(1767225600 + 59 * 3600)] * 2
    assert store.query("SELECT total, is_large FROM shop.orders WHERE order_id = 7") == [
        (1000.0, True)
    ]


@pytest.mark.parametrize(
    ("values", "sent"),
    [([3, 9, 5], "9"), ([1.5], "1.5"), (["b", "c"], "c"), ([None], None)],
    ids=["integer", "number", "text", "none"],
)
def test_a_watermark_of_any_type_is_sent_as_it_is(store, api, connect, values, sent):
    stream = orders(incremental={"cursor": "version", "parameter": "after"})
    client = connect(source_of(api.url, stream), {})
    rows = [{"id": n, "version": value} for n, value in enumerate(values)]
    api.answers(json_reply(rows), json_reply([]))
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [request.query.get("after") for request in api.sent] == [None, sent]


def test_an_instant_of_the_future_is_no_watermark(store, api, connect):
    stream = orders(incremental={"cursor": "at", "parameter": "after"})
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply([at(3), {"id": 2, "at": "2999-01-01T00:00:00Z"}]), json_reply([]))
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [each.query.get("after") for each in api.sent] == [None, "2026-01-03T00:00:00Z"]


def test_the_field_may_be_inside_of_an_object(store, api, connect):
    incremental = {"cursor": "meta_at", "parameter": "after"}
    stream = orders(flatten=["meta"], incremental=incremental)
    client = connect(source_of(api.url, stream), {})
    rows = [{"id": each["id"], "meta": {"at": each["at"]}} for each in (at(3), at(2))]
    api.answers(json_reply(rows), json_reply([]))
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [each.query.get("after") for each in api.sent] == [None, "2026-01-03T00:00:00Z"]


def test_a_field_that_no_record_has_is_told(store, api, connect, caplog):
    stream = orders(incremental={"cursor": "updatedat", "parameter": "after"})
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply([at(1)]))
    store.sync(client, "orders")
    assert "acme.orders: no record has a field updatedat" in caplog.text


CURSOR = {"type": "cursor", "parameter": "c"}


@pytest.mark.parametrize(
    ("paging", "field", "named", "hint"),
    [
        (CURSOR, "selector", "$.nxt", "did you mean `next`?"),
        (CURSOR, "selector", "$.meta.after", "it has cursor"),
        (CURSOR, "header", "X-Nxt", "did you mean `X-Next`?"),
        ({"type": "offset"}, "next_offset", "$.nxt", "did you mean `next`?"),
        ({"type": "page", "parameter": "p"}, "total_pages", "$.page", "did you mean `pages`?"),
    ],
    ids=["near", "another word", "header", "offset", "total"],
)
def test_pagination_that_names_what_no_answer_has_is_told(
    paging, field, named, hint, *, store, api, connect, caplog
):
    paging = {**paging, field: named}
    client = connect(source_of(api.url, orders(records="$.data[*]", pagination=paging)), {})
    body = {"next": "b", "meta": {"cursor": "b"}, "pages": 1}
    pages = iter([[at(1)], []])
    api.answers_always(lambda _: json_reply({**body, "data": next(pages)}, X_Next="b"))
    store.sync(client, "orders")
    assert (
        f"acme.orders: no answer has {named}, which `pagination.{field}` names, so that pages may "
        f"be missing; {hint}" in caplog.text
    )


def test_pagination_that_some_answer_has_or_nothing_resembles_is_not_told(
    store, api, connect, caplog
):
    paging = {"type": "cursor", "selector": "$.next", "parameter": "c"}
    stream = orders(records="$.data[*]", pagination=paging)
    client = connect(source_of(api.url, stream), {})
    api.answers(
        json_reply({"data": [at(1)], "next": "b"}),
        json_reply({"data": [at(2)], "next_page": 1}),
        json_reply({"data": [at(3)], "page": 1}),
    )
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [each.query.get("c") for each in api.sent] == [None, "b", None]
    assert "pagination" not in caplog.text


def test_names_that_some_record_has_are_not_told(store, api, connect, caplog):
    transform = {"drop": ["note"], "rename": {"total": "amount"}}
    stream = orders(flatten=["of"], transform=transform)
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply([{"id": 1, "total": 2}, {"id": 2, "note": "a", "of": {"name": "b"}}]))
    store.sync(client, "orders")
    assert caplog.text == ""
    assert store.query("SELECT id, amount, of_name FROM acme.orders ORDER BY id") == [
        (1, 2, None),
        (2, None, "b"),
    ]


@pytest.mark.parametrize(("form", "scale"), [("timestamp", 1), ("milliseconds", 1000)])
def test_a_number_of_the_future_is_no_watermark(store, api, connect, form, scale):
    stream = orders(incremental={"cursor": "at", "parameter": "after", "format": form})
    client = connect(source_of(api.url, stream), {})
    values = [1_700_000_000 * scale, 32_503_680_000 * scale]
    rows = [{"id": number, "at": value} for number, value in enumerate(values)]
    api.answers(json_reply(rows), json_reply([]))
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [each.query.get("after") for each in api.sent] == [None, str(values[0])]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("timestamp", 1_700_000_060),
        ("timestamp", 1_700_000_060.5),
        ("milliseconds", 1_700_000_060_000),
    ],
    ids=["seconds", "parts of a second", "milliseconds"],
)
def test_a_lookback_of_a_number_is_counted_in_its_unit(store, api, connect, form, value):
    sent = str(value - {"timestamp": 60, "milliseconds": 60_000}[form])
    given = {"cursor": "at", "parameter": "after", "format": form, "lookback_seconds": 60}
    client = connect(source_of(api.url, orders(incremental=given)), {})
    api.answers(json_reply([{"id": 1, "at": value}]), json_reply([]))
    store.sync(client, "orders")
    store.sync(client, "orders")
    assert [each.query.get("after") for each in api.sent] == [None, sent]


@pytest.mark.parametrize("value", [7, 1.5], ids=["integer", "decimal"])
def test_a_lookback_of_a_number_without_a_unit_is_refused(store, api, connect, value):
    given = {"cursor": "version", "parameter": "after", "lookback_seconds": 60}
    client = connect(source_of(api.url, orders(incremental=given)), {})
    api.answers(json_reply([{"id": 1, "version": value}]))
    store.sync(client, "orders")
    (outcome,) = store.sync(client, "orders").values()
    assert isinstance(outcome, HotjarConfigError)
    assert "timestamp or milliseconds" in str(outcome)
    assert len(api.sent) == 1


def test_a_lookback_of_what_is_no_instant_is_refused(store, api, connect):
    stream = orders(incremental={"cursor": "version", "parameter": "after", "lookback_seconds": 60})
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply([{"id": 1, "version": "b"}]))
    store.sync(client, "orders")
    (outcome,) = store.sync(client, "orders").values()
    assert isinstance(outcome, HotjarConfigError)
    assert len(api.sent) == 1


# --- Newest first --------------------------------------------------------------------------------


def newest_first(**incremental: Any) -> dict[str, Any]:
    return orders(
        records="$.rows[*]", pagination=PAGES, incremental={"cursor": "at", **incremental}
    )


def test_reading_stops_after_the_first_page_with_something_older(store, api, connect):
    client = connect(source_of(api.url, newest_first()), {})
    api.answers(page(at(5), at(4), following="a"), page(at(3), at(2)))
    store.sync(client, "orders")
    # Day 5 stands on the first page, and another record of that day may be on the next.
    api.answers(page(at(7), at(5), following="a"), page(at(5, 50), at(4), following="b"))
    (outcome,) = store.sync(client, "orders").values()
    assert isinstance(outcome, Figures)
    assert (outcome.rows, outcome.new, outcome.updated) == (6, 2, 0)
    assert [sent.query.get("cursor") for sent in api.sent] == [None, "a", None, "a"]


def test_a_page_out_of_order_is_read_to_the_end(store, api, connect):
    client = connect(source_of(api.url, newest_first()), {})
    api.answers(page(at(5)))
    store.sync(client, "orders")
    api.answers(
        page(at(2), at(9), at(1), following="a"), page(at(1, 11), following="b"), page(at(8))
    )
    (outcome,) = store.sync(client, "orders").values()
    assert isinstance(outcome, Figures)
    assert (outcome.rows, outcome.new) == (6, 5)


def test_a_record_without_the_field_proves_no_order(store, api, connect):
    client = connect(source_of(api.url, newest_first()), {})
    api.answers(page(at(5)))
    store.sync(client, "orders")
    api.answers(page({"id": 70}, at(1), following="a"), page(at(8)))
    (outcome,) = store.sync(client, "orders").values()
    assert isinstance(outcome, Figures)
    assert outcome.rows == 4


def test_a_first_read_stores_nothing_before_the_start(store, api, connect):
    client = connect(source_of(api.url, newest_first(start="2026-01-04")), {})
    api.answers(page(at(5), at(4), at(3), following="a"))
    store.sync(client, "orders")
    assert store.query("SELECT id FROM acme.orders ORDER BY id") == [(4,), (5,)]


# --- Parents and children ------------------------------------------------------------------------


@pytest.fixture
def desk() -> Helpdesk:
    return Helpdesk(tickets=15)


def test_children_are_those_of_every_parent(store, connect, desk):
    with serving(desk) as server:
        client = connect(example("helpdesk"), desk.environment(server.url))
        store.sync(client, "tickets")
        store.sync(client, "comments")
        server.sent.clear()
        outcomes = store.sync(client, "comments")
        # The parents come from their table.
        assert not [sent for sent in server.sent if sent.path == "/api/tickets"]
    new = {key: each.new for key, each in outcomes.items() if isinstance(each, Figures)}
    assert new == dict.fromkeys(desk.comments, 0)
    expected = [(key, each["number"]) for key, all_ in desk.comments.items() for each in all_]
    rows = store.query("SELECT ticket_id, number FROM helpdesk.comments")
    assert sorted(rows) == sorted(expected)


def test_parents_are_read_where_they_have_no_table(store, connect, desk):
    with serving(desk) as server:
        store.sync(connect(example("helpdesk"), desk.environment(server.url)), "comments")
        assert server.sent[0].path == "/api/tickets"
    ((count,),) = store.query("SELECT count(DISTINCT ticket_id) FROM helpdesk.comments")
    assert count == sum(bool(comments) for comments in desk.comments.values())


def test_a_failing_parent_does_not_stop_the_others(store, connect, desk):
    with serving(desk) as server:
        client = connect(example("helpdesk"), desk.environment(server.url))
        store.sync(client, "comments")
        for key in desk.comments:
            desk.add_comment(key)
        desk.failing = {"T/3 é"}
        outcomes = store.sync(client, "comments")
    failed = [key for key, each in outcomes.items() if isinstance(each, HotjarError)]
    assert failed == ["T/3 é"]
    stored = dict(store.query("SELECT ticket_id, count(*) FROM helpdesk.comments GROUP BY ALL"))
    expected = {key: len(comments) for key, comments in desk.comments.items()}
    assert stored == {**expected, "T/3 é": 3}


def test_a_parent_that_vanished_keeps_its_rows_and_is_no_error(store, connect, desk):
    with serving(desk) as server:
        client = connect(example("helpdesk"), desk.environment(server.url))
        store.sync(client, "tickets")
        store.sync(client, "comments")
        del desk.comments["T/3 é"]
        outcomes = store.sync(client, "comments")
    assert outcomes.keys() == desk.comments.keys()
    assert not [each for each in outcomes.values() if isinstance(each, HotjarError)]
    assert store.query("SELECT count(*) FROM helpdesk.comments WHERE ticket_id = 'T/3 é'") == [(3,)]


def test_a_parent_never_found_is_reported(store, connect, desk):
    with serving(desk) as server:
        client = connect(example("helpdesk"), desk.environment(server.url))
        store.sync(client, "tickets")
        desk.comments.clear()
        outcomes = store.sync(client, "comments")
    assert len(outcomes) == 15
    assert all(isinstance(each, HotjarNotFoundError) for each in outcomes.values())


def test_children_have_a_watermark_for_each_parent(store, connect):
    child: dict[str, Any] = {
        "name": "events",
        "path": "/shops/{{ parent.id }}/events",
        "primary_key": ["id"],
        "parent": {"stream": "shops", "fields": {"shop_id": "id"}},
        "incremental": {"cursor": "at", "parameter": "after"},
    }
    shops = {"name": "shops", "path": "/shops", "primary_key": ["id"]}
    events = {"1": [at(3)], "2": [at(9)]}

    def answer(sent: Sent) -> Reply:
        if sent.path == "/shops":
            return json_reply([{"id": 1}, {"id": 2}])
        return json_reply(events[sent.path.split("/")[2]])

    with ScriptedServer() as server:
        server.answers_always(answer)
        client = connect(source_of(server.url, shops, child), {})
        store.sync(client, "shops")
        store.sync(client, "events")
        server.sent.clear()
        store.sync(client, "events")
        after = {sent.path: sent.query["after"] for sent in server.sent}
    assert after == {
        "/shops/1/events": "2026-01-03T00:00:00Z",
        "/shops/2/events": "2026-01-09T00:00:00Z",
    }
    # An id may be that of a child of another parent too.
    assert store.query("SELECT shop_id, id FROM acme.events ORDER BY 1") == [(1, 3), (2, 9)]


def test_children_may_be_read_from_a_day_of_their_parent_on(store, connect):
    shops = {"name": "shops", "path": "/shops", "primary_key": ["id"]}
    since = {"cursor": "at", "parameter": "after", "start": "{{ parent.opened_on }}"}
    parent = {"stream": "shops", "fields": {"shop_id": "id"}}
    child = orders(path="/{{ parent.id }}/orders", parent=parent, incremental=since)

    def answer(sent: Sent) -> Reply:
        days = {1: "2026-01-31", 2: "2026-02-28"}
        rows = [{"id": number, "opened_on": day} for number, day in days.items()]
        return json_reply(rows if sent.path == "/shops" else [])

    with ScriptedServer() as server:
        server.answers_always(answer)
        client = connect(source_of(server.url, shops, child), {})
        store.sync(client, "shops")
        store.sync(client, "orders")
        after = {sent.path: sent.query["after"] for sent in server.sent[1:]}
    assert after == {"/1/orders": "2026-01-31T00:00:00Z", "/2/orders": "2026-02-28T00:00:00Z"}


def test_children_without_a_key_are_replaced_parent_by_parent(store, connect):
    child: dict[str, Any] = {
        "name": "lines",
        "path": "/shops/{{ parent.id }}/lines",
        "parent": {"stream": "shops", "fields": {"shop": "id"}},
    }
    shops = {"name": "shops", "path": "/shops", "primary_key": ["id"]}
    lines: dict[str, Reply] = {
        "a": json_reply([{"n": 1}, {"n": 1}]),
        "b": json_reply([{"n": 2}]),
    }

    def answer(sent: Sent) -> Reply:
        if sent.path == "/shops":
            return json_reply([{"id": "a"}, {"id": "b"}])
        return lines[sent.path.split("/")[2]]

    with ScriptedServer() as server:
        server.answers_always(answer)
        client = connect(source_of(server.url, shops, child), {})
        store.sync(client, "lines")
        lines |= {"a": json_reply([{"n": 5}]), "b": error(403)}
        store.sync(client, "lines")
    assert store.query("SELECT shop, n FROM acme.lines ORDER BY ALL") == [("a", 5), ("b", 2)]


def test_a_field_of_the_record_may_say_what_the_parent_says_and_nothing_else(store, api, connect):
    child: dict[str, Any] = {
        "name": "lines",
        "path": "/shops/{{ parent.id }}/lines",
        "primary_key": ["n"],
        "parent": {"stream": "shops", "fields": {"shop": "id"}},
    }
    shops = {"name": "shops", "path": "/shops", "primary_key": ["id"]}
    client = connect(source_of(api.url, shops, child), {})
    api.answers(json_reply([{"id": 1}]), json_reply([{"n": 1, "shop": "1"}]))
    store.sync(client, "lines")
    assert store.query("SELECT shop, n FROM acme.lines") == [(1, 1)]
    api.answers(json_reply([{"id": 1}]), json_reply([{"n": 1, "shop": 2}]))
    (outcome,) = store.sync(client, "lines").values()
    assert "differs from the parent's" in str(outcome)


def test_rows_that_are_gone_when_they_are_committed_are_not_missed(store, api, connect):
    """A walk that began at the watermark is no use for a table that lost the rows before it."""
    stream = orders(incremental={"cursor": "at", "parameter": "after"})
    client = connect(source_of(api.url, stream), {})
    api.answers(json_reply([at(3)]))
    store.sync(client, "orders")

    def answer(sent: Sent) -> Reply:
        store.query("DELETE FROM acme.orders")
        return json_reply([at(9)])

    api.answers(answer)
    with pytest.raises(HotjarError, match="lost rows while it was read"):
        store.sync(client, "orders")
    assert store.query("FROM acme.orders") == []


# --- Parents that cannot name their children -----------------------------------------------------

SHOPS: dict[str, Any] = {"name": "shops", "path": "/shops", "primary_key": ["id"]}


def of_shops(**fields: str) -> dict[str, Any]:
    return {
        "name": "lines",
        "path": "/shops/{{ parent.id }}/lines",
        "parent": {"stream": "shops", "fields": fields},
    }


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "from the API"])
@pytest.mark.parametrize("fields", [{"id": "shop_id"}, {"shop_id": "of.id"}], ids=str)
def test_parent_fields_the_wrong_way_round_are_an_error(fields, is_stored, store, api, connect):
    client = connect(source_of(api.url, SHOPS, of_shops(**fields)), {})
    api.answers(*[json_reply([{"id": 1, "of": {"name": "a"}}, {"id": 2}])] * 2)
    if is_stored:
        store.sync(client, "shops")
    name = next(iter(fields.values()))
    with pytest.raises(HotjarConfigError, match=f"acme.lines: no parent has a field {name}"):
        store.sync(client, "lines")
    assert [sent.path for sent in api.sent] == ["/shops"]


def test_parents_whose_field_is_null_are_told_and_are_no_error(store, api, connect, caplog):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="of.id")), {})
    api.answers(json_reply([{"id": 1, "of": None}, {"id": 2, "of": None}]))
    assert store.sync(client, "lines") == {}
    assert "2 parents lack a field of parent.fields" in caplog.text


@pytest.mark.parametrize("value", [["a"], {"id": 1}], ids=["array", "object"])
def test_array_or_object_of_a_parent_is_not_stored_as_text(value, store, api, connect):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="of")), {})
    api.answers(json_reply([{"id": 1, "of": value}]))
    with pytest.raises(HotjarConfigError, match=r"parent\.fields\.shop is an "):
        store.sync(client, "lines")
    assert [sent.path for sent in api.sent] == ["/shops"]


def test_boolean_of_a_parent_is_stored_as_json_writes_it(store, api, connect):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="id", is_open="open")), {})
    api.answers(json_reply([{"id": 1, "open": True}]), json_reply([{"n": 1, "is_open": True}]))
    store.sync(client, "lines")
    assert [sent.path for sent in api.sent] == ["/shops", "/shops/1/lines"]
    assert store.query("SELECT shop, is_open, n FROM acme.lines") == [(1, "true", 1)]


def test_parents_that_share_the_fields_and_are_requested_differently_are_an_error(
    store, api, connect
):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="name")), {})
    api.answers(json_reply([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]))
    with pytest.raises(HotjarConfigError, match=r"acme\.lines: parent\.fields does not tell"):
        store.sync(client, "lines")
    assert [sent.path for sent in api.sent] == ["/shops"]


def test_a_parent_that_comes_twice_is_read_once(store, api, connect):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="id")), {})
    api.answers(
        json_reply([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), json_reply([{"n": 1}])
    )
    assert store.sync(client, "lines").keys() == {"1"}
    assert [sent.path for sent in api.sent] == ["/shops", "/shops/1/lines"]


def test_a_parent_that_lacks_a_field_does_not_stop_the_others(store, api, connect, caplog):
    client = connect(source_of(api.url, SHOPS, of_shops(shop="of.id")), {})
    parents = [{"id": 1}, {"id": 2, "of": {"id": 7}}, {"id": 3, "of": {"name": "a"}}]
    api.answers(json_reply(parents), json_reply([{"n": 1}]))
    assert store.sync(client, "lines").keys() == {"7"}
    assert [sent.path for sent in api.sent] == ["/shops", "/shops/2/lines"]
    assert store.query("SELECT shop, n FROM acme.lines") == [(7, 1)]
    assert "acme.lines: 2 parents lack a field of parent.fields and are not read" in caplog.text


def test_a_key_of_several_columns_is_the_same_text_here_and_in_the_table(store, connect):
    """Else no watermark would be found again, and each sync would read everything."""
    regions = ['e"u', "é, ü", "a\\b", "[1]"]
    shops = {"name": "shops", "path": "/shops", "primary_key": ["region", "id"]}
    child: dict[str, Any] = {
        "name": "events",
        "path": "/shops/{{ parent.id }}/events",
        "primary_key": ["region", "shop", "n"],
        "parent": {"stream": "shops", "fields": {"region": "region", "shop": "id"}},
        "incremental": {"cursor": "at", "parameter": "after"},
    }

    def answer(sent: Sent) -> Reply:
        if sent.path == "/shops":
            return json_reply(
                [{"region": region, "id": number} for number, region in enumerate(regions)]
            )
        day = int(sent.path.split("/")[2]) + 1
        return json_reply([{"n": 1, "at": f"2026-01-{day:02}T00:00:00Z"}])

    with ScriptedServer() as server:
        server.answers_always(answer)
        client = connect(source_of(server.url, shops, child), {})
        first = store.sync(client, "events")
        server.sent.clear()
        second = store.sync(client, "events")
        after = {sent.path: sent.query.get("after") for sent in server.sent if sent.query}
    assert first.keys() == second.keys()
    assert sorted(json.loads(key) for key in first) == sorted(
        [region, str(number)] for number, region in enumerate(regions)
    )
    assert after == {
        f"/shops/{number}/events": f"2026-01-{number + 1:02}T00:00:00Z"
        for number in range(len(regions))
    }
    figures = {
        key: (each.rows, each.new) for key, each in second.items() if isinstance(each, Figures)
    }
    assert figures == dict.fromkeys(first, (1, 0))
