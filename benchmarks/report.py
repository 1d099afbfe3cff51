"""Figures as tables for a terminal, as Markdown, and as a picture."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cases import EXACT
from resilix.attention import GIL

Results = dict[str, Any]

THREADS_GOAL = 0.93
"""Least share of one thread's throughput that eight of them should reach."""
MEMORY_GOAL = 1000
"""Most bytes of an idle breaker."""
DECORATION_GOALS = {"a new shape": 150e-6, "a known shape": 20e-6}
"""Most seconds to decorate a function."""
IMPORT_GOAL = 15e-3
"""Most seconds that importing resilix may take beyond importing tenacity, which it needs."""
TIMEOUT_GOALS = {"asyncio.timeout": 1 / 6, "anyio.fail_after": 1 / 20}
"""Most that a timeout of ours may add to a call, as a share of what theirs adds."""

OTHERS = ("bare", "tenacity", "asyncio", "anyio")
"""How the names of variants begin that are not ours."""


def machine() -> dict[str, Any]:
    """Where and when this was measured, and with what."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "profile_guided": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        "system": f"{platform.system()} {platform.machine()}",
        "gil": GIL,
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "libraries": {name: importlib.metadata.version(name) for name in ("tenacity", "anyio")},
    }


def headline(results: Results) -> list[str]:
    """The machine and the run in two lines."""
    where = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in where["libraries"].items())
    built = f"built {'with' if where['profile_guided'] else 'without'} profile-guided optimisation"
    cores = f"{where['cores']} cores"
    free = "" if where.get("gil", True) else " (free-threaded)"
    return [
        f"{where['implementation']} {where['python']}{free}, {built}; {libraries}; {where['system']}, {cores}.",
        f"{where['date']}, load {where['load']} at the start; {results['rounds']} rounds of about 1 ms a variant.",
    ]


def verdict(row: dict[str, Any]) -> str:
    """The goal of a row and whether it is met."""
    return "" if row["goal"] is None else f"≤ {row['goal']:g} {'met' if row['met'] else 'MISSED'}"


def group_lines(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The table of one group."""
    lines = [f"\n{name}", f"  {'':64}{'ratio':>8}{'±':>7}{'ns':>9}   goal"]
    lines += [
        f"  {row['name']:64}{row['ratio']:8.2f}{row['spread']:7.2f}{row['nanoseconds']:9.0f}   {verdict(row)}"
        for row in rows
    ]
    return lines


