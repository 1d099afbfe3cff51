"""What a type checker says of policies of the user's own. Checked, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Never, ParamSpec, TypeVar, assert_type

from resilix import CircuitBreaker, Policy, fallback, pipeline, retry

P = ParamSpec("P")
R = TypeVar("R")


class Logged(Policy[Never]):
    """Never answers by itself."""

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return fn(*args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await fn(*args, **kwargs)


class NoneOnMonday(Policy[None]):
    """May answer None instead of the function."""

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        return fn(*args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        return await fn(*args, **kwargs)


@Logged()
def price(symbol: str) -> int:
    return len(symbol)


@NoneOnMonday()
@Logged()
async def aprice(symbol: str) -> int:
    return len(symbol)


assert_type(price("ACME"), int)
assert_type(NoneOnMonday()(price)("ACME"), int | None)
assert_type(NoneOnMonday().call(price, "ACME"), int | None)

guard = pipeline(fallback("n/a", on=ConnectionError), NoneOnMonday(), retry(on=ConnectionError), Logged())
assert_type(guard(price)("ACME"), int | str | None)
assert_type(guard.call(price, "ACME"), int | str | None)
assert_type(pipeline(Logged(), CircuitBreaker("quotes")).call(price, "ACME"), int)


async def run() -> None:
    assert_type(await aprice("ACME"), int | None)
    assert_type(await guard.acall(aprice, "ACME"), int | str | None)
