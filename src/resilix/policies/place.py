"""The place in a bulkhead that a caller holds when it acquires by hand."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Self

from resilix.core.permits import HELD, Hold
from resilix.core.verdict import Verdict
from resilix.policies.permit import Permit


class Place(Permit):
    """A permit whose ``with`` block holds the place for the calls it makes, abandoned ones included."""

    __slots__ = ("_hold", "_tokens")

    def __init__(self, hold: Hold) -> None:
        super().__init__(lambda verdict: hold.drop(), lambda error: Verdict.IGNORED)
        self._hold = hold
        self._tokens: list[Token[tuple[Hold, ...]]] = []

    def __enter__(self) -> Self:
        self._tokens.append(HELD.push(self._hold))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tokens:  # ExitStack.push() leaves without having entered
            HELD.pop(self._tokens.pop())
        super().__exit__(kind, error, traceback)
