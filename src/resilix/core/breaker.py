"""The circuit breaker as a state machine that is told the time and the outcomes.

::

    closed ──(failures in a row, failure rate, slow rate)──▶ open
    open ──(open_for is over and somebody calls)──▶ half-open
    half-open ──(enough good probes)──▶ closed
    half-open ──(too many failed probes or expired leases)──▶ open
    any ──(open, close, force_open, disable, observe)──▶ as asked

An *era* is the time between two transitions, and an object. A call keeps the era it was admitted in and reports
to that one; if it is over by then, the report is an echo and changes nothing.

Closed and quiet, a caller needs only two attributes of the era: ``gate`` is False, so it may go ahead, and
``watch`` is False, so a success may just advance ``window.n``. Everything else comes here, under one lock. No user
code runs under it: a duration that a user's function decides is asked for afterwards
(:meth:`BreakerCore.set_open_for`).
"""

from __future__ import annotations

import enum
import math
import sys
import threading
from dataclasses import dataclass
from typing import NamedTuple

from resilix.core.settings import BreakerSettings
from resilix.core.verdict import Verdict
from resilix.core.window import Counts, Window, resized

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Without it ``x.n += 1`` can be torn, so every outcome takes the lock."""


class CircuitState(enum.StrEnum):
    """Where a breaker is: closed lets calls through, open refuses them, half-open admits probes.

    Example::

        if quotes.state is CircuitState.OPEN: ...
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Mode(enum.StrEnum):
    """Who is in charge of a breaker: the rules, or a person."""

    NORMAL = "normal"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    OBSERVING = "observing"


class Ticket:
    """Proof of admission: the era it was given in and, for a probe, when its lease ends.

    Attributes:
        era: The era to report to; ``None`` when nothing is counted (disabled).
        started: When the call was admitted.
        lease: When a probe counts as failed; infinite for an ordinary call.
        settled: True once the outcome was reported.
    """

    __slots__ = ("era", "lease", "settled", "started")

    def __init__(self, era: Era | None, started: float, lease: float = math.inf) -> None:
        self.era = era
        self.started = started
        self.lease = lease
        self.settled = False


class Era:
    """The time between two transitions. See the module's text for ``gate`` and ``watch``."""

    __slots__ = (
        "bad_probes", "frozen", "gate", "good_probes", "ignored", "length", "mode", "number", "observed",
        "probes", "reason", "since", "state", "streak", "timed", "undecided", "until", "watch", "window",
    )  # fmt: skip

    def __init__(self, state: CircuitState, mode: Mode, since: float, window: Window, reason: str) -> None:
        self.state = state
        self.mode = mode
        self.since = since
        self.reason = reason
        self.gate = True
        self.watch = not GIL
        self.window = window
        self.timed = window.edge != math.inf
        self.streak = 0
        self.ignored = 0
        self.observed = False
        # open: how long, and the number of the opening that length belongs to
        self.number = 0
        self.undecided = False
        self.length = 0.0
        self.until = math.inf
        self.frozen: Frozen | None = None
        # half-open
        self.probes: dict[Ticket, None] = {}
        self.good_probes = 0
        self.bad_probes = 0


class Frozen(NamedTuple):
    """The figures an opening publishes until the next era."""

    counts: Counts
    streak: int
    ignored: int


