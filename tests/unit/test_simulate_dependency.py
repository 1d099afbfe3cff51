"""The modelled dependency: it answers as queueing theory says, and suffers as its script says."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilix import timeout
from resilix.testing.simulation import (
    Dependency,
    Episode,
    black_hole,
    brown_out,
    cold_start,
    exponential,
    flapping,
    outage,
    poisson,
    simulate,
    stall,
)
from resilix.testing.simulation.loop import SimulatedLoop
from resilix.testing.simulation.modelled import ANSWER, Call, Served
from resilix.testing.simulation.trouble import Weather


class World:
    """A dependency, and requests at chosen moments."""

    def __init__(self, **options: Any) -> None:
        self.loop = SimulatedLoop()
        self.served = [Served()]
        self.model = Dependency(**options).model(self.loop, random.Random(7), self.served)
        self.answers: list[tuple[float, object]] = []
        self._number = itertools.count()

    def request(self, at: float, *, gives_up: float = math.inf, shard: int = 0) -> None:
        """One request, by somebody who waits for so many seconds."""

        def ended(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                self.answers.append((self.loop.now, "gave up"))
            else:
                self.answers.append((self.loop.now, future.exception() or future.result()))

        def begin() -> None:
            future = self.model.request(Call(next(self._number), self.loop.now, shard))
            future.add_done_callback(ended)
            if gives_up < math.inf:
                self.loop.call_later(gives_up, future.cancel)

        self.loop.call_at(at, begin)

    def run(self) -> list[tuple[float, str]]:
        """When each was answered, and how."""
        self.loop.run()
        return [(round(at, 6), "well" if what is ANSWER else str(what)) for at, what in self.answers]


def test_each_takes_its_time_and_others_wait_in_line() -> None:
    """Two at once, the third when one is done."""
    world = World(capacity=2, service=1.0)
    for moment in (0.0, 0.1, 0.2):
        world.request(moment)
    assert world.run() == [(1.0, "well"), (1.1, "well"), (2.0, "well")]
    assert world.served[0] == Served(arrived=3, answered=3, waiting=1, worked=3.0)


def test_one_too_many_fails_at_once() -> None:
    """With a queue of one place."""
    world = World(capacity=1, service=1.0, queue=1)
    for _ in range(3):
        world.request(0.0)
    assert world.run() == [(0.0, "the dependency's queue is full"), (1.0, "well"), (2.0, "well")]


def test_what_is_begun_for_somebody_who_gives_up_is_work_for_nobody() -> None:
    """And the next in line waits for it all the same."""
    world = World(capacity=1, service=1.0)
    world.request(0.0, gives_up=0.5)
    world.request(0.1)
    assert world.run() == [(0.5, "gave up"), (2.0, "well")]
    assert world.served[0].wasted == 1


@pytest.mark.parametrize(("notices", "answered", "wasted"), [(False, 3.0, 2), (True, 2.0, 1)])
def test_a_dependency_may_notice_that_nobody_waits_any_more(notices: bool, answered: float, wasted: int) -> None:
    """Before it begins; not in the middle."""
    world = World(capacity=1, service=1.0, notices=notices)
    world.request(0.0, gives_up=0.5)
    world.request(0.0, gives_up=0.5)
    world.request(0.0)
    assert world.run()[-1] == (answered, "well")
    assert world.served[0].wasted == wasted


def test_down_it_fails_every_request_after_a_moment() -> None:
    """From the first moment of the outage, until before its end."""
    world = World(capacity=9, service=1.0, script=outage(10, 5, after=0.25))
    for moment in (9.9, 10.0, 14.9, 15.0):
        world.request(moment)
    down = "the dependency is down"
    assert world.run() == [(10.25, down), (10.9, "well"), (15.15, down), (16.0, "well")]


def test_a_black_hole_answers_nothing() -> None:
    """Neither then nor afterwards."""
    world = World(capacity=1, service=1.0, script=black_hole(10, 5))
    world.request(11.0, gives_up=100.0)
    world.request(20.0)
    assert world.run() == [(21.0, "well"), (111.0, "gave up")]


def test_a_stall_stops_what_is_under_way_and_what_comes() -> None:
    """Afterwards it goes on where it was."""
    world = World(capacity=2, service=1.0, script=stall(10, 5))
    world.request(9.5)
    world.request(12.0)
    assert world.run() == [(15.5, "well"), (16.0, "well")]


def test_a_brown_out_is_slower_and_some_answers_are_errors() -> None:
    """Work done before counts as done."""
    slow = World(capacity=1, service=1.0, script=brown_out(10, 50, slower=4))
    slow.request(9.5)
    assert slow.run() == [(12.0, "well")]
    bad = World(capacity=1000, service=0.1, script=brown_out(0, 50, errors=0.3))
    for number in range(1000):
        bad.request(number / 100)
    assert statistics.fmean(one != "well" for _, one in bad.run()) == pytest.approx(0.3, abs=0.05)


def test_trouble_of_one_shard_is_not_that_of_another() -> None:
    """Nor do they wait in one line."""
    world = World(capacity=1, service=1.0, shards=2, script=[outage(0, 5, shard=1, after=0)])
    for shard in (0, 1, 0):
        world.request(1.0, shard=shard)
    assert world.run() == [(1.0, "the dependency is down"), (2.0, "well"), (3.0, "well")]


def test_a_cold_start_gets_faster_step_by_step() -> None:
    """From the tenth part of its speed to the whole."""
    steps = cold_start(100, 30, slower=10, steps=3)
    assert [(one.start, one.end, round(one.speed, 3)) for one in steps] == [
        (100, 110, 0.1),
        (110, 120, 0.4),
        (120, 130, 0.7),
    ]


def test_flapping_is_many_outages_and_ends_in_time() -> None:
    """The last is cut where it would go on."""
    episodes = flapping(10, 22, down=4, up=6)
    assert [(one.start, one.end, one.kind) for one in episodes] == [
        (10, 14, "flapping"),
        (20, 24, "flapping"),
        (30, 32, "flapping"),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=4),
    st.integers(0, 25),
    st.integers(1, 12),
)
def test_work_is_done_when_its_seconds_at_that_speed_add_up(
    written: list[tuple[int, int, float]], begin: int, work: int
) -> None:
    """Against the sum over small steps of time."""
    episodes = [Episode("slow", start, start + length, speed=speed) for start, length, speed in written]
    found = Weather(episodes, 0).done_at(float(begin), float(work))
    done, now, step = 0.0, float(begin), 1 / 64
    while done < work - 1e-9:
        speed = math.prod(one.speed for one in episodes if one.start <= now < one.end)
        done += speed * step
        now += step
    assert found == pytest.approx(now, abs=2 * step)


def erlang_c(servers: int, offered: float) -> float:
    """The share that has to wait, in Erlang's formula for M/M/c."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("servers", "rate"), [(1, 7.0), (10, 70.0), (10, 90.0)])
def test_waiting_is_as_long_as_erlang_says(servers: int, rate: float) -> None:
    """The mean time in an M/M/c queue: service, and the share that waits over what is left of the capacity."""
    mean = 0.1
    offered = rate * mean
    expected = mean + erlang_c(servers, offered) / (servers / mean - rate)
    world = World(capacity=servers, service=exponential(mean))
    begins = list(itertools.takewhile(lambda at: at < 20_000 / rate * 5, poisson(rate).times(random.Random(3))))
    for moment in begins:
        world.request(moment)
    ends = sum(at for at, _ in world.run())
    assert (ends - sum(begins)) / len(begins) == pytest.approx(expected, rel=0.08)


def test_a_longer_line_means_a_longer_wait_and_no_policy_changes_what_was_asked() -> None:
    """Without policies worth the name, every call is one request."""
    result = simulate(timeout(1000), load=9.0, dependency=Dependency(capacity=1, service=0.1), seconds=60)
    assert result.attempts_per_call == 1.0
    assert result.dependency.arrived == result.dependency.answered == result.calls == 540
    assert result.dependency.busy == pytest.approx(0.9, abs=0.01)
