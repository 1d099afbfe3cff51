"""The picture: each case a column, the simulated and the real one over each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from resilix.testing.simulation import Result

# Okabe and Ito's colours, which people with colour-blindness can tell apart.
SIDES = (("simulated", "#0072B2", 3.5, 0.45), ("real", "#D55E00", 1.2, 1.0))
WIDTH = 3
"""Steps that are taken together: what comes in a tenth of a second is a handful."""


def draw(pairs: Sequence[tuple[Result, Result]], path: Path) -> None:
    """Draw it."""
    figure = Figure(figsize=(4 * len(pairs), 7), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(3, len(pairs), squeeze=False, sharex=True, sharey="row")
    labels = ("calls that succeeded\nper second", "requests per second\nat the dependency", "of these, for nobody")
    for row, label, what in zip(rows, labels, ("succeeded", "arrived", "wasted"), strict=True):
        row[0].set_ylabel(label)
        for axes, pair in zip(row, pairs, strict=True):
            _panel(axes, pair, what)
    for axes, pair in zip(rows[0], pairs, strict=True):
        axes.set_title(pair[0].name.removesuffix(", simulated"), fontsize=11)
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    rows[0][1].legend(loc="upper right", fontsize=9)
    figure.savefig(path, dpi=80, metadata={"Software": None})


def _panel(axes: Any, pair: Sequence[Result], what: str) -> None:
    for result, (label, color, line, alpha) in zip(pair, SIDES, strict=True):
        moments, rates = _rates(result, what)
        axes.plot(moments, rates, color=color, linewidth=line, alpha=alpha, label=label)
        if what == "succeeded":
            opened = [one.at for one in result.changes if one.state == "open"]
            axes.plot(opened, [0.0] * len(opened), "|", color=color, markersize=16, markeredgewidth=line, alpha=alpha)
    for one in pair[0].trouble:
        axes.axvspan(one.start, one.end, color="#bbbbbb", alpha=0.3, linewidth=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def _rates(result: Result, what: str) -> tuple[list[float], list[float]]:
    """Per second, over a few steps each."""
    steps, width = result.steps, result.steps[1].at
    groups = [steps[place : place + WIDTH] for place in range(0, len(steps), WIDTH)]
    moments = [(group[0].at + group[-1].at + width) / 2 for group in groups]
    return moments, [sum(getattr(one, what) for one in group) / (width * len(group)) for group in groups]
