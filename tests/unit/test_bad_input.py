"""Nonsense is refused where it is written, with a sentence that says what, why, and what to write instead."""

from __future__ import annotations

import math
import re
import textwrap
import traceback
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import tenacity
from tests.support.front import breaker, fresh

import resilix
from resilix import ConfigurationError, RetryBudget, events
from resilix.telemetry.logs import log_events

DURATIONS_REFUSED: list[tuple[str, str]] = [
    ("-1", "seconds"),
    ("-0.001", "seconds"),
    ("nan", "a duration must be finite"),
    ("inf", "a duration must be finite"),
    ("-inf", "a duration must be finite"),
    ("10**400", "a duration must be finite"),
    ("timedelta(seconds=-1)", "seconds"),
    ("'2 s'", "a duration is a number of seconds or a timedelta"),
    ("True", "a duration is a number of seconds or a timedelta"),
    ("Decimal(2)", "a duration is a number of seconds or a timedelta"),
    ("[2]", "a duration is a number of seconds or a timedelta"),
]
COUNTS_REFUSED: list[tuple[str, str]] = [
    ("-1", "write {option}="),
    ("2.5", "it must be a whole number"),
    ("nan", "it must be a whole number"),
    ("True", "it must be a whole number"),
    ("'3'", "it must be a whole number"),
]
RATES_REFUSED: list[tuple[str, str]] = [
    ("0", "above 0 and at most 1"),
    ("-0.5", "above 0 and at most 1"),
    ("1.1", "write {option}=0.011 for 1.1 %"),
    ("50", "write {option}=0.5 for 50 %"),
    ("200", "above 0 and at most 1"),
    ("nan", "above 0 and at most 1"),
    ("inf", "above 0 and at most 1"),
    ("True", "a rate is a number between 0 and 1"),
    ("'half'", "a rate is a number between 0 and 1"),
]
NAMES_ERRORS_REFUSED: list[tuple[str, str]] = [
    ("None", "it names exceptions"),
    ("'OSError'", "it names exceptions"),
    ("OSError()", "it names exceptions"),
    ("[OSError]", "it names exceptions"),
    ("int", "is not an exception type"),
    ("(OSError, int)", "is not an exception type"),
    ("KeyboardInterrupt", "KeyboardInterrupt"),
    ("BaseException", "BaseException"),
    ("GeneratorExit", "GeneratorExit"),
    ("afunction", "it is async, and nobody awaits it"),
    ("AsyncCaller()", "it is async, and nobody awaits it"),
    ("tenacity.retry_if_exception(afunction)", "it is async, and nobody awaits it"),
]
NAMES_REFUSED = [
    ("''", "it needs a name"),
    ("'  '", "it needs a name"),
    ("3", "it needs a name"),
    ("None", "needs a name"),
]


def options(
    template: str, option: str, refused: list[tuple[str, str]], *more: tuple[str, str]
) -> list[tuple[str, str, str]]:
    """One row per refused value: what is written, what it is called in the message, and why."""
    return [(template.format(value), f"{option}=", why.format(option=option)) for value, why in [*refused, *more]]


CB, BH, RB = "CircuitBreaker('q', {}={{}})", "Bulkhead('q', limit=1, {}={{}})", "RetryBudget('q', {}={{}})"
RETRY = "retry(on=OSError, {}={{}})"

