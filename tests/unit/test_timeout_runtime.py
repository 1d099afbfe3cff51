"""The small parts of waiting: flags, and telling which event loop one is in."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import types

import pytest
import trio

from resilix import TimeoutExceededError, timeout
from resilix.runtime import Flag, RealDriver, cancel_requested, in_trio

PATIENCE = 30.0


def test_a_flag_lets_a_waiting_thread_go() -> None:
    """Set before the wait, during it, or never."""
    early = Flag()
    early.set()
    assert early.wait(0)
    assert early.wait(None)
    assert early.wait(0)
    late = Flag()
    threading.Timer(0.01, late.set).start()
    assert late.wait(PATIENCE)
    endless = Flag()
    threading.Timer(0.01, endless.set).start()
    assert endless.wait(None)
    assert not Flag().wait(0.001)


def test_a_flag_may_be_waited_for_longer_than_a_lock_can() -> None:
    """Locks refuse timeouts above its maximum; a limit may be longer."""
    flag = Flag()
    threading.Timer(0.01, flag.set).start()
    assert flag.wait(1e12)


def test_where_one_is() -> None:
    """In trio only inside a trio task; never in asyncio or outside."""

    async def ask() -> bool:
        return in_trio()

    assert trio.run(ask)
    assert not asyncio.run(ask())
    assert not in_trio()


@pytest.mark.parametrize("module", [None, types.ModuleType("trio")])
def test_without_trio_or_while_it_is_being_imported_one_is_not_in_it(
    module: types.ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may be halfway through its import."""
    if module is None:
        monkeypatch.delitem(sys.modules, "trio")
    else:
        monkeypatch.setitem(sys.modules, "trio", module)
    assert not in_trio()


def test_who_was_asked_to_cancel() -> None:
    """The running asyncio task, until it takes it back; nobody outside a task, and nobody on trio."""
    answers: list[bool] = []

    async def ask() -> None:
        answers.append(cancel_requested())
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        answers.append(cancel_requested())
        task.uncancel()
        answers.append(cancel_requested())
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: answers.append(cancel_requested()))
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    async def ask_trio() -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            answers.append(cancel_requested())
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        return answers[-1]

    asyncio.run(ask())
    assert answers == [False, True, False, False]
    assert not cancel_requested()
    assert not trio.run(ask_trio)


def test_the_real_driver_waits_by_the_real_clock() -> None:
    """Not less than it was asked to."""
    begun = time.monotonic()
    RealDriver().sleep(0.01)
    asyncio.run(RealDriver().asleep(0.01))
    trio.run(RealDriver().asleep, 0.01)
    assert time.monotonic() - begun >= 0.029


def test_trio_inside_a_task_of_asyncio_is_trio_all_the_same() -> None:
    """The loop that waits for ``trio.run`` is blocked: its timer could never end the call."""

    @timeout(0.05)
    async def hangs() -> None:
        await trio.sleep(2)

    async def host() -> None:
        trio.run(hangs)

    begun = time.monotonic()
    with pytest.raises(TimeoutExceededError):
        asyncio.run(host())
    assert time.monotonic() - begun < 2
