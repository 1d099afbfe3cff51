"""A policy of one's own is a small class, and takes part in everything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Never

import pytest
from tests.support.front import Script, Traced, breaker, heard

from resilix import ConfigurationError, Policy, fallback, pipeline, retry
from resilix.events import FallbackServed

pytestmark = pytest.mark.filterwarnings("error")


class Counted(Policy[Never]):
    """The smallest policy: the one the documentation shows."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return fn(*args, **kwargs)

    async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return await fn(*args, **kwargs)


class Duck:
    """No subclass of anything of ours."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return fn(*args, **kwargs)

    async def acall(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return await fn(*args, **kwargs)

    def __repr__(self) -> str:
        return "Duck()"


def test_it_decorates() -> None:
    """Sync, async and methods, with the function's name and signature."""
    counted = Counted()

    class Service:
        @counted
        def price(self, symbol: str) -> int:
            """What a share costs."""
            return len(symbol)

        @counted
        async def aprice(self, symbol: str) -> int:
            return len(symbol)

    assert Service().price("ACME") == asyncio.run(Service().aprice("ACME")) == 4
    assert counted.calls == 2
    assert (Service.price.__name__, Service.price.__doc__) == ("price", "What a share costs.")


def test_it_stacks_with_ours() -> None:
    """Outside a retry it is entered once per call, inside once per attempt."""
    outside, inside = Counted(), Counted()
    source = Script(ConnectionError(), ConnectionError(), "fine")
    guarded = outside(retry(on=ConnectionError, wait=0)(inside(source.next)))
    assert guarded() == "fine"
    assert (outside.calls, inside.calls) == (1, 3)


@pytest.mark.parametrize("make", [Counted, Duck])
def test_it_stands_in_a_pipeline(make: type[Any]) -> None:
    """A subclass, or any object with call and acall: in its place, called and awaited."""
    outside, inside = make(), make()
    source = Script(ConnectionError(), "a", ConnectionError(), "b", "c")
    guard = pipeline(outside, retry(on=ConnectionError, wait=0), inside, breaker())
    assert guard.call(source.next) == "a"
    assert asyncio.run(guard.acall(source.anext)) == "b"
    assert guard(source.next)() == "c"
    assert (outside.calls, inside.calls) == (3, 5)


def test_a_duck_is_shown_as_it_shows_itself() -> None:
    """Repr and explain() of a pipeline."""
    guard = pipeline(Duck())
    assert repr(guard) == "pipeline(Duck())"
    assert guard.explain().order == ("Duck()",)


def test_it_may_answer_by_itself() -> None:
    """Without calling the function at all."""

    class Closed(Policy[str]):
        def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return "closed on Mondays"

        async def acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return "closed on Mondays"

    source = Script()
    guard = pipeline(retry(on=ConnectionError), Closed())
    assert guard.call(source.next) == asyncio.run(guard.acall(source.anext)) == "closed on Mondays"
    assert source.calls == []


def test_it_may_refuse() -> None:
    """An error of its own is what the policies around it see."""

    class Refusing(Policy[Never]):
        def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            raise PermissionError("not now")

    guard = pipeline(fallback("instead", on=PermissionError), Refusing(), name="front")
    with heard(FallbackServed) as seen:
        assert guard.call(len, "") == "instead"
    assert [(one.name, one.error_type) for one in seen] == [("front", "PermissionError")]


def test_it_may_run_the_function_more_than_once() -> None:
    """And what it runs is the whole rest of the pipeline."""

    class Twice(Traced):
        def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return [super(Twice, self).call(fn, *args, **kwargs) for _ in range(2)]

    trace: list[str] = []
    assert pipeline(Twice("twice", trace), Traced("inner", trace)).call(len, "abc") == [3, 3]
    assert trace == ["+twice", "+inner", "-inner", "-twice"] * 2


def test_what_is_missing_is_said() -> None:
    """A policy for sync calls only says so when it is awaited, and the other way round."""

    class OnlySync(Policy[Never]):
        def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

    async def run() -> None: ...

    assert OnlySync().call(len, "abc") == 3
    with pytest.raises(NotImplementedError, match="OnlySync does not say how to make an async call: define acall"):
        asyncio.run(OnlySync()(run)())
    with pytest.raises(NotImplementedError, match="Policy does not say how to make a sync call: define call"):
        Policy[Never]().call(len, "")


def test_half_a_duck_is_refused() -> None:
    """Where the pipeline is written."""

    class Half:
        def call(self, fn: Any, *args: Any) -> Any: ...

    with pytest.raises(ConfigurationError, match=re.escape("it needs both a call() and an async acall()")):
        pipeline(Half())  # type: ignore[call-overload]
