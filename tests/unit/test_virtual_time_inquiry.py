"""What the search for deadlocks asks event loops, and reads from frames."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from tests.support.virtual import LONG

from resilix import Bulkhead
from resilix.testing import DeadlockError, inquiry, virtual_time
from resilix.testing.threads import busy_with, places_of
from resilix.testing.whereabouts import awaited, chain, is_users, place, stack


def told_of(threads: list[threading.Thread]) -> None:
    """A deadlock beside a thread that waits, whose report has a line for it."""
    guard = Bulkhead("told of", limit=1, max_wait=None)
    with virtual_time(deadlock_after=0.02), pytest.raises(DeadlockError, match=re.escape(threads[0].name)):
        guard.call(guard.call, int)


class Loop:
    """A loop of another make: it runs callbacks at once, and has none of the fields of asyncio's own."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        callback(*args)

    call_soon_threadsafe = call_soon


class Deaf(Loop):
    """A loop that is blocked."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        assert callable(callback)


def test_anything_may_come_to_a_loop_of_another_make() -> None:
    """Nobody knows what it waits for, so it never takes part in a deadlock."""
    answer = inquiry.ask(Loop())
    assert answer is not None
    assert (answer.timers, answer.files) == (True, True)


def test_a_loop_that_does_not_answer_has_not_said_that_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is blocked, and one that has ended."""
    monkeypatch.setattr(inquiry, "ANSWER_WITHIN", 0.001)
    ended = asyncio.new_event_loop()
    ended.close()
    assert [inquiry.ask(Deaf()), inquiry.ask(ended)] == [None, None]


@types.coroutine
def suspended() -> Generator[None, None, None]:
    yield


async def inner() -> None:
    await suspended()


async def outer() -> None:
    await inner()


def names(frames: Iterator[types.FrameType]) -> list[str]:
    return [one.f_code.co_name for one in frames]


def test_the_frames_of_a_suspended_coroutine_reach_to_what_it_awaits() -> None:
    """Outermost first, through coroutines and generators; a finished one has none."""
    coroutine = outer()
    coroutine.send(None)
    assert names(chain(coroutine)) == ["outer", "inner", "suspended"]
    assert place(chain(coroutine)).endswith(" in suspended")
    coroutine.close()
    assert (names(chain(coroutine)), place(chain(coroutine)), awaited(chain(coroutine))) == ([], "", "")


def test_an_asynchronous_generator_is_part_of_the_way() -> None:
    """As far as Python shows what drives it."""

    async def values() -> Any:
        await suspended()
        yield 1

    coroutine = values().__anext__()
    coroutine.send(None)
    assert names(chain(coroutine)) == []
    coroutine.close()


def test_the_users_code_is_neither_ours_nor_a_librarys() -> None:
    """This file is the user's; pytest, which calls it, is not, nor is resilix."""
    here = stack(sys._getframe())
    assert is_users(here[-1])
    assert not any(is_users(one) for one in here if "site-packages" in one.f_code.co_filename)
    with pytest.raises(TypeError) as refused:
        place(None)  # type: ignore[arg-type]
    assert refused.tb.tb_next is not None
    assert not is_users(refused.tb.tb_next.tb_frame)


def test_where_nothing_is_the_users_the_innermost_frame_says_where() -> None:
    """A thread of a library."""
    frames = [one for one in stack(sys._getframe()) if not is_users(one)]
    assert place(frames).endswith(f" in {frames[-1].f_code.co_qualname}")
    assert awaited(frames) == f"the end of {frames[0].f_code.co_qualname}()"


@pytest.mark.parametrize("look", [places_of, lambda threads: [busy_with(one) for one in threads], told_of])
def test_a_look_at_a_thread_keeps_nothing_of_it(look: Callable[[list[threading.Thread]], object]) -> None:
    """What its calls hold goes when they end, not when the garbage collector comes."""
    begun, go = threading.Event(), threading.Event()
    held: list[weakref.ref[object]] = []

    def work() -> None:
        own = Loop()
        held.append(weakref.ref(own))
        begun.set()
        go.wait(LONG)

    thread = threading.Thread(target=work, daemon=True)
    gc.disable()
    try:
        thread.start()
        assert begun.wait(LONG)
        look([thread])
        go.set()
        thread.join(LONG)
        assert held[0]() is None
    finally:
        gc.enable()
        go.set()
