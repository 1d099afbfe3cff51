"""``timed``: how long calls and attempts take, as histograms. The policy is in ``resilix.prometheus``."""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, Histogram

from resilix.clock import SYSTEM
from resilix.core.options import refuse
from resilix.errors import ConfigurationError, RejectedError
from resilix.events import HUB
from resilix.locks import RLock
from resilix.policies.base import Guard
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.target import Target, continue_async
from resilix.telemetry.prom_metrics import multiprocess
from resilix.telemetry.readings import MOST_NAMES, OTHER

Scope: TypeAlias = Literal["call", "attempt"]
Outcome: TypeAlias = Literal["success", "failure", "rejected", "timeout", "cancelled"]

OWNER: Final = "timed"
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""
HELP: Final[dict[Scope, str]] = {
    "call": "How long calls took, waits and retries included.",
    "attempt": "How long single attempts took.",
}
WITH_TIMEOUTS: Final = ("httpx", "httpx2")
"""Libraries whose ``TimeoutException`` is no ``TimeoutError``."""


class Durations:
    """The histogram of one scope in one registry, shared by everybody who is timed there.

    Attributes:
        buckets: Its upper bounds.
    """

    def __init__(self, scope: Scope, buckets: tuple[float, ...], registry: CollectorRegistry) -> None:
        self.buckets = buckets
        self._names: set[str] = set()
        name = f"resilix_{scope}_duration_seconds"
        try:
            self._histogram = Histogram(name, HELP[scope], ("policy", "outcome"), registry=registry, buckets=buckets)
        except ValueError as error:
            raise ConfigurationError(
                f"{OWNER}(scope={scope!r}): somebody else has put {name} into this registry; take it out, or write "
                "registry=CollectorRegistry()"
            ) from error

    def label(self, name: str) -> str:
        """What a policy is called here: its name, or "other" beyond the bound."""
        with _LOCK:
            if name not in self._names:
                if len(self._names) >= MOST_NAMES:
                    return OTHER
                self._names.add(name)
        return name

    def of(self, label: str, outcome: Outcome) -> Callable[[float], None]:
        """What takes the durations of one series."""
        observe: Callable[[float], None] = self._histogram.labels(label, outcome).observe
        return observe


_LOCK = RLock()
_DURATIONS: weakref.WeakKeyDictionary[CollectorRegistry, dict[Scope, Durations]] = weakref.WeakKeyDictionary()
_SHARED: dict[Scope, Durations] = {}
"""In multiprocess mode, where all registries write into the same files."""


def durations(scope: Scope, buckets: Sequence[float] | None, registry: CollectorRegistry) -> Durations:
    """The histogram of a scope in a registry; made when it is first asked for.

    Args:
        scope: Calls or attempts.
        buckets: Upper bounds in seconds; ``None`` for those it has, or the default ones.
        registry: Where it is.

    Raises:
        ConfigurationError: It has other buckets already, or these are none.
    """
    wanted = None if buckets is None else _bounds(buckets)
    with _LOCK:
        known = _SHARED if multiprocess() else _DURATIONS.setdefault(registry, {})
        if scope not in known:
            known[scope] = Durations(scope, wanted or BUCKETS, registry)
        made = known[scope]
    if wanted not in (None, made.buckets):
        raise refuse(
            OWNER, "buckets", buckets,
            f"the histogram of each {scope} in this registry has {made.buckets} already, and all names share it",
            "give the same ones everywhere, or leave them out after the first",
        )  # fmt: skip
    return made


def _bounds(buckets: Any) -> tuple[float, ...]:
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError):
        bounds = ()
    rising = all(low < high for low, high in itertools.pairwise(bounds))
    if not bounds or not rising or not bounds[0] > 0 or bounds[-1] == float("inf"):
        raise refuse(
            OWNER, "buckets", buckets,
            "they are upper bounds in seconds, above 0 and rising; what is longer than the last is counted anyway",
            "write buckets=(0.01, 0.1, 1.0, 10.0), say",
        )  # fmt: skip
    return bounds


class Timed(Guard):
    """Made by ``resilix.prometheus.timed``, where its options are described."""

    kind = "timed"

    def __init__(self, name: str, scope: Scope, shared: Durations) -> None:
        self._name = name
        self._scope: Scope = scope
        self._shared = shared
        self._label = shared.label(name)
        self._series: dict[Outcome, Callable[[float], None]] = {}

    def __repr__(self) -> str:
        return f"timed({self._name!r}, scope={self._scope!r})"

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    @property
    def scope(self) -> Scope:
        """Whether it stands around calls or attempts."""
        return self._scope

    def _bind(self, target: Target) -> AnyCallable:
        return self._bind_async(target) if target.is_async else self._bind_sync(target)

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain, clock = target.fn, PLAIN, SYSTEM

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock.now()
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._observe(outcome_of(error), started)
                raise
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            self._observe(_of_result(target, result), started)
            return result

        return timed

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, clock = target.fn, SYSTEM

        async def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock.now()
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                self._observe(outcome_of(error), started)
                raise
            self._observe(_of_result(target, result), started)
            return result

        return timed

    def _observe(self, outcome: Outcome, started: float) -> None:
        try:
            observe = self._series.get(outcome)
            if observe is None:
                observe = self._series[outcome] = self._shared.of(self._label, outcome)
            observe(max(0.0, SYSTEM.now() - started))
        except Exception as error:  # the disk of multiprocess mode is full, say: no reason for the call to fail
            HUB.hook_failed(self.kind, self._name, "histogram", error)


def outcome_of(error: BaseException) -> Outcome:
    """The label for what a call ended with."""
    if not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, RejectedError):
        return "rejected"
    if isinstance(error, (TimeoutError, *_timeouts())):
        return "timeout"
    return "failure"


def _timeouts() -> list[type[BaseException]]:
    """The timeouts of the HTTP libraries that are in use; none is imported for it."""
    found = [getattr(sys.modules.get(library), "TimeoutException", None) for library in WITH_TIMEOUTS]
    return [one for one in found if one is not None]


def _of_result(target: Target, result: Any) -> Outcome:
    """An answer is a success unless who made the target knows better: to HTTP, 503 is none."""
    return "success" if target.outcomes is None or target.outcomes.good(result) else "failure"
