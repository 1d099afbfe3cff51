"""How the policies of one key are made, and the checks of what a user wrote for them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Final, TypeAlias

from resilix.core import options
from resilix.core.era import CircuitState, Mode
from resilix.core.options import refuse
from resilix.core.settings import read_settings
from resilix.core.verdict import refuse_async
from resilix.http.conduct import Conduct
from resilix.http.routes import Route
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.budget import RetryBudget
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.registry import REGISTRY
from resilix.policies.retry import Retry, retry

OWNER: Final = "standard"
NO_OPTIONS: Final[Mapping[str, Any]] = {}
"""The policy with the options it has by itself."""
JUDGED_BY_RULES: Final = ("on", "ignore", "on_result")
"""Options of a breaker that the HTTP rules take the place of."""

BreakerOption: TypeAlias = Mapping[str, Any] | Callable[[str], CircuitBreaker] | None
BudgetOption: TypeAlias = Mapping[str, Any] | RetryBudget | None


@dataclass(frozen=True, slots=True)
class KeyState:
    """The policies of one key.

    Attributes:
        key: The key, an origin by default.
        breaker: Its breaker, if there is one.
        bulkhead: Its bulkhead, if there is one.
        budget: Its retry budget, if there is one.
        policies: All of them, outermost first.
        route: The same, ready to run.
        own: Those that were made for this key from options; the others belong to whoever gave them.
    """

    key: str
    breaker: CircuitBreaker | None
    bulkhead: Bulkhead | None
    budget: RetryBudget | None
    policies: tuple[Policy[Any], ...]
    route: Route = field(repr=False)
    own: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def busy(self) -> bool:
        """Whether it must not be forgotten: its breaker refuses, probes, or was taken over by a person, or calls run.

        An opening that is over, with nobody calling, is no reason: hosts that are dead and gone would fill the map for
        good, and whoever makes us call many of them could keep all others out.
        """
        if self.breaker is not None:
            seen = self.breaker.snapshot()
            if seen.mode != Mode.NORMAL or seen.probes > 0:
                return True
            if seen.state is CircuitState.OPEN and seen.retry_after != 0.0:
                return True
        return self.bulkhead is not None and self.bulkhead.in_use > 0  # who waits, waits for one of these


def _everything(response: object) -> bool:
    """Every answer is looked at; the HTTP rules decide."""
    return True


class Recipe:
    """How the policies of one key are made, for all keys of the same ``owner``."""

    def __init__(
        self,
        owner: str,
        conduct: Conduct,
        *,
        attempts: int,
        wait: Any,
        limit: int | None,
        max_wait: float,
        budget: BudgetOption,
        breaker: BreakerOption,
    ) -> None:
        self.owner = owner
        self.conduct = conduct
        self.attempts = attempts
        self.wait = wait
        self.limit = limit
        self.max_wait = max_wait
        self.budget = budget
        self.breaker = breaker

    def check(self, name: str) -> None:
        """Try the options out, so that a mistake is seen where it was written.

        Raises:
            ConfigurationError: One of them cannot mean anything sensible.
        """
        if self.limit is not None:
            options.whole(OWNER, "limit", self.limit, least=1, why="with no place no call could ever run")
        if self.max_wait and self.limit is None:
            raise refuse(
                OWNER, "max_wait", self.max_wait, "there is nothing to wait for without a limit", "write limit=20 too"
            )
        _check_option("budget", self.budget, RetryBudget, 'budget={"tokens": 500, "cost": 14}')
        if isinstance(self.breaker, Policy):
            raise refuse(
                OWNER,
                "breaker",
                self.breaker,
                "each key has one of its own",
                "write breaker={…} with its options, or breaker=lambda key: … to give the same one to every key",
            )
        if callable(self.breaker):
            refuse_async(OWNER, "breaker", self.breaker)
        else:
            _check_option("breaker", self.breaker, None, 'breaker={"consecutive": 5, "open_for": 10.0}')
            if self.breaker is not None:
                _check_breaker(self.breaker)
        budget = self.budget
        if isinstance(budget, Mapping):
            _check_names("budget", budget, RetryBudget)
            budget = RetryBudget(f"{name} (check)", **budget)
            REGISTRY.retire(budget)  # a traceback may keep it alive, and the next check would meet its name
        self._retry(budget)

    def make(self, name: str, key: str) -> KeyState:
        """Make the policies of one key."""
        budget, breaker = self._budget(name), self._breaker(name, key)
        bulkhead = None if self.limit is None else Bulkhead(name, limit=self.limit, max_wait=self.max_wait)
        policies: list[Policy[Any]] = []
        if self.attempts > 1:
            policies.append(self._retry(budget))
        policies += [one for one in (breaker, bulkhead) if one is not None]
        route = Route(name, policies, self.conduct, names=(self.owner,))
        made = ((breaker, isinstance(self.breaker, Mapping)), (bulkhead, True), (budget, budget is not self.budget))
        own = tuple(one for one, is_own in made if one is not None and is_own)
        return KeyState(key, breaker, bulkhead, budget, tuple(policies), route, own)

    def _retry(self, budget: RetryBudget | None) -> Retry:
        return retry(on=Exception, on_result=_everything, attempts=self.attempts, wait=self.wait, budget=budget)

    def _budget(self, name: str) -> RetryBudget | None:
        if self.attempts == 1 or self.budget is None or isinstance(self.budget, RetryBudget):
            return self.budget if isinstance(self.budget, RetryBudget) else None
        return RetryBudget(name, **self.budget)

    def _breaker(self, name: str, key: str) -> CircuitBreaker | None:
        if self.breaker is None:
            return None
        if not callable(self.breaker):
            return CircuitBreaker(name, **self.breaker)
        made: object = self.breaker(key)
        if not isinstance(made, CircuitBreaker):
            raise refuse(
                OWNER,
                "breaker",
                self.breaker,
                f"for {key!r} it gave {made!r}, which is no breaker",
                "write breaker=lambda key: CircuitBreaker(key)",
            )
        return made


def _check_option(option: str, value: object, shared: type | None, example: str) -> None:
    if value is None or isinstance(value, Mapping) or (shared is not None and isinstance(value, shared)):
        return
    either = f" or a {shared.__name__}" if shared is not None else " or a function that makes one for a key"
    raise refuse(OWNER, option, value, f"it is a mapping of options{either}, or None for off", f"write {example}")


def _check_breaker(chosen: Mapping[str, Any]) -> None:
    """Read the options as a breaker would. Making one to see would enter its name among the live ones."""
    for option in JUDGED_BY_RULES:
        if option in chosen:
            raise refuse(
                OWNER,
                "breaker",
                chosen,
                f"what counts is decided by the HTTP rules, not by {option}",
                "write classify=… to change the rules",
            )
    _check_names("breaker", chosen, CircuitBreaker)
    read = {one.name: one.default for one in signature(CircuitBreaker).parameters.values() if one.name != "name"}
    read.update(chosen)
    if read["clock"] is not None:
        options.function("CircuitBreaker", "clock", read["clock"], "")
    read_settings(**{name: value for name, value in read.items() if name not in (*JUDGED_BY_RULES, "clock")})


def _check_names(option: str, chosen: Mapping[str, Any], kind: type) -> None:
    known = [name for name in signature(kind).parameters if name not in ("name", *JUDGED_BY_RULES)]
    for name in chosen:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise refuse(
                OWNER,
                option,
                chosen,
                f"there is no option {name}" + (f", did you mean {near[0]}?" if near else ""),
                f"there are {', '.join(known)}",
            )
