"""That a peer really does its job, before anything is timed: a figure of one that does not is not printed."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.jobs import TRIP, Job
from benchmarks.peers.peer import NEVER, Decorator, Function, Peer

SHORT = 0.05
"""Seconds of a timeout that is to strike."""

PATIENCE = 5.0
"""Seconds after which something that must happen has not."""

REPEATS = 30


class Recorder:
    """A function that does as told, and counts.

    Attributes:
        calls: How often it was called.
        failures: How many of the next calls fail, and with what.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self.error: type[Exception] = ValueError

    def __call__(self, value: int) -> int:
        """Count, and fail or give the value back."""
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise self.error(value)
        return value

    def function(self, awaited: bool) -> Function:
        """The same as a plain function, for some look at ``__name__``."""

        def call(value: int) -> int:
            return self(value)

        async def acall(value: int) -> int:
            return self(value)

        return acall if awaited else call


Run = Callable[[Function], Any]
"""Calls a variant once; gives its value or the error it raised."""


def outcome(fn: Function) -> Any:
    """The value of one call, or the error it raised."""
    try:
        return fn(1)
    except Exception as error:
        return error


async def aoutcome(fn: Function) -> Any:
    """The same of an async variant."""
    try:
        return await fn(1)
    except Exception as error:
        return error


def problems(job: Job, peer: Peer) -> list[str]:
    """What is wrong with a peer's part; nothing, if it does its job."""
    if job.part == "http":
        return _http(job, peer)
    if not job.awaited:
        return _problems(job, peer, outcome)
    loop = asyncio.new_event_loop()
    try:
        return _problems(job, peer, lambda fn: loop.run_until_complete(aoutcome(fn)))
    finally:
        loop.close()


def _problems(job: Job, peer: Peer, run: Run) -> list[str]:
    if job.part == "breaker":
        make = peer.abreaker if job.awaited else peer.breaker
        assert make is not None
        return _quiet(make(NEVER, 60.0), job, run) + _breaks(make(TRIP, 60.0), job, run, peer.refused)
    if job.part == "retry":
        retry = peer.aretry if job.awaited else peer.retry
        assert retry is not None
        return _quiet(retry(), job, run) + _retries(retry(), job, run)
    seconds = 5.0 if job.needs == "timeout" else None
    pipeline = peer.apipeline if job.awaited else peer.pipeline
    assert pipeline is not None
    found = _quiet(pipeline(NEVER, 10, seconds), job, run)
    if "retry" in peer.parts:
        found += _retries(pipeline(NEVER, 10, seconds), job, run)
    if "breaker" in peer.parts:
        found += _breaks(pipeline(TRIP, 10, seconds), job, run, None)
    if "bulkhead" in peer.parts:
        found += _one_at_a_time(pipeline(NEVER, 1, seconds), job)
    if seconds is not None:
        found += _ends_in_time(pipeline(NEVER, 10, SHORT), job)
    return found


def _quiet(guard: Decorator, job: Job, run: Run) -> list[str]:
    recorder = Recorder()
    guarded = guard(recorder.function(job.awaited))
    if any(run(guarded) != 1 for _ in range(REPEATS)):
        return ["a quiet call does not return the value"]
    if recorder.calls != REPEATS:
        return [f"{REPEATS} quiet calls called the function {recorder.calls} times"]
    if "breaker" not in job.part:
        return []
    recorder.failures = REPEATS
    if not all(isinstance(run(guarded), ValueError) for _ in range(REPEATS)):
        return ["a failing call does not raise the function's error, though the breaker is far from opening"]
    return [] if recorder.calls == 2 * REPEATS else ["a failing call was not made exactly once"]


def _retries(guard: Decorator, job: Job, run: Run) -> list[str]:
    recorder, found = Recorder(), []
    guarded = guard(recorder.function(job.awaited))
    recorder.failures = 2
    if run(guarded) != 1 or recorder.calls != 3:
        found.append(f"fail, fail, succeed took {recorder.calls} attempts, not 3")
    recorder.calls, recorder.failures = 0, 3
    if not isinstance(run(guarded), Exception) or recorder.calls != 3:
        found.append(f"after three failures it had made {recorder.calls} attempts, not 3")
    recorder.calls, recorder.failures, recorder.error = 0, 1, KeyError
    if not isinstance(run(guarded), Exception) or recorder.calls != 1:
        found.append("it retried an error that it was not told to retry")
    return found


