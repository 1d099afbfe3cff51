"""The apps that serve health and metrics: the same answers through both, without a framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.breaker import a_breaker, fail

from resilix import ConfigurationError, asgi, wsgi

Ask = Callable[[str, str], tuple[int, dict[str, str], bytes]]


def through_wsgi(**options: Any) -> Ask:
    """Ask the WSGI app, with the standard library's validator in between."""
    app = validator(wsgi.app(**options))

    def ask(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
        setup_testing_defaults(environ)
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            told[:] = [int(status[:3]), {name.lower(): value for name, value in headers}]
            return lambda data: None

        body = app(environ, start)
        try:
            return told[0], told[1], b"".join(body)
        finally:
            body.close()  # type: ignore[attr-defined]

    return ask


def through_asgi(**options: Any) -> Ask:
    """Ask the ASGI app."""
    app = asgi.app(**options)

    async def asked(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            reply = await client.request(method, path)
            return reply.status_code, dict(reply.headers), reply.content

    return lambda method, path: asyncio.run(asked(method, path))


both = pytest.mark.parametrize("through", [through_wsgi, through_asgi])


@both
def test_health_is_json(through: Callable[..., Ask]) -> None:
    """200 whatever is degraded, with the status inside; another status on request."""
    breaker = a_breaker(consecutive=1)
    fail(breaker)
    status, headers, body = through()("GET", "/health")
    assert (status, headers["content-type"]) == (200, "application/json")
    told = json.loads(body)
    assert told["status"] == "degraded"
    assert breaker.name in [one["name"] for one in told["breakers"]]
    assert through(degraded_status=503)("GET", "/health")[0] == 503


@both
def test_metrics_are_prometheus_text(through: Callable[..., Ask]) -> None:
    """Read at the time of the request."""
    ask = through()
    breaker = a_breaker(consecutive=1)
    status, headers, body = ask("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")

    def state(text: bytes) -> str:
        families = {one.name: one for one in text_string_to_metric_families(text.decode())}
        return next(
            sample.labels["state"]
            for sample in families["resilix_circuit_breaker_state"].samples
            if sample.labels["breaker"] == breaker.name and sample.value
        )

    assert state(body) == "closed"
    fail(breaker)
    assert state(ask("GET", "/metrics")[2]) == "open"


@both
def test_head_other_methods_and_other_paths(through: Callable[..., Ask]) -> None:
    """HEAD has the length and no body; POST is refused; elsewhere it says what there is."""
    ask = through(health="/ready", metrics=None)
    status, headers, body = ask("HEAD", "/ready")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    status, headers, _ = ask("POST", "/ready")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    status, _, body = ask("GET", "/metrics")
    assert (status, body) == (404, b"nothing is here; there is /ready\n")


def test_an_asgi_app_can_be_mounted_and_lives_with_its_server() -> None:
    """Under a prefix in Starlette; start-up and shutdown are answered."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/resilix", app=asgi.app())])  # type: ignore[arg-type]

    async def ask() -> int:
        transport = httpx2.ASGITransport(app=outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get("/resilix/health")).status_code

    assert asyncio.run(ask()) == 200

    async def live() -> list[str]:
        messages = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))
        sent: list[str] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await asgi.app()({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(live()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_nonsense_is_refused_where_it_is_written() -> None:
    """A path without its slash, a status that is none."""
    for make in (asgi.app, wsgi.app):
        for options in ({"health": "health"}, {"metrics": "metrics"}, {"degraded_status": 42}):
            with pytest.raises(ConfigurationError, match=next(iter(options))):
                make(**options)  # type: ignore[arg-type]
