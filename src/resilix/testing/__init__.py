"""Tools for testing code that is guarded by policies: time that costs nothing, faults, and a server that misbehaves.

Example::

    from resilix.testing import FaultServer, faults, steps, virtual_time

    def test_gives_up_after_three_attempts():
        with virtual_time() as time:
            with pytest.raises(ConnectionError):
                price("ACME")          # retry(on=ConnectionError, attempts=3, wait=1.0)
            assert time.sleeps == [1.0, 1.0]
            assert time.now() == 2.0

    def test_survives_a_lost_connection():
        with faults.enabled(), faults.inject("quotes", faults.sequence(ConnectionError, faults.ok)):
            assert price("ACME") == 4217

    def test_survives_a_503():
        with FaultServer() as server:
            server.script("/ACME", 503, steps.reply(200, b"4217"))
            assert Quotes(server.url).price("ACME") == 4217
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resilix.testing.stuck import DeadlockError
from resilix.testing.virtual import VirtualTime, virtual_time
from resilix.testing.waits import Wait

if TYPE_CHECKING:
    from resilix.testing import faults, steps
    from resilix.testing.event_kinds import event
    from resilix.testing.event_lines import Recorded
    from resilix.testing.exploring import Explored, Schedule, explore
    from resilix.testing.fault_record import Seen
    from resilix.testing.fault_server import FaultServer
    from resilix.testing.fresh import fresh_state, reset_policies
    from resilix.testing.recorder import EventRecord, EventRecording, record_events
    from resilix.testing.simulation import simulate

__all__ = [
    "DeadlockError",
    "EventRecord",
    "EventRecording",
    "Explored",
    "FaultServer",
    "Recorded",
    "Schedule",
    "Seen",
    "VirtualTime",
    "Wait",
    "event",
    "explore",
    "faults",
    "fresh_state",
    "record_events",
    "reset_policies",
    "simulate",
    "steps",
    "virtual_time",
]

LATE = {
    "EventRecord": "resilix.testing.recorder",
    "EventRecording": "resilix.testing.recorder",
    "Explored": "resilix.testing.exploring",
    "FaultServer": "resilix.testing.fault_server",
    "Recorded": "resilix.testing.event_lines",
    "Schedule": "resilix.testing.exploring",
    "Seen": "resilix.testing.fault_record",
    "event": "resilix.testing.event_kinds",
    "explore": "resilix.testing.exploring",
    "faults": "resilix.testing.faults",
    "fresh_state": "resilix.testing.fresh",
    "record_events": "resilix.testing.recorder",
    "reset_policies": "resilix.testing.fresh",
    "simulate": "resilix.testing.simulation",
    "steps": "resilix.testing.steps",
}
"""Names that are loaded when they are asked for: the server needs asyncio, and virtual time does not."""
MODULES = ("faults", "steps")


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(LATE[name])
    return module if name in MODULES else getattr(module, name)
