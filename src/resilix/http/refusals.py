"""What a caller sees of a refusal by one of our policies."""

from __future__ import annotations

import json
import math
from typing import Any

from resilix.errors import CircuitOpenError, RejectedError
from resilix.http.library import Library

STATUS = 503
"""Service Unavailable, RFC 9110 section 15.6.4; it may carry Retry-After."""
LEAST_WAIT = 1
"""Seconds in Retry-After when the refusing policy does not know better."""


def retry_after(error: RejectedError) -> int:
    """Whole seconds until it makes sense to come back, at least 1."""
    known = error.retry_after if isinstance(error, CircuitOpenError) else None
    return max(LEAST_WAIT, math.ceil(known)) if known is not None else LEAST_WAIT


def response_for(error: RejectedError, request: Any, library: Library) -> Any:
    """The refusal as a response: for SDKs, which retry an exception but obey ``x-should-retry: false``."""
    text = {"error": {"type": type(error).__name__, "message": str(error)}}
    return library.module.Response(
        STATUS,
        headers={
            "Content-Type": "application/json",
            "Retry-After": str(retry_after(error)),
            "x-should-retry": "false",
        },
        content=json.dumps(text).encode(),
        extensions={"resilix.rejected": error},
        request=request,
    )
