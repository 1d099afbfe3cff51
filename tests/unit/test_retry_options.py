"""retry: what on, on_result and wait mean, and what makes it stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import tenacity
from tests.support.retry_calls import CALLS, FORMS, Scripted, listening, sync_call

from resilix import (
    BulkheadFullError,
    CircuitOpenError,
    DeadlineExpiredError,
    RejectedError,
    deadline,
    retry,
)
from resilix.clock import SYSTEM
from resilix.events import GivenUp
from resilix.runtime import RUNTIME, RealDriver
from resilix.testing import virtual_time

Form = Callable[[Any, Scripted], Any]
every_form = pytest.mark.parametrize("form", FORMS)
every_call = pytest.mark.parametrize("form", CALLS)


# -- on ----------------------------------------------------------------------------------------------------------

WANTED: list[Any] = [
    OSError,
    (KeyError, OSError),
    lambda error: isinstance(error, OSError),
    lambda error: "yes",
    tenacity.retry_if_exception_type(OSError),
    tenacity.retry_if_exception(lambda error: len(error.args)),
]


@pytest.mark.parametrize("on", WANTED)
@every_form
def test_on_is_a_type_a_tuple_a_predicate_or_tenacitys(form: Form, on: Any) -> None:
    """Each names the error; a subclass is named with its base."""
    script = Scripted(ConnectionError("down"))
    with virtual_time() as clock, pytest.raises(ConnectionError):
        form(retry(on=on, attempts=3, wait=2.0), script)
    assert script.calls == 3
    assert clock.sleeps == [2.0, 2.0]


UNWANTED: list[Any] = [
    ValueError,
    (KeyError, ValueError),
    lambda error: isinstance(error, ValueError),
    lambda error: None,
    lambda error: "",
    tenacity.retry_if_exception(lambda error: len(error.args) - 1),
]


@pytest.mark.parametrize("on", UNWANTED)
@every_form
def test_what_on_does_not_name_is_not_retried(form: Form, on: Any) -> None:
    """False, None, anything empty; and a zero from tenacity's predicates, which mean yes or no."""
    script = Scripted(ConnectionError("down"))
    with pytest.raises(ConnectionError):
        form(retry(on=on, wait=0), script)
    assert script.calls == 1


@pytest.mark.parametrize(("hint", "waited"), [(7, 7.0), (0, 0.0), (0.25, 0.25), (timedelta(minutes=1), 60.0)])
@every_form
def test_a_number_from_on_is_the_wait(form: Form, hint: Any, waited: float) -> None:
    """As a server's Retry-After; zero means at once."""
    script = Scripted(OSError())
    with virtual_time() as clock, pytest.raises(OSError):
        form(retry(on=lambda error: hint, attempts=2, wait=99), script)
    assert clock.sleeps == [waited]


@pytest.mark.parametrize(
    "hint", [math.nan, math.inf, -math.inf, -1, timedelta(seconds=-1), 10**400, timedelta.max, True]
)
@every_call
def test_a_wait_from_on_that_makes_no_sense_counts_as_a_plain_yes(form: Form, hint: Any) -> None:
    """Servers send such things; the schedule waits instead."""
    with virtual_time() as clock, pytest.raises(OSError):
        form(retry(on=lambda error: hint, attempts=2, wait=3), Scripted(OSError()))
    assert clock.sleeps == [3.0]


@every_call
def test_a_hint_is_for_one_wait_only(form: Form) -> None:
    """The schedule goes on after it."""
    with virtual_time() as clock, pytest.raises(OSError):
        form(retry(on=lambda error: error.args[0], attempts=4, wait=3), Scripted(OSError(9), OSError("x"), OSError(8)))
    assert clock.sleeps == [9.0, 3.0, 8.0]


@every_call
def test_on_result_asks_for_another_attempt_or_a_wait(form: Form) -> None:
    """A result for which it is true is retried, a number is the wait, and what it denies is returned."""
    script = Scripted("bad", "later", "good")
    answers = {"bad": True, "later": 5, "good": False}
    with virtual_time() as clock:
        assert form(retry(on=OSError, on_result=answers.get, wait=1), script) == "good"
    assert clock.sleeps == [1.0, 5.0]


@every_call
def test_on_result_and_a_tenacity_object_are_both_asked(form: Form) -> None:
    """Either may ask for another attempt."""
    on = tenacity.retry_if_result(lambda result: result == 2)
    script = Scripted(1, 2, 3)
    assert form(retry(on=on, on_result=lambda result: result == 1, wait=0), script) == 3


# -- refusals ----------------------------------------------------------------------------------------------------


def refusal() -> RejectedError:
    return CircuitOpenError("quotes", retry_after=1.0, reason="test")


@pytest.mark.parametrize(
    "on", [Exception, lambda error: True, tenacity.retry_if_exception_type(Exception), BulkheadFullError]
)
@every_form
def test_a_refusal_is_not_retried(form: Form, on: Any) -> None:
    """Neither a base type nor a predicate reaches our own refusals, nor does another kind of refusal."""
    script = Scripted(refusal())
    with pytest.raises(CircuitOpenError):
        form(retry(on=on, wait=0), script)
    assert script.calls == 1


@pytest.mark.parametrize("on", [RejectedError, CircuitOpenError, (OSError, CircuitOpenError)])
@every_form
def test_a_refusal_is_retried_where_a_type_names_it(form: Form, on: Any) -> None:
    """By its own name or that of RejectedError."""
    script = Scripted(refusal())
    with pytest.raises(CircuitOpenError):
        form(retry(on=on, attempts=2, wait=0), script)
    assert script.calls == 2


