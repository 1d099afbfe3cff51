"""The permit a caller holds when it acquires by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from resilix.core.verdict import Verdict


class Permit:
    """Leave to make one call; say how it ended. It settles once: later reports change nothing.

    Example::

        with quotes.acquire():          # judges the exception that leaves the block
            fetch("ACME")

        permit = quotes.acquire()       # or by hand
        try:
            reply = fetch("ACME")
        except OSError as error:
            permit.failure(error)
            raise
        finally:
            permit.release()            # ignored when it has been settled already
    """

    __slots__ = ("_judge", "_settle")

    def __init__(self, settle: Callable[[Verdict], None], judge: Callable[[BaseException], Verdict]) -> None:
        self._settle: Callable[[Verdict], None] | None = settle
        self._judge = judge

    def success(self) -> None:
        """The call went well."""
        self._end(Verdict.SUCCESS)

    def failure(self, exc: BaseException | None = None) -> None:
        """The call failed and counts as a failure, whatever ``on`` says.

        Args:
            exc: What it failed with, for symmetry with ``except … as exc``; the verdict is yours either way.
        """
        self._end(Verdict.FAILURE)

    def release(self) -> None:
        """Give the permit back and count nothing."""
        self._end(Verdict.IGNORED)

    def _end(self, verdict: Verdict) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(verdict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        verdict = Verdict.IGNORED
        try:
            verdict = Verdict.SUCCESS if error is None else self._judge(error)
        finally:
            self._end(verdict)