def _breaks(guard: Decorator, job: Job, run: Run, refused: type[BaseException] | None) -> list[str]:
    """It opens after so many failures; then it refuses with its own error and without calling the function."""
    recorder = Recorder()
    guarded = guard(recorder.function(job.awaited))
    recorder.failures = 3 * TRIP
    for _ in range(TRIP):
        run(guarded)
    recorder.calls = recorder.failures = 0
    results = [run(guarded) for _ in range(REPEATS)]
    if recorder.calls:
        return ["the function was called though the breaker should be open"]
    if not all(isinstance(one, refused or Exception) for one in results):
        return [f"an open breaker did not raise {getattr(refused, '__name__', 'an error')}"]
    return []


def _one_at_a_time(guard: Decorator, job: Job) -> list[str]:
    most = asyncio.run(_atogether(guard)) if job.awaited else _together(guard)
    return [] if most == 1 else [f"a bulkhead of one place let {most} in"]


def _together(guard: Decorator) -> int:
    inside, entered, go = 0, threading.Event(), threading.Event()

    def call(value: int) -> int:
        nonlocal inside
        inside += 1
        entered.set()
        go.wait(PATIENCE)
        return value

    guarded = guard(call)
    crew = [threading.Thread(target=outcome, args=(guarded,)) for _ in range(2)]
    crew[0].start()
    entered.wait(PATIENCE)
    crew[1].start()
    time.sleep(SHORT)
    most = inside
    go.set()
    for one in crew:
        one.join(PATIENCE)
    return most


async def _atogether(guard: Decorator) -> int:
    inside, go = 0, asyncio.Event()

    async def call(value: int) -> int:
        nonlocal inside
        inside += 1
        await go.wait()
        return value

    guarded = guard(call)
    crew = [asyncio.create_task(aoutcome(guarded)) for _ in range(2)]
    await asyncio.sleep(SHORT)
    most = inside
    go.set()
    await asyncio.wait_for(asyncio.gather(*crew), PATIENCE)
    return most


def _ends_in_time(guard: Decorator, job: Job) -> list[str]:
    end = threading.Event()

    def call(value: int) -> int:
        end.wait(PATIENCE)
        return value

    async def acall(value: int) -> int:
        await asyncio.sleep(PATIENCE)
        return value

    begin = time.monotonic()
    result = asyncio.run(aoutcome(guard(acall))) if job.awaited else outcome(guard(call))
    took = time.monotonic() - begin
    end.set()
    ended = isinstance(result, Exception) and took < PATIENCE / 2
    return [] if ended else [f"a timeout of {SHORT} s had not ended the call after {took:.1f} s"]


def _http(job: Job, peer: Peer) -> list[str]:
    from benchmarks.peers.senders import ASendAlways, ASendThird, SendAlways, SendThird, sender

    make = peer.ahttp if job.awaited else peer.http
    assert make is not None
    found = []
    for inner, attempts in (
        ((ASendAlways(), 1), (ASendThird(), 3))
        if job.awaited
        else (
            (SendAlways(), 1),
            (SendThird(), 3),
        )
    ):
        answer = sender(make(inner))(1)
        if inspect.isawaitable(answer):
            answer = asyncio.run(_waited(answer))
        if answer.status_code != 200 or inner.sent != attempts:
            found.append(f"{inner.sent} requests gave {answer.status_code}; {attempts} should give 200")
    return found


async def _waited(answer: Awaitable[Any]) -> Any:
    return await answer


def still_does(job: Job, peer: Peer, variant: Function) -> list[str]:
    """What is wrong with a variant that has been timed: a breaker that opened meanwhile was not timed quiet."""
    result = asyncio.run(aoutcome(variant)) if job.awaited else outcome(variant)
    if job.part == "http":
        return [] if getattr(result, "status_code", None) == 200 else [f"after the timing it gave {result!r}"]
    wanted = peer.refused if job.outcome == "refused" else job.outcome
    fits = isinstance(result, wanted) if isinstance(wanted, type) else result == wanted
    return [] if fits else [f"after the timing it gave {result!r}"]
