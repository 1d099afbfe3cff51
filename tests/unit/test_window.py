"""The sliding windows against lists that are counted anew, and the promises about what they forget."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.breaker import FakeClock, a_breaker, boom

from resilix import calls
from resilix.core.window import SLICES, TIDY, Counts, CountWindow, TimeWindow, Window, resized

TRIALS = 20_000

Outcome = tuple[float, bool, bool]
"""When, failed, slow."""


def count(window: Window, now: float, failed: bool, slow: bool) -> None:
    """Tell a window one outcome as the breaker does."""
    if failed or slow:
        window.event(now, failed, slow)
    else:
        if now >= window.edge:
            window.roll(now)
        window.n += 1


def tally(outcomes: Iterable[Outcome]) -> Counts:
    kept = list(outcomes)
    return Counts(len(kept), sum(one[1] for one in kept), sum(one[2] for one in kept))


def test_the_count_window_equals_a_recount_in_20000_trials() -> None:
    """After any outcomes it holds the last n of them, whatever their order and whenever it was looked at."""
    dice = random.Random(1)
    for _ in range(TRIALS):
        size = dice.randint(1, 6)
        window, log = CountWindow(size), list[Outcome]()
        rate = dice.random()
        for _ in range(dice.randint(1, 14)):
            outcome = (0.0, dice.random() < rate, dice.random() < 0.3)
            count(window, *outcome)
            log.append(outcome)
            if dice.random() < 0.5:
                assert window.counts(0.0) == tally(log[-size:])
        assert window.counts(0.0) == tally(log[-size:])


def test_the_time_window_equals_a_recount_in_20000_trials() -> None:
    """After any outcomes at any times it holds those of the newest 20 slices of the grid."""
    dice = random.Random(2)
    for _ in range(TRIALS):
        seconds = dice.choice([1.0, 10.0, 30.0])
        width = seconds / SLICES
        window, log = TimeWindow(seconds), list[tuple[int, Outcome]]()
        now = dice.uniform(0.0, 1e6)
        for _ in range(dice.randint(1, 12)):
            now += dice.choice([0.0, dice.random() * width, dice.random() * seconds * 0.4, seconds * dice.random() * 2])
            outcome = (now, dice.random() < 0.4, dice.random() < 0.3)
            count(window, *outcome)
            log.append((math.floor(now / width), outcome))
            if dice.random() < 0.3:
                now += dice.random() * seconds  # a look from later on, too
            newest = math.floor(now / width)
            assert window.counts(now) == tally(one for index, one in log if index > newest - SLICES)


def test_the_time_window_is_precise_to_a_tenth() -> None:
    """What is younger than nine tenths of the window always counts; what is older than the window never does."""
    dice = random.Random(3)
    for _ in range(2_000):
        seconds = dice.choice([0.1, 1.0, 30.0, 3600.0])
        window, log = TimeWindow(seconds), list[Outcome]()
        now = dice.uniform(0.0, 1e6)
        for _ in range(20):
            now += seconds * dice.random() ** 3
            outcome = (now, dice.random() < 0.5, dice.random() < 0.5)
            count(window, *outcome)
            log.append(outcome)
            look = now + seconds * dice.random() * 1.1
            least = tally(one for one in log if look - one[0] <= 0.9 * seconds)
            most = tally(one for one in log if look - one[0] <= seconds * (1 + 1e-9))
            got = window.counts(look)
            assert all(low <= real <= high for low, real, high in zip(least, got, most, strict=True))


@pytest.mark.parametrize("silence", [1.0, 1.0001, 2.0, 1e6])
def test_after_silence_nothing_old_counts(silence: float) -> None:
    """A window that nobody told anything for its whole length is empty, and starts afresh."""
    window = TimeWindow(30.0)
    for _ in range(50):
        count(window, 1000.0, True, True)
        count(window, 1001.0, False, False)
    assert window.counts(1001.0) == (100, 50, 50)
    later = 1001.0 + 30.0 * silence
    assert window.counts(later) == (0, 0, 0)
    count(window, later, False, False)
    assert window.counts(later) == (1, 0, 0)


def test_reading_a_time_window_changes_nothing() -> None:
    """A look from far ahead does not make it forget what a later outcome may still need."""
    window = TimeWindow(10.0)
    count(window, 5.0, True, False)
    assert window.counts(500.0) == (0, 0, 0)
    assert window.counts(5.0) == (1, 1, 0)


def test_a_clock_that_runs_backwards_neither_crashes_nor_loses_counts() -> None:
    """What arrives with an earlier time counts in the newest slice."""
    dice = random.Random(4)
    window = TimeWindow(10.0)
    count(window, 1000.0, False, False)
    for told in range(2, 500):
        count(window, 1000.0 - dice.random() * 2000.0, dice.random() < 0.5, dice.random() < 0.5)
        assert window.counts(-1000.0).calls == window.counts(1000.0).calls == told
    assert window.counts(2000.0) == (0, 0, 0)


def test_memory_does_not_grow_with_calls() -> None:
    """A time window keeps at most 21 slices, a count window at most its size of events."""
    time_window, count_window = TimeWindow(1.0), CountWindow(10)
    for step in range(10_000):
        count(time_window, step * 0.01, True, True)
        time_window.counts(step * 0.01)
        count(count_window, 0.0, True, True)
        count_window.counts(0.0)
    assert len(time_window.slices) <= SLICES + 1
    for events in (count_window._failures, count_window._slow):
        assert events is not None
        assert len(events._numbers) <= 10 + TIDY


def test_forgetting_many_events_at_once_is_one_step() -> None:
    """A hundred thousand failures that have left the window are looked for by bisection, not one after the other."""
    steps: list[int] = []
    for size in (1_000, 100_000):
        window = CountWindow(size)
        for _ in range(size):
            window.event(0.0, failed=True, slow=False)
        for _ in range(size):
            window.n += 1.0
        count = 0

        def step(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal count
            count += event == "line"
            return step

        sys.settrace(step)
        try:
            found = window.counts(0.0)
        finally:
            sys.settrace(None)
        assert found == (size, 0, 0)
        steps.append(count)
    assert steps[0] == steps[1] > 0


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=300), st.integers(1, 60))
def test_events_are_counted_as_by_writing_down_every_call(script: list[bool | None], size: int) -> None:
    """``None`` asks; the others are a call that went well, or failed."""
    window, calls = CountWindow(size), list[bool]()
    for one in script:
        if one is None:
            assert window.counts(0.0).failures == sum(calls[-size:])
        elif one:
            calls.append(True)
            window.event(0.0, failed=True, slow=False)
        else:
            calls.append(False)
            window.n += 1.0
    assert window.counts(0.0) == (min(size, len(calls)), sum(calls[-size:]), 0)


# -- another size ------------------------------------------------------------------------------------------------


def test_a_smaller_count_window_keeps_the_newest() -> None:
    """Resized from six to two, it holds the last two."""
    window = CountWindow(6)
    for failed in (True, True, False, False, True):
        count(window, 0.0, failed, False)
    assert resized(window, CountWindow(2), 0.0) is window
    assert window.counts(0.0) == (2, 1, 0)


def test_a_larger_count_window_does_not_invent_calls() -> None:
    """What had left it before is not counted as good calls now: that would hide a high rate."""
    window = CountWindow(4)
    for _ in range(50):
        count(window, 0.0, True, False)
    window.resize(100, 0.0)
    assert window.counts(0.0) == (4, 4, 0)
    count(window, 0.0, False, False)
    assert window.counts(0.0) == (5, 4, 0)
    window.resize(3, 0.0)
    window.resize(100, 0.0)
    assert window.counts(0.0) == (3, 2, 0)


def test_another_grid_keeps_what_the_time_window_holds() -> None:
    """Resized, it holds the same calls as long as the new length covers them."""
    for seconds in (20.0, 7.5, 3.0):
        window = TimeWindow(10.0)
        for step in range(5):
            count(window, 100.0 + step / 4, step % 2 == 0, True)
        assert resized(window, TimeWindow(seconds), 101.0) is window
        assert window.counts(101.0) == (5, 3, 5)
        count(window, 101.5, True, False)
        assert window.counts(101.5) == (6, 4, 5)
        assert window.counts(101.5 + seconds) == (0, 0, 0)


def test_a_longer_time_window_does_not_bring_back_what_had_left() -> None:
    """What was too old before the change stays gone."""
    window = TimeWindow(10.0)
    count(window, 100.0, True, False)
    window.resize(TimeWindow(1000.0).width, 150.0)
    assert window.counts(150.0) == (0, 0, 0)
    count(window, 150.0, False, True)
    assert window.counts(150.0) == (1, 0, 1)


@pytest.mark.parametrize(("seconds", "grid"), [(10.0, [2000, 2020, 2022]), (40.0, [500, 505])])
def test_every_event_stays_in_its_own_slice_on_another_grid(seconds: float, grid: list[int]) -> None:
    """On a finer or a coarser grid, what was told first is forgotten first, and no two slices share a place."""
    window = TimeWindow(20.0)
    for now, failed, slow in (
        (1000.0, True, False),
        (1010.0, False, True),
        (1010.5, True, True),
        (1011.0, True, False),
    ):
        count(window, now, failed, slow)
    window.resize(seconds / SLICES, 1000.0)
    assert [one.index for one in window.slices] == grid
    assert window.counts(1000.0 + seconds - window.width) == (4, 3, 2)
    assert window.counts(1000.0 + seconds) == (3, 2, 2)
    assert window.counts(1012.0 + seconds) == (0, 0, 0)


def test_what_left_at_this_very_moment_does_not_come_back_with_a_longer_window() -> None:
    """The border of the window is outside it, also while it is resized."""
    window = TimeWindow(20.0)
    count(window, 0.0, True, False)
    assert window.counts(20.0) == (0, 0, 0)
    window.resize(2.0, 20.0)
    assert window.counts(20.0) == (0, 0, 0)


def test_an_empty_time_window_takes_any_moment_after_a_resize() -> None:
    """Also one below zero: a clock may begin anywhere."""
    window = TimeWindow(20.0)
    window.resize(2.0, -100.0)
    count(window, -90.0, True, False)
    assert window.counts(-90.0) == (1, 1, 0)


# -- when it has to be looked at -----------------------------------------------------------------------------------


def test_the_edge_is_the_end_of_the_newest_slice() -> None:
    """So the quiet path looks at the window once per slice, neither more often nor too late."""
    window = TimeWindow(20.0)
    for now, edge in ((0.0, 1.0), (1.5, 2.0), (1.9, 2.0), (7.0, 8.0), (6.0, 8.0)):
        count(window, now, True, False)
        assert window.edge == edge
    window.resize(2.0, 7.0)
    assert window.edge == 8.0
    window.resize(0.5, 7.0)
    assert window.edge == 6.5
    count(window, 9.0, True, False)
    window.resize(2.0, 9.0)
    assert ([one.index for one in window.slices], window.edge) == ([0, 3, 4], 10.0)


def test_an_outcome_at_the_edge_belongs_to_the_next_slice() -> None:
    """A failure and a success alike: both are forgotten one slice after what came before them."""
    for failed in (True, False):
        window = TimeWindow(20.0)
        count(window, 0.0, True, False)
        count(window, 1.0, failed, False)
        assert window.counts(20.0) == (1, int(failed), 0)
        assert window.counts(21.0) == (0, 0, 0)


def test_a_look_back_in_time_adds_no_slice() -> None:
    """Asked to roll to a moment whose slice has begun, or has long gone by, it does nothing."""
    window = TimeWindow(20.0)
    for now in (0.0, 1.0, 5.0):
        count(window, now, True, False)
    for earlier in (5.5, 1.5, -3.0):
        window.roll(earlier)
    assert [one.index for one in window.slices] == [0, 1, 5]
    assert window.edge == 6.0


def test_a_window_of_the_other_kind_starts_empty() -> None:
    """Seconds cannot be told from calls."""
    for old, new in ((CountWindow(5), TimeWindow(10.0)), (TimeWindow(10.0), CountWindow(5))):
        count(old, 100.0, True, False)
        assert resized(old, new, 100.0) is new
        assert new.counts(100.0) == (0, 0, 0)


# -- judged lazily, as if eagerly --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["calls", "seconds"])
def test_the_quiet_path_trips_at_the_very_outcome_an_eager_judge_would(kind: str) -> None:
    """Most successes only advance a number; it still opens at the outcome that a full recount says, a success too."""
    by_success = 0
    for seed in range(1_500):
        dice = random.Random(seed)
        size, rate, least = dice.randint(1, 8), dice.choice([0.25, 0.5, 2 / 3, 1.0]), dice.randint(1, 8)
        least = min(least, size) if kind == "calls" else least
        clock = FakeClock(dice.uniform(0.0, 1e5))
        window = calls(size) if kind == "calls" else 10.0
        breaker = a_breaker(clock, failure_rate=rate, consecutive=None, window=window, min_calls=least)
        log: list[Outcome] = []
        fails = dice.random()
        for _ in range(60):
            clock.advance(dice.choice([0.0, 0.1, 0.6, 4.0]))
            failed = dice.random() < fails
            try:
                breaker.call(boom if failed else int)
            except ConnectionError:
                assert failed
            log.append((clock.now, failed, False))
            newest = math.floor(clock.now / 0.5)
            recent = [one for one in log if math.floor(one[0] / 0.5) > newest - SLICES]
            held = tally(log[-size:] if kind == "calls" else recent)
            trips = held.calls >= least and held.failures / held.calls >= rate
            assert (breaker.state == "open") == trips
            if trips:
                by_success += not failed
                break
    assert by_success > 50, "the case this is about hardly came up"
