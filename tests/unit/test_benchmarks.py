"""The benchmarks' own arithmetic, and that every case still runs and shows what its name says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cases import GROUPS, Group
from benchmarks.costs import THREADS, thread_scaling
from benchmarks.measure import compare, figures_of, median_and_spread
from benchmarks.report import closing, judge, markdown

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("python-*.json"))


def benchmarks(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command line from the repository's root."""
    command = [sys.executable, "-m", "benchmarks", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def named(name: str) -> Group:
    """The group of that name."""
    return next(group for group in GROUPS if group.name == name)


def test_the_spread_is_the_median_distance_from_the_median() -> None:
    """One wild round moves neither of them; a mean and a standard deviation would be 3.46 and 2.8."""
    assert median_and_spread([2.0, 2.2, 1.9, 2.1, 9.1]) == (2.1, pytest.approx(0.1))
    assert median_and_spread([1.0, 3.0]) == (2.0, 1.0)


def test_a_ratio_is_taken_round_by_round_and_without_the_loop() -> None:
    """The rounds are 2, 3 and 5 times their yardstick, so 3; the quotient of the medians would be 5."""
    base, other = figures_of({"base": [2.0, 11.0, 3.0], "other": [3.0, 31.0, 11.0]}, 1.0)
    assert (base.ratio, base.spread) == (1.0, 0.0)
    assert (other.name, other.ratio, other.spread) == ("other", 3.0, 1.0)
    assert other.nanoseconds == pytest.approx(10e9)


def test_every_variant_gets_as_many_rounds_and_its_time_per_call() -> None:
    """On a clock that only the calls move, twice the work is a ratio of exactly two."""
    now = 0.0
    counts = dict.fromkeys(("one", "two"), 0)

    def taking(name: str, seconds: float) -> Any:
        def call(value: int) -> int:
            nonlocal now
            now += seconds
            counts[name] += 1
            return value

        return call

    # Powers of two, which add up exactly. Calibrating the empty loop needs time to pass by itself too.
    def clock() -> float:
        nonlocal now
        now += 2.0**-10
        return now

    one, two = compare({"one": taking("one", 2.0**-4), "two": taking("two", 2.0**-3)}, 5, clock=clock)
    assert counts["one"] == counts["two"] == 20 + 1 + 5
    assert (one.ratio, two.ratio, two.spread) == (1.0, 2.0, 0.0)


def test_threads_are_compared_with_one_thread() -> None:
    """One thread is the measure of itself, and every number of threads has a pace."""
    for shares in thread_scaling(1, 800).values():
        assert list(shares) == [str(n) for n in THREADS]
        assert shares["1"]["share"] == 1.0
        assert all(one["calls_per_second"] > 0 for one in shares.values())


@pytest.mark.parametrize("name", ["sync, refused", "async, refused", "sync, failing", "async, failing"])
def test_what_is_called_refused_or_failing_really_is(name: str) -> None:
    """A breaker that had closed, or a place that had come free, would make a refusal look cheap."""
    group = named(name)
    for variant, fn in group.variants().items():
        answers = variant.startswith("fallback") or variant == "bare wrapper, succeeding"
        for _ in range(30):
            try:
                result = asyncio.run(fn(1)) if group.awaited else fn(1)
            except group.expects:
                assert not answers, variant
            else:
                assert answers, variant
                assert result in (None, 1)


def test_a_missed_goal_is_named_at_the_end() -> None:
    """A benchmark is no gate, so its last line has to say what was missed."""
    rows = [
        {"name": "retry", "ratio": 1.9, "goal": 1.8, "met": False},
        {"name": "bulkhead", "ratio": 1.9, "goal": 2.0, "met": True},
        {"name": "other", "ratio": 9.9, "goal": None, "met": True},
    ]
    threads = {"bare wrapper": {"8": {"share": 0.95}}, "breaker": {"8": {"share": 0.89}}}
    missed, met, slow = goals = judge({"groups": {"sync, quiet": rows}, "threads": threads})
    assert missed.startswith("MISSED sync, quiet: retry 1.90")
    assert met.startswith("met    sync, quiet: bulkhead 1.90")
    assert slow.startswith("MISSED 8 threads, breaker: 0.89")
    assert closing(goals).startswith("2 of 3 goals missed: sync, quiet: retry 1.90")
    assert closing([met]) == "All 1 goals met."


def test_one_round_of_everything_ends_and_writes_every_case(tmp_path: Path) -> None:
    """Every case is in the JSON, with its goal, and tables and picture can be made of it."""
    figures, picture, tables = tmp_path / "figures.json", tmp_path / "picture.png", tmp_path / "tables.md"
    done = benchmarks("--rounds", "1", "--json", str(figures), "--picture", str(picture), "--markdown", str(tables))
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())
    assert list(results["groups"]) == [group.name for group in GROUPS]
    for group in GROUPS:
        rows = {row["name"]: row for row in results["groups"][group.name]}
        assert {name: row["goal"] for name, row in rows.items() if row["goal"] is not None} == group.goals
        assert next(iter(rows.values()))["ratio"] == 1.0
        assert len(rows) > 2
        # By the wall clock a single round proves nothing.
        assert group.alone or all(row["nanoseconds"] > 0 for row in rows.values())
    assert results["memory_bytes_per_breaker"] > 0
    assert all(one["seconds"] > 0 for one in results["import_seconds"].values())
    assert set(results["import_seconds"]) == {"nothing", "tenacity", "resilix"}
    assert {"cores", "python", "system", "date"} <= set(results["machine"])
    assert closing(results["goals"]) in done.stdout
    assert tables.read_text() == markdown(results) + "\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nonsense_is_refused_with_a_sentence() -> None:
    """No round at all would divide by nothing."""
    done = benchmarks("--rounds", "0")
    assert done.returncode == 2
    assert "at least one round" in done.stderr


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_readme_says_what_was_measured(path: Path) -> None:
    """Its tables are those that the figures beside it make, to the letter; none is for a case that is gone."""
    results = json.loads(path.read_text())
    assert markdown(results) in README.read_text()
    assert list(results["groups"]) == [group.name for group in GROUPS]


def test_there_are_results() -> None:
    """Without any the test above would have nothing to look at."""
    assert [path.stem for path in RESULTS] == ["python-3.11", "python-3.13", "python-3.14t"]
