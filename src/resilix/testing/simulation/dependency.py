"""A modelled dependency: so many requests at once, each takes its time, the others wait in line.

It is a queue with several servers (G/G/c in Kendall's words) for each shard, whose speed and manners change with the
script. What is worked on is worked on to the end, whether or not somebody still waits for it: that is what turns a
short stall into a lasting overload (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021).
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from typing import Any

from resilix.core import options
from resilix.testing.durations import Duration, Durations, duration_of
from resilix.testing.simulation.loop import SimulatedLoop
from resilix.testing.simulation.modelled import ANSWER, Call, Served
from resilix.testing.simulation.trouble import Episode, Script, Weather, flat


class Dependency:
    """How a dependency works, and what it goes through.

    Example::

        Dependency(capacity=10, service=0.1, script=[outage(start=60, seconds=30)])     # 100 requests/s at best

    Attributes:
        capacity: Requests it works on at once, in each shard.
        service: What one takes.
        queue: How many more may wait, in each shard; infinite for any number.
        shards: How many shards it has.
        notices: It does not begin with a request for which nobody waits any more.
        script: What happens to it, in the order of time.
    """

    def __init__(
        self,
        *,
        capacity: int = 10,
        service: Durations = 0.1,
        queue: int | None = None,
        shards: int = 1,
        notices: bool = False,
        script: Script = (),
        error: type[Exception] = ConnectionError,
    ) -> None:
        """Describe a dependency.

        Args:
            capacity: Requests it works on at once (in each shard), at least 1.
            service: Seconds one takes, or a distribution from ``resilix.testing.durations``.
            queue: How many more may wait (in each shard); one too many fails at once. Zero: none waits. ``None``: any
                number.
            shards: How many shards it has; a call goes to one of them at random.
            notices: Whether it skips a waiting request whose client has given up.
            script: What happens to it: ``outage(…)``, ``brown_out(…)``, ``stall(…)``, …
            error: The type of the errors it causes.

        Raises:
            ConfigurationError: An option cannot mean anything sensible.
        """
        owner = "Dependency"
        self.capacity = options.whole(owner, "capacity", capacity, least=1, why="it could work on nothing")
        self.service: Duration = duration_of(owner, "service", service)
        if queue is not None:
            options.whole(owner, "queue", queue, least=0, why="it is how many may wait")
        self.queue = math.inf if queue is None else queue
        self.shards = options.whole(owner, "shards", shards, least=1, why="it has at least one")
        self.notices = options.flag(owner, "notices", notices)
        self.script: tuple[Episode, ...] = flat(script)
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise options.refuse(owner, "error", error, "it is a type of exception", "write error=ConnectionError")
        self.error = error
        for one in self.script:
            if one.shard is not None and one.shard >= shards:
                raise options.refuse(
                    owner, "script", one, f"there are {shards} shards, counted from 0", f"write shards={one.shard + 1}"
                )

    def __repr__(self) -> str:
        queue = "" if self.queue == math.inf else f", queue={self.queue:g}"
        shards = "" if self.shards == 1 else f", shards={self.shards}"
        return f"Dependency(capacity={self.capacity}, service={self.service}{queue}{shards})"

    @property
    def places(self) -> int:
        """Requests it works on at once, all shards together."""
        return self.shards * self.capacity

    @property
    def most(self) -> float:
        """Requests per second that it can answer at best, all shards together; infinite when one takes no time."""
        return math.inf if self.service.mean == 0 else self.places / self.service.mean

    def model(self, loop: SimulatedLoop, chance: random.Random, steps: list[Served]) -> Model:
        """Put it to work in a loop.

        Args:
            loop: Where.
            chance: Draws durations and errors.
            steps: Where it counts what comes: in the last.
        """
        return Model(self, loop, chance, steps)


class Model:
    """A dependency at work; made by :meth:`Dependency.model`."""

    def __init__(self, dependency: Dependency, loop: SimulatedLoop, chance: random.Random, steps: list[Served]) -> None:
        self._shards = [_Shard(dependency, loop, chance, number, steps) for number in range(dependency.shards)]

    def request(self, call: Call) -> asyncio.Future[Any]:
        """One attempt of a call; its future may be cancelled."""
        return self._shards[call.shard].request()


class _Shard:
    def __init__(
        self, dependency: Dependency, loop: SimulatedLoop, chance: random.Random, number: int, steps: list[Served]
    ) -> None:
        self._dependency = dependency
        self._loop = loop
        self._chance = chance
        self._weather = Weather(dependency.script, number)
        self._free = dependency.capacity
        self._line: deque[asyncio.Future[Any]] = deque()
        self._steps = steps
        self._error = dependency.error

    @property
    def _now(self) -> Served:
        return self._steps[-1]

    def request(self) -> asyncio.Future[Any]:
        answer = self._loop.create_future()
        self._now.arrived += 1
        for episode in self._weather.at(self._loop.now):
            if episode.hangs:
                return answer
            if episode.fails_after is not None:
                self._loop.call_later(episode.fails_after, self._fail, answer, "the dependency is down")
                return answer
        if self._free:
            self._begin(answer)
        elif len(self._line) < self._dependency.queue:
            self._line.append(answer)
            self._now.waiting = max(self._now.waiting, len(self._line))
        else:
            self._fail(answer, "the dependency's queue is full")
        return answer

    def _begin(self, answer: asyncio.Future[Any]) -> None:
        self._free -= 1
        work = self._dependency.service.draw(self._chance)
        end = self._weather.done_at(self._loop.now, work)
        if end < math.inf:
            self._loop.call_at(end, self._done, answer, work)

    def _done(self, answer: asyncio.Future[Any], work: float) -> None:
        now = self._now
        now.worked += work
        errors = max((one.errors for one in self._weather.at(self._loop.now)), default=0.0)
        if answer.done():
            now.wasted += 1
        elif errors and self._chance.random() < errors:
            self._fail(answer, "the dependency answered with an error")
        else:
            now.answered += 1
            answer.set_result(ANSWER)
        self._free += 1
        while self._line and self._free:
            following = self._line.popleft()
            if not (self._dependency.notices and following.done()):
                self._begin(following)

    def _fail(self, answer: asyncio.Future[Any], text: str) -> None:
        if not answer.done():
            self._now.failed += 1
            answer.set_exception(self._error(text))
