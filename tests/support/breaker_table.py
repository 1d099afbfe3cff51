"""The breaker's transition table: for each place a breaker can be in and each input, where it goes and what happens."""

from __future__ import annotations

PLACES = {
    "closed": "closed",
    "observing": "closed, observing",
    "disabled": "closed, disabled",
    "open": "open",
    "forced": "open, forced",
    "half_open": "half-open",
}
"""State and mode, as the table's columns call them."""

INPUTS = {
    "call": "a call; if half-open, a probe is free",
    "call_later": "a call once `open_for` is over",
    "call_all_out": "a call while all probes are out",
    "call_lease_over": "a call after one lease too many has run out",
    "success": "a success that decides nothing",
    "success_decides": "a success that decides",
    "failure": "a failure that decides nothing",
    "failure_decides": "a failure that decides",
    "ignored": "an ignored outcome",
    "echo": "an outcome from an earlier era",
    "open": "`open()`",
    "close": "`close()`",
    "force_open": "`force_open()`",
    "disable": "`disable()`",
    "observe": "`observe()`",
    "reconfigure": "`reconfigure()`",
    "reading": "reading",
}

STAY = ""
"""Stands for: no transition."""

_CALLS = ("call", "call_later", "call_all_out", "call_lease_over")
_OUTCOMES = ("success", "success_decides", "failure", "failure_decides", "ignored")
_EFFECTS = {"success": "counted", "failure": "counted", "ignored": "counted as ignored"}


def _table() -> dict[tuple[str, str], tuple[str, str]]:
    table: dict[tuple[str, str], tuple[str, str]] = {}

    def row(what: str, **cells: tuple[str, str]) -> None:
        for place, cell in cells.items():
            table[place, what] = cell

    admitted, refused, nothing = (STAY, "admitted"), (STAY, "refused"), (STAY, "nothing")
    for what in _CALLS:
        row(what, closed=admitted, observing=admitted, disabled=admitted, open=refused, forced=refused)
    row("call", half_open=(STAY, "admitted as a probe"))
    row("call_later", open=("half_open", "admitted as a probe"), half_open=(STAY, "admitted as a probe"))
    row("call_all_out", half_open=refused)
    row("call_lease_over", half_open=("open", "refused"))

    for what in _OUTCOMES:
        # Open, there is no call of this era that could report; disabled, reports are not counted.
        row(what, disabled=nothing, open=nothing, forced=nothing)
    for what in ("success", "failure", "ignored"):
        cell = (STAY, _EFFECTS[what])
        row(what, closed=cell, observing=cell, half_open=(STAY, "permit back, " + _EFFECTS[what]))
    row("success_decides", closed=("open", "counted"), observing=(STAY, "counted, trip told"))
    row("failure_decides", closed=("open", "counted"), observing=(STAY, "counted, trip told"))
    row("success_decides", half_open=("closed", "permit back, counted"))
    row("failure_decides", half_open=("open", "permit back, counted"))

    targets = {
        "open": "open", "close": "closed", "force_open": "forced", "disable": "disabled", "observe": "observing",
    }  # fmt: skip
    for place in PLACES:
        row("echo", **{place: nothing})
        row("reconfigure", **{place: nothing})
        row("reading", **{place: nothing})
        for what, target in targets.items():
            row(what, **{place: (target, "a new era")})
    return table


TABLE = _table()
"""(place, input) → (place afterwards or :data:`STAY`, effect)."""

_INTRODUCTION = """\
# What a circuit breaker does, state by state

This page is made from the table that the tests walk: `tests/unit/test_breaker_table.py` drives a breaker through every
pair of place and input, and holds this text against the table.

```mermaid
stateDiagram-v2
    [*] --> closed
    closed --> open: failures in a row, failure rate, slow rate
    open --> half_open: open_for is over and somebody calls
    half_open --> closed: enough good probes
    half_open --> open: too many failed probes or expired leases
    state "half-open" as half_open
```

`open()`, `close()`, `force_open()`, `disable()` and `observe()` lead from every place to the one they
name, and each begins a new *era*: windows are empty, and whatever calls are still under way report to an
era that is over. Such a report is an *echo* and changes nothing.

A cell says where the breaker goes, if it goes anywhere, and what happens. *Decides* means: reaches
`consecutive`, or makes a rate reach its threshold (a success does when it is the one that fills
`min_calls`); half-open, gives the last result that is needed, or one failure too many. *Observing* counts
and tells a trip, but never refuses. An opening that is over still reads open until the next call, which
becomes the first probe.

A `Transition` event says why it happened: `consecutive failures`, `failure rate` or `slow rate` (closed to open),
`open time over` (open to half-open), `probes succeeded` (half-open to closed), `probe failed` or
`probe lease expired` (half-open to open). While it is half-open, refused callers and `snapshot().reason`
are still told why it had opened.

"""


def rendered() -> str:
    """The table as the page ``docs/breaker-states.md``."""
    lines = ["| input | " + " | ".join(PLACES.values()) + " |", "|---" * (len(PLACES) + 1) + "|"]
    for what, text in INPUTS.items():
        lines.append(f"| {text} | " + " | ".join(_cell(*TABLE[place, what]) for place in PLACES) + " |")
    return _INTRODUCTION + "\n".join(lines) + "\n"


def _cell(target: str, effect: str) -> str:
    return f"**→ {PLACES[target]}**: {effect}" if target else effect


if __name__ == "__main__":
    print(rendered(), end="")  # noqa: T201
