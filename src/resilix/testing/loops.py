"""Event loops in virtual time: they say by themselves when they have nothing to do.

A loop says *idle* when nothing is ready to run: then sleeps may end. It says *quiet* when, in addition, nothing has
come in for real for a while: then limits may expire. Any wait that begins or ends in it takes that back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from resilix.testing.timeline import Entry

YIELDS = 25
"""Rounds an asyncio loop turns before it counts as idle: as many steps may lead from one wait to the next."""

TICK = 0.005
TICKS = 10
"""An asyncio loop is quiet after so many real ticks. Counted, so that a machine that stops for a moment changes
nothing: the loop takes in what has arrived before each of them."""


class State(IntEnum):
    """What a loop last said."""

    BUSY = 0
    IDLE = 1
    QUIET = 2


class Listener(Protocol):
    """Whom a loop tells.

    Attributes:
        epoch: Counts the waits that began or ended, wherever.
    """

    epoch: int

    @property
    def limited(self) -> bool:
        """Whether a limit waits anywhere, so that being quiet matters."""
        ...

    def report(self, party: Party, state: State) -> None:
        """A loop has come to rest."""

    def reached(self, party: Party) -> None:
        """What was sent to a loop from outside has arrived."""


class Party:
    """One event loop. Its fields change under the conductor's lock.

    Attributes:
        thread: The thread it runs in.
        state: What it last said, or BUSY since something happened in it.
        as_of: The epoch when it began to find out whether it is at rest. What others sent it before that had arrived.
        epoch: The same of what it last said.
        owed: How much was sent to it that it has not received yet. Until then it knows nothing of it, and what it says
            does not count.
    """

    def __init__(self, listener: Listener) -> None:
        self.thread = threading.current_thread()
        self.state = State.BUSY
        self.epoch = self.as_of = -1
        self.owed = 0
        self._listener = listener

    @property
    def running(self) -> bool:
        """Whether it can be asked anything."""
        raise NotImplementedError

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop run a callback soon, from any thread; RuntimeError when it has ended."""
        raise NotImplementedError

    def stir(self) -> None:
        """Something happened in the loop: find out anew when it comes to rest. In its own thread."""
        raise NotImplementedError

    def close(self) -> None:
        """The block has ended: leave nothing behind in the loop."""

    def ask(self) -> bool:
        """Have the loop find out anew, from any thread; False when it has ended."""
        self.state = State.BUSY
        try:
            if self.thread is threading.current_thread():
                self.stir()
            else:
                self.owed += 1
                self.post(self._reached)
        except RuntimeError:
            return False
        return True

    def _reached(self) -> None:
        self._listener.reached(self)
        self.stir()

    def deliver(self, entries: list[Entry]) -> None:
        """Wake those whose time has come, in order, from any thread. Where the loop has ended, nobody is left."""

        def arrive() -> None:
            # In one piece: between two, the loop could come to rest with some of them still on their way.
            self._reached()
            for one in entries:
                one.run()

        with suppress(RuntimeError):
            self.post(arrive)


class AsyncioParty(Party):
    """An asyncio loop. It is idle when it has turned a number of rounds and no wait began or ended."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener)
        self.loop = loop
        self._yields = 0
        self._ticks = 0
        self._turning = False
        self._tick: asyncio.TimerHandle | None = None
        self._context = Context()  # an own one: that of the caller would be kept alive

    @property
    def running(self) -> bool:
        """Whether it turns."""
        return self.loop.is_running()

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop run a callback soon."""
        if self.thread is threading.current_thread():
            self.loop.call_soon(callback, context=self._context)
        else:
            self.loop.call_soon_threadsafe(callback, context=self._context)

    def stir(self) -> None:
        """Begin to count anew."""
        self.state = State.BUSY
        self.as_of = self._listener.epoch
        self._ticks = 0
        self._yields = YIELDS
        self._stop_tick()
        if not self._turning:
            self._turning = True
            self.loop.call_soon(self._turn, context=self._context)

    def _turn(self) -> None:
        if self._yields > 0:
            self._yields -= 1
            self.loop.call_soon(self._turn, context=self._context)
            return
        self._turning = False
        self._listener.report(self, State.QUIET if self._ticks >= TICKS else State.IDLE)
        if self.state is State.IDLE and self._listener.limited:
            self._tick = self.loop.call_later(TICK, self._ticked, context=self._context)

    def _ticked(self) -> None:
        self._tick = None
        self._ticks += 1
        if self._ticks < TICKS:
            self._tick = self.loop.call_later(TICK, self._ticked, context=self._context)
        else:
            self._turning = True
            self._yields = YIELDS
            self.loop.call_soon(self._turn, context=self._context)

    def _stop_tick(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None


class TrioParty(Party):
    """A trio run. trio itself knows when all its tasks are blocked."""

    def __init__(self, listener: Listener) -> None:
        import trio  # optional, and running when we get here

        super().__init__(listener)
        self._token = trio.lowlevel.current_trio_token()
        self._stirred = 0
        self._watching = False
        self._ended = False
        self._scope = trio.CancelScope()
        self._life = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._live, context=Context())

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended

    def post(self, callback: Callable[[], object]) -> None:
        """Have the run call something soon."""
        self._token.run_sync_soon(callback)

    def close(self) -> None:
        """Leave nothing behind in the run."""
        with suppress(RuntimeError):
            self.post(self._life.cancel)

    async def _live(self) -> None:
        import trio  # as above

        try:
            with self._life:
                await trio.sleep_forever()
        finally:
            self._ended = True  # trio cancels its system tasks when the main task is done

    def stir(self) -> None:
        """Begin to watch anew."""
        import trio  # as above

        self.state = State.BUSY
        self._stirred += 1
        self._scope.cancel()  # a look at how things were before
        if not self._watching:
            self._watching = True
            trio.lowlevel.spawn_system_task(self._watch, context=Context())

    async def _watch(self) -> None:
        import trio  # as above
        from trio.testing import wait_all_tasks_blocked

        try:
            quiet_next = False
            while True:
                seen = self._stirred
                if not quiet_next:
                    self.as_of = self._listener.epoch
                with trio.CancelScope() as self._scope:
                    await wait_all_tasks_blocked(TICK * TICKS if quiet_next else 0.0)
                if seen != self._stirred:
                    quiet_next = False
                    continue
                self._listener.report(self, State.QUIET if quiet_next else State.IDLE)
                if self.state is State.BUSY:
                    quiet_next = False  # it was woken: the callbacks are on their way
                elif quiet_next or not self._listener.limited:
                    return
                else:
                    quiet_next = True
        finally:
            self._watching = False
