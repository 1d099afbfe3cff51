"""The picture of a run: demo.png."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from resilix.demo.measure import Record, Side
from resilix.demo.script import BROWN_OUT, OUTAGE

# Okabe and Ito's colours, which people with colour-blindness can tell apart; line styles differ as well.
UNGUARDED, GUARDED = "#D55E00", "#0072B2"
STATES = {"closed": "#CFE8DD", "open": "#333333", "half_open": "#F0E442"}
SHADES = {OUTAGE: "#9a9a9a", BROWN_OUT: "#d4d4d4"}
BARE: dict[str, Any] = {"color": UNGUARDED, "linewidth": 2.0, "linestyle": (0, (4, 1.5)), "drawstyle": "steps-post"}
OURS: dict[str, Any] = {"color": GUARDED, "linewidth": 2.0, "drawstyle": "steps-post"}


def draw(record: Record, path: Path) -> None:
    """Draw a run and write it as PNG."""
    figure = Figure(figsize=(10, 9.2), layout="constrained")
    FigureCanvasAgg(figure)
    settings = record.settings
    figure.suptitle(
        f"One outage, lived through without and with resilix\n{settings.rate:g} requests/s on each side, "
        f"at most {settings.attempts} attempts of {settings.attempt_timeout:.1f} s, seed {settings.seed}",
        fontsize=12,
    )
    axes: Sequence[Axes] = figure.subplots(4, 1, sharex=True, height_ratios=(0.28, 1, 1, 1))
    _states(axes[0], record)
    _answers(axes[1], record)
    _latencies(axes[2], record)
    _loads(axes[3], record)
    for one in axes[1:]:
        _shade(one, record)
        one.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        one.set_axisbelow(True)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlim(0, settings.seconds)
    axes[-1].set_xlabel(f"seconds since the start; a step is {width_of(record):g} s, a request counts when it was due")
    figure.savefig(path, dpi=110)


def _shade(axes: Axes, record: Record) -> None:
    for phase in record.script:
        if phase.name in SHADES:
            axes.axvspan(phase.start, phase.end, color=SHADES[phase.name], alpha=0.35, linewidth=0, zorder=0)


def spells(record: Record) -> list[tuple[str, float, float]]:
    """The breaker's states, each with its beginning and end."""
    found: list[tuple[str, float, float]] = []
    state, since, end = "closed", 0.0, record.settings.seconds
    for one in record.guarded.happened:
        if one.to_state and one.at < end:
            found.append((state, since, one.at))
            state, since = one.to_state, one.at
    return [*found, (state, since, end)]


def _states(axes: Axes, record: Record) -> None:
    for state, start, end in spells(record):
        # A probe may take a few milliseconds only: draw it wide enough to be seen.
        width = max(end - start, record.settings.seconds / 250 if state == "half_open" else 0.0)
        axes.barh(0, width, left=start, height=1, color=STATES[state], zorder=3 if state == "half_open" else 2)
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([0], ["breaker"])
    for phase in record.script:
        axes.annotate(
            phase.name, ((phase.start + phase.end) / 2, 0.55), ha="center", va="bottom", annotation_clip=False
        )
    handles = [Patch(color=color, label=state.replace("_", "-")) for state, color in STATES.items()]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def width_of(record: Record) -> float:
    """Seconds that one step of the curves sums up."""
    return 0.5 if record.settings.seconds < 15 else 1.0


def _steps(record: Record, values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Points of a curve in steps: each value holds for its whole bin."""
    width, end = width_of(record), record.settings.seconds
    return [*(index * width for index in range(len(values))), end], [*values, values[-1]]


def _answers(axes: Axes, record: Record) -> None:
    seconds, width = record.settings.seconds, width_of(record)
    bare, ours = record.unguarded.by_time(seconds, width), record.guarded.by_time(seconds, width)
    x, fresh = _steps(record, [100 * one.fresh for one in ours])
    _, answered = _steps(record, [100 * one.answered for one in ours])
    axes.fill_between(
        x, fresh, answered, step="post", color=GUARDED, alpha=0.25, hatch="//", linewidth=0,
        label="guarded, by the fallback",
    )  # fmt: skip
    axes.plot(x, fresh, label="guarded, fresh", **OURS)
    axes.plot(*_steps(record, [100 * one.fresh for one in bare]), label="unguarded, fresh", **BARE)
    axes.set_ylim(-3, 105)
    axes.set_ylabel("answered (% of requests)")
    _legend(axes)


def _latencies(axes: Axes, record: Record) -> None:
    for name, side, style in (("unguarded", record.unguarded, BARE), ("guarded", record.guarded, OURS)):
        figures = side.by_time(record.settings.seconds, width_of(record))
        thin: dict[str, Any] = {**style, "linewidth": 1.0, "alpha": 0.8}
        axes.plot(*_steps(record, [one.p99 for one in figures]), label=f"{name}, p99", **style)
        axes.plot(*_steps(record, [one.p50 for one in figures]), label=f"{name}, p50", **thin)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("latency (s)")
    _legend(axes)


def _loads(axes: Axes, record: Record) -> None:
    def curve(side: Side) -> tuple[list[float], list[float]]:
        width, end = width_of(record), record.settings.seconds
        starts = [index * width for index in range(math.ceil(end / width))]
        loads = [side.borne_between(one, min(one + width, end)) / (min(one + width, end) - one) for one in starts]
        return _steps(record, loads)

    axes.plot(*curve(record.guarded), label="guarded", **OURS)
    axes.plot(*curve(record.unguarded), label="unguarded", **BARE)
    axes.axhline(record.settings.rate, color="#555555", linewidth=1, linestyle=":", label="requests/s")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("load (calls/s at the server)")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
