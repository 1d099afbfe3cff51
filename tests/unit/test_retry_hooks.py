"""retry: user code that raises, the events, and the kinds of functions it wraps."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tenacity
from tests.support.retry_calls import CALLS, FORMS, Scripted, listening, named

from resilix import (
    Bulkhead,
    pipeline,
    retry,
)
from resilix.events import AttemptFailed, GivenUp, HookError, RetryScheduled
from resilix.testing import virtual_time

Form = Callable[[Any, Scripted], Any]
every_form = pytest.mark.parametrize("form", FORMS)
every_call = pytest.mark.parametrize("form", CALLS)


# -- user code that raises ------------------------------------------------------------------------------------------


class HookBrokenError(Exception):
    """Raised by user code that a policy asked."""


def broken(*args: Any) -> Any:
    raise HookBrokenError


class BrokenWait(tenacity.wait.wait_base):
    def __call__(self, retry_state: Any) -> float:
        raise HookBrokenError


class AsyncAnswer:
    def __await__(self) -> Any:
        raise NotImplementedError


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("on", {"on": broken}),
    ("on", {"on": lambda error: AsyncAnswer()}),
    ("on", {"on": tenacity.retry_if_exception(broken)}),
    ("wait", {"on": OSError, "wait": broken}),
    ("wait", {"on": OSError, "wait": BrokenWait()}),
    ("wait", {"on": OSError, "wait": lambda number: math.nan}),
    ("wait", {"on": OSError, "wait": lambda number: -1}),
    ("wait", {"on": OSError, "wait": lambda number: "soon"}),
    ("stop", {"on": OSError, "stop": broken}),
]


@pytest.mark.parametrize(("hook", "options"), BROKEN)
@every_form
def test_user_code_that_raises_never_hides_the_callers_error(form: Form, hook: str, options: dict[str, Any]) -> None:
    """The caller's own error stands, nothing is retried, and an event says what broke."""
    error = OSError()
    script = Scripted(error)
    with listening() as seen, pytest.raises(OSError) as caught:
        form(retry(**{"wait": 0, **options}), script)
    assert caught.value is error
    assert script.calls == 1
    broke = [event for event in seen if isinstance(event, HookError)]
    assert [event.hook for event in broke] == [hook]
    if hook != "on":
        assert isinstance(seen[-1], GivenUp)
        assert seen[-1].reason == "hook"


@every_call
@pytest.mark.parametrize(
    ("hook", "options"),
    [("on_result", {"on": OSError, "on_result": broken}), ("on", {"on": tenacity.retry_if_result(broken)})],
)
def test_a_result_stands_when_its_predicate_raises(form: Form, hook: str, options: dict[str, Any]) -> None:
    """The call's own result is not lost."""
    script = Scripted("mine")
    with listening() as seen:
        assert form(retry(wait=0, **options), script) == "mine"
    assert [event.hook for event in seen if isinstance(event, HookError)] == [hook]


# -- events ----------------------------------------------------------------------------------------------------------


@every_form
def test_events_tell_the_story_in_order(form: Form) -> None:
    """Each failed attempt, each wait, and why it ended; a success after a retry ends in silence."""
    first, last = OSError(1), OSError(2)
    with listening() as seen, virtual_time(), pytest.raises(OSError):
        form(retry(on=OSError, attempts=2, wait=4), Scripted(first, last))
    label = "block" if "block" in form.__name__ else "quote"
    assert [event.name.rsplit(".", 1)[-1] for event in seen] == [label] * 4
    assert {event.policy for event in seen} == {"retry"}
    failed, scheduled, again, given_up = seen
    assert isinstance(failed, AttemptFailed)
    assert isinstance(scheduled, RetryScheduled)
    assert isinstance(again, AttemptFailed)
    assert isinstance(given_up, GivenUp)
    assert (failed.attempt, failed.error) == (1, first)
    assert (scheduled.attempt, scheduled.wait, scheduled.error) == (2, 4.0, first)
    assert (again.attempt, again.error, again.error_type) == (2, last, "OSError")
    assert (given_up.attempts, given_up.reason, given_up.error) == (2, "attempts", last)

    with listening() as seen:
        form(retry(on=OSError, wait=0), Scripted(OSError(), "ok"))
    assert named(seen) == ["AttemptFailed", "RetryScheduled"]


