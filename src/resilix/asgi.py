"""``resilix.asgi``: an app that serves health and metrics, to mount or to run beside your own.

Example::

    from resilix.asgi import app

    service.mount("/resilix", app())  # /resilix/health and /resilix/metrics
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from resilix.telemetry.exposition import exposition
from resilix.telemetry.pages import OK, Pages

__all__ = ["app"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


def app(
    *, health: str = "/health", metrics: str | None = "/metrics", degraded_status: int = OK, registry: Any = None
) -> App:
    """Make an ASGI app that answers GET for health (JSON) and metrics (Prometheus text).

    Example::

        uvicorn.run(app(), port=9100)

    Args:
        health: The path of ``resilix.health()``.
        metrics: The path of the metrics; ``None`` for none. They need prometheus-client.
        degraded_status: The status of health while something is degraded, 200 by default; the body says it either way.
            Never let an orchestrator restart a service because of it.
        registry: A registry of prometheus-client to show; ``None`` for ours alone, or, under
            ``PROMETHEUS_MULTIPROC_DIR``, for that of all workers.

    Raises:
        ConfigurationError: A path does not begin with a slash, or the status is none.
    """
    pages = Pages(
        "asgi.app", health_path=health, metrics_path=metrics, degraded_status=degraded_status,
        metrics=None if metrics is None else exposition(registry),
    )  # fmt: skip

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            root, path = str(scope.get("root_path", "")), str(scope["path"])
            page = pages.answer(str(scope["method"]), path.removeprefix(root) if root else path)
            headers = [("content-type", page.content_type), ("content-length", str(len(page.body))), *page.extra]
            raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            await send({"type": "http.response.start", "status": page.status, "headers": raw})
            body = b"" if scope["method"] == "HEAD" else page.body
            await send({"type": "http.response.body", "body": body})
        else:
            raise RuntimeError(f"resilix.asgi.app serves HTTP, not {scope['type']}")

    return serve


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
