"""What comes back from decorating is the user's function in all that can be asked of it, and costs one frame."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import linecache
import subprocess
import sys
import sysconfig
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.support.front import Traced, breaker, fresh, heard

from resilix import Bulkhead, fallback, pipeline, retry, timeout
from resilix.attention import GIL
from resilix.policies import weave_text
from resilix.policies.quiet import Quiet
from resilix.policies.weave import LOOM, MOST_KEPT, WEAVE

pytestmark = pytest.mark.sets_weaving

BOTH = pytest.mark.parametrize("woven", [True, False], ids=["woven", "plain"], indirect=True)
QUIET: dict[str, Callable[[], Any]] = {
    "breaker": lambda: breaker(window=30.0),
    "retry": lambda: retry(on=ConnectionError),
    "bulkhead": lambda: Bulkhead(fresh(), limit=2),
    "fallback": lambda: fallback(None, on=(ConnectionError, TypeError)),
    "pipeline": lambda: pipeline(fallback(0, on=OSError), retry(on=OSError), breaker(), Bulkhead(fresh(), limit=9)),
}
"""Policies with a quiet case for ``def`` and ``async def``."""
POLICIES = pytest.mark.parametrize("make", QUIET.values(), ids=QUIET)


@pytest.fixture(autouse=True)
def woven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Woven, unless the test asks for both."""
    on: bool = getattr(request, "param", True)
    monkeypatch.setattr(WEAVE, "on", on)
    return on


def price(symbol: str, /, count: int = 2, *, currency: str = "EUR") -> int:
    """What a share costs."""
    return len(symbol) * count + len(currency)


async def aprice(symbol: str, /, count: int = 2, *, currency: str = "EUR") -> int:
    """What a share costs, awaited."""
    return len(symbol) * count + len(currency)


# -- wrong arguments -------------------------------------------------------------------------------------------

WRONG: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((), {}),
    (("A", 1, 2), {}),
    ((), {"symbol": "A"}),
    (("A",), {"unknown": 1}),
    (("A", 1), {"count": 2}),
)


@BOTH
@POLICIES
@pytest.mark.parametrize(("args", "kwargs"), WRONG)
@pytest.mark.parametrize("fn", [price, aprice])
def test_wrong_arguments_are_told_as_without_a_policy_and_reach_none(
    make: Callable[[], Any], fn: Any, args: Any, kwargs: Any
) -> None:
    """They are the caller's mistake: the same text, nothing counted, retried, answered or announced."""
    policy = make()
    guarded = policy(fn)
    with pytest.raises(TypeError) as expected:
        fn(*args, **kwargs)

    def call() -> None:
        result = guarded(*args, **kwargs)
        if inspect.isawaitable(result):  # plain, it says so when it is awaited
            asyncio.run(result)

    with heard() as seen, pytest.raises(TypeError) as told:
        call()
    assert str(told.value) == str(expected.value)
    assert not seen
    if hasattr(policy, "totals"):
        assert sum(policy.totals()) == 0


@BOTH
def test_wrong_arguments_are_wrong_while_a_breaker_is_open_too() -> None:
    """Nobody asks the breaker."""
    quotes = breaker()
    quotes.open()
    with pytest.raises(TypeError, match=r"price\(\) missing 1 required positional argument: 'symbol'"):
        quotes(price)()
    assert quotes.snapshot().rejected == 0


@BOTH
def test_a_signature_that_a_function_only_claims_to_have_changes_nothing() -> None:
    """Somebody's decorator gives an argument itself and says so in ``__signature__``: such calls are guarded too."""

    def injected(symbol: str, session: str = "session") -> str:
        return symbol + session

    injected.__signature__ = inspect.Signature()
    quotes = breaker()
    assert quotes(injected)("A") == "Asession"
    assert quotes.totals().success == 1


# -- looks -----------------------------------------------------------------------------------------------------


