"""retry: how many attempts a call makes, and what the caller sees in the end."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import tenacity
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.retry_calls import CALLS, FORMS, Scripted, listening

from resilix import (
    retry,
    timeout,
)
from resilix.clock import SYSTEM
from resilix.events import GivenUp
from resilix.runtime import RUNTIME, RealDriver

Form = Callable[[Any, Scripted], Any]
every_form = pytest.mark.parametrize("form", FORMS)
every_call = pytest.mark.parametrize("form", CALLS)


# -- the quiet path ------------------------------------------------------------------------------------------


class Untouchable(RealDriver):
    """A driver nobody may ask."""

    def sleep(self, seconds: float) -> None:
        raise AssertionError("slept")

    async def asleep(self, seconds: float) -> None:
        raise AssertionError("slept")


@every_call
def test_a_first_success_costs_one_attempt_and_nothing_else(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock is read, nobody sleeps, no call state is made: sources that would complain are never asked."""

    def unexpected(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("asked on the quiet path")

    policy = retry(on=ConnectionError)
    script = Scripted("ok")
    # Another test may have set a deadline; then the clock has to be read.
    monkeypatch.setattr("resilix.core.deadline.DEADLINE.used", False)
    monkeypatch.setattr(SYSTEM, "now", unexpected)
    monkeypatch.setattr(RUNTIME, "driver", Untouchable())
    monkeypatch.setattr("resilix.core.retry_plan.RetryCallState", unexpected)
    monkeypatch.setattr("resilix.policies.retry.RetryCall", unexpected)
    assert form(policy, script) == "ok"
    assert script.calls == 1


@every_call
def test_a_first_success_never_touches_tenacity(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects of tenacity are not even asked, unless they look at results."""

    def unexpected(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("asked on the quiet path")

    monkeypatch.setattr("resilix.core.deadline.DEADLINE.used", False)
    monkeypatch.setattr("resilix.core.retry_plan.RetryCallState", unexpected)
    monkeypatch.setattr("resilix.policies.retry.RetryCall", unexpected)
    on = tenacity.retry_any(tenacity.retry_if_exception_type(OSError), tenacity.retry_if_exception_message("x"))
    policy = retry(on=on, wait=tenacity.wait_fixed(1), stop=tenacity.stop_after_attempt(3))
    assert form(policy, Scripted("ok")) == "ok"


# -- how many attempts -----------------------------------------------------------------------------------------

ENDS = st.sampled_from(
    [
        ValueError("a"),
        OSError("b"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        SystemExit(),
        "value",
    ]
)


@settings(max_examples=150, deadline=None)
@given(ends=st.lists(ENDS, min_size=1, max_size=8), attempts=st.integers(1, 5), form=st.sampled_from(FORMS))
def test_no_call_makes_more_attempts_than_allowed(ends: list[Any], attempts: int, form: Form) -> None:
    """Whatever is raised, and in whatever order: at most ``attempts`` executions, and only Exception gets a second."""
    script = Scripted(*ends)
    policy = retry(on=Exception, attempts=attempts, wait=0)
    try:
        form(policy, script)
    except BaseException as error:
        assert error in ends  # noqa: PT017 - it may be any of them
    retried = 0
    while retried < len(ends) - 1 and isinstance(ends[retried], Exception):
        retried += 1
    if isinstance(ends[-1], Exception) and retried == len(ends) - 1:
        retried = attempts  # the last end repeats
    assert script.calls == min(attempts, retried + 1)


@every_form
def test_attempts_of_one_never_retries(form: Form) -> None:
    """The first counts."""
    script = Scripted(OSError())
    with pytest.raises(OSError):
        form(retry(on=OSError, attempts=1), script)
    assert script.calls == 1


@every_form
@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_no_cancellation_and_no_interrupt_is_retried(form: Form, kind: type[BaseException]) -> None:
    """Not even where a predicate says yes to everything."""
    script = Scripted(kind())
    with pytest.raises(kind):
        form(retry(on=lambda error: True, wait=0), script)
    assert script.calls == 1


def test_a_trio_cancellation_is_not_retried() -> None:
    """trio.Cancelled goes through to the scope it belongs to, in the middle of an attempt and of a wait."""
    calls = 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        await trio.sleep_forever()

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise OSError

    async def main() -> None:
        for fn in (hang, fail):
            with trio.move_on_after(0.01) as scope:
                await retry(on=Exception, wait=60)(fn)()
            assert scope.cancelled_caught

    trio.run(main)
    assert calls == 2


def test_a_function_that_swallows_its_cancellation_is_not_retried() -> None:
    """Somebody waits for the task to end: what it turned its cancellation into is the last word."""
    calls = 0

    async def swallow() -> None:
        nonlocal calls
        calls += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError from None

    async def main() -> None:
        task = asyncio.create_task(retry(on=ValueError, wait=0)(swallow)())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(ValueError):
            await task

    with listening() as seen:
        asyncio.run(main())
    assert calls == 1
    assert isinstance(seen[-1], GivenUp)
    assert seen[-1].reason == "cancelled"


def test_a_block_that_swallows_its_cancellation_is_not_retried() -> None:
    """The same for async for: the error leaves the block."""

    async def block() -> None:
        async for attempt in retry(on=ValueError, wait=0).attempts():
            with attempt:
                assert attempt.number == 1
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise ValueError from None

    async def main() -> None:
        task = asyncio.create_task(block())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(ValueError):
            await task

    asyncio.run(main())


def test_a_timeout_inside_the_function_is_no_cancellation_of_the_call() -> None:
    """asyncio.timeout and ours cancel the task and take it back: their TimeoutError is retried."""

    async def slow() -> None:
        nonlocal calls
        calls += 1
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await retry(on=TimeoutError, attempts=3, wait=0)(slow)()
        with pytest.raises(TimeoutError):
            await retry(on=TimeoutError, attempts=2, wait=0)(timeout(0.001)(slow))()

    calls = 0
    asyncio.run(main())
    assert calls == 5


def test_a_coroutine_driven_by_hand_shows_its_own_error() -> None:
    """Without an event loop nobody can have been cancelled; looking for it must not hide the error."""
    coroutine = retry(on=ValueError, attempts=1)(Scripted(ValueError("mine")).asynchronous)()
    with pytest.raises(ValueError, match="mine"):
        coroutine.send(None)


# -- what the caller sees ---------------------------------------------------------------------------------------


@every_form
def test_the_last_error_is_the_same_object_with_one_note(form: Form) -> None:
    """No wrapper; and a shared error object that is raised again and again collects no pile of notes."""
    error = OSError("down")
    error.add_note("mine")
    for attempts in (2, 3, 3):
        with pytest.raises(OSError) as caught:
            form(retry(on=OSError, attempts=attempts, wait=0), Scripted(error))
        assert caught.value is error
    assert error.__notes__[0] == "mine"
    assert len(error.__notes__) == 2
    assert "gave up after 3 attempts (attempts)" in error.__notes__[1]


@every_form
def test_an_error_of_the_first_attempt_gets_no_note(form: Form) -> None:
    """Nothing was retried, so there is nothing to tell."""
    error = OSError()
    with pytest.raises(OSError):
        form(retry(on=OSError, attempts=1), Scripted(error))
    with pytest.raises(OSError):
        form(retry(on=ValueError), Scripted(error))
    assert not hasattr(error, "__notes__")


@dataclass(frozen=True)
class FrozenError(Exception):
    """An error that takes no new attribute, and so no note."""

    code: int


class OddNotesError(Exception):
    """An error whose notes are none of the usual list."""

    __notes__ = ("a tuple",)


@every_call
@pytest.mark.parametrize("error", [FrozenError(7), OddNotesError()])
def test_an_error_that_takes_no_note_comes_through_all_the_same(form: Form, error: Exception) -> None:
    """A failing note must not hide the caller's own error."""
    with pytest.raises(type(error)) as caught:
        form(retry(on=Exception, attempts=2, wait=0), Scripted(error))
    assert caught.value is error


@every_form
def test_errors_of_attempts_are_not_chained(form: Form) -> None:
    """The second error did not happen while the first was handled."""
    first, second = OSError(1), OSError(2)
    with pytest.raises(OSError) as caught:
        form(retry(on=OSError, attempts=2, wait=0), Scripted(first, second))
    assert caught.value is second
    assert second.__context__ is None
    assert second.__cause__ is None


@every_call
def test_an_unwanted_error_ends_it_at_once(form: Form) -> None:
    """Also in the middle, and without a note."""
    error = KeyError()
    script = Scripted(OSError(), error)
    with pytest.raises(KeyError) as caught:
        form(retry(on=OSError, attempts=5, wait=0), script)
    assert caught.value is error
    assert script.calls == 2


@every_call
def test_the_last_result_comes_back_as_it_is(form: Form) -> None:
    """When results run out of attempts the real one is returned, not an exception."""
    answers = [object(), object(), object()]
    script = Scripted(*answers)
    assert form(retry(on=OSError, on_result=lambda result: True, attempts=3, wait=0), script) is answers[2]
    assert script.calls == 3


class TracedError(Exception):
    """An error that can be watched."""


POLICIES: dict[str, Callable[[], Any]] = {
    "default": lambda: retry(on=TracedError, attempts=2, wait=0),
    "unwanted": lambda: retry(on=KeyError),
    "tenacity": lambda: retry(on=tenacity.retry_if_exception_type(TracedError), attempts=2, wait=0),
    "unwanted by tenacity": lambda: retry(on=tenacity.retry_if_exception_type(KeyError)),
    "broken": lambda: retry(on=lambda error: 1 / 0),
    "budget": lambda: retry(on=TracedError, attempts=9, within=0.0001, wait=0.1),
}


def fail() -> Any:
    raise TracedError


async def afail() -> Any:
    raise TracedError


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
def test_nothing_of_ours_keeps_an_error_alive(make: Callable[[], Any]) -> None:
    """No reference cycle: the error goes when the caller lets it go, without the garbage collector."""
    policy = make()

    def call() -> weakref.ref[TracedError]:
        try:
            policy(fail)()
        except TracedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    def block() -> weakref.ref[TracedError]:
        try:
            for attempt in policy.attempts():
                with attempt:
                    fail()
        except TracedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    async def acall() -> weakref.ref[TracedError]:
        try:
            await policy(afail)()
        except TracedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    async def ablock() -> weakref.ref[TracedError]:
        try:
            async for attempt in policy.attempts():
                with attempt:
                    await afail()
        except TracedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    async def asynchronous() -> list[TracedError | None]:
        return [(await one())() for one in (acall, ablock)]

    gc.collect()
    gc.disable()
    try:
        assert [one() for one in (call(), block())] == [None, None]
        assert asyncio.run(asynchronous()) == [None, None]
    finally:
        gc.enable()
