"""What the breaker's state machine costs by itself: ``python -m benchmarks.machine [--quick] [--json FILE] …``.

The claim: it does not grow with the size of the window nor with the number of breakers. Each step is timed with windows
of 10 to 100,000 calls, side by side in one process, and its instructions are counted by callgrind where there is one.
A count that stays while the time grows is the memory of the machine, not work of ours.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import machine_parts as parts
from benchmarks.counting import INSTRUCTIONS, STEPS, by_callgrind, by_steps, valgrind
from benchmarks.machine_report import draw, lines, markdown, worst_lines
from benchmarks.measure import compare
from benchmarks.parts import bare, identity
from benchmarks.report import machine, say

SIZES = (10, 100, 1_000, 10_000, 100_000)
KEYS = (1, 10, 1_000, 100_000)
ROUNDS, QUICK = 100, 15
BARE = "bare wrapper"
REPEATS = 5
"""How often each worst single step is made; the median counts."""

Row = dict[str, Any]


def sizes_of(step: str, kind: str, fill: str, rounds: int) -> list[Row]:
    """Time one step with windows of every size."""
    return _timed({str(size): fn for size, fn in parts.by_size(step, kind, fill, SIZES).items()}, rounds)


def keys_of(step: str, rounds: int) -> list[Row]:
    """Time one step with every number of breakers."""
    return _timed({str(number): fn for number, fn in parts.by_keys(step, KEYS).items()}, rounds)


def _timed(variants: dict[str, Any], rounds: int) -> list[Row]:
    figures = compare({BARE: bare(identity), **variants}, rounds)[1:]
    smallest = figures[0].ratio
    return [
        {
            "size": int(figure.name), "ratio": figure.ratio, "spread": figure.spread,
            "nanoseconds": figure.nanoseconds, "to_smallest": figure.ratio / smallest,
        }
        for figure in figures
    ]  # fmt: skip


def worst() -> dict[str, dict[str, float]]:
    """Microseconds of the single steps that do what many calls before have left to be done, by size."""
    found: dict[str, dict[str, float]] = {}
    for size in SIZES:
        for name, make in parts.worst_steps(size).items():
            found.setdefault(name, {})[str(size)] = statistics.median(_once(make) for _ in range(REPEATS))
    return found


def _once(make: Any) -> float:
    step = make()
    gc.collect()
    begin = time.perf_counter_ns()
    step()
    return (time.perf_counter_ns() - begin) / 1e3


def counted(*, quick: bool) -> dict[str, Any]:
    """The instructions of the same steps; the interpreter's steps in a hurry, or where there is no valgrind."""
    kind, count = (INSTRUCTIONS, by_callgrind) if valgrind() and not quick else (STEPS, by_steps)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(count, "--sizes", *map(str, SIZES)), pool.submit(count, "--keys", *map(str, KEYS))]
        counts = both[0].result() | both[1].result()
    return {"kind": kind, "counts": [[*key, sizes] for key, sizes in parts.told(counts).items()]}


def run(rounds: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything and print it as it comes."""
    results: dict[str, Any] = {"machine": machine(), "rounds": rounds, "sizes": [], "keys": [], "worst": {}}
    say("counting; of instructions it takes some minutes …")
    results["counted"] = counted(quick=quick)
    say(f"each line: times the bare wrapper ± spread (times the smallest; {results['counted']['kind']} a step)")
    for step, kind, fill in parts.cases():
        row = {"step": step, "kind": kind, "fill": fill, "rows": sizes_of(step, kind, fill, rounds)}
        results["sizes"].append(row)
        say(*lines(row, results["counted"]))
    for step in parts.KEYED:
        row = {"step": step, "kind": parts.KEYS, "fill": "", "rows": keys_of(step, rounds)}
        results["keys"].append(row)
        say(*lines(row, results["counted"]))
    results["worst"] = worst()
    say(*worst_lines(results["worst"]))
    return results


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machine", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK} rounds instead of {ROUNDS}; counts steps of the interpreter, not instructions",
    )
    parser.add_argument("--rounds", type=int, default=None, help="rounds a group")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw cost over size there (.png, .svg)")
    options = parser.parse_args()
    rounds = options.rounds if options.rounds is not None else (QUICK if options.quick else ROUNDS)
    if rounds < 1:
        parser.error(f"--rounds {rounds}: at least one round is needed")
    results = run(rounds, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(results) + "\n")
    if options.picture:
        draw(results, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
