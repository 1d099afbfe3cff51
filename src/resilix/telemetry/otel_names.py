"""The names of OpenTelemetry's instruments: the words of the readings, in its style, decided by one rule.

Dots instead of the first underscore and of the one after a namespace; no ``_total`` and no unit in the name, because
they are fields of their own. A count has a unit in braces, which is how UCUM says what is counted; "1" is for ratios
alone. So an exporter that turns them into Prometheus names gets the very names of ``resilix.prometheus`` back, and
dashboard and alert rules hold for both.

Source of the style: OpenTelemetry's semantic conventions ("General metric semantic conventions", naming and units) and
its specification "Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

from typing import Final

from resilix.telemetry.readings import Family

NAMESPACES: Final = ("circuit_breaker", "bulkhead", "retry_budget", "http", "faults")
"""What has names of its own below ``resilix``. A metric is never named like a namespace."""

COUNTED: Final = {
    "resilix.calls": "{call}",
    "resilix.circuit_breaker.state": "{breaker}",
    "resilix.circuit_breaker.mode": "{breaker}",
    "resilix.circuit_breaker.transitions": "{transition}",
    "resilix.bulkhead.in_use": "{place}",
    "resilix.bulkhead.limit": "{place}",
    "resilix.bulkhead.queued": "{caller}",
    "resilix.retry_budget.denied": "{retry}",
    "resilix.retries": "{retry}",
    "resilix.retries_exhausted": "{call}",
    "resilix.rejections": "{call}",
    "resilix.timeouts": "{call}",
    "resilix.fallbacks": "{call}",
    "resilix.http.calls": "{request}",
    "resilix.http.attempts": "{request}",
    "resilix.faults.enabled": "{process}",
    "resilix.faults.injected": "{call}",
    "resilix.hook_errors": "{error}",
}
"""What each instrument counts. A test holds it against the readings there are."""

SECONDS: Final = "_seconds"
RATIO: Final = "_ratio"


def name_of(family: Family) -> str:
    """The instrument's name: "resilix.circuit_breaker.state" for "resilix_circuit_breaker_state"."""
    words = family.name.removeprefix("resilix_").removesuffix("_total").removesuffix(SECONDS)
    for namespace in NAMESPACES:
        if words.startswith(f"{namespace}_"):
            return f"resilix.{namespace}.{words.removeprefix(f'{namespace}_')}"
    return f"resilix.{words}"


def unit_of(family: Family) -> str:
    """The instrument's unit, in UCUM's words."""
    words = family.name.removesuffix("_total")
    if words.endswith(SECONDS):
        return "s"
    return "1" if words.endswith(RATIO) else COUNTED.get(name_of(family), "{event}")
