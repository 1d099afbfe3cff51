"""The benchmarks' own arithmetic, and that every case still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.cases import GROUPS
from benchmarks.measure import summarise
from benchmarks.report import judge

ROOT = Path(__file__).resolve().parents[2]


def test_a_figure_is_the_median_of_the_ratios_and_their_median_distance_from_it() -> None:
    """One wild round moves neither the ratio nor the spread much."""
    figure = summarise("case", [2.0, 2.2, 1.9, 2.1, 9.0], [1e-7, 2e-7, 3e-7, 4e-7, 9e-7])
    assert figure.ratio == 2.1
    assert figure.spread == pytest.approx(0.1)
    assert figure.nanoseconds == pytest.approx(300)


def test_a_missed_goal_is_named() -> None:
    """A benchmark is no gate, so its last lines have to say what was missed."""
    rows = [
        {"name": "retry", "ratio": 1.9, "goal": 1.8, "met": False},
        {"name": "bulkhead", "ratio": 1.9, "goal": 2.0, "met": True},
        {"name": "other", "ratio": 9.9, "goal": None, "met": True},
    ]
    missed, met = judge({"groups": {"sync, quiet": rows}})
    assert missed.startswith("MISSED sync, quiet: retry 1.90")
    assert met.startswith("met    sync, quiet: bulkhead 1.90")


def test_every_goal_belongs_to_a_case_that_is_measured(tmp_path: Path) -> None:
    """One round of everything ends, writes its figures and a picture, and no goal is for a case that is gone."""
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.png"
    command = ["-m", "benchmarks", "--rounds", "1", "--json", str(figures), "--picture", str(picture)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())
    for group in GROUPS:
        rows = {row["name"]: row for row in results["groups"][group.name]}
        assert set(group.goals) <= set(rows)
        assert all(row["ratio"] > 0 for row in rows.values())
    assert results["memory_bytes_per_breaker"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nonsense_is_refused_with_a_sentence() -> None:
    """No round at all would divide by nothing."""
    command = [sys.executable, "-m", "benchmarks", "--rounds", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "at least one round" in done.stderr
