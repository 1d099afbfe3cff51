"""Scenarios for ``explore``: callers that come, wait, fail and are cancelled at once, and what must hold.

All durations are multiples of half a second, so that whatever can coincide does. ``explored_time.py`` has more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    RejectedError,
    calls,
    events,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import Schedule

MOMENTS = (0.0, 0.0, 0.5, 1.0, 1.0, 1.5, 2.0)
"""Seconds at which things happen, and for which they last."""


class Callers:
    """Tasks that each make one call, and a hand that cancels some of them.

    Attributes:
        tasks: All of them.
        cancelled: Those that took a cancellation.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self.cancelled: list[asyncio.Task[Any]] = []
        self._chance = schedule.chance
        self._loop = asyncio.get_running_loop()

    def come(self, call: Callable[[], Coroutine[Any, Any, Any]], *, at: float | None = None) -> asyncio.Task[Any]:
        """One more caller."""
        begin = self._chance.choice(MOMENTS) if at is None else at

        async def caller() -> Any:
            if begin:
                await asyncio.sleep(begin)
            return await call()

        task = asyncio.get_running_loop().create_task(caller())
        self.tasks.append(task)
        return task

    def cancel_some(self, share: float) -> None:
        """Cancel each with this probability, at one of the moments."""
        for task in self.tasks:
            if self._chance.random() < share:
                self._loop.call_later(self._chance.choice(MOMENTS), self.cancel, task)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel one of them now."""
        if task.cancel():
            self.cancelled.append(task)

    async def end(self) -> None:
        """Wait for all. A cancellation that was taken is never lost, and nobody else is cancelled."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for task in self.tasks:
            assert task.cancelled() == (task in self.cancelled), (
                f"{task.get_name()}: a cancellation too many or too few"
            )
            if not task.cancelled():
                task.result()


# -- bulkhead ----------------------------------------------------------------------------------------------------


