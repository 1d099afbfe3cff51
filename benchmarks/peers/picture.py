"""The picture: a bar a variant, for the jobs most people ask about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHOWN = ["sync, breaker, quiet", "async, breaker, quiet", "sync, retry, quiet", "async, pipeline with timeout"]


def draw(results: dict[str, Any], path: Path) -> None:
    """Bars on a logarithmic axis; resilix in blue."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = [name for name in SHOWN if name in results["groups"]]
    tables = {name: sorted(results["groups"][name]["rows"], key=lambda row: -row["ratio"]) for name in shown}
    heights = [len(rows) + 2 for rows in tables.values()]
    figure, axes = plt.subplots(
        len(shown),
        1,
        figsize=(8.5, 0.27 * sum(heights)),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, rows) in zip(axes[:, 0], tables.items(), strict=True):
        axis.barh([row["name"] for row in rows], [row["ratio"] for row in rows], color=[_colour(row) for row in rows])
        for index, row in enumerate(rows):
            axis.text(row["ratio"] * 1.06, index, f"{row['ratio']:.2f}", va="center", fontsize=8)
        axis.set_title(name, loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.axvline(1.0, color="#d55e00", linewidth=1)
    ratios = [row["ratio"] for rows in tables.values() for row in rows]
    axes[0, 0].set_xscale("log")
    axes[0, 0].xaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_xlim(0.8 * min(ratios), 2 * max(ratios))
    axes[-1, 0].set_xlabel(
        "times the cost of a wrapper that does nothing (logarithmic; orange: that wrapper)", fontsize=9
    )
    where = results["machine"]
    figure.suptitle(f"The same job, Python {where['python']}, {where['cores']} cores, {where['date']}", fontsize=11)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _colour(row: dict[str, Any]) -> str:
    if row["name"].startswith("bare"):
        return "#999999"
    return "#0072b2" if row["name"].startswith("resilix") else "#e69f00"
