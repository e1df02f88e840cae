"""The decision of one tick, without Dagster: what is added, asked for, and remembered."""

from datetime import UTC, datetime, timedelta

import pytest

from hotjar_assets.defs.sensors import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_PER_TICK,
    Request,
    Tick,
    TickCursor,
    plan_tick,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = TickCursor()
ONCE = TickCursor(requested={"a": Request(1, NOW)})


def after(attempts: int, minutes: float) -> TickCursor:
    """Return the state when `a` was last asked for so many minutes ago."""
    return TickCursor(requested={"a": Request(attempts, NOW - timedelta(minutes=minutes))})


def plan(*, remote: str, known: str = "", settled: str = "", cursor: TickCursor = EMPTY) -> Tick:
    return plan_tick(list(remote), list(known), list(settled), cursor, now=NOW)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(("", "", "", EMPTY), ("", "", 0), id="nothing at all"),
        pytest.param(("ba", "", "", EMPTY), ("ab", "ab", 0), id="new ones, sorted"),
        pytest.param(("ab", "ab", "ab", EMPTY), ("", "", 0), id="all settled"),
        pytest.param(("abc", "ab", "ab", EMPTY), ("c", "c", 0), id="one new among settled ones"),
        pytest.param(("a", "a", "", EMPTY), ("", "a", 0), id="known, without data or request"),
        pytest.param(("", "ab", "a", EMPTY), ("", "", 0), id="no longer listed"),
        pytest.param(("a", "a", "", after(1, 0)), ("", "", 1), id="asked for just now"),
        pytest.param(("a", "a", "", after(1, 4.9)), ("", "", 1), id="first pause not over"),
        pytest.param(("a", "a", "", after(1, 5)), ("", "a", 0), id="first pause over"),
        pytest.param(("a", "a", "", after(2, 9.9)), ("", "", 1), id="second pause not over"),
        pytest.param(("a", "a", "", after(2, 10)), ("", "a", 0), id="second pause over"),
        pytest.param(("a", "a", "", after(5, 79)), ("", "", 1), id="fifth pause not over"),
        pytest.param(("a", "a", "", after(5, 80)), ("", "a", 0), id="fifth pause over"),
        pytest.param(("a", "a", "", after(99, 24 * 60 - 1)), ("", "", 1), id="a day at the most"),
        pytest.param(("a", "a", "", after(99, 24 * 60)), ("", "a", 0), id="a day is enough"),
        pytest.param(
            ("a", "", "", after(3, 0)), ("a", "a", 0), id="partition deleted while waiting"
        ),
        pytest.param(("a", "a", "a", after(3, 0)), ("", "", 0), id="settled meanwhile"),
    ],
)
def test_a_tick_asks_for_what_has_no_data_and_is_due(before, expected):
    remote, known, settled, cursor = before

    tick = plan(remote=remote, known=known, settled=settled, cursor=cursor)

    assert ("".join(tick.add), "".join(tick.request), tick.waiting) == expected


def test_the_cursor_remembers_what_was_requested():
    tick = plan(remote="ab", known="b", settled="b")

    assert tick.next_cursor == ONCE


def test_asking_again_counts_the_attempts():
    tick = plan(remote="a", known="a", cursor=after(2, 10))

    assert tick.next_cursor == TickCursor(requested={"a": Request(3, NOW)})


def test_waiting_leaves_the_last_request_as_it_was():
    cursor = after(2, 9)

    assert plan(remote="a", known="a", cursor=cursor).next_cursor == cursor


@pytest.mark.parametrize(
    ("remote", "settled"),
    [pytest.param("a", "a", id="has data"), pytest.param("", "", id="is no longer listed")],
)
def test_a_survey_that_is_done_with_is_forgotten(remote, settled):
    tick = plan(remote=remote, known="a", settled=settled, cursor=ONCE)

    assert tick.next_cursor == EMPTY


def test_pauses_double_from_the_first_to_the_longest():
    """A survey that never comes right is asked for ever more rarely, at last once a day."""
    pauses = []
    for attempts in range(1, 12):
        request = Request(attempts, NOW)
        minutes = next(
            minutes
            for minutes in range(0, 24 * 60 + 1, 5)
            if request.is_due(NOW + timedelta(minutes=minutes))
        )
        pauses.append(minutes)

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]
    assert (timedelta(minutes=5), timedelta(days=1)) == (FIRST_PAUSE, LONGEST_PAUSE)


def test_a_tick_asks_for_no_more_than_its_cap_and_the_next_one_for_the_rest():
    remote = [f"{n:04}" for n in range(MOST_PER_TICK + 3)]

    first = plan_tick(remote, [], [], EMPTY, now=NOW)
    second = plan_tick(remote, first.add, first.add, first.next_cursor, now=NOW)

    assert (len(first.add), len(first.request), first.waiting) == (500, 500, 3)
    assert list(first.next_cursor.requested) == remote[:500]
    assert second.add == second.request == remote[500:]


def test_a_lost_cursor_asks_again_for_what_has_no_data():
    tick = plan(remote="abc", known="abc", settled="ab", cursor=TickCursor.from_json(None))

    assert (tick.add, tick.request) == ([], ["c"])


def test_a_cursor_survives_being_written_and_read():
    cursor = after(3, 7)

    assert TickCursor.from_json(cursor.to_json()) == cursor


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("1204501", id="a number"),
        pytest.param("not json", id="no json"),
        pytest.param('{"version":2,"requested":{}}', id="a later version"),
        pytest.param('{"version":1,"requested":["a"]}', id="another shape"),
        pytest.param(
            '{"version":1,"requested":{"a":{"attempts":1,"at":"2026-03-01T00:00:00"}}}',
            id="an instant without zone",
        ),
    ],
)
def test_an_unreadable_cursor_starts_anew(text):
    assert TickCursor.from_json(text) == EMPTY
