"""The cases: three classic troubles, made small enough to be lived through in seconds; and what is compared."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.reality import work
from resilix import Bulkhead, CircuitBreaker, Policy, RetryBudget, pipeline, retry, timeout
from resilix.testing.durations import uniform
from resilix.testing.simulation import Dependency, Episode, Load, Result, brown_out, outage, poisson, simulate, stall

TROUBLE = (ConnectionError, TimeoutError)
SECONDS = 8.0
"""How long calls come in each case."""


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: What tables call it.
        policies: Makes the policies.
        load: How calls come.
        capacity: Requests the dependency works on at once.
        service: The least and the most seconds that one takes.
        trouble: What happens to it.
        notices: Only for the simulator: it spares the dependency requests whose client has gone. The real one does not.
    """

    name: str
    policies: Callable[[], Policy[Any]]
    load: Load
    capacity: int
    service: tuple[float, float]
    trouble: Episode
    notices: bool = False

    def dependency(self, more: float = 0.0) -> Dependency:
        """As the simulator is told; ``more`` seconds for each request, for what it leaves out."""
        service = uniform(*(one + more for one in self.service))
        return Dependency(capacity=self.capacity, service=service, script=self.trouble, notices=self.notices)

    def plan(self, seed: int) -> work.Plan:
        """As the real server is told."""
        one = self.trouble
        script = work.Episode(start=one.start, end=one.end, speed=one.speed, fails_after=one.fails_after)
        return {"capacity": self.capacity, "service": self.service, "script": [script], "seed": seed}

    def simulated(self, seed: int, draw: int | None = None, more: float = 0.0) -> Result:
        """What the simulator says.

        Args:
            seed: Where the chance of arrivals begins; the same as for :meth:`plan`.
            draw: Where that of durations begins; the same by default.
            more: Seconds added to each request.
        """

        def times(chance: random.Random) -> Iterator[float]:
            return self.load.times(random.Random(f"{seed} load"))

        return simulate(
            self.policies, load=Load(repr(self.load), times), dependency=self.dependency(more), seconds=SECONDS,
            seed=seed if draw is None else draw, name=f"{self.name}, simulated",
        )  # fmt: skip


def _outage() -> Policy[Any]:
    breaker = CircuitBreaker("outage", on=TROUBLE, consecutive=5, open_for=1.0)
    return pipeline(retry(on=TROUBLE, attempts=3, wait=0.1), breaker, timeout(0.5))


def _plain() -> Policy[Any]:
    return pipeline(retry(on=TROUBLE, attempts=3, wait=0.05), timeout(0.4))


def _guarded() -> Policy[Any]:
    budget = RetryBudget("stall", tokens=70)
    breaker = CircuitBreaker("stall", on=TROUBLE, consecutive=5, open_for=1.0)
    return pipeline(retry(on=TROUBLE, attempts=3, wait=0.05, budget=budget), breaker, timeout(0.4))


def _slow() -> Policy[Any]:
    breaker = CircuitBreaker(
        "brown-out", on=TROUBLE, slow_rate=0.5, slow_after=0.2, window=2.0, min_calls=10, open_for=1.0
    )
    return pipeline(breaker, Bulkhead("brown-out", limit=10, max_wait=0.1), timeout(1.0))


def _stalled(name: str, policy: Callable[[], Policy[Any]]) -> Case:
    return Case(name, policy, poisson(30), 4, (0.09, 0.11), stall(start=2, seconds=1.5))


DRAWS, MORE = 12, (0.0, 0.005, 0.01)
"""How often, and with how many more seconds for each request, a case is simulated to know how far chance reaches."""


CASES = (
    Case("outage", _outage, poisson(40), 4, (0.04, 0.06), outage(start=2, seconds=2.5)),
    _stalled("stall, retries alone", _plain),
    _stalled("stall, guarded", _guarded),
    Case("brown-out", _slow, poisson(40), 6, (0.03, 0.07), brown_out(start=2, seconds=2.5, slower=8)),
)
"""All of them; they run at once, each with a dependency of its own."""


def figures(result: Result) -> dict[str, float | None]:
    """What is compared; requests while calls come, since afterwards the one works on and the other is ended."""
    arrived, wasted = (sum(getattr(one, what) for one in result.steps) for what in ("arrived", "wasted"))
    return {
        "success share": result.success_share,
        "attempts per call": result.attempts_per_call,
        "seconds to open": result.time_to_open,
        "seconds to recover": result.time_to_recover,
        "requests for nobody": wasted / max(1, arrived),
    }


@functools.cache
def reach(case: Case, seed: int) -> dict[str, list[float | None]]:
    """Each figure in all the ways in which the same arrivals may end, as the simulator sees it.

    Some cases stand on an edge: whether a probe comes just before or just after a backlog is worked off makes a second
    of difference. So durations are drawn anew, and requests take some milliseconds longer, as they do over sockets.
    """
    several = [figures(case.simulated(seed, draw, more)) for more in MORE for draw in range(DRAWS)]
    return {name: [one[name] for one in several] for name in several[0]}
