"""resilix keeps a Python service standing while something it depends on is failing.

Nouns are named, kept and shared, one per dependency: ``CircuitBreaker``, ``Bulkhead``, ``RetryBudget``. Verbs are
written where they are needed: ``retry``, ``timeout``, ``fallback``, ``pipeline``, ``deadline``. All of them work on
``def`` and ``async def``, across threads and event loops, on asyncio and trio.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from resilix.core.era import CircuitState
from resilix.core.settings import calls
from resilix.core.verdict import Verdict
from resilix.errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExpiredError,
    RejectedError,
    ResilixError,
    ResilixWarning,
    TimeoutExceededError,
)
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.permit import Permit
from resilix.policies.time_left import deadline

if TYPE_CHECKING:
    from resilix.core.snapshot import BreakerSnapshot
    from resilix.policies.budget import RetryBudget
    from resilix.policies.bulkhead import Bulkhead
    from resilix.policies.fallback import fallback
    from resilix.policies.pipeline import pipeline
    from resilix.policies.retry import retry
    from resilix.policies.timeout import timeout
    from resilix.telemetry.health import health

__version__ = "0.1.0"

__all__ = [
    "BreakerSnapshot",
    "Bulkhead",
    "BulkheadFullError",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "ConfigurationError",
    "DeadlineExpiredError",
    "Permit",
    "Policy",
    "RejectedError",
    "ResilixError",
    "ResilixWarning",
    "RetryBudget",
    "TimeoutExceededError",
    "Verdict",
    "calls",
    "deadline",
    "fallback",
    "health",
    "pipeline",
    "retry",
    "timeout",
]


_LATE: Final = {
    "BreakerSnapshot": "resilix.core.snapshot",
    "Bulkhead": "resilix.policies.bulkhead",
    "RetryBudget": "resilix.policies.budget",
    "fallback": "resilix.policies.fallback",
    "health": "resilix.telemetry.health",
    "pipeline": "resilix.policies.pipeline",
    "retry": "resilix.policies.retry",
    "timeout": "resilix.policies.timeout",
}
"""Names that are loaded when they are asked for, so that programs which do without them do not pay for them."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LATE[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
