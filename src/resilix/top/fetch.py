"""Read the health or the metrics endpoint of one running service."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections import defaultdict
from typing import Any, Final

Described = dict[str, Any]
"""What ``resilix.health()`` gives, or as much of it as metrics tell."""

LARGEST: Final = 8 << 20
"""Bytes of an answer that are read at most."""
LINE: Final = re.compile(r"(?P<name>resilix_[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+)(?: [0-9]+)?")
LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
ESCAPES: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
OWNERS: Final = ("breaker", "bulkhead", "budget", "policy")
"""The labels that name a policy."""
COUNTS: Final = ("success", "failure", "ignored", "late")


class NotThereError(Exception):
    """An endpoint gave nothing to show; the text says why in one line."""


def fetch(url: str, timeout: float) -> Described:
    """Ask one endpoint.

    Args:
        url: Of health (JSON) or of metrics (Prometheus text); which one is seen from the answer.
        timeout: Seconds for each step.

    Raises:
        NotThereError: There is no answer, or none that can be read.
    """
    try:
        request = urllib.request.Request(url, headers={"Accept": "application/json, text/plain;q=0.5"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read(LARGEST).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        text = error.read(LARGEST).decode("utf-8", "replace") if error.code == 503 else ""
        error.close()
        if not text.startswith("{"):
            raise NotThereError(f"status {error.code}") from None
    except (OSError, ValueError) as error:
        raise NotThereError(_why(error)) from None
    return read(text)


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    return str(reason) or type(reason).__name__


def read(text: str) -> Described:
    """Read the text of an endpoint.

    Raises:
        NotThereError: It is neither health nor metrics of ours.
    """
    if text.lstrip().startswith("{"):
        try:
            described = json.loads(text)
        except ValueError:
            raise NotThereError("broken JSON") from None
        if not isinstance(described.get("breakers"), list):
            raise NotThereError("JSON, but not of resilix.health()")
        return dict(described)
    if "resilix_" not in text:
        raise NotThereError("neither health nor metrics of resilix")
    return _of_metrics(text)


def _of_metrics(text: str) -> Described:
    values: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        if found is not None:
            labels = {name: _plain(value) for name, value in LABEL.findall(found["labels"] or "")}
            name = next((labels[one] for one in OWNERS if one in labels), "")
            rest = [value for label, value in sorted(labels.items()) if label not in (*OWNERS, "pid")]
            values[found["name"]][(name, *rest)] = float(found["value"])
    rejected = values["resilix_rejections_total"]
    return {
        "breakers": [_breaker(name, values, rejected) for name in _names(values["resilix_circuit_breaker_state"])],
        "bulkheads": [
            {
                "name": name,
                "in_use": values["resilix_bulkhead_in_use"].get((name,), 0.0),
                "limit": values["resilix_bulkhead_limit"].get((name,), 0.0),
                "waiting": values["resilix_bulkhead_queued"].get((name,), 0.0),
                "rejected": rejected.get((name, "bulkhead_full"), 0.0),
            }
            for name in _names(values["resilix_bulkhead_limit"])
        ],
        "budgets": [
            {
                "name": name,
                "remaining_ratio": left,
                "denied": values["resilix_retry_budget_denied_total"].get((name,), 0.0),
            }
            for (name,), left in values["resilix_retry_budget_remaining_ratio"].items()
        ],
        "http": [
            {"name": name, "calls": calls, "attempts": values["resilix_http_attempts_total"].get((name,), 0.0)}
            for (name,), calls in values["resilix_http_calls_total"].items()
        ],
    }


def _breaker(
    name: str, values: dict[str, dict[tuple[str, ...], float]], rejected: dict[tuple[str, ...], float]
) -> Described:
    states = values["resilix_circuit_breaker_state"]
    calls = values["resilix_calls_total"]
    return {
        "name": name,
        "states": {state: int(count) for (known, state), count in states.items() if known == name and count},
        "failure_rate": values["resilix_circuit_breaker_failure_ratio"].get((name,)),
        "rejected": rejected.get((name, "circuit_open"), 0.0),
        "totals": {outcome: calls.get((name, outcome), 0.0) for outcome in COUNTS},
    }


def _names(samples: dict[tuple[str, ...], float]) -> list[str]:
    return list(dict.fromkeys(labels[0] for labels in samples))


def _plain(value: str) -> str:
    return re.sub(r"\\.", lambda found: ESCAPES.get(found[0], found[0]), value)
