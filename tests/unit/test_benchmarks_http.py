"""The benchmark of the HTTP layer still runs, and its README shows what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.http import layer_lines, markdown, share_line

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
RESULTS = sorted((ROOT / "benchmarks" / "results" / "http").glob("*.json"))


def test_goals_are_judged() -> None:
    """Microseconds above the pass-through, and the share of a request."""
    rows = [
        {"name": "pass-through", "nanoseconds": 100.0},
        {"name": "breaker", "nanoseconds": 2100.0},
        {"name": "all four, one key", "nanoseconds": 6100.0},
    ]
    lines = layer_lines(rows)
    assert "2.00 µs" in lines[1]
    assert "MISSED" in lines[2]
    assert "met" in share_line({"share": 0.01, "spread": 0.0, "plain_us": 300.0, "added_us": 3.0})


def test_a_short_run_measures_everything(tmp_path: Path) -> None:
    """Both layers and the share of a request against a server in a process of its own."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.http", "--rounds", "1", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())
    assert {row["name"] for row in results["sync"]} >= {"pass-through", "all four, and two time limits"}
    assert results["share"]["plain_us"] > 0


def test_figures_are_checked_in() -> None:
    """Otherwise the next test would look at nothing."""
    assert RESULTS


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_readme_shows_what_was_measured(path: Path) -> None:
    """Every table is what ``--markdown`` wrote."""
    assert markdown(json.loads(path.read_text())) in README
