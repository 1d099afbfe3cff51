"""The dashboard and the rules that come with the package, and the commands that print them."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

from resilix.telemetry.data import dashboard, rules
from resilix.telemetry.readings import readings

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"resilix_[a-z_]+")


def test_the_checked_in_dashboard_is_what_the_generator_makes() -> None:
    """With Grafana's own library; byte for byte."""
    made = runpy.run_path(str(ROOT / "docs" / "dashboard" / "make.py"))["build"]()
    assert made == dashboard(), "python docs/dashboard/make.py > src/resilix/telemetry/data/dashboard.json"


def test_every_panel_has_a_title_a_source_and_queries() -> None:
    """Nothing is left for the operator to fill in; the data source is a variable."""
    board = json.loads(dashboard())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) >= 18
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "policy"]


def test_dashboard_and_rules_name_only_metrics_that_exist() -> None:
    """A metric that is renamed is renamed there too; those of the opt-in histograms aside."""
    known = {family.name for family in readings()}
    histograms = {f"resilix_{name}_duration_seconds_bucket" for name in ("call", "attempt")}
    for text in (dashboard(), rules()):
        assert set(METRIC.findall(text)) - histograms - known == set()
    shown = set(METRIC.findall(dashboard()))
    hidden = {"resilix_circuit_breaker_mode", "resilix_circuit_breaker_slow_ratio", "resilix_retry_budget_denied_total"}
    assert known - shown == hidden, "every other metric has a panel"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    command = [sys.executable, "-W", "error", "-m", "resilix", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_commands_print_the_files(tmp_path: Path) -> None:
    """To the screen for a redirection, or into a file."""
    assert run("dashboard").stdout == dashboard()
    assert run("rules").stdout == rules()
    done = run("rules", "-o", str(tmp_path / "rules.yml"))
    assert done.returncode == 0
    assert (tmp_path / "rules.yml").read_text(encoding="utf-8") == rules()
    done = run("dashboard", "-o", str(tmp_path / "nowhere" / "x.json"))
    assert done.returncode == 1
    assert done.stderr.startswith("resilix dashboard: error: ")
