"""What this process attends to, set for one test."""

from __future__ import annotations

import pytest

from resilix.attention import ATTENTION
from resilix.core.deadline import DEADLINE
from resilix.core.permits import HELD


def refresh() -> None:
    """Have all policies know what the flags say now."""
    ATTENTION.ask("deadlines", lambda: DEADLINE.used)
    ATTENTION.tell()


def attending(monkeypatch: pytest.MonkeyPatch, *, deadlines: bool, held: bool | None = None) -> None:
    """Make it so that deadlines have been used in this process, and that held places are noted, or not."""
    monkeypatch.setattr(DEADLINE, "used", deadlines)
    if held is not None:
        monkeypatch.setattr(HELD, "used", held)
    refresh()
