"""Putting a simulated loop in charge of the time and the chance of all policies, for a block; and Ctrl-C meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import FrameType

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


class Interrupt:
    """Whether somebody has pressed Ctrl-C.

    Attributes:
        pressed: They have.
    """

    def __init__(self) -> None:
        self.pressed = False

    def look(self) -> None:
        """Raise ``KeyboardInterrupt`` if they have."""
        if self.pressed:
            raise KeyboardInterrupt

    def press(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def interruptible() -> Generator[Interrupt]:
    """Have Ctrl-C be seen where somebody looks, or at the end of the block; a second one ends it at once.

    As an exception out of nowhere it would be lost now and then: asyncio keeps its tasks in weak sets, whose callbacks
    run whenever a task ends, and what they raise is only printed. A handler of somebody else's is left alone, and so
    are other threads, which Ctrl-C never reaches.
    """
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt.press)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
    interrupt.look()