ROWS: list[tuple[str, str, str]] = [
    # -- CircuitBreaker
    *options("CircuitBreaker({})", "name", NAMES_REFUSED),
    *(row for name in ("on", "ignore") for row in options(CB.format(name), name, NAMES_ERRORS_REFUSED)),
    ("CircuitBreaker('q', on=KeyboardInterrupt)", "on=", "no policy may swallow or count; write on=Exception"),
    ("CircuitBreaker('q', ignore=KeyboardInterrupt)", "ignore=", "never counts anyway; leave it out"),
    ("CircuitBreaker('q', on=())", "on=", "it names nothing"),
    ("CircuitBreaker('q', on=OSError, ignore=OSError)", "ignore=", "which contradict each other; write it in one of"),
    ("CircuitBreaker('q', on=(OSError, ValueError), ignore=(KeyError, ValueError))", "ignore=", "ValueError stands in"),
    ("CircuitBreaker('q', on=ConnectionError, ignore=OSError)", "ignore=", "it covers all that on names"),
    *options(CB.format("on_result"), "on_result", [("3", "must be a function"), ("afunction", "it is async")]),
    *options(CB.format("failure_rate"), "failure_rate", RATES_REFUSED),
    *options("CircuitBreaker('q', slow_after=1, slow_rate={})", "slow_rate", RATES_REFUSED),
    ("CircuitBreaker('q', slow_rate=0.5)", "slow_rate=", "needs to know what slow is; add slow_after=2.0"),
    *(
        row
        for name in ("slow_after", "window", "open_for", "probe_lease")
        for row in options(CB.format(name), name, DURATIONS_REFUSED, ("0", "it must be more than zero seconds"))
    ),
    *(
        row
        for name in ("consecutive", "min_calls", "probes")
        for row in options(CB.format(name), name, COUNTS_REFUSED, ("0", "write {option}=1 or more"))
    ),
    *options(CB.format("probe_failures"), "probe_failures", COUNTS_REFUSED),
    ("CircuitBreaker('q', consecutive=None, failure_rate=None)", "consecutive=None", "leave at least one on"),
    ("CircuitBreaker('q', probes=3, probe_failures=3)", "probe_failures=", "write probe_failures=2 or less"),
    ("CircuitBreaker('q', probes=2, probe_failures=5)", "probe_failures=", "write probe_failures=1 or less"),
    ("CircuitBreaker('q', window=calls(10), min_calls=11)", "min_calls=", "write min_calls=10 or less, or a larger"),
    ("CircuitBreaker('q', open_for=afunction)", "open_for=", "it is async"),
    *options(CB.format("clock"), "clock", [("3", "it must be a function; write clock=lambda: …"), ("str", "seconds")]),
    *options("calls({})", "n", COUNTS_REFUSED, ("0", "write n=1 or more")),
    *options("breaker().open({})", "for_", DURATIONS_REFUSED, ("0", "it must be more than zero seconds")),
    ("breaker().reconfigure(open_fo=3)", "open_fo=", "there is no such option"),
    ("breaker().reconfigure(name='other')", "name=", "there is no such option"),
    ("breaker().reconfigure(failure_rate=50)", "failure_rate=", "write failure_rate=0.5 for 50 %"),
    # -- Bulkhead
    *options("Bulkhead({}, limit=1)", "name", NAMES_REFUSED),
    *options("Bulkhead('q', limit={})", "limit", COUNTS_REFUSED, ("0", "no call could ever run")),
    *options(BH.format("max_wait"), "max_wait", DURATIONS_REFUSED),
    *options(BH.format("queue"), "queue", COUNTS_REFUSED),
    # -- RetryBudget
    *options("RetryBudget({})", "name", NAMES_REFUSED),
    *options(RB.format("cost"), "cost", COUNTS_REFUSED, ("0", "a retry that costs nothing is not bounded")),
    *options(RB.format("tokens"), "tokens", COUNTS_REFUSED, ("13", "not even one retry could be paid")),
    # -- retry
    *options("retry(on={})", "on", NAMES_ERRORS_REFUSED),
    ("retry(on=())", "on=", "it names nothing, so nothing would be retried"),
    *options(RETRY.format("attempts"), "attempts", COUNTS_REFUSED, ("0", "attempts counts the first one too")),
    ("retry(on=OSError, attempts=None)", "attempts=None", "it would retry for ever; give within=30.0"),
    *options(RETRY.format("wait"), "wait", DURATIONS_REFUSED, ("afunction", "it is async")),
    *options(RETRY.format("within"), "within", DURATIONS_REFUSED, ("0", "it must be more than zero seconds")),
    *options(RETRY.format("stop"), "stop", [("3", "tenacity stop object"), ("afunction", "it is async")]),
    *options(RETRY.format("on_result"), "on_result", [("3", "must be a function"), ("afunction", "it is async")]),
    *options(RETRY.format("budget"), "budget", [("35", "RetryBudget"), ("RetryBudget", "RetryBudget")]),
    # -- timeout and deadline
    *options("timeout({})", "seconds", DURATIONS_REFUSED, ("0", "it must be more than zero seconds")),
    *options("timeout(1.0, cooperative={})", "cooperative", [("1", "it is a switch"), ("'yes'", "it is a switch")]),
    *options("deadline({})", "seconds", DURATIONS_REFUSED),
    # -- fallback
    *options("fallback(None, on={})", "on", NAMES_ERRORS_REFUSED, ("()", "it names nothing, so it would never answer")),
    ("fallback(on=OSError)", "no answer", "it needs exactly one; write fallback(None, on=…)"),
    ("fallback(None, call=len, on=OSError)", "value and call", "it needs exactly one"),
    ("fallback(None, call=len, handle=len, on=OSError)", "value and call and handle", "it needs exactly one"),
    ("fallback(call=3, on=OSError)", "call=", "to answer with a value, write fallback(value, on=…)"),
    ("fallback(handle='x', on=OSError)", "handle=", "it must be a function"),
    # -- pipeline
    ("pipeline()", "pipeline()", "it is empty and would guard nothing"),
    ("pipeline(None)", "None", "this is no policy; write retry(on=…)"),
    ("pipeline(retry)", "retry", "call it first: retry(on=ConnectionError)"),
    ("pipeline(timeout, timeout(1.0))", "timeout", "call it first: timeout(2.0)"),
    ("pipeline(CircuitBreaker)", "CircuitBreaker", "it is the class; make one first, once: circuitbreaker = "),
    ("pipeline(function)", "function", "guards functions afterwards: write @pipeline(retry(on=…), …) above function"),
    ("pipeline([timeout(1.0)])", "[timeout(1)]", "write pipeline(*policies), with a star"),
    ("pipeline(deadline(1.0))", "deadline(1)", "it is a block: with deadline(2.0): …"),
    ("pipeline(RetryBudget('q'))", "RetryBudget", "hand it to the retry that pays from it"),
    ("pipeline(timeout(1.0), name='')", "name=''", "a name is a text"),
    ("pipeline(timeout(1.0), name=3)", "name=3", "a name is a text"),
    # -- misspelt, missing, by position
    ("CircuitBreaker('q', open_fo=3)", "open_fo=", "did you mean open_for?"),
    ("CircuitBreaker('q', fail_rate=0.3)", "fail_rate=", "did you mean failure_rate?"),
    ("CircuitBreaker('q', xyzzy=3)", "xyzzy=", "the options are name, on, ignore"),
    ("CircuitBreaker('q', OSError)", "CircuitBreaker(…, ", "only name is taken by position"),
    ("CircuitBreaker()", "CircuitBreaker(…)", "needs name, which has no sensible default"),
    ("CircuitBreaker('q', name='r')", "name", "was called wrongly"),
    ("Bulkhead('q')", "Bulkhead(…)", 'needs limit, which has no sensible default; write Bulkhead("quotes", limit=20)'),
    ("Bulkhead('q', 20)", "Bulkhead(…, 20)", "only name is taken by position"),
    ("Bulkhead('q', limits=20)", "limits=", "did you mean limit?"),
    ("RetryBudget('q', token=3)", "token=", "did you mean tokens?"),
    ("RetryBudget()", "RetryBudget(…)", "needs name"),
    ("retry()", "retry(…)", "needs on, which has no sensible default; write retry(on=ConnectionError)"),
    ("retry(OSError)", "retry(…, ", "no option is taken by position"),
    ("retry(on=OSError, atempts=3)", "atempts=", "did you mean attempts?"),
    ("retry(on=OSError, max_attempts=3)", "max_attempts=", "did you mean attempts?"),
    ("timeout()", "timeout(…)", "needs seconds"),
    ("timeout(1.0, True)", "timeout(…, True)", "only seconds is taken by position"),
    ("timeout(second=1.0)", "second=", "did you mean seconds?"),
    ("deadline()", "deadline(…)", "needs seconds"),
    ("fallback(None)", "fallback(…)", "needs on"),
    ("fallback(value=None, on=OSError)", "value=", "given by position, without its name"),
    ("fallback(None, on=OSError, handler=len)", "handler=", "did you mean handle?"),
    ("pipeline(timeout(1.0), nam='q')", "nam=", "did you mean name?"),
    # -- other doors
    ("events.subscribe(3)", "subscribe(3)", "a listener is called with each event"),
    ("log_events(3)", "log_events(3)", "it writes to a logger of the standard library"),
    # -- the wrong member
    (
        "breaker().call(afunction)",
        "afunction",
        "and call() would not await it; write await ….acall",
    ),
    ("breaker()(3)", "3", "which cannot be called; put it on a function or a method"),
    ("breaker()(int)", "int", "it guards calls, not classes; put it on the methods"),
]

