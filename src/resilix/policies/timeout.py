"""``timeout``: stop waiting for what takes too long."""

from __future__ import annotations

import math
import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Never

from resilix import events
from resilix.clock import SYSTEM
from resilix.core import options
from resilix.core.deadline import DEADLINE
from resilix.core.options import Seconds, checked
from resilix.core.permits import HELD, Hold
from resilix.errors import BulkheadFullError, TimeoutExceededError
from resilix.events import HUB
from resilix.policies.base import Guard
from resilix.policies.functions import PLAIN, AnyCallable, is_awaitable, promises_awaitable
from resilix.policies.quiet import Quiet, with_quiet
from resilix.policies.target import Target, continue_async
from resilix.policies.time_left import check_deadline
from resilix.runtime import RUNTIME, Expiry, in_trio, loop_runs
from resilix.tally import TALLY
from resilix.workers import POOL, AbandonedCalls, Job

if TYPE_CHECKING:
    from resilix.ledger import Ledger

MOST_ABANDONED = 64
"""How many abandoned calls one timeout policy may leave running before it refuses further ones."""


QUIET = """
if deadline.attended and (deadline.in_force() or runtime.driver.virtual) or trio in modules and in_trio():
    result = PLAIN
else:
    loop = running_loop()
    page = ledger.page
    if page.loop is not loop:
        page = ledger.page_of(loop)
    task = current_task(loop)
    live = page.live
    if task is None or task in live:
        result = PLAIN
    else:
        time = page.time
        live[task] = (time() + seconds, task.cancelling())
        if not page.armed:
            page.arm()
        try:
            result = INNER
        except BaseException as error:
            if page.leave(task, error):
                raise expired(CALL) from error
            raise
        try:
            del live[task]
        except KeyError:
            page.fired(task, None)
"""
"""Write the call down in the ledger of its event loop, and cross it out.

The clock is taken off the page before it is called: Python 3.11 does not specialize calls of what is in a slot.
"""


