"""``resilix.wsgi``: an app that serves health and metrics, to mount or to run beside your own.

Example::

    from wsgiref.simple_server import make_server
    from resilix.wsgi import app

    make_server("127.0.0.1", 9100, app()).serve_forever()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeAlias

from resilix.telemetry.exposition import exposition
from resilix.telemetry.pages import OK, Pages

__all__ = ["app"]

App: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def app(
    *, health: str = "/health", metrics: str | None = "/metrics", degraded_status: int = OK, registry: Any = None
) -> App:
    """Make a WSGI app that answers GET for health (JSON) and metrics (Prometheus text).

    Example::

        application = DispatcherMiddleware(flask_app, {"/resilix": app()})

    Args:
        health: As for :func:`resilix.asgi.app`; so are the others.
        metrics: The path of the metrics; ``None`` for none.
        degraded_status: The status of health while something is degraded.
        registry: A registry of prometheus-client to show.

    Raises:
        ConfigurationError: A path does not begin with a slash, or the status is none.
    """
    pages = Pages(
        "wsgi.app", health_path=health, metrics_path=metrics, degraded_status=degraded_status,
        metrics=None if metrics is None else exposition(registry),
    )  # fmt: skip

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = str(environ["REQUEST_METHOD"])
        page = pages.answer(method, str(environ.get("PATH_INFO", "")))
        headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body))), *page.extra]
        start_response(f"{page.status} {HTTPStatus(page.status).phrase}", headers)
        return [] if method == "HEAD" else [page.body]

    return serve
