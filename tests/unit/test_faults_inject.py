"""Faults injected by name: into code that was written, decorated and woven long before, and only while it lasts."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Never

import pytest
import trio
from tests.support.bulkhead import eventually

from resilix import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Policy,
    ResilixWarning,
    RetryBudget,
    TimeoutExceededError,
    deadline,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.injection import INJECTION, NAMES
from resilix.policies.weave import WEAVE
from resilix.testing import faults, virtual_time
from resilix.testing.switch import SWITCH

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Nothing is injected without it; and nothing is left when a test ends."""
    with faults.enabled():
        yield
    assert INJECTION.door is None
    assert NAMES.get() == ()


quotes = CircuitBreaker("inject-quotes", consecutive=None)
slots = Bulkhead("inject-slots", limit=3)
runs: list[object] = []


def price(symbol: str, *, day: int = 0) -> str:
    """A call of the user's."""
    runs.append(symbol)
    return f"{symbol} {day}"


async def aprice(symbol: str, *, day: int = 0) -> str:
    """The same, async."""
    return price(symbol, day=day)


PATIENT = retry(on=ConnectionError, attempts=3, wait=0.0)
ON_RESULT = retry(on=ConnectionError, on_result=lambda result: result == "none", attempts=3, wait=0.0)


def stacked(*policies: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A sync and an async function under these policies, outermost first, as decorators."""

    def around(fn: Any) -> Any:
        for policy in reversed(policies):
            fn = policy(fn)
        return fn

    return around(price), around(aprice)


def brought(policy: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A policy whose functions come with each call."""
    return functools.partial(policy.call, price), functools.partial(policy.acall, aprice)


class Foreign(Policy[Never]):
    """A policy of the user's, which may look at what it is handed."""

    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        assert fn.__name__
        return fn(*args, **kwargs)

    async def acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        assert fn.__name__
        return await fn(*args, **kwargs)


def theirs(fn: Any) -> Any:
    """A decorator of somebody else's, polite enough for ``functools.wraps``."""
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await fn(*args, **kwargs)

        return awaited

    @functools.wraps(fn)
    def called(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return called


WAYS: dict[str, tuple[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "breaker": ("inject-quotes", stacked(PATIENT, quotes)),
    "bulkhead": ("inject-slots", stacked(PATIENT, slots)),
    "breaker around a bulkhead": ("inject-quotes", stacked(PATIENT, quotes, slots)),
    "bulkhead inside a breaker": ("inject-slots", stacked(PATIENT, quotes, slots)),
    "pipeline": ("inject-pipeline", stacked(pipeline(PATIENT, name="inject-pipeline"))),
    "pipeline of all": ("inject-pipeline", stacked(pipeline(PATIENT, quotes, slots, name="inject-pipeline"))),
    "pipeline around a breaker": ("inject-pipeline", stacked(pipeline(PATIENT, name="inject-pipeline"), quotes)),
    "pipeline in a pipeline": (
        "inject-inner",
        stacked(pipeline(PATIENT, pipeline(quotes, name="inject-inner"), name="inject-pipeline")),
    ),
    "pipeline, called": ("inject-pipeline", brought(pipeline(PATIENT, quotes, name="inject-pipeline"))),
    "breaker in a pipeline, called": ("inject-quotes", brought(pipeline(PATIENT, quotes))),
    "a function's own name": ("price", (stacked(PATIENT)[0], stacked(PATIENT)[0])),
    "retry that looks at results": ("inject-quotes", stacked(ON_RESULT, quotes)),
    "pipeline that looks at results": ("inject-pipeline", stacked(pipeline(ON_RESULT, name="inject-pipeline"))),
    "a policy of the user's outside": ("inject-quotes", stacked(Foreign(), PATIENT, quotes)),
    "a policy of the user's between": ("inject-quotes", stacked(PATIENT, quotes, Foreign())),
    "a policy of the user's alone in a pipeline": (
        "inject-pipeline",
        stacked(PATIENT, pipeline(Foreign(), name="inject-pipeline")),
    ),
    "a cooperative timeout outside": ("inject-quotes", stacked(timeout(5.0, cooperative=True), PATIENT, quotes)),
    "a decorator of somebody's between": ("inject-quotes", stacked(PATIENT, theirs, quotes)),
    "a breaker outside of that": ("inject-quotes", stacked(PATIENT, quotes, theirs, slots)),
}
"""How a name may be around a function."""


def asynchronous(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Call it from an event loop."""

    def called(*args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            result = fn(*args, **kwargs)
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run(main())

    return called


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_a_plan_befalls_each_attempt_once_under_every_form_of_its_name(way: str, sync: bool) -> None:
    """And when the block is over the function is what it was."""
    name, both = WAYS[way]
    fn = both[0] if sync else asynchronous(both[1])
    runs.clear()
    assert fn("BEFORE") == "BEFORE 0"
    with faults.inject(name, faults.sequence(ConnectionError, ConnectionError, faults.ok)) as plan:
        assert fn("ACME", day=3) == "ACME 3"
        assert plan.counts.calls == 3, plan
        assert fn("INIT") == "INIT 0"
        assert plan.counts.calls == 4, plan
    assert fn("AFTER") == "AFTER 0"
    assert runs == ["BEFORE", "ACME", "INIT", "AFTER"]
    assert plan.counts.calls == 4, plan
    assert {entry.label for entry in plan.log} <= {"price", "aprice"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_a_predicate_is_told_the_same_arguments_however_a_call_is_made(way: str, sync: bool) -> None:
    """By position, by name or by default, and whatever is around the function: each has its name."""
    name, both = WAYS[way]
    fn = both[0] if sync else asynchronous(both[1])
    seen: list[dict[str, Any]] = []

    def note(call: faults.Occasion) -> bool:
        seen.append(dict(call.arguments))
        return call.arguments["day"] == 3

    with faults.inject(name, faults.sequence(ConnectionError, faults.ok, repeat=True).when(note)):
        assert [fn("ACME"), fn(symbol="ACME"), fn("ACME", day=3)] == ["ACME 0", "ACME 0", "ACME 3"]
    assert seen == [{"symbol": "ACME", "day": day} for day in (0, 0, 3, 3)]


@pytest.mark.parametrize("way", WAYS)
def test_another_name_befalls_nothing(way: str) -> None:
    """Nor does a part of a name."""
    fn = WAYS[way][1][0]
    with faults.inject("inject-other", KeyError) as plan, faults.inject("inject", KeyError) as part:
        assert fn("ACME") == "ACME 0"
    assert plan.counts.calls == part.counts.calls == 0


OTHERS = [CircuitBreaker(name) for name in ("inject-other", "inject")]


def test_a_name_is_that_of_the_policies_around_this_very_function() -> None:
    """The same function may be under others too, and calls that a function makes itself are calls of their own."""
    raw = quotes(price)
    named = pipeline(PATIENT, name="inject-pipeline")(raw)

    @CircuitBreaker("inject-outer")
    def order() -> str:
        return str(named("ACME"))

    with faults.inject("inject-pipeline", ConnectionError) as plan:
        assert raw("ACME") == "ACME 0"
        assert plan.counts.calls == 0
        with pytest.raises(ConnectionError):
            named("ACME")
        assert plan.counts.calls == 3
    with faults.inject("inject-outer", faults.ok) as plan:
        assert order() == "ACME 0"
    assert plan.counts.calls == 1, "not once more for the call inside"
    with faults.inject("inject-quotes", faults.ok) as plan:
        assert order() == "ACME 0"
    assert plan.counts.calls == 1


def test_what_the_policies_do_is_what_they_do_with_real_faults() -> None:
    """The breaker counts and opens; the fallback answers; refused calls are not befallen."""
    breaker = CircuitBreaker("inject-opens", consecutive=2)
    guarded = fallback("none", on=(ConnectionError, CircuitOpenError))(breaker(price))
    with faults.inject("inject-opens", ConnectionError) as plan:
        assert [guarded("ACME") for _ in range(5)] == ["none"] * 5
    assert plan.counts.calls == 2
    assert breaker.state.value == "open"
    assert breaker.totals().failure == 2


def test_policies_without_a_breaker_are_befallen_by_the_name_of_the_function() -> None:
    """Their quiet cases look at nothing that could tell them: a fallback alone, a retry, a timeout."""

    @fallback("none", on=ConnectionError)
    def quote() -> str:
        return "4217"

    @timeout(5.0)
    async def aquote() -> str:
        return "4217"

    with faults.inject(quote.__qualname__, ConnectionError):
        assert quote() == "none"
    with faults.inject(aquote.__qualname__, faults.hang()), virtual_time(), pytest.raises(TimeoutExceededError):
        asyncio.run(aquote())
    with faults.inject(aquote.__qualname__, faults.ok) as plan:
        assert trio.run(aquote) == "4217"
    assert plan.counts.calls == 1


def test_a_sync_call_in_a_worker_is_befallen_there() -> None:
    """The names go with the context; after the block no thread is left behind."""
    limit = timeout(2.0)
    guarded = quotes(limit(price))
    with virtual_time(), faults.inject("inject-quotes", faults.hang()), pytest.raises(TimeoutExceededError):
        guarded("ACME")
    eventually(lambda: limit.abandoned == 0, "the worker")


def test_a_policy_of_the_users_is_handed_what_looks_like_the_function() -> None:
    """Its name, its documentation, its kind; of a partial as much as there is."""
    handed: list[Any] = []

    class Looks(Foreign):
        def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            handed.append(fn)
            return fn(*args, **kwargs)

        async def acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            handed.append(fn)
            return await fn(*args, **kwargs)

    looks = Looks()
    looks(price)("ACME")
    asyncio.run(looks(aprice)("ACME"))
    looks(functools.partial(price, day=2))("ACME")
    assert [one.__qualname__ for one in handed] == ["price", "aprice", "price"]
    assert [one.__doc__ for one in handed[:2]] == [price.__doc__, aprice.__doc__]
    assert [inspect.iscoroutinefunction(one) for one in handed] == [False, True, False]


def test_methods_and_objects_are_befallen_too() -> None:
    """Whatever can be decorated."""

    class Desk:
        @quotes
        def price(self, symbol: str) -> str:
            return symbol

        @classmethod
        @quotes
        def of(cls, symbol: str) -> str:
            return symbol

        @quotes
        async def aprice(self, symbol: str) -> str:
            return symbol

    called = quotes(functools.partial(price, day=2))
    with faults.inject("inject-quotes", faults.error(KeyError)) as plan:
        for attempt in (
            lambda: Desk().price("ACME"),
            lambda: Desk.of("ACME"),
            lambda: asyncio.run(Desk().aprice("ACME")),
            lambda: called("ACME"),
        ):
            with pytest.raises(KeyError):
                attempt()
    assert plan.counts.calls == 4
    assert Desk().price("ACME") == Desk.of("ACME") == "ACME"


def test_a_plain_function_that_hands_back_a_coroutine_is_befallen_once_for_each_attempt() -> None:
    """The first when it is called; further ones while it is awaited."""
    guarded = pipeline(PATIENT, quotes, name="inject-lambda")(lambda symbol: aprice(symbol))

    async def main() -> object:
        return await guarded("ACME")

    for name in ("inject-lambda", "inject-quotes"):
        runs.clear()
        with faults.inject(name, faults.sequence(faults.ok, KeyError)) as plan:
            assert asyncio.run(main()) == "ACME 0"
        assert (plan.counts.calls, runs) == (1, ["ACME"])
    with faults.inject("inject-quotes", faults.sequence(ConnectionError, faults.ok)) as plan:
        assert asyncio.run(main()) == "ACME 0"
    assert plan.counts.calls == 2


def test_a_function_decorated_while_something_is_injected_is_befallen_and_quiet_afterwards() -> None:
    """The door may be open or shut when it is made."""
    with faults.inject("inject-quotes", faults.sequence(KeyError)) as plan:
        made = quotes(price)
        with pytest.raises(KeyError):
            made("ACME")
    assert made("ACME") == "ACME 0"
    assert plan.counts.calls == 1


@pytest.mark.sets_weaving
def test_a_woven_function_is_exactly_what_it_was_when_the_block_is_over() -> None:
    """The same code, and nothing that keeps it alive: a quiet call costs what it did."""
    assert WEAVE.on
    made: Any = quotes(lambda symbol: symbol)
    before = made.__code__
    with faults.inject("inject-quotes", faults.ok):
        assert made.__code__ is not before
        with faults.inject("inject-slots", faults.ok):
            slots.call(price, "ACME")
        assert made.__code__ is not before
        made("ACME")
    assert made.__code__ is before
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


def test_wrong_arguments_stay_the_callers_mistake() -> None:
    """They reach no policy, injected or not."""
    guarded = quotes(price)
    failures = quotes.totals().failure
    with faults.inject("inject-quotes", faults.ok) as plan, pytest.raises(TypeError, match="price"):
        guarded()
    assert plan.counts.calls == 0
    assert quotes.totals().failure == failures


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_nested_blocks_befall_one_after_the_other_the_newest_first() -> None:
    """What it lets pass is for the next; each ends by itself, in any order."""
    guarded = quotes(price)
    outer, inner = faults.inject("inject-quotes", OSError), faults.inject("price", faults.sequence(KeyError))
    with outer as first:
        with inner as second:
            with pytest.raises(KeyError):
                guarded("ACME")
            with pytest.raises(OSError, match="injected"):
                guarded("ACME")
        assert (first.counts.calls, second.counts.calls) == (1, 2)
        with pytest.raises(OSError, match="injected"):
            guarded("ACME")
    first_block, second_block = faults.inject("inject-quotes", OSError), faults.inject("inject-quotes", faults.ok)
    first_block.__enter__()
    second = second_block.__enter__()
    first_block.__exit__(None, None, None)
    assert guarded("ACME") == "ACME 0"
    second_block.__exit__(None, None, None)
    assert second.counts.calls == 1
    with first_block, pytest.raises(OSError, match="injected"):
        guarded("ACME")


def test_a_block_cannot_be_entered_twice_at_once() -> None:
    """Whose end would be whose?"""
    with (
        faults.inject("inject-quotes", KeyError) as plan,
        faults.inject("inject-quotes", plan) as same,
    ):
        assert same is plan
        with pytest.raises(KeyError):
            quotes.call(len, "")
    block = faults.inject("inject-quotes", faults.ok)
    with block, pytest.raises(ConfigurationError, match="its block is running already"), block:
        pass


def test_an_attempt_under_way_ends_as_was_decided_when_the_block_ends() -> None:
    """Neither lost nor befallen twice; what hangs is let go."""
    started, go_on = threading.Event(), threading.Event()

    @quotes
    def slow() -> str:
        started.set()
        assert go_on.wait(PATIENCE)
        return "done"

    told: list[object] = []
    with faults.inject("inject-quotes", faults.ok) as plan:
        thread = threading.Thread(target=lambda: told.append(slow()))
        thread.start()
        assert started.wait(PATIENCE)
    go_on.set()
    thread.join(PATIENCE)
    assert told == ["done"]
    assert plan.counts.passed == 1

    async def hanging() -> None:
        with faults.inject("inject-quotes", faults.hang()):
            task = asyncio.ensure_future(quotes.acall(aprice, "ACME"))
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, PATIENCE)

    asyncio.run(hanging())


def test_an_outage_counts_from_where_its_block_begins() -> None:
    """Not from the first call."""
    guarded = quotes(price)
    with virtual_time() as time, faults.inject("inject-quotes", faults.outage(start=10, seconds=30, fault=KeyError)):
        time.advance(10)
        with pytest.raises(KeyError):
            guarded("ACME")
        time.advance(30)
        assert guarded("ACME") == "ACME 0"


def test_latency_counts_against_a_deadline_around_the_call() -> None:
    """It is the call that takes so long."""
    guarded = pipeline(PATIENT, quotes)(price)
    with virtual_time() as time, faults.inject("inject-quotes", faults.latency(1.0) & faults.error(ConnectionError)):
        with pytest.raises(ConnectionError), deadline(2.5):
            guarded("ACME")
        assert time.now() <= 3.0


def test_two_threads_may_begin_and_end_blocks_while_others_call() -> None:
    """The functions are exchanged under their feet."""
    guarded, aguarded = stacked(quotes, slots)
    stop = threading.Event()
    wrong: list[object] = []

    def call() -> None:
        while not stop.is_set():
            if guarded("ACME") != "ACME 0" or asyncio.run(aguarded("ACME")) != "ACME 0":
                wrong.append(1)

    def inject() -> None:
        for _ in range(50):
            with faults.inject("inject-quotes", faults.ok):
                quotes.call(len, "")

    callers = [threading.Thread(target=call) for _ in range(2)]
    others = [threading.Thread(target=inject) for _ in range(2)]
    for one in (*callers, *others):
        one.start()
    for one in others:
        one.join(PATIENCE)
    stop.set()
    for one in callers:
        one.join(PATIENCE)
    assert not wrong
    assert (slots.free, INJECTION.door) == (3, None)


# -- the switch ------------------------------------------------------------------------------------------------------


def test_without_the_switch_nothing_can_be_injected() -> None:
    """And the error says how to switch it on, here and where the block begins."""
    block = faults.inject("inject-quotes", KeyError)
    SWITCH.leave()
    try:
        for attempt in (lambda: faults.inject("inject-quotes", KeyError), block.__enter__):
            with pytest.raises(ConfigurationError, match=r"faults\.enabled\(\).*RESILIX_FAULTS=1"):
                attempt()
    finally:
        SWITCH.enter()
    assert INJECTION.door is None


def test_a_block_that_is_left_twice_does_not_keep_faults_switched_on() -> None:
    """Counted off once too often, the next block would never switch them off again."""
    SWITCH.leave()
    try:
        block = faults.enabled()
        with block, block:
            assert INJECTION.enabled
        with pytest.raises(ConfigurationError, match=r"enabled\(\): its block is not running"):
            block.__exit__(None, None, None)
        with faults.enabled():
            assert INJECTION.enabled
        assert not INJECTION.enabled
    finally:
        SWITCH.enter()


def test_switched_off_in_the_middle_of_a_block_calls_pass() -> None:
    """The switch is what counts."""
    with faults.inject("inject-quotes", KeyError) as plan:
        SWITCH.leave()
        try:
            with pytest.warns(ResilixWarning, match="switched off"):
                assert quotes.call(price, "ACME") == "ACME 0"
        finally:
            SWITCH.enter()
        with pytest.raises(KeyError):
            quotes.call(price, "ACME")
    assert (plan.counts.skipped, plan.counts.calls) == (1, 1)


def test_a_name_that_nothing_has_warns_when_its_block_met_no_call() -> None:
    """A misspelt name would make a test pass that has tried nothing."""
    with pytest.warns(ResilixWarning, match=r"met no call, .* did you mean 'inject-quotes'\?"):
        with faults.inject("inject-quote", KeyError):
            quotes.call(price, "ACME")
    with faults.inject("inject-quotes", KeyError):
        pass  # a name there is, and no call: the breaker may have refused them all


def test_the_name_of_a_budget_is_no_name_of_a_call() -> None:
    """Nothing runs under a retry budget, so what is injected under its name meets nothing, and that is said."""
    budget = RetryBudget("inject-budget")
    guarded = retry(on=KeyError, budget=budget)(price)
    with pytest.warns(ResilixWarning, match="'inject-budget'.*is that of a RetryBudget, and calls run under none"):
        with faults.inject("inject-budget", KeyError):
            assert guarded("ACME") == "ACME 0"


def test_a_test_that_fails_under_a_name_that_nothing_has_is_told_too() -> None:
    """It has failed because nothing was injected: the error says so in a note, and there is no warning besides."""
    with pytest.raises(AssertionError) as caught, faults.inject("inject-quote", KeyError):
        assert quotes.call(price, "ACME") == "refused"
    (note,) = caught.value.__notes__
    assert "met no call" in note
    assert "did you mean 'inject-quotes'?" in note
    with pytest.raises(AssertionError) as caught, faults.inject("inject-quotes", faults.ok):
        assert quotes.call(price, "ACME") == "refused"
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_a_status_around_a_function_is_told_though_a_policy_has_swallowed_the_mistake(sync: bool) -> None:
    """A fallback for every error would make a test pass that has tried something else."""
    both = stacked(fallback("none", on=Exception), retry(on=Exception, attempts=2, wait=0), quotes)
    fn = both[0] if sync else asynchronous(both[1])
    with pytest.warns(ResilixWarning, match="the status 503, and a function has no status"):
        with faults.inject("inject-quotes", 503):
            assert fn("ACME") == "none"
    with pytest.raises(AssertionError) as caught, faults.inject("inject-quotes", faults.sequence(503)):
        assert fn("ACME") == "503"
    assert "a function has no status" in caught.value.__notes__[0]
    plan = faults.sequence(503)
    with pytest.raises(ConfigurationError, match="a function has no status") as refused:
        with faults.inject("inject-quotes", plan):
            quotes.call(price, "ACME")
    assert not hasattr(refused.value, "__notes__")
    with faults.inject("inject-quotes", plan):
        assert fn("ACME") == "ACME 0"  # and no warning: the next block is another matter


def test_a_broken_predicate_is_told_though_a_policy_has_swallowed_its_error() -> None:
    """The same for what the test's own part of a plan raises."""
    guarded = fallback("none", on=Exception)(quotes(price))
    plan = faults.error(ConnectionError).when(lambda call: call.arguments["symbl"] == "ACME")
    with pytest.warns(ResilixWarning, match=r"when\(<lambda>\) raised KeyError itself: 'symbl'"):
        with faults.inject("inject-quotes", plan):
            assert guarded("ACME") == "none"
    with pytest.raises(KeyError) as caught, faults.inject("inject-quotes", plan):
        quotes.call(price, "ACME")
    assert "raised KeyError itself" in caught.value.__notes__[0]


def test_a_block_that_was_never_begun_warns_when_it_is_thrown_away() -> None:
    """A forgotten ``with`` would make a test pass that has tried nothing."""
    with pytest.warns(ResilixWarning, match=r"never begun; write with faults\.inject\('inject-quotes', "):
        faults.inject("inject-quotes", KeyError)
    used = faults.inject("inject-quotes", KeyError)
    with used:
        pass
    del used  # and warnings are errors here


def test_a_function_of_a_test_is_known_by_what_comes_after_its_locals() -> None:
    """As the assertions of a record know it; a method inside a class in it too, and nothing else."""

    class Client:
        @retry(on=KeyError)
        def get(self) -> str:
            return "passed"

    @retry(on=KeyError)
    def local() -> str:
        return "passed"

    for name, call in (("local", local), ("Client.get", Client().get)):
        with faults.inject(name, faults.sequence(KeyError, then=OSError)) as plan, virtual_time():
            with pytest.raises(OSError, match="injected"):
                call()
        assert plan.counts.calls == 2
    with pytest.warns(ResilixWarning, match=r"'get'.*met no call"), faults.inject("get", KeyError):
        assert Client().get() == "passed"
