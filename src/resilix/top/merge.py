"""Put what several workers say together, and turn counts into rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from resilix.top.fetch import Described

WORST_FIRST: Final = ("open", "half_open", "closed")


@dataclass(slots=True)
class Row:
    """One policy over all workers.

    Attributes:
        name: Its name.
        states: How many workers see it in which state; for breakers.
        reason: Why the worst of them is in its state.
        since: Seconds since the newest change of the worst ones; ``None`` when unknown.
        ratio: The worst failure rate, or the least share of a budget that is left.
        used: Places in use, of all workers.
        limit: Places there are.
        waiting: Callers in line.
        counts: Counts that grow, of all workers.
        rates: The same per second.
    """

    name: str
    states: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    since: float | None = None
    ratio: float | None = None
    used: float = 0.0
    limit: float = 0.0
    waiting: float = 0.0
    counts: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def worst(self) -> str:
        """The worst state a worker sees."""
        return next((state for state in WORST_FIRST if self.states[state]), "closed")


@dataclass(slots=True)
class Picture:
    """Everything at one moment.

    Attributes:
        breakers: By name, the worst first; like the next three.
        bulkheads: By name.
        budgets: By name.
        http: By name.
        errors: What keeps an endpoint from being read, by URL.
        answered: How many endpoints were read.
    """

    breakers: list[Row]
    bulkheads: list[Row]
    budgets: list[Row]
    http: list[Row]
    errors: dict[str, str]
    answered: int


class Merger:
    """Remembers the counts of last time, for rates."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._before: dict[tuple[str, str, str, str], tuple[float, float]] = {}

    def picture(self, described: dict[str, Described], errors: dict[str, str]) -> Picture:
        """Put together what each URL said."""
        now = self._now()
        kinds: dict[str, dict[str, Row]] = {"breakers": {}, "bulkheads": {}, "budgets": {}, "http": {}}
        for url, told in described.items():
            for kind, rows in kinds.items():
                for one in told.get(kind, ()):
                    row = rows.setdefault(str(one["name"]), Row(str(one["name"])))
                    ADD[kind](row, one)
                    for name, count in _counts(kind, one):
                        self._grow(row, (url, kind, row.name, name), count, now)
        breakers = sorted(kinds["breakers"].values(), key=lambda row: (WORST_FIRST.index(row.worst), row.name))
        bulkheads, budgets, http = (
            sorted(kinds[kind].values(), key=lambda row: row.name) for kind in ("bulkheads", "budgets", "http")
        )
        return Picture(breakers, bulkheads, budgets, http, errors=errors, answered=len(described))

    def _grow(self, row: Row, key: tuple[str, str, str, str], count: float, now: float) -> None:
        name = key[3]
        row.counts[name] = row.counts.get(name, 0.0) + count
        before = self._before.get(key)
        self._before[key] = (now, count)
        # A count that has shrunk belongs to a service that was started anew.
        if before is not None and now > before[0] and count >= before[1]:
            row.rates[name] = row.rates.get(name, 0.0) + (count - before[1]) / (now - before[0])


def _add_breaker(row: Row, one: Any) -> None:
    before = row.worst if row.states else None
    row.states.update(one.get("states") or {str(one.get("state", "closed")): 1})
    rate = one.get("failure_rate")
    if rate is not None:
        row.ratio = max(row.ratio or 0.0, float(rate))
    if before is None or WORST_FIRST.index(row.worst) < WORST_FIRST.index(before):
        row.reason, row.since = str(one.get("reason", "")), one.get("since_s")
    elif one.get("state") == row.worst and one.get("since_s") is not None:
        row.since = min(float(one["since_s"]), row.since if row.since is not None else float("inf"))


def _add_bulkhead(row: Row, one: Any) -> None:
    row.used += float(one["in_use"])
    row.limit += float(one["limit"])
    row.waiting += float(one["waiting"])


def _add_budget(row: Row, one: Any) -> None:
    left = float(one["remaining_ratio"])
    row.ratio = left if row.ratio is None else min(row.ratio, left)


def _add_http(row: Row, one: Any) -> None:
    """Counts are all there is."""


ADD: Final[dict[str, Callable[[Row, Any], None]]] = {
    "breakers": _add_breaker,
    "bulkheads": _add_bulkhead,
    "budgets": _add_budget,
    "http": _add_http,
}


def _counts(kind: str, one: Any) -> Iterable[tuple[str, float]]:
    if kind == "breakers":
        totals = one.get("totals") or {}
        yield "calls", float(sum(totals.values()))
        yield "failed", float(totals.get("failure", 0))
    if kind == "http":
        yield "calls", float(one["calls"])
        yield "attempts", float(one["attempts"])
    if "rejected" in one:
        yield "refused", float(one["rejected"])
    if "denied" in one:
        yield "denied", float(one["denied"])
