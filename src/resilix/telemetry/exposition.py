"""The metrics as text, for the apps that serve them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, Final

READINGS: Final = b"# TYPE resilix_circuit_breaker_state "
"""What the text of a registry has in it when our readings are among its metrics."""

Exposition = Callable[[], tuple[str, bytes]]
"""Makes the metrics: their content type and their text."""


def exposition(registry: Any = None) -> Exposition | None:
    """Make what serves metrics; ``None`` without prometheus-client.

    Args:
        registry: A registry of prometheus-client; ``None`` for the client's own and, unless it has them already, our
            readings; or, where ``PROMETHEUS_MULTIPROC_DIR`` is set, for what all workers have pushed.
    """
    try:
        client: Any = importlib.import_module("prometheus_client")
    except ImportError:
        return None
    if registry is not None:
        registries = [registry]
    elif os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registries = [client.CollectorRegistry()]
        importlib.import_module("prometheus_client.multiprocess").MultiProcessCollector(registries[0])
    else:
        registries = [client.REGISTRY, client.CollectorRegistry()]
        registries[1].register(importlib.import_module("resilix.telemetry.prom_collector").Collector())

    def expose() -> tuple[str, bytes]:
        texts = [bytes(client.generate_latest(one)) for one in registries]
        if READINGS in texts[0]:
            texts = texts[:1]  # somebody has installed them there
        return str(client.CONTENT_TYPE_LATEST), b"".join(texts)

    return expose
