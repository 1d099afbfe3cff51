"""What a fault plan decides, call by call, and what it says about it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilix import ConfigurationError, ResilixWarning
from resilix.testing import durations, faults, virtual_time
from resilix.testing.faults import Plan
from resilix.testing.switch import SWITCH


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Nothing is injected without it."""
    with faults.enabled():
        yield


def outcome(plan: Plan, *args: Any) -> str:
    """What befalls one call."""
    try:
        return str(plan.call(lambda *_: "passed", *args))
    except Exception as error:
        return type(error).__name__


def outcomes(plan: Plan, calls: int) -> list[str]:
    """What befalls so many."""
    return [outcome(plan) for _ in range(calls)]


# -- one plan --------------------------------------------------------------------------------------------------------


def test_a_sequence_gives_one_outcome_to_each_call_and_then_lets_all_pass() -> None:
    """In order; another plan among them decides about its own call."""
    plan = faults.sequence(ConnectionError, faults.ok, faults.error(KeyError), OSError("disk"))
    assert outcomes(plan, 6) == ["ConnectionError", "passed", "KeyError", "OSError", "passed", "passed"]
    assert plan.counts.faults == {"ConnectionError": 1, "KeyError": 1, "OSError": 1}
    assert (plan.counts.calls, plan.counts.passed) == (6, 3)


def test_a_sequence_goes_on_as_it_is_told() -> None:
    """With something else for good, or from the beginning."""
    assert outcomes(faults.sequence(faults.ok, then=ConnectionError), 3) == ["passed", *["ConnectionError"] * 2]
    assert outcomes(faults.sequence(OSError, faults.ok, repeat=True), 5) == ["OSError", "passed"] * 2 + ["OSError"]


def test_each_raise_gets_a_fresh_error() -> None:
    """A class, an instance and a function alike: one object raised twice would gather tracebacks and notes."""
    mine = ValueError("no such symbol", 17)
    mine.add_note("kept")
    for plan in (faults.error(mine), faults.error(ValueError), faults.error(lambda: ValueError("made"))):
        seen: list[ValueError] = []
        for _ in range(2):
            with pytest.raises(ValueError) as raised:
                plan.call(len, "")
            raised.value.add_note("retried")
            seen.append(raised.value)
        assert seen[0] is not seen[1]
        assert all(one is not mine for one in seen)
        assert seen[1].__notes__.count("retried") == 1
    assert mine.__notes__ == ["kept"]
    with pytest.raises(ValueError, match="no such symbol") as raised:
        faults.error(mine).call(len, "")
    assert raised.value.args == ("no such symbol", 17)


def test_an_error_of_a_library_that_wants_a_text_gets_one() -> None:
    """Whoever writes ``httpx.ConnectError`` need not know its constructor."""
    with pytest.raises(httpx.ConnectError, match="injected by a fault plan"):
        faults.error(httpx.ConnectError).call(len, "")


def test_the_same_seed_picks_the_same_calls() -> None:
    """And about as many as were asked for."""
    one, other = faults.rate(0.3, seed=7), faults.rate(0.3, seed=7)
    first = outcomes(one, 400)
    assert first == outcomes(other, 400)
    assert first != outcomes(faults.rate(0.3, seed=8), 400)
    assert 90 <= one.counts.faults["ConnectionError"] <= 150
    assert set(outcomes(faults.rate(0), 50)) == {"passed"}
    assert set(outcomes(faults.rate(1), 50)) == {"ConnectionError"}
    with virtual_time(seed=5):
        drawn = outcomes(faults.rate(0.5), 50)
    with virtual_time(seed=5):
        assert outcomes(faults.rate(0.5), 50) == drawn


