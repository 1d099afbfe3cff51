"""``simulate``: real policies, the same result for the same seed, and nothing of the real process is touched."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Never

import pytest

from resilix import (
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    ConfigurationError,
    Policy,
    ResilixWarning,
    RetryBudget,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.clock import SYSTEM
from resilix.policies.registry import REGISTRY
from resilix.runtime import RUNTIME
from resilix.testing import virtual_time
from resilix.testing.simulation import (
    Dependency,
    Ending,
    Load,
    black_hole,
    bursts,
    cold_start,
    exponential,
    flapping,
    outage,
    phases,
    poisson,
    simulate,
    stall,
    steady,
    table,
)
from resilix.testing.simulation.findings import find
from resilix.testing.simulation.modelled import Served

DOWN = Dependency(capacity=10, service=exponential(0.1), script=[outage(start=20, seconds=10)])
STALL = Dependency(capacity=10, service=exponential(0.1), script=[stall(start=20, seconds=3)])


def ours() -> Policy[Any]:
    """What we would tell people to write."""
    return pipeline(
        retry(on=Exception, budget=RetryBudget("quotes")), CircuitBreaker("quotes", open_for=3.0), timeout(1.0)
    )


def naive() -> Policy[Any]:
    """What people write."""
    return pipeline(retry(on=Exception, attempts=4, wait=0.05), timeout(1.0))


def test_the_same_seed_gives_the_same_result_byte_for_byte() -> None:
    """And another seed another."""
    one, two, other = (
        simulate(ours, load=poisson(50), dependency=DOWN, seconds=60, seed=seed).to_json() for seed in (7, 7, 8)
    )
    assert one == two != other


SCRIPT = """
from resilix import CircuitBreaker, pipeline, retry, timeout
from resilix.testing.simulation import Dependency, exponential, outage, poisson, simulate
guard = pipeline(retry(on=Exception), CircuitBreaker("quotes"), timeout(1.0))
there = Dependency(capacity=10, service=exponential(0.1), script=[outage(start=10, seconds=5)])
print(simulate(guard, load=poisson(50), dependency=there, seconds=30, seed=7, processes=3).to_json())
"""


def test_sums_are_the_same_in_every_version_of_python() -> None:
    """From 3.12 on ``sum`` of floats rounds otherwise than before: ten tenths are one here in all of them."""
    served = [*(Served(worked=0.1) for _ in range(10)), Served()]
    found = find("sums", "none", 0, 10.0, Dependency(capacity=1), [], served, [])
    assert found.dependency.busy == 0.1


def test_another_process_gives_the_same_bytes() -> None:
    """Whatever the seed of its hashes, and with the quiet paths woven or not."""
    texts = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "RESILIX_WEAVE": weave},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, weave in (("1", "1"), ("2", "0"))
    ]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["endings"]["succeeded"] > 0


def test_naive_retries_never_recover_from_a_stall_that_ours_recover_from() -> None:
    """The metastable failure: 70 calls a second where 100 can be answered, and three seconds in which none is."""
    theirs = simulate(naive, load=poisson(70), dependency=STALL, seconds=120, seed=7)
    assert theirs.time_to_recover is None
    assert not theirs.recovered
    assert theirs.attempts_per_call > 2.5
    mine = simulate(ours, load=poisson(70), dependency=STALL, seconds=120, seed=7)
    assert mine.recovered
    assert mine.time_to_recover is not None
    assert mine.time_to_recover < 10
    assert mine.attempts_per_call < 1.1


def test_in_an_outage_a_breaker_opens_at_once_and_closes_after_it() -> None:
    """The table of figures says so."""
    result = simulate(ours, load=poisson(70), dependency=DOWN, seconds=60, seed=7, name="ours")
    assert result.time_to_open is not None
    assert result.time_to_open < 0.5
    assert result.time_to_recover is not None
    assert result.time_to_recover < 5
    assert result.false_opens == 0
    assert result.changes[0].state == "open"
    assert result.changes[-1].state == "closed"
    assert result.endings[Ending.REFUSED] > 500
    text = str(result)
    assert text.splitlines()[0].split() == ["ours"]
    assert "time to open" in text
    assert "fallback" not in text, "a row of zeros says nothing"


@pytest.mark.parametrize("seed", range(5))
def test_every_call_and_every_request_is_counted_once(seed: int) -> None:
    """Whatever became of it."""
    there = Dependency(capacity=5, service=exponential(0.2), queue=20, script=[stall(5, 3), outage(12, 3)])
    result = simulate(
        lambda: pipeline(fallback(None, on=Exception), ours()),
        load=bursts(20, size=50, every=5),
        dependency=there,
        seconds=20,
        seed=seed,
    )
    assert result.calls == sum(one.calls for one in result.steps) == sum(result.endings.values())
    assert result.endings[Ending.FALLBACK] > 0
    got = result.dependency
    assert got.arrived == got.answered + got.wasted + got.failed
    assert got.answered == result.endings[Ending.SUCCEEDED]
    assert got.arrived == round(result.attempts_per_call * result.calls)
    assert 0 <= got.busy <= 1


def test_the_policies_given_are_left_alone() -> None:
    """Their state, their names in metrics and health, and their budget; and nothing warns."""
    breaker, budget = CircuitBreaker("mine"), RetryBudget("mine")
    guard = pipeline(retry(on=Exception, budget=budget), breaker, Bulkhead("mine", limit=50), timeout(1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResilixWarning)
        result = simulate(guard, load=70, dependency=DOWN, seconds=60, processes=3)
    assert result.changes
    assert breaker.state is CircuitState.CLOSED
    assert breaker.snapshot().failures == 0
    assert budget.remaining_ratio == 1.0
    assert REGISTRY.find("CircuitBreaker", "mine") is breaker


def test_clock_waits_and_chance_are_the_process_s_own_afterwards() -> None:
    """Also when the simulation breaks."""

    class Broken(Policy[Never]):
        async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            RUNTIME.driver.sleep(1.0)
            return await fn(*args, **kwargs)

        def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

    now, driver, chance = SYSTEM.now, RUNTIME.driver, random.getstate()
    simulate(ours, load=50, dependency=DOWN, seconds=30)
    with pytest.raises(ConfigurationError, match=r"waited in sync code.*await"):
        simulate(Broken, load=10, seconds=5)
    assert (SYSTEM.now, RUNTIME.driver, random.getstate()) == (now, driver, chance)


def test_ctrl_c_ends_it_at_the_next_call() -> None:
    """Where it is pressed does not matter; afterwards all is as before, and Ctrl-C too."""
    came: list[float] = []

    def times(chance: random.Random) -> Iterator[float]:
        for moment in steady(50).times(chance):
            came.append(moment)
            if len(came) == 100:
                signal.raise_signal(signal.SIGINT)
            yield moment

    driver = RUNTIME.driver
    with pytest.raises(KeyboardInterrupt):
        simulate(ours, load=Load("pressed", times), dependency=DOWN, seconds=600)
    assert len(came) == 100
    assert RUNTIME.driver is driver
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_runs_inside_an_event_loop_too() -> None:
    """A notebook has one running."""

    async def notebook() -> float:
        before = asyncio.get_running_loop()
        share = simulate(ours, load=20, seconds=10).success_share
        assert asyncio.get_running_loop() is before
        return share

    assert asyncio.run(notebook()) == 1.0


def test_there_is_one_clock() -> None:
    """Inside virtual time it says so."""
    with virtual_time(), pytest.raises(ConfigurationError, match="only one clock"):
        simulate(ours, load=20, seconds=10)


def test_processes_find_out_by_themselves_unless_they_share() -> None:
    """Four breakers open one after the other; one that is shared opens once."""
    apart = simulate(ours, load=steady(40), dependency=DOWN, seconds=40, processes=4, clients=8)
    opened = [one.breaker for one in apart.changes if one.state == "open"]
    assert set(opened) == {f"quotes, process {number}" for number in range(4)}
    shared = simulate(ours, load=steady(40), dependency=DOWN, seconds=40, processes=4, shared=True)
    assert {one.breaker for one in shared.changes} == {"quotes"}
    last = max(one.at for one in apart.changes if one.state == "open" and one.at < 23)
    assert shared.time_to_open is not None
    assert shared.time_to_open < last - 20


def test_policies_for_each_shard_keep_the_good_ones_going() -> None:
    """One bad shard of ten opens one breaker of ten; a breaker for all of them cannot tell."""
    there = Dependency(capacity=10, service=0.05, shards=10, script=[outage(10, 20, shard=3)])

    def guard() -> Policy[Any]:
        return CircuitBreaker("quotes", open_for=3.0, consecutive=5)

    one = simulate(guard, load=steady(100), dependency=there, seconds=40, per_shard=True)
    assert {change.breaker for change in one.changes} == {"quotes, shard 3"}
    assert one.success_share > 0.93


def test_an_opening_of_a_healthy_dependency_is_false() -> None:
    """Here it is a breaker that opens on a single failure, and a tenth of the answers are errors without any script."""
    touchy = CircuitBreaker("touchy", consecutive=1, open_for=1.0)
    there = Dependency(capacity=1, service=0.1, queue=0)
    result = simulate(touchy, load=poisson(5), dependency=there, seconds=60)
    assert result.false_opens > 5
    assert result.time_to_recover is None
    assert result.recovered, "there was no trouble to recover from"


def test_a_load_may_pause_and_end() -> None:
    """A night, a morning, an evening: nobody calls where the rate is zero; bursts may come alone."""
    day = phases((60, 0), (30, 5), (10, 0))
    result = simulate(lambda: pipeline(retry(on=OSError)), load=day, seconds=200, dependency=Dependency())
    assert sum(result.endings.values()) == 150
    assert next(step.at for step in result.steps if step.calls) == pytest.approx(60, abs=1)
    assert list(itertools.islice(bursts(0, size=2, every=10).times(random.Random(1)), 5)) == [10, 10, 20, 20, 30]
    assert list(poisson(0).times(random.Random(1))) == []


def test_a_call_that_never_ends_is_said_to_be_unfinished() -> None:
    """A black hole, and no timeout. Nobody may read that the slowest call took 100 ms."""
    there = Dependency(capacity=10, service=0.1, script=[black_hole(10, 5)])
    result = simulate(CircuitBreaker("patient"), load=10, dependency=there, seconds=30)
    assert result.endings[Ending.UNFINISHED] == 50
    assert result.latency.p50 == pytest.approx(0.1)
    assert result.latency.most == pytest.approx(80.0), "from the tenth second to a minute after the end"
    assert result.success_latency.most == pytest.approx(0.1)
    assert max(one.p99 for one in result.steps) == result.latency.most


def test_loads_come_as_written() -> None:
    """Even, by chance, in bursts, one after the other."""

    def first(load: Any, count: int) -> list[float]:
        times = load.times(random.Random(7))
        return [round(next(times), 3) for _ in range(count)]

    assert first(steady(4), 4) == [0.0, 0.25, 0.5, 0.75]
    many = first(poisson(50), 10_000)
    assert many == sorted(many)
    assert many[-1] == pytest.approx(200, rel=0.05)
    burst = first(bursts(1.0, size=3, every=10), 40)
    assert burst.count(10.0) == burst.count(20.0) == 3
    assert first(phases((1, 2), (1, 4), (9, 1)), 8) == [0.0, 0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 3.0]


def test_an_hour_of_traffic_is_played_whole() -> None:
    """As many calls as come in an hour."""
    assert simulate(CircuitBreaker("hour"), load=2, seconds=3600, name="hour").calls == 7200


def test_a_picture_is_the_same_file_for_the_same_result(tmp_path: Any) -> None:
    """And it is one."""
    result = simulate(ours, load=30, dependency=DOWN, seconds=40, processes=2)
    first, second = (result.picture(tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    drawn = [result.picture(tmp_path / name).read_text() for name in ("a.svg", "b.svg")]
    assert drawn[0] == drawn[1]
    assert "process 1" in drawn[0]
    with pytest.raises(ConfigurationError, match=r"write a\.png"):
        result.picture(tmp_path / "a.jpeg")


def test_a_mistake_in_a_policy_of_ones_own_is_no_trouble_of_the_dependency() -> None:
    """It is named with its line; errors of the dependency, and those of policies, are not."""

    class Mistaken(Policy[Never]):
        """Looks for something that is not there."""

        async def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
            """Make the call."""
            return await fn.nothing(*args)  # type: ignore[attr-defined]  # the mistake

    result = simulate(Mistaken(), load=steady(1), seconds=5)
    ((error, calls),) = result.unexpected.items()
    assert re.fullmatch(r"AttributeError \(test_simulate\.py:\d+\)", error)
    assert calls == 5
    assert str(result).endswith(f"5 calls ended with {error}, which the dependency did not raise")
    assert simulate(ours, load=20, dependency=DOWN, seconds=60).unexpected == {}


def test_nobody_calling_is_no_recovery() -> None:
    """A breaker that stays open refuses every call that comes; steps in which none comes prove nothing."""
    shut = CircuitBreaker("shut", consecutive=1, open_for=10_000.0)
    down = Dependency(script=[outage(start=20, seconds=100)])
    for seed in range(5):
        rare = simulate(shut, load=poisson(0.2), dependency=down, seconds=600, seed=seed)
        assert any(one.calls == 0 for one in rare.steps[-10:])
        assert not rare.recovered, rare


def test_a_recovery_near_the_end_counts_where_enough_calls_say_so() -> None:
    """Five calls that succeed are no luck, in however few steps; of one that is all, more cannot be asked."""
    short = outage(start=10, seconds=47)
    assert simulate(ours, load=steady(40), dependency=Dependency(script=[short]), seconds=60).recovered
    rare = simulate(timeout(1.0), load=steady(0.1), dependency=Dependency(script=[short]), seconds=70)
    assert rare.time_to_recover == pytest.approx(3.0)


def test_trouble_to_the_end_is_not_told_as_no_recovery() -> None:
    """Nobody can know yet."""
    result = simulate(ours, load=20, dependency=Dependency(script=[outage(start=10, seconds=50)]), seconds=30)
    assert result.trouble_lasts
    assert "time to recover lasts to the end" in " ".join(str(result).split())
    assert not simulate(ours, load=20, dependency=DOWN, seconds=60).trouble_lasts


def test_a_picture_takes_every_name_as_it_is(tmp_path: Any) -> None:
    """Dollars are no formula, and letters that the font lacks are no warnings; failed calls may have timed out."""
    name = "cost $5 and $x^{ 価格"
    result = simulate(CircuitBreaker("p$ri^{c$e"), load=30, dependency=DOWN, seconds=40, name=name)
    drawn = result.picture(tmp_path / "a.svg").read_text()
    for text in (name, "p$ri^{c$e", "failed or timed out"):
        assert f"<!-- {text}" in drawn


# What the type checker is told to ignore in them is the mistake itself.
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: simulate(ours, load=0, seconds=10), r"load=steady\(0\)\): nobody calls in 10 s"),
        (lambda: simulate(ours, load=-1, seconds=10), r"load=-1.*calls per second"),
        (lambda: simulate(ours, load=poisson(1e6), seconds=180), r"about 180,000,000 calls would come in 180 s"),
        (lambda: simulate(ours, load=bursts(1, size=10**6, every=1), seconds=50), r"50,000,050 calls"),
        (lambda: simulate(ours, load=phases((1, 1e6), (9, 10), (1, 1e6)), seconds=31), r"22,000,090 calls"),
        (lambda: simulate(ours, load="fast", seconds=10), r"load='fast'"),
        (lambda: simulate(ours, load=True, seconds=10), r"load=True"),
        (lambda: simulate(ours, load=1, seconds=0), r"seconds=0"),
        (lambda: simulate(ours, load=1, seconds=10, processes=0), r"processes=0"),
        (lambda: simulate(ours, load=1, seconds=10, processes=4, clients=3), r"clients=3"),
        (lambda: simulate(ours, load=1, seconds=10, seed=1.5), r"seed=1.5"),  # type: ignore[arg-type]
        (lambda: simulate(ours, load=1, seconds=10, dependency=DOWN), r"begin after the end.*seconds=90"),
        (lambda: simulate(lambda: 7, load=1, seconds=10), r"must make a policy"),  # type: ignore[arg-type, return-value]
        (lambda: simulate(7, load=1, seconds=10), r"policies=7.*write pipeline"),  # type: ignore[arg-type]
        (lambda: simulate(lambda symbol: ours(), load=1, seconds=10), r"takes nothing"),  # type: ignore[arg-type, misc]
        (lambda: simulate(ours, load=1, seconds=10, dependency=7), r"dependency=7.*Dep"),  # type: ignore[arg-type]
        (lambda: simulate(ours, load=1, seconds=10, shared=1), r"shared=1"),  # type: ignore[arg-type]
        (lambda: simulate(ours, load=1, seconds=10, per_shard="no"), r"per_shard='no'"),  # type: ignore[arg-type]
        (lambda: simulate(ours, load=1, seconds=10, name=3), r"name=3"),  # type: ignore[arg-type]
        (lambda: table([]), r"table\(\): there is no result"),
        (lambda: flapping(0, 1e9, down=1e-9, up=1e-9), r"go down .* times, and may 1,000"),
        (lambda: flapping(0, 1e300, down=1e-300, up=1e-300), r"go down inf times"),
        (lambda: cold_start(0, 10, steps=10**9), r"steps=1000000000"),
        (lambda: Dependency(capacity=0), r"capacity=0"),
        (lambda: Dependency(service=-1), r"service=-1"),
        (lambda: Dependency(shards=2, script=outage(1, 1, shard=2)), r"2 shards.*shards=3"),
        (lambda: Dependency(script="outage"), r"script='outage'.*outage\(start"),  # type: ignore[arg-type]
        (lambda: Dependency(script=[7]), r"script=7"),  # type: ignore[list-item]
        (lambda: Dependency(error=BaseException), r"type of exception"),  # type: ignore[arg-type]
        (lambda: outage(-1, 5), r"start=-1"),
        (lambda: outage(1, 0), r"seconds=0"),
        (lambda: phases(), r"phases\(\)"),
        (lambda: phases((1, 2), 3), r"phase=3"),  # type: ignore[arg-type]
        (lambda: bursts(1, size=0, every=1), r"size=0"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(wrong: Callable[[], object], says: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        wrong()
