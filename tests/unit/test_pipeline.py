"""A pipeline is its policies as one, outermost first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.front import Script, Traced, breaker, fresh, heard

from resilix import Bulkhead, BulkheadFullError, CircuitOpenError, RejectedError, deadline, fallback, pipeline, retry
from resilix import timeout as timeout_
from resilix.errors import DeadlineExpiredError, TimeoutExceededError
from resilix.events import AttemptFailed, CallRefused, FallbackServed, GivenUp, RetryScheduled, TimedOut
from resilix.testing import virtual_time

pytestmark = pytest.mark.filterwarnings("error")


def test_the_outermost_stands_first() -> None:
    """The first policy is entered first and left last."""
    trace: list[str] = []
    guard = pipeline(Traced("a", trace), Traced("b", trace), Traced("c", trace))
    guard.call(lambda: trace.append("run"))
    assert trace == ["+a", "+b", "+c", "run", "-c", "-b", "-a"]


@pytest.mark.anyio
async def test_the_outermost_stands_first_when_awaited(anyio_backend: str) -> None:
    """Async is no different."""
    trace: list[str] = []

    async def run() -> None:
        trace.append("run")

    await pipeline(Traced("a", trace), Traced("b", trace)).acall(run)
    assert trace == ["+a", "+b", "run", "-b", "-a"]


def test_stacked_decorators_are_the_same_pipeline() -> None:
    """Reading order of decorators is the order of the pipeline."""
    trace: list[str] = []
    a, b = Traced("a", trace), Traced("b", trace)

    @a
    @b
    def stacked() -> None:
        trace.append("run")

    stacked()
    first, trace[:] = list(trace), []
    pipeline(a, b)(lambda: trace.append("run"))()
    assert trace == first


def test_pipelines_nest() -> None:
    """A pipeline inside a pipeline is as if its policies stood there."""
    trace: list[str] = []
    a, b, c, d = (Traced(name, trace) for name in "abcd")
    pipeline(a, pipeline(b, pipeline(c)), d).call(lambda: None)
    assert trace == ["+a", "+b", "+c", "+d", "-d", "-c", "-b", "-a"]


def guarded() -> Any:
    return pipeline(
        fallback("instead", on=(ConnectionError, RejectedError)),
        retry(on=ConnectionError, attempts=3, wait=1.0),
        breaker(consecutive=5),
        Bulkhead(fresh(), limit=2),
    )


SCRIPTS: list[tuple[Any, ...]] = [
    ("fine",),
    (ConnectionError(), "fine"),
    (ConnectionError(), ConnectionError(), ConnectionError()),
    (ConnectionError(), ValueError("not mine")),
    (KeyError("not mine"),),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: "-".join(type(one).__name__ for one in script))
def test_call_acall_and_decorator_do_the_same(script: tuple[Any, ...]) -> None:
    """Four ways to use it, one outcome, one number of attempts, the same waits."""
    seen: list[Any] = []
    for way in ("call", "decorator", "acall", "async decorator"):
        source = Script(*script)
        with virtual_time() as time:
            try:
                if way == "call":
                    outcome = guarded().call(source.next, "ACME", currency="EUR")
                elif way == "decorator":
                    outcome = guarded()(source.next)("ACME", currency="EUR")
                elif way == "acall":
                    outcome = asyncio.run(guarded().acall(source.anext, "ACME", currency="EUR"))
                else:
                    outcome = asyncio.run(guarded()(source.anext)("ACME", currency="EUR"))
            except Exception as error:
                outcome = error
            seen.append((outcome, len(source.calls), time.sleeps))
        assert all(call == (("ACME",), {"currency": "EUR"}) for call in source.calls)
    assert seen == [seen[0]] * 4


def test_repr_reads_like_the_code() -> None:
    """Printing a guard shows what it does, outermost first."""
    quotes = breaker()
    guard = pipeline(fallback(None, on=ConnectionError), retry(on=ConnectionError, attempts=3), quotes, timeout_(2.0))
    assert repr(guard) == (
        "pipeline(fallback(None, on=ConnectionError), retry(on=ConnectionError, attempts=3), "
        f"CircuitBreaker({quotes.name!r}, closed), timeout(2))"
    )
    assert (guard.name, pipeline(guard, name="outer").name) == (None, "outer")
    assert repr(pipeline(pipeline(timeout_(1.0)), name="inner")) == "pipeline(pipeline(timeout(1)), name='inner')"


# -- names -----------------------------------------------------------------------------------------------------


def down() -> None:
    raise ConnectionError("down")


def verbs(name: str | None) -> Any:
    return pipeline(fallback(0, on=ConnectionError), retry(on=ConnectionError, attempts=2, wait=1.0), name=name)


@pytest.mark.parametrize(("name", "expected"), [("quotes", "quotes"), (None, "down")])
def test_the_name_is_the_label_of_verbs_in_events(name: str | None, expected: str) -> None:
    """Verbs have no name of their own: their pipeline's, else that of the function."""
    with virtual_time(), heard() as seen:
        verbs(name).call(down)
        verbs(name)(down)()
    assert [type(one) for one in seen] == 2 * [AttemptFailed, RetryScheduled, AttemptFailed, GivenUp, FallbackServed]
    assert {one.name for one in seen} == {expected}


