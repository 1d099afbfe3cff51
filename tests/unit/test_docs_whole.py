"""Two promises that are about the whole library rather than one policy: what is remembered, and what is shown."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest

from resilix import (
    Bulkhead,
    CircuitBreaker,
    RejectedError,
    ResilixWarning,
    deadline,
    events,
    fallback,
    pipeline,
    timeout,
)
from resilix import retry as again
from resilix.events import Event
from resilix.policies.registry import Registry
from resilix.telemetry.logs import log_events
from resilix.testing import virtual_time

SECRET = "hunter2"


class Noun:
    """Something with a name, as the registry sees it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _after_fork(self) -> None: ...

    def _attend(self) -> None: ...

    def _renew(self) -> None: ...


def test_what_is_remembered_of_names_is_bounded() -> None:
    """Of 2000 names that were taken twice 1024 are warned of, and none is kept once its policies are gone."""
    registry, alive = Registry(), []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResilixWarning)
        for number in range(2_000):
            for _ in range(3):
                alive.append(Noun(f"noun {number}"))
                registry.add("Noun", alive[-1], stacklevel=1)
    assert len(told) == 1024
    assert registry.find("Noun", "noun 7") is alive[3 * 7 + 2]
    alive.clear()
    assert registry.find("Noun", "noun 7") is None
    assert registry._all() == []
    assert registry.live() == []


@pytest.fixture
def everything_said(caplog: pytest.LogCaptureFixture) -> Generator[Callable[[], str]]:
    """All that is logged, at any level, with its facts; and the repr of every event."""
    shown: list[str] = []

    def note(event: Event) -> None:
        shown.append(repr(event))

    caplog.set_level(logging.DEBUG)
    stops = [log_events(), events.subscribe(note)]
    yield lambda: "\n".join([*shown, *(f"{record.getMessage()} {vars(record)}" for record in caplog.records)])
    for stop in stops:
        stop()


def fetch(url: str, *, token: str) -> str:
    """Fail as clients do, with everything in the text."""
    raise ConnectionError(f"GET {url} with {token}")


def broken_predicate(error: Exception) -> bool:
    """Fail as predicates do."""
    raise ValueError(f"cannot judge {error}")


def test_a_secret_of_a_failing_call_is_nowhere_to_be_seen(everything_said: Callable[[], str]) -> None:
    """In arguments, exception texts and a fallback's value; not in records, events, our errors, notes, or reprs."""
    url = f"https://user:{SECRET}@host/?key={SECRET}"
    breaker = CircuitBreaker("secrets", on=OSError, consecutive=2)
    slots = Bulkhead("secrets", limit=1)
    guard = pipeline(again(on=OSError, attempts=2, wait=1.0), breaker, slots, timeout(1.0))
    served = pipeline(fallback(SECRET, on=(RejectedError, OSError)), guard)
    texts: list[str] = []

    def call(policy: Any) -> None:
        try:
            policy.call(fetch, url, token=SECRET)
        except RejectedError as ours:
            texts.append(repr(ours))
        except ConnectionError as theirs:
            texts.extend(theirs.__notes__)

    with virtual_time():
        call(guard)  # fails twice and opens the breaker
        call(guard)  # is refused
        assert served.call(fetch, url, token=SECRET) == SECRET
        with deadline(0):
            call(guard)
        breaker.close()
        with slots.acquire():
            call(guard)
        with suppress(ConnectionError):
            again(on=broken_predicate).call(fetch, url, token=SECRET)
    assert len(texts) == 4
    said = everything_said()
    expected = "CallAdmitted CallRefused Transition AttemptFailed RetryScheduled GivenUp FallbackServed HookError"
    assert [kind for kind in expected.split() if f"{kind}(" not in said] == []  # there was something to look at
    texts += [said, repr(guard), repr(served), repr(breaker), repr(breaker.snapshot()), str(served.explain())]
    assert [text for text in texts if SECRET in text] == []
