"""What every test begins with."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings
from tests.support.attention import attending

from resilix.policies.weave import WEAVE
from resilix.tally import TALLY

pytest_plugins = ["pytester"]


ONCE = {
    "once_woven": (
        "e2e/test_examples.py", "e2e/test_http_deadline_backend.py", "e2e/test_simulation_reality.py",
        "e2e/test_whatif.py", "e2e/test_without_gil.py", "unit/test_whatif_cases.py",
    ),
    "once_plain": (
        "e2e/test_benchmarks_*", "e2e/test_demo*", "e2e/test_fault_server*", "e2e/test_http_pool.py",
        "e2e/test_real_prometheus.py", "e2e/test_top.py", "unit/test_architecture.py", "unit/test_benchmarks*",
        "unit/test_both_ways.py",
        "unit/test_breaker_core.py", "unit/test_budget.py", "unit/test_clock.py", "unit/test_docs_*",
        "unit/test_durations.py", "unit/test_http_docs.py", "unit/test_http_retry_after.py",
        "unit/test_import_cost.py", "unit/test_machine_cost.py", "unit/test_opentelemetry_metrics.py",
        "unit/test_permits.py",
        "unit/test_prometheus_push.py", "unit/test_public_api.py", "unit/test_pytest_plugin.py",
        "unit/test_recorder_text.py", "unit/test_simulate_dependency.py", "unit/test_simulate_loop.py",
        "unit/test_whatif_docs.py", "unit/test_whatif_files.py", "unit/test_whatif_logs.py",
        "unit/test_whatif_words.py", "unit/test_window.py",
    ),
}  # fmt: skip
"""Tests in which weaving changes nothing: of documents, tools, the core and what lies beneath a client, or in processes
of their own. They run one way only, shared out so that both take about as long."""

# The first text that is drawn in a fresh clone takes a second: a table of Unicode is made. And machines are busy.
settings.register_profile("resilix", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("resilix")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell leaves it to what it runs in the background; there are tests of what Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that set the switch themselves would do the same again where functions are not woven."""
    for item in items:
        for marker, files in ONCE.items():
            if any(item.path.match(one) for one in files):
                item.add_marker(marker)
    if WEAVE.on:
        return
    again = [item for item in items if item.get_closest_marker("sets_weaving")]
    config.hook.pytest_deselected(items=again)
    items[:] = [item for item in items if not item.get_closest_marker("sets_weaving")]


@pytest.fixture(autouse=True)
def as_users_have_it(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes begun by such a test weave, as they do by default."""
    if any(request.node.get_closest_marker(marker) for marker in ONCE):
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