class Change(NamedTuple):
    """One transition, for whoever announces it; within one era, a trip that was only observed."""

    old: Era
    era: Era
    reason: str
    opening: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSnapshot:
    """What a breaker looked like at one moment; reading it changed nothing.

    Example::

        quotes.snapshot().failure_rate  # 0.42, or None below min_calls

    Attributes:
        name: The breaker's name.
        state: Closed, open or half-open.
        mode: "normal", or what a person asked for: "forced_open", "disabled", "observing".
        reason: Why it is in this state, in a few words.
        calls: Successes and failures in the window; frozen while open.
        failures: How many of them failed.
        slow: How many of them were slow.
        ignored: Outcomes of this era that counted as neither.
        consecutive: Failures in a row.
        failure_rate: Share of failures, or ``None`` below ``min_calls``.
        slow_rate: Share of slow calls, or ``None`` below ``min_calls`` or without ``slow_after``.
        rejected: Calls refused since the breaker was made.
        opening: How often it has opened by itself since it was last closed; 0 when closed by then.
        probes: Probes in flight.
        retry_after: Seconds until the next probe is possible; ``None`` when closed or forced open.
        since: The reading of the breaker's clock when this state began.
    """

    name: str
    state: CircuitState
    mode: str
    reason: str
    calls: int
    failures: int
    slow: int
    ignored: int
    consecutive: int
    failure_rate: float | None
    slow_rate: float | None
    rejected: int
    opening: int
    probes: int
    retry_after: float | None
    since: float


