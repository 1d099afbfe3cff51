"""The jobs: what is called, under which part of a peer, against which yardstick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Clock
from benchmarks.parts import LONG, abare, afails, aidentity, bare, fails, identity
from benchmarks.peers.peer import NEVER, Decorator, Function, Peer
from benchmarks.peers.senders import ASendAlways, ASendThird, SendAlways, SendThird, a_bare_sender, bare_sender, sender

RECOVERY = 86_400.0
"""Seconds after which an open breaker would try again: not while this runs."""

TRIP = 3
"""Failures after which the breakers that are to be open do open."""

PLACES = 10
"""Places of a bulkhead that is never full."""

Maker = Callable[[Peer], Callable[[], Function] | None]


@dataclass(frozen=True)
class Job:
    """The same task for everyone.

    Attributes:
        name: The title of its table.
        part: What of a peer is timed: "breaker", "retry", "pipeline" or "http".
        make: Gives what makes a peer's variant, or ``None`` if it lacks the part.
        yardstick: Its name, and what makes it.
        awaited: Whether the variants are async.
        outcome: What each call must give: 1, ``ValueError`` or "refused".
        clock: What time means.
        around: What is entered around all of it.
        alone: Measured in a process of its own, because it changes what others cost.
        needs: A part without which a pipeline has no place in the table.
    """

    name: str
    part: str
    make: Maker
    yardstick: tuple[str, Callable[[], Function]]
    awaited: bool = False
    outcome: Any = 1
    clock: Clock = time.thread_time
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    alone: bool = False
    needs: str | None = None

    def offered(self, peer: Peer) -> Callable[[], Function] | None:
        """What makes the peer's variant, or ``None`` if it cannot do this job."""
        return None if self.needs is not None and self.needs not in peer.parts else self.make(peer)


def third_time() -> Function:
    """A function that fails, fails, and succeeds; over and over."""
    failed = 0

    def call(value: int) -> int:
        nonlocal failed
        if failed < 2:
            failed += 1
            raise ValueError(value)
        failed = 0
        return value

    return call


def athird_time() -> Function:
    """The same, async."""
    call = third_time()

    async def acall(value: int) -> int:
        result: int = call(value)
        return result

    return acall


def by_hand(fn: Function) -> Function:
    """Three attempts as one would write them down."""

    def call(value: int) -> Any:
        for _ in range(2):
            try:
                return fn(value)
            except ValueError:
                pass
        return fn(value)

    return call


def aby_hand(fn: Function) -> Function:
    """The same, async."""

    async def call(value: int) -> Any:
        for _ in range(2):
            try:
                return await fn(value)
            except ValueError:
                pass
        return await fn(value)

    return call


def tripped(guard: Decorator) -> Function:
    """A function whose breaker has opened because it failed."""
    failing = [True]

    def call(value: int) -> int:
        if failing:
            raise ValueError(value)
        return value

    guarded = guard(call)
    for _ in range(TRIP):
        try:
            guarded(1)
        except Exception:  # some raise an error of their own when they open
            continue
    failing.clear()
    return guarded


def atripped(guard: Decorator) -> Function:
    """The same, async."""
    failing = [True]

    async def call(value: int) -> int:
        if failing:
            raise ValueError(value)
        return value

    guarded = guard(call)

    async def trip() -> None:
        for _ in range(TRIP):
            try:
                await guarded(1)
            except Exception:  # as above
                continue

    asyncio.run(trip())
    failing.clear()
    return guarded


@contextmanager
def no_sleep() -> Iterator[None]:
    """Makes ``time.sleep`` do nothing: what a retry costs without the system call for a wait of 0 s."""
    real, time.sleep = time.sleep, lambda seconds: None
    try:
        yield
    finally:
        time.sleep = real


def _breaking(fn: Function) -> Maker:
    return lambda peer: peer.breaker and (lambda: peer.breaker(NEVER, RECOVERY)(fn))


def _abreaking(fn: Function) -> Maker:
    return lambda peer: peer.abreaker and (lambda: peer.abreaker(NEVER, RECOVERY)(fn))


def _refusing(peer: Peer) -> Callable[[], Function] | None:
    return peer.breaker and (lambda: tripped(peer.breaker(TRIP, RECOVERY)))


