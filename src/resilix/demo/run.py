"""A run from beginning to end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from resilix.demo.live import LiveView
from resilix.demo.measure import Record
from resilix.demo.plain import PlainView
from resilix.demo.processes import Cast
from resilix.demo.report import busy_note, lines_of, meaning, table_of, title_of
from resilix.demo.settings import Settings
from resilix.demo.verdict import Check, verdict

REDRAW = 0.25
"""Seconds between two looks at what the processes said."""
PLAIN_WIDTH = 100


def play(settings: Settings, out: Path) -> int:
    """Play the demo, show it, judge it. The exit status: 0 when the guarded side kept its promises, else 1."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    record = Record(settings)
    _observe(record, console)
    checks = verdict(settings, record.unguarded, record.guarded)
    path = _picture(record, out)
    _tell(record, checks, path, console)
    return 0 if all(check.kept for check in checks) else 1


def _observe(record: Record, console: Console) -> None:
    live = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
    console.print("Starting two servers and two clients on 127.0.0.1 ...")
    with Cast(record.settings) as cast:
        cast.begin()
        with LiveView(record, console) if live else PlainView(record) as view:
            next_look = time.monotonic()
            while not cast.clients_done and time.monotonic() - cast.start < record.settings.patience:
                for label, message in cast.hear(REDRAW):
                    record.take(label, message)
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + REDRAW
                    view.update(time.monotonic() - cast.start)
            for label, message in cast.hear(2 * REDRAW):
                record.take(label, message)
            view.update(time.monotonic() - cast.start)


def _picture(record: Record, out: Path) -> Path:
    from resilix.demo.picture import draw  # matplotlib takes its time: not before the run, which it would disturb

    path = out / "demo.png"
    draw(record, path)
    return path


def _tell(record: Record, checks: list[Check], path: Path, console: Console) -> None:
    console.print()
    console.print(Text(title_of(record), "bold"))
    console.print(table_of(record))
    console.print()
    for sentence in meaning(record):
        console.print(Text(sentence))
    note = busy_note((record.unguarded, record.guarded))
    if note:
        console.print(Text(note))
    console.print(
        Text(f"\nThe promises of the guarded side: {sum(one.kept for one in checks)} of {len(checks)} kept\n")
    )
    ticks = ("✓", "✗") if console.encoding.startswith("utf") else ("ok  ", "FAIL")
    for line in lines_of(checks, *ticks):
        console.print(line)
    console.print(Text(f"\nPicture: {path}"), soft_wrap=True)