class BreakerCore:
    """The state machine. Every method takes ``now`` and none reads a clock."""

    __slots__ = ("changes", "era", "lock", "mode", "opening", "rejected", "settings", "watchful")

    def __init__(self, settings: BreakerSettings, now: float, *, watchful: bool) -> None:
        self.settings = settings
        self.lock = threading.Lock()
        self.mode = Mode.NORMAL
        self.opening = 0
        self.rejected = 0
        self.changes: tuple[Change, ...] = ()
        self.watchful = watchful
        self.era = self._closed_era(now, "new")

    # -- asking ----------------------------------------------------------------------------------------

    def admit(self, now: float) -> Ticket | None:
        """Let one call through, as an ordinary call or a probe; ``None`` refuses it."""
        era = self.era
        if GIL and era.state is CircuitState.OPEN and now < era.until:
            self.rejected += 1
            return None
        with self.lock:
            era = self.era
            if self.mode is Mode.DISABLED:
                return Ticket(None, now)
            if era.state is CircuitState.CLOSED:
                return Ticket(era, now)
            if era.state is CircuitState.HALF_OPEN:
                era = self._expire_leases(era, now)
            if era.state is CircuitState.OPEN and now >= era.until:
                era = self._transition(self._half_open_era(now, era))
            if era.state is CircuitState.HALF_OPEN and self._free_probes(era) > 0:
                ticket = Ticket(era, now, now + self.settings.probe_lease)
                era.probes[ticket] = None
                return ticket
            self.rejected += 1
            return None

    def _free_probes(self, era: Era) -> int:
        return self.settings.probes - len(era.probes) - era.good_probes - era.bad_probes

    def retry_after(self, now: float) -> float | None:
        """Seconds until the next probe is possible; ``None`` when closed, forced open or not known yet."""
        era = self.era
        if era.state is CircuitState.CLOSED or self.mode is Mode.FORCED_OPEN:
            return None
        if era.state is CircuitState.OPEN:
            return None if era.until == math.inf else max(0.0, era.until - now)
        if self._free_probes(era) > 0:
            return 0.0
        leases = [ticket.lease for ticket in tuple(era.probes)]
        # The probes out there decide by the end of their lease; if one fails, an opening follows.
        return max(0.0, min(min(leases, default=now) - now, era.length or math.inf))

    # -- telling ---------------------------------------------------------------------------------------

    def success(self, era: Era, now: float) -> None:
        """Count a fast success of a call admitted while closed, when it cannot just be added."""
        with self.lock:
            if era is self.era:
                self._count(era, now, failed=False, slow=False)

    def failure(self, era: Era, now: float) -> None:
        """Count a fast failure of a call admitted while closed."""
        with self.lock:
            if era is self.era:
                self._count(era, now, failed=True, slow=False)

    def settle(self, ticket: Ticket, verdict: Verdict, now: float, *, slow: bool) -> None:
        """Report the outcome of an admitted call. The first report counts; an echo changes nothing."""
        with self.lock:
            era = ticket.era
            if ticket.settled or era is None:
                return
            ticket.settled = True
            if era is not self.era:
                return
            if era.state is CircuitState.HALF_OPEN:
                self._settle_probe(era, ticket, verdict, now, slow)
            elif verdict is Verdict.IGNORED:
                era.ignored += 1
            else:
                self._count(era, now, failed=verdict is Verdict.FAILURE, slow=slow)

    def _count(self, era: Era, now: float, *, failed: bool, slow: bool) -> None:
        window = era.window
        if failed or slow:
            window.event(now, failed, slow)
        else:
            if now >= window.edge:
                window.roll(now)
            window.n += 1
        era.streak = era.streak + 1 if failed else 0
        counts = window.judge(now)
        reason = self._trips(era, counts)
        if reason is None:
            era.observed = False
            # Below min_calls a success can still be the one that makes the rate count; after a failure
            # it ends the streak. Otherwise successes only lower the rates until the window rolls on.
            uncertain = counts.calls < self.settings.min_calls and (counts.failures or counts.slow)
            era.watch = bool(era.streak or uncertain) or not GIL
        elif self.mode is Mode.OBSERVING:
            if not era.observed:
                era.observed = True
                self._announce(era, era, reason)
            era.watch = True
        else:
            self._open(now, reason)

    def _trips(self, era: Era, counts: Counts) -> str | None:
        settings = self.settings
        if era.streak >= settings.consecutive:
            return "consecutive failures"
        if counts.calls >= settings.min_calls:
            if counts.failures / counts.calls >= settings.failure_rate:
                return "failure rate"
            if counts.slow / counts.calls >= settings.slow_rate:
                return "slow rate"
        return None

    # -- half-open -------------------------------------------------------------------------------------

    def _settle_probe(self, era: Era, ticket: Ticket, verdict: Verdict, now: float, slow: bool) -> None:
        era = self._expire_leases(era, now)
        if ticket not in era.probes:
            return  # its lease had run out: an echo
        del era.probes[ticket]
        if verdict is Verdict.IGNORED:
            era.ignored += 1
        elif verdict is Verdict.FAILURE or (slow and self.settings.slow_probe_fails):
            era.bad_probes += 1
            self._conclude(era, now, "probe failed")
        else:
            era.good_probes += 1
            self._conclude(era, now, "probes succeeded")

    def _expire_leases(self, era: Era, now: float) -> Era:
        """Count probes whose lease has run out as failed, at the moment it ran out."""
        for ticket in sorted(era.probes, key=_lease):
            if ticket.lease > now:
                break
            del era.probes[ticket]
            era.bad_probes += 1
            self._conclude(era, ticket.lease, "probe lease expired")
            if self.era is not era:
                break
        return self.era

    def _conclude(self, era: Era, now: float, reason: str) -> None:
        settings = self.settings
        if era.bad_probes > settings.probe_failures:
            self._open(now, reason)
        elif era.good_probes + era.bad_probes >= settings.probes:
            self.opening = 0
            self._transition(self._closed_era(now, reason))

    # -- transitions -----------------------------------------------------------------------------------

    def _era(self, state: CircuitState, now: float, reason: str) -> Era:
        return Era(state, self.mode, now, self.settings.new_window(), reason)

    def _half_open_era(self, now: float, old: Era) -> Era:
        era = self._era(CircuitState.HALF_OPEN, now, old.reason)
        era.length = old.length
        return era

    def _closed_era(self, now: float, reason: str) -> Era:
        era = self._era(CircuitState.CLOSED, now, reason)
        era.gate = self._gated()
        return era

    def _gated(self) -> bool:
        return self.mode is Mode.DISABLED or self.watchful or self.settings.slow_after is not None

    def _open(self, now: float, reason: str) -> None:
        self.opening += 1
        self._transition(self._open_era(now, reason, self.settings.open_for, self.opening))

    def _open_era(self, now: float, reason: str, length: float | None, number: int) -> Era:
        era = self._era(CircuitState.OPEN, now, reason)
        era.number = number
        old = self.era
        era.frozen = old.frozen or Frozen(old.window.counts(now), old.streak, old.ignored)
        if length is not None:
            era.length, era.until = length, now + length
        else:
            era.undecided = self.mode is Mode.NORMAL
        return era

    def _transition(self, era: Era) -> Era:
        old, self.era = self.era, era
        self._announce(old, era, era.reason)
        return era

    def _announce(self, old: Era, era: Era, reason: str) -> None:
        self.changes = (*self.changes, Change(old, era, reason, self.opening))

    def set_open_for(self, era: Era, length: float) -> None:
        """Say how long an opening lasts, once the user's function has decided it."""
        with self.lock:
            if era is self.era and era.undecided:
                era.undecided = False
                era.length, era.until = length, era.since + length

    # -- a person takes over ---------------------------------------------------------------------------

    def open(self, now: float, length: float | None, reason: str) -> None:
        """Open by hand for ``length`` seconds, or as long as an opening by itself would last."""
        with self.lock:
            self.mode = Mode.NORMAL
            length = self.settings.open_for if length is None else length
            self._transition(self._open_era(now, reason, length, self.opening + 1))

    def close(self, now: float, reason: str) -> None:
        """Close with empty windows and hand control back to the rules."""
        self._take(now, Mode.NORMAL, reason)

    def take(self, now: float, mode: Mode, reason: str) -> None:
        """Force open, disable or observe."""
        self._take(now, mode, reason)

    def _take(self, now: float, mode: Mode, reason: str) -> None:
        with self.lock:
            self.mode = mode
            if mode is Mode.FORCED_OPEN:
                self._transition(self._open_era(now, reason, None, self.opening + 1))
            else:
                self.opening = 0
                self._transition(self._closed_era(now, reason))

    def reconfigure(self, settings: BreakerSettings, now: float, *, watchful: bool) -> None:
        """Take new settings and keep the state, the counts and the calls in flight."""
        with self.lock:
            era, old = self.era, self.settings
            self.settings, self.watchful = settings, watchful
            if settings.window != old.window:
                era.window = resized(era.window, settings.new_window())
                era.timed = era.window.edge != math.inf
            if era.state is CircuitState.CLOSED:
                era.gate = self._gated()
                # The next outcome is judged by the new rules, whatever it is.
                era.watch = True

    def after_fork(self) -> None:
        """In a forked child: forget the parent's probes, whose callers do not exist here."""
        self.lock = threading.Lock()
        self.changes = ()
        old = self.era
        if old.state is CircuitState.HALF_OPEN:
            era = self._half_open_era(old.since, old)
            era.good_probes, era.bad_probes = old.good_probes, old.bad_probes
            self.era = era

    # -- reading ---------------------------------------------------------------------------------------

    def snapshot(self, name: str, now: float) -> BreakerSnapshot:
        """Describe this moment; changes nothing."""
        with self.lock:
            era, settings = self.era, self.settings
            counts, streak, ignored = era.frozen or Frozen(era.window.counts(now), era.streak, era.ignored)
            judged = counts.calls >= settings.min_calls
            return BreakerSnapshot(
                name=name,
                state=era.state,
                mode=self.mode.value,
                reason=era.reason,
                calls=counts.calls,
                failures=counts.failures,
                slow=counts.slow,
                ignored=ignored,
                consecutive=streak,
                failure_rate=counts.failures / counts.calls if judged else None,
                slow_rate=counts.slow / counts.calls if judged and settings.slow_after is not None else None,
                rejected=self.rejected,
                opening=self.opening,
                probes=len(era.probes),
                retry_after=self.retry_after(now),
                since=era.since,
            )


def _lease(ticket: Ticket) -> float:
    return ticket.lease
