"""What events say to machines: which facts, under which names, with the unit in the name. Logs and spans share it.

Only what is listed here leaves the process. Never an exception's text, a URL or an argument, because those may be
secret: an error is named by its type, a server by its host.
"""

from __future__ import annotations

import dataclasses
from typing import Final, TypeAlias

from resilix import events
from resilix.events import Event

Fact: TypeAlias = str | int | float | bool

NAMES: Final = {
    "kind": "kind",
    "attempt": "attempt",
    "attempts": "attempts",
    "wait": "wait_s",
    "retry_after": "retry_after_s",
    "seconds": "limit_s",
    "lease": "lease_s",
    "abandoned": "abandoned",
    "from_state": "from_state",
    "to_state": "to_state",
    "mode": "mode",
    "reason": "reason",
    "opening": "opening",
    "hook": "hook",
    "on": "on",
    "fault": "fault",
    "delay": "delay_s",
    "error_type": "error_type",
}
"""The name of a fact, by the field of the event that holds it. A test holds it against the fields there are."""

HTTP: Final = (
    "http.request.method",
    "http.request.resend_count",
    "http.response.status_code",
    "server.address",
    "server.port",
)
"""What is told of an HTTP request, under the names of OpenTelemetry's conventions."""

KINDS: Final = frozenset(
    value
    for value in vars(events).values()
    if isinstance(value, type) and issubclass(value, Event) and value not in (Event, events.ErrorEvent)
)
"""The kinds of events there are."""

_FIELDS: Final = {
    kind: tuple((field.name, NAMES[field.name]) for field in dataclasses.fields(kind) if field.name in NAMES)
    for kind in KINDS
}


def kind_of(event: Event) -> type[Event] | None:
    """The kind an event is of, a subclass of somebody else's included; ``None`` for one that nobody knows."""
    return next((kind for kind in type(event).__mro__ if kind in KINDS), None)


def word_of(event: Event) -> str:
    """The name of what happened: "retry_scheduled" for a ``RetryScheduled``."""
    name = type(event).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def facts_of(event: Event) -> dict[str, Fact]:
    """The facts of an event, without what is not known; of an event that nobody knows, only who says it."""
    facts: dict[str, Fact] = {"policy": event.policy, "name": event.name}
    kind = kind_of(event)
    if kind is not None:
        for field, fact in _FIELDS[kind]:
            value = getattr(event, field)
            if value is not None:
                facts[fact] = value
    return facts


def http_facts_of(event: Event) -> dict[str, Fact]:
    """What is told of the HTTP request that an event is about; nothing for any other."""
    if not isinstance(event, events.ErrorEvent) or not event.attributes:
        return {}
    told = ((name, event.attributes.get(name)) for name in HTTP)
    return {name: value for name, value in told if isinstance(value, (str, int))}
