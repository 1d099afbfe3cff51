"""One side's stream of requests: a process of its own that makes them when they are due, come what may.

An open loop: a request begins at its moment, whether or not the earlier ones have ended, as users do. Both sides have
the same moments.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from resilix import events
from resilix.demo.child import Orders, live, say
from resilix.demo.guarded import Guarded
from resilix.demo.messages import FAILED, GUARDED, Answered, Done, Gauges, Happened, Quote, Ready
from resilix.demo.settings import Settings
from resilix.demo.unguarded import Unguarded

TELL_EVERY = 0.1
"""Seconds between two reports of the policies."""


class Stream:
    """The requests of one side.

    Attributes:
        latest: Seconds the most delayed request began after it was due.
        surprises: Errors nobody expects, as text.
    """

    def __init__(self, side: Guarded | Unguarded, settings: Settings, start: float) -> None:
        self._side = side
        self._settings = settings
        self._start = start
        self.latest = 0.0
        self.surprises: list[str] = []

    async def run(self) -> None:
        """Make all requests, and wait until each is over."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.requests):
                due = self._start + number / self._settings.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self.latest = max(self.latest, time.monotonic() - due)
                group.create_task(self._request(number, due))

    async def _request(self, number: int, due: float) -> None:
        made = [0]
        quote = await self.ask(number, made)
        now = time.monotonic()
        outcome, age = (FAILED, 0.0) if quote is None else (quote.source, now - quote.since)
        say(Answered(at=due - self._start, latency=now - due, outcome=outcome, attempts=made[0], age=age))

    async def ask(self, number: int, made: list[int]) -> Quote | None:
        """Make one request now. Its answer, or ``None`` when it failed."""
        try:
            return await self._side.price(number, made)
        except self._side.expected:
            return None
        except Exception as surprise:
            # Told in the end and a failed check: the guarded side promises that its callers see no error.
            if len(self.surprises) < 10:
                self.surprises.append(f"{type(surprise).__name__}: {surprise}")
            return None


class Watch:
    """Listens to the events of resilix and passes on what a viewer can use."""

    def __init__(self, side: Guarded, start: float) -> None:
        self._side = side
        self._start = start
        self._refused: Counter[str] = Counter()
        self._budget_empty = False

    def _now(self) -> float:
        return time.monotonic() - self._start

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        if isinstance(event, events.Transition):
            text = f"breaker: {event.from_state} → {event.to_state}, {event.reason}"
            say(Happened(self._now(), text.replace("half_open", "half-open"), event.to_state))
        elif isinstance(event, events.CallRefused):
            self._refused[event.kind] += 1
        elif isinstance(event, events.GivenUp) and event.reason == "budget" and not self._budget_empty:
            self._budget_empty = True
            say(Happened(self._now(), "retry budget: empty, failures are not retried until successes refill it"))

    def gauges(self) -> Gauges:
        """How the policies stand."""
        side = self._side
        return Gauges(
            at=self._now(),
            state=side.breaker.state.value,
            in_use=side.slots.in_use,
            limit=side.slots.limit,
            budget=side.budget.remaining_ratio,
            refused=dict(self._refused),
        )

    async def tell(self) -> None:
        """Report for ever."""
        while True:
            say(self.gauges())
            await asyncio.sleep(TELL_EVERY)


async def _live_guarded(orders: Orders, settings: Settings, url: str) -> None:
    side = Guarded(settings, url)
    say(Ready())
    start = await orders.start()
    stream, watch = Stream(side, settings, start), Watch(side, start)
    unsubscribe = events.subscribe(watch)
    telling = asyncio.create_task(watch.tell())
    try:
        await stream.run()
        free, state = side.slots.free, side.breaker.state.value
        last = await stream.ask(settings.requests, [0])
    finally:
        telling.cancel()
        unsubscribe()
        await side.aclose()
    say(watch.gauges())
    say(
        Done(
            latest=stream.latest,
            surprises=stream.surprises,
            bound=side.guard.explain().seconds,
            state=state,
            free=free,
            limit=side.slots.limit,
            hook_errors=events.hook_errors(),
            last=FAILED if last is None else last.source,
        )
    )


async def _live_unguarded(orders: Orders, settings: Settings, url: str) -> None:
    side = Unguarded(settings, url)
    say(Ready())
    stream = Stream(side, settings, await orders.start())
    try:
        await stream.run()
    finally:
        await side.aclose()
    say(Done(latest=stream.latest, surprises=stream.surprises))


def main(arguments: list[str]) -> None:
    """Make the requests. Arguments: the side, the settings as JSON, the server's address."""
    side, settings, url = arguments[0], Settings(**json.loads(arguments[1])), arguments[2]
    run = _live_guarded if side == GUARDED else _live_unguarded

    def calling(orders: Orders) -> Coroutine[Any, Any, None]:
        return run(orders, settings, url)

    live(calling)