def test_nouns_keep_their_own_name_in_events() -> None:
    """A breaker shared by two pipelines is one breaker in every event."""
    quotes = breaker()
    quotes.force_open()
    with heard(CallRefused) as seen, pytest.raises(CircuitOpenError):
        pipeline(quotes, name="other").call(down)
    assert [one.name for one in seen] == [quotes.name]


def test_the_inner_name_wins_inside() -> None:
    """A named pipeline in a named pipeline: each names its own verbs."""
    inner = pipeline(retry(on=ConnectionError, attempts=1), name="inner")
    outer = pipeline(fallback(0, on=ConnectionError), inner, name="outer")
    with heard() as seen:
        outer.call(down)
    assert {type(one): one.name for one in seen} == {AttemptFailed: "inner", GivenUp: "inner", FallbackServed: "outer"}


def test_the_name_is_in_errors() -> None:
    """What an operator reads names the pipeline; without one, the function."""
    slow = pipeline(timeout_(5.0), name="quotes")
    with virtual_time(), pytest.raises(TimeoutExceededError) as late:
        asyncio.run(slow.acall(asyncio.sleep, 10))
    assert (late.value.label, str(late.value)) == ("quotes", "quotes did not finish within 5 s")
    with deadline(0), pytest.raises(DeadlineExpiredError) as expired:
        pipeline(retry(on=ConnectionError))(down)()
    assert "down" in str(expired.value)


def test_the_label_of_a_timeout_event() -> None:
    """The event of an expired timeout names the pipeline too."""
    with virtual_time(), heard(TimedOut) as seen, pytest.raises(TimeoutExceededError):
        asyncio.run(pipeline(timeout_(5.0), name="quotes").acall(asyncio.sleep, 10))
    assert [(one.name, one.seconds, one.abandoned) for one in seen] == [("quotes", 5.0, False)]


def test_one_policy_in_two_places_shares_its_memory_and_nothing_else() -> None:
    """A noun put in twice is one noun; functions and their labels do not get mixed up."""
    quotes, slots = breaker(consecutive=2), Bulkhead(fresh(), limit=1)
    once, twice = pipeline(quotes, slots), pipeline(quotes)

    @once
    def bad() -> None:
        raise ConnectionError

    @twice
    def good() -> str:
        return "good"

    for _ in range(2):
        with pytest.raises(ConnectionError):
            bad()
    with pytest.raises(CircuitOpenError):
        good()
    quotes.close()
    assert good() == "good"
    assert slots.free == 1


def test_a_verb_put_on_two_functions_counts_for_each() -> None:
    """Verbs remember nothing: one retry object gives each function its own attempts."""
    again = retry(on=ConnectionError, attempts=2, wait=0)
    first, second = Script(ConnectionError(), "a"), Script(ConnectionError(), "b")
    guarded_first, guarded_second = again(first.next), again(second.next)
    assert (guarded_first(), guarded_second()) == ("a", "b")
    with heard(AttemptFailed) as seen:
        with pytest.raises(ConnectionError):
            again(down)()
        with pytest.raises(ConnectionError):
            again.call(down)
    assert {one.name for one in seen} == {"down"}


def test_the_same_policy_twice_on_one_function() -> None:
    """A bulkhead around itself needs two places: no cross-talk, no double release."""
    slots = Bulkhead(fresh(), limit=2)
    used: list[int] = []
    pipeline(slots, slots).call(lambda: used.append(slots.in_use))
    assert (used, slots.free) == ([2], 2)
    with pytest.raises(BulkheadFullError):
        pipeline(slots, slots, slots).call(down)
    assert slots.free == 2