def _arefusing(peer: Peer) -> Callable[[], Function] | None:
    return peer.abreaker and (lambda: atripped(peer.abreaker(TRIP, RECOVERY)))


def _retrying(source: Callable[[], Function]) -> Maker:
    return lambda peer: peer.retry and (lambda: peer.retry()(source()))


def _aretrying(source: Callable[[], Function]) -> Maker:
    return lambda peer: peer.aretry and (lambda: peer.aretry()(source()))


def _piping(seconds: float | None) -> Maker:
    return lambda peer: peer.pipeline and (lambda: peer.pipeline(NEVER, PLACES, seconds)(identity))


def _apiping(seconds: float | None) -> Maker:
    return lambda peer: peer.apipeline and (lambda: peer.apipeline(NEVER, PLACES, seconds)(aidentity))


def _sending(inner: Callable[[], Any]) -> Maker:
    return lambda peer: peer.http and (lambda: sender(peer.http(inner())))


def _asending(inner: Callable[[], Any]) -> Maker:
    return lambda peer: peer.ahttp and (lambda: sender(peer.ahttp(inner())))


BARE = ("bare wrapper", lambda: bare(identity))
ABARE = ("bare wrapper", lambda: abare(aidentity))
BY_HAND = ("bare wrapper, retrying by hand", lambda: bare(by_hand(third_time())))
ABY_HAND = ("bare wrapper, retrying by hand", lambda: abare(aby_hand(athird_time())))
WALL = time.perf_counter

JOBS = [
    Job("sync, breaker, quiet", "breaker", _breaking(identity), BARE),
    Job(
        "sync, breaker, failing",
        "breaker",
        _breaking(fails),
        ("bare wrapper, failing", lambda: bare(fails)),
        outcome=ValueError,
    ),
    Job("sync, breaker, refused", "breaker", _refusing, ("bare wrapper, succeeding", BARE[1]), outcome="refused"),
    Job("async, breaker, quiet", "breaker", _abreaking(aidentity), ABARE, awaited=True),
    Job(
        "async, breaker, failing",
        "breaker",
        _abreaking(afails),
        ("bare wrapper, failing", lambda: abare(afails)),
        awaited=True,
        outcome=ValueError,
    ),
    Job(
        "async, breaker, refused",
        "breaker",
        _arefusing,
        ("bare wrapper, succeeding", ABARE[1]),
        awaited=True,
        outcome="refused",
    ),
    Job("sync, retry, quiet", "retry", _retrying(lambda: identity), BARE),
    Job("sync, retry, failing twice", "retry", _retrying(third_time), BY_HAND),
    Job("sync, retry, failing twice, sleep taken out", "retry", _retrying(third_time), BY_HAND, around=no_sleep),
    Job("async, retry, quiet", "retry", _aretrying(lambda: aidentity), ABARE, awaited=True),
    Job("async, retry, failing twice", "retry", _aretrying(athird_time), ABY_HAND, awaited=True),
    Job("sync, pipeline without timeout", "pipeline", _piping(None), BARE),
    Job("sync, pipeline with timeout", "pipeline", _piping(LONG), BARE, clock=WALL, alone=True, needs="timeout"),
    Job("async, pipeline without timeout", "pipeline", _apiping(None), ABARE, awaited=True),
    Job("async, pipeline with timeout", "pipeline", _apiping(LONG), ABARE, awaited=True, needs="timeout"),
    Job("HTTP, retry, quiet", "http", _sending(SendAlways), ("bare transport", lambda: bare_sender(SendAlways()))),
    Job(
        "HTTP, retry, failing twice",
        "http",
        _sending(SendThird),
        ("bare transport, retrying by hand", lambda: bare_sender(SendThird(), attempts=3)),
    ),
    Job(
        "HTTP, async, retry, quiet",
        "http",
        _asending(ASendAlways),
        ("bare transport", lambda: a_bare_sender(ASendAlways())),
        awaited=True,
    ),
    Job(
        "HTTP, async, retry, failing twice",
        "http",
        _asending(ASendThird),
        ("bare transport, retrying by hand", lambda: a_bare_sender(ASendThird(), attempts=3)),
        awaited=True,
    ),
]