DECORATORS: list[tuple[str, str, str]] = [
    ("@CircuitBreaker", "@CircuitBreaker was put on price without a name", "and then @breaker above price"),
    (
        "@Bulkhead",
        "@Bulkhead was put on price",
        'slots = Bulkhead("quotes", limit=20), and then @slots above price',
    ),
    ("@RetryBudget", "@RetryBudget was put on price", "and then retry(on=…, budget=budget)"),
    ("@retry", "@retry was put on price", "write @retry(on=ConnectionError) above price"),
    ("@timeout", "@timeout was put on price", "write @timeout(2.0) above price"),
    ("@fallback", "@fallback was put on price", "write @fallback(None, on=ConnectionError) above price"),
    ("@deadline", "deadline was given price instead of seconds", "write with deadline(2.0): around the call"),
    ("@pipeline", "price", "@pipeline(retry(on=…), …) above price"),
]


class AsyncCaller:
    async def __call__(self, *args: Any) -> bool:
        return True


async def afunction(*args: Any) -> bool:
    return True


def function(*args: Any) -> bool:
    return True


NAMES: dict[str, Any] = {
    **{name: getattr(resilix, name) for name in resilix.__all__},
    "nan": math.nan, "inf": math.inf, "timedelta": timedelta, "Decimal": Decimal, "tenacity": tenacity,
    "AsyncCaller": AsyncCaller, "afunction": afunction, "function": function, "events": events,
    "log_events": log_events, "breaker": breaker,
}  # fmt: skip