def scaling_lines(scaling: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """The table of thread scaling."""
    lines = ["\nthroughput of threads on one shared object: share of one thread's ± spread, and million calls a second"]
    lines.append("  " + " " * 32 + "".join(f"{n:>20}" for n in next(iter(scaling.values()))))
    lines += [
        f"  {name:32}" + "".join(f"{_throughput(one):>20}" for one in shares.values())
        for name, shares in scaling.items()
    ]
    return lines


def _throughput(one: dict[str, float]) -> str:
    return f"{one['share']:.2f} ± {one['spread']:.2f}, {one['calls_per_second'] / 1e6:.2f} M"


def cost_lines(results: Results) -> list[str]:
    """Memory and import in two sentences."""
    imports = ", ".join(
        f"{one['seconds'] * 1e3:.0f} ± {one['spread'] * 1e3:.0f} ms to import {name}"
        for name, one in results["import_seconds"].items()
    )
    decorations = ", ".join(
        f"{one['seconds'] * 1e6:.0f} ± {one['spread'] * 1e6:.0f} µs where it has {name}"
        for name, one in results["decoration_seconds"].items()
    )
    return [
        f"An idle breaker takes {results['memory_bytes_per_breaker']:.0f} bytes.",
        f"To put a breaker on a function takes {decorations}.",
        f"A fresh interpreter takes {imports}.",
    ]


def judge(results: Results) -> list[str]:
    """The goals, each with what was measured; those missed say so."""
    lines = [
        f"{'met   ' if row['met'] else 'MISSED'} {name}: {row['name']} {row['ratio']:.2f}, goal ≤ {row['goal']:g}"
        for name, rows in results["groups"].items()
        for row in rows
        if row["goal"] is not None
    ]
    lines += [f"{'met   ' if met else 'MISSED'} {text}" for met, text in _other_goals(results)]
    for name, shares in results.get("threads", {}).items():
        if name.startswith(OTHERS):
            continue
        share, bare = shares["8"]["share"], results["threads"]["bare wrapper"]["8"]["share"]
        met = "met   " if share >= THREADS_GOAL else "MISSED"
        lines.append(
            f"{met} 8 threads, {name}: {share:.2f} of one thread (bare wrapper {bare:.2f}), goal ≥ {THREADS_GOAL:g}"
        )
    return lines


def _other_goals(results: Results) -> Iterator[tuple[bool, str]]:
    """The goals that are no single ratio: whether each is met, and what was measured."""
    ratios = {row["name"]: row["ratio"] for row in results["groups"].get("async, quiet", [])}
    floor = ratios.get(EXACT, 0.0)
    for name, goal in TIMEOUT_GOALS.items() if ratios else ():
        share = (ratios["timeout"] - floor) / (ratios[name] - floor)
        yield share <= goal, f"what a timeout adds: 1/{1 / share:.1f} of {name}, goal ≤ 1/{1 / goal:.0f}"
    if "memory_bytes_per_breaker" in results:
        size = results["memory_bytes_per_breaker"]
        yield size <= MEMORY_GOAL, f"memory of an idle breaker: {size:.0f} bytes, goal ≤ {MEMORY_GOAL}"
    for name, one in results.get("decoration_seconds", {}).items():
        goal, taken = DECORATION_GOALS[name], one["seconds"]
        yield taken <= goal, f"decoration, {name}: {taken * 1e6:.0f} µs, goal ≤ {goal * 1e6:.0f}"
    if "import_seconds" in results:
        more = results["import_seconds"]["resilix"]["seconds"] - results["import_seconds"]["tenacity"]["seconds"]
        yield more <= IMPORT_GOAL, f"import: tenacity's and {more * 1e3:.0f} ms, goal ≤ {IMPORT_GOAL * 1e3:.0f}"


def closing(goals: list[str]) -> str:
    """The last line: what was missed, by name."""
    missed = [line.removeprefix("MISSED ") for line in goals if line.startswith("MISSED")]
    if not missed:
        return f"All {len(goals)} goals met."
    return f"{len(missed)} of {len(goals)} goals missed: " + "; ".join(missed)


def markdown(results: Results) -> str:
    """All tables of one run, for ``benchmarks/README.md``."""
    lines = headline(results)
    for name, rows in results["groups"].items():
        lines += ["", f"**{name}**", "", "| variant | ratio | ± | ns | goal |", "|---|---|---|---|---|"]
        lines += [
            f"| {row['name']} | {row['ratio']:.2f} | {row['spread']:.2f} | {row['nanoseconds']:.0f} | {verdict(row)} |"
            for row in rows
        ]
    counts = list(next(iter(results["threads"].values())))
    lines += ["", "**threads on one shared object: share of one thread's throughput ± spread, calls a second**", ""]
    lines += ["| threads | " + " | ".join(counts) + " |", "|---" * (len(counts) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(_throughput(one) for one in shares.values()) + " |"
        for name, shares in results["threads"].items()
    ]
    lines += ["", *cost_lines(results), "", "```", *results["goals"], "", closing(results["goals"]), "```"]
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """A bar for each variant of the quiet and refused paths, on a logarithmic axis, with the goals as marks."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = ["sync, quiet", "async, quiet", "sync, refused", "async, refused"]
    heights = [len(results["groups"][name]) + 2 for name in shown]
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(8.5, 0.27 * sum(heights)), height_ratios=heights, sharex=True, layout="constrained"
    )
    for axis, name in zip(axes, shown, strict=True):
        _bars(axis, list(reversed(results["groups"][name])))
        axis.set_title(name, loc="left", fontsize=10)
    axes[0].set_xscale("log")
    axes[0].xaxis.set_major_formatter("{x:g}")
    axes[0].set_xlim(0.2, 2 * max(row["ratio"] for name in shown for row in results["groups"][name]))
    axes[-1].set_xlabel("times a wrapper that does nothing (logarithmic); orange: goal", fontsize=9)
    where = results["machine"]
    figure.suptitle(f"Cost of a call, Python {where['python']}, {where['cores']} cores, {where['date']}", fontsize=11)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _bars(axis: Any, rows: list[dict[str, Any]]) -> None:
    colours = ["#999999" if row["name"].startswith(OTHERS) else "#0072b2" for row in rows]
    axis.barh([row["name"] for row in rows], [row["ratio"] for row in rows], color=colours)
    for index, row in enumerate(rows):
        beyond = max(row["ratio"], row["goal"] or 0.0)
        axis.text(beyond * 1.06, index, f"{row['ratio']:.2f}", va="center", fontsize=8)
        if row["goal"] is not None:
            axis.plot([row["goal"]] * 2, [index - 0.4, index + 0.4], color="#d55e00", linewidth=2)
    axis.tick_params(labelsize=8)


def say(*lines: str) -> None:
    """Print at once, so that progress shows through a pipe too."""
    for line in lines:
        print(line)
    sys.stdout.flush()
