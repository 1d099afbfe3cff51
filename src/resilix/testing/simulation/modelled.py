"""What a simulation wants of whatever is called in it, and what it notes of each call."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from resilix.testing.simulation.loop import SimulatedLoop
from resilix.testing.simulation.result import Ending
from resilix.testing.simulation.trouble import Episode

ANSWER: Final = object()
"""What a request that went well gives back."""


@dataclass(slots=True)
class Call:
    """One call of a user.

    Attributes:
        number: From 0, in the order in which they came.
        begin: When it came.
        shard: Which shard of the dependency it is for.
        attempts: How often the function ran for it.
        end: When it was over.
        ending: What its user got.
        cause: The last error of the dependency, while the call is under way.
    """

    number: int
    begin: float
    shard: int
    attempts: int = 0
    end: float = math.inf
    ending: Ending = Ending.UNFINISHED
    cause: Exception | None = None


@dataclass(slots=True)
class Served:
    """What came to a dependency in one step of the time.

    Attributes:
        arrived: Requests.
        answered: Those it has worked on and answered well while somebody waited.
        wasted: Those it has worked on when nobody waited any more.
        failed: Those it answered with an error, or refused.
        waiting: The most that ever waited in line.
        worked: Seconds of work it has done.
    """

    arrived: int = 0
    answered: int = 0
    wasted: int = 0
    failed: int = 0
    waiting: int = 0
    worked: float = 0.0


class AtWork(Protocol):
    """A dependency at work in a simulated loop."""

    def request(self, call: Call) -> asyncio.Future[Any]:
        """One attempt of a call: a future that gives ``ANSWER``, or fails, or is never done. It may be cancelled."""
        ...


class Modelled(Protocol):
    """Something that can be called in a simulation."""

    @property
    def shards(self) -> int:
        """How many shards it has."""
        ...

    @property
    def places(self) -> int:
        """Requests it works on at once, all shards together; 0 where that has no bound."""
        ...

    @property
    def script(self) -> Sequence[Episode]:
        """What happens to it, in the order of time."""
        ...

    def model(self, loop: SimulatedLoop, chance: random.Random, steps: list[Served]) -> AtWork:
        """Put it to work in a loop; it counts what comes in the last of the steps."""
        ...
