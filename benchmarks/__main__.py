"""Run the benchmarks: ``python -m benchmarks [--quick] [--json FILE] [--picture FILE] [--markdown FILE]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import GROUPS, Group
from benchmarks.costs import CALLS, decoration_seconds, import_seconds, memory_per_breaker, thread_scaling
from benchmarks.report import (
    Results,
    closing,
    cost_lines,
    draw,
    group_lines,
    headline,
    judge,
    machine,
    markdown,
    say,
    scaling_lines,
)

ROUNDS, QUICK = 200, 30


def rows_of(group: Group, rounds: int) -> list[dict[str, Any]]:
    """Measure a group, in a process of its own if it asks for one."""
    if not group.alone:
        return _measure(group, rounds)
    command = [sys.executable, "-m", "benchmarks", "--only", group.name, "--rounds", str(rounds), "--raw"]
    # Its errors go where ours go.
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _measure(group: Group, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for figure in group.run(rounds):
        goal = group.goals.get(figure.name)
        rows.append({**asdict(figure), "goal": goal, "met": goal is None or figure.ratio <= goal})
    return rows


def run(rounds: int) -> Results:
    """Measure everything and print it as it comes."""
    results: Results = {"machine": machine(), "rounds": rounds, "groups": {}}
    say(*headline(results))
    for number, group in enumerate(GROUPS, 1):
        say(f"\n[{number}/{len(GROUPS)}] {group.name}{', in a process of its own' if group.alone else ''} …")
        results["groups"][group.name] = rows_of(group, rounds)
        say(*group_lines(group.name, results["groups"][group.name]))
    say("\nthreads …")
    # A short run only shows that it works.
    results["threads"] = thread_scaling(min(12, max(3, rounds // 10)), CALLS if rounds >= QUICK else CALLS // 50)
    say(*scaling_lines(results["threads"]), "\nmemory, decoration, import …")
    results["memory_bytes_per_breaker"] = memory_per_breaker()
    results["decoration_seconds"] = decoration_seconds(max(10, rounds))
    results["import_seconds"] = import_seconds(min(20, max(3, rounds // 5)))
    results["goals"] = judge(results)
    say(*cost_lines(results), "\nGoals", *(f"  {line}" for line in results["goals"]), "", closing(results["goals"]))
    return results


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    parser.add_argument(
        "--rounds", type=int, default=None, help=f"rounds a group (default {ROUNDS}, with --quick {QUICK})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw quiet and refused paths there (.png, .svg)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write all tables there")
    parser.add_argument("--only", choices=[group.name for group in GROUPS], help="measure one group, in this process")
    parser.add_argument("--raw", action="store_true", help="with --only: print JSON")
    options = parser.parse_args()
    rounds = options.rounds if options.rounds is not None else (QUICK if options.quick else ROUNDS)
    if rounds < 1:
        parser.error(f"--rounds {rounds}: at least one round is needed")
    if options.only:
        group = next(group for group in GROUPS if group.name == options.only)
        rows = _measure(group, rounds)
        say(json.dumps(rows) if options.raw else "\n".join(group_lines(group.name, rows)))
        return 0
    results = run(rounds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        say(f"figures: {options.json}")
    if options.markdown:
        options.markdown.write_text(markdown(results) + "\n")
        say(f"tables: {options.markdown}")
    if options.picture:
        draw(results, options.picture)
        say(f"picture: {options.picture}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
