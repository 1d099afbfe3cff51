"""Orders that are nearly always wrong are warned about where they are written; right ones are not."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.front import Traced, breaker, fresh, warned

from resilix import Bulkhead, Policy, RejectedError, ResilixWarning, fallback, pipeline, retry, timeout

Order = Callable[[], tuple[Policy[Any], Policy[Any]]]


def again(**options: Any) -> Any:
    return retry(on=ConnectionError, **options)


WRONG: dict[str, tuple[Order, str]] = {
    "retry inside breaker": (lambda: (breaker(), again()), "put retry outside the breaker"),
    "fallback inside retry": (lambda: (again(), fallback(None, on=ConnectionError)), "put fallback outside"),
    "two retries": (lambda: (again(attempts=3), again(attempts=4)), "up to 12 per call; retry in one place"),
    "timeout longer than the timeout around it": (lambda: (timeout(1), timeout(2)), "make it shorter"),
    "timeout longer than a cooperative one": (lambda: (timeout(1, cooperative=True), timeout(2)), "make it shorter"),
    "timeout longer than the retry's within": (lambda: (again(within=1), timeout(2)), "it can never expire"),
}

RIGHT: dict[str, Order] = {
    "retry around breaker": lambda: (again(), breaker()),
    "fallback around retry": lambda: (fallback(None, on=ConnectionError), again()),
    "timeout shorter than the one around it": lambda: (timeout(2), timeout(1)),
    "timeouts of equal length": lambda: (timeout(2), timeout(2)),
    "timeout shorter than within": lambda: (again(within=2), timeout(1)),
    "two fallbacks": lambda: (fallback(None, on=OSError), fallback(1, on=ConnectionError)),
    "two breakers": lambda: (breaker(), breaker()),
    "one of your own": lambda: (breaker(), Traced("mine", [])),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_pipeline_is_warned_about_where_it_is_written(name: str) -> None:
    """One ResilixWarning, at the line of the pipeline, that says what to do instead."""
    outer, inner = WRONG[name][0]()
    with warned() as caught:
        pipeline(outer, inner)
        line = here() - 1
    check(caught, line, WRONG[name][1], outer, inner)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_decorators_are_warned_about_where_they_are_written(name: str) -> None:
    """The same order, stacked: the warning stands at the decorators."""
    outer, inner = WRONG[name][0]()
    with warned() as caught:
        start = here() + 2

        @outer
        @inner
        def price() -> None: ...

    check(caught, start, WRONG[name][1], outer, inner)
    assert str(caught[0].message).startswith(f"{price.__qualname__}: ")


@pytest.mark.parametrize("descriptor", [staticmethod, classmethod])
def test_wrong_decorators_around_descriptors_are_warned_about_too(descriptor: Any) -> None:
    """Over @classmethod and @staticmethod the line is right as well."""
    outer, inner = WRONG["retry inside breaker"][0]()
    inside = inner(descriptor(lambda *args: None))
    with warned() as caught:
        outer(inside)
        line = here() - 1
    check(caught, line, "put retry outside", outer, inner)


@pytest.mark.parametrize("name", WRONG)
def test_what_stands_between_hides_nothing(name: str) -> None:
    """Other policies in between, pipelines in pipelines, a decorator of the user's own: all the same."""
    outer, inner = WRONG[name][0]()
    slots = Bulkhead(fresh(), limit=1)
    with warned() as caught:
        pipeline(outer, slots, inner)
        pipeline(outer, pipeline(slots, pipeline(inner)))
        pipeline(pipeline(slots, outer), inner)
        outer(slots(inner(lambda: None)))
        outer(pipeline(slots, inner)(lambda: None))
        pipeline(slots, outer)(inner(lambda: None))
        outer(users_own(inner(lambda: None)))
    assert len(caught) == 7
    assert all(WRONG[name][1] in str(one.message) for one in caught)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_order_is_not_warned_about(name: str) -> None:
    """A warning that cries wolf is switched off."""
    outer, inner = RIGHT[name]()
    with warned() as caught:
        pipeline(outer, inner)
        outer(inner(lambda: None))
        pipeline(inner)(lambda: None)
    assert caught == []


def test_the_order_of_the_readme_is_not_warned_about() -> None:
    """Fallback, retry, breaker, bulkhead, timeout."""
    with warned() as caught:
        pipeline(
            fallback(None, on=(RejectedError, ConnectionError)),
            again(attempts=3, within=30),
            breaker(),
            Bulkhead(fresh(), limit=2),
            timeout(2.0),
        )
    assert caught == []


def test_each_mistake_is_said_once() -> None:
    """A third decorator does not repeat what the second was told; a pipeline is not told again when it is put on."""
    quotes, slots = breaker(), Bulkhead(fresh(), limit=1)
    with warned() as caught:
        slots(quotes(again()(lambda: None)))
    assert len(caught) == 1
    with warned() as caught:
        pipeline(quotes, again())(lambda: None)
    assert len(caught) == 1


def test_a_policy_of_your_own_may_call_itself_what_it_likes() -> None:
    """One that says kind = "retry" has none of the options ours are asked for."""

    class Mine(Traced):
        kind = "retry"

    with warned() as caught:
        explained = pipeline(Mine("a", []), Mine("b", []), timeout(1)).explain()
    assert caught == []
    assert explained.attempts == 1


def test_the_warning_can_be_made_an_error() -> None:
    """A test suite that turns ResilixWarning into errors fails where the mistake is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResilixWarning)
        with pytest.raises(ResilixWarning, match="put retry outside"):
            pipeline(breaker(), again())


def here() -> int:
    """The line this is called from."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def users_own(fn: Callable[..., Any]) -> Callable[..., Any]:
    import functools

    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def check(caught: list[warnings.WarningMessage], line: int, instead: str, outer: Any, inner: Any) -> None:
    assert len(caught) == 1
    message = str(caught[0].message)
    assert caught[0].category is ResilixWarning
    assert instead in message
    assert repr(outer) in message
    assert repr(inner) in message
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)
