"""Figures as a table, as JSON and as a picture."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Results = dict[str, Any]


def machine() -> dict[str, Any]:
    """Where and when this was measured."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def group_lines(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The table of one group."""
    lines = [f"\n{name}", f"  {'':44}{'ratio':>8}{'±':>7}{'ns':>9}   goal"]
    for row in rows:
        goal = "" if row["goal"] is None else f"≤ {row['goal']:g} {'met' if row['met'] else 'MISSED'}"
        lines.append(f"  {row['name']:44}{row['ratio']:8.2f}{row['spread']:7.2f}{row['nanoseconds']:9.0f}   {goal}")
    return lines


def scaling_lines(scaling: dict[str, dict[str, float]]) -> list[str]:
    """The table of thread scaling."""
    counts = list(next(iter(scaling.values())))
    lines = [
        "\nthroughput of threads on one shared object, one thread = 1",
        "  " + " " * 44 + "".join(f"{n:>8}" for n in counts),
    ]
    for name, shares in scaling.items():
        lines.append(f"  {name:44}" + "".join(f"{share:8.2f}" for share in shares.values()))
    return lines


def judge(results: Results) -> list[str]:
    """The goals, each with what was measured; those missed say so."""
    lines: list[str] = []
    for name, rows in results["groups"].items():
        lines += [
            f"{'met   ' if row['met'] else 'MISSED'} {name}: {row['name']} {row['ratio']:.2f}, goal ≤ {row['goal']:g}"
            for row in rows
            if row["goal"] is not None
        ]
    quiet = {row["name"]: row for row in results["groups"].get("async, quiet", [])}
    if quiet:
        share = quiet["timeout"]["ratio"] / quiet["anyio.fail_after"]["ratio"]
        lines.append(
            f"{'met   ' if share <= 0.25 else 'MISSED'} async timeout: {share:.3f} of anyio.fail_after, goal ≤ 0.25"
        )
    if "threads" in results:
        # As a share of what the interpreter itself loses with so many threads.
        bare = results["threads"]["bare wrapper"]["8"]
        for name, shares in results["threads"].items():
            if name != "bare wrapper":
                met = "met   " if shares["8"] >= 0.9 else "MISSED"
                lines.append(f"{met} 8 threads, {name}: {shares['8']:.2f} of one (bare wrapper {bare:.2f}), goal ≥ 0.9")
    return lines


def draw(results: Results, path: Path) -> None:
    """A bar for each variant of the quiet paths, on a logarithmic axis, with the goals as marks."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = [name for name in ("sync, quiet", "async, quiet") if name in results["groups"]]
    figure, axes = plt.subplots(len(shown), 1, figsize=(8, 3.4 * len(shown)), layout="constrained")
    for axis, name in zip(list(axes) if len(shown) > 1 else [axes], shown, strict=True):
        rows = list(reversed(results["groups"][name]))
        ours = [not row["name"].startswith(("tenacity", "asyncio", "anyio", "bare")) for row in rows]
        colours = ["#0072b2" if own else "#999999" for own in ours]
        axis.barh([row["name"] for row in rows], [row["ratio"] for row in rows], color=colours)
        for index, row in enumerate(rows):
            beyond = max(row["ratio"], row["goal"] or 0.0)
            axis.text(beyond * 1.08, index, f"{row['ratio']:.2f}", va="center", fontsize=8)
            if row["goal"] is not None:
                axis.plot([row["goal"]] * 2, [index - 0.4, index + 0.4], color="#d55e00", linewidth=2)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlim(0.8, max(row["ratio"] for row in rows) * 2)
        axis.set_title(f"{name} path", loc="left", fontsize=10)
        axis.set_xlabel("times a wrapper that does nothing (logarithmic); orange: goal")
        axis.tick_params(labelsize=8)
    where = results["machine"]
    figure.suptitle(f"Cost of a call, Python {where['python']}, {where['cores']} cores, {where['date']}", fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def say(*lines: str) -> None:
    """Print at once, so that progress shows through a pipe too."""
    for line in lines:
        print(line)
    sys.stdout.flush()
