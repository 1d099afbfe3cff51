"""What every test begins with."""

from __future__ import annotations

import pytest

from resilix.tally import TALLY


@pytest.fixture(autouse=True)
def counts_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of verbs: all the tests together have more labels than are told apart."""
    monkeypatch.setattr(TALLY, "_labels", set())
    monkeypatch.setattr(TALLY, "_counts", {})