class Timeout(Guard):
    """Made by :func:`timeout`, where its options are described."""

    kind = "timeout"

    def __init__(self, seconds: float, *, cooperative: bool) -> None:
        self._seconds = seconds
        self._cooperative = cooperative
        self._abandoned = AbandonedCalls()
        self._ledger: Ledger | None = None

    def __repr__(self) -> str:
        return f"timeout({self._seconds:g}{', cooperative=True' if self._cooperative else ''})"

    @property
    def seconds(self) -> float:
        """How long a call is given."""
        return self._seconds

    @property
    def cooperative(self) -> bool:
        """Whether it only sets a deadline."""
        return self._cooperative

    @property
    def abandoned(self) -> int:
        """Sync calls that go on in their worker thread although nobody waits for them any more."""
        return len(self._abandoned)

    def _bind(self, target: Target) -> AnyCallable:
        if self._cooperative:
            return self._bind_cooperative_async(target) if target.is_async else self._bind_cooperative(target)
        if target.is_async:
            return self._bind_async(target)
        HELD.use()  # from now on a call may outlive its caller, and keep the places it holds
        if target.serves_many or promises_awaitable(target.user):
            return self._bind_promising(target)
        return self._bind_sync(target)

    # -- cooperative ---------------------------------------------------------------------------------------

    def _narrow(self, label: str) -> Any:
        now = SYSTEM.now()
        if DEADLINE.used:
            check_deadline(self.kind, label)
        return DEADLINE.narrow(now + self._seconds)

    def _bind_cooperative(self, target: Target) -> AnyCallable:
        fn, plain = target.fn, PLAIN

        def narrowed(*args: Any, **kwargs: Any) -> Any:
            token = self._narrow(target.label(args))
            try:
                result = fn(*args, **kwargs)
            finally:
                DEADLINE.restore(token)
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return narrowed

    def _bind_cooperative_async(self, target: Target) -> AnyCallable:
        fn = target.fn

        async def narrowed(*args: Any, **kwargs: Any) -> Any:
            token = self._narrow(target.label(args))
            try:
                return await fn(*args, **kwargs)
            finally:
                DEADLINE.restore(token)

        return narrowed

    # -- sync ----------------------------------------------------------------------------------------------

    def _bind_promising(self, target: Target) -> AnyCallable:
        """For a function that may say it hands back something to await: it may need its caller's event loop."""
        fn, plain, in_worker = target.fn, PLAIN, self._bind_sync(target)
        any_function = target.serves_many

        def handed(*args: Any, **kwargs: Any) -> Any:
            if not loop_runs() or (any_function and not promises_awaitable(args[0])):
                return in_worker(*args, **kwargs)
            token = DEADLINE.narrow(SYSTEM.now() + self._limit(target, args))
            try:
                result = fn(*args, **kwargs)
            finally:
                DEADLINE.restore(token)
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return handed

    def _bind_sync(self, target: Target) -> AnyCallable:
        fn, plain = target.fn, PLAIN

        def timed(*args: Any, **kwargs: Any) -> Any:
            limit, label = self._limit(target, args), target.label
            if len(self._abandoned) >= MOST_ABANDONED:
                self._refuse_abandoned(label(args))
            context = copy_context()
            context.run(DEADLINE.narrow, SYSTEM.now() + limit)
            job = Job(context, fn, args, kwargs)
            try:
                POOL.submit(job)
                ended = job.wait(limit)
            except BaseException:
                if job.given:
                    self._abandon(job)  # the caller was interrupted: the call goes on without it
                raise
            if not ended and self._abandon(job):
                self._expired(limit, label(args), abandoned=True)
                raise TimeoutExceededError(limit, label(args))
            result = job.take()
            if type(result) not in plain and is_awaitable(result):
                return continue_async(self, target, result, args, kwargs)
            return result

        return timed

    def _refuse_abandoned(self, label: str) -> Never:
        if HUB.listeners:
            HUB.emit(events.CallRefused(policy=self.kind, name=label, kind="bulkhead_full"))
        error = BulkheadFullError(f"{self!r} of {label}", limit=MOST_ABANDONED)
        error.add_note(
            f"{self.abandoned} calls that ran out of time are still running in their worker threads, which "
            "cannot be stopped. Give the function a timeout of its own (a socket's, say), or use cooperative=True."
        )
        raise error

    def _abandon(self, job: Job) -> bool:
        """Leave a call to itself. The places it runs under stay taken until it ends."""
        held = HELD.current()
        for hold in held:
            hold.retain()

        def ended() -> None:
            self._abandoned.discard(job)
            _drop(held)

        self._abandoned.add(job)
        if job.abandon(ended):
            return True
        ended()  # it ended at the last moment after all
        return False

    # -- async ---------------------------------------------------------------------------------------------

    def _bind_async(self, target: Target) -> AnyCallable:
        import asyncio  # keeps the import of resilix cheap for programs without async

        from resilix.ledger import Ledger

        ledger = self._ledger
        if ledger is None:
            ledger = self._ledger = Ledger()
        fn, seconds, runtime, deadline = target.fn, self._seconds, RUNTIME, DEADLINE
        running_loop, current_task = asyncio.get_running_loop, asyncio.current_task
        # The policies inside learn how long they have; a function alone is simply cancelled.
        narrows = bool(target.inner)

        async def timed(*args: Any, **kwargs: Any) -> Any:
            if narrows or deadline.in_force() or runtime.driver.virtual or in_trio():
                return await attended(args, kwargs)
            loop = running_loop()
            task = current_task(loop)
            page = ledger.page
            if page.loop is not loop:
                page = ledger.page_of(loop)
            if task is None:
                return await attended(args, kwargs)  # says what is wrong
            if task in page.live:
                return await under_expiry(seconds, args, kwargs)  # entered again: a page has one line per task
            page.enter(task, seconds)
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                if page.leave(task, error):
                    raise expired(args, kwargs) from error
                raise
            page.leave(task, None)
            return result

        def expired(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TimeoutExceededError:
            self._expired(seconds, target.label(args), abandoned=False)
            return TimeoutExceededError(seconds, target.label(args))

        async def attended(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            limit = self._limit(target, args)
            token = deadline.narrow(SYSTEM.now() + limit) if narrows else None
            try:
                if in_trio():
                    return await under_scope(limit, args, kwargs)
                return await under_expiry(limit, args, kwargs)
            finally:
                if token is not None:
                    deadline.restore(token)

        async def under_scope(limit: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with runtime.driver.scope(limit):
                return await fn(*args, **kwargs)
            # Only a scope that ended its own block gets here.
            self._expired(limit, target.label(args), abandoned=False)
            raise TimeoutExceededError(limit, target.label(args))

        async def under_expiry(limit: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            expiry = Expiry(limit)
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                if expiry.end(error):
                    self._expired(limit, target.label(args), abandoned=False)
                    raise TimeoutExceededError(limit, target.label(args)) from error
                raise
            expiry.end(None)
            return result

        if narrows:
            return timed
        names = {
            "deadline": deadline, "runtime": runtime, "modules": sys.modules, "trio": "trio", "in_trio": in_trio,
            "running_loop": running_loop, "current_task": current_task, "ledger": ledger, "seconds": seconds,
            "expired": expired,
        }  # fmt: skip
        return with_quiet(timed, Quiet(QUIET, names))

    # -- both ----------------------------------------------------------------------------------------------

    def _limit(self, target: Target, args: tuple[Any, ...]) -> float:
        """Seconds this call has: ours, or what the deadline around it leaves. Never zero: then it does not start."""
        if not DEADLINE.used:
            return self._seconds
        left = DEADLINE.remaining(SYSTEM.now())
        if left <= 0:
            check_deadline(self.kind, target.label(args))
        return min(self._seconds, left) if left < math.inf else self._seconds

    def _expired(self, limit: float, label: str, *, abandoned: bool) -> None:
        TALLY.add("timeouts", label, "abandoned" if abandoned else "cancelled")
        if HUB.listeners:
            HUB.emit(events.TimedOut(policy=self.kind, name=label, seconds=limit, abandoned=abandoned))


def _drop(held: tuple[Hold, ...]) -> None:
    for hold in held:
        hold.drop()


@checked("timeout", "timeout(2.0)", method=False)
def timeout(seconds: Seconds, *, cooperative: bool = False) -> Timeout:
    """Give a call so many seconds, and raise ``TimeoutExceededError`` when it takes longer.

    ``async def``: the call is cancelled, on asyncio and on trio. Its expiry is told from a ``TimeoutError`` of your own
    code by our own scope, and an outer cancellation is never lost. The policies it is stacked on learn how long they
    have; a function by itself is simply cancelled, and ``deadline.remaining()`` in it tells of outer ones only.

    ``def``: a thread cannot be stopped. The call runs in a worker thread, with your context variables; when the time is
    over the caller goes on and the call is *abandoned*: it keeps running, and the bulkhead places it holds stay taken,
    until it ends by itself. With 64 of them still running, further calls are refused with ``BulkheadFullError``.
    A ``def`` that is annotated to hand back something to await (``-> asyncio.Task[int]``) and is called where an event
    loop runs is called right there, because it may need the loop; the awaiting is what gets the seconds.

    Example::

        @timeout(2.0)
        async def price(symbol: str) -> int: ...

    Args:
        seconds: More than zero.
        cooperative: Only set the deadline that inner policies and your code (``deadline.remaining()``) obey; no worker
            thread, no cancellation.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    The rule whose cancellation it was is that of ``asyncio.timeout`` (CPython).
    """
    limit = options.duration("timeout", "seconds", seconds)
    return Timeout(limit, cooperative=options.flag("timeout", "cooperative", cooperative))
