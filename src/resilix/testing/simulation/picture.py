"""Pictures of simulations: one column for each, time from left to right. Needs matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resilix.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resilix.testing.simulation.result import Result

# Okabe and Ito's colours, which people with colour-blindness can tell apart.
ANSWERS = {"succeeded": "#0072B2", "fallback": "#56B4E9", "refused": "#E69F00", "failed": "#D55E00"}
LABELS = {**{kind: kind for kind in ANSWERS}, "failed": "failed or timed out"}
TEXT: Final[dict[str, Any]] = {"parse_math": False}
"""For texts with names in them, in which a dollar is a dollar."""
STATES = {"closed": "#CFE8DD", "open": "#333333", "half_open": "#F0E442"}
LINE = "#0072B2"
TROUBLE = "#bbbbbb"
MOST_ROWS = 12
"""Breakers that are drawn; of more, the first."""


def draw(results: Sequence[Result], path: Path) -> Path:
    """Draw results side by side, all on the same scales, and write the file.

    Raises:
        ConfigurationError: matplotlib is not installed, or the file's ending is neither .png nor .svg.
    """
    if path.suffix not in (".png", ".svg"):
        raise ConfigurationError(
            f"picture({str(path)!r}): it can be a .png or an .svg; write {path.stem or 'what'}.png"
        )
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError(
            "picture(): it is drawn with matplotlib, which is not installed; pip install 'resilix-toolkit[demo]'"
        ) from error
    figure = Figure(figsize=(1.5 + 5 * len(results), 9), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        4, len(results), squeeze=False, sharex=True, height_ratios=(0.15 + 0.1 * _rows(results), 1, 1, 1)
    )
    for column, result in enumerate(results):
        states, answers, latency, load = (row[column] for row in grid)
        _states(states, result)
        _answers(answers, result)
        _latency(latency, result)
        _load(load, result)
        found = f"{result.success_share:.1%} succeeded, {_recovery(result)}"
        states.set_title(f"{result.name}\n{found}", **TEXT, fontsize=10)
        for axes in (answers, latency, load):
            axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
            axes.set_axisbelow(True)
            for one in result.trouble:
                end = min(one.end, result.seconds)
                axes.axvspan(one.start, end, color=TROUBLE, alpha=0.3, linewidth=0, zorder=0)
        for axes in (states, answers, latency, load):
            axes.spines[["top", "right"]].set_visible(False)
        load.set_xlim(0, result.seconds)
        load.set_xlabel("seconds")
    labels = ("calls a second", "latency p99, seconds", "requests a second\nat the dependency")
    for row, label in zip(grid[1:], labels, strict=True):
        row[0].set_ylabel(label)
        top = max(axes.get_ylim()[1] for axes in row)
        for axes in row:
            axes.set_ylim(0, top)
    _legend(grid[1][0], results)
    with rc_context({"svg.hashsalt": "resilix"}), warnings.catch_warnings():  # the same file for the same result
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # of letters that the font lacks, whoever named it so
        figure.savefig(path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return path


def _legend(axes: Axes, results: Sequence[Result]) -> None:
    """Of the answers that there are."""
    found = [LABELS[kind] for kind in ANSWERS if any(getattr(one, kind) for result in results for one in result.steps)]
    handles, labels = axes.get_legend_handles_labels()
    kept = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label in found]
    if kept:
        axes.legend(*zip(*kept, strict=True), loc="lower left", fontsize=8, frameon=True)


def _recovery(result: Result) -> str:
    if not result.trouble:
        return "no trouble"
    if result.trouble_lasts:
        return "the trouble lasts to the end"
    again = result.time_to_recover
    return "never recovers" if again is None else f"recovers {again:.1f} s after the trouble"


def _rows(results: Sequence[Result]) -> int:
    return max(1, *(min(MOST_ROWS, len(_breakers(one))) for one in results))


def _breakers(result: Result) -> list[str]:
    return sorted({one.breaker for one in result.changes})


def _width(result: Result) -> float:
    return result.steps[1].at if len(result.steps) > 1 else result.seconds


def _answers(axes: Axes, result: Result) -> None:
    width = _width(result)
    counts = {kind: _held([getattr(one, kind) / width for one in result.steps]) for kind in ANSWERS}
    looks: dict[str, Any] = {"labels": LABELS.values(), "colors": ANSWERS.values(), "step": "post", "linewidth": 0}
    axes.stackplot(_moments(result), *counts.values(), **looks)


def _moments(result: Result) -> list[float]:
    """Where steps begin, and where the last one ends."""
    return [*(one.at for one in result.steps), result.seconds]


def _held(values: list[float]) -> list[float]:
    """The values of all steps; the last holds to the end."""
    return [*values, *values[-1:]]


def _latency(axes: Axes, result: Result) -> None:
    axes.plot(_moments(result), _held([one.p99 for one in result.steps]), **_style())


def _load(axes: Axes, result: Result) -> None:
    width = _width(result)
    axes.plot(_moments(result), _held([one.arrived / width for one in result.steps]), label="all", **_style())
    wasted = _held([one.wasted / width for one in result.steps])
    if any(wasted):
        axes.fill_between(_moments(result), wasted, step="post", color=ANSWERS["failed"], alpha=0.6, label="for nobody")
        axes.legend(loc="upper left", fontsize=8)


def _style() -> dict[str, Any]:
    return {"color": LINE, "linewidth": 1.5, "drawstyle": "steps-post"}


def _states(axes: Axes, result: Result) -> None:
    names = _breakers(result)[:MOST_ROWS]
    axes.set_yticks(range(max(1, len(names))), names or ["no breaker opened"], **TEXT, fontsize=8)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    for row, name in enumerate(names):
        state, since = "closed", 0.0
        for change in (*(one for one in result.changes if one.breaker == name), None):
            end = result.seconds if change is None else min(change.at, result.seconds)
            # A probe may take milliseconds only: wide enough to be seen.
            shown = max(end - since, result.seconds / 200 if state == "half_open" else 0.0)
            order = 3 if state == "half_open" else 2
            axes.barh(row, shown, left=since, height=0.8, color=STATES[state], linewidth=0, zorder=order)
            if change is not None:
                state, since = change.state, change.at
