"""What a type checker says of decorated functions. Checked, never run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, assert_type, overload

from resilix import Bulkhead, CircuitBreaker, fallback, retry, timeout

T = TypeVar("T")

quotes = CircuitBreaker("quotes")
slots = Bulkhead("quotes", limit=20)
none_instead = fallback(None, on=ConnectionError)


# -- functions -------------------------------------------------------------------------------------------------


@quotes
@slots
@timeout(2.0)
def plain(symbol: str, *, currency: str = "EUR") -> int:
    return len(symbol + currency)


@retry(on=ConnectionError)
@quotes
@timeout(2.0)
async def awaited(symbol: str, *, currency: str = "EUR") -> int:
    return len(symbol + currency)


def takes_plain(fn: Callable[[str], int]) -> None: ...
def takes_awaited(fn: Callable[[str], Coroutine[Any, Any, int]]) -> None: ...


assert_type(plain("ACME", currency="USD"), int)
takes_plain(plain)
takes_awaited(awaited)
quotes(takes_plain)(plain)


async def run() -> None:
    assert_type(await awaited("ACME"), int)
    assert_type(await fallback(0, on=ConnectionError)(awaited)("ACME"), int)


# -- a fallback adds its own type ------------------------------------------------------------------------------


@none_instead
@retry(on=ConnectionError)
@quotes
def perhaps(symbol: str) -> int:
    return len(symbol)


@none_instead
@retry(on=ConnectionError)
async def perhaps_awaited(symbol: str) -> int:
    return len(symbol)


assert_type(perhaps("ACME"), int | None)


async def run_perhaps() -> None:
    assert_type(await perhaps_awaited("ACME"), int | None)


# -- methods ---------------------------------------------------------------------------------------------------


class Service:
    @quotes
    def method(self, symbol: str) -> int:
        return len(symbol)

    @none_instead
    async def async_method(self, symbol: str) -> int:
        return len(symbol)

    @classmethod
    @quotes
    def of_class(cls, symbol: str) -> Service:
        return cls()

    @quotes
    @classmethod
    def of_class_outside(cls, symbol: str) -> Service:
        return cls()

    @staticmethod
    @none_instead
    def static(symbol: str) -> int:
        return len(symbol)

    @none_instead
    @staticmethod
    def static_outside(symbol: str) -> int:
        return len(symbol)

    @property
    @quotes
    def prop(self) -> int:
        return 1


service = Service()
assert_type(service.method("ACME"), int)
assert_type(Service.method(service, "ACME"), int)
assert_type(Service.of_class("ACME"), Service)
assert_type(service.of_class_outside("ACME"), Service)
assert_type(Service.static("ACME"), int | None)
assert_type(service.static_outside("ACME"), int | None)
assert_type(service.prop, int)
bound: Callable[[str], int] = quotes(service.method)


async def run_methods() -> None:
    assert_type(await service.async_method("ACME"), int | None)


# -- generics and overloads ------------------------------------------------------------------------------------


@quotes
def first(items: list[T]) -> T:
    return items[0]


@quotes
async def first_awaited(items: list[T]) -> T:
    return items[0]


@none_instead
def repeated(item: T) -> list[T]:
    return [item]


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    @quotes
    def get(self) -> T:
        return self.item


assert_type(first([1]), int)
assert_type(first(["a"]), str)
assert_type(repeated(1), list[int] | None)
assert_type(Box(1).get(), int)


async def run_generics() -> None:
    assert_type(await first_awaited(["a"]), str)


@overload
def double(value: int) -> int: ...
@overload
def double(value: str) -> str: ...
def double(value: int | str) -> int | str:
    return value * 2


guarded_double = quotes(double)
assert_type(guarded_double(1), int)
assert_type(guarded_double("a"), str)


# -- what is not a plain function ------------------------------------------------------------------------------


class Caller:
    def __call__(self, symbol: str) -> int:
        return len(symbol)


class AsyncCaller:
    async def __call__(self, symbol: str) -> int:
        return len(symbol)


assert_type(quotes(Caller())("ACME"), int)
assert_type(quotes(functools.partial(plain, "ACME"))(), int)
assert_type(quotes(len)([1]), int)
shortest: Callable[[str], int] = quotes(lambda symbol: len(symbol))


async def run_callers() -> None:
    assert_type(await none_instead(AsyncCaller())("ACME"), int | None)


# -- functions that are typed loosely --------------------------------------------------------------------------


@quotes
@slots
def loose(symbol: str) -> Any:
    return symbol


@retry(on=ConnectionError)
async def loose_awaited(symbol: str) -> Any:
    return symbol


@none_instead
async def loose_inside(query: dict[str, Any]) -> dict[str, Any]:
    return query


@none_instead
def loose_sync(query: dict[str, Any]) -> dict[str, Any]:
    return query


assert_type(loose("ACME"), Any)
assert_type(loose_sync({}), dict[str, Any] | None)


async def run_loose() -> None:
    assert_type(await loose_awaited("ACME"), Any)
    assert_type(await loose_inside({}), dict[str, Any] | None)
