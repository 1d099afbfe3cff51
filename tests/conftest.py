"""What every test begins with."""

from __future__ import annotations

import pytest
from tests.support.attention import attending

from resilix.tally import TALLY


@pytest.fixture(autouse=True)
def counts_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of verbs: all the tests together have more labels than are told apart."""
    monkeypatch.setattr(TALLY, "_labels", set())
    monkeypatch.setattr(TALLY, "_counts", {})


@pytest.fixture(autouse=True)
def nothing_attended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process where nobody has used a deadline or a sync timeout: calls take the quiet path."""
    attending(monkeypatch, deadlines=False, held=False)
