"""A call under retry, breaker, bulkhead and timeout is cancelled at every step it makes, on asyncio and on trio.

Wherever the cancellation strikes: the caller sees it, every place comes back, the breaker counts nothing for it, and no
timer of ours cancels anybody later.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.support.retry_calls import listening
from tests.support.script_steps import Walk, walk_asyncio, walk_trio

from resilix import Bulkhead, CircuitBreaker, CircuitState, Policy, deadline, pipeline, retry, timeout

Walker = Callable[..., Walk]
every_backend = pytest.mark.parametrize("walk", [walk_asyncio, walk_trio])


class Spy(Policy[Any]):
    """Counts what passes through it."""

    def __init__(self) -> None:
        self.failed = self.returned = self.others = 0

    async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            result = await fn(*args, **kwargs)
        except Exception:
            self.failed += 1
            raise
        except BaseException:
            self.others += 1
            raise
        self.returned += 1
        return result


NUMBERS = itertools.count()


class Scene:
    """A guarded call: its first attempt fails, its second hangs until the timeout, its third returns."""

    def __init__(self, layout: str, *, probe: bool = False) -> None:
        self.time = 0.0
        self.attempts = 2 if probe else 0
        name = f"cancelled {next(NUMBERS)}"
        self.breaker = CircuitBreaker(name, clock=lambda: self.time)
        self.slots = Bulkhead(name, limit=1, max_wait=60.0)
        self.spy = Spy()
        again, limit = retry(on=OSError, attempts=3, wait=0.5), timeout(5.0)
        orders = {
            "timeout inside": (again, self.spy, self.breaker, self.slots, limit),
            "timeout outside": (timeout(50.0), again, self.spy, self.breaker, self.slots, limit),
            "timeout around the bulkhead": (again, self.spy, self.breaker, limit, self.slots),
        }
        self.guard = pipeline(*orders[layout])
        if probe:
            self.breaker.open(for_=1.0)
            self.time = 2.0

    async def work(self) -> str:
        self.attempts += 1
        await anyio.lowlevel.checkpoint()
        if self.attempts == 2:
            await anyio.sleep_forever()
        try:
            await anyio.sleep(0.1)
        finally:
            await anyio.lowlevel.checkpoint()
        if self.attempts == 1:
            raise ConnectionError
        return "done"

    async def call(self) -> str:
        return str(await self.guard(self.work)())

    async def beside(self) -> None:
        """Somebody else has the only place, for a second."""
        with self.slots.acquire():
            await anyio.sleep(1.0)

    def check(self, walk: Walk, number: int) -> None:
        """Everything came back, and nothing counts that did not happen."""
        assert (self.slots.free, self.slots.waiting) == (1, 0)
        shown = self.breaker.snapshot()
        assert (shown.failures, shown.calls) == (self.spy.failed, self.spy.failed + self.spy.returned)
        assert shown.probes == 0
        assert not walk.late
        assert self.attempts <= 3
        if number >= 0:
            assert walk.end == "cancelled"
            # Only the attempt that was under way saw it; between attempts none did.
            assert self.spy.others <= 1
            assert self.spy.returned == 0 or walk.steps == number


LAYOUTS = ["timeout inside", "timeout outside", "timeout around the bulkhead"]


@every_backend
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("conditions", ["quiet", "somebody listens", "a deadline"])
def test_cancelled_at_every_step(walk: Walker, layout: str, conditions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the quiet path, with listeners, and under a deadline: three attempts, one step after the other."""

    def played(number: int) -> Walk:
        monkeypatch.setattr("resilix.core.deadline.DEADLINE.used", False)
        scene = Scene(layout)

        async def call() -> str:
            if conditions != "a deadline":
                return await scene.call()
            with deadline(1000.0):
                return await scene.call()

        if conditions == "somebody listens":
            with listening() as seen:
                walked = walk(call, scene.beside, number)
            assert seen
        else:
            walked = walk(call, scene.beside, number)
        scene.check(walked, number)
        if number < 0:
            assert (scene.spy.failed, scene.spy.returned) == (2, 1)
        return walked

    whole = played(-1)
    assert whole.end == "value"
    assert whole.steps >= 8  # the wait for the place, both waits, and the steps of three attempts
    for number in range(whole.steps + 1):
        played(number)


@every_backend
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_probe_that_is_cancelled_at_any_step_gives_its_permit_back(walk: Walker, layout: str) -> None:
    """The breaker stays half-open and lets the next probe through; an uncancelled one closes it."""

    def played(number: int) -> int:
        scene = Scene(layout, probe=True)
        walked = walk(scene.call, scene.beside, number)
        shown = scene.breaker.snapshot()
        assert (scene.slots.free, shown.probes, walked.late) == (1, 0, False)
        if number < 0:
            assert (walked.end, shown.state) == ("value", CircuitState.CLOSED)
        else:
            assert walked.end == "cancelled"
            assert shown.state is not CircuitState.CLOSED
            scene.breaker.acquire().success()
            assert scene.breaker.state is CircuitState.CLOSED
        return walked.steps

    for number in range(played(-1) + 1):
        played(number)
