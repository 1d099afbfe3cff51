"""What a bulkhead does around a call: the shells it binds, and how a place is taken and given back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Never

from resilix import events
from resilix.attention import ATTENTION, GIL
from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.core.permits import HELD, Hold, PermitQueue
from resilix.core.tokens import Holding, Token, TokenQueue
from resilix.errors import BulkheadFullError, bulkhead_full
from resilix.events import HUB
from resilix.policies.base import Guard
from resilix.policies.bulkhead_quiet import QUIET
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable
from resilix.policies.quiet import Live, Quiet, with_quiet
from resilix.policies.target import Target, continue_async
from resilix.policies.time_left import must_look, refuse_deadline
from resilix.runtime import ThreadParker, async_parker


class BulkheadCalls(Guard):
    """The part of a bulkhead that calls go through."""

    kind = "bulkhead"

    _name: str
    _queue: PermitQueue
    _max_wait: float
    _late: int

    def _bind(self, target: Target) -> AnyCallable:
        shell = self._bind_async(target) if target.is_async else self._bind_sync(target)
        names = {
            "queue": Live(lambda: self._queue),
            "lend": self._lend if GIL else self._lend_token,
            "refuses": self._refuses if GIL else self._refuses_tokens,
            "refusal": self._refused if GIL else self._refused_under_lock,
            "IndexError": IndexError,
        }
        return with_quiet(shell, Quiet(QUIET, names))

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain, deadline, held = target.fn, PLAIN, DEADLINE, HELD
        impatient = self._max_wait <= 0

        def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if queue.free < 1 or not GIL:
                if impatient and queue.idle < 1 and not deadline.used:
                    self._refuse(queue, 0.0)
                return attended(queue, args, kwargs)
            queue.free -= 1
            try:
                result = fn(*args, **kwargs)
            finally:
                if not queue.busy:
                    queue.free += 1
                elif not queue.waiting:
                    queue.kept += 1
                else:
                    queue.give_back()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hold = Holding(queue)
            try:
                self._enter(hold, target.label(args))
                token = held.push(hold)
                try:
                    result = fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                if GIL and hold.needed == 1 and not queue.waiting:
                    hold.needed = 0
                    if queue.busy:
                        queue.kept += 1
                    else:
                        queue.free += 1
                else:
                    hold.drop()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return placed

    def _bind_async(self, target: Target) -> AnyCallable:
        fn, deadline, held = target.fn, DEADLINE, HELD
        impatient = self._max_wait <= 0

        async def placed(*args: Any, **kwargs: Any) -> Any:
            queue = self._queue
            if queue.free < 1 or not GIL:
                if impatient and queue.idle < 1 and not deadline.used:
                    self._refuse(queue, 0.0)
                return await attended(queue, args, kwargs)
            queue.free -= 1
            try:
                return await fn(*args, **kwargs)
            finally:
                if not queue.busy:
                    queue.free += 1
                elif not queue.waiting:
                    queue.kept += 1
                else:
                    queue.give_back()

        async def attended(queue: PermitQueue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hold = Holding(queue)
            try:
                await self._aenter(hold, target.label(args))
                token = held.push(hold)
                try:
                    return await fn(*args, **kwargs)
                finally:
                    held.pop(token)
            finally:
                if GIL and hold.needed == 1 and not queue.waiting:
                    hold.needed = 0
                    if queue.busy:
                        queue.kept += 1
                    else:
                        queue.free += 1
                else:
                    hold.drop()

        return placed

    # -- getting a place -----------------------------------------------------------------------------------
    # Whoever calls these drops the hold when they raise, so they need not clean up, wherever they are interrupted.

    def _enter(self, hold: Hold, label: str) -> None:
        if not self._take(hold, label):
            parker = ThreadParker(self._awaited())
            started, longest = self._line_up(hold, parker.wake)
            if not hold.needed:
                parker.park(longest)
                self._end_of_wait(hold, started, longest, label)
        if HUB.listeners:
            HUB.emit(events.CallAdmitted(policy=self.kind, name=self._name))

    async def _aenter(self, hold: Hold, label: str) -> None:
        if not self._take(hold, label):
            parker = async_parker(self._awaited())
            started, longest = self._line_up(hold, parker.wake)
            if not hold.needed:
                await parker.park(longest)
                self._end_of_wait(hold, started, longest, label)
        if HUB.listeners:
            HUB.emit(events.CallAdmitted(policy=self.kind, name=self._name))

    def _awaited(self) -> str:
        return f'a place in bulkhead "{self._name}"'

    def _begin(self, label: str) -> Hold | PermitQueue:
        """Take a place for a call that goes on when the function has returned; give the proof to _end."""
        queue = self._queue
        if GIL and queue.free > 0:
            queue.free -= 1
            return queue
        hold = Holding(queue)
        try:
            self._enter(hold, label)
        except BaseException:
            hold.drop()
            raise
        return hold

    async def _abegin(self, label: str) -> Hold | PermitQueue:
        """The same, async."""
        queue = self._queue
        if GIL and queue.free > 0:
            return self._begin(label)
        hold = Holding(queue)
        try:
            await self._aenter(hold, label)
        except BaseException:
            hold.drop()
            raise
        return hold

    @staticmethod
    def _end(proof: Hold | PermitQueue) -> None:
        """Give the place of a call begun by hand back; once only."""
        if isinstance(proof, Hold):
            proof.drop()
        elif proof.busy:
            proof.give_back()
        else:
            proof.free += 1

    def _lend(self) -> int:
        """How many places a call may take the quiet way although something in this process attends to calls.

        It is the caller's next step to take one: nobody comes between.
        """
        queue = self._queue
        if not queue.kept or HELD.used or (ATTENTION.wanted and must_look()):
            return 0
        if queue.kept:
            queue.kept -= 1
            queue.free += 1
        return queue.free

    def _lend_token(self) -> Token | None:
        """The same without a GIL: a place, which the call has then."""
        queue = self._queue
        if type(queue) is not TokenQueue or HELD.used or (ATTENTION.wanted and must_look()):
            return None
        return queue.lend()

    def _refuses(self) -> bool:
        """Whether a call is refused, and there is nothing more to look at."""
        queue = self._queue
        return queue.free + queue.kept < 1 and self._max_wait <= 0 and not (ATTENTION.wanted and must_look())

    def _refused(self) -> BulkheadFullError:
        """The refusal of such a call: raised in the frame of the woven function."""
        queue = self._queue
        queue.rejected += 1
        return bulkhead_full(self._name, queue.limit, 0.0)

    def _refuses_tokens(self) -> bool:
        """The same without a GIL."""
        return self._queue.idle < 1 and self._max_wait <= 0 and not (ATTENTION.wanted and must_look())

    def _refused_under_lock(self) -> BulkheadFullError:
        """The same without a GIL."""
        queue = self._queue
        queue.reject()
        return bulkhead_full(self._name, queue.limit, 0.0)

    def _take(self, hold: Hold, label: str) -> bool:
        """Take a free place. False when there is none and the caller may wait for one."""
        if DEADLINE.used and DEADLINE.remaining(SYSTEM.now()) <= 0:
            self._refuse_late(hold.queue, label)
        if hold.take():
            return True
        if self._max_wait <= 0:
            self._refuse(hold.queue, 0.0)
        return False

    def _line_up(self, hold: Hold, wake: Callable[[], object]) -> tuple[float, float | None]:
        """Join the queue. The time, and seconds to wait at most, ``None`` for no bound."""
        if not hold.enqueue(wake):
            self._refuse(hold.queue, 0.0)
        started = SYSTEM.now()
        longest = min(self._max_wait, max(0.0, DEADLINE.remaining(started)))
        return started, None if longest == math.inf else longest

    def _end_of_wait(self, hold: Hold, started: float, longest: float | None, label: str) -> None:
        now = SYSTEM.now()
        # Which bound ended the wait is told by which was the nearer, not by the time: timers may be early or late.
        deadline_nearer = longest is not None and longest < self._max_wait
        late = DEADLINE.remaining(now) <= 0 or (deadline_nearer and not hold.needed)
        if hold.needed and not late:
            return
        hold.drop()  # before the listeners take their time
        if late:
            self._refuse_late(hold.queue, label)
        self._refuse(hold.queue, now - started)

    def _refuse(self, queue: PermitQueue, waited: float) -> Never:
        raise self._refusal(queue, waited)

    def _refusal(self, queue: PermitQueue, waited: float) -> BulkheadFullError:
        if GIL:
            queue.rejected += 1
        else:
            queue.reject()
        if HUB.listeners:
            HUB.emit(events.CallRefused(policy=self.kind, name=self._name, kind="bulkhead_full"))
        return bulkhead_full(self._name, queue.limit, waited)

    def _refuse_late(self, queue: PermitQueue, label: str) -> Never:
        queue.reject()
        self._late += 1
        refuse_deadline(self.kind, label, name=self._name)
