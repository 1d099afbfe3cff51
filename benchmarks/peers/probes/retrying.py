"""Experiments with retries."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.peers.checks import Recorder, aoutcome, outcome
from benchmarks.peers.peer import NEVER, Decorator, Peer
from benchmarks.peers.probes.experiment import BRIEF, cancel, foreign, part_of


def last_error(peer: Peer) -> str | None:
    """When attempts run out it raises an error of its own, not the function's."""
    recorder = Recorder()
    recorder.failures = NEVER
    if peer.retry is not None:
        return foreign(outcome(peer.retry()(recorder.function(False))))
    return foreign(asyncio.run(aoutcome(part_of(peer, "aretry")()(recorder.function(True)))))


def sleeps(peer: Peer) -> str | None:
    """It calls ``time.sleep`` where no wait was asked for, which gives the processor away."""
    recorder, slept = Recorder(), []
    recorder.failures = 2
    real, time.sleep = time.sleep, slept.append
    try:
        part_of(peer, "retry")()(recorder.function(False))(1)
    finally:
        time.sleep = real
    return f"time.sleep({slept[0]:g}) was called {len(slept)} times" if slept else None


def generator_not_retried(peer: Peer) -> str | None:
    """A generator function that fails at its first item is not tried again, and nobody says so."""

    def items(value: int) -> Any:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError(value)
        yield value

    begun = 0
    guarded = part_of(peer, "retry")()(items)
    result = outcome(lambda value: list(guarded(value)))
    return f"{begun} attempt, then {type(result).__name__}" if isinstance(result, ValueError) else None


def retries_generators(peer: Peer) -> str | None:
    """A generator function that fails at its first item is tried again."""

    def items(value: int) -> Any:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError(value)
        yield value

    begun = 0
    result = outcome(lambda value: list(part_of(peer, "retry")()(items)(value)))
    return f"{begun} attempts gave {result}" if result == [1] else None


def goes_on(peer: Peer) -> str | None:
    """A task that was cancelled is kept busy: an error from its clean-up is retried."""
    return asyncio.run(_goes_on(part_of(peer, "aretry")()))


async def _goes_on(guard: Decorator) -> str | None:
    calls = 0

    async def call(value: int) -> int:
        nonlocal calls
        calls += 1
        try:
            await asyncio.sleep(BRIEF if calls == 1 else 0)
        except asyncio.CancelledError:
            raise ValueError("the clean-up failed") from None
        return value

    await cancel(guard(call))
    return f"{calls - 1} more attempts after the task was cancelled" if calls > 1 else None


def off_by_one(peer: Peer) -> str | None:
    """``attempts=3`` makes four calls."""
    from hyx.retry import retry

    recorder = Recorder()
    recorder.failures = NEVER
    asyncio.run(aoutcome(retry(on=ValueError, attempts=3, backoff=0)(recorder.function(True))))
    return f"attempts=3 made {recorder.calls} calls" if recorder.calls == 4 else None


def retries_cancellation(peer: Peer) -> str | None:
    """``retry_if_not_exception_type`` takes a cancellation for a failure and calls again."""
    import tenacity

    return asyncio.run(
        _retries_cancellation(
            tenacity.retry(
                retry=tenacity.retry_if_not_exception_type(KeyError),
                stop=tenacity.stop_after_attempt(3),
                reraise=True,
            )
        )
    )


async def _retries_cancellation(guard: Decorator) -> str | None:
    calls = 0

    async def call(value: int) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(BRIEF if calls == 1 else 0)
        return value

    await cancel(guard(call))
    return "the call was made again after the task was cancelled" if calls > 1 else None


def obeys_any_wait(peer: Peer) -> str | None:
    """A server that asks for an hour is obeyed, again and again, up to a cap for each wait alone."""
    import httpx
    from httpx_retries import RetryTransport

    slept: list[float] = []
    inner = httpx.MockTransport(lambda request: httpx.Response(503, headers={"Retry-After": "3600"}))
    real, time.sleep = time.sleep, slept.append
    try:
        RetryTransport(transport=inner).handle_request(httpx.Request("GET", "http://quotes.test/ACME"))
    finally:
        time.sleep = real
    waited = sum(slept)
    return f"as it comes, one GET waits {waited:.0f} s in all" if waited > 300 else None
