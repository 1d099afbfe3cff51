"""``docs/observability.md`` names what there is: every metric with its labels, every alert."""

from __future__ import annotations

import re
from pathlib import Path

from resilix.telemetry.data import rules
from resilix.telemetry.readings import readings

TEXT = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


def rows(first: str) -> dict[str, list[str]]:
    """The rows of a table whose first cells begin so, by that cell."""
    found: dict[str, list[str]] = {}
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].startswith(f"`{first}") and len(cells) > 2:
            found.setdefault(cells[0].strip("`"), cells[1:])
    return found


def test_every_metric_is_in_the_table_with_its_kind_and_labels() -> None:
    """And none that is not there."""
    written = {
        name: (cells[0], tuple(re.findall(r"`(\w+)`", cells[1])))
        for name, cells in rows("resilix_").items()
        if cells[0] in ("counter", "gauge")
    }
    assert written == {family.name: (family.kind, family.labels) for family in readings()}


def test_every_alert_is_in_the_table() -> None:
    """With what it means and what to look at."""
    assert sorted(rows("Resilix")) == sorted(re.findall(r"- alert: (\w+)", rules()))
