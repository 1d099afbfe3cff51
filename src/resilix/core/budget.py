"""The retry budget as a token bucket that success fills.

A retry costs ``cost`` tokens. A call that succeeds at its first attempt gives one token back; a call that succeeds
after a retry gives back what its last retry cost. In a total outage nothing comes back, so attempts per request
go to 1 however long it lasts; while retries work they are nearly free.

Source: the retry quota of the AWS SDKs' standard retry mode as of November 2026 (500 tokens, 14 per retry).
"""

from __future__ import annotations

from resilix.locks import Lock


class BudgetCore:
    """Tokens, and how many are left.

    Attributes:
        tokens: How many there are when it is full.
        cost: What one retry costs.
        level: How many are left.
        denied: Retries that were not granted.
    """

    __slots__ = ("cost", "denied", "level", "lock", "tokens")

    def __init__(self, tokens: int, cost: int) -> None:
        self.tokens = tokens
        self.cost = cost
        self.level = tokens
        self.denied = 0
        self.lock = Lock()

    def spend(self) -> bool:
        """Take the price of one retry, or say that it is not there."""
        with self.lock:
            if self.level < self.cost:
                self.denied += 1
                return False
            self.level -= self.cost
            return True

    def renew(self) -> None:
        """Be full, as one that was just made."""
        with self.lock:
            self.level = self.tokens
            self.denied = 0

    def give(self, tokens: int) -> None:
        """Put tokens back, up to full."""
        with self.lock:
            level = self.level + tokens
            self.level = level if level < self.tokens else self.tokens
