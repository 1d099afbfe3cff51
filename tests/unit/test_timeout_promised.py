"""timeout around a plain function that says it hands back something to await: it may need its caller's event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import math
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import trio
from tests.support.front import breaker

from resilix import DeadlineExpiredError, TimeoutExceededError, deadline, pipeline, retry, timeout
from resilix.policies import functions
from resilix.policies.functions import promises_awaitable
from resilix.testing import virtual_time

if TYPE_CHECKING:
    from asyncio import Task as Later
    from asyncio import Task as Task


async def quote() -> int:
    await anyio.lowlevel.checkpoint()
    return 1


async def hangs() -> int:
    await anyio.sleep(3600)
    return 0


def as_task() -> asyncio.Task[int]:
    return asyncio.create_task(quote())


def as_future() -> asyncio.Future[int]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    return future


def typed_only() -> Task[int]:
    return asyncio.create_task(quote())


def in_quotes() -> "Awaitable[int]":  # noqa: UP037 - what people write
    return asyncio.create_task(quote())


class Made:
    """A callable object."""

    def __call__(self) -> asyncio.Task[int]:
        return asyncio.create_task(quote())

    def made(self) -> Coroutine[Any, Any, int]:
        """Make one as a method."""
        asyncio.get_running_loop()
        return quote()


def with_type() -> Any:
    return asyncio.create_task(quote())


with_type.__annotations__["return"] = asyncio.Task[int]

PROMISING = [as_task, as_future, typed_only, in_quotes, Made(), Made().made, functools.partial(as_task), with_type]


@pytest.mark.parametrize("fn", PROMISING)
def test_a_function_that_promises_something_to_await_is_called_where_the_loop_runs(fn: Callable[[], Any]) -> None:
    """It makes a task, and finds the loop to make it in; decorated, called, in a pipeline, around a breaker."""

    async def main() -> list[int]:
        return [
            await timeout(60)(fn)(),
            await timeout(60).call(fn),
            await pipeline(timeout(60), breaker()).call(fn),
            await timeout(60)(breaker()(fn))(),
            await pipeline(retry(on=ConnectionError), breaker(), timeout(60))(fn)(),
        ]

    assert asyncio.run(main()) == [1] * 5


def test_its_awaiting_is_cut_off() -> None:
    """The time is that of the awaiting, and the task it made is cancelled with it."""
    made: list[asyncio.Task[int]] = []

    def promised() -> asyncio.Task[int]:
        made.append(asyncio.create_task(hangs()))
        return made[-1]

    async def main() -> None:
        for call in (timeout(2.0)(promised), functools.partial(timeout(2.0).call, promised)):
            with pytest.raises(TimeoutExceededError):
                await call()

    with virtual_time() as time:
        asyncio.run(main())
        assert time.now() == pytest.approx(4.0)
    assert [one.cancelled() for one in made] == [True, True]


def test_under_trio_it_is_called_where_the_loop_runs_too() -> None:
    """It may ask trio about its task, which a worker thread is not."""

    def promised() -> Awaitable[int]:
        trio.lowlevel.current_task()
        return quote()

    async def main() -> list[int]:
        return [await timeout(60)(promised)(), await timeout(60).call(promised)]

    assert trio.run(main) == [1, 1]


def test_its_first_half_has_a_deadline_too() -> None:
    """What it calls before it hands something back learns how long there is; afterwards nothing is left of it."""
    left: list[float] = []

    def promised() -> Awaitable[int]:
        left.append(deadline.remaining())
        return quote()

    async def main() -> None:
        assert await timeout(5.0)(promised)() == 1
        left.append(deadline.remaining())

    with virtual_time():
        asyncio.run(main())
    assert left == [5.0, math.inf]


def test_it_is_not_called_when_no_time_is_left() -> None:
    """As ever: a deadline that has passed refuses the call."""
    calls: list[None] = []

    def promised() -> Awaitable[int]:
        calls.append(None)
        return quote()

    async def main() -> None:
        with virtual_time(), deadline(0), pytest.raises(DeadlineExpiredError):
            timeout(5.0)(promised)()

    asyncio.run(main())
    assert calls == []


def test_a_promise_that_is_not_kept_is_handed_through() -> None:
    """An annotation is not a proof: a plain result and an error come back at once."""

    def plain() -> Awaitable[int]:
        return 3  # type: ignore[return-value]

    def fails() -> Awaitable[int]:
        raise ConnectionError

    async def main() -> None:
        assert timeout(60)(plain)() == 3  # type: ignore[comparison-overlap]
        with pytest.raises(ConnectionError):
            timeout(60)(fails)()

    asyncio.run(main())


def where() -> int:
    return threading.get_ident()


def where_promised() -> Awaitable[int]:
    return threading.get_ident()  # type: ignore[return-value]


def test_everything_else_runs_in_a_worker_thread_as_before() -> None:
    """Without the promise wherever it is called, and with it where no loop runs; asyncio not even loaded, too."""
    here = threading.get_ident()

    async def main() -> None:
        assert timeout(60)(where)() != here
        assert timeout(60).call(where) != here

    asyncio.run(main())
    assert timeout(60)(where_promised)() != here  # type: ignore[comparison-overlap]
    assert timeout(60).call(where_promised) != here  # type: ignore[comparison-overlap]
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "asyncio")
        assert timeout(60).call(where_promised) != here  # type: ignore[comparison-overlap]


# -- what counts as a promise ------------------------------------------------------------------------------------


def unknown_name() -> Later[int]:
    return asyncio.create_task(quote())


def of_another_kind() -> concurrent.futures.Future[int]:
    return concurrent.futures.Future()


def a_list() -> list[Awaitable[int]]:
    return []


class Explodes:
    """Does not want to be looked at."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def annotated(returned: object) -> Callable[[], Any]:
    def fn() -> None: ...

    fn.__annotations__["return"] = returned
    return fn


@pytest.mark.parametrize(
    "fn", [unknown_name, of_another_kind, a_list, quote, len, object(), where, None, annotated("quote.of.nothing")]
)
def test_what_promises_nothing_is_found_out(fn: object) -> None:
    """Names nobody knows, futures of threads, things that are no functions; async functions need no promise."""
    assert not promises_awaitable(fn)


def test_looking_for_a_promise_never_raises() -> None:
    """Neither an annotation nor a function that cannot be looked at is an error where it is wrapped."""
    assert not promises_awaitable(annotated(Explodes()))
    assert not promises_awaitable(Explodes())
    named = annotated("Bomb.of")
    named.__globals__["Bomb"] = Explodes()
    try:
        assert not promises_awaitable(named)
    finally:
        del named.__globals__["Bomb"]


def test_a_name_is_looked_up_where_the_function_was_written() -> None:
    """A "Future" that is one of threads is no promise, although the name alone would be."""
    assert "Future" in functions.AWAITABLE

    local = annotated("Future[int]")
    assert promises_awaitable(local)
    local.__globals__["Future"] = concurrent.futures.Future
    try:
        assert not promises_awaitable(local)
    finally:
        del local.__globals__["Future"]
