"""The policies of a key ready to run, and how they are found by what stands in a URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from resilix.clock import SYSTEM
from resilix.http.conduct import Conduct
from resilix.http.quiet import NeverQuiet, NoBreaker, usual
from resilix.http.shells import AsyncShell, Shell, shells_of
from resilix.http.states import Entry, KeyedStates, parts_of
from resilix.policies.base import Policy
from resilix.policies.hazards import flatten, kind_of

Known: TypeAlias = "tuple[str, int | None, Route, Entry[Any]]"
"""The scheme and the port of an origin, its route, and where its use is noted."""
UNKNOWN: Final[tuple[Any, ...]] = ("", None, None, None)
"""What is known of any other host: no URL of a request is without a scheme."""


class Route:
    """The policies of one key, ready to run.

    Attributes:
        label: What events call its calls.
        shell: The sync pipeline.
        ashell: The async pipeline.
        quiet: Whether its requests may take the quiet path, which needs the rest.
        breaker: Its breaker, if there is one.
        core: The breaker's state machine, or what stands for it.
        clock: The breaker's clock.
        bulkhead: Its bulkhead, if there is one.
        budget: What its retries are paid from, if there is anything.
        host: What it is known by; see :class:`Routes`.
        names: What faults may be injected by: those of its policies and of whatever they were made by.
    """

    __slots__ = (
        "ashell", "breaker", "budget", "bulkhead", "clock", "core", "host", "label", "names", "quiet", "shell",
    )  # fmt: skip

    def __init__(
        self, label: str, policies: Sequence[Policy[Any]], conduct: Conduct, *, names: tuple[str, ...] = ()
    ) -> None:
        flat = flatten(policies)
        self.names = names + tuple(one.name for one in flat if kind_of(one) in ("breaker", "bulkhead"))
        self.label = label
        self.shell: Shell
        self.ashell: AsyncShell
        self.shell, self.ashell = shells_of(flat, conduct, label)
        found = usual(flat, conduct)
        self.quiet = found is not None
        self.breaker: Any
        self.bulkhead: Any
        retry, self.breaker, self.bulkhead = found or (None, None, None)
        self.budget: Any = None if retry is None else retry.plan.budget
        # These parts of a breaker never change; a bulkhead has a new queue after a fork.
        self.core: Any = NeverQuiet() if found is None else NoBreaker() if self.breaker is None else self.breaker._core
        self.clock: Any = SYSTEM if self.breaker is None else self.breaker._clock
        self.host: str | None = None


class Routes:
    """Where a transport looks for the route of a request before it makes a key for it.

    Args:
        only: The route of every request, where there is no other.
        keyed: Else where they all are; told when one of them is used.
        known: The origin of each host that was seen last; kept by :func:`forget`.
    """

    __slots__ = ("keyed", "known", "only")

    def __init__(
        self, only: Route | None, keyed: KeyedStates[Any] | None = None, known: dict[str, Known] | None = None
    ) -> None:
        self.only = only
        self.keyed = keyed
        self.known = {} if known is None else known

    def learn(self, url: Any, key: str, route: Route) -> None:
        """Know the origin of a URL from now on, for as long as the key has its entry."""
        if not route.quiet or self.keyed is None:
            return
        entry = self.keyed.entry(key)
        if entry is None or entry.state.route is not route:
            return  # further keys share it
        parts = parts_of(url)
        route.host = parts.host
        self.known[parts.host] = (parts.scheme, parts.port, route, entry)
        if self.keyed.entry(key) is not entry:
            forget(self.known, route)  # another thread did so meanwhile


def forget(known: dict[str, Known], route: Route) -> None:
    """The key of a route has no entry any more."""
    if route.host is not None and known.get(route.host, UNKNOWN)[2] is route:
        known.pop(route.host, None)
