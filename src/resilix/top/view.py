"""The picture as a table: one place for the columns, one for each kind of terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from resilix.top.merge import Picture, Row

Column = tuple[str, Callable[[Row], str]]
COLOURS: Final = {"open": "bold red", "half_open": "yellow", "closed": "green"}


def _rate(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row.rates[name]:.1f}" if name in row.rates else "-"


def _states(row: Row) -> str:
    workers = sum(row.states.values())
    return row.worst if workers <= 1 else f"{row.worst} {row.states[row.worst]}/{workers}"


def _share(row: Row) -> str:
    return "-" if row.ratio is None else f"{row.ratio:.0%}"


def _since(row: Row) -> str:
    if row.since is None:
        return "-"
    seconds = float(row.since)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _attempts_a_call(row: Row) -> str:
    calls = row.rates.get("calls", 0.0)
    return f"{row.rates.get('attempts', 0.0) / calls:.2f}" if calls else "-"


def _name(row: Row) -> str:
    # A name is the service's own text; what a terminal would obey is not shown.
    return "".join(letter if letter.isprintable() else "?" for letter in row.name)


TABLES: Final[dict[str, list[Column]]] = {
    "breakers": [
        ("breaker", _name), ("state", _states), ("since", _since), ("reason", lambda row: row.reason),
        ("failing", _share), ("calls/s", _rate("calls")), ("failed/s", _rate("failed")),
        ("refused/s", _rate("refused")),
    ],
    "bulkheads": [
        ("bulkhead", _name), ("in use", lambda row: f"{row.used:.0f}/{row.limit:.0f}"),
        ("waiting", lambda row: f"{row.waiting:.0f}"), ("refused/s", _rate("refused")),
    ],
    "budgets": [("retry budget", _name), ("left", _share), ("denied/s", _rate("denied"))],
    "http": [
        ("http policy", _name), ("calls/s", _rate("calls")), ("attempts/call", _attempts_a_call),
        ("refused/s", _rate("refused")),
    ],
}  # fmt: skip


def headline(picture: Picture) -> str:
    """How many services answer, and how many breakers are not closed."""
    asked = picture.answered + len(picture.errors)
    trouble = sum(row.worst != "closed" for row in picture.breakers)
    return f"{picture.answered} of {asked} answering, {trouble} of {len(picture.breakers)} breakers not closed"


def plain(picture: Picture) -> str:
    """The picture as lines, for a pipe or a file."""
    lines = [headline(picture)]
    lines += [f"{url}: {why}" for url, why in picture.errors.items()]
    for kind, columns in TABLES.items():
        rows = getattr(picture, kind)
        if not rows:
            continue
        cells = [[title for title, _ in columns], *([show(row) for _, show in columns] for row in rows)]
        widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
        lines.append("")
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
    return "\n".join(lines)


def rich_view(picture: Picture) -> Any:
    """The picture for ``rich``, in colour."""
    from rich.console import Group  # optional dependency
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = [Text(headline(picture), style="bold")]
    parts += [Text(f"{url}: {why}", style="red") for url, why in picture.errors.items()]
    for kind, columns in TABLES.items():
        rows: list[Row] = getattr(picture, kind)
        if not rows:
            continue
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title, _ in columns:
            table.add_column(title)
        for row in rows:
            style = COLOURS[row.worst] if kind == "breakers" else ""
            table.add_row(*(Text(show(row)) for _, show in columns), style=style)
        parts += [Text(), table]
    return Group(*parts)
