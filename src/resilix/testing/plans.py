# pyright: reportPrivateUsage=false
# What plans, fates and doors say to each other is no business of a user's.
"""What every fault plan is: a policy that decides what befalls a call, and counts what it did."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from resilix import events
from resilix.clock import SYSTEM
from resilix.core import options
from resilix.core.options import Seconds
from resilix.core.verdict import refuse_async
from resilix.errors import ResilixWarning
from resilix.events import HUB
from resilix.locks import RLock
from resilix.policies.base import Guard
from resilix.policies.fates import LATENCY, Fate
from resilix.policies.functions import AnyCallable, is_awaitable, promises_awaitable
from resilix.policies.target import Target
from resilix.runtime import loop_runs
from resilix.tally import TALLY
from resilix.testing.plan_records import PASS, PASSED, Counts, Decision, Entry, Occasion, account, no_plan, span
from resilix.testing.switch import HOW, POLICY, SWITCH

MOST_LOGGED: Final = 256
"""How many calls a plan remembers."""


class Plan(Guard):
    """Decides what befalls each call; made by the functions of this module, and put together of others.

    Example::

        slow_then_dead = faults.latency(0.5).during(seconds=10) | faults.outage(start=10, seconds=30)

    ``a & b``: both befall each call; their delays add up, and the first fault stands. ``a | b``: what ``a`` lets pass
    unharmed is for ``b``. A plan that is part of another counts what it decided; the whole counts what befell.

    It is a policy too, to stand innermost in a pipeline or as a decorator. One plan serves threads and event loops at
    once: it decides under a lock of its own, and never runs your code under it.
    """

    kind = POLICY

    def __init__(self, text: str, *parts: Plan) -> None:
        self._text = text
        self._parts = parts
        self._lock = RLock()  # a finalizer may make a call, anywhere
        self._parked: set[Any] = set()
        self._releases = 0
        self._warned, self._misused = False, ""
        self._began: tuple[float, Callable[[], float], int] | None = None
        self._start_over()
        SWITCH.add(self)

    def _start_over(self) -> None:
        self._numbers = self._calls = self._passed = self._skipped = 0
        self._faults: dict[str, int] = {}
        self._delayed = 0.0
        self._log: deque[Entry] = deque(maxlen=MOST_LOGGED)

    # -- putting together --------------------------------------------------------------------------------------

    def __and__(self, other: object) -> Plan:
        if not isinstance(other, Plan):
            raise no_plan(self, "&", other, wrong=other)
        return Both(self, other)

    def __or__(self, other: object) -> Plan:
        if not isinstance(other, Plan):
            raise no_plan(self, "|", other, wrong=other)
        return Either(self, other)

    def __rand__(self, other: object) -> Plan:
        raise no_plan(other, "&", self, wrong=other)

    def __ror__(self, other: object) -> Plan:
        raise no_plan(other, "|", self, wrong=other)

    def during(self, *, start: Seconds = 0.0, seconds: Seconds | None = None) -> Plan:
        """The same plan for a while only; before and after, calls pass.

        Example::

            faults.rate(0.5, fault=ConnectionError).during(start=10, seconds=30)

        Args:
            start: Seconds after the plan was put in force, by the policies' clock; 0: at once. A plan is put in force
                when ``inject`` begins, or, where it stands in a pipeline or a client, with the first call it sees after
                faults were switched on.
            seconds: How long; ``None``: for good.

        Raises:
            ConfigurationError: One of them is no duration.
        """
        return During(self, *span("Plan.during", start, seconds))

    def when(self, predicate: Callable[[Occasion], object]) -> Plan:
        """The same plan for calls that a predicate picks; others pass.

        Example::

            faults.status(503).when(lambda call: call.request.url.path == "/ACME")

        Args:
            predicate: Told the call as an ``Occasion``. What it raises, the call raises.

        Raises:
            ConfigurationError: It is no function, or a coroutine function.
        """
        refuse_async("Plan.when", "predicate", options.function("Plan.when", "predicate", predicate, "call"))
        return When(self, predicate)

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """What it did so far."""
        with self._lock:
            return Counts(self._calls, self._passed, self._skipped, dict(self._faults), self._delayed)

    @property
    def log(self) -> tuple[Entry, ...]:
        """What befell the last calls, oldest first; at most 256 are remembered."""
        with self._lock:
            return tuple(self._log)

    def __repr__(self) -> str:
        return self._text

    def _brief(self) -> str:
        """The same inside a plan of this module's."""
        return repr(self).removeprefix("faults.")

    def __str__(self) -> str:
        return account(repr(self), self.counts, self.log)

    # -- by hand -----------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Start over as if it had just been made: counts, log, sequences, chance, time; hanging calls are let go.

        Example::

            plan.reset()
        """
        self.release()
        self._renew()

    def _renew(self) -> None:
        """The same for all plans at once, when a test begins; who hangs hangs on, as calls in flight do."""
        with self._lock:
            self._start_over()
            self._began = None
        for part in self._parts:
            part._renew()

    def release(self) -> None:
        """Let all calls go that hang now: each ends with ``TimeoutError``. Later ones hang again.

        Happens by itself where ``inject`` or ``enabled`` ends.

        Example::

            plan.release()
        """
        with self._lock:
            self._releases += 1
            parked, self._parked = self._parked, set()
        for parker in parked:
            with suppress(RuntimeError):  # its event loop has ended
                parker.wake()

    # -- a call ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """It is put in force now."""
        clock = SYSTEM.now
        now = clock()
        with self._lock:
            self._began = (now, clock, SWITCH.turns)
            self._misused = ""

    def _meet(
        self,
        name: str,
        label: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        request: Any = None,
        function: AnyCallable | None = None,
    ) -> Fate | None:
        """Decide about one call; ``None`` while faults are switched off."""
        if not SWITCH.on():
            self._skip()
            return None
        now, clock = SYSTEM.now(), SYSTEM.now
        with self._lock:
            began = self._began
            if began is None or began[1:] != (clock, SWITCH.turns):
                began = self._began = (now, clock, SWITCH.turns)
            self._numbers += 1
            number, releases = self._numbers, self._releases
        occasion = Occasion(number, now - began[0], name, label, args, kwargs or {}, request, function)
        try:
            decision = self._consult(occasion)
        except Exception as error:
            self._misused = f"{self!r} raised {type(error).__name__} itself: {error}"
            raise
        fault = decision.fault
        if fault is not None or decision.delay > 0:
            kind = LATENCY if fault is None else fault.kind
            TALLY.add("faults", name, kind)
            if HUB.listeners:
                HUB.emit(events.FaultInjected(policy=POLICY, name=name, fault=kind, delay=decision.delay))
        return Fate(self, label, decision.delay, fault, releases)

    def _consult(self, occasion: Occasion) -> Decision:
        """Decide, and write it down."""
        decision = self._decide(occasion)
        what = PASSED if decision.fault is None else decision.fault.text
        entry = Entry(occasion.number, occasion.at, occasion.label, what, decision.delay)
        with self._lock:
            self._calls += 1
            if decision.fault is None:
                self._passed += 1
            else:
                self._faults[what] = self._faults.get(what, 0) + 1
            self._delayed += decision.delay
            self._log.append(entry)
        return decision

    def _decide(self, occasion: Occasion) -> Decision:
        """What befalls this call."""
        raise NotImplementedError

    def _skip(self) -> None:
        with self._lock:
            self._skipped += 1
            warned, self._warned = self._warned, True
        if not warned:
            warnings.warn(
                f"{self!r} lets every call through, because faults are switched off; {HOW}",
                ResilixWarning,
                stacklevel=2,
            )

    def _park(self, fate: Fate, parker: Any) -> bool:
        """A call is about to hang; False when the plan was released since its fate was decided."""
        with self._lock:
            if fate.releases != self._releases:
                return False
            self._parked.add(parker)
            return True

    def _unpark(self, parker: Any) -> None:
        """It hangs no more."""
        with self._lock:
            self._parked.discard(parker)

    def _cut_short(self, seconds: float) -> None:
        """So much of a wait that was counted did not take place."""
        with self._lock:
            self._delayed -= seconds

    def _after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, and none of them hangs here."""
        self._lock = RLock()
        self._parked = set()

    def _bind(self, target: Target) -> AnyCallable:
        fn = target.fn

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            label = target.label(args)
            fate = self._meet(label, label, target.arguments(args), kwargs, None, target.function(args))
            if fate is not None:
                await fate.abefall()
            result = fn(*args, **kwargs)
            return await result if is_awaitable(result) else result

        if target.is_async:
            return awaited

        def called(*args: Any, **kwargs: Any) -> Any:
            if promises_awaitable(target.function(args)) and loop_runs():
                return awaited(*args, **kwargs)
            label = target.label(args)
            fate = self._meet(label, label, target.arguments(args), kwargs, None, target.function(args))
            if fate is not None:
                fate.befall()
            return fn(*args, **kwargs)

        return called


