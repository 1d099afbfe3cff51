"""Putting a simulated loop in charge of the time and the chance of all policies, for a block."""

from __future__ import annotations

from contextlib import ExitStack

from resilix.clock import SYSTEM, seeded
from resilix.errors import ConfigurationError
from resilix.runtime import RUNTIME
from resilix.testing.simulation.copies import apart
from resilix.testing.simulation.driver import SimulatedDriver
from resilix.testing.simulation.loop import SimulatedLoop


def in_charge(owner: str, loop: SimulatedLoop, seed: int, driver: SimulatedDriver) -> ExitStack:
    """Put the clock and the waits of all policies in a loop's hands, for a block. Afterwards the loop is closed.

    Args:
        owner: Who asks, for the error.
        loop: The loop.
        seed: Where the chance of jitter begins.
        driver: How policies wait in the loop.

    Raises:
        ConfigurationError: Virtual time, or another simulation, is running.
    """
    if RUNTIME.driver.virtual or isinstance(RUNTIME.driver, SimulatedDriver):
        raise ConfigurationError(
            f"{owner}(): virtual time, or another simulation, is running, and there is only one clock; "
            "call it outside with virtual_time(): …"
        )
    stack = ExitStack()
    stack.enter_context(seeded(seed))
    stack.enter_context(apart())
    stack.callback(setattr, SYSTEM, "now", SYSTEM.now)
    stack.callback(setattr, RUNTIME, "driver", RUNTIME.driver)
    stack.callback(loop.close)
    SYSTEM.now = loop.time
    RUNTIME.driver = driver
    return stack
