"""What a circuit breaker does around a call: the shells it binds, and how a call is admitted and reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from resilix import events
from resilix.attention import ATTENTION, GIL
from resilix.clock import SYSTEM, TimeSource
from resilix.core.breaker import BreakerCore
from resilix.core.counting import Count
from resilix.core.deadline import DEADLINE
from resilix.core.era import CircuitState, Era, Refusal, Ticket
from resilix.core.judge import Judge
from resilix.core.verdict import Verdict
from resilix.errors import CircuitOpenError, circuit_open
from resilix.events import HUB
from resilix.policies.announce import KIND, Announcer
from resilix.policies.base import Guard
from resilix.policies.breaker_quiet import QUIET, QUIET_LAZY, QUIET_SLOW
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.quiet import Quiet, with_quiet
from resilix.policies.target import Target, continue_async
from resilix.policies.time_left import must_look, refuse_deadline


class BreakerCalls(Guard):
    """The part of a circuit breaker that calls go through."""

    kind = KIND

    _name: str
    _clock: TimeSource
    _core: BreakerCore
    _judge: Judge
    _announcer: Announcer

    def _admit(self, now: float) -> Ticket:
        core = self._core
        admitted = core.admit(now)
        try:
            if core.changes:
                self._announcer.flush()
                if isinstance(admitted, Refusal):
                    # A lease had run out long ago, and the opening that followed may be over as well.
                    admitted = core.admit(now)
                    self._announcer.flush()
            if isinstance(admitted, Refusal):
                raise self._refusal(admitted.retry_after, admitted.reason)
            if HUB.listeners:
                HUB.emit(events.CallAdmitted(policy=self.kind, name=self._name))
                if admitted.era.state is CircuitState.HALF_OPEN:
                    HUB.emit(events.ProbeAdmitted(policy=self.kind, name=self._name, lease=core.settings.probe_lease))
        except BaseException:
            # An interrupt in a listener, say: the call will not be made.
            if isinstance(admitted, Ticket):
                core.settle(admitted, Verdict.IGNORED, now, slow=False)
            raise
        return admitted

    def _refusal(self, retry_after: float | None, reason: str) -> CircuitOpenError:
        if GIL:
            self._core.rejected += 1
        else:
            self._core.refused()
        if HUB.listeners:
            HUB.emit(
                events.CallRefused(policy=self.kind, name=self._name, kind="circuit_open", retry_after=retry_after)
            )
        return circuit_open(self._name, retry_after, reason)

    def _settle(self, ticket: Ticket, verdict: Verdict) -> None:
        core = self._core
        now = self._clock.now()
        core.settle(ticket, verdict, now, slow=now - ticket.started > core.slow_after)
        if core.changes:
            self._announcer.flush()

    def _conclude(self, ticket: Ticket, judge: Callable[[Any], Verdict], outcome: object) -> None:
        """Judge an outcome and report it. An interrupt in a predicate gives the permit back too."""
        verdict = Verdict.IGNORED
        try:
            verdict = judge(outcome)
        finally:
            self._settle(ticket, verdict)

    def _report(self, era: Era, verdict: Verdict) -> None:
        """Count the outcome of a call that was admitted on the quiet path, where it is more than one more success."""
        self._core.report(era, verdict, self._clock.now())
        if self._core.changes:
            self._announcer.flush()

    def _succeeded(self, era: Era) -> None:
        self._report(era, Verdict.SUCCESS)

    def _failed(self, era: Era, error: BaseException) -> None:
        self._report(era, self._judge.error(error))

    def _succeeded_slow(self, era: Era, began: float, now: float) -> None:
        core = self._core
        core.report(era, Verdict.SUCCESS, now, slow=now - began > core.slow_after)
        if core.changes:
            self._announcer.flush()

    def _failed_slow(self, era: Era, error: BaseException, began: float) -> None:
        core, verdict = self._core, self._judge.error(error)
        now = self._clock.now()
        core.report(era, verdict, now, slow=now - began > core.slow_after)
        if core.changes:
            self._announcer.flush()

    def _count(self, era: Era, now: float) -> None:
        """Count the success of a call that was admitted on the quiet path; with a GIL nothing comes between."""
        counter = era.counter
        if counter is None or now >= counter.edge:
            self._report(era, Verdict.SUCCESS)
        elif GIL:
            counter.n += 1.0
        else:
            number = counter.tick()
            if era.counter is not counter:
                self._overtaken(era, counter, number)

    def _overtaken(self, era: Era, counter: Count, number: int) -> None:
        self._core.overtaken(era, counter, number, self._clock.now())
        if self._core.changes:
            self._announcer.flush()

    def _look(self) -> Era | None:
        """The era, if a call may go the quiet way although something in this process attends to calls."""
        return None if ATTENTION.wanted and must_look() else self._core.calm

    def _look_slow(self) -> Era | None:
        return None if ATTENTION.wanted and must_look() else self._core.calm_slow

    def _seconds_left(self) -> float:
        """How long it stays open, if a call is refused and there is nothing more to look at; else 0."""
        left = self._core.era.until - self._clock.now()
        return 0.0 if left <= 0.0 or (ATTENTION.wanted and must_look()) else left

    def _refused(self, left: float) -> CircuitOpenError:
        """The refusal of such a call: raised in the frame of the woven function.

        Every frame that an error goes through costs as much as a call of a decorator that does nothing.
        """
        core = self._core
        core.rejected += 1
        return circuit_open(self._name, None if left == math.inf else left, core.era.reason)

    def _refused_under_lock(self, left: float) -> CircuitOpenError:
        """The same without a GIL."""
        core = self._core
        core.refused()
        return circuit_open(self._name, None if left == math.inf else left, core.era.reason)

    def _look_lazy(self) -> Era | None:
        calm = self._look()
        return calm if calm is not None and calm.window.edge == math.inf else None

    def _open(self, era: Era, now: float) -> CircuitOpenError:
        until = era.until
        return self._refusal(None if until == math.inf else until - now, era.reason)

    def _begin(self) -> Era | Ticket:
        """Admit a call that goes on when the function has returned (a streamed answer); give the proof to _end."""
        era = self._core.calm
        return self._admit(self._clock.now()) if era is None or HUB.listeners else era

    def _end(self, proof: Era | Ticket, verdict: Verdict) -> None:
        """Say how a call begun by hand ended; once only."""
        if isinstance(proof, Ticket):
            self._settle(proof, verdict)
        elif verdict is Verdict.SUCCESS:
            self._count(proof, self._clock.now())
        else:
            self._report(proof, verdict)

    def _bind(self, target: Target) -> AnyCallable:
        shell = self._bind_async(target) if target.is_async else self._bind_sync(target)
        return with_quiet(shell, self._quiet())

    def _quiet(self) -> Quiet:
        """The quiet case for the options it has now; where they change, the gate of this one stays shut."""
        core = self._core
        names = {
            "core": core,
            "clock": self._clock,
            "seconds_left": self._seconds_left,
            "refusal": self._refused if GIL else self._refused_under_lock,
            "overtaken": self._overtaken,
        }
        if core.settings.slow_after is not None:
            names |= {"look": self._look_slow, "failed": self._failed_slow, "succeeded": self._succeeded_slow}
            return Quiet(QUIET_SLOW, names)
        names |= {"look": self._look, "failed": self._failed, "succeeded": self._succeeded}
        if core.era.window.edge == math.inf:
            return Quiet(QUIET_LAZY, names | {"look": self._look_lazy})
        return Quiet(QUIET, names)

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, core, clock, plain = target.fn, self._core, self._clock, PLAIN
        hub, deadline = HUB, DEADLINE

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if deadline.used and deadline.remaining(SYSTEM.now()) <= 0:
                refuse_deadline(self.kind, target.label(args), name=self._name)
            era = core.calm
            if era is None or hub.listeners:
                return attended(args, kwargs)
            timed = era.window.edge != math.inf
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._failed(era, error)
                raise
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            self._count(era, clock.now() if timed else -math.inf)
            return result

        def attended(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            now = clock.now()
            era = core.era
            if now < era.until:
                raise self._open(era, now)
            ticket = self._admit(now)
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._conclude(ticket, self._judge.error, error)
                raise
            if type(result) not in plain and is_awaitable(result):
                core.withdraw(ticket)
                return continue_async(self, target, result, args, kwargs)
            self._conclude(ticket, self._judge.result, result)
            return result

        return guarded

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, core, clock = target.fn, self._core, self._clock
        hub, deadline = HUB, DEADLINE

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            if deadline.used and deadline.remaining(SYSTEM.now()) <= 0:
                refuse_deadline(self.kind, target.label(args), name=self._name)
            era = core.calm
            if era is None or hub.listeners:
                return await attended(args, kwargs)
            timed = era.window.edge != math.inf
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                self._failed(era, error)
                raise
            self._count(era, clock.now() if timed else -math.inf)
            return result

        async def attended(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            now = clock.now()
            era = core.era
            if now < era.until:
                raise self._open(era, now)
            ticket = self._admit(now)
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                self._conclude(ticket, self._judge.error, error)
                raise
            self._conclude(ticket, self._judge.result, result)
            return result

        return guarded