def test_latency_takes_its_time_and_then_lets_the_call_pass() -> None:
    """A number, a timedelta, a distribution; its waits are not listed as those between attempts."""
    with virtual_time() as time:
        for delay in (2.0, timedelta(seconds=2), "constant(2)", durations.constant(2)):
            assert outcome(faults.latency(delay)) == "passed"
        assert time.now() == 8.0
        assert time.sleeps == []
        assert outcome(faults.latency(0)) == "passed"
        one, other = (faults.latency(durations.lognormal(0.05, 0.4), seed=3) for _ in range(2))
        outcomes(one, 20)
        outcomes(other, 20)
    assert [entry.delay for entry in one.log] == [entry.delay for entry in other.log]
    assert len({entry.delay for entry in one.log}) == 20
    assert one.counts.delayed == pytest.approx(sum(entry.delay for entry in one.log))


def test_an_outage_begins_and_ends_by_the_clock_of_the_policies() -> None:
    """Its beginning is part of it, its end is not; it counts from the first call that a standing plan sees."""
    plan = faults.outage(start=10, seconds=30, fault=KeyError)
    with virtual_time() as time:
        time.advance(100)
        for at, expected in ((0, "passed"), (9, "passed"), (1, "KeyError"), (29, "KeyError"), (1, "passed")):
            time.advance(at)
            assert outcome(plan) == expected
        endless = faults.outage(start=1)
        assert outcome(endless) == "passed"
        time.advance(1000)
        assert outcome(endless) == "ConnectionError"
    with virtual_time():
        assert outcome(plan) == "passed", "another clock: it is in force anew"


# -- put together ----------------------------------------------------------------------------------------------------


def test_both_plans_befall_a_call_or_the_second_what_the_first_lets_pass() -> None:
    """Delays add up and the first fault stands; ``|`` asks the second one only where nothing has happened."""
    with virtual_time() as time:
        slow = faults.latency(1.0) & faults.latency(0.5) & faults.error(KeyError) & faults.error(OSError)
        assert outcome(slow) == "KeyError"
        assert time.now() == 1.5
        second = faults.sequence(OSError, repeat=True)
        chain = faults.sequence(KeyError, faults.ok, faults.latency(1.0)) | second
        assert outcomes(chain, 4) == ["KeyError", "OSError", "passed", "OSError"]
    assert second.counts.calls == 2
    assert slow.counts.faults == {"KeyError": 1}


def test_a_plan_is_for_a_while_and_for_some_calls() -> None:
    """A predicate sees the call: its number, its time, its arguments."""
    seen: list[faults.Occasion] = []

    def for_acme(call: faults.Occasion) -> bool:
        seen.append(call)
        return call.args == ("ACME",)

    plan = faults.error(KeyError).when(for_acme).during(start=5, seconds=5)
    with virtual_time() as time:
        assert outcome(plan, "ACME") == "passed"
        time.advance(5)
        assert [outcome(plan, "INIT"), outcome(plan, "ACME")] == ["passed", "KeyError"]
        time.advance(5)
        assert outcome(plan, "ACME") == "passed"
    assert [(one.number, one.at, one.args) for one in seen] == [(2, 5.0, ("INIT",)), (3, 5.0, ("ACME",))]
    assert seen[0].request is None


def test_the_arguments_of_a_call_have_names() -> None:
    """Those of the function, with its defaults; a function that has no signature gives only what was passed by name."""
    seen: list[object] = []
    plan = faults.error(KeyError).when(lambda call: seen.append(call.arguments))

    @plan
    def offer(symbol: str, /, *days: int, by: str = "post", **more: int) -> str:
        return symbol

    offer("ACME", 1, 2, tax=3)
    offer("ACME")
    plan.call(max, "", "", key=len)
    assert seen == [
        {"symbol": "ACME", "days": (1, 2), "by": "post", "more": {"tax": 3}},
        {"symbol": "ACME", "days": (), "by": "post", "more": {}},
        {"key": len},
    ]
    with pytest.raises(TypeError, match="missing a required argument: 'symbol'"):
        offer()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]  # the mistake
    assert faults.Occasion(1, 0.0, "quotes", "quotes", (), {}).arguments == {}


