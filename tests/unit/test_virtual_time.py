"""virtual_time() around sync code: exact waits, breakers, deadlines, timeouts; what it puts back; what it refuses."""

from __future__ import annotations

import gc
import random
import threading
import time as real_time
import weakref
from datetime import timedelta

import pytest
from tests.support.virtual import LONG, failing, nap, sleeping

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExpiredError,
    TimeoutExceededError,
    deadline,
    retry,
    timeout,
)
from resilix.clock import SYSTEM
from resilix.runtime import RUNTIME
from resilix.testing import VirtualTime, virtual_time


def test_waits_move_the_clock_exactly() -> None:
    """Two waits of one second each make two seconds, not a bit more, and are written down."""
    policy = retry(on=ConnectionError, attempts=3, wait=1.0)
    with virtual_time() as time:
        assert time.now() == 0.0
        with pytest.raises(ConnectionError):
            policy.call(failing)
        assert time.now() == 2.0
        assert time.sleeps == [1.0, 1.0]


def test_a_zero_wait_is_written_down_and_takes_no_time() -> None:
    """Wait 0 means: again at once."""
    with virtual_time() as time:
        nap(0)
        assert time.sleeps == [0.0]
        assert time.now() == 0.0


def test_sleeps_is_a_copy() -> None:
    """What a test does with the list changes nothing."""
    with virtual_time() as time:
        nap(1)
        time.sleeps.clear()
        assert time.sleeps == [1.0]


def test_a_virtual_hour_takes_next_to_no_real_time() -> None:
    """3600 waits of a second: the machine does not wait for them."""
    began = real_time.monotonic()
    with virtual_time() as time:
        with pytest.raises(ConnectionError):
            sleeping(*[1.0] * 3600).call(failing)
        assert time.now() == 3600.0
    assert real_time.monotonic() - began < 60


@pytest.mark.parametrize(("moved", "admitted"), [(4.999, False), (5.0, True)])
def test_a_probe_is_admitted_at_exactly_open_for(moved: float, admitted: bool) -> None:
    """Exactly 5.000 s admits a probe, 4.999 s does not."""
    with virtual_time() as time:
        breaker = CircuitBreaker(f"virtual-exact-{moved}", on=ConnectionError, consecutive=1, open_for=5.0)
        with pytest.raises(ConnectionError):
            breaker.call(failing)
        time.advance(moved)
        if admitted:
            assert breaker.call(lambda: "up") == "up"
        else:
            with pytest.raises(CircuitOpenError) as refused:
                breaker.call(lambda: "up")
            assert refused.value.retry_after == pytest.approx(0.001)


def test_a_retry_waits_a_breaker_open_within_one_clock() -> None:
    """The waits of one policy are the time of another: three waits of 2 s outlast open_for=5 s."""
    with virtual_time():
        breaker = CircuitBreaker("virtual-both", on=ConnectionError, consecutive=1, open_for=5.0)
        tries: list[str] = []

        def down_once() -> str:
            tries.append("ran")
            if len(tries) == 1:
                raise ConnectionError
            return "up"

        guarded = retry(on=(ConnectionError, CircuitOpenError), attempts=4, wait=2.0)(breaker(down_once))
        assert guarded() == "up"
        assert tries == ["ran", "ran"]


def test_policies_made_before_the_block_follow_it_but_for_a_clock_of_their_own() -> None:
    """The clock is read when it is needed; a clock that the user handed in stays the user's."""
    own = [100.0]
    ours = CircuitBreaker("virtual-before", on=ConnectionError, consecutive=1, open_for=5.0)
    theirs = CircuitBreaker("virtual-own", on=ConnectionError, consecutive=1, open_for=5.0, clock=lambda: own[0])
    with virtual_time() as time:
        for breaker in (ours, theirs):
            with pytest.raises(ConnectionError):
                breaker.call(failing)
        time.advance(5.0)
        assert ours.call(lambda: "up") == "up"
        with pytest.raises(CircuitOpenError):
            theirs.call(lambda: "up")
        own[0] += 5.0
        assert theirs.call(lambda: "up") == "up"


def test_a_deadline_is_virtual() -> None:
    """A retry stops before the wait that would pass the deadline, with the remaining time exact."""
    with virtual_time() as time, deadline(2.5):
        with pytest.raises(ConnectionError):
            sleeping(1, 1, 1, 1).call(failing)
        assert time.now() == 2.0
        assert deadline.remaining() == 0.5
        time.advance(0.5)
        with pytest.raises(DeadlineExpiredError):
            sleeping(1).call(failing)


def test_a_place_in_a_bulkhead_is_waited_for_virtually() -> None:
    """Nobody gives the place back, so max_wait passes at once, and exactly."""
    with virtual_time() as time:
        slots = Bulkhead("virtual-full", limit=1, max_wait=1.5)
        with slots.acquire():
            with pytest.raises(BulkheadFullError) as refused:
                slots.acquire()
        assert refused.value.waited == 1.5
        assert time.now() == 1.5
        assert time.sleeps == []


# -- sync timeouts -----------------------------------------------------------------------------------------------


def test_a_sync_timeout_expires_while_its_function_waits() -> None:
    """The function is in a virtual wait beyond the limit: the caller goes on at exactly the limit."""
    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            timeout(2.0).call(nap_regardless_of_the_deadline, 5.0)
        assert time.now() == 2.0


def nap_regardless_of_the_deadline(seconds: float) -> str:
    """A retry would not begin a wait that passes the deadline the timeout sets; a function of the user's may."""
    RUNTIME.driver.sleep(seconds)
    return "done"


