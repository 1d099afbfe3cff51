"""Fresh copies of policies: the same options, nothing remembered. A simulation leaves those it is given alone."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from resilix.core.budget import BudgetCore
from resilix.errors import ResilixWarning
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.pipeline import Pipeline
from resilix.policies.registry import REGISTRY
from resilix.policies.retry import Retry


@contextmanager
def apart() -> Generator[None]:
    """Policies made inside take no name away from others, and nothing is said about orders that were chosen before."""
    with REGISTRY.apart(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResilixWarning)
        yield


class Copier:
    """Makes copies that belong together: a noun that stands in two places is one noun in the copies too."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def copy(self, policy: Any) -> Any:
        """A fresh one like this. A policy of somebody's own is taken as it is."""
        known = self._made.get(id(policy))
        if known is None:
            known = self._made[id(policy)] = self._fresh(policy)
        return known

    def _fresh(self, policy: Any) -> Any:
        match policy:
            case Pipeline():
                inside: tuple[Policy[Any], ...] = tuple(self.copy(one) for one in policy.policies)
                return Pipeline(inside, policy.name)
            case CircuitBreaker():
                # As it was made and reconfigured; the clock it was given, if any, is not the simulation's.
                return CircuitBreaker(policy.name, **policy._all_options())  # pyright: ignore[reportPrivateUsage]
            case Bulkhead():
                # How many may wait is an option that users cannot read back.
                queue, wait = policy._queue.queue, policy.max_wait  # pyright: ignore[reportPrivateUsage]
                return Bulkhead(
                    policy.name, limit=policy.limit, max_wait=None if wait == math.inf else wait, queue=queue
                )
            case BudgetCore():
                return BudgetCore(policy.tokens, policy.cost)
            case Retry():
                plan = copy.copy(policy.plan)
                if plan.budget is not None:
                    plan.budget = self.copy(plan.budget)
                return Retry(plan)
            case _:
                return policy
