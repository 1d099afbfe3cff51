"""Draw the dashboard's panels from real data: ``python docs/dashboard/picture.py docs/observability.png``.

The service of the tests runs for half a minute while its dependencies fail again and again; a real Prometheus scrapes
it, and each panel is drawn from the series that its own expressions give. Run it from the root of the repository.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import matplotlib as mpl
import matplotlib.pyplot as plt
from tests.e2e.test_real_prometheus import Service
from tests.support.prometheus_server import Prometheus, prometheus

from resilix.telemetry.data import dashboard, rules

SECONDS = 30
COLUMNS = 3


def series(server: Prometheus, expression: str, start: float, end: float) -> list[Any]:
    """What an expression gave over time."""
    shown = re.sub(r"\$(job|instance|policy)\b", ".*", expression.replace("$__rate_interval", "3s"))
    found: list[Any] = server.get("query_range", query=shown, start=f"{start}", end=f"{end}", step="0.5")["result"]
    return found


def label(legend: str, labels: dict[str, str]) -> str:
    """A line's name, as Grafana fills it in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()


def draw(server: Prometheus, start: float, end: float, path: Path) -> None:
    """Draw every panel."""
    mpl.use("Agg")
    panels = [panel for panel in json.loads(dashboard())["panels"] if panel["type"] != "row"]
    lines = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=(18, 3.0 * lines), constrained_layout=True)
    for panel, axis in zip(panels, axes.flat, strict=False):
        for target in panel["targets"]:
            for one in series(server, target["expr"], start, end):
                times = [float(moment) - start for moment, _ in one["values"]]
                values = [float(value) for _, value in one["values"]]
                axis.plot(times, values, label=label(target["legendFormat"], one["metric"])[:40])
        if panel["type"] == "state-timeline":
            axis.set_yticks([0, 1, 2], ["closed", "half-open", "open"])
        if panel["fieldConfig"]["defaults"].get("unit") == "percentunit":
            axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        axis.set_title(panel["title"], fontsize=11, loc="left")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        handles, _ = axis.get_legend_handles_labels()
        if handles:
            axis.legend(fontsize=7, loc="upper right", ncols=2 if len(handles) > 4 else 1)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle("The resilix dashboard, drawn from a real Prometheus: seconds of a service in trouble", fontsize=13)
    figure.savefig(path, dpi=60)


def main() -> None:
    """Run the service and Prometheus, wait, draw."""
    path = Path(sys.argv[1])
    service = Service()
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            prometheus(Path(directory), [service.target], rules()) as server,
        ):
            start = time.time() + 3
            for second in range(SECONDS):
                sys.stderr.write(f"\r{SECONDS - second} s … ")
                time.sleep(1)
            draw(server, start, time.time() - 0.5, path)
            sys.stderr.write(f"\r{path}\n")
    finally:
        service.stop()


if __name__ == "__main__":
    main()
