"""The circuit breaker as a state machine that is told the time and the outcomes.

::

    closed ──(failures in a row, failure rate, slow rate)──▶ open
    open ──(open_for is over and somebody calls)──▶ half-open
    half-open ──(enough good probes)──▶ closed
    half-open ──(too many failed probes or expired leases)──▶ open
    any ──(open, close, force_open, disable, observe)──▶ as asked

``docs/breaker-states.md`` has the table of all of it. What an era is stands in ``era.py``.
Closed and quiet, a caller needs two attributes: ``quiet`` is the era, so it may go ahead, and ``era.counter`` is where
it counts its success. Open, it needs one: ``now < until`` refuses it.
Everything else comes here, under one lock. No user code runs under it: a duration that a user's function decides
is asked for afterwards (:meth:`BreakerCore.claim_length`).

The lock is one that its holder may take again: a signal handler or the garbage collector may run anywhere, and a
suspended coroutine that is collected gives its permit back right there. So what was looked up before a call is looked
at again where a transition hangs on it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from resilix.core.counting import Count
from resilix.core.era import (
    Change,
    CircuitState,
    Era,
    Mode,
    Refusal,
    Ticket,
)
from resilix.core.eras import NEW, Eras
from resilix.core.history import History, Totals
from resilix.core.settings import BreakerSettings
from resilix.core.verdict import Verdict
from resilix.core.window import Counts, Window, resized
from resilix.locks import RLock

if TYPE_CHECKING:
    from resilix.core.snapshot import BreakerSnapshot

__all__ = ["BreakerCore", "Change", "CircuitState", "Era", "Mode", "Refusal", "Ticket"]


class BreakerCore(Eras):
    """The state machine. Every method takes ``now`` and none reads a clock."""

    __slots__ = ()

    def __init__(self, settings: BreakerSettings, now: float, *, watchful: bool) -> None:
        super().__init__(settings, watchful=watchful)
        self._begin(self._closed_era(now, NEW))

    # -- asking ----------------------------------------------------------------------------------------

    def admit(self, now: float) -> Ticket | Refusal:
        """Let one call through, as an ordinary call or a probe, or say why not."""
        with self.lock:
            era = self.era
            if era.state is CircuitState.HALF_OPEN:
                era = self._expire_leases(era, now)
            if era.state is CircuitState.OPEN and now >= era.until:
                era = self._transition(self._half_open_era(now, era), "open time over")
            if era.state is CircuitState.CLOSED:
                return Ticket(era, now)
            if era.state is CircuitState.HALF_OPEN:
                ticket = Ticket(era, now, now + self.settings.probe_lease)
                # Before counting: a signal handler that calls in between must see it.
                probes = _probes(era)
                probes[ticket] = None
                if self._free_probes(era) >= 0:
                    return ticket
                del probes[ticket]
            return Refusal(self._retry_after(era, now), era.reason)

    def refused(self) -> None:
        """Count a refusal."""
        with self.lock:
            self.rejected += 1

    def _free_probes(self, era: Era) -> int:
        return self.settings.probes - len(_probes(era)) - era.good_probes - era.bad_probes

    def _retry_after(self, era: Era, now: float) -> float | None:
        if era.state is CircuitState.CLOSED or era.until == math.inf:
            return None
        if era.state is CircuitState.OPEN:
            return max(0.0, era.until - now)
        if self._free_probes(era) > 0:
            return 0.0
        # The probes out there decide by the end of their lease; if one fails, an opening follows.
        lease = min(ticket.lease for ticket in _probes(era))
        if lease <= now:
            return max(0.0, lease + era.length - now)
        return min(lease - now, era.length or math.inf)

    # -- telling ---------------------------------------------------------------------------------------

    def report(self, era: Era, verdict: Verdict, now: float, *, slow: bool = False) -> None:
        """Count an outcome of a call admitted to ``era`` on the quiet path."""
        with self.lock:
            if era is self.era:
                self._outcome(era, verdict, now, slow=slow)
            else:
                self._late()

    def overtaken(self, era: Era, counter: Count, number: int, now: float) -> None:
        """Look again after a quiet success that found, once counted, that ``counter`` is not the one in use any more.

        Without a GIL another thread may exchange it between the look at it and the count.
        """
        with self.lock:
            if not counter.saw(number):
                self.report(era, Verdict.SUCCESS, now)
            elif era is self.era:
                self._judge(era, now, 0)

    def settle(self, ticket: Ticket, verdict: Verdict, now: float, *, slow: bool) -> None:
        """Report the outcome of an admitted call. The first report counts; an echo changes nothing."""
        with self.lock:
            era = ticket.era
            if ticket.settled:
                return
            ticket.settled = True
            if era is not self.era:
                self._late()
            elif era.mode is Mode.DISABLED:
                return  # it counts nothing
            elif era.state is CircuitState.HALF_OPEN:
                self._settle_probe(era, ticket, verdict, now, slow)
            else:
                self._outcome(era, verdict, now, slow=slow)

    def withdraw(self, ticket: Ticket) -> None:
        """Take an admission back, as if the call had not been made: it is made anew, in another way."""
        with self.lock:
            ticket.settled = True
            if ticket.era is self.era:
                _probes(ticket.era).pop(ticket, None)

    def _late(self) -> None:
        assert self.history is not None, "there was a transition"
        self.history.add()

    def _outcome(self, era: Era, verdict: Verdict, now: float, *, slow: bool) -> None:
        if verdict is Verdict.IGNORED:
            era.ignored += 1
            return
        window = era.window
        failed = verdict is Verdict.FAILURE
        streak = 0
        if failed or slow:
            n = window.event(now, failed, slow)
            if failed:
                era.failures += 1  # never before the window has counted the call, should an interrupt strike
                era.streak = streak = era.streak + 1 if n - 1.0 == era.streak_at else 1
                era.streak_at = n
        else:
            if now >= window.edge:
                window.roll(now)
            window.add()
        self._judge(era, now, streak)

    def _judge(self, era: Era, now: float, streak: int) -> None:
        counts = era.window.counts(now)
        reason = self.settings.trips(streak, counts)
        if reason is None:
            era.observed = False
            if era is self.era:
                self._say_where_successes_count(era, now, counts)
        elif era.mode is Mode.OBSERVING:
            self._report_all(era)
            if not era.observed:
                era.observed = True
                self._announce(era, era, reason)
        elif era is self.era:
            self._open(now, now, reason)

    def _say_where_successes_count(self, era: Era, now: float, counts: Counts) -> None:
        """In the window, without being reported, where they can only lower the rates until it rolls on.

        Below min_calls one can still be the call that makes the rate count.
        """
        if counts.calls >= self.settings.min_calls or not (counts.failures or counts.slow):
            era.counter = era.window
        elif era.counter is not None:
            era.counter = None
            self._judge(era, now, 0)  # once more: some may have been counted before they could see that

    def _report_all(self, era: Era) -> None:
        """Have the next successes reported, if the era is not over."""
        if era is self.era:
            era.counter = None

    # -- half-open -------------------------------------------------------------------------------------

    def _settle_probe(self, era: Era, ticket: Ticket, verdict: Verdict, now: float, slow: bool) -> None:
        self._expire_leases(era, now)
        probes = _probes(era)
        if ticket not in probes:
            return  # its lease had run out: an echo, and counted as a failure then
        del probes[ticket]
        if verdict is Verdict.IGNORED:
            era.ignored += 1
        elif verdict is Verdict.FAILURE or (slow and self.settings.slow_probe_fails):
            era.bad_probes += 1
        else:
            era.good_probes += 1
        self._conclude(era, now, now, "probe failed")

    def _expire_leases(self, era: Era, now: float) -> Era:
        """Count probes whose lease has run out as failed, at the moment it ran out."""
        probes = _probes(era)
        for ticket in sorted(probes, key=_lease):
            if ticket.lease > now or self.era is not era:
                break
            del probes[ticket]
            era.bad_probes += 1
            self._conclude(era, ticket.lease, now, "probe lease expired")
        return self.era

    def _conclude(self, era: Era, at: float, now: float, failed: str) -> None:
        """Decide if the results allow it; as of ``at``, which for an expired lease lies before ``now``."""
        if era is not self.era:
            return
        if era.bad_probes > self.settings.probe_failures:
            self._open(at, now, failed)
        elif era.good_probes + era.bad_probes >= self.settings.probes:
            self.opening = 0
            self._transition(self._closed_era(at, "probes succeeded"))

    # -- a person takes over ---------------------------------------------------------------------------

    def open(self, now: float, length: float | None, reason: str) -> None:
        """Open by hand for ``length`` seconds, or as long as an opening by itself would last."""
        with self.lock:
            self.mode = Mode.NORMAL
            length = self.settings.open_for if length is None else length
            self._transition(self._open_era(now, now, reason, length, self.opening + 1))

    def take(self, now: float, mode: Mode, reason: str) -> None:
        """Force open, disable, observe, or (``Mode.NORMAL``) close and hand control back to the rules."""
        with self.lock:
            self.mode = mode
            if mode is Mode.FORCED_OPEN:
                self._transition(self._open_era(now, now, reason, None, self.opening))
            else:
                self.opening = 0
                self._transition(self._closed_era(now, reason))

    def reconfigure(self, settings: BreakerSettings, now: float, *, watchful: bool) -> None:
        """Take new settings and keep the state, the counts and the calls in flight."""
        with self.lock:
            era, old = self.era, self.settings
            self.settings, self.watchful = settings, watchful
            if settings.window != old.window:
                self._exchange(era, resized(era.window, settings.new_window(), now))
            self._set_gates()
            if era.state is CircuitState.CLOSED:
                # The next outcome is judged by the new rules, whatever it is.
                self._report_all(era)
            elif era.state is CircuitState.HALF_OPEN:
                # There may be no next outcome: the results that are in may be enough now.
                self._conclude(era, now, now, "probe failed")

    def _exchange(self, era: Era, window: Window) -> None:
        """Give an era a window of another kind, and keep the streak and the totals."""
        before = era.window
        if window is before:
            return
        streak = era.consecutive()
        era.window = era.counter = window  # from here on nothing is added to the one before
        era.counted += before.close()
        era.streak, era.streak_at = streak, window.n

    def after_fork(self) -> None:
        """In a forked child: forget the parent's probes, whose callers do not exist here."""
        self.lock = RLock()
        self.changes = ()
        old = self.era
        if old.state is CircuitState.HALF_OPEN:
            era = self._half_open_era(old.since, old)
            era.good_probes, era.bad_probes = old.good_probes, old.bad_probes
            era.ignored = old.ignored
            self._begin(era)

    # -- reading ---------------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """What became of all calls since it was made."""
        with self.lock:
            return (self.history or History()).totals(self.era)

    def snapshot(self, name: str, now: float) -> BreakerSnapshot:
        """Describe this moment; changes nothing."""
        from resilix.core.snapshot import BreakerSnapshot  # not under the lock: another thread may be loading it

        with self.lock:
            era = self.era
            figures = era.frozen or era.figures(now, self.settings)
            return BreakerSnapshot(
                name=name,
                state=era.state,
                mode=era.mode.value,
                reason=era.reason,
                **figures._asdict(),
                rejected=self.rejected,
                opening=self.opening,
                probes=len(era.probes or ()),
                retry_after=self._retry_after(era, now),
                since=era.since,
            )


def _probes(era: Era) -> dict[Ticket, None]:
    """The probes of a half-open era; other eras never need the dict."""
    if era.probes is None:
        era.probes = {}
    return era.probes


def _lease(ticket: Ticket) -> float:
    return ticket.lease
