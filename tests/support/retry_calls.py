"""What the tests of retry share: scripted functions, recorded events, and one way to make a call sync or async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from resilix import events
from resilix.events import Event


class Scripted:
    """A function whose calls end as written: exceptions are raised, anything else is returned; the last one repeats.

    Attributes:
        calls: How often it was called.
    """

    def __init__(self, *ends: Any) -> None:
        self.ends = ends
        self.calls = 0

    def next(self) -> Any:
        """End as the next step says."""
        end = self.ends[min(self.calls, len(self.ends) - 1)]
        self.calls += 1
        if isinstance(end, BaseException):
            raise end
        return end

    @property
    def sync(self) -> Callable[..., Any]:
        """It as a ``def``."""

        def quote(*args: Any, **kwargs: Any) -> Any:
            return self.next()

        return quote

    @property
    def asynchronous(self) -> Callable[..., Any]:
        """It as an ``async def``."""

        async def quote(*args: Any, **kwargs: Any) -> Any:
            return self.next()

        return quote


def sync_call(policy: Any, script: Scripted) -> Any:
    """Call a script under a policy."""
    return policy(script.sync)()


def async_call(policy: Any, script: Scripted) -> Any:
    """Await a script under a policy, in an event loop of its own."""
    return asyncio.run(policy(script.asynchronous)())


def block_call(policy: Any, script: Scripted) -> Any:
    """Run a script as a block under the attempts of a policy."""
    for attempt in policy.attempts():
        with attempt:
            return script.next()
    return None


def async_block_call(policy: Any, script: Scripted) -> Any:
    """The same with ``async for``."""

    async def block() -> Any:
        async for attempt in policy.attempts():
            with attempt:
                return script.next()
        return None

    return asyncio.run(block())


FORMS = [sync_call, async_call, block_call, async_block_call]
"""Every way to retry something that raises."""
CALLS = [sync_call, async_call]
"""Every way to retry something that returns."""


@contextmanager
def listening() -> Iterator[list[Event]]:
    """Collect the events of the block."""
    seen: list[Event] = []
    stop = events.subscribe(seen.append)
    try:
        yield seen
    finally:
        stop()


def named(seen: list[Event]) -> list[str]:
    """The kinds of events, in order."""
    return [type(event).__name__ for event in seen]
