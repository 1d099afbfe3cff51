"""The part of a ``FaultServer`` that lives in a thread of its own: the event loop, the listener, the connections."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final

from resilix.testing.fault_connection import Connection
from resilix.testing.fault_door import Door
from resilix.testing.fault_http import Head
from resilix.testing.fault_plan import Plan
from resilix.testing.fault_record import Record, Records
from resilix.testing.fault_steps import Step

PATIENCE: Final = 5.0
"""Seconds the thread has to react; only a function in a script that blocks can make it take so long."""
TURNS: Final = 5
"""Of the loop, until what the system has received already is accounted for: poll, read, wake, act, close."""
GLANCE: Final = 0.5
"""Seconds that who asks what was seen waits for those turns at most."""


class Engine:
    """One run of a server, from start to stop. Its coroutines run in its own thread.

    Attributes:
        accepted: Connections accepted.
        open: Connections open now.
    """

    def __init__(self, host: str, port: int, plan: Plan, records: Records, name: str) -> None:
        self.accepted = 0
        self.open: set[Connection] = set()
        self._door = Door(host, port, self._enter)
        self._plan, self._records = plan, records
        self._name = f"resilix-fault-server-{name}"
        self._loop: asyncio.AbstractEventLoop
        self._going: asyncio.Event
        self._over: asyncio.Event
        self._empty: asyncio.Event
        self._alarm: asyncio.TimerHandle | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._greetings: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread

    # -- from any thread -----------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._door.port

    def start(self) -> None:
        """Start the thread and wait until it listens.

        Raises:
            OSError: The port is taken, or the address is not this machine's.
        """
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:  # it failed, or somebody pressed Ctrl-C here
            if not ready.cancel() and ready.exception() is None:
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            raise

    def stop(self) -> None:
        """End everything and wait for the thread."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError("this FaultServer does not stop: a function in a script blocks its thread")

    @property
    def inside(self) -> bool:
        """Whether the caller is the engine's own thread: a function in a script."""
        return threading.current_thread() is self._thread

    def call(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something done and wait for it; a function in a script has it done right after it."""
        if self.inside:
            self._begin(work(), self._errands)
            return
        try:
            asyncio.run_coroutine_threadsafe(work(), self._loop).result(PATIENCE)
        except TimeoutError:
            raise RuntimeError("this FaultServer does not react: a function in a script blocks its thread") from None

    def settle(self) -> None:
        """Wait until what clients have sent or closed by now is accounted for."""
        if self.inside:
            return
        done = threading.Event()

        def turn(left: int, accepted: int) -> None:
            if accepted != self.accepted:  # more may wait to be accepted than fit in one turn
                left = TURNS
            if left:
                self._loop.call_soon(turn, left - 1, self.accepted)
            else:
                done.set()

        try:
            self._loop.call_soon_threadsafe(turn, TURNS, self.accepted)
        except RuntimeError:  # it has been stopped meanwhile
            return
        done.wait(GLANCE)

    # -- life ----------------------------------------------------------------------------------------------

    def _run(self, ready: Future[None]) -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._live(ready))
        except BaseException as error:
            if ready.cancelled():
                return
            if ready.done():
                raise
            ready.set_exception(error)

    async def _live(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._going, self._over, self._empty = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._going.set()
        self._empty.set()
        await self.listen()
        if ready.set_running_or_notify_cancel():
            ready.set_result(None)
            await self._over.wait()
        if self._errands:
            await asyncio.wait(self._errands)
        self._door.shut(reserve=False)
        await self._end()

    async def listen(self) -> None:
        """Listen on the port; the first time, on any free one."""
        self._door.listen()

    async def refuse(self) -> None:
        """Listen no more and end every connection, whatever it waits for."""
        self._door.shut(reserve=True)
        await self._end()

    async def _end(self) -> None:
        if self._greetings:
            await asyncio.wait(self._greetings)
        for connection in list(self.open):
            if connection.task is not None:
                connection.task.cancel()
            connection.drop()
        await self._empty.wait()

    def _enter(self, accepted: socket.socket) -> None:
        self._begin(self._greet(accepted), self._greetings)

    async def _greet(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: Connection(self), accepted)
        except BaseException:
            accepted.close()
            raise

    def _begin(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def stall(self, seconds: float | None) -> None:
        """Answer nothing from now on."""
        await self.resume()
        self._going.clear()
        if seconds is not None:
            self._alarm = self._loop.call_later(seconds, self._going.set)

    async def resume(self) -> None:
        """Answer again."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._going.set()

    # -- for its connections -------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> bool:
        """A connection came. Whether it may stay: some were just being accepted when listening ended."""
        self.open.add(connection)
        self._empty.clear()
        if not self._door.open:
            return False
        self.accepted += 1
        connection.number = self.accepted
        return True

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self.open.discard(connection)
        if not self.open:
            self._empty.set()

    def first_step(self) -> Step | None:
        """What happens on a new connection before anything is read."""
        return self._plan.first()

    def arrived(self, head: Head, connection: int, at: float) -> tuple[Record, Step]:
        """A head has been read: count it and say what answers it."""
        record = self._records.add(head, connection, at)
        step = self._plan.take(record)
        record.answered_by(repr(step))
        return record, step

    def failed(self, error: Exception) -> None:
        """A step raised."""
        self._plan.errors.append(error)

    async def flowing(self) -> None:
        """Wait for what functions in scripts began, and while the server is stalled."""
        while self._errands:
            await asyncio.wait(self._errands)
        await self._going.wait()
