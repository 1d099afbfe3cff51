"""What resilix raises: the tree, the facts, the sentences, pickling, a fresh instance for each raise."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.front import breaker, fresh

import resilix
from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExpiredError,
    RejectedError,
    ResilixError,
    ResilixWarning,
    TimeoutExceededError,
    deadline,
    errors,
    retry,
    timeout,
)
from resilix.testing import virtual_time

EXAMPLES: list[tuple[ResilixError, dict[str, Any], str]] = [
    (
        CircuitOpenError("quotes", retry_after=12.3456, reason="failure rate"),
        {"name": "quotes", "retry_after": 12.3456, "reason": "failure rate"},
        "circuit 'quotes' is open (failure rate): next probe in 12.3 s; the call was not made",
    ),
    (
        CircuitOpenError("quotes", retry_after=None, reason="forced open"),
        {"name": "quotes", "retry_after": None, "reason": "forced open"},
        "circuit 'quotes' is open (forced open): until it is closed by hand; the call was not made",
    ),
    (
        BulkheadFullError("quotes", limit=20),
        {"name": "quotes", "limit": 20, "waited": 0.0},
        "bulkhead 'quotes' is full (limit 20); the call was not made",
    ),
    (
        BulkheadFullError("quotes", limit=20, waited=0.5),
        {"name": "quotes", "limit": 20, "waited": 0.5},
        "bulkhead 'quotes' is full (limit 20) after waiting 0.5 s; the call was not made",
    ),
    (
        DeadlineExpiredError("price"),
        {"label": "price"},
        "no time left before the deadline to start price; the call was not made",
    ),
    (
        TimeoutExceededError(2.0, "price"),
        {"seconds": 2.0, "label": "price"},
        "price did not finish within 2 s",
    ),
    (TimeoutExceededError(0.25), {"seconds": 0.25, "label": "call"}, "call did not finish within 0.25 s"),
    (ConfigurationError("retry(): wrong"), {}, "retry(): wrong"),
    (RejectedError("mine"), {}, "mine"),
    (ResilixError(), {}, ""),
]
EVERY = pytest.mark.parametrize(("error", "facts", "sentence"), EXAMPLES, ids=lambda one: type(one).__name__)


def facts_of(error: ResilixError) -> dict[str, Any]:
    """Its attributes, those that are kept in ``args`` among them."""
    kept = {name: getattr(error, name) for name, one in vars(type(error)).items() if isinstance(one, property)}
    return {**kept, **vars(error)}


@EVERY
def test_facts_for_machines_and_a_sentence_for_people(
    error: ResilixError, facts: dict[str, Any], sentence: str
) -> None:
    """Attributes to decide by, one sentence to read; repr shows both who and what."""
    assert facts_of(error) == facts
    assert str(error) == sentence
    assert repr(error) == f"{type(error).__name__}({sentence!r})"


@EVERY
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_they_survive_pickling(error: ResilixError, facts: dict[str, Any], sentence: str, protocol: int) -> None:
    """As process pools and task queues send them; a note that was added goes along."""
    error = copy.copy(error)
    error.add_note("a note")
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert back is not error
    assert (str(back), back.args, facts_of(back)) == (sentence, error.args, {**facts, "__notes__": ["a note"]})


@EVERY
def test_they_can_be_copied(error: ResilixError, facts: dict[str, Any], sentence: str) -> None:
    """Copy and deepcopy give an equal error that is another object."""
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert twin is not error
        assert (type(twin), facts_of(twin), str(twin)) == (type(error), facts, sentence)


@pytest.mark.parametrize(
    ("fast", "plain"),
    [
        (
            lambda: errors.circuit_open("quotes", 1.5, "failure rate"),
            lambda: CircuitOpenError("quotes", retry_after=1.5, reason="failure rate"),
        ),
        (
            lambda: errors.bulkhead_full("quotes", 20, 0.5),
            lambda: BulkheadFullError("quotes", limit=20, waited=0.5),
        ),
    ],
)
def test_the_fast_makers_make_what_the_classes_make(
    fast: Callable[[], ResilixError], plain: Callable[[], ResilixError]
) -> None:
    """In all that can be seen of an error; a new one each time, which holds what belongs to one raise alone."""
    one, other = fast(), plain()
    assert (type(one), one.args, facts_of(one)) == (type(other), other.args, facts_of(other))
    assert (str(one), repr(one), one.__reduce__()) == (str(other), repr(other), other.__reduce__())
    one.add_note("a note")
    assert fast() is not one
    assert facts_of(fast()) == facts_of(other)


def test_a_subclass_of_yours_survives_pickling() -> None:
    """With facts of its own."""
    error = MineError("quotes", detail=7)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.name, back.detail) == (MineError, "quotes", 7)
    assert isinstance(back, RejectedError)


class MineError(CircuitOpenError):
    def __init__(self, name: str, *, detail: int) -> None:
        super().__init__(name, retry_after=None, reason="mine")
        self.detail = detail


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """What is drawn is what except clauses can rely on."""
    drawn: list[tuple[str, str]] = []
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│├└─ ]*)(\w+)", line)
        if found and hasattr(errors, found[2]):
            depth = len(found[1])
            while stack and stack[-1][0] >= depth:
                stack.pop()
            drawn.append((found[2], stack[-1][1] if stack else "Exception"))
            stack.append((depth, found[2]))
    real = [
        (name, value.__bases__[0].__name__)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ResilixError)
    ]
    assert sorted(drawn) == sorted(real)
    assert len(drawn) == 7


def test_the_attributes_in_the_docstring_are_there() -> None:
    """The tree names each error's facts."""
    for error, facts, _ in EXAMPLES:
        line = next(
            one for one in (errors.__doc__ or "").splitlines() if re.search(rf"\b{type(error).__name__}\b", one)
        )
        for name in re.findall(r" \.(\w+)", line):
            assert name in facts


