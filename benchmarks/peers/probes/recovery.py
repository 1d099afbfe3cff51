"""Experiments with breakers: who is let in, and when, and what closes them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from benchmarks.peers.checks import PATIENCE, Recorder, aoutcome, outcome
from benchmarks.peers.jobs import TRIP
from benchmarks.peers.peer import NEVER, Decorator, Peer
from benchmarks.peers.probes.experiment import BRIEF, HERD, Held, atrip, cancel, part_of, trip


def herd(peer: Peer) -> str | None:
    """After the break more than one call is let in at once to try."""
    held = Held()
    guarded = part_of(peer, "breaker")(TRIP, BRIEF)(held.function(False))
    trip(guarded, held)
    time.sleep(2 * BRIEF)
    held.holding = True
    crew = [threading.Thread(target=outcome, args=(guarded,)) for _ in range(HERD)]
    for one in crew:
        one.start()
    held.entered.wait(PATIENCE)
    time.sleep(BRIEF)
    inside = held.inside
    held.go.set()
    for one in crew:
        one.join(PATIENCE)
    return f"{inside} of {HERD} threads were let in at once" if inside > 1 else None


def aherd(peer: Peer) -> str | None:
    """The same, async."""
    return asyncio.run(_aherd(part_of(peer, "abreaker")(TRIP, BRIEF)))


async def _aherd(guard: Decorator) -> str | None:
    held = Held()
    guarded = guard(held.function(True))
    await atrip(guarded, held)
    await asyncio.sleep(2 * BRIEF)
    held.holding = True
    crew = [asyncio.create_task(aoutcome(guarded)) for _ in range(HERD)]
    await asyncio.sleep(BRIEF)
    inside = held.inside
    held.ago.set()
    await asyncio.gather(*crew)
    return f"{inside} of {HERD} tasks were let in at once" if inside > 1 else None


def late(peer: Peer) -> str | None:
    """A success that began before the breaker opened closes it."""
    held = Held()
    guarded = part_of(peer, "breaker")(TRIP, 60.0)(held.function(False))
    held.holding = True
    early = threading.Thread(target=outcome, args=(guarded,))
    early.start()
    held.entered.wait(PATIENCE)
    held.holding = False
    tripping = threading.Thread(target=trip, args=(guarded, held))
    tripping.start()
    tripping.join(4 * BRIEF)  # one that runs a call at a time cannot open meanwhile
    serial = tripping.is_alive()
    held.go.set()
    early.join(PATIENCE)
    tripping.join(PATIENCE)
    return None if serial else _late_evidence(held, lambda: outcome(guarded))


def _late_evidence(held: Held, call: Callable[[], object]) -> str | None:
    before = held.calls
    call()
    return "open for 60 s, but the next call went through" if held.calls > before else None


def alate(peer: Peer) -> str | None:
    """The same, async."""
    return asyncio.run(_alate(part_of(peer, "abreaker")(TRIP, 60.0)))


async def _alate(guard: Decorator) -> str | None:
    held = Held()
    guarded = guard(held.function(True))
    held.holding = True
    early = asyncio.create_task(aoutcome(guarded))
    await asyncio.sleep(BRIEF)
    held.holding = False
    await atrip(guarded, held)
    held.ago.set()
    await early
    before = held.calls
    await aoutcome(guarded)
    return "open for 60 s, but the next call went through" if held.calls > before else None


def serial(peer: Peer) -> str | None:
    """While one call is inside, no other gets in: the lock is held around the caller's function."""
    held = Held()
    guarded = part_of(peer, "breaker")(NEVER, 60.0)(held.function(False))
    held.holding = True
    crew = [threading.Thread(target=outcome, args=(guarded,)) for _ in range(2)]
    for one in crew:
        one.start()
    held.entered.wait(PATIENCE)
    time.sleep(2 * BRIEF)
    inside = held.inside
    held.go.set()
    for one in crew:
        one.join(PATIENCE)
    return "the second of two calls waited outside until the first was done" if inside == 1 else None


def blind(peer: Peer) -> str | None:
    """An ``async def`` passes unseen: its failures do not open the breaker."""
    recorder = Recorder()
    guarded = part_of(peer, "breaker")(TRIP, 60.0)(recorder.function(True))

    async def run() -> None:
        recorder.failures = 3 * TRIP
        for _ in range(3 * TRIP):
            await aoutcome(guarded)

    asyncio.run(run())
    return f"{recorder.calls} failures in a row, limit {TRIP}, and still closed" if recorder.calls > TRIP else None


def cancelled_counts(peer: Peer) -> str | None:
    """Calls that the caller cancelled open the breaker."""
    return asyncio.run(_cancelled_counts(part_of(peer, "abreaker")(TRIP, 60.0)))


async def _cancelled_counts(guard: Decorator) -> str | None:
    held = Held()
    guarded = guard(held.function(True))
    held.holding = True
    for _ in range(2 * TRIP):
        await cancel(guarded)
    held.holding, before = False, held.calls
    await aoutcome(guarded)
    return f"{2 * TRIP} cancelled calls opened it" if held.calls == before else None


def cancelled_closes(peer: Peer) -> str | None:
    """A trial call that the caller cancelled counts as a success and closes the breaker."""
    return asyncio.run(_cancelled_closes(part_of(peer, "abreaker")(TRIP, BRIEF)))


async def _cancelled_closes(guard: Decorator) -> str | None:
    held = Held()
    guarded = guard(held.function(True))
    await atrip(guarded, held)
    await asyncio.sleep(2 * BRIEF)
    held.holding = True
    await cancel(guarded)
    held.holding, held.failures = False, NEVER
    await aoutcome(guarded)  # half-open still, this failure opens it; closed, it takes two more
    before = held.calls
    await aoutcome(guarded)
    return "after a cancelled trial it takes several failures again to open" if held.calls > before else None
