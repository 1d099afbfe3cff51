"""The view on a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resilix.demo.measure import Figures, Record, Side
from resilix.demo.messages import FALLBACK
from resilix.demo.wording import percent, ratio, seconds

SPAN = 2.0
"""Seconds the figures of the moment look back."""
WIDTH = 78
TALL = 31
"""Lines of a terminal that has room for empty ones; 24 are enough for the rest."""
STATE_STYLE = {"closed": "bold green", "open": "bold red", "half_open": "bold yellow"}
PHASE_STYLE = {"outage": "white on red", "brown-out": "black on yellow"}
BARS = "▁▂▃▄▅▆▇█"


class LiveView:
    """Draws four times a second, in place; nothing of it stays."""

    def __init__(self, record: Record, console: Console) -> None:
        self._record = record
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._live.__exit__(None, None, None)

    def update(self, now: float) -> None:
        """Draw this moment."""
        lines = self._live.console.size.height
        self._live.update(screen(self._record, max(0.0, now), lines), refresh=True)


def screen(record: Record, now: float, lines: int) -> Group:
    """Everything on the screen at a moment; the log gets the lines that are left."""
    settings = record.settings
    title = Text.assemble(
        ("resilix demo", "bold"),
        f"   each side: {settings.rate:g} requests/s, {settings.attempts} attempts at most, "
        f"{settings.attempt_timeout:.1f} s each",
    )
    gap = [Text()] if lines >= TALL else []
    used = 19 + 4 * len(gap)
    log = _log(record, now, max(1, min(10, lines - used - 1)))
    return Group(
        title, *gap, *_timeline(record, now), *gap, _figures(record, now), *gap, _policies(record), *gap, *log
    )  # fmt: skip


def _timeline(record: Record, now: float) -> list[Text]:
    total, bar = record.settings.seconds, Text()
    for phase in record.script:
        cells = round(WIDTH * phase.end / total) - round(WIDTH * phase.start / total)
        bar.append(phase.name.center(cells)[:cells], PHASE_STYLE.get(phase.name, "black on green"))
    place = min(WIDTH - 1, int(WIDTH * now / total))
    phase = record.phase(now)
    words = f"{now:.1f} s, the last requests end" if now > total else f"{now:.1f} of {total:g} s"
    told = Text.assemble(
        f"{words}   ", (phase.name, "bold"), f": {phase.describe()}", overflow="ellipsis", no_wrap=True
    )
    return [bar, Text(" " * place + "▲"), told]


def _figures(record: Record, now: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, width=WIDTH)
    table.add_column(f"last {SPAN:g} s", header_style="dim")
    table.add_column("unguarded", header_style="bold dark_orange", justify="right", width=24)
    table.add_column("guarded", header_style="bold dodger_blue1", justify="right", width=24)
    sides = (record.unguarded, record.guarded)
    both = [(side, side.lately(now, SPAN)) for side in sides]

    def row(name: str, cell: Callable[[Side, Figures], str | Text], style: str = "") -> None:
        table.add_row(name, *(cell(side, lately) for side, lately in both), style=style)

    row("answered fresh", lambda side, lately: percent(lately.fresh))
    row("answered by the fallback", lambda side, lately: percent(lately.fallback))
    row("errors to callers", lambda side, lately: _alarming(lately.failed))
    row("latency p50", lambda side, lately: seconds(lately.p50))
    row("latency p99", lambda side, lately: seconds(lately.p99))
    row("attempts per request", lambda side, lately: ratio(lately.attempts))
    row("calls/s the server bears", lambda side, lately: f"{side.borne_between(now - SPAN, now) / SPAN:.0f}")
    row("server's workers busy", lambda side, lately: _workers(side, record.settings.workers))
    row("requests in flight", lambda side, lately: str(max(0, record.due(now) - len(side.requests))))
    table.add_row(Text("since the start", "dim"))
    row("calls the server bore", lambda side, lately: str(side.borne()))
    row("fallbacks served", lambda side, lately: str(side.count(FALLBACK)))
    row("answered, by second", lambda side, lately: _spark(side, now, record.settings.seconds))
    return table


def _alarming(share: float) -> Text:
    return Text(percent(share), "bold red" if share > 0 else "")


def _workers(side: Side, workers: int) -> str:
    if not side.loads:
        return "-"
    load = side.loads[-1]
    return f"{load.busy} of {workers}" + (f", {load.waiting} wait" if load.waiting else "")


def _spark(side: Side, now: float, total: float) -> str:
    """The share of answered requests by second, the latest two dozen seconds."""
    shares = [one.answered for one in side.by_time(math.floor(min(now, total)))]
    return "".join(" " if math.isnan(one) else BARS[round(one * (len(BARS) - 1))] for one in shares[-24:])


def _policies(record: Record) -> Text:
    gauges = record.guarded.gauges
    if gauges is None:
        return Text("guarded side: starting", "dim")
    refused = sum(gauges.refused.values())
    return Text.assemble(
        "breaker ", (gauges.state.replace("_", "-").upper(), STATE_STYLE[gauges.state]),
        f"   bulkhead {gauges.in_use} of {gauges.limit}   retry budget {percent(gauges.budget)}   refused {refused}",
    )  # fmt: skip


def _log(record: Record, now: float, most: int) -> list[Text]:
    shown = [Text(f"{one.at:5.1f} s  {one.text}", overflow="ellipsis", no_wrap=True) for one in record.log(now)[-most:]]
    return shown + [Text()] * (most - len(shown))