class Both(Plan):
    """Two plans that both befall each call."""

    def __init__(self, one: Plan, other: Plan) -> None:
        super().__init__(f"({one!r} & {other!r})", one, other)

    def _decide(self, occasion: Occasion) -> Decision:
        """Delays add up; the first fault stands."""
        one, other = (part._consult(occasion) for part in self._parts)
        return Decision(one.delay + other.delay, one.fault or other.fault)


class Either(Plan):
    """A plan, and another for what it lets pass unharmed."""

    def __init__(self, one: Plan, other: Plan) -> None:
        super().__init__(f"({one!r} | {other!r})", one, other)

    def _decide(self, occasion: Occasion) -> Decision:
        """The first that does anything stands, and the other is not asked."""
        one, other = self._parts
        first = one._consult(occasion)
        return other._consult(occasion) if first == PASS else first


class During(Plan):
    """A plan for a while."""

    def __init__(self, plan: Plan, start: float, end: float) -> None:
        length = "" if end == float("inf") else f", seconds={end - start:g}"
        super().__init__(f"{plan!r}.during(start={start:g}{length})", plan)
        self._start, self._end = start, end

    def _decide(self, occasion: Occasion) -> Decision:
        """Only in time; the beginning is part of it, the end is not."""
        return self._parts[0]._consult(occasion) if self._start <= occasion.at < self._end else PASS


class When(Plan):
    """A plan for some calls."""

    def __init__(self, plan: Plan, predicate: Callable[[Occasion], object]) -> None:
        name = getattr(predicate, "__name__", type(predicate).__name__)
        super().__init__(f"{plan!r}.when({name})", plan)
        self._predicate = predicate

    def _decide(self, occasion: Occasion) -> Decision:
        """Only those that the predicate picks."""
        return self._parts[0]._consult(occasion) if self._predicate(occasion) else PASS
