"""A plain function that hands back something to await is guarded while that is awaited, by every policy."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.support.front import Script, Traced, breaker, fresh

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitOpenError,
    TimeoutExceededError,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import virtual_time

pytestmark = pytest.mark.filterwarnings("error")


class Later:
    """Something to await that is no coroutine."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self.make = make

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.make().__await__()


def as_coroutine(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    return lambda *args: fn(*args)


def as_object(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    return lambda *args: Later(functools.partial(fn, *args))


def as_old_style(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """A generator-based coroutine, as types.coroutine makes them."""

    @types.coroutine
    def old(*args: Any) -> Generator[Any, Any, Any]:
        return (yield from fn(*args).__await__())

    return lambda *args: old(*args)


SHAPES = pytest.mark.parametrize("shape", [as_coroutine, as_object, as_old_style])


@SHAPES
def test_a_breaker_counts_the_awaited_outcome(shape: Any) -> None:
    """Making the coroutine is no success, and its failure is a failure."""
    quotes = breaker(consecutive=2)
    source = Script("fine", ConnectionError(), ConnectionError())
    price = quotes(shape(source.anext))

    async def main() -> None:
        assert await price() == "fine"
        assert (quotes.snapshot().calls, quotes.snapshot().failures) == (1, 0)
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await price()
        assert (quotes.snapshot().calls, quotes.snapshot().failures) == (3, 2)
        with pytest.raises(CircuitOpenError):
            await price()

    asyncio.run(main())
    assert len(source.calls) == 3


@SHAPES
def test_a_retry_retries_the_awaited_outcome(shape: Any) -> None:
    """Each attempt calls the function again, with the same arguments."""
    source = Script(ConnectionError(), ConnectionError(), "fine")
    with virtual_time() as time:
        assert asyncio.run(retry(on=ConnectionError, wait=1.0)(shape(source.anext))("ACME")) == "fine"
        assert time.sleeps == [1.0, 1.0]
    assert source.calls == 3 * [(("ACME",), {})]


@SHAPES
def test_a_bulkhead_holds_the_place_while_it_runs(shape: Any) -> None:
    """Not only while the coroutine is made."""
    slots = Bulkhead(fresh(), limit=1)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> str:
        inside.set()
        await leave.wait()
        return "held"

    async def main() -> None:
        price = slots(shape(hold))
        task = asyncio.ensure_future(price())
        await inside.wait()
        assert slots.in_use == 1
        with pytest.raises(BulkheadFullError):
            await price()
        leave.set()
        assert await task == "held"
        assert slots.free == 1

    asyncio.run(main())


@SHAPES
def test_a_timeout_limits_it(shape: Any) -> None:
    """The awaiting is cancelled when the time is over."""
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with virtual_time() as time, pytest.raises(TimeoutExceededError):
        asyncio.run(timeout(2.0)(shape(hangs))())
    assert ended == ["cancelled"]
    assert time.now() == pytest.approx(2.0)


@SHAPES
def test_a_fallback_answers(shape: Any) -> None:
    """What fails while it is awaited is what on names."""
    source = Script(ConnectionError())
    assert asyncio.run(fallback("instead", on=ConnectionError)(shape(source.anext))()) == "instead"


@SHAPES
def test_a_policy_of_your_own_sees_the_awaiting(shape: Any) -> None:
    """Its acall() is around it."""
    trace: list[str] = []

    async def run() -> str:
        trace.append("run")
        return "fine"

    assert asyncio.run(Traced("mine", trace)(shape(run))()) == "fine"
    assert trace[-3:] == ["+mine", "run", "-mine"]


@SHAPES
def test_a_whole_pipeline_guards_it(shape: Any) -> None:
    """All of them together, twice: a failure, a retry, a success, and an open breaker answered."""
    quotes, slots = breaker(consecutive=2), Bulkhead(fresh(), limit=1)
    source = Script(ConnectionError(), "fine", ConnectionError(), ConnectionError())
    guard = pipeline(
        fallback("instead", on=(ConnectionError, CircuitOpenError)),
        retry(on=ConnectionError, attempts=2, wait=1.0),
        quotes,
        slots,
        timeout(5.0),
        name="quotes",
    )

    async def main() -> list[Any]:
        price = guard(shape(source.anext))
        first = await price("ACME")
        return [first, await price("ACME"), await price("ACME")]

    with virtual_time():
        assert asyncio.run(main()) == ["fine", "instead", "instead"]
    assert quotes.state == "open"
    assert (slots.free, len(source.calls)) == (1, 4)


@pytest.mark.anyio
async def test_call_guards_it_too(anyio_backend: str) -> None:
    """guard.call(fn) with such a function hands back something to await, on asyncio and trio."""
    source = Script(ConnectionError(), "fine")

    async def later(symbol: str) -> Any:
        await anyio.lowlevel.checkpoint()
        return source.next(symbol)

    guard = pipeline(retry(on=ConnectionError, wait=0.0), breaker(), timeout(30.0))
    assert await guard.call(lambda symbol: later(symbol), "ACME") == "fine"
    assert len(source.calls) == 2


def test_a_function_that_fails_before_it_hands_anything_back() -> None:
    """Its first half is guarded as a plain call, its second as an awaited one."""
    source = Script(ConnectionError(), "fine")
    count: list[int] = []

    def price() -> Any:
        count.append(1)
        if len(count) == 1:
            raise ConnectionError
        return source.anext()

    async def main() -> Any:
        return await retry(on=ConnectionError, attempts=3, wait=1.0)(price)()

    with virtual_time() as time:
        assert asyncio.run(main()) == "fine"
        assert time.sleeps == [1.0, 1.0]
    assert len(count) == 3


def test_what_is_refused_is_not_left_unawaited() -> None:
    """A coroutine whose guard refuses it is closed: no warning that it was never awaited."""
    slots = Bulkhead(fresh(), limit=1)
    source = Script()

    async def main() -> None:
        place = slots.acquire()
        with pytest.raises(BulkheadFullError):
            await slots(as_coroutine(source.anext))()
        place.release()
        for shape in (as_coroutine, as_object):
            waiting = slots(shape(source.anext))()  # made while there was a place …
            with slots.acquire(), pytest.raises(BulkheadFullError):
                await waiting  # … and awaited when there is none

    asyncio.run(main())
    assert source.calls == []


def test_a_refused_task_does_not_go_on_unwatched() -> None:
    """It runs already when the policy refuses what was handed back, so it is cancelled."""
    tasks: list[asyncio.Task[None]] = []
    full = Bulkhead(fresh("full"), limit=1)

    def hand_out() -> asyncio.Task[None]:
        tasks.append(asyncio.ensure_future(asyncio.sleep(60)))
        return tasks[0]

    async def main() -> None:
        awaitable = full(hand_out)()
        with full.acquire(), pytest.raises(BulkheadFullError):
            await awaitable
        await asyncio.sleep(0)
        assert tasks[0].cancelled()

    asyncio.run(main())


def test_results_that_are_no_work_are_handed_through() -> None:
    """Generators, iterators and objects stay what they are."""
    for result in (object(), iter([1]), (one for one in [1]), Script(), type, [1], {"a": 1}, None, b"x"):
        for policy in (breaker(), retry(on=ConnectionError), fallback(None, on=ConnectionError), timeout(30.0)):
            assert policy.call(lambda result=result: result) is result


def test_types_of_results_are_remembered_within_bounds() -> None:
    """Ever new result types (named tuples made on the fly, say) do not fill the memory."""
    from resilix.policies.functions import PLAIN

    quotes = breaker()
    for number in range(600):
        result = type(f"R{number}", (), {})()
        assert quotes.call(lambda result=result: result) is result
    assert len(PLAIN) <= 512


# -- answers to callers that await ------------------------------------------------------------------------------


async def quote() -> int:
    return 1


def says_awaitable(symbol: str) -> Awaitable[int]:
    return quote()


def says_task(symbol: str) -> asyncio.Task[int]:
    return asyncio.ensure_future(quote())


def says_coroutine_for_real(symbol: str) -> Any:
    return quote()


says_coroutine_for_real.__annotations__["return"] = types.CoroutineType


def says_future_for_real(symbol: str) -> Any:
    return quote()


says_future_for_real.__annotations__["return"] = asyncio.Future[int]


@pytest.mark.parametrize("fn", [says_awaitable, says_task, says_coroutine_for_real, says_future_for_real])
def test_an_annotated_function_is_answered_with_something_to_await(fn: Any) -> None:
    """A refusal before its first call ever: its callers await what comes back, so the answer can be awaited."""
    quotes = breaker()
    price = fallback(0, on=CircuitOpenError)(quotes(fn))
    partial = fallback(0, on=CircuitOpenError)(quotes(functools.partial(fn, "ACME")))

    async def main() -> list[int]:
        quotes.force_open()
        refused = [await price("ACME"), await partial()]
        quotes.close()
        return [*refused, await price("ACME"), await partial()]

    assert asyncio.run(main()) == [0, 0, 1, 1]


def test_an_annotated_function_may_have_an_async_fallback() -> None:
    """There is somebody to await it; what it raises is chained as ever."""
    source = Script("from cache", KeyError("cache miss"))

    async def main() -> None:
        quotes = breaker()
        quotes.force_open()
        price = fallback(call=source.anext, on=CircuitOpenError)(quotes(says_awaitable))
        assert await price("ACME") == "from cache"
        with pytest.raises(KeyError) as raised:
            await price("ACME")
        assert isinstance(raised.value.__cause__, CircuitOpenError)

    asyncio.run(main())
    assert source.calls == 2 * [(("ACME",), {})]


def test_a_plain_function_is_answered_plainly() -> None:
    """No annotation, or another one: the answer is the answer."""

    def price(symbol: str) -> list[Awaitable[int]]:
        raise ConnectionError

    assert fallback(0, on=ConnectionError)(price)("ACME") == 0
    assert fallback(0, on=ConnectionError).call(says_awaitable_and_fails, "ACME") == 0
    assert fallback(0, on=TypeError)(len)(3) == 0  # type: ignore[arg-type]


def says_awaitable_and_fails(symbol: str) -> Awaitable[int]:
    raise ConnectionError


def test_call_learns_nothing_from_other_functions() -> None:
    """One guard calls many functions: that one handed back work says nothing about the next."""
    policy = fallback(0, on=ConnectionError)

    async def main() -> int:
        return await policy.call(lambda: quote())

    assert asyncio.run(main()) == 1
    assert policy.call(Script(ConnectionError()).next) == 0