INSTEAD = re.compile(
    r"\b(write|put|add|leave|make|define|call it|give|hand|there are|the options are|did you mean|it needs both)\b"
)


def refused(source: str, line: int) -> str:
    """Run what a user wrote; the message of the error, which must come from the line they wrote."""
    with pytest.raises(ConfigurationError) as caught:
        exec(compile(source, "<written>", "exec"), dict(NAMES))
    frames = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == "<written>"]
    assert frames[-1].lineno == line
    assert isinstance(caught.value, ValueError)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "a second error in the traceback"
    return str(caught.value)


@pytest.mark.parametrize(("written", "what", "why"), ROWS, ids=[row[0] for row in ROWS])
def test_nonsense_is_refused_where_it_is_written(written: str, what: str, why: str) -> None:
    """Every option of every constructor: what is wrong, why, what to write instead; at the line that says it."""
    message = refused(f"before = 1\n{written}\nafter = 2\n", 2)
    assert what in message
    assert why in message
    assert INSTEAD.search(message), message
    assert len(message) < 400
    assert "\n" not in message


@pytest.mark.parametrize(("decorator", "what", "instead"), DECORATORS, ids=[row[0] for row in DECORATORS])
def test_a_bare_decorator_is_refused_where_it_is_written(decorator: str, what: str, instead: str) -> None:
    """Without parentheses and options it cannot know what to do, and says what a person would write."""
    message = refused(f"before = 1\n{decorator}\ndef price(symbol): ...\n", 2)
    assert what in message
    assert instead in message


def test_what_the_messages_tell_you_to_write_works() -> None:
    """The words after "write" can be copied."""
    scope = dict(NAMES)
    exec(
        textwrap.dedent("""
        breaker = CircuitBreaker("quotes-as-written")
        slots = Bulkhead("quotes-as-written", limit=20)
        budget = RetryBudget("quotes-as-written")

        @fallback(None, on=ConnectionError)
        @retry(on=ConnectionError, budget=budget)
        @breaker
        @slots
        @timeout(2.0)
        def price(symbol): return len(symbol)

        with deadline(2.0):
            result = price("ACME")
        guard = pipeline(retry(on=ConnectionError), timeout(2.0, cooperative=True))
        """),
        scope,
    )
    assert scope["result"] == 4


def test_every_option_is_in_the_table() -> None:
    """A new option needs its rows."""
    import inspect

    written = " ".join(row[0] for row in ROWS)
    for owner in ("CircuitBreaker", "Bulkhead", "RetryBudget", "retry", "timeout", "fallback", "pipeline"):
        for name in inspect.signature(getattr(resilix, owner)).parameters:
            if name not in ("name", "value", "policies", "seconds"):
                assert re.search(rf"{owner}\([^)]*\b{name}=", written), f"{owner}({name}=…)"


def test_nothing_is_left_behind_by_what_was_refused() -> None:
    """A breaker that could not be made takes no name; an option that could not be changed changes nothing."""
    name = fresh("front-refused")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            resilix.CircuitBreaker(name, failure_rate=50)
    quotes = resilix.CircuitBreaker(name, consecutive=1)
    with pytest.raises(ConfigurationError):
        quotes.reconfigure(consecutive=5, failure_rate=50)
    with pytest.raises(ConnectionError):
        quotes.call(down)
    assert quotes.state == "open"


def down() -> None:
    raise ConnectionError


def test_an_error_inside_is_not_taken_for_a_misspelt_call() -> None:
    """A TypeError of the user's own code, in a repr for instance, comes through as it is."""

    class Odd(RetryBudget):
        def __init__(self) -> None:
            super().__init__(fresh("front-odd"), tokens=OddInt(500))

    class OddInt(int):
        def __lt__(self, other: object) -> bool:
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        Odd()


def test_values_that_cannot_be_shown_are_named_by_their_type() -> None:
    """A repr that raises does not hide the message; a long one is cut."""

    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(ConfigurationError, match=r"attempts=<Unshowable>"):
        resilix.retry(on=OSError, attempts=Unshowable())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as caught:
        resilix.retry(on=OSError, attempts="x" * 1000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("policy", ["breaker()", "resilix.retry(on=OSError)", "resilix.Bulkhead(fresh(), limit=1)"])
def test_parentheses_too_many_are_said_to_be_so(policy: str) -> None:
    """``@quotes()`` instead of ``@quotes``."""
    made: Any = eval(policy)
    with pytest.raises(ConfigurationError, match=r"called with nothing to guard.*@quotes, not @quotes\(\)") as caught:
        made()
    assert str(caught.value).startswith(repr(made))
