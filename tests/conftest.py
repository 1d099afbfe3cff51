"""What every test begins with."""

from __future__ import annotations

import pytest
from tests.support.attention import attending

from resilix.policies.weave import WEAVE
from resilix.tally import TALLY

pytest_plugins = ["pytester"]


EITHER_WAY = (
    "e2e/test_benchmarks_*", "e2e/test_demo*", "e2e/test_examples.py", "e2e/test_fault_server*",
    "e2e/test_real_prometheus.py", "e2e/test_top.py", "e2e/test_whatif*", "unit/test_architecture.py",
    "unit/test_benchmarks*", "unit/test_both_ways.py", "unit/test_breaker_core.py", "unit/test_budget.py",
    "unit/test_clock.py", "unit/test_docs_*", "unit/test_durations.py", "unit/test_http_docs.py",
    "unit/test_http_retry_after.py", "unit/test_import_cost.py", "unit/test_machine_cost.py",
    "unit/test_permits.py", "unit/test_prometheus_push.py", "unit/test_public_api.py",
    "unit/test_pytest_plugin.py", "unit/test_recorder_text.py", "unit/test_simulate_dependency.py",
    "unit/test_simulate_loop.py", "unit/test_whatif*", "unit/test_window.py",
)  # fmt: skip
"""Tests in which weaving changes nothing: of documents, tools and the core, or in processes of their own."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that set the switch themselves would do the same again where functions are not woven."""
    for item in items:
        if any(item.path.match(one) for one in EITHER_WAY):
            item.add_marker("either_way")
    if WEAVE.on:
        return
    again = [item for item in items if item.get_closest_marker("sets_weaving")]
    config.hook.pytest_deselected(items=again)
    items[:] = [item for item in items if not item.get_closest_marker("sets_weaving")]


@pytest.fixture(autouse=True)
def as_users_have_it(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes begun by such a test weave, as they do by default."""
    if request.node.get_closest_marker("either_way"):
        monkeypatch.delenv("RESILIX_WEAVE", raising=False)


@pytest.fixture(autouse=True)
def counts_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of verbs: all the tests together have more labels than are told apart."""
    monkeypatch.setattr(TALLY, "_labels", set())
    monkeypatch.setattr(TALLY, "_counts", {})


@pytest.fixture(autouse=True)
def nothing_attended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process where nobody has used a deadline or a sync timeout: calls take the quiet path."""
    attending(monkeypatch, deadlines=False, held=False)
