"""How many readers are let in: real threads, an injected clock and processor."""

import threading
from time import monotonic

import pytest

from hotjar_assets.seats import BUSY_SHARE, FIRST_SEATS, WINDOW_SECONDS, Seats


class Machine:
    """Time and processor time that only move when told."""

    def __init__(self):
        self.now = self.used = 0.0

    def pass_window(self, *, busy):
        self.now += 2 * WINDOW_SECONDS
        self.used += 2 * WINDOW_SECONDS * busy


@pytest.fixture
def machine():
    return Machine()


def seats_on(machine, most):
    return Seats(most, clock=lambda: machine.now, used=lambda: machine.used)


def test_seats_double_while_the_processor_is_idle_up_to_the_setting(machine):
    seats, there = seats_on(machine, 11), []
    for _ in range(5):
        machine.pass_window(busy=0.1)
        there.append(seats.add_if_idle())
    assert there == [4, 8, 11, 11, 11]


def test_no_seat_is_added_while_the_processor_is_the_limit(machine):
    seats = seats_on(machine, 8)
    machine.pass_window(busy=BUSY_SHARE + 0.01)
    assert seats.add_if_idle() == FIRST_SEATS


def test_each_window_is_judged_by_itself(machine):
    seats = seats_on(machine, 8)
    for _ in range(10):
        machine.pass_window(busy=2.0)
        seats.add_if_idle()
    machine.pass_window(busy=0.0)
    assert seats.add_if_idle() == 2 * FIRST_SEATS


def test_a_window_that_is_not_over_is_not_judged(machine):
    seats = seats_on(machine, 8)
    machine.now += WINDOW_SECONDS / 2
    assert seats.add_if_idle() == FIRST_SEATS


def test_one_reader_stays_alone_where_the_setting_says_so(machine):
    seats = seats_on(machine, 1)
    machine.pass_window(busy=0.0)
    assert seats.add_if_idle() == 1


def test_readers_that_only_wait_are_all_let_in_at_once():
    seats, together = Seats(8), threading.Barrier(8, timeout=30)

    def read():
        with seats.taken():
            together.wait()

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not together.broken


@pytest.mark.timeout(30)
def test_seats_that_are_added_or_left_can_all_be_taken(machine):
    seats = seats_on(machine, 4)
    with seats.taken():
        machine.pass_window(busy=0.0)
        assert seats.add_if_idle() == 4
        for _ in range(2):
            with seats.taken(), seats.taken(), seats.taken():
                assert seats._free == 0
    assert seats._free == 4


def test_a_seat_is_free_again_after_an_error():
    seats = Seats(1)
    with pytest.raises(ZeroDivisionError), seats.taken():
        raise ZeroDivisionError
    with seats.taken():
        pass


@pytest.mark.parametrize(("waiting", "first"), [(0, "mine"), (1, "another"), (2, "mine")])
def test_a_seat_is_given_away_when_fewer_wait_than_there_are_seats(waiting, first):
    seats, taken = Seats(2), []

    def take():
        with seats.taken():
            taken.append("another")

    others = [threading.Thread(target=take) for _ in range(waiting)]
    with seats.taken(), seats.taken():
        for other in others:
            other.start()
        deadline = monotonic() + 30
        while len(seats._waiting) < waiting and monotonic() < deadline:
            pass
        seats.give_way()
        taken.append("mine")
    for other in others:
        other.join()
    assert taken[0] == first
    assert sorted(taken) == ["another"] * waiting + ["mine"]
