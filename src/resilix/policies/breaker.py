"""``CircuitBreaker``: stop calling what is down, find out gently when it is back."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tenacity.wait import wait_base

from resilix.clock import SYSTEM, TimeSource
from resilix.core import options
from resilix.core.breaker import BreakerCore
from resilix.core.deadline import DEADLINE
from resilix.core.era import CircuitState, Mode
from resilix.core.history import Totals
from resilix.core.judge import Judge, judge_of
from resilix.core.options import Seconds, checked
from resilix.core.settings import MIN_CALLS, OWNER, BreakerSettings, Calls, read_settings
from resilix.core.verdict import On, Verdict
from resilix.events import HUB
from resilix.locks import Lock
from resilix.policies.announce import Announcer
from resilix.policies.breaker_calls import BreakerCalls
from resilix.policies.permit import Permit
from resilix.policies.registry import REGISTRY
from resilix.policies.time_left import check_deadline

if TYPE_CHECKING:
    from resilix.core.snapshot import BreakerSnapshot

JUDGING = ("on", "ignore", "on_result")


class CircuitBreaker(BreakerCalls):
    """Refuses calls to a dependency that keeps failing, and lets a probe through now and then to see if it is back.

    Make one per dependency, keep it, share it: between threads, event loops, ``def`` and ``async def``.

    Example::

        quotes = CircuitBreaker("quotes", on=ConnectionError, open_for=30.0)

        @quotes
        def price(symbol: str) -> int: ...

    It opens on ``consecutive`` failures in a row, or when the share of failed (or slow) calls in the window reaches
    a threshold. An outcome is a success, a failure, or *ignored*: cancellation, exceptions that nothing names and
    refusals by other policies of ours count as nothing.

    Args:
        name: What operators see in metrics, events and errors.
        on: What counts as a failure: a type, a tuple of types, a predicate, or a tenacity retry object. Only
            ``Exception`` can count.
        ignore: What never counts, although ``on`` names it; the same forms.
        on_result: A predicate: a result for which it is true counts as a failure.
        failure_rate: Share of failures in the window that opens it, 0 to 1, inclusive; ``None`` switches the rule off.
        slow_rate: The same for slow calls; needs ``slow_after``.
        slow_after: Seconds; a call that takes strictly longer is slow. ``None``: none is.
        consecutive: Failures in a row that open it; ``None`` switches the rule off.
        window: Seconds the rates look back, precise to a tenth of it or better, or ``calls(n)`` for the last n calls.
        min_calls: Calls the window must hold before a rate counts; for ``calls(n)`` with a smaller n, n.
        open_for: Seconds it stays open; or a function of the opening's number (1, 2, …); or any tenacity wait, such
            as ``wait_exponential(multiplier=5, max=300)``.
        probes: Results of probes that are needed to decide, and so the most in flight while half-open.
        probe_failures: How many of them may fail; one more reopens it.
        probe_lease: Seconds a probe has; then it counts as failed, and its late outcome changes nothing.
        clock: Returns seconds and never runs backwards; for tests, see also ``resilix.testing.virtual_time``.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    The state machine follows Nygard's "Release It!"; eras follow the generation number of sony/gobreaker; the joint
    rule of failures in a row and a rate follows the breaker of linkerd2-proxy.
    """

    @checked(OWNER, 'CircuitBreaker("quotes", on=ConnectionError)')
    def __init__(
        self,
        name: str,
        *,
        on: On = Exception,
        ignore: On = (),
        on_result: Callable[[Any], object] | None = None,
        failure_rate: float | None = 0.5,
        slow_rate: float | None = None,
        slow_after: Seconds | None = None,
        consecutive: int | None = 10,
        window: Seconds | Calls = 30.0,
        min_calls: int = MIN_CALLS,
        open_for: Seconds | Callable[[int], Seconds] | wait_base = 30.0,
        probes: int = 1,
        probe_failures: int = 0,
        probe_lease: Seconds = 60.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._name = options.name_of(OWNER, name)
        if clock is not None:
            options.function(OWNER, "clock", clock, "")
        self._clock = SYSTEM if clock is None else TimeSource(clock)
        chosen = {
            "on": on, "ignore": ignore, "on_result": on_result, "failure_rate": failure_rate,
            "slow_rate": slow_rate, "slow_after": slow_after, "consecutive": consecutive, "window": window,
            "min_calls": min_calls, "open_for": open_for, "probes": probes, "probe_failures": probe_failures,
            "probe_lease": probe_lease,
        }  # fmt: skip
        self._options = _unusual(chosen)
        self._judge, settings = self._read(chosen)
        self._core = BreakerCore(settings, _first_reading(self._clock), watchful=self._judge.judges_results)
        self._announcer = Announcer(self._core, self._name)
        REGISTRY.add("CircuitBreaker", self, stacklevel=3)

    def _read(self, chosen: dict[str, Any]) -> tuple[Judge, BreakerSettings]:
        judge = judge_of(OWNER, **{key: chosen[key] for key in JUDGING}, hook_error=self._hook_error)
        return judge, read_settings(**{key: value for key, value in chosen.items() if key not in JUDGING})

    def _all_options(self) -> dict[str, Any]:
        return {**_defaults(), **self._options}

    def _hook_error(self, hook: str, error: Exception) -> None:
        HUB.hook_failed(self.kind, self._name, hook, error)

    def __repr__(self) -> str:
        return f"CircuitBreaker({self._name!r}, {self._core.era.state.value})"

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    @property
    def state(self) -> CircuitState:
        """Closed, open or half-open. An opening that is over still reads open until a probe is admitted."""
        return self._core.era.state

    def now(self) -> float:
        """The reading of its clock, which ``snapshot().since`` is one of."""
        return self._clock.now()

    def snapshot(self) -> BreakerSnapshot:
        """Describe this moment in one frozen object; reading changes nothing.

        Example::

            quotes.snapshot().retry_after
        """
        return self._core.snapshot(self._name, self._clock.now())

    def totals(self) -> Totals:
        """What became of every call since it was made; these counts only grow.

        Example::

            quotes.totals().failure
        """
        return self._core.totals()

    @property
    def failure_rate(self) -> float | None:
        """The share of failed calls that opens it; ``None`` when that rule is off."""
        rate: float | None = self._all_options()["failure_rate"]
        return rate

    @property
    def transitions(self) -> dict[tuple[str, str], int]:
        """How often it went from one state to another, both by name."""
        return dict(self._announcer.transitions)

    # -- a person takes over -------------------------------------------------------------------------------

    def open(self, for_: Seconds | None = None, reason: str = "manual") -> None:
        """Open it now.

        Example::

            quotes.open(for_=120, reason="maintenance")

        Args:
            for_: Seconds until the first probe; ``None`` for as long as an opening by itself would last.
            reason: What the refused callers are told.

        Raises:
            ConfigurationError: ``for_`` is not a duration above zero.
        """
        length = None if for_ is None else options.duration("CircuitBreaker.open", "for_", for_)
        self._core.open(self._clock.now(), length, reason)
        self._announcer.flush()

    def close(self) -> None:
        """Close it with empty windows; ends ``open``, ``force_open``, ``disable`` and ``observe`` too."""
        self._core.take(self._clock.now(), Mode.NORMAL, "closed by hand")
        self._announcer.flush()

    def force_open(self) -> None:
        """Refuse everything, without probes, until ``close()`` or another of these is called."""
        self._core.take(self._clock.now(), Mode.FORCED_OPEN, "forced open")
        self._announcer.flush()

    def disable(self) -> None:
        """Let everything through and count nothing, until ``close()`` or another of these is called."""
        self._core.take(self._clock.now(), Mode.DISABLED, "disabled")
        self._announcer.flush()

    def observe(self) -> None:
        """Count, but never refuse: a ``TripObserved`` event says when it would have opened."""
        self._core.take(self._clock.now(), Mode.OBSERVING, "observing")
        self._announcer.flush()

    def reconfigure(self, **changes: Any) -> None:
        """Change options while it runs; state, counts and calls in flight are kept.

        A window of the same kind is resized with what it holds; one of the other kind starts empty. The next outcome is
        judged by the new rules. An opening under way keeps its length.

        Example::

            quotes.reconfigure(failure_rate=0.3, open_for=60.0)

        Args:
            changes: The options of the constructor, but for ``name`` and ``clock``.

        Raises:
            ConfigurationError: An option is unknown or cannot mean anything sensible; nothing was changed.
        """
        known_options = self._all_options()
        for option in changes:
            if option not in known_options:
                known = ", ".join(known_options)
                raise options.refuse(
                    "CircuitBreaker.reconfigure",
                    option,
                    changes[option],
                    "there is no such option",
                    f"there are {known}",
                )
        while True:
            before = self._options
            chosen = {**self._all_options(), **changes}
            judge, settings = self._read(chosen)
            now = self._clock.now()
            with _Reconfiguring.lock:
                # Checking them may run user code, so it was done before; another thread may have been faster.
                if self._options is before:
                    self._options, self._judge = _unusual(chosen), judge
                    self._core.reconfigure(settings, now, watchful=judge.judges_results)
                    break
        self._announcer.flush()

    # -- calls ---------------------------------------------------------------------------------------------

    def acquire(self) -> Permit:
        """Ask for leave to make one call, and say afterwards how it went.

        Example::

            with quotes.acquire():
                fetch("ACME")

        Raises:
            CircuitOpenError: It is open, or all its probes are out.
            DeadlineExpiredError: The deadline around this call has passed.
        """
        if DEADLINE.used:
            check_deadline(self.kind, self._name, name=self._name)
        ticket = self._admit(self._clock.now())

        def settle(verdict: Verdict) -> None:
            self._settle(ticket, verdict)

        return Permit(settle, self._judge.error)

    def _attend(self) -> None:
        self._core.attend()

    def _renew(self) -> None:
        try:
            now = _first_reading(self._clock)
        except Exception:  # a clock of the user's that has come to its end: nobody will tell the time by it
            now = self._core.era.since
        self._core.renew(now)
        self._announcer.forget()

    def _after_fork(self) -> None:
        self._core.after_fork()
        self._announcer.after_fork()


class _Reconfiguring:
    """Held while a breaker's options are exchanged, which takes no time and is rare: one for all."""

    lock = Lock()


_USUAL: dict[str, Any] = {}
"""What all breakers share that have none but default options."""


@functools.cache
def _defaults() -> dict[str, Any]:
    """The options of a breaker that was given none, in the order of the constructor."""
    given = inspect.signature(CircuitBreaker).parameters.values()
    return {one.name: one.default for one in given if one.name not in ("name", "clock")}


def _unusual(chosen: dict[str, Any]) -> dict[str, Any]:
    """The options that are not the defaults: a program may have a hundred thousand breakers."""
    usual = _defaults()
    return {name: value for name, value in chosen.items() if value is not usual[name]} or _USUAL


def _after_fork() -> None:
    _Reconfiguring.lock = Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _first_reading(clock: TimeSource) -> float:
    now: object = clock.now()
    if isinstance(now, bool) or not isinstance(now, (int, float)) or not math.isfinite(now):
        raise options.refuse(
            OWNER, "clock", clock.now, f"it gave {now!r}, and it must give seconds", "write clock=time.monotonic"
        )
    return now
