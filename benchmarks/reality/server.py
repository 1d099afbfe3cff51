"""Dependencies in a process of their own, over real sockets: ``python -m benchmarks.reality.server``.

Written apart from ``resilix.testing.simulation``, so that a mistake there is not made here too: places are tasks that
really wait, work is done by the machine's clock, and a request whose client has gone is worked on to the end.

One line of JSON comes in with the dependencies, one goes out with their ports; then the moment at which all scripts
begin (``time.monotonic()`` is one clock for all processes of a machine); then, at the end, an empty line, and what
happened goes out.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time
from typing import Any

from benchmarks.reality.work import Episode, Event, Plan


class Dependency:
    """One of them.

    Attributes:
        events: What happened, and when.
    """

    def __init__(self, plan: Plan) -> None:
        self.events: list[tuple[float, Event]] = []
        self._plan = plan
        self._line: asyncio.Queue[asyncio.Future[bool]] = asyncio.Queue()
        self._chance = random.Random(f"{plan['seed']} real")
        self._begin = math.inf
        self._places: list[asyncio.Task[None]] = []

    async def listen(self) -> int:
        """Open a port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def begin(self, moment: float) -> None:
        """The script begins at this moment."""
        self._begin = moment
        self._places = [asyncio.create_task(self._work()) for _ in range(self._plan["capacity"])]

    def _now(self) -> float:
        return time.monotonic() - self._begin

    def _note(self, event: Event) -> None:
        self.events.append((self._now(), event))

    def _episode(self) -> Episode | None:
        now = self._now()
        return next((one for one in self._plan["script"] if one["start"] <= now < one["end"]), None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not await reader.readline():
                return
            self._note("arrived")
            done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            gone = asyncio.create_task(reader.read())
            gone.add_done_callback(lambda _: done.cancel())
            episode = self._episode()
            if episode is not None and episode["fails_after"] is not None:
                await asyncio.sleep(episode["fails_after"])
                if not done.cancelled():
                    done.set_result(False)
            else:
                self._line.put_nowait(done)
            await asyncio.wait([done])
            if not done.cancelled():
                self._note("answered" if done.result() else "failed")
                writer.write(b"ok\n" if done.result() else b"error\n")
                await writer.drain()
            gone.cancel()
        except ConnectionError:
            return  # the client has gone
        finally:
            writer.close()

    async def _work(self) -> None:
        """One place: works on one request after the other."""
        while True:
            done = await self._line.get()
            await self._spend(self._chance.uniform(*self._plan["service"]))
            if done.cancelled():
                self._note("wasted")
            else:
                done.set_result(True)

    async def _spend(self, work: float) -> None:
        """Do so many seconds of work, as fast as it works just now."""
        while work > 0:
            began, episode = self._now(), self._episode()
            speed = 1.0 if episode is None else episode["speed"]
            turns = [at for one in self._plan["script"] for at in (one["start"], one["end"]) if at > began]
            longest = min(turns, default=math.inf) - began
            await asyncio.sleep(min(work / speed if speed else math.inf, longest))
            work -= (self._now() - began) * speed


async def _main() -> None:
    loop = asyncio.get_running_loop()

    async def told() -> Any:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        return json.loads(line or "null")

    dependencies = [Dependency(plan) for plan in await told()]
    sys.stdout.write(json.dumps([await one.listen() for one in dependencies]) + "\n")
    sys.stdout.flush()
    moment = await told()
    if moment is None:
        return
    for one in dependencies:
        one.begin(moment)
    await told()
    sys.stdout.write(json.dumps([one.events for one in dependencies]) + "\n")
    sys.stdout.flush()
    await told()  # nothing comes: who made this process ends it, or has ended


if __name__ == "__main__":
    asyncio.run(_main())
