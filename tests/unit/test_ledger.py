"""The ledger of an asyncio timeout: a page per event loop, a line per running call, one timer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from tests.support.script_loop import JumpLoop, jump

from resilix import TimeoutExceededError, timeout
from resilix.ledger import Ledger, Page


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger serves as long as no deadline was set in the process."""
    monkeypatch.setattr("resilix.core.deadline.DEADLINE.used", False)


def ledger_of(policy: Any) -> Ledger:
    ledger: Ledger = policy._ledger
    return ledger


def test_each_loop_has_a_page_and_keeps_it() -> None:
    """Found again after another loop was served in between."""
    ledger = Ledger()
    one, two = JumpLoop(), JumpLoop()
    first, second = ledger.page_of(one), ledger.page_of(two)
    assert first is not second
    assert ledger.page is second
    assert ledger.page_of(one) is first
    assert ledger.page is first
    one.close()
    two.close()


def test_pages_of_closed_loops_go_when_a_new_loop_comes() -> None:
    """A long-running program that uses asyncio.run again and again keeps one."""
    ledger = Ledger()
    pages: list[weakref.ref[Any]] = []
    for _ in range(10):
        loop = JumpLoop()
        ledger.page_of(loop)
        pages.append(weakref.ref(loop))
        loop.close()
    del loop
    gc.collect()
    assert [one() is None for one in pages] == [True] * 9 + [False]


def test_the_timer_is_armed_for_the_oldest_call_and_then_for_the_next() -> None:
    """Calls begun at different times end at different times, each exactly when its own is over."""
    policy = timeout(10.0)
    guarded = policy(asyncio.sleep)
    ends: list[tuple[int, float]] = []

    async def call(number: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(number)
        begun = loop.time()
        with pytest.raises(TimeoutExceededError):
            await guarded(1000)
        ends.append((number, loop.time() - begun))

    async def main() -> None:
        await asyncio.gather(*(call(number) for number in (0, 3, 3, 7, 30)))

    jump(main())
    assert ends == [(0, 10.0), (3, 10.0), (3, 10.0), (7, 10.0), (30, 10.0)]


def test_a_timer_that_finds_nobody_rests_until_it_is_needed() -> None:
    """After a quiet time the next call arms it anew."""
    policy = timeout(10.0)
    guarded = policy(asyncio.sleep)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        await guarded(1)
        page = ledger_of(policy).page
        assert page is not None
        await asyncio.sleep(100)
        assert not [one for one in loop._scheduled if getattr(one._callback, "__self__", None) is page]
        with pytest.raises(TimeoutExceededError):
            await guarded(100)

    jump(main())


def test_the_clock_is_that_of_the_loop() -> None:
    """A loop with a clock of its own (a test's, uvloop's) is asked, not the machine."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(TimeoutExceededError):
            await timeout(3600.0)(asyncio.sleep)(7200)
        return loop.time() - begun

    assert jump(main()) == 3600.0


def test_a_call_that_lasts_long_keeps_no_finished_ones_behind_it() -> None:
    """Lines are taken out as calls end, in whatever order."""
    policy = timeout(1000.0)
    guarded = policy(asyncio.sleep)

    async def main() -> None:
        long = asyncio.ensure_future(guarded(900))
        await asyncio.sleep(0)
        for _ in range(200):
            await guarded(1)
        page = ledger_of(policy).page
        assert page is not None
        assert len(page.live) == 1
        await long
        assert page.live == {}

    jump(main())


def test_expired_calls_stand_in_no_list_once_they_have_ended() -> None:
    """Also those whose cleanup ran out of time as well."""
    policy = timeout(10.0)
    again = policy(asyncio.sleep)

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            with pytest.raises(TimeoutExceededError):
                await again(1000)

    async def main() -> Page:
        with pytest.raises(TimeoutExceededError):
            await policy(work)()
        page = ledger_of(policy).page
        assert page is not None
        return page

    page = jump(main())
    assert (page.live, page._fired) == ({}, {})