def test_what_a_predicate_raises_the_call_raises_and_nothing_is_counted() -> None:
    """A broken test is to be seen, not to pass."""
    plan = faults.error(KeyError).when(lambda call: call.number < 1 // 0)
    assert outcome(plan) == "ZeroDivisionError"
    assert plan.counts.calls == 0


PARTS: dict[str, Callable[[int], Plan]] = {
    "rate": lambda seed: faults.rate(0.4, seed=seed),
    "latency": lambda seed: faults.latency("uniform(0, 1)", seed=seed),
    "sequence": lambda seed: faults.sequence(KeyError, faults.ok, faults.rate(0.5, seed=seed), then=OSError),
    "during": lambda seed: faults.rate(0.9, seed=seed, fault=KeyError).during(start=1, seconds=3),
    "when": lambda seed: faults.error(OSError).when(lambda call: call.number % 3 == seed % 3),
}


@st.composite
def trees(draw: st.DrawFn) -> Callable[[], Plan]:
    """A plan put together of others, made anew each time it is called."""
    leaf = st.tuples(st.sampled_from(sorted(PARTS)), st.integers(0, 9))
    shape: Any = draw(st.recursive(leaf, lambda inner: st.tuples(st.sampled_from("&|"), inner, inner), max_leaves=5))

    def make(one: Any) -> Plan:
        if len(one) == 2:
            return PARTS[one[0]](one[1])
        left, right = make(one[1]), make(one[2])
        return left & right if one[0] == "&" else left | right

    return lambda: make(shape)


def story(plan: Plan, run: Callable[[Plan], str]) -> list[str]:
    """Twelve calls, half a second apart."""
    with virtual_time() as time:
        told = []
        for _ in range(12):
            told.append(run(plan))
            time.advance(0.5)
    return [*told, *(str(entry) for entry in plan.log)]


@settings(deadline=None)
@given(trees())
def test_the_same_seeds_decide_the_same_for_sync_and_async_and_after_a_reset(make: Callable[[], Plan]) -> None:
    """Whatever a plan is made of."""

    def awaited(plan: Plan) -> str:
        async def passed() -> str:
            return "passed"

        async def call() -> str:
            try:
                return await plan.acall(passed)
            except (KeyError, OSError) as error:
                return type(error).__name__

        return asyncio.run(call())

    with faults.enabled():
        first = make()
        sync = story(first, outcome)
        first_log = [(entry.number, entry.at, entry.what, entry.delay) for entry in first.log]
        other = make()
        assert story(other, awaited)[:12] == sync[:12]
        assert [(entry.number, entry.at, entry.what, entry.delay) for entry in other.log] == first_log
        first.reset()
        assert first.counts.calls == 0
        assert story(first, outcome) == sync


@settings(deadline=None)
@given(trees())
def test_counts_and_log_tell_the_same_story(make: Callable[[], Plan]) -> None:
    """Each call is counted once: it passed, or one fault stood in its place."""
    with faults.enabled():
        plan = make()
        told = story(plan, outcome)[:12]
    counts = plan.counts
    assert counts.calls == 12 == counts.passed + sum(counts.faults.values())
    assert counts.passed == told.count("passed")
    assert counts.delayed == pytest.approx(sum(entry.delay for entry in plan.log))
    assert [entry.what for entry in plan.log] == told


def test_many_threads_share_a_plan_and_each_outcome_is_given_once() -> None:
    """It decides under a lock of its own."""
    plan = faults.sequence(*[KeyError, faults.ok] * 100, then=OSError)
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.extend(outcomes(plan, 30))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(told) == sorted(["KeyError", "passed"] * 100 + ["OSError"] * 40)
    assert plan.counts.calls == 240


def test_no_user_code_runs_under_the_lock_of_a_plan() -> None:
    """A predicate, a function that makes errors and a distribution of one's own may look at the plan from elsewhere."""
    asked: list[str] = []

    def look(*_: object) -> Any:
        def read() -> None:
            asked.append(str(plan))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return 0.0

    def make() -> KeyError:
        look()
        return KeyError()

    slow = faults.latency(durations.Duration("mine", 0.0, look), seed=1)
    plan = (slow & faults.error(make)).when(lambda call: look() == 0.0)
    assert outcome(plan) == "KeyError"
    assert len(asked) == 3


# -- what it says ----------------------------------------------------------------------------------------------------


def test_a_plan_shows_how_it_was_written() -> None:
    """In an assertion that failed, and in ``explain()``."""
    shown = {
        faults.ok: "faults.ok",
        faults.sequence(ConnectionError, 503, faults.ok): "faults.sequence(ConnectionError, 503, ok)",
        faults.sequence(503, then=OSError): "faults.sequence(503, then=OSError)",
        faults.sequence(503, repeat=True): "faults.sequence(503, repeat=True)",
        faults.sequence(faults.status(429, retry_after=5)): "faults.sequence(status(429, retry_after=5))",
        faults.rate(0.3, seed=7): "faults.rate(0.3, seed=7, fault=ConnectionError)",
        faults.latency(2): "faults.latency(2)",
        faults.latency("exponential(0.2)", seed=1): "faults.latency(exponential(0.2), seed=1)",
        faults.hang(): "faults.hang()",
        faults.outage(start=10, seconds=30): "faults.error(ConnectionError).during(start=10, seconds=30)",
        faults.outage(): "faults.error(ConnectionError).during(start=0)",
        faults.latency(1) & faults.error(KeyError): "(faults.latency(1) & faults.error(KeyError))",
        faults.error(OSError("secret")) | faults.ok: "(faults.error(OSError) | faults.ok)",
        faults.error(KeyError).when(callable): "faults.error(KeyError).when(callable)",
    }
    assert {plan: repr(plan) for plan in shown} == shown


def test_its_text_tells_what_befell_which_call() -> None:
    """The message of a failed assertion: counts, and the last calls."""
    plan = faults.sequence(ConnectionError, faults.latency(0.2))

    def price() -> int:
        return 1

    with virtual_time():
        guarded = plan(price)
        with pytest.raises(ConnectionError):
            guarded()
        guarded()
    name = price.__qualname__
    assert str(plan).splitlines() == [
        "faults.sequence(ConnectionError, latency(0.2)): 2 calls, 1 passed, 1 ConnectionError, 0.2 s of waiting",
        f"  #1 at 0 s, {name}: ConnectionError",
        f"  #2 at 0 s, {name}: passed after 0.2 s",
    ]
    assert str(faults.hang()) == "faults.hang(): 0 calls, 0 passed"


def test_the_log_is_bounded() -> None:
    """A plan may live as long as a load test."""
    plan = faults.rate(0.5, seed=1)
    outcomes(plan, 1000)
    assert len(plan.log) == 256
    assert plan.log[-1].number == plan.counts.calls == 1000
    assert len(str(plan).splitlines()) == 12


def test_switched_off_a_plan_lets_calls_through_and_warns_once() -> None:
    """It counts them, so that a test that forgot the switch can be seen to have tried nothing."""
    plan = faults.error(KeyError)
    SWITCH.leave()
    try:
        with pytest.warns(ResilixWarning, match=r"faults are switched off; write with faults\.enabled\(\)"):
            assert outcome(plan) == "passed"
        assert outcome(plan) == "passed"
    finally:
        SWITCH.enter()
    assert (plan.counts.skipped, plan.counts.calls) == (2, 0)
    assert str(plan).endswith("2 let through, because faults were switched off")
    assert outcome(plan) == "KeyError"


# -- wrong input -----------------------------------------------------------------------------------------------------


class NeedsTwo(Exception):  # noqa: N818 - no public name
    """An error that neither a class alone can be made of nor a copy."""

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one} and {two}")