@every_call
def test_events_of_results_carry_no_error(form: Form) -> None:
    """Their type is "result"."""
    with listening() as seen:
        form(retry(on=OSError, on_result=lambda result: True, attempts=2, wait=0), Scripted(1))
    assert named(seen) == ["AttemptFailed", "RetryScheduled", "AttemptFailed", "GivenUp"]
    assert {event.error_type for event in seen if isinstance(event, AttemptFailed)} == {"result"}


@every_form
def test_an_unwanted_error_makes_no_event(form: Form) -> None:
    """It is nothing to retry, so there is nothing to give up."""
    with listening() as seen, pytest.raises(KeyError):
        form(retry(on=OSError), Scripted(KeyError()))
    assert seen == []


def test_a_pipeline_shows_tenacity_the_users_function() -> None:
    """Between the retry and the function stand other shells; get_fn_name() and label see through them."""
    names: list[str] = []

    class Named(tenacity.wait.wait_base):
        def __call__(self, retry_state: Any) -> float:
            names.append(retry_state.get_fn_name().rsplit(".", 1)[-1])
            return 0

    def quote() -> None:
        raise OSError

    guard = pipeline(retry(on=OSError, attempts=2, wait=Named()), Bulkhead("named", limit=1))
    for call in (guard(quote), lambda: guard.call(quote)):
        with listening() as seen, pytest.raises(OSError):
            call()
        assert {event.name.rsplit(".", 1)[-1] for event in seen if event.policy == "retry"} == {"quote"}
    assert names == ["quote", "quote"]


# -- what is retried -----------------------------------------------------------------------------------------------


def test_a_generator_function_is_refused_where_it_is_decorated() -> None:
    """Its body would run after the policy has finished."""

    def lines() -> Iterator[int]:
        yield 1

    async def alines() -> Any:
        yield 1

    for fn in (lines, alines):
        with pytest.raises(TypeError, match="generator function"):
            retry(on=OSError)(fn)


def test_a_sync_function_that_hands_back_an_awaitable_is_retried_as_async() -> None:
    """The first attempt awaits what is there; a further one calls the function again."""
    script = Scripted(OSError(), OSError(), "ok")
    inner = script.asynchronous

    def lazy() -> Any:
        return inner()

    assert asyncio.run(retry(on=OSError, wait=0)(lazy)()) == "ok"
    assert script.calls == 3


def test_an_awaitable_that_comes_only_after_a_failed_call_is_retried_too() -> None:
    """A function that fails at once and, called again, hands back a coroutine is never left unguarded."""
    script = Scripted(OSError(1), OSError(2), OSError(3), "ok")
    calls = 0

    def lazy() -> Any:
        nonlocal calls
        calls += 1
        if calls in (1, 3):
            script.next()
        return script.asynchronous()

    assert asyncio.run(retry(on=OSError, attempts=4, wait=0)(lazy)()) == "ok"
    assert (calls, script.calls) == (4, 4)
    calls, script.calls = 0, 0
    with pytest.raises(OSError) as caught:
        asyncio.run(retry(on=OSError, attempts=2, wait=0)(lazy)())
    assert caught.value.args == (2,)


def test_a_late_awaitable_may_succeed_at_once_or_turn_into_a_plain_value() -> None:
    """Both come back as results."""
    for ends, result in ((("fail", "coroutine"), "ok"), (("fail", "failing coroutine", "value"), "plain")):
        steps = iter(ends)

        def changing(steps: Iterator[str] = steps) -> Any:
            step = next(steps)
            if step == "fail":
                raise OSError
            if step == "value":
                return "plain"
            return Scripted("ok" if step == "coroutine" else OSError()).asynchronous()

        assert asyncio.run(retry(on=OSError, wait=0)(changing)()) == result


def test_an_awaitable_that_fails_may_be_followed_by_a_plain_value() -> None:
    """What a further call returns need not be awaited: the value is the result."""
    steps: Iterator[Any] = iter((Scripted(OSError()).asynchronous, lambda: "plain"))

    def changing() -> Any:
        return next(steps)()

    assert asyncio.run(retry(on=OSError, wait=0)(changing)()) == "plain"
