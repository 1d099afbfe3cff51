"""Two promises of the breaker: what is ignored, and that code of yours runs outside its lock and breaks nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    DeadlineExpiredError,
    calls,
    events,
)
from resilix.events import HookError

NUMBERS = count()
Form = Callable[[CircuitBreaker, Callable[[], Any]], Any]


def breaker(**options: Any) -> CircuitBreaker:
    """One failure opens it, as long as nothing else is said; its clock stands still."""
    options = {"on": ConnectionError, "consecutive": 1, "clock": lambda: 0.0, **options}
    return CircuitBreaker(f"verdicts {next(NUMBERS)}", **options)


def called(quotes: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    """Sync."""
    return quotes.call(fn)


def awaited(quotes: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    """Async, driven by hand: a loop would treat some of these exceptions in its own way."""

    async def afn() -> Any:
        return fn()

    coroutine = quotes.acall(afn)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


def by_hand(quotes: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    """With a permit."""
    with quotes.acquire():
        return fn()


every_form = pytest.mark.parametrize("form", [called, awaited, by_hand])

IGNORED: list[BaseException] = [
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    SystemExit(),
    GeneratorExit(),
    ValueError("matches nothing"),
    ConnectionRefusedError("named by ignore"),
    BulkheadFullError("slots", limit=1),
    CircuitOpenError("another", retry_after=1.0, reason="manual"),
    DeadlineExpiredError("price"),
]


def raises(error: BaseException) -> Callable[[], Any]:
    """A function that raises."""

    def fn() -> Any:
        raise error

    return fn


@every_form
@pytest.mark.parametrize("state", ["closed", "half-open"])
@pytest.mark.parametrize("error", IGNORED, ids=lambda error: type(error).__name__)
def test_what_is_ignored_counts_as_nothing_and_gives_the_permit_back(
    form: Form, state: str, error: BaseException
) -> None:
    """It comes through as the same object; the counts and the state stay, and the next probe may go."""
    time = [0.0]
    quotes = breaker(ignore=ConnectionRefusedError, clock=lambda: time[0])
    if state == "half-open":
        quotes.open(for_=1.0)
        time[0] = 1.0
    with pytest.raises(type(error)) as raised:
        form(quotes, raises(error))
    assert raised.value is error
    seen = quotes.snapshot()
    assert (seen.calls, seen.failures, seen.ignored, seen.consecutive, seen.probes) == (0, 0, 1, 0, 0)
    assert seen.state.value.replace("_", "-") == state
    assert form(quotes, lambda: "answer") == "answer"
    assert quotes.state is CircuitState.CLOSED


@every_form
def test_what_on_names_is_a_failure_and_an_answer_a_success(form: Form) -> None:
    """The other two verdicts, so that the first is not the only one there is."""
    quotes = breaker(consecutive=2)
    form(quotes, lambda: "answer")
    with pytest.raises(ConnectionError):
        form(quotes, raises(ConnectionError()))
    seen = quotes.snapshot()
    assert (seen.calls, seen.failures, seen.ignored, seen.consecutive) == (2, 1, 0, 1)


def test_a_full_bulkhead_inside_is_ignored() -> None:
    """The refusal of a real policy, on=Exception notwithstanding."""
    quotes, slots = breaker(on=Exception), Bulkhead(f"verdicts {next(NUMBERS)}", limit=1)
    with slots.acquire(), pytest.raises(BulkheadFullError):
        quotes(slots(lambda: "answer"))()
    assert (quotes.state, quotes.snapshot().ignored) == (CircuitState.CLOSED, 1)


def broken(*args: Any) -> Any:
    """Code of somebody's that does not work."""
    raise LookupError


HOOKS: dict[str, dict[str, Any]] = {
    "on": {"on": broken},
    "ignore": {"ignore": broken},
    "on_result": {"on_result": broken},
}


FORMS_AND_HOOKS = [(form, hook) for form in (called, awaited) for hook in HOOKS]
FORMS_AND_HOOKS += [(by_hand, "on"), (by_hand, "ignore")]  # a block has no result to be judged


@pytest.mark.parametrize("state", ["closed", "half-open"])
@pytest.mark.parametrize(("form", "hook"), FORMS_AND_HOOKS)
def test_a_predicate_that_raises_leaks_nothing_and_hides_nothing(form: Form, state: str, hook: str) -> None:
    """The call's own outcome stands, the verdict is ignored, the permit comes back, an event tells."""
    time = [0.0]
    quotes = breaker(**HOOKS[hook], clock=lambda: time[0])
    if state == "half-open":
        quotes.open(for_=1.0)
        time[0] = 1.0
    told: list[events.Event] = []
    stop = events.subscribe(told.append)
    error = ConnectionError()
    try:
        if hook == "on_result":
            assert form(quotes, lambda: "answer") == "answer"
        else:
            with pytest.raises(ConnectionError) as raised:
                form(quotes, raises(error))
            assert raised.value is error
    finally:
        stop()
    assert [(one.hook, one.error_type) for one in told if isinstance(one, HookError)] == [(hook, "LookupError")]
    seen = quotes.snapshot()
    assert (seen.calls, seen.ignored, seen.probes) == (0, 1, 0)
    assert seen.state.value.replace("_", "-") == state


def is_free(quotes: CircuitBreaker) -> bool:
    """Whether another thread gets the breaker's lock now."""
    looked = threading.Event()

    def look() -> None:
        quotes.snapshot()
        looked.set()

    threading.Thread(target=look, daemon=True).start()
    return looked.wait(5.0)


@pytest.mark.parametrize("hook", ["on", "ignore", "on_result", "open_for", "listener", "function"])
def test_code_of_yours_never_runs_under_the_breakers_lock(hook: str) -> None:
    """While each of them runs, another thread can use the breaker."""
    free: list[bool] = []

    def look(answer: Any) -> Callable[..., Any]:
        def fn(*args: Any) -> Any:
            free.append(is_free(quotes))
            return answer

        return fn

    answers = {"on": True, "ignore": False, "on_result": True, "open_for": 1.0}
    options = {hook: look(answers[hook])} if hook in answers else {}
    quotes = breaker(window=calls(10), **options)
    stop = events.subscribe(look(None)) if hook == "listener" else lambda: None
    try:
        if hook in ("on_result", "function"):
            assert quotes.call(look("answer")) == "answer"
        else:
            with pytest.raises(ConnectionError):
                quotes.call(raises(ConnectionError()))
            assert quotes.state is CircuitState.OPEN
    finally:
        stop()
    assert free
    assert all(free)