def test_except_clauses_that_were_there_before_keep_working() -> None:
    """A timeout is a TimeoutError (and so an OSError), a mistake is a ValueError, a warning a UserWarning."""
    assert issubclass(TimeoutExceededError, TimeoutError)
    assert issubclass(TimeoutExceededError, OSError)
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ResilixWarning, UserWarning)
    assert not issubclass(CircuitOpenError, (OSError, ValueError))
    with virtual_time(), pytest.raises(TimeoutError):
        asyncio.run(timeout(1.0).acall(asyncio.sleep, 2))
    with pytest.raises(ValueError, match="attempts"):
        retry(on=OSError, attempts=0)


def test_a_timeout_does_not_look_like_an_error_of_the_system() -> None:
    """OSError takes its arguments for an errno: two seconds are not "no such file or directory"."""
    error = TimeoutExceededError(2.0, "price")
    assert (error.errno, error.strerror, error.filename) == (None, None, None)
    back = pickle.loads(pickle.dumps(error))
    assert (back.errno, back.strerror) == (None, None)


def refuse_open() -> Any:
    quotes = breaker()
    quotes.force_open()
    return lambda: quotes.call(len, "")


def refuse_full() -> Any:
    slots = Bulkhead(fresh(), limit=1)
    slots.acquire()
    return lambda: slots.call(len, "")


def refuse_late() -> Any:
    def late() -> Any:
        with deadline(0):
            return retry(on=OSError).call(len, "")

    return late


def out_of_time() -> Any:
    def slow() -> Any:
        with virtual_time():
            asyncio.run(timeout(1.0).acall(asyncio.sleep, 2))

    return slow


def misconfigured() -> Any:
    return lambda: retry(on=OSError, attempts=0)


@pytest.mark.parametrize("make", [refuse_open, refuse_full, refuse_late, out_of_time, misconfigured])
def test_each_raise_has_an_instance_of_its_own(make: Any) -> None:
    """A shared instance would collect the tracebacks of all its callers, and leak what they hold."""
    fail = make()
    raised: list[ResilixError] = []
    lengths: list[int] = []
    for _ in range(3):
        with pytest.raises(ResilixError) as caught:
            fail()
        raised.append(caught.value)
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len({id(one) for one in raised}) == 3
    assert len(set(lengths)) == 1


def test_a_refusal_says_when_to_come_back() -> None:
    """retry_after counts down to the next possible probe."""
    now = [100.0]
    quotes = breaker(open_for=30.0, clock=lambda: now[0])
    quotes.open(reason="maintenance")
    now[0] = 112.0
    with pytest.raises(CircuitOpenError) as caught:
        quotes.call(len, "")
    assert (caught.value.name, caught.value.retry_after, caught.value.reason) == (quotes.name, 18.0, "maintenance")


def test_every_error_is_exported() -> None:
    """From resilix import …, whatever has to be caught."""
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, (ResilixError, Warning)) and value.__module__ == errors.__name__
    }
    assert found <= set(resilix.__all__)