@BOTH
@POLICIES
@pytest.mark.parametrize("fn", [price, aprice])
def test_it_looks_like_the_function(make: Callable[[], Any], fn: Any) -> None:
    """For people, frameworks and checkers."""
    guarded = make()(fn)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(guarded, name) == getattr(fn, name)
    assert inspect.signature(guarded) == inspect.signature(fn)
    assert guarded.__wrapped__ is fn
    assert inspect.iscoroutinefunction(guarded) is inspect.iscoroutinefunction(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.14 on
        assert asyncio.iscoroutinefunction(guarded) is inspect.iscoroutinefunction(fn)
    assert isinstance(guarded, type(fn))


@POLICIES
@pytest.mark.parametrize("fn", [price, aprice])
def test_defaults_are_the_same_objects(make: Callable[[], Any], fn: Any) -> None:
    """Also without looking through ``__wrapped__``, and under its name in a traceback."""
    guarded = make()(fn)
    assert guarded.__defaults__ is fn.__defaults__
    assert guarded.__kwdefaults__ is fn.__kwdefaults__
    own, theirs = guarded.__code__, fn.__code__
    assert (own.co_name, own.co_varnames[:3]) == (theirs.co_name, ("symbol", "count", "currency"))
    assert getattr(own, "co_qualname", fn.__qualname__) == fn.__qualname__
    unlooked = inspect.signature(guarded, follow_wrapped=False)
    assert [str(one.replace(annotation=one.empty)) for one in unlooked.parameters.values()] == [
        "symbol", "count=2", "currency='EUR'"
    ]  # fmt: skip


@POLICIES
def test_a_traceback_shows_the_lines(make: Callable[[], Any]) -> None:
    """Of generated code too, also after somebody has looked which files have changed."""

    @make()
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fails()
    linecache.checkcache()
    ours = [one for one in traceback.extract_tb(caught.value.__traceback__) if one.filename.startswith("<resilix")]
    assert [(one.name, bool(one.line)) for one in ours] == [("fails", True)]
    assert "_rx_fn()" in "".join(traceback.format_exception(caught.value))


# -- one frame -------------------------------------------------------------------------------------------------


def frames() -> list[str]:
    """The functions between this one's caller and the test."""
    names: list[str] = []
    frame = sys._getframe(2)
    while frame is not None and not frame.f_code.co_name.startswith("test_"):
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def seen() -> list[str]:
    return frames()


@POLICIES
def test_a_quiet_call_has_one_frame_of_ours(make: Callable[[], Any]) -> None:
    """However many policies there are, and from the first call on."""
    guarded = make()(seen)
    assert guarded() == ["seen"]


@POLICIES
def test_a_quiet_async_call_has_one_frame_of_ours(make: Callable[[], Any]) -> None:
    """Each one more would cost at every suspension."""

    async def aseen() -> list[str]:
        return frames()

    guarded = make()(aseen)

    async def test_frame() -> list[str]:
        found: list[str] = await guarded()
        return found

    assert asyncio.run(test_frame()) == ["aseen"]
    assert asyncio.run(timeout(5.0)(aseen)())[0] == "aseen"


def test_stacked_policies_are_one_frame_and_a_foreign_decorator_only_ends_that() -> None:
    """As a pipeline, in any order of decorating."""

    def foreign(fn: Any) -> Any:
        @functools.wraps(fn)
        def wrapped(*args: Any) -> Any:
            return fn(*args)

        return wrapped

    again, slots, quotes = retry(on=OSError), Bulkhead(fresh(), limit=2), breaker()
    assert again(slots(quotes(seen)))() == ["seen"]
    assert again(slots(foreign(quotes(seen))))() == ["seen", "wrapped", "seen"]
    assert again(slots(foreign(quotes(seen)))).__resilix__ == (again, slots, quotes)


SPECIALIZED = """
import dis
from resilix import CircuitBreaker
def price(symbol, count): return count
def spend(price):
    for _ in range(5_000):
        price("A", 1)
async def aprice(symbol, count): return count
async def aspend(price):
    for _ in range(5_000):
        await price("A", 1)
quotes = CircuitBreaker("quotes")
spend(quotes(price))
try:
    aspend(quotes(aprice)).send(None)
except StopIteration:
    pass
for caller in spend, aspend:
    print([one.opname for one in dis.get_instructions(caller, adaptive=True) if one.opname.startswith("CALL_PY")])
"""


@pytest.mark.skipif(not GIL and sys.version_info < (3, 14), reason="3.13 without a GIL specializes no calls")
def test_the_interpreter_calls_a_woven_function_the_short_way() -> None:
    """From Python 3.13 on it does so only where a ``def`` made the function and nothing of it was set afterwards."""
    # In a process of its own: one that is traced, or measured for coverage, may not specialize at all.
    ran = subprocess.run([sys.executable, "-c", SPECIALIZED], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["['CALL_PY_EXACT_ARGS']"] * 2


def test_one_function_may_be_decorated_again_and_again() -> None:
    """Each time something new comes out, and what was there stays as it is."""
    trace: list[str] = []
    first, second, third = breaker(), breaker(), Traced("own", trace)
    once = first(price)
    twice, other = second(once), third(once)
    assert (once("A"), twice("A"), other("A")) == (5, 5, 5)
    assert (first.totals().success, second.totals().success, trace) == (3, 1, ["+own", "-own"])
    assert twice.__wrapped__ is other.__wrapped__ is once
    assert inspect.unwrap(twice) is price


# -- memory ----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@BOTH
@POLICIES
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("is_async", [False, True])
def test_functions_and_policies_die_by_reference_counting(make: Callable[[], Any], is_async: bool) -> None:
    """Without the collector, as ordinary closures do; also after calls that failed."""

    def fails(number: int = 1) -> float:
        return 1 / number

    async def afails(number: int = 1) -> float:
        return 1 / number

    policy = make()
    guarded: Any = policy(afails if is_async else fails)
    for number in (1, 0):
        with suppress(ZeroDivisionError, StopIteration):
            guarded(number).send(None) if is_async else guarded(number)
    gone = [weakref.ref(guarded), weakref.ref(policy), weakref.ref(guarded.__wrapped__)]
    del guarded, policy, fails, afails
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        gc.collect()  # there functions are only counted when it looks
    assert [one() for one in gone] == [None, None, None]


def test_ten_thousand_shapes_keep_a_bounded_cache() -> None:
    """Code, and source for tracebacks; what was woven before goes on working."""
    first = fallback(None, on=OSError)(lambda *, a=1: a)
    for number in range(10_000):
        several = (0 if number % 2 else inspect.CO_VARARGS) | (0 if number % 3 else inspect.CO_VARKEYWORDS)
        shape = weave_text._written(number % 4, 0, number // 100, several)
        short = weave_text._written(number % 4, 0, 0, several)
        assert shape.parameters.count("p") >= number // 100
        LOOM.code([Quiet(f"number = {number}\nresult = INNER", {})], short, is_async=False)
    assert len(LOOM._codes) <= MOST_KEPT
    assert sum(name.startswith("<resilix woven") for name in linecache.cache) <= MOST_KEPT
    assert weave_text._written.cache_info().currsize <= weave_text.MOST_WRITTEN
    assert first(a=3) == 3
