"""What the experiments share: functions that fail or stay inside on demand, and ways to call them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.peers.checks import PATIENCE, Recorder, aoutcome, outcome
from benchmarks.peers.jobs import TRIP
from benchmarks.peers.peer import Peer

BRIEF = 0.05
"""Seconds a breaker stays open in an experiment."""

HERD = 8
"""Calls that arrive together after the break."""

Probe = Callable[[Peer], str | None]


def part_of(peer: Peer, name: str) -> Any:
    """A part of a peer.

    Raises:
        LookupError: It has no such part.
    """
    part = getattr(peer, name)
    if part is None:
        raise LookupError(f"{peer.name} has no {name}")
    return part


def trip(guarded: Any, recorder: Recorder) -> None:
    """Fail often enough to open it."""
    recorder.failures = TRIP
    for _ in range(TRIP):
        outcome(guarded)
    recorder.failures = 0


async def atrip(guarded: Any, recorder: Recorder) -> None:
    """The same, async."""
    recorder.failures = TRIP
    for _ in range(TRIP):
        await aoutcome(guarded)
    recorder.failures = 0


class Held(Recorder):
    """A function that can be told to stay inside.

    Attributes:
        holding: Whether calls wait inside until ``go`` or ``ago`` is set.
        inside: How many have come in so far while holding.
    """

    def __init__(self) -> None:
        super().__init__()
        self.holding = False
        self.inside = 0
        self.entered, self.go = threading.Event(), threading.Event()
        self.ago = asyncio.Event()

    def function(self, awaited: bool) -> Any:
        """The same as a plain function."""

        def call(value: int) -> int:
            if self.holding:
                self.inside += 1
                self.entered.set()
                self.go.wait(PATIENCE)
            return self(value)

        async def acall(value: int) -> int:
            if self.holding:
                self.inside += 1
                await self.ago.wait()
            return self(value)

        return acall if awaited else call


async def cancel(guarded: Any) -> None:
    """Begin a call in a task and cancel it."""
    task = asyncio.create_task(guarded(1))
    await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def foreign(result: Any) -> str | None:
    """Evidence that an error is not the function's own."""
    return None if isinstance(result, ValueError) else f"ValueError came out as {type(result).__name__}"
