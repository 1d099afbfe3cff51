"""The view where there is no terminal: a line a second, and one for each thing that happens."""

from __future__ import annotations

from resilix.demo.measure import Record, Side
from resilix.demo.wording import percent, seconds

SPAN = 1.0
"""Seconds a line looks back, and between two lines."""


class PlainView:
    """Prints lines."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._told = 0
        self._next = SPAN

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, now: float) -> None:
        """Print what is new."""
        log = self._record.log(now)
        for one in log[self._told :]:
            print(f"{one.at:6.1f} s  * {one.text}", flush=True)
        self._told = len(log)
        if now >= self._next:
            self._next = now - now % SPAN + SPAN
            print(f"{now:6.1f} s    {self._line(now)}", flush=True)

    def _line(self, now: float) -> str:
        unguarded, guarded = self._record.unguarded, self._record.guarded
        state = guarded.gauges.state.replace("_", "-") if guarded.gauges else "?"
        return f"unguarded: {_side(unguarded, now)} | guarded: {_side(guarded, now)}, breaker {state}"


def _side(side: Side, now: float) -> str:
    lately = side.lately(now, SPAN)
    load = side.borne_between(now - SPAN, now) / SPAN
    if not lately.requests:
        return f"no request ended, {load:.0f} calls/s"
    parts = [f"{percent(lately.fresh)} fresh"]
    if lately.fallback:
        parts.append(f"{percent(lately.fallback)} fallback")
    if lately.failed:
        parts.append(f"{percent(lately.failed)} failed")
    return ", ".join((*parts, f"p99 {seconds(lately.p99)}", f"{load:.0f} calls/s"))
