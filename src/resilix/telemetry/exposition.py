"""The metrics as text, for the apps that serve them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

Exposition = Callable[[], tuple[str, bytes]]
"""Makes the metrics: their content type and their text."""


def exposition(registry: Any = None) -> Exposition | None:
    """Make what serves metrics; ``None`` without prometheus-client.

    Args:
        registry: A registry of prometheus-client; ``None`` for one with our collector alone, or, where
            ``PROMETHEUS_MULTIPROC_DIR`` is set, for what all workers have pushed.
    """
    try:
        client: Any = importlib.import_module("prometheus_client")
    except ImportError:
        return None
    if registry is None:
        registry = client.CollectorRegistry()
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            importlib.import_module("prometheus_client.multiprocess").MultiProcessCollector(registry)
        else:
            collector: Any = importlib.import_module("resilix.telemetry.prom_collector")
            registry.register(collector.Collector())

    def expose() -> tuple[str, bytes]:
        return str(client.CONTENT_TYPE_LATEST), bytes(client.generate_latest(registry))

    return expose