@dataclass
class Busy:
    """Counts who runs."""

    running: int = 0
    most: int = 0

    async def work(self, seconds: float) -> None:
        """Run for a while."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running -= 1


def watch_places(schedule: Schedule, slots: Bulkhead, busy: Busy) -> None:
    """No more run than there are places, and no place is free while somebody waits for one."""

    def holds() -> None:
        assert busy.running <= slots.in_use <= slots.limit, f"{busy.running} run on {slots.in_use} of {slots.limit}"
        assert not slots.waiting or slots.in_use == slots.limit, "a place is free, and somebody waits"

    schedule.always(holds)


def at_peace(slots: Bulkhead) -> None:
    """Every place is back, and nobody is left in line."""
    assert (slots.in_use, slots.waiting) == (0, 0), f"{slots.in_use} places are not back, {slots.waiting} still wait"


async def crowd(schedule: Schedule) -> None:
    """Six callers for two places, in three ways, some cancelled while they run, wait, or are handed a place."""
    chance = schedule.chance
    patient = chance.random() < 0.5
    slots = Bulkhead("quotes", limit=2, max_wait=None if patient else chance.choice((0.5, 1.0)), queue=3)
    busy, callers = Busy(), Callers(schedule)
    watch_places(schedule, slots, busy)
    guarded = slots(busy.work)

    async def by_hand(seconds: float) -> None:
        with await slots.aacquire():
            await busy.work(seconds)

    ways: tuple[Callable[[float], Awaitable[None]], ...] = (guarded, by_hand, lambda s: slots.acall(busy.work, s))
    for _ in range(6):
        way, seconds = chance.choice(ways), chance.choice(MOMENTS)

        async def call(way: Callable[[float], Awaitable[None]] = way, seconds: float = seconds) -> None:
            with suppress(BulkheadFullError):
                await way(seconds)

        callers.come(call)
    callers.cancel_some(0.4)
    await callers.end()
    at_peace(slots)


async def line(schedule: Schedule) -> None:
    """One place: whoever came first and still wants it is served first, and nobody is forgotten."""
    slots = Bulkhead("quotes", limit=1, max_wait=None)
    busy, callers = Busy(), Callers(schedule)
    watch_places(schedule, slots, busy)
    came: list[int] = []
    served: list[int] = []

    async def call(number: int, seconds: float) -> None:
        async def work() -> None:
            served.append(number)
            await busy.work(seconds)

        came.append(number)
        await slots.acall(work)

    for number in range(6):
        seconds = schedule.chance.choice(MOMENTS)

        async def caller(number: int = number, seconds: float = seconds) -> None:
            await call(number, seconds)

        callers.come(caller)
    callers.cancel_some(0.3)
    await callers.end()
    at_peace(slots)
    assert served == [one for one in came if one in served], f"came {came}, served {served}"
    lost = [n for n, task in enumerate(callers.tasks) if n not in served and task not in callers.cancelled]
    assert not lost


async def handed_over(schedule: Schedule) -> None:
    """A place is handed over in the moment in which who waits for it is cancelled; nothing is left to chance here."""
    slots = Bulkhead("quotes", limit=1, max_wait=None)
    busy, callers = Busy(), Callers(schedule)
    watch_places(schedule, slots, busy)

    async def call() -> None:
        await slots.acall(busy.work, 1.0)

    for _ in range(3):
        callers.come(call, at=0.0)
    second = callers.tasks[1]
    asyncio.get_running_loop().call_later(1.0, callers.cancel, second)
    await callers.end()
    at_peace(slots)


# -- breaker -----------------------------------------------------------------------------------------------------

PROBES, LEASE, IN_A_ROW = 2, 1.0, 2


@dataclass(eq=False)
class Page:
    """What calls that were let into one era did."""

    state: CircuitState
    begun: int = 0
    good: int = 0
    bad: int = 0
    ignored: int = 0
    streak: int = 0
    late: int = 0
    running: list[float] = field(default_factory=list)


@dataclass
class Book:
    """What a breaker may know: it is kept beside it, from what the calls themselves see."""

    breaker: CircuitBreaker
    schedule: Schedule
    pages: dict[Any, Page] = field(default_factory=dict)
    last: Any = None

    def page(self) -> Page:
        """That of the era that is now."""
        era = self.breaker._core.era
        return self.pages.setdefault(era, Page(era.state))

    async def work(self, seconds: float, fails: bool) -> None:
        """A call that writes down which era it was let into, and how it ended."""
        page, began = self.page(), self.schedule.now()
        page.begun += 1
        page.running.append(began)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            page.ignored += 1
            page.late += self.schedule.now() >= began + LEASE
            raise
        finally:
            page.running.remove(began)
        in_time = page.state is CircuitState.CLOSED or self.schedule.now() < began + LEASE
        page.good += in_time and not fails
        page.bad += in_time and fails
        page.late += not in_time
        page.streak = page.streak + 1 if fails else 0
        if fails:
            raise ConnectionError

    def check(self) -> None:
        """Nothing but the outcomes of its own calls ends an era, and enough of them do."""
        now, before = self.page(), self.last
        era = self.breaker._core.era
        if before is not None and era is not before:
            self._turned(self.pages[before], now, era.reason, self.schedule.now())
        self.last = era
        if now.state is CircuitState.HALF_OPEN:
            assert now.begun - now.ignored <= PROBES, "more probes than there may be"
            assert now.bad == 0, "a failed probe was overlooked"
            assert now.good < PROBES, "enough good probes were overlooked"
        if now.state is CircuitState.CLOSED:
            assert now.streak < IN_A_ROW, "failures in a row were overlooked"
        assert self.breaker.snapshot().probes <= PROBES

    @staticmethod
    def _turned(was: Page, now: Page, reason: str, moment: float) -> None:
        match was.state, now.state:
            case CircuitState.CLOSED, CircuitState.OPEN:
                assert was.streak >= IN_A_ROW, f"opened after {was.streak} failures of its own in a row"
            case CircuitState.HALF_OPEN, CircuitState.CLOSED:
                assert was.good == PROBES, f"closed after {was.good} good probes of its own"
            case CircuitState.HALF_OPEN, CircuitState.OPEN if reason == "probe failed":
                assert was.bad == 1, f"reopened after {was.bad} failed probes of its own"
            case CircuitState.HALF_OPEN, _:
                overdue = was.late or any(began + LEASE <= moment for began in was.running)
                assert overdue, "reopened, and no probe of its own had outlived its lease"
            case _:
                pass


async def probes(schedule: Schedule) -> None:
    """Callers of a breaker that opens, probes, loses probes to leases and cancellations, and hears echoes."""
    # While somebody listens no call is quiet.
    stop = events.subscribe(lambda event: None) if schedule.chance.random() < 0.5 else lambda: None
    try:
        await _probes(schedule)
    finally:
        stop()


async def _probes(schedule: Schedule) -> None:
    chance = schedule.chance
    breaker = CircuitBreaker(
        "quotes", on=ConnectionError, consecutive=IN_A_ROW, failure_rate=None, open_for=0.5, probes=PROBES,
        probe_lease=LEASE,
    )  # fmt: skip
    book, callers = Book(breaker, schedule), Callers(schedule)
    schedule.always(book.check)
    guarded = breaker(book.work)
    ill = chance.choice((0.4, 0.8))
    for number in range(14):
        seconds, fails = chance.choice(MOMENTS), chance.random() < ill

        async def call(seconds: float = seconds, fails: bool = fails) -> None:
            with suppress(ConnectionError, CircuitOpenError):
                await guarded(seconds, fails)

        callers.come(call, at=number % 7 / 2)
    callers.cancel_some(0.25)
    await callers.end()
    assert breaker.snapshot().probes == 0
    for _ in range(PROBES + 3):  # it gets well again
        await asyncio.sleep(0.5)
        with suppress(CircuitOpenError):
            await guarded(0.0, fails=False)
    assert breaker.state is CircuitState.CLOSED


# -- all together ------------------------------------------------------------------------------------------------


async def layers(schedule: Schedule) -> None:
    """Retry, breaker, bulkhead and timeout in several orders around one function, with cancellations."""
    chance = schedule.chance
    slots = Bulkhead("quotes", limit=2, max_wait=chance.choice((0.0, 0.5, None)))
    breaker = CircuitBreaker("quotes", on=(ConnectionError, TimeoutError), consecutive=3, open_for=0.5)
    again = retry(on=(ConnectionError, TimeoutError), attempts=3, wait=chance.choice((0.0, 0.5)))
    short, long = timeout(1.0), timeout(2.5)
    guard = pipeline(
        *chance.choice(
            (
                (again, breaker, slots, short),
                (long, again, breaker, slots, short),
                (slots, again, breaker, short),
                (breaker, slots, long, again, short),
                (long, slots, breaker, again),
            )
        )
    )
    busy, callers, attempts = Busy(), Callers(schedule), [0]
    watch_places(schedule, slots, busy)
    schedule.always(lambda: breaker.snapshot().probes <= 1)

    @guard
    async def work() -> str:
        attempts[0] += 1
        await busy.work(chance.choice(MOMENTS))
        if chance.random() < 0.4:
            raise ConnectionError
        return "answer"

    async def call() -> str:
        try:
            return await work()
        except (ConnectionError, TimeoutError, RejectedError) as error:
            return type(error).__name__

    for _ in range(5):
        callers.come(call)
    callers.cancel_some(0.3)
    await callers.end()
    at_peace(slots)
    assert busy.running == breaker.snapshot().probes == 0
    assert attempts[0] <= 3 * len(callers.tasks)


async def meddling(schedule: Schedule) -> None:
    """Meanwhile listeners come and go, a person opens, closes and reconfigures the breaker, and both begin anew."""
    chance, loop = schedule.chance, asyncio.get_running_loop()
    slots = Bulkhead("quotes", limit=2, max_wait=chance.choice((0.5, None)))
    breaker = CircuitBreaker("quotes", on=ConnectionError, consecutive=2, open_for=0.5, probe_lease=1.0)
    guard = pipeline(*chance.choice(((breaker, slots), (slots, breaker), (retry(on=ConnectionError), breaker, slots))))
    busy, callers = Busy(), Callers(schedule)
    listening: list[Callable[[], None]] = []

    @guard
    async def work(seconds: float, fails: bool) -> None:
        await busy.work(seconds)
        if fails:
            raise ConnectionError

    async def call() -> None:
        with suppress(ConnectionError, RejectedError):
            await work(chance.choice(MOMENTS), chance.random() < 0.4)

    def hear_no_more() -> None:
        while listening:
            listening.pop()()

    deeds: tuple[Callable[[], object], ...] = (
        lambda: listening.append(events.subscribe(lambda event: None)),
        hear_no_more,
        breaker.open,
        breaker.close,
        breaker.disable,
        breaker.observe,
        lambda: breaker.reconfigure(probes=chance.choice((1, 2))),
        lambda: breaker.reconfigure(consecutive=chance.choice((1, 3)), window=chance.choice((5.0, calls(10)))),
        breaker._renew,
        slots._renew,
    )
    renewed = chance.random() < 0.3
    if not renewed:
        deeds = deeds[:-1]
        watch_places(schedule, slots, busy)
    schedule.always(lambda: not slots.waiting or slots.in_use == slots.limit)
    try:
        for _ in range(8):
            callers.come(call)
        for _ in range(5):
            loop.call_later(chance.choice(MOMENTS), chance.choice(deeds))
        callers.cancel_some(0.2)
        await callers.end()
        await asyncio.sleep(MOMENTS[-1])
    finally:
        hear_no_more()
    at_peace(slots)
    assert breaker.snapshot().probes == 0
    breaker.close()
    await work(0.0, fails=False)
    assert breaker.state is CircuitState.CLOSED
