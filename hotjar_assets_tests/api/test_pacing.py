"""The pace: even, without bursts, one for all readers."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from hotjar_assets.api.pacing import Pacer
from hotjar_assets_tests.api.model import SITE_ID, FakeTime, survey_row
from hotjar_assets_tests.api.scripted_server import page


def paced(time, requests_per_minute=60):
    return Pacer(requests_per_minute, sleep=time.sleep, clock=time.clock)


def departures(pacer, time, number):
    times = []
    for _ in range(number):
        pacer.wait()
        times.append(time.clock())
    return times


def gaps(times):
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize("requests_per_minute", [1, 60, 3000], ids=["slow", "second", "documented"])
def test_requests_are_evenly_spaced_at_99_percent(requests_per_minute, time):
    times = departures(paced(time, requests_per_minute), time, 50)
    assert gaps(times) == pytest.approx([60 / (0.99 * requests_per_minute)] * 49)


def test_first_request_waits_for_nothing(time):
    paced(time).wait()
    assert time.slept == []


def test_idle_time_is_not_made_up_for(time):
    pacer = paced(time)
    departures(pacer, time, 3)
    time.advance(600)
    assert gaps(departures(pacer, time, 5)) == pytest.approx([60 / (0.99 * 60)] * 4)


def test_slow_caller_waits_for_nothing(time):
    pacer = paced(time)
    for _ in range(5):
        pacer.wait()
        time.advance(2)
    assert time.slept == []


def test_no_minute_holds_more_than_99_percent_under_threads():
    """The clock stands still, so that every slot is given out against the same instant."""
    time = FakeTime()
    begun = time.clock()
    slept: list[float] = []
    pacer = Pacer(600, sleep=slept.append, clock=time.clock)

    def read(_):
        for _ in range(100):
            pacer.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    slots = sorted([0.0, *slept])
    assert len(slots) == 800
    assert gaps(slots) == pytest.approx([60 / (0.99 * 600)] * 799)
    assert time.clock() == begun


def test_hold_holds_everybody(time):
    pacer = paced(time, 6_000)
    pacer.wait()
    begun = time.clock()
    pacer.hold(30)
    times = departures(pacer, time, 3)
    assert times[0] - begun == pytest.approx(30)
    assert gaps(times) == pytest.approx([60 / (0.99 * 6_000)] * 2)


def test_shorter_hold_does_not_end_a_longer_one(time):
    pacer = paced(time)
    begun = time.clock()
    pacer.hold(30)
    pacer.hold(5)
    pacer.wait()
    assert time.clock() - begun == pytest.approx(30)


@pytest.mark.parametrize("holds", [[30], [5, 30], [30, 5]], ids=["one", "shorter last", "longer"])
def test_hold_holds_those_who_already_wait_for_their_slot(time, holds):
    holds = [*holds]

    def sleep(seconds):
        # The answer that asks everybody to wait arrives while this reader sleeps.
        while holds:
            pacer.hold(holds.pop())
        time.sleep(seconds)

    # The second slot lies between the ends of the two pauses.
    pacer = Pacer(6, sleep=sleep, clock=time.clock)
    begun = time.clock()
    pacer.wait()
    pacer.wait()
    assert time.clock() - begun == pytest.approx(30)


def test_hold_gives_out_no_slot_again():
    """The clock stands still, so that the next slot lies far beyond the end of the pause."""
    time = FakeTime()
    slept: list[float] = []
    pacer = Pacer(60, sleep=slept.append, clock=time.clock)
    for _ in range(5):
        pacer.wait()
    pacer.hold(2)
    pacer.wait()
    assert slept[-1] == pytest.approx(5 * 60 / (0.99 * 60))


def test_every_request_of_a_client_is_paced(connect, api, time):
    client = connect(requests_per_minute=60)
    arrivals = []

    def arrive(_):
        arrivals.append(time.clock())
        return page(survey_row())

    api.answers(arrive, arrive, arrive)
    for _ in range(3):
        list(client.iter_surveys(SITE_ID))
    # The token request took the first slot.
    assert gaps([1_000.0, *arrivals]) == pytest.approx([60 / (0.99 * 60)] * 3)
