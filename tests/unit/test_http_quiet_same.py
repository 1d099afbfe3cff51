"""The quiet path of a request decides as the shells do: random traffic, once with it and once without."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from tests.support.http_lanes import LANES, Lane
from tests.support.http_scripts import World, script

from resilix.attention import GIL

pytestmark = pytest.mark.skipif(not GIL, reason="without a GIL every request goes through the shells")

SCRIPTS = 30
"""How many scripts a lane plays."""
TWICE = [lane for lane in LANES if lane.backend != "trio"]


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """A script collects what it leaves again and again: not what all the tests before it have left, too."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("lane", TWICE, ids=str)
@pytest.mark.filterwarnings("ignore::resilix.ResilixWarning")  # an SDK that retries too is not what this is about
def test_random_traffic_looks_the_same_with_and_without_the_quiet_path(lane: Lane) -> None:
    """Answers, errors and what hangs on them, events, counters, breakers, places, budgets, and what was sent."""
    quiet = 0
    for seed in range(SCRIPTS):
        steps = script(seed)
        plain, fast = World(lane, seed, quiet=False), World(lane, seed, quiet=True)
        expected = plain.play(steps)
        assert fast.play(steps) == expected, f"script {seed}"
        assert plain.counters.quiet == 0
        quiet += fast.counters.quiet
    assert quiet > 4 * SCRIPTS, "a good part of it was quiet"
