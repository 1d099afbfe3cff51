"""The one source of time, and chance that can be made repeatable."""

from __future__ import annotations

import random
import time

import tenacity

from resilix.clock import SYSTEM, TimeSource, seeded


def waits() -> list[float]:
    """Draw some jitter as a retry does."""
    return [tenacity.wait_random(0, 10)(tenacity.RetryCallState(None, None, (), {})) for _ in range(5)]  # type: ignore[arg-type]


def test_the_clock_is_the_monotonic_one() -> None:
    """Wall-clock jumps decide nothing."""
    assert SYSTEM.now is time.monotonic
    assert TimeSource(lambda: 3.0).now() == 3.0


def test_seeded_jitter_is_repeatable() -> None:
    """The same seed, the same waits; another, others."""
    with seeded(7):
        first = waits()
    with seeded(7):
        second = waits()
    with seeded(8):
        third = waits()
    assert first == second != third


def test_what_is_drawn_afterwards_is_what_would_have_been() -> None:
    """Also when the block raises: the program's own chance is untouched."""
    state = random.getstate()
    try:
        with seeded(7):
            waits()
            raise KeyError
    except KeyError:
        pass
    assert random.getstate() == state
