"""What the tests of the front door share: listeners, functions that fail, policies that leave a trace."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Never

from resilix import CircuitBreaker, Policy, ResilixWarning, events

_numbers = count()


def fresh(name: str = "front") -> str:
    """A name no other policy of this run has."""
    return f"{name}-{next(_numbers)}"


def breaker(**options: Any) -> CircuitBreaker:
    """A breaker under a name of its own."""
    return CircuitBreaker(fresh("front-breaker"), **options)


@contextmanager
def heard(*kinds: type[events.Event]) -> Generator[list[Any]]:
    """Collect the events of these kinds (all, without one) that happen in the block."""
    seen: list[Any] = []
    stop = events.subscribe(lambda event: seen.append(event) if not kinds or isinstance(event, kinds) else None)
    try:
        yield seen
    finally:
        stop()


@contextmanager
def warned() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of ours that the block causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours: list[warnings.WarningMessage] = []
        yield ours
        ours += [one for one in caught if issubclass(one.category, ResilixWarning)]


class Traced(Policy[Never]):
    """A policy of the user's own that writes down when it is entered and left."""

    def __init__(self, name: str, trace: list[str]) -> None:
        self.name = name
        self.trace = trace

    def __repr__(self) -> str:
        return f"Traced({self.name})"

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.trace.append(f"+{self.name}")
        try:
            return fn(*args, **kwargs)
        finally:
            self.trace.append(f"-{self.name}")

    async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        self.trace.append(f"+{self.name}")
        try:
            return await fn(*args, **kwargs)
        finally:
            self.trace.append(f"-{self.name}")


class Script:
    """Raises or returns one thing after the other; remembers what it was called with."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def next(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def anext(self, *args: Any, **kwargs: Any) -> Any:
        return self.next(*args, **kwargs)
