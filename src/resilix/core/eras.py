"""The eras of a breaker: how one follows another, who is let into the current one, and what was announced.

What decides that one is over is in ``breaker.py``.
"""

from __future__ import annotations

import math
from typing import Final

from resilix.attention import ATTENTION
from resilix.core.era import Change, CircuitState, Era, Mode
from resilix.core.history import History
from resilix.core.settings import FALLBACK_OPEN_FOR, BreakerSettings
from resilix.locks import RLock

NEW: Final = "new"
"""Why the first era began."""


class Eras:
    """The current era, and the way from one to the next; whoever calls a method with an underscore holds the lock.

    Attributes:
        era: The current one.
        calm: The same while a call may be made without looking at more than its outcome, else ``None``: not closed,
            disabled, or results or durations are judged.
        quiet: The same as ``calm`` while nothing else in this process attends to calls, else ``None``.
        slow: The same as ``quiet`` for a breaker that looks at how long calls take, and ``calm_slow`` as ``calm``.
        slow_after: Seconds after which a call is slow; infinite where none is.
        lazy: The same as ``quiet`` where time changes nothing, because the window counts calls, else ``None``.
        changes: Transitions that nobody has announced yet, oldest first.
        rejected: Calls refused.
        opening: How often it has opened by itself since it was last closed.
        mode: Who is in charge.
        settings: The rules.
        watchful: Whether results are judged too.
        lock: Held for every change but the quiet ones.
        history: What became of the calls of earlier eras; made with the first transition.
    """

    __slots__ = (
        "calm", "calm_slow", "changes", "era", "history", "lazy", "lock", "mode", "opening", "quiet", "rejected",
        "settings", "slow", "slow_after", "watchful",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings, *, watchful: bool) -> None:
        self.settings = settings
        self.lock = RLock()
        self.mode = Mode.NORMAL
        self.opening = 0
        self.rejected = 0
        self.changes: tuple[Change, ...] = ()
        self.watchful = watchful
        self.history: History | None = None
        self.era: Era

    # -- the gates of the quiet path -------------------------------------------------------------------

    def attend(self) -> None:
        """Look again whether something in this process attends to calls."""
        with self.lock:
            self._set_gates()

    def _set_gates(self) -> None:
        era = self.era
        looked_at = era.state is not CircuitState.CLOSED or self.mode is Mode.DISABLED or self.watchful
        slow_after = self.settings.slow_after
        self.slow_after = math.inf if slow_after is None else slow_after
        self.calm = None if looked_at or slow_after is not None else era
        self.calm_slow = None if looked_at or slow_after is None else era
        self.quiet = None if ATTENTION.wanted else self.calm
        self.slow = None if ATTENTION.wanted else self.calm_slow
        self.lazy = self.quiet if era.window.edge == math.inf else None

    # -- from one to the next --------------------------------------------------------------------------

    def _begin(self, era: Era) -> None:
        self.era = era
        self._set_gates()

    def _half_open_era(self, now: float, old: Era) -> Era:
        era = Era(CircuitState.HALF_OPEN, self.mode, now, old.reason, self.settings.new_window())
        era.length = old.length
        return era

    def _closed_era(self, now: float, reason: str) -> Era:
        return Era(CircuitState.CLOSED, self.mode, now, reason, self.settings.new_window())

    def _open(self, at: float, now: float, reason: str) -> None:
        self.opening += 1
        self._transition(self._open_era(at, now, reason, self.settings.open_for, self.opening))

    def _open_era(self, at: float, now: float, reason: str, length: float | None, number: int) -> Era:
        era = Era(CircuitState.OPEN, self.mode, at, reason, self.settings.new_window())
        era.number = number
        era.frozen = self.era.frozen or self.era.figures(now, self.settings)
        if self.mode is Mode.FORCED_OPEN:
            era.until = math.inf
        elif length is not None:
            era.length, era.until = length, at + length
        else:
            # Until the user's function has answered; should it never (an interrupt), this stands.
            era.undecided = True
            era.length, era.until = FALLBACK_OPEN_FOR, now + FALLBACK_OPEN_FOR
        return era

    def _transition(self, era: Era, reason: str | None = None) -> Era:
        old = self._follow(era)
        self._announce(old, era, reason or era.reason)
        return era

    def _follow(self, era: Era) -> Era:
        """Put an era in the place of the current one, whose calls are late from now on: that one."""
        if self.history is None:
            made = History()
            # In one step, for a signal handler may have been quicker.
            self.history = made if self.history is None else self.history
        history = self.history
        # Nobody is let into an era that is over: first the gates, then the era.
        self.calm = self.calm_slow = self.quiet = self.slow = self.lazy = None
        old, self.era = self.era, era
        history.retire(old)
        self._set_gates()
        return old

    def _announce(self, old: Era, era: Era, reason: str) -> None:
        self.changes = (*self.changes, Change(old, era, reason, self.opening))

    def renew(self, now: float) -> None:
        """Be as one that was just made with the settings it has now: closed, in charge, and having counted nothing.

        Nothing is announced. What calls in flight end with is late, probes among them.
        """
        with self.lock:
            self.mode = Mode.NORMAL
            self.opening = 0
            self._follow(self._closed_era(now, NEW))
            assert self.history is not None, "an era has followed another"
            self.history.forget()
            self.rejected = 0
            self.changes = ()

    def next_change(self) -> Change | None:
        """Take the oldest transition that nobody has announced yet."""
        with self.lock:
            if not self.changes:
                return None
            change, self.changes = self.changes[0], self.changes[1:]
            return change

    def claim_length(self, era: Era) -> bool:
        """Whether the caller is the one to ask the user's function how long this opening lasts."""
        with self.lock:
            claimed, era.undecided = era.undecided, False
            return claimed

    def set_length(self, era: Era, length: float) -> None:
        """Say how long an opening lasts, once the user's function has decided it."""
        with self.lock:
            era.length, era.until = length, era.since + length
