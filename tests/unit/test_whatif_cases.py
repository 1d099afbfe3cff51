"""Each shipped case shows what its description says, whatever the seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.whatif import SOUND, played, said

from resilix.testing.simulation import Result
from resilix.whatif import shipped
from resilix.whatif.scenario import scenario_of

SEEDS = (7, 8)
pytestmark = pytest.mark.slow


@pytest.fixture(params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    """Two seeds, so that a claim is not luck."""
    number: int = request.param
    return number


def openings(result: Result) -> int:
    """How often breakers opened."""
    return sum(one.state == "open" for one in result.changes)


def recovery(result: Result) -> float:
    """Seconds from the end of the trouble until all is as before."""
    assert result.time_to_recover is not None
    return result.time_to_recover


def metastable(result: Result) -> bool:
    """Whether nearly nothing succeeds at the end, because more arrives than can be answered."""
    end = result.steps[-10:]
    width = result.steps[1].at
    arriving = sum(one.arrived for one in end) / (len(end) * width)
    return result.time_to_recover is None and sum(one.succeeded for one in end) == 0 and arriving > 250


def test_in_a_total_outage_the_breaker_saves_requests_and_costs_time(seed: int) -> None:
    """Nobody answers more; naive retries send four times as much, and the breaker comes back late by open_for."""
    alone, naive, ours = played("total-outage", seed).values()
    assert naive.success_share - alone.success_share < 0.005
    assert naive.dependency.peak > 3.8 * alone.dependency.peak
    during = [one.arrived for one in ours.steps if 62 <= one.at < 128]
    assert sum(during) <= 2 * 10  # two probes, and what a step has beside them
    assert ours.time_to_open is not None
    assert ours.time_to_open < 0.5
    assert recovery(alone) == 0.0
    assert 18 <= recovery(ours) <= 22
    assert ours.latency.p99 < 0.5


def test_in_a_brown_out_naive_retries_make_an_overload_that_stays(seed: int) -> None:
    """A budget lets only so many retries through, and the breaker stays closed."""
    alone, naive, ours = played("brown-out", seed).values()
    assert metastable(naive)
    assert naive.success_share < 0.4
    assert ours.success_share > alone.success_share > 0.89
    assert ours.attempts_per_call < 1.05
    assert (openings(ours), recovery(ours)) == (0, 0.0)


def test_after_a_stall_naive_retries_never_recover_and_defaults_lose_half_a_minute(seed: int) -> None:
    """The defaults do worse than a timeout alone, and a shorter open_for does not."""
    alone, naive, ours, five = played("metastable-stall", seed).values()
    assert metastable(naive)
    assert naive.attempts_per_call > 2.9
    assert 0.8 < ours.success_share < 0.85 < alone.success_share < 0.97
    assert 27 <= recovery(ours) <= 31
    assert openings(ours) == 1
    assert five.success_share > alone.success_share
    assert recovery(five) <= 7
    assert ours.attempts_per_call < five.attempts_per_call < 1.0


def test_a_slow_dependency_is_saved_by_the_bulkhead(seed: int) -> None:
    """Without one, even a timeout alone never recovers; with it no breaker has to open."""
    alone, naive, ours = played("slow-dependency", seed).values()
    for lost in (alone, naive):
        assert lost.time_to_recover is None
        assert sum(one.succeeded for one in lost.steps if one.at >= 70) == 0
    assert (openings(ours), recovery(ours) <= 2) == (0, True)
    assert ours.success_share > 0.79
    assert ours.dependency.wasted < 300 < 8_000 < alone.dependency.wasted


def test_a_flapping_dependency_is_where_a_breaker_costs_more_than_it_gives(seed: int) -> None:
    """The defaults refuse more than fails without them; a shorter open_for is better, and still worse than none."""
    alone, naive, ours, five = played("flapping", seed).values()
    assert ours.success_share < 0.55
    assert ours.success_share + 0.2 < five.success_share < alone.success_share < naive.success_share < 0.82
    assert openings(ours) < openings(five)
    assert (recovery(alone), ours.attempts_per_call < 0.52) == (0.0, True)


def test_one_bad_shard_is_found_only_by_policies_of_its_own(seed: int) -> None:
    """One breaker for all never opens, and one bulkhead for all takes places from the shards that are well."""
    alone, naive, ours, apart = played("one-bad-shard", seed).values()
    assert openings(ours) == 0
    assert ours.success_share < alone.success_share - 0.02
    assert (naive.latency.p99 > 4.0, ours.latency.p99 > 2.0) == (True, True)
    assert apart.success_share > alone.success_share - 0.005
    assert apart.latency.p99 < 0.6
    assert {one.breaker for one in apart.changes} == {"dependency, shard 3"}
    assert recovery(apart) <= 6


def test_a_cold_start_is_survived_by_letting_in_what_it_can_bear(seed: int) -> None:
    """Naive retries never let it get warm; a timeout alone wastes its work for a while."""
    alone, naive, ours = played("cold-start-herd", seed).values()
    assert metastable(naive)
    assert recovery(alone) > 10
    assert recovery(ours) <= 2
    assert ours.dependency.wasted < 50 < 3_000 < alone.dependency.wasted
    assert ours.success_share > alone.success_share + 0.08


def test_every_case_is_played_with_a_timeout_alone_with_naive_retries_and_with_ours() -> None:
    """The candidates that every case compares; some have one more."""
    for name in shipped.CASES:
        names = [one.name for one in scenario_of(shipped.read(name), name).candidates]
        assert names[:3] == ["a timeout alone", "naive retries", "resilix"]


def test_the_same_seed_prints_the_same_and_another_does_not(tmp_path: Path) -> None:
    """What is printed, and the JSON, are the same byte for byte."""
    file = tmp_path / "mine.toml"
    file.write_text(SOUND)
    texts: dict[str, list[tuple[str, str]]] = {}
    for number in ("3", "3", "4"):
        out = tmp_path / "out.json"
        status, text, complaints = said("simulate", str(file), "--seed", number, "--json", str(out))
        assert (status, complaints) == (0, "")
        texts.setdefault(number, []).append((text, out.read_text()))
    assert texts["3"][0] == texts["3"][1] != texts["4"][0]
    results = json.loads(texts["3"][0][1])
    assert (results["title"], [one["name"] for one in results["results"]]) == ("sound", ["retry"])
    assert results["results"][0]["seed"] == 3
