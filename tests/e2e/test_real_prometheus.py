"""A real Prometheus scrapes a running service: the dashboard has data, the rules work, the counts are the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.prometheus_server import Prometheus, prometheus, tool

from resilix.telemetry.data import dashboard, rules

ROOT = Path(__file__).parents[2]
RULES = ROOT / "src" / "resilix" / "telemetry" / "data" / "rules.yml"
RULE_TESTS = ROOT / "tests" / "support" / "rules_test.yml"


class Service:
    """The service in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.observed_service"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.target = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def get(self, path: str) -> str:
        """Read a page of it."""
        with urllib.request.urlopen(f"http://{self.target}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service at work."""
    running = Service()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped it for a few seconds, through outages of its dependency."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), [service.target], rules()) as running:
        running.wait_for('resilix_circuit_breaker_transitions_total{to_state="closed"} > 0', seconds=25)
        running.wait_for("resilix:failure_share:rate5m")
        running.wait_for("resilix:retries_per_call:rate5m")
        yield running


def expressions() -> list[tuple[str, str]]:
    """Every expression of the dashboard with its panel, as Grafana would send it for everything."""
    found: list[tuple[str, str]] = []
    for panel in json.loads(dashboard())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "10s")
            found.append((panel["title"], re.sub(r"\$(job|instance|policy)\b", ".*", expression)))
    return found


def test_the_target_is_up(server: Prometheus) -> None:
    """It answers scrapes."""
    assert server.value("up") == 1


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_expression_of_the_dashboard_has_data(server: Prometheus, title: str, expression: str) -> None:
    """No panel stays empty for a service that uses everything."""
    assert "$" not in expression
    assert server.query(expression), title


def test_our_rules_are_loaded_and_healthy(server: Prometheus) -> None:
    """Recorded, evaluated, and without an error."""
    groups = server.get("rules")["groups"]
    loaded = [rule for group in groups for rule in group["rules"]]
    assert len(loaded) == rules().count("- record:") + rules().count("- alert:") == 13
    assert {rule["health"] for rule in loaded} == {"ok"}


def test_an_alert_fires_on_the_real_server(server: Prometheus) -> None:
    """The service has a listener that raises: the alert about that has no delay."""
    assert server.wait_for('ALERTS{alertname="ResilixHookErrors", alertstate="firing"}')


def test_the_counts_are_the_truth(service: Service, server: Prometheus) -> None:
    """What Prometheus has after the last scrape is what the dependency and the code saw, exactly."""
    truth: dict[str, Any] = json.loads(service.get("/stop"))
    end = time.monotonic() + 10
    while time.monotonic() < end:
        seen = {
            "price requests": server.value('resilix_http_attempts_total{policy="prices"}'),
            "stock": server.value('sum(resilix_calls_total{policy="stock", outcome=~"success|failure|late"})'),
            "too late": server.value('resilix_rejections_total{policy="stock", kind="deadline_expired"}'),
            "timeouts": server.value("sum(resilix_timeouts_total)"),
        }
        if all(truth[name] == count for name, count in seen.items()):
            break
        time.sleep(0.2)
    assert seen == {name: truth[name] for name in seen}
    assert truth["price attempts"] == truth["price requests"]


def test_nothing_of_it_is_a_secret_or_unbounded(service: Service) -> None:
    """Labels hold names from code, never a URL's path or query, never an error's text."""
    text = service.get("/metrics")
    assert "/price" not in text
    assert "Error" not in text.replace("Errors raised by user code", "")


# -- promtool ----------------------------------------------------------------------------------------------------


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run([tool("promtool"), *arguments], input=text, capture_output=True, text=True, check=False)


def test_promtool_likes_the_metrics(service: Service) -> None:
    """Names, units and types."""
    done = promtool("check", "metrics", text=service.get("/metrics"))
    complaints = [line for line in done.stderr.splitlines() if "resilix" in line]
    assert complaints == []


def test_promtool_likes_the_rules() -> None:
    """Syntax and names."""
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stderr
    assert "13 rules found" in done.stdout


def test_every_alert_fires_when_it_should_and_not_otherwise() -> None:
    """Each has a test that fires it and one that does not."""
    done = promtool("test", "rules", str(RULE_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = re.findall(r"- alert: (\w+)", rules())
    assert len(alerts) == 9
    tested = RULE_TESTS.read_text(encoding="utf-8")
    assert [alert for alert in alerts if alert not in tested] == []


@pytest.mark.parametrize(
    ("old", "new"), [("> 0.5", "> 0.9"), ("> 0.9", "> 0.2"), ("< 0.05", "< 0.6"), ("> 5\n", "> 50\n")]
)
def test_the_tests_of_the_rules_can_fail(tmp_path: Path, old: str, new: str) -> None:
    """A threshold that is wrong is noticed."""
    assert old in rules()
    (tmp_path / "rules.yml").write_text(rules().replace(old, new), encoding="utf-8")
    moved = RULE_TESTS.read_text(encoding="utf-8").replace("../../src/resilix/telemetry/data/rules.yml", "rules.yml")
    (tmp_path / "test.yml").write_text(moved, encoding="utf-8")
    assert promtool("test", "rules", str(tmp_path / "test.yml")).returncode != 0
