"""What the tests of the circuit breaker share: a clock to set, breakers with names of their own, a recorder."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from resilix import CircuitBreaker, CircuitOpenError, Permit, events

LONG = 30.0
"""Real seconds after which a test gives up on something that should long have happened."""

_numbers = itertools.count()


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def a_breaker(clock: Callable[[], float] | None = None, **options: Any) -> CircuitBreaker:
    """Make a breaker under a name that no other has."""
    return CircuitBreaker(f"breaker-{next(_numbers)}", clock=clock or FakeClock(), **options)


def boom() -> None:
    raise ConnectionError("down")


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        try:
            breaker.call(boom)
        except ConnectionError:
            continue
        raise AssertionError("the caller's error did not come through")


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        assert breaker.call(int) == 0


def refusal(breaker: CircuitBreaker) -> CircuitOpenError:
    """Be refused; the error."""
    try:
        breaker.call(int)
    except CircuitOpenError as error:
        return error
    raise AssertionError("the call was let through")


def admitted(breaker: CircuitBreaker) -> Permit | None:
    """A permit, or None when refused."""
    try:
        return breaker.acquire()
    except CircuitOpenError:
        return None


def half_open(clock: FakeClock, **options: Any) -> tuple[CircuitBreaker, Permit]:
    """A half-open breaker and the probe that made it so."""
    breaker = a_breaker(clock, **options)
    breaker.open(for_=1.0)
    clock.advance(1.0)
    return breaker, breaker.acquire()


@contextmanager
def recorded(breaker: CircuitBreaker) -> Generator[list[Any]]:
    """The events of one breaker."""
    seen: list[Any] = []

    def listener(event: events.Event) -> None:
        if event.name == breaker.name:
            seen.append(event)

    stop = events.subscribe(listener)
    try:
        yield seen
    finally:
        stop()


def named(seen: list[Any]) -> list[str]:
    return [type(one).__name__ for one in seen]


@contextmanager
def hasty_threads(interval: float = 1e-5) -> Generator[None]:
    """Have the interpreter switch threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_threads(functions: list[Callable[[], object]]) -> None:
    """Run each in a thread of its own, all set off at once; raise what went wrong in one."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def guarded(function: Callable[[], object]) -> None:
        try:
            start.wait(LONG)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(one,), daemon=True) for one in functions]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LONG)
        assert not one.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
