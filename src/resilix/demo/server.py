"""The server: a process of its own that speaks HTTP/1.1 over sockets and falls ill as the script says.

It works like most servers: a fixed number of workers, a waiting room in front of them, 503 when that is full. A call
that was let in is worked on to its end, even when its client has given up meanwhile: the server cannot know.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Coroutine
from typing import Any

from resilix.demo.child import Orders, live, say
from resilix.demo.messages import Load, Ready
from resilix.demo.script import Phase, phase_at, script_for
from resilix.demo.settings import Settings

TELL_EVERY = 0.1
"""Seconds between two reports of the load."""


class SickServer:
    """Answers ``GET /price/<request>?attempt=<n>``.

    A call's luck hangs on the seed, the request and the attempt alone, so both sides have the same.
    """

    def __init__(self, settings: Settings) -> None:
        self._seed = settings.seed
        self._script = script_for(settings)
        self._workers = asyncio.Semaphore(settings.workers)
        self._room = settings.waiting_room
        self._start = float("inf")
        self.calls = {phase.name: 0 for phase in self._script}
        self.busy = 0
        self.waiting = 0

    def begin(self, moment: float) -> None:
        """Start the script at this reading of the monotonic clock."""
        self._start = moment

    def elapsed(self) -> float:
        """Seconds since the start of the script."""
        return time.monotonic() - self._start

    def _phase(self) -> Phase:
        return phase_at(self._script, self.elapsed())

    def load(self) -> Load:
        """What it bears."""
        return Load(at=self.elapsed(), calls=dict(self.calls), busy=self.busy, waiting=self.waiting)

    async def answer(self, request: str, attempt: str) -> tuple[int, bytes]:
        """Bear one call. Status and body."""
        luck = random.Random(f"{self._seed}:{request}:{attempt}")
        door, error, speed = luck.random(), luck.random(), luck.random()
        phase = self._phase()
        self.calls[phase.name] += 1
        if phase.down and door < phase.errors:
            return 503, b"down"
        if self.waiting >= self._room:
            return 503, b"full"
        self.waiting += 1
        try:
            await self._workers.acquire()
        finally:
            self.waiting -= 1
        self.busy += 1
        try:
            return await self._work(error, speed)
        finally:
            self.busy -= 1
            self._workers.release()

    async def _work(self, error: float, speed: float) -> tuple[int, bytes]:
        phase = self._phase()  # not that of the arrival: it may have waited for long
        if phase.down:
            await asyncio.sleep(max(0.0, phase.end - self.elapsed()))
            return 503, b"was stuck"
        await asyncio.sleep(phase.fastest + speed * (phase.slowest - phase.fastest))
        if error < phase.errors:
            return 503, b"sick"
        return 200, json.dumps({"price": round(100 + 10 * speed, 2)}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one connection until it ends."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._respond(head)
                writer.write(
                    f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _respond(self, head: bytes) -> tuple[int, bytes]:
        method, _, rest = head.decode("latin-1").partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        if method != "GET" or not path.startswith("/price/"):
            return 404, b"there is only GET /price/<request>"
        return await self.answer(path.removeprefix("/price/"), query.removeprefix("attempt="))


async def _live(orders: Orders, settings: Settings) -> None:
    sick = SickServer(settings)
    server = await asyncio.start_server(sick.serve, "127.0.0.1", 0, backlog=1024)
    try:
        say(Ready(port=server.sockets[0].getsockname()[1]))
        sick.begin(await orders.start())
        while True:
            await asyncio.sleep(TELL_EVERY)
            say(sick.load())
    finally:
        server.close()


def main(arguments: list[str]) -> None:
    """Run until stdin is closed. The one argument: the settings as JSON."""
    settings = Settings(**json.loads(arguments[0]))

    def serving(orders: Orders) -> Coroutine[Any, Any, None]:
        return _live(orders, settings)

    live(serving)
