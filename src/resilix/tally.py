"""Counts of what verbs do (retries, timeouts, fallbacks, refusals), kept whether somebody looks or not.

Nouns keep their own counts. A verb is written where it is needed and has no object that lives as long as the process,
so its counts are kept here, by label. Nothing here is on a quiet path: something has failed when it is asked.
"""

from __future__ import annotations

import os
from typing import Final

from resilix.locks import RLock

MOST_LABELS: Final = 1024
"""How many labels are told apart; the rest is counted together, so that the memory is bounded."""
OTHER: Final = "other"


class Tally:
    """Plain integers by what happened, the label it happened to, and a detail.

    Example::

        TALLY.add("retries", "price", "error")
        TALLY.counts()[("retries", "price", "error")]
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], list[int]] = {}
        self._labels: set[str] = set()
        # Re-entrant: a signal handler or a finalizer may count in the middle of a count of its own thread.
        self._lock = RLock()

    def add(self, what: str, label: str, detail: str = "") -> None:
        """Count one.

        Args:
            what: "retries", "exhausted", "timeouts", "fallbacks", "rejections", "faults".
            label: A pipeline's name or a function's qualified name, never anything a request could choose.
            detail: One of a few words.
        """
        with self._lock:
            if label not in self._labels:
                if len(self._labels) >= MOST_LABELS:
                    label = OTHER
                self._labels.add(label)
            cell = self._counts.setdefault((what, label, detail), [0])
            cell[0] += 1  # nothing is called: the handler cannot come in between here

    def counts(self) -> dict[tuple[str, str, str], int]:
        """All counts so far, by what, label and detail."""
        with self._lock:
            return {key: cell[0] for key, cell in self._counts.copy().items()}

    def forget(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._counts = {}
            self._labels = set()

    def after_fork(self) -> None:
        """In a forked child: its counts begin at nothing, and the lock may have been held."""
        self._lock = RLock()
        self._counts = {}


TALLY = Tally()
"""The counts of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TALLY.after_fork)
