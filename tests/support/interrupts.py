"""Interrupts wherever the interpreter may deliver one.

A signal handler runs when a Python function is entered or a call of a builtin returns; a profile function is called
at just these moments, so raising in it at each of them in turn tries every interrupt there is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any

OURS = ("work", "give", "step", "__del__")
"""Functions of the tests that must not be interrupted, and finalizers, whose errors the interpreter drops."""


def interrupted_at(moment: int, work: Callable[[], Any]) -> bool:
    """Do the work with an interrupt at its n-th possible moment; False when it was over before."""
    passed = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal passed
        if event in ("call", "c_return") and frame.f_code.co_name not in OURS:
            passed += 1
            if passed == moment:
                raise KeyboardInterrupt

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what other tests have left would be collected, and interrupted, in the middle
    sys.setprofile(profile)
    try:
        copy_context().run(work)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return passed >= moment


def everywhere(work: Callable[[], Any], check: Callable[[int], None], *, at_least: int) -> None:
    """Interrupt the work at every moment in turn, and check each time what that has done."""
    moment = 1
    while interrupted_at(moment, work):
        check(moment)
        moment += 1
    assert moment > at_least, "the interrupts did not reach the call"
