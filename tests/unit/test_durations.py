"""Durations that vary: their figures are what they say, and mistakes are told where they are written."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from resilix import ConfigurationError
from resilix.testing.durations import Duration, constant, duration_of, exponential, lognormal, uniform


def many(duration: Duration, seed: int = 7) -> list[float]:
    """Ten thousand of them."""
    chance = random.Random(seed)
    return [duration.draw(chance) for _ in range(10_000)]


@pytest.mark.parametrize(
    "duration", [constant(0.2), uniform(0.1, 0.3), exponential(0.2), lognormal(0.1, 0.9)], ids=repr
)
def test_the_mean_is_the_mean_of_what_is_drawn(duration: Duration) -> None:
    """Within a few percent of ten thousand."""
    assert statistics.fmean(many(duration)) == pytest.approx(duration.mean, rel=0.05)


def test_a_lognormal_has_the_median_and_the_percentile_it_was_given() -> None:
    """The two figures that people have."""
    drawn = sorted(many(lognormal(median=0.05, p99=0.4)))
    assert statistics.median(drawn) == pytest.approx(0.05, rel=0.05)
    assert drawn[9_900] == pytest.approx(0.4, rel=0.15)


def test_the_same_seed_draws_the_same() -> None:
    """And another draws others."""
    assert many(exponential(1.0)) == many(exponential(1.0)) != many(exponential(1.0), seed=8)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (0.2, "0.2"),
        (0, "0"),
        (timedelta(milliseconds=50), "0.05"),
        ("exponential(0.1)", "exponential(0.1)"),
        (" uniform( 0.1 ,0.2 ) ", "uniform(0.1, 0.2)"),
        (lognormal(1, 2), "lognormal(1, 2)"),
    ],
)
def test_what_may_be_written(written: Any, read: str) -> None:
    """Numbers, timedeltas, distributions, and their texts as they stand in a file."""
    assert repr(duration_of("latency", "seconds", written)) == read


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: uniform(2, 1),
        lambda: lognormal(2, 1),
        lambda: exponential(0),
        lambda: constant(-1),
        lambda: duration_of("latency", "seconds", "normal(1)"),
        lambda: duration_of("latency", "seconds", "exponential(x)"),
        lambda: duration_of("latency", "seconds", "exponential(1, 2)"),
        lambda: duration_of("latency", "seconds", "exponential(1"),
        lambda: duration_of("latency", "seconds", "exponential(-1)"),
        lambda: duration_of("latency", "seconds", True),
        lambda: duration_of("latency", "seconds", None),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(wrong: Callable[[], object]) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=r"write|swap"):
        wrong()
