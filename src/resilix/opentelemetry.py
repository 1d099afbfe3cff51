"""Metrics, span events and resend counts for OpenTelemetry, through its API.

Example::

    import resilix.opentelemetry

    resilix.opentelemetry.install()  # once, where the program starts; every policy shows up by itself
    resilix.opentelemetry.trace_events()  # costs something per call; only what is traced is told

The policies keep the counts anyway and are read when a reader collects, so a call costs the same with and without
:func:`install`.
"""

from __future__ import annotations

try:
    from resilix.telemetry.otel_metrics import install
    from resilix.telemetry.otel_trace import async_request_hook, request_hook, trace_events
except ImportError as missing:  # pragma: no cover - tested in an interpreter of its own
    raise ImportError("resilix.opentelemetry needs opentelemetry-api: pip install 'resilix-toolkit[otel]'") from missing

__all__ = ["async_request_hook", "install", "request_hook", "trace_events"]
