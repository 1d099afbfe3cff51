"""Locks: whatever interrupts their holder, they are free afterwards."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.breaker import a_breaker
from tests.support.interrupts import everywhere

from resilix import CircuitBreaker, events
from resilix.locks import GaplessLock, Lock, RLock

KINDS: tuple[Callable[[], Any], ...] = (Lock, RLock, GaplessLock)


def free(lock: Any) -> bool:
    """Whether another thread can have it."""
    answers: list[bool] = []

    def ask() -> None:
        answers.append(lock.acquire(blocking=False))
        if answers[0]:
            lock.release()

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    return answers[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_keeps_others_out_while_it_is_held(kind: Callable[[], Any]) -> None:
    """And nobody afterwards."""
    lock = kind()
    with lock:
        assert not free(lock)
    assert free(lock)


def test_its_holder_may_take_a_gapless_lock_again() -> None:
    """It is free when it was given back as often as it was taken."""
    lock = GaplessLock()
    with lock:
        with lock:
            assert not free(lock)
        assert not free(lock)
    assert free(lock)


@pytest.mark.parametrize("kind", KINDS)
def test_no_signal_leaves_a_lock_held(kind: Callable[[], Any]) -> None:
    """A handler that raises may run anywhere; CPython 3.14 leaves a ``threading.Lock`` held in most of these rounds."""
    lock, armed, struck = kind(), [False], 0

    def strike(*_: object) -> None:
        if armed[0]:
            armed[0] = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for _ in range(100):
            try:
                armed[0] = True
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                while True:
                    with lock:
                        pass
            except KeyboardInterrupt:
                struck += 1
            assert free(lock)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert struck == 100


def test_the_locks_of_the_house_are_gapless_where_with_has_a_gap() -> None:
    """From CPython 3.14 on; before, the interpreter's own are quicker."""
    assert (Lock is GaplessLock) == (RLock is GaplessLock) == (sys.version_info >= (3, 14))


def test_an_interrupted_announcement_does_not_silence_the_breaker() -> None:
    """Whoever announces has a turn, and gives it back wherever it is interrupted: the next transition is announced."""
    heard: list[str] = []
    breaker: CircuitBreaker = a_breaker(consecutive=1)

    def listen(event: events.Event) -> None:
        heard.append(type(event).__name__)

    def work() -> None:
        breaker.open()
        breaker.close()

    def check(moment: int) -> None:
        breaker.close()
        heard.clear()
        breaker.open()
        breaker.close()
        assert heard[-2:] == ["Transition", "Transition"], f"silent after an interrupt at moment {moment}"

    unsubscribe = events.subscribe(listen)
    try:
        everywhere(work, check, at_least=10)
    finally:
        unsubscribe()