# -- waits -------------------------------------------------------------------------------------------------------

WAITS: list[tuple[Any, list[float]]] = [
    (0, [0, 0]),
    (1.5, [1.5, 1.5]),
    (timedelta(seconds=4), [4, 4]),
    (lambda number: number * 10, [10, 20]),
    (lambda number: timedelta(minutes=number), [60, 120]),
    (tenacity.wait_exponential(multiplier=3), [3, 6]),
    (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(7)), [1, 7]),
]


@pytest.mark.parametrize(("wait", "waits"), WAITS)
@every_form
def test_wait_is_a_number_a_function_or_tenacitys(form: Form, wait: Any, waits: list[float]) -> None:
    """A function gets the number of the attempt that failed."""
    with virtual_time() as clock, pytest.raises(OSError):
        form(retry(on=OSError, wait=wait), Scripted(OSError()))
    assert clock.sleeps == waits


@pytest.mark.parametrize("stop", [None, tenacity.stop_never])
def test_the_default_is_full_jitter_from_a_tenth_of_a_second_doubling_to_ten(stop: Any) -> None:
    """Every wait is drawn between 0 and its bound, and the draws come near both ends."""
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    runs = []
    with virtual_time(seed=3) as clock:
        for _ in range(60):
            before = len(clock.sleeps)
            with pytest.raises(OSError):
                sync_call(retry(on=OSError, attempts=len(bounds) + 1, stop=stop), Scripted(OSError()))
            runs.append(clock.sleeps[before:])
    for bound, *waits in zip(bounds, *runs, strict=True):
        assert all(0 <= wait <= bound for wait in waits)
        assert max(waits) > 0.9 * bound
        assert min(waits) < 0.1 * bound


def test_a_zero_wait_never_calls_time_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """time.sleep(0) costs more than the attempt."""

    def unexpected(seconds: float) -> None:
        raise AssertionError("slept")

    monkeypatch.setattr(time, "sleep", unexpected)
    with pytest.raises(OSError):
        sync_call(retry(on=OSError, wait=0), Scripted(OSError()))


def test_a_real_wait_is_waited() -> None:
    """By the real clock, sync and async."""
    for form in CALLS:
        begun = time.monotonic()
        with pytest.raises(OSError):
            form(retry(on=OSError, attempts=2, wait=0.02), Scripted(OSError()))
        assert time.monotonic() - begun >= 0.019


# -- when it stops -------------------------------------------------------------------------------------------------


def reason(form: Form, policy: Any, script: Scripted) -> str:
    """Why it gave up."""
    with listening() as seen, pytest.raises(OSError):
        form(policy, script)
    assert isinstance(seen[-1], GivenUp)
    return seen[-1].reason


@every_form
def test_a_wait_that_would_pass_within_is_not_begun(form: Form) -> None:
    """The last error comes at once; a wait that ends exactly there is made."""
    script = Scripted(OSError())
    with virtual_time() as clock:
        assert reason(form, retry(on=OSError, attempts=None, within=5.0, wait=2.5), script) == "within"
    assert clock.sleeps == [2.5, 2.5]
    assert clock.now() == 5.0


@every_form
def test_a_wait_that_would_reach_the_deadline_is_not_begun(form: Form) -> None:
    """An attempt at the very deadline could not run, so that wait is not begun either."""
    error = OSError()
    script = Scripted(error)
    with virtual_time() as clock, deadline(5.0):
        assert reason(form, retry(on=OSError, attempts=9, wait=2.5), script) == "deadline"
    assert clock.sleeps == [2.5]
    assert "gave up after 2 attempts (deadline)" in error.__notes__[0]


@every_form
def test_nothing_starts_after_the_deadline(form: Form) -> None:
    """Not even the first attempt: it is refused."""
    script = Scripted("ok")
    with virtual_time(), deadline(0), pytest.raises(DeadlineExpiredError):
        form(retry(on=OSError), script)
    assert script.calls == 0


class Sleepy(RealDriver):
    """A driver whose sleeps take longer than they should."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds + 1

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def sleepy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sleepy]:
    """Everything by a clock on which each sleep takes one second too long."""
    driver = Sleepy()
    monkeypatch.setattr(SYSTEM, "now", driver.now)
    monkeypatch.setattr(RUNTIME, "driver", driver)
    return driver


@every_form
def test_a_wait_that_overslept_the_deadline_starts_nothing(form: Form, sleepy: Sleepy) -> None:
    """The last error comes through as if the wait had not been begun."""
    script = Scripted(OSError(1), OSError(2), OSError(3))
    with deadline(11.5):
        assert reason(form, retry(on=OSError, attempts=9, wait=5), script) == "deadline"
    assert script.calls == 2
    assert script.ends[1].__notes__ == [script.ends[1].__notes__[0]]
    assert script.ends[1].__context__ is None


@every_call
def test_a_result_whose_wait_overslept_the_deadline_is_returned(form: Form, sleepy: Sleepy) -> None:
    """The last result stands."""
    script = Scripted(1, 2, 3)
    with deadline(11.5):
        assert form(retry(on=OSError, on_result=lambda result: True, attempts=9, wait=5), script) == 2


@every_form
def test_a_tenacity_stop_ends_it(form: Form) -> None:
    """So does a function of the call state."""
    for stop in (tenacity.stop_after_attempt(2), lambda state: state.attempt_number >= 2):
        script = Scripted(OSError())
        assert reason(form, retry(on=OSError, attempts=None, stop=stop, wait=0), script) == "stop"
        assert script.calls == 2
