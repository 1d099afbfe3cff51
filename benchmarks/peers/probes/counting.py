"""Experiments with breakers: what they count, what they raise, what they keep."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from typing import Any

from benchmarks.peers.checks import Recorder, aoutcome, outcome
from benchmarks.peers.jobs import TRIP
from benchmarks.peers.peer import NEVER, Peer
from benchmarks.peers.probes.experiment import foreign, part_of, trip


def tripping_error(peer: Peer) -> str | None:
    """The call that opens the breaker does not raise what the function raised."""
    recorder = Recorder()
    return foreign(_outcome_of_tripping(part_of(peer, "breaker")(TRIP, 60.0)(recorder.function(False)), recorder))


def _outcome_of_tripping(guarded: Any, recorder: Recorder) -> Any:
    recorder.failures, result = TRIP, None
    while recorder.failures:  # through a retry one call is several failures
        result = outcome(guarded)
    return result


def atripping_error(peer: Peer) -> str | None:
    """The same, async."""
    recorder = Recorder()
    guarded = part_of(peer, "abreaker")(TRIP, 60.0)(recorder.function(True))
    recorder.failures = TRIP

    async def trip() -> Any:
        result = None
        while recorder.failures:
            result = await aoutcome(guarded)
        return result

    return foreign(asyncio.run(trip()))


def one_error(peer: Peer) -> str | None:
    """All refusals raise one and the same object, whose traceback grows with each of them."""
    recorder = Recorder()
    guarded = part_of(peer, "breaker")(TRIP, 60.0)(recorder.function(False))
    trip(guarded, recorder)
    errors = [outcome(guarded) for _ in range(100)]
    length, step = 0, errors[-1].__traceback__
    while step is not None:
        length, step = length + 1, step.tb_next
    same = all(one is errors[0] for one in errors)
    return f"100 refusals, one error object, {length} frames in its traceback" if same and length > 100 else None


def no_rate(peer: Peer) -> str | None:
    """Every second call may fail for ever: only failures in a row open it."""
    recorder = Recorder()
    guarded = (peer.breaker or part_of(peer, "abreaker"))(10, 60.0)(recorder.function(peer.breaker is None))

    async def half() -> None:
        for number in range(400):
            recorder.failures = number % 2
            result = outcome(guarded) if peer.breaker else await aoutcome(guarded)
            del result

    asyncio.run(half())
    return f"200 of {recorder.calls} calls failed, limit 10, and it stayed closed" if recorder.calls == 400 else None


def keeps_error(peer: Peer) -> str | None:
    """The breaker keeps the last error, and with it everything that the failed call held."""

    class Payload:
        pass

    seen: list[weakref.ref[Payload]] = []

    def call(value: int) -> int:
        payload = Payload()
        seen.append(weakref.ref(payload))
        raise ValueError(value)

    guarded = part_of(peer, "breaker")(NEVER, 60.0)(call)
    outcome(guarded)
    gc.collect()
    alive = seen[-1]() is not None
    return "what the failed function held was still alive after the call" if alive else None


def generators(peer: Peer) -> str | None:
    """A generator function that fails while it is read does not open the breaker."""

    def items(value: int) -> Any:
        nonlocal begun
        begun += 1
        yield value
        raise ValueError(value)

    begun = 0
    guarded = part_of(peer, "breaker")(TRIP, 60.0)(items)
    for _ in range(3 * TRIP):
        outcome(lambda value: list(guarded(value)))
    return f"{begun} generators failed, limit {TRIP}, and still closed" if begun > TRIP else None


def guards_generators(peer: Peer) -> str | None:
    """A generator function that fails while it is read does open the breaker."""

    def items(value: int) -> Any:
        yield value
        raise ValueError(value)

    read = 0

    def call(value: int) -> Any:
        nonlocal read
        for _ in guarded(value):
            read += 1

    guarded = part_of(peer, "breaker")(TRIP, 60.0)(items)
    for _ in range(3 * TRIP):
        outcome(call)
    return f"{read} generators failed, limit {TRIP}, and it opened" if read == TRIP else None


def async_only(peer: Peer) -> str | None:
    """A ``def`` cannot be guarded: what comes back is a coroutine, which fails."""
    recorder = Recorder()
    answer = part_of(peer, "abreaker")(TRIP, 60.0)(recorder.function(False))(1)
    if not inspect.iscoroutine(answer):
        return None
    answer.close()
    return "a decorated def gave a coroutine"