# What the type checker is told to ignore in them is the mistake itself.
WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: faults.sequence(), "it is empty"),
    (lambda: faults.sequence(0.5), r"write faults\.latency\(0\.5\)"),
    (lambda: faults.sequence(True), "it is no fault"),
    (lambda: faults.sequence(lambda: KeyError()), r"write faults\.error"),
    (lambda: faults.sequence("503"), "it is no fault"),
    (lambda: faults.sequence(503, then=KeyError, repeat=True), "nothing comes after"),
    (lambda: faults.sequence(503, repeat=1), "it is a switch"),  # type: ignore[arg-type]
    (lambda: faults.sequence(42), "200 to 599"),
    (lambda: faults.status(700), "200 to 599"),
    (lambda: faults.status("503"), "whole number"),  # type: ignore[arg-type]
    (lambda: faults.status(429, retry_after=-1), "zero or more"),
    (lambda: faults.rate(1.5), "a share of the calls, 0 to 1"),
    (lambda: faults.rate(True), "a share of the calls"),
    (lambda: faults.rate(0.5, seed=1.5), "where the random generator starts"),  # type: ignore[arg-type]
    (lambda: faults.rate(0.5, fault=None), "it is no fault"),
    (lambda: faults.latency(-1), "zero or more"),
    (lambda: faults.latency(None), "seconds or a distribution"),  # type: ignore[arg-type]
    (lambda: faults.latency("normal(1)"), "a distribution is one of"),
    (lambda: faults.outage(start=-1), "zero or more"),
    (lambda: faults.outage(seconds=0), "more than zero"),
    (lambda: faults.error(int), "it is no exception"),  # type: ignore[arg-type]
    (lambda: faults.error("no"), "an exception, or a function that makes one"),  # type: ignore[arg-type]
    (lambda: faults.error(None), "an exception, or a function that makes one"),  # type: ignore[arg-type]
    (lambda: faults.error(503), r"write faults\.status\(503\)"),  # type: ignore[arg-type]
    (lambda: faults.error(faults.hang()), r"faults\.hang\(\) is a plan already"),  # type: ignore[arg-type]
    (lambda: faults.sequence(faults.hang), r"write faults\.hang\(…\)"),
    (lambda: faults.sequence(faults.latency, faults.ok), r"write faults\.latency\(…\)"),
    (lambda: faults.sequence([KeyError, 503]), r"write faults\.sequence\(\*…\)"),
    (lambda: faults.error(NeedsTwo), r"write faults\.error\(lambda: NeedsTwo"),
    (lambda: faults.error(NeedsTwo(1, two=2)), "cannot be copied"),
    (lambda: faults.ok.when(None), "it must be a function"),  # type: ignore[arg-type]
    (lambda: faults.ok & KeyError, r"write faults\.ok & faults\.error\(KeyError\)"),
    (lambda: faults.ok | 503, r"write faults\.ok \| faults\.status\(503\)"),
    (lambda: faults.ok & 0.5, r"write faults\.ok & faults\.latency\(0\.5\)"),
    (lambda: KeyError | faults.ok, r"write faults\.error\(KeyError\) \| faults\.ok"),
    (lambda: 503 & faults.ok, r"write faults\.status\(503\) & faults\.ok"),
    (lambda: "no" | faults.ok, "both must be plans"),
    (lambda: faults.inject("", faults.ok), "the name of a policy"),
    (lambda: faults.inject("quotes", 0.5), r"faults\.latency"),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=lambda one: one if isinstance(one, str) else "")
def test_what_cannot_be_meant_is_refused_where_it_is_written(make: Callable[[], object], says: str) -> None:
    """With what is wrong, why, and what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        make()


async def later(call: faults.Occasion) -> bool:
    """A predicate that nobody would await."""
    return call.number > 1


def test_an_async_predicate_and_a_maker_of_no_error_are_refused() -> None:
    """The first where it is written, the second at the call."""
    with pytest.raises(ConfigurationError, match="predicate"):
        faults.ok.when(later)
    with pytest.raises(ConfigurationError, match="it must give an exception"):
        faults.error(lambda: 17).call(len, "")  # type: ignore[arg-type, return-value]
