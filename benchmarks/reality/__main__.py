"""Simulate the cases and live through them: ``python -m benchmarks.reality [--runs N] [--picture FILE] [--json FILE]``.

Every run has a seed of its own, 1 and up, the same for both sides; a run takes ten seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reality.cases import CASES, figures
from benchmarks.reality.live import live
from benchmarks.reality.picture import draw
from resilix.testing.simulation import Result

Pair = tuple[Result, Result]


def run(seed: int) -> list[Pair]:
    """Each case simulated and real."""
    return [(case.simulated(seed), real) for case, real in zip(CASES, live(CASES, seed), strict=True)]


def shown(values: Sequence[float | None]) -> str:
    """The mean of a figure over runs, or how often there was none."""
    there = [one for one in values if one is not None]
    if not there:
        return "never"
    never = len(values) - len(there)
    return f"{statistics.fmean(there):.2f}" + (f" ({never} of them never)" if never else "")


def apart(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """How far the two are apart at most in one run."""
    both = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    unlike = sum((one is None) != (other is None) for one, other in pairs)
    return (f"{max(both):.3f}" if both else "-") + (f" ({unlike} unlike)" if unlike else "")


def lines(runs: Sequence[Sequence[Pair]]) -> list[str]:
    """The table."""
    said = ["| case | figure | simulated | real | apart in one run, at most |", "|---|---|---|---|---|"]
    for place, case in enumerate(CASES):
        pairs = [(figures(one[place][0]), figures(one[place][1])) for one in runs]
        for figure in pairs[0][0]:
            simulated, real = ([one[side][figure] for one in pairs] for side in (0, 1))
            row = (case.name, figure, shown(simulated), shown(real), apart(list(zip(simulated, real, strict=True))))
            said.append(f"| {' | '.join(row)} |")
    return said


def main() -> None:
    """Run them and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reality", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="how many, with seeds from 1 (10)")
    parser.add_argument("--picture", type=Path, help="draw the first run to this file")
    parser.add_argument("--json", type=Path, help="write the figures of all runs to this file")
    chosen = parser.parse_args()
    runs: list[list[Pair]] = []
    for seed in range(1, chosen.runs + 1):
        runs.append(run(seed))
        print(f"run {seed} of {chosen.runs}", flush=True)
    print("\n".join(lines(runs)))
    if chosen.json is not None:
        told = [{two[0].name: [figures(one) for one in two] for two in one_run} for one_run in runs]
        chosen.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if chosen.picture is not None:
        draw(runs[0], chosen.picture)


if __name__ == "__main__":
    main()
