"""The async policies in thousands of orders of what happens at once, and the mistakes that would be found there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support import explored, explored_http, explored_time
from tests.support.explored_mutants import BULKHEAD, MUTANTS, planted

from resilix.testing import DeadlockError, explore

SCHEDULES: dict[Callable[..., Any], int] = {
    explored.crowd: 1500,
    explored.line: 1500,
    explored.probes: 600,
    explored.layers: 800,
    explored.meddling: 800,
    explored_time.limits: 2000,
    explored_time.last_moment: 1000,
    explored_time.purse: 1000,
    explored_time.called_off: 1000,
    explored_http.with_httpx: 300,
    explored_http.with_httpx2: 300,
}
"""How many of each; more of those that have found more mistakes."""


@pytest.mark.parametrize("scenario", SCHEDULES, ids=lambda one: one.__name__)
def test_policies_keep_their_promises_in_every_order(scenario: Callable[..., Any]) -> None:
    """What each scenario says in its first line, looked at after every step; nearly all orders are different ones."""
    explored = explore(scenario, schedules=SCHEDULES[scenario])
    assert explored.orders > 0.9 * SCHEDULES[scenario]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_found(name: str) -> None:
    """Within so many schedules, all of which pass without it."""
    mutant = MUTANTS[name]
    assert mutant.within <= SCHEDULES[mutant.scenario]
    with planted(mutant.plant), pytest.raises(AssertionError) as caught:
        explore(mutant.scenario, schedules=mutant.within)
    assert any("runs it again" in note for note in caught.value.__notes__)


def test_some_mistakes_show_only_in_orders_that_asyncio_does_not_choose() -> None:
    """The same callers, the same moments: first come, first served nothing is lost, and in another order it is."""
    lost = BULKHEAD["a place handed to a caller that is just being cancelled is lost"]
    assert explore(explored.handed_over, schedules=100).orders > 50
    with planted(lost.plant):
        assert explore(explored.handed_over, only=0).schedules == 1
        with pytest.raises(DeadlockError, match="waits for a place in bulkhead"):
            explore(explored.handed_over, schedules=100)
