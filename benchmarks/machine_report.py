"""The figures of the state machine as tables and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.machine_parts import COUNT_WINDOW, EMPTY, FILLED, FULL, KEYS
from benchmarks.report import headline

Results = dict[str, Any]
Row = dict[str, Any]


def counts_of(row: Row, counted: dict[str, Any]) -> dict[str, float]:
    """The counts that belong to a row of times, by size."""
    wanted = [row["step"], row["kind"], row["fill"]]
    return next(({str(size): n for size, n in one[3].items()} for one in counted["counts"] if one[:3] == wanted), {})


def cells(row: Row, counted: dict[str, Any]) -> list[str]:
    """For each size: times the bare wrapper, times the smallest size, and the count."""
    counts = counts_of(row, counted)
    return [
        f"{one['ratio']:.2f} ± {one['spread']:.2f} ({one['to_smallest']:.2f}{_count(counts, one['size'])})"
        for one in row["rows"]
    ]


def _count(counts: dict[str, float], size: int) -> str:
    """Half full windows are timed and not counted."""
    return f"; {counts[str(size)]:,.0f}" if str(size) in counts else ""


def lines(row: Row, counted: dict[str, Any]) -> list[str]:
    """One step, for the terminal."""
    named = ", ".join(part for part in (row["step"], row["kind"], row["fill"]) if part)
    sizes = [f"{one['size']:,}" for one in row["rows"]]
    return [f"\n{named}"] + [f"  {size:>9}  {cell}" for size, cell in zip(sizes, cells(row, counted), strict=True)]


def worst_lines(worst: dict[str, dict[str, float]]) -> list[str]:
    """The worst single steps, for the terminal."""
    return ["\nworst single steps, microseconds"] + [
        f"  {name}: " + ", ".join(f"{int(size):,}: {us:.1f}" for size, us in by_size.items())
        for name, by_size in worst.items()
    ]


def markdown(results: Results) -> str:
    """All tables of one run, for ``benchmarks/machine.md``."""
    kind = results["counted"]["kind"]
    parts = [*headline(results), ""]
    parts += [f"Each cell: times the bare wrapper ± spread (times the smallest size; {kind} a step)."]
    for title, rows in (
        ("By size of the window", results["sizes"]),
        ("By number of breakers in turn", results["keys"]),
    ):
        sizes = [f"{one['size']:,}" for one in rows[0]["rows"]]
        parts += ["", f"**{title}**", "", "| step | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
        for row in rows:
            named = "; ".join(part for part in (row["step"], row["kind"], row["fill"]) if part and part != KEYS)
            parts.append(f"| {named} | " + " | ".join(cells(row, results["counted"])) + " |")
    sizes = list(next(iter(results["worst"].values())))
    parts += ["", "**Worst single steps, microseconds**", ""]
    parts += ["| step | " + " | ".join(f"{int(size):,}" for size in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for name, by_size in results["worst"].items():
        parts.append(f"| {name} | " + " | ".join(f"{us:.1f}" for us in by_size.values()) + " |")
    return "\n".join(parts)


def draw(results: Results, path: Path) -> None:
    """Cost over size, logarithmic: times and counts, for windows and for numbers of breakers."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    kind = results["counted"]["kind"]
    count_windows = [row for row in results["sizes"] if row["kind"] == COUNT_WINDOW]
    windows = [row for row in count_windows if row["fill"] == (FULL if row["step"] in FILLED else EMPTY)]
    columns = (("calls in the window (count window, full of failures)", windows), ("breakers in turn", results["keys"]))
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), sharex="col", sharey="row", layout="constrained")
    for column, (title, rows) in enumerate(columns):
        for row in rows:
            xs, counts = [one["size"] for one in row["rows"]], counts_of(row, results["counted"])
            (line,) = axes[0][column].plot(xs, [one["ratio"] for one in row["rows"]], marker="o", label=row["step"])
            axes[1][column].plot(xs, [counts[str(x)] for x in xs], marker="o", color=line.get_color())
        axes[0][column].set_xscale("log")
        axes[1][column].set_xlabel(title)
        axes[0][column].legend(fontsize=7)
    axes[0][0].set_ylabel("time, times the bare wrapper")
    axes[1][0].set_ylabel(f"{kind} a step")
    for row_of_axes in axes:
        row_of_axes[0].set_ylim(bottom=0)
    where = results["machine"]
    figure.suptitle(f"The state machine by itself, Python {where['python']}, {where['cores']} cores, {where['date']}")
    figure.savefig(path, dpi=100)
    plt.close(figure)
