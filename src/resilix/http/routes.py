"""The policies of a key ready to run, and how they are found by what stands in a URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from resilix.clock import SYSTEM
from resilix.http.conduct import Conduct
from resilix.http.quiet import NeverQuiet, NoBreaker, usual
from resilix.http.shells import AsyncShell, Shell, shells_of
from resilix.http.states import Entry, KeyedStates, parts_of
from resilix.policies.base import Policy
from resilix.policies.hazards import flatten

Origin: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port, as they stand in a URL."""


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
        origin: What it is known by; see :class:`Routes`.
    """

    __slots__ = (
        "ashell", "breaker", "budget", "bulkhead", "clock", "core", "label", "origin", "quiet", "shell",
    )  # fmt: skip

    def __init__(self, label: str, policies: Sequence[Policy[Any]], conduct: Conduct) -> None:
        flat = flatten(policies)
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
        self.origin: Origin | None = None


class Routes:
    """Where a transport looks for the route of a request before it makes a key for it.

    Args:
        only: The route of every request, where there is no other.
        keyed: Else where they all are; told when one of them is used.
        known: The routes of origins that were seen lately, each with its entry in ``keyed``; kept by :func:`forget`.
    """

    __slots__ = ("keyed", "known", "only")

    def __init__(
        self,
        only: Route | None,
        keyed: KeyedStates[Any] | None = None,
        known: dict[Origin, tuple[Route, Entry[Any]]] | None = None,
    ) -> None:
        self.only = only
        self.keyed = keyed
        self.known = {} if known is None else known

    def learn(self, url: Any, key: str, route: Route) -> None:
        """Know the origin of a URL from now on, for as long as the key has its entry."""
        if not route.quiet or route.origin is not None or self.keyed is None:
            return
        entry = self.keyed.entry(key)
        if entry is None or entry.state.route is not route:
            return  # further keys share it
        parts = parts_of(url)
        route.origin = (parts.scheme, parts.host, parts.port)
        self.known[route.origin] = (route, entry)
        if self.keyed.entry(key) is not entry:
            forget(self.known, route)  # another thread did so meanwhile


def forget(known: dict[Origin, tuple[Route, Entry[Any]]], route: Route) -> None:
    """The key of a route has no entry any more."""
    if route.origin is not None:
        known.pop(route.origin, None)