@pytest.mark.parametrize("seconds", [1.0, 2.0])
def test_a_sync_call_that_ends_within_its_limit_is_in_time(seconds: float) -> None:
    """Its exact end too: a timeout is for calls that take longer."""
    with virtual_time() as time:
        assert timeout(2.0).call(nap_regardless_of_the_deadline, seconds) == "done"
        assert time.now() == seconds


def test_a_sync_timeout_expires_when_its_function_hangs_for_real() -> None:
    """Nothing virtual happens any more, so the limit passes after a moment of real time."""
    go = threading.Event()
    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            timeout(3.0).call(go.wait, LONG)
        assert time.now() == 3.0
        go.set()


def test_a_sync_timeout_expires_when_the_clock_is_moved_past_it() -> None:
    """advance() beyond the limit ends the caller's wait, whatever its function does."""
    go = threading.Event()
    with virtual_time() as time:

        def moving() -> None:
            time.advance(10.0)
            go.wait(LONG)

        with pytest.raises(TimeoutExceededError):
            timeout(3.0).call(moving)
        assert time.now() == 10.0
        go.set()


def test_a_sync_timeout_does_not_expire_because_its_function_computes() -> None:
    """Real work takes no virtual time."""
    with virtual_time() as time:
        assert timeout(0.001).call(lambda: sum(range(100_000))) == 4_999_950_000
        assert time.now() == 0.0


def test_a_sync_call_may_be_blocked_for_real_for_a_moment() -> None:
    """Its function waits a tenth of a second for something real; the limit does not pass meanwhile."""
    with virtual_time() as time:
        assert timeout(0.001).call(threading.Event().wait, 0.1) is False
        assert time.now() == 0.0


def test_a_function_that_was_left_behind_is_let_go_when_the_block_ends() -> None:
    """Its wait ends, so the worker thread is free again instead of hanging for ever."""
    ended = threading.Event()

    def left_behind() -> None:
        RUNTIME.driver.sleep(1000.0)
        ended.set()

    policy = timeout(1.0)
    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            policy.call(left_behind)
    assert ended.wait(LONG)
    assert time.now() == 1.0


# -- what it puts back, and what it refuses --------------------------------------------------------------------------


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("fails", [False, True])
def test_the_real_clock_and_driver_are_put_back(fails: bool) -> None:
    """After the block everything is as before it, an error or not."""
    before = (SYSTEM.now, RUNTIME.driver, random.getstate())
    try:
        with virtual_time(seed=1):
            assert RUNTIME.driver.virtual
            random.random()
            if fails:
                raise BrokenError
    except BrokenError:
        pass
    assert (SYSTEM.now, RUNTIME.driver, random.getstate()) == before


def test_nothing_is_kept_after_the_block() -> None:
    """The whole machinery can be collected once the caller lets the clock go."""
    time = virtual_time()
    with time:
        with pytest.raises(TimeoutExceededError):
            timeout(1.0).call(nap_regardless_of_the_deadline, 2.0)
        kept = weakref.ref(RUNTIME.driver)
    assert time.sleeps == [2.0]
    gc.collect()
    assert kept() is None
    assert not [one for one in threading.enumerate() if one.name == "resilix-virtual-time"]


def test_a_second_block_inside_is_refused() -> None:
    """There is one clock; the message says what to do, and the outer block goes on."""
    with virtual_time() as time:
        with pytest.raises(ConfigurationError, match="use the one that the outer block gave you"):
            virtual_time().__enter__()
        nap(1)
        assert time.now() == 1.0


def test_a_block_cannot_be_used_twice() -> None:
    """Its clock has stopped."""
    time = virtual_time()
    with time:
        nap(1)
    with pytest.raises(ConfigurationError, match="make a new one"):
        time.__enter__()
    assert (time.now(), time.sleeps) == (1.0, [1.0])


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", None, True])
def test_advance_refuses_what_is_no_duration(seconds: object) -> None:
    """And the clock stays where it was."""
    with virtual_time() as time:
        with pytest.raises(ConfigurationError, match="advance"):
            time.advance(seconds)  # type: ignore[arg-type]
        assert time.now() == 0.0


def test_advance_moves_the_clock() -> None:
    """By numbers, by timedeltas, and by nothing."""
    with virtual_time() as time:
        time.advance(1.5)
        time.advance(timedelta(minutes=1))
        time.advance(0)
        assert time.now() == 61.5
        assert time.sleeps == []


def test_advance_outside_its_block_is_refused() -> None:
    """Nothing would follow it."""
    time = virtual_time()
    with pytest.raises(ConfigurationError, match="its block is not running"):
        time.advance(1)
    with time:
        pass
    with pytest.raises(ConfigurationError, match="its block is not running"):
        time.advance(1)


def _jitter(seed: int | None) -> list[float]:
    with virtual_time(seed=seed) as time:
        with pytest.raises(ConnectionError):
            retry(on=ConnectionError, attempts=5).call(failing)
        return time.sleeps


def test_a_seed_makes_jitter_repeatable() -> None:
    """The same seed gives the same waits, another one gives others."""
    assert _jitter(7) == _jitter(7)
    assert _jitter(7) != _jitter(8)
    assert len(set(_jitter(7))) == 4


@pytest.mark.parametrize("seed", [1.5, "7", True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(ConfigurationError, match="seed"):
        virtual_time(seed=seed)  # type: ignore[arg-type]


def test_it_shows_its_time() -> None:
    """For a failing assertion."""
    time: VirtualTime = virtual_time()
    with time:
        nap(1.5)
    assert repr(time) == "<virtual time 1.5>"
