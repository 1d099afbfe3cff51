"""Clients of ours in a storm of timeouts and cancellations: afterwards every connection, place and permit is back."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from tests.support.http_lanes import LANES, Lane, unique
from tests.support.http_pool_guarded import LIMITS, PLACES
from tests.support.http_pool_server import serving
from tests.support.http_pool_storm import (
    WHOLE,
    Aftermath,
    aftermath,
    native_storm,
    scope_storm,
    ten_at_once,
    ten_threads,
    thread_storm,
)

# The libraries leave sockets and generators to the collector when they are cancelled.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:Async generator:ResourceWarning")

ASYNC = [lane for lane in LANES if lane.backend is not None]


@pytest.fixture(name="urls", scope="module")
def two_servers() -> Iterator[list[str]]:
    """Two bad servers, the first twice as popular."""
    with serving(2) as (one, other):
        yield [one, one, other]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected while its warnings are still expected."""
    yield
    gc.collect()


def policy(lane: Lane) -> Any:
    """Short attempts, a few retries, places for twice as many calls as the pool has connections."""
    return lane.door.standard(
        unique(lane), wait=0.001, attempt_timeout=0.02, within=0.4, limit=2 * PLACES, max_wait=0.05,
        breaker={"consecutive": None, "failure_rate": 0.99, "open_for": 0.01}, budget=None,
    )  # fmt: skip


def after_storm(made: Any, client: Any, served: int) -> Aftermath:
    """What is left of the pool; and no place in a bulkhead is taken, no probe is out."""
    for state in made.states().values():
        assert state.bulkhead.in_use == 0
        assert state.breaker.snapshot().probes == 0
    after = aftermath(client._transport._port.inner, served)
    # A plain client of httpx2 keeps the record of a request now and then as well; it costs no slot.
    return replace(after, requests=0) if isinstance(client, httpx2.AsyncClient) else after


def patient(lane: Lane, client: Any) -> Any:
    """Another client around the same pool, whose attempts may take their time."""
    policy = lane.door.standard(unique(lane), attempts=1)
    return lane.plain_class(transport=lane.transport_class(policy, inner=client._transport._port.inner))


def calm(made: Any) -> None:
    """The storm is over: what it has opened is closed."""
    for state in made.states().values():
        state.breaker.close()


async def storm_on(lane: Lane, storm: Any, urls: list[str]) -> Aftermath:
    """A storm, and ten calls at once afterwards through the same pool."""
    made = policy(lane)
    async with lane.client_class(policy=made, limits=LIMITS) as client:
        await storm(lane.library, client, urls, 3, 1.5)
        calm(made)
        return after_storm(made, client, await ten_at_once(patient(lane, client), urls))


@pytest.mark.parametrize("lane", [one for one in ASYNC if one.backend == "asyncio"], ids=str)
def test_cancelled_tasks_leave_everything_whole(lane: Lane, urls: list[str]) -> None:
    """``Task.cancel``, ``asyncio.timeout``, scopes, our own attempt timeouts and deadlines, all together."""
    assert asyncio.run(storm_on(lane, native_storm, urls)) == WHOLE


@pytest.mark.parametrize("lane", ASYNC, ids=str)
def test_cancelled_scopes_leave_everything_whole(lane: Lane, urls: list[str]) -> None:
    """The scopes of anyio and trio."""
    assert anyio.run(storm_on, lane, scope_storm, urls, backend=lane.backend) == WHOLE


def test_threads_leave_everything_whole(urls: list[str]) -> None:
    """Sync code, where attempt timeouts and deadlines are all there is."""
    lane = next(one for one in LANES if one.backend is None and one.library is httpx)
    made = policy(lane)
    with lane.client_class(policy=made, limits=LIMITS) as client:
        thread_storm(client, urls, 3, 1.5)
        calm(made)
        assert after_storm(made, client, ten_threads(patient(lane, client), urls)) == WHOLE
