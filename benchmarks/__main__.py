"""Run the benchmarks: ``python -m benchmarks [--quick] [--json FILE] [--picture FILE]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import GROUPS, Group
from benchmarks.costs import import_seconds, memory_per_breaker, thread_scaling
from benchmarks.report import Results, draw, group_lines, judge, machine, say, scaling_lines


def rows_of(group: Group, rounds: int) -> list[dict[str, Any]]:
    """Measure a group, in a process of its own if it asks for one."""
    if group.alone:
        command = [sys.executable, "-m", "benchmarks", "--only", group.name, "--rounds", str(rounds), "--raw"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows
    return _measure(group, rounds)


def _measure(group: Group, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for figure in group.run(rounds):
        goal = group.goals.get(figure.name)
        rows.append({**asdict(figure), "goal": goal, "met": goal is None or figure.ratio <= goal})
    return rows


def run(rounds: int, *, extras: bool) -> Results:
    """Measure everything and print it as it comes."""
    results: Results = {"machine": machine(), "rounds": rounds, "groups": {}}
    where = results["machine"]
    say(
        f"Python {where['python']} on {where['system']}, {where['cores']} cores, load {where['load']}, {where['date']}",
        f"{rounds} rounds of about 1 ms a variant, interleaved; ratio: median over the yardstick in the same round",
    )
    for number, group in enumerate(GROUPS, 1):
        say(f"\n[{number}/{len(GROUPS)}] {group.name} …")
        results["groups"][group.name] = rows_of(group, rounds)
        say(*group_lines(group.name, results["groups"][group.name]))
    if extras:
        say("\nthreads, memory, import …")
        scaling = thread_scaling(max(3, rounds // 10))
        results["threads"] = {name: {str(n): share for n, share in shares.items()} for name, shares in scaling.items()}
        say(*scaling_lines(results["threads"]))
        results["memory_bytes_per_breaker"] = memory_per_breaker()
        results["import_seconds"] = import_seconds(max(5, rounds // 8))
        say(
            f"\nan idle breaker takes {results['memory_bytes_per_breaker']:.0f} bytes",
            "a fresh interpreter takes "
            + ", ".join(
                f"{seconds * 1e3:.0f} ms to import {name}" for name, seconds in results["import_seconds"].items()
            ),
        )
    return results


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    parser.add_argument("--rounds", type=int, default=None, help="rounds a group (default 120, with --quick 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the quiet paths there (.png, .svg)")
    parser.add_argument("--only", choices=[group.name for group in GROUPS], help="measure one group, in this process")
    parser.add_argument("--raw", action="store_true", help="with --only: print JSON")
    options = parser.parse_args()
    rounds = options.rounds if options.rounds is not None else (30 if options.quick else 120)
    if rounds < 1:
        parser.error(f"--rounds {rounds}: at least one round is needed")
    if options.only:
        group = next(group for group in GROUPS if group.name == options.only)
        rows = _measure(group, rounds)
        say(json.dumps(rows) if options.raw else "\n".join(group_lines(group.name, rows)))
        return 0
    results = run(rounds, extras=True)
    results["goals"] = judge(results)
    say("\nGoals", *(f"  {line}" for line in results["goals"]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        say(f"\nfigures: {options.json}")
    if options.picture:
        draw(results, options.picture)
        say(f"picture: {options.picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
