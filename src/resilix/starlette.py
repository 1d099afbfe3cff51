"""``resilix.starlette``: what a web service answers when a policy of ours refused or timed out; for FastAPI too.

Example::

    from fastapi import FastAPI
    from resilix.starlette import add_exception_handlers

    app = FastAPI()
    add_exception_handlers(app)  # RejectedError: 503 with Retry-After; TimeoutExceededError: 504
"""

from __future__ import annotations

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
except ImportError as missing:  # pragma: no cover - tested in an interpreter of its own
    raise ImportError("resilix.starlette needs Starlette, which comes with FastAPI: pip install starlette") from missing

from resilix.errors import RejectedError, TimeoutExceededError
from resilix.http.refusals import retry_after

__all__ = ["add_exception_handlers", "rejected", "timed_out"]


def add_exception_handlers(app: Starlette) -> None:
    """Have an application answer 503 to what we refused and 504 to what took too long.

    Example::

        add_exception_handlers(app)

    Args:
        app: An application of Starlette or FastAPI.
    """
    app.add_exception_handler(RejectedError, rejected)
    app.add_exception_handler(TimeoutExceededError, timed_out)


async def rejected(request: Request, error: Exception) -> Response:
    """503 Service Unavailable with Retry-After (RFC 9110, sections 15.6.4 and 10.2.3); names nothing of the inside.

    Example::

        app.add_exception_handler(RejectedError, rejected)
    """
    wait = retry_after(error) if isinstance(error, RejectedError) else 1
    return JSONResponse(
        {"detail": "a service this one depends on is unavailable"}, 503, headers={"Retry-After": str(wait)}
    )


async def timed_out(request: Request, error: Exception) -> Response:
    """504 Gateway Timeout (RFC 9110, section 15.6.5).

    Example::

        app.add_exception_handler(TimeoutExceededError, timed_out)
    """
    return JSONResponse({"detail": "a service this one depends on took too long"}, 504)
