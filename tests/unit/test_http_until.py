"""A timeout that knows its moment: a plain number to everybody, and what is left of it to those who ask."""

from __future__ import annotations

import copy
import math
import pickle
import socket

import anyio
import pytest

from resilix.clock import SYSTEM
from resilix.http.until import Until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; its one element is the time."""
    now = [100.0]
    monkeypatch.setattr(SYSTEM, "now", lambda: now[0])
    return now


def test_it_is_a_plain_number_to_those_who_do_not_know_it(clock: list[float]) -> None:
    """Sockets, arithmetic and comparisons take it for the seconds it was made with."""
    until = Until(0.25, 101.0)
    assert until == 0.25
    assert until + 1 == 1.25
    assert sorted([until, 0.1]) == [0.1, until]
    with socket.socket() as sock:
        sock.settimeout(until)
        assert sock.gettimeout() == 0.25


def test_an_event_loop_takes_it_for_seconds() -> None:
    """The library hands it to anyio where it waits for the pool."""

    async def wait() -> None:
        with anyio.fail_after(Until(0.0, math.inf)):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        anyio.run(wait)


def test_what_is_left_shrinks_with_the_clock_and_never_below_zero(clock: list[float]) -> None:
    """The number stays; what is left of it does not."""
    until = Until(2.0, 102.0)
    assert until.left() == 2.0
    clock[0] = 101.5
    assert until.left() == 0.5
    clock[0] = 103.0
    assert until.left() == 0.0
    assert until == 2.0


def test_an_operation_gets_the_smaller_of_its_timeout_and_what_is_left(clock: list[float]) -> None:
    """A read timeout of two seconds holds although the deadline is an hour away, and the other way round."""
    until = Until(2.0, 3700.0)
    assert until.allowed() == 2.0
    assert type(until.allowed()) is float
    clock[0] = 3699.0
    assert until.allowed() == 1.0
    clock[0] = 3700.0
    assert until.allowed() == 0.0


def test_its_moment_can_be_moved(clock: list[float]) -> None:
    """The head has come, and the body has the time of the whole call."""
    until = Until(1.0, 100.5)
    until.moment = 160.0
    assert until.left() == 60.0
    assert until.allowed() == 1.0


def test_an_infinite_moment_leaves_the_plain_timeout(clock: list[float]) -> None:
    """No deadline: each operation has its own time."""
    assert Until(5.0, math.inf).left() == math.inf
    assert Until(5.0, math.inf).allowed() == 5.0
    assert Until(math.inf, math.inf).allowed() == math.inf


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_it_knows_the_moment_too(copied: type[Until]) -> None:
    """Requests are copied together with their timeouts."""
    other = copied(Until(1.5, 7.0))
    assert (float(other), other.moment, type(other)) == (1.5, 7.0, Until)
