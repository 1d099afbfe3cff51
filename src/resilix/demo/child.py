"""The part that the started processes share: they speak on stdout, and live while their stdin is open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from resilix.demo.messages import Message, encode


def say(message: Message) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(encode(message))
    sys.stdout.flush()


class Orders:
    """What comes in on stdin: first a line with the moment of the start, then nothing until it is closed.

    When it is closed, whoever started us has ended, however it ended; then we end as well. So no process can be left.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start: asyncio.Future[float] = self._loop.create_future()
        self._closed = asyncio.Event()
        # os.read, not sys.stdin: a daemon thread inside a buffered reader upsets the interpreter's exit.
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def _read(self) -> None:
        heard = b""
        while piece := os.read(0, 4096):
            heard += piece
            if b"\n" in heard:
                self._tell(self._set_start, float(heard.split(b"\n")[0]))
        self._tell(self._closed.set)

    def _tell(self, callback: Any, *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending anyway
            self._loop.call_soon_threadsafe(callback, *args)

    def _set_start(self, moment: float) -> None:
        if not self._start.done():
            self._start.set_result(moment)

    async def start(self) -> float:
        """Wait for the start: a reading of the monotonic clock, which all processes of a machine share."""
        return await self._start

    async def closed(self) -> None:
        """Wait until nobody needs us any more."""
        await self._closed.wait()


async def _until_closed(orders: Orders, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    end = asyncio.create_task(orders.closed())
    await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not task.done():
        task.cancel()
    await asyncio.gather(task, end, return_exceptions=True)
    if not task.cancelled():
        task.result()


def live(make: Callable[[Orders], Coroutine[Any, Any, None]]) -> None:
    """Run ``make(orders)``, a coroutine, until it ends or stdin is closed."""

    async def main() -> None:
        orders = Orders()
        await _until_closed(orders, make(orders))

    try:
        asyncio.run(main())
    except BrokenPipeError:
        # Nobody listens any more. Without this, the interpreter would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
