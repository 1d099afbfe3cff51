"""What the ASGI and the WSGI app answer: one place, so that both say the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from resilix.core.options import refuse
from resilix.telemetry.health import health

OK: Final = 200
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """One answer.

    Attributes:
        status: The HTTP status.
        content_type: Of the body.
        body: All of it.
        extra: Further headers.
    """

    status: int
    content_type: str
    body: bytes
    extra: tuple[tuple[str, str], ...] = ()


class Pages:
    """Health and metrics by path.

    Args:
        owner: The public name, for messages.
        health_path: Where health is.
        metrics_path: Where metrics are; ``None`` for no metrics.
        degraded_status: The status of health while something is degraded; the body says so in any case.
        metrics: Makes the metrics: their content type and text.
    """

    def __init__(
        self,
        owner: str,
        *,
        health_path: str,
        metrics_path: str | None,
        degraded_status: int,
        metrics: Callable[[], tuple[str, bytes]] | None,
    ) -> None:
        for option, path in (("health", health_path), ("metrics", metrics_path)):
            if path is not None and not (isinstance(path, str) and path.startswith("/")):
                raise refuse(owner, option, path, "it is the path of a URL", f'write {option}="/{option}"')
        if isinstance(degraded_status, bool) or degraded_status not in range(200, 600):
            raise refuse(
                owner, "degraded_status", degraded_status, "it is an HTTP status", "write degraded_status=503, say"
            )
        self._health_path = health_path
        self._metrics_path = metrics_path
        self._degraded_status = degraded_status
        self._metrics = metrics

    def answer(self, method: str, path: str) -> Page:
        """Answer a request."""
        known = [one for one in (self._health_path, self._metrics_path) if one is not None]
        if path not in known:
            return Page(404, TEXT, f"nothing is here; there is {' and '.join(known)}\n".encode())
        if method not in ("GET", "HEAD"):
            return Page(405, TEXT, b"read it with GET\n", (("Allow", "GET, HEAD"),))
        if path == self._health_path:
            return self._of_health(health())
        if self._metrics is None:
            return Page(
                501, TEXT, b"metrics need prometheus-client: pip install 'resilix-toolkit[prometheus]'\n"
            )  # fmt: skip
        content_type, body = self._metrics()
        return Page(OK, content_type, body)

    def _of_health(self, described: dict[str, Any]) -> Page:
        status = OK if described["status"] == "ok" else self._degraded_status
        return Page(status, JSON, json.dumps(described).encode())
