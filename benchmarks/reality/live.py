"""The cases for real: real sockets, a real server in another process, the machine's clock, the same policies."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.reality.cases import SECONDS, Case
from benchmarks.reality.work import Event
from resilix import CircuitBreaker, RejectedError
from resilix.policies.hazards import flatten
from resilix.testing.simulation import Change, Ending, Result
from resilix.testing.simulation.copies import apart
from resilix.testing.simulation.findings import find, width_of
from resilix.testing.simulation.modelled import ANSWER, Call, Served

ROOT = Path(__file__).parents[2]
AHEAD = 0.3
"""Seconds from the moment everybody is told when it begins to that moment."""


class Lane:
    """One case, lived through.

    Attributes:
        calls: What its users saw.
        changes: What its breaker did.
    """

    def __init__(self, case: Case, port: int, seed: int) -> None:
        self.calls: list[Call] = []
        self.changes: list[Change] = []
        self._case, self._port, self._seed = case, port, seed
        self._begin = 0.0
        policies = case.policies()
        self._guarded: Any = policies(self._attempt)
        self._breakers = [one for one in flatten((policies,)) if isinstance(one, CircuitBreaker)]
        self._states = [one.state for one in self._breakers]

    def _now(self) -> float:
        return time.monotonic() - self._begin

    def _look(self) -> None:
        for place, one in enumerate(self._breakers):
            if one.state is not self._states[place]:
                self._states[place] = one.state
                self.changes.append(Change(self._now(), one.name, one.state.value))

    async def live(self, begin: float) -> None:
        """Make the calls at the moments at which the simulator makes them, and wait for the last."""
        self._begin = begin
        moments = self._case.load.times(random.Random(f"{self._seed} load"))
        async with asyncio.TaskGroup() as tasks:
            for moment in moments:
                if moment >= SECONDS:
                    break
                await asyncio.sleep(max(0.0, moment - self._now()))
                tasks.create_task(self._call())

    async def _call(self) -> None:
        call = Call(len(self.calls), self._now(), 0)
        self.calls.append(call)
        try:
            await self._guarded(call)
        except RejectedError:
            call.ending = Ending.REFUSED
        except TimeoutError:
            call.ending = Ending.TIMED_OUT
        except ConnectionError:
            call.ending = Ending.FAILED
        else:
            call.ending = Ending.SUCCEEDED
        call.end = self._now()
        self._look()

    async def _attempt(self, call: Call) -> object:
        call.attempts += 1
        self._look()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET\n")
            if await reader.readline() != b"ok\n":
                raise ConnectionError("the dependency is down")
        finally:
            writer.close()
        return ANSWER

    def result(self, events: Sequence[tuple[float, Event]]) -> Result:
        """The figures, from what both sides have seen."""
        width = width_of(SECONDS)
        served = [Served() for _ in range(round(SECONDS / width) + 1)]
        for moment, event in events:
            step = served[min(len(served) - 1, int(max(0.0, moment) / width))]
            setattr(step, event, getattr(step, event) + 1)
        return find(
            f"{self._case.name}, real", repr(self._case.load), self._seed, SECONDS, self._case.dependency(), self.calls,
            served, self.changes,
        )  # fmt: skip


@contextmanager
def server() -> Generator[subprocess.Popen[str]]:
    """The process of the dependencies; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.reality.server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:
        try:
            yield process
        finally:
            process.kill()


def live(cases: Sequence[Case], seed: int) -> list[Result]:
    """Live through all of them at once."""
    with server() as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def tell(what: object) -> None:
            assert process.stdin is not None
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()

        tell([case.plan(seed) for case in cases])
        ports = json.loads(process.stdout.readline())
        with apart():
            lanes = [Lane(case, port, seed) for case, port in zip(cases, ports, strict=True)]
        begin = time.monotonic() + AHEAD
        tell(begin)
        asyncio.run(_all(lanes, begin))
        tell("end")
        events = json.loads(process.stdout.readline())
    return [lane.result(one) for lane, one in zip(lanes, events, strict=True)]


async def _all(lanes: Sequence[Lane], begin: float) -> None:
    await asyncio.sleep(max(0.0, begin - time.monotonic()))
    await asyncio.gather(*(lane.live(begin) for lane in lanes))
