"""The end: one table of both sides, three sentences of what it means, the checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from resilix.demo.measure import Figures, Record, Side
from resilix.demo.messages import FAILED, FALLBACK, FRESH
from resilix.demo.script import AGAIN, BROWN_OUT, OUTAGE, Phase, phase_named
from resilix.demo.verdict import Check
from resilix.demo.wording import percent, ratio, seconds

Cell = Callable[[Figures], str]


def title_of(record: Record) -> str:
    """What was played."""
    settings = record.settings
    return (
        f"{settings.rate:g} requests/s on each side for {settings.seconds:g} s, at most {settings.attempts} attempts "
        f"of {settings.attempt_timeout:.1f} s, seed {settings.seed}"
    )


def table_of(record: Record) -> Table:
    """Both sides side by side, for the whole run and for each phase."""
    table = Table(min_width=64)
    table.add_column("")
    table.add_column("unguarded", justify="right")
    table.add_column("guarded", justify="right")
    _whole(table, record)
    for phase in record.script:
        _phase(table, record, phase)
    return table


def _whole(table: Table, record: Record) -> None:
    table.add_row(Text("whole run", "bold"))
    sides = (record.unguarded, record.guarded)
    for name, outcome in (
        ("answered fresh", FRESH),
        ("answered by the fallback", FALLBACK),
        ("failed: an error for the caller", FAILED),
    ):
        counts = [(side.count(outcome), len(side.requests)) for side in sides]
        table.add_row(f"  {name}", *(f"{n}  {percent(n / of) if of else '-':>5}" for n, of in counts))
    oldest = [side.whole().oldest if side.count(FALLBACK) else math.nan for side in sides]
    table.add_row("  oldest fallback answer", *("-" if math.isnan(age) else f"{age:.1f} s old" for age in oldest))
    table.add_row("  calls the server bore", *(str(side.borne()) for side in sides))
    table.add_section()


def _phase(table: Table, record: Record, phase: Phase) -> None:
    sides = (record.unguarded, record.guarded)
    figures = [side.in_phase(phase) for side in sides]

    def row(name: str, cell: Cell) -> None:
        table.add_row(f"  {name}", *map(cell, figures))

    table.add_row(Text(f"{phase.name}, {phase.start:g} to {phase.end:g} s", "bold"))
    row("fresh / fallback / failed", lambda one: " / ".join(map(percent, (one.fresh, one.fallback, one.failed))))
    row("latency p50", lambda one: seconds(one.p50))
    row("latency p99", lambda one: seconds(one.p99))
    row("attempts per request", lambda one: ratio(one.attempts))
    table.add_row("  calls the server bore", *(str(side.borne(phase.name)) for side in sides))
    table.add_section()


def meaning(record: Record) -> list[str]:
    """Three sentences, from the figures of this run whatever they are."""
    return [_callers(record), _server(record), _afterwards(record)]


def _callers(record: Record) -> str:
    outage = phase_named(record.script, OUTAGE)
    bare, ours = record.unguarded.in_phase(outage), record.guarded.in_phase(outage)
    return (
        f"In the {outage.length:.3g} s outage the unguarded side failed {percent(bare.failed)} of its callers and "
        f"kept half of them waiting for {seconds(bare.p50)} or longer, which catching the error at the end would not "
        f"change; the guarded side failed {percent(ours.failed)} and gave {percent(ours.fallback)} the last price it "
        f"knew, half of them within {seconds(ours.p50)}."
    )


def _server(record: Record) -> str:
    outage = phase_named(record.script, OUTAGE)
    bare, ours = record.unguarded.borne(OUTAGE), record.guarded.borne(OUTAGE)
    asked = record.guarded.in_phase(outage).requests
    return (
        f"While it was down, the server had to bear {bare} calls of the unguarded side and {ours} of the guarded one, "
        f"for {asked} requests each."
    )


def _afterwards(record: Record) -> str:
    brown_out, again = phase_named(record.script, BROWN_OUT), phase_named(record.script, AGAIN)
    sides = (record.unguarded, record.guarded)
    sick = [percent(side.in_phase(brown_out).fresh) for side in sides]
    well = [percent(side.in_phase(again).fresh) for side in sides]
    closed = record.guarded.first_change("closed", brown_out.start)
    breaker = (
        "the breaker did not close again"
        if closed is None
        else f"the breaker closed {closed - brown_out.start:.1f} s after the outage"
    )
    return (
        f"In the brown-out {sick[0]} of the unguarded and {sick[1]} of the guarded requests got a fresh answer, "
        f"afterwards {well[0]} and {well[1]}; {breaker}."
    )


def lines_of(checks: Sequence[Check], tick: str = "✓", cross: str = "✗") -> list[Text]:
    """The checks, each with its figures below it."""
    lines: list[Text] = []
    for check in checks:
        mark = (f"{tick} ", "bold green") if check.kept else (f"{cross} ", "bold red")
        lines.append(Text.assemble(mark, check.promise))
        lines.append(Text(f"    {check.figures}", "dim"))
    return lines


def busy_note(sides: Sequence[Side]) -> str | None:
    """A word about the machine, when it was too busy for the figures to mean much."""
    latest = max((side.done.latest for side in sides if side.done), default=0.0)
    if latest < 0.2:
        return None
    return (
        f"This machine was busy: a request began {seconds(latest)} after it was due, and latencies count from when it "
        "was due."
    )
