"""What the request of an attempt carries besides the message: the caller's extensions, and timeouts that end in time.

While an attempt is under way, the caller's own request has the attempt's extensions. So whoever finds a request may
find it with those of somebody else, and has to know whose: see :func:`callers`.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import Any, Final

from resilix.http.until import Until

ORIGINAL: Final = "resilix.original"
"""The extension that keeps the caller's extensions while an attempt is under way."""
ATTEMPT: Final = "resilix.attempt"
"""The extension with the number of the attempt, from 1."""
ATTEMPTS: Final = "resilix.attempts"
"""The extension of a response that says how many attempts it took."""
INFINITE: Final = math.inf

AROUND: ContextVar[dict[str, Any] | None] = ContextVar("resilix_attempt", default=None)
"""The extensions of the attempt that the running code is part of, where more of ours may be inside it."""


def callers(request: Any) -> dict[str, Any]:
    """The extensions a call starts from: as its caller gave them.

    Those of an attempt of ours around this one hold, for they are shorter; those of a call that sends the same request
    at the same time do not.
    """
    extensions: dict[str, Any] = request.extensions
    if ORIGINAL not in extensions:
        return extensions
    around = AROUND.get()
    if around is None or _first(around) is not _first(extensions):
        return _first(extensions)
    if extensions.get("timeout") is around.get("timeout"):
        return extensions
    return {**extensions, "timeout": around["timeout"]}


def earliest(extensions: dict[str, Any]) -> float:
    """When the attempt of ours that they are from must be over."""
    timeouts = extensions.get("timeout") or {}
    return min((one.moment for one in timeouts.values() if type(one) is Until), default=INFINITE)


def _first(extensions: dict[str, Any]) -> dict[str, Any]:
    """The extensions that were there before any of ours."""
    while (before := extensions.get(ORIGINAL)) is not None:
        extensions = before
    return extensions


def bounded(timeouts: Any, left: float, moment: float, *, obeys: bool) -> dict[str, Any]:
    """The phase timeouts of an attempt: the caller's own where they are shorter, all of them aware of the moment.

    The pause between two chunks of a body is not bounded by the attempt, which ends with the head.

    Args:
        timeouts: The caller's, if any.
        left: Seconds the attempt has.
        moment: When they are over.
        obeys: Whether the transport holds an ``Until`` to its moment.
    """
    own = timeouts.get("connect") if timeouts else None
    if own is not None and own <= left and own == timeouts.get("read") == timeouts.get("write") == timeouts.get("pool"):
        same = Until(own, moment)
        return {"connect": same, "read": same, "write": same, "pool": same}
    if not timeouts:
        phase = None if left == INFINITE else Until(left, moment)
        pause = Until(INFINITE, moment) if obeys or phase is None else phase
        return {"connect": phase, "read": pause, "write": phase, "pool": phase}
    made: dict[float, Until | None] = {INFINITE: None}
    found: dict[str, Any] = {}
    for phase_name, seconds in timeouts.items():
        if seconds is None:
            seconds = INFINITE
        if left < seconds and (phase_name != "read" or not obeys):
            seconds = left
        if seconds in made:
            found[phase_name] = made[seconds]
        else:
            found[phase_name] = made[seconds] = Until(seconds, moment)
    if found.get("read") is None:
        found["read"] = Until(INFINITE, moment)
    return found


def move(timeouts: dict[str, Any] | None, moment: float) -> None:
    """Have everything that an attempt still does be over at another moment."""
    if timeouts is not None:
        for until in timeouts.values():
            if until is not None:
                until.moment = moment
