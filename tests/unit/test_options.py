"""Reading what users write: durations, counts, rates, names, switches, functions, and calls that do not fit."""

from __future__ import annotations

import inspect
import math
import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilix import ConfigurationError
from resilix.core import options
from resilix.core.options import checked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (2, 2.0),
        (0.25, 0.25),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (sys.float_info.max, sys.float_info.max),
        (5e-324, 5e-324),
        (10**300, 1e300),
    ],
)
def test_a_duration_is_seconds_or_a_timedelta(value: Any, seconds: float) -> None:
    """Whole numbers too; always a float comes out."""
    read = options.duration("timeout", "seconds", value)
    assert read == seconds
    assert type(read) is float


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_any_positive_finite_float_is_a_duration(value: float) -> None:
    """As it is, to the last bit."""
    assert options.duration("timeout", "seconds", value) == value


@given(
    st.one_of(st.floats(max_value=0, exclude_max=True), st.just(math.nan), st.just(math.inf), st.binary(), st.none())
)
def test_nothing_else_is_a_duration(value: Any) -> None:
    """Never an error of another kind, whatever is written."""
    with pytest.raises(ConfigurationError):
        options.duration("timeout", "seconds", value)


def test_zero_is_a_duration_only_where_it_means_something() -> None:
    """And the message says what zero would mean."""
    assert options.duration("Bulkhead", "max_wait", 0, zero="no waiting") == 0.0
    assert options.duration("Bulkhead", "max_wait", -0.0, zero="no waiting") == 0.0
    with pytest.raises(ConfigurationError, match=r"more than zero seconds; write seconds=0\.5, say"):
        options.duration("timeout", "seconds", 0)
    with pytest.raises(ConfigurationError, match="zero or more seconds; write max_wait=0 for no waiting"):
        options.duration("Bulkhead", "max_wait", -1, zero="no waiting")


def test_whole_numbers_have_bounds() -> None:
    """Both ends are inclusive."""
    assert options.whole("o", "n", 1, least=1, why="w") == 1
    assert options.whole("o", "n", 5, least=1, most=5, why="w") == 5
    assert options.whole("o", "n", 4, least=1, most=5, why="w") == 4
    with pytest.raises(ConfigurationError, match=r"o\(n=6\): w; write n=5 or less"):
        options.whole("o", "n", 6, least=1, most=5, why="w")
    with pytest.raises(ConfigurationError, match=r"o\(n=0\): w; write n=1 or more"):
        options.whole("o", "n", 0, least=1, why="w")
    with pytest.raises(ConfigurationError, match=r"write n=1$"):
        options.whole("o", "n", 1.0, least=0, why="w")


def test_rates_are_shares() -> None:
    """1 is all of them; a percentage is recognised."""
    assert options.ratio("o", "rate", 1) == 1.0
    assert options.ratio("o", "rate", 0.001) == 0.001
    with pytest.raises(ConfigurationError, match=r"write rate=0\.3 for 30 %"):
        options.ratio("o", "rate", 30)
    with pytest.raises(ConfigurationError, match=r"write rate=1 for 100 %"):
        options.ratio("o", "rate", 100)
    with pytest.raises(ConfigurationError, match=r"write rate=0\.5$"):
        options.ratio("o", "rate", -30)
    with pytest.raises(ConfigurationError, match=r"write rate=0\.5$"):
        options.ratio("o", "rate", 101)


def test_names_switches_and_functions() -> None:
    """What is right comes back as it is."""
    assert options.name_of("CircuitBreaker", " quotes ") == " quotes "
    assert options.flag("timeout", "cooperative", False) is False
    assert options.function("o", "clock", len, "") is len
    with pytest.raises(ConfigurationError, match=r"write wait=lambda attempt: …"):
        options.function("o", "wait", 3, "attempt")
    with pytest.raises(ConfigurationError, match=r"write clock=lambda: …"):
        options.function("o", "clock", 3, "")


def test_a_long_value_is_shown_in_80_characters() -> None:
    """One that fits is shown whole."""
    for length in (78, 79):  # and two quotation marks
        message = str(options.refuse("o", "n", "x" * length, "why", "instead"))
        shown = message.removeprefix("o(n=").removesuffix("): why; instead")
        assert shown == ("'" + "x" * 78 + "'" if length == 78 else "'" + "x" * 76 + "...")
        assert len(shown) == 80


def test_a_function_where_a_duration_belongs_is_a_decorator_only_for_seconds() -> None:
    """Any other option was simply given the wrong thing."""
    with pytest.raises(ConfigurationError, match="@timeout was put on len"):
        options.duration("timeout", "seconds", len)
    with pytest.raises(ConfigurationError, match="a duration is a number of seconds"):
        options.duration("CircuitBreaker", "probe_lease", len)


def test_an_object_without_a_name_is_named_by_its_type() -> None:
    """A callable object put where a name belongs."""

    class Caller:
        def __call__(self) -> None: ...

    with pytest.raises(ConfigurationError, match="@CircuitBreaker was put on Caller without a name"):
        options.name_of("CircuitBreaker", Caller())


@checked("thing", "thing(1, x=2)", method=False)
def thing(first: int, /, *, x: int, y: int = 0) -> int:
    """A thing."""
    if y < 0:
        raise TypeError("of its own")
    return first + x + y


def test_a_checked_call_that_fits_goes_through() -> None:
    """Results, metadata and errors of its own are untouched."""
    assert thing(1, x=2) == 3
    assert (thing.__name__, thing.__doc__) == ("thing", "A thing.")
    assert list(inspect.signature(thing).parameters) == ["first", "x", "y"]
    with pytest.raises(TypeError, match=r"^of its own$"):
        thing(1, x=2, y=-1)


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((1,), {"z": 1}, r"thing\(z=…\): there is no such option, the options are first, x, y; write thing\(1, x=2\)"),
        ((1,), {"xx": 1}, r"did you mean x\?"),
        ((), {"first": 1, "x": 2}, "first is given by position, without its name"),
        ((1, 2), {"x": 1}, r"thing\(…, 2\): only first is taken by position"),
        ((1, len), {}, r"@thing was put on len without its options"),
        ((1,), {}, r"thing\(…\) needs x, which has no sensible default"),
        ((), {}, r"thing\(…\) needs first and x"),
        ((len,), {}, r"@thing was put on len without its options.*write @thing\(1, x=2\) above len"),
        ((int,), {}, r"thing\(…\) needs x"),
    ],
)
def test_a_checked_call_that_does_not_fit_says_why(args: tuple[Any, ...], kwargs: dict[str, Any], says: str) -> None:
    """Instead of Python's words about __init__."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        thing(*args, **kwargs)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_checked_method_does_not_count_self() -> None:
    """Constructors."""

    class Thing:
        @checked("Thing", 'Thing("a")')
        def __init__(self, name: str) -> None:
            self.name = name

    assert Thing("a").name == "a"
    with pytest.raises(ConfigurationError, match=r"Thing\(…, 'b'\): only name is taken by position"):
        Thing("a", "b")  # type: ignore[call-arg]
    with pytest.raises(
        ConfigurationError, match=r"Thing\(…\) was called wrongly \(multiple values for argument 'name'\)"
    ):
        Thing("a", name="b")  # type: ignore[misc]
