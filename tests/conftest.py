"""What every test begins with."""

from __future__ import annotations

import pytest
from tests.support.attention import attending

from resilix.policies.weave import WEAVE
from resilix.tally import TALLY

pytest_plugins = ["pytester"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that set the switch themselves would do the same again where functions are not woven."""
    if WEAVE.on:
        return
    again = [item for item in items if item.get_closest_marker("sets_weaving")]
    config.hook.pytest_deselected(items=again)
    items[:] = [item for item in items if not item.get_closest_marker("sets_weaving")]


@pytest.fixture(autouse=True)
def counts_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of verbs: all the tests together have more labels than are told apart."""
    monkeypatch.setattr(TALLY, "_labels", set())
    monkeypatch.setattr(TALLY, "_counts", {})


@pytest.fixture(autouse=True)
def nothing_attended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process where nobody has used a deadline or a sync timeout: calls take the quiet path."""
    attending(monkeypatch, deadlines=False, held=False)
