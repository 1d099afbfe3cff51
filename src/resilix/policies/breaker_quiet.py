"""The quiet cases of a circuit breaker: let a call through, and count its success.

Each can be had for interpreters with a GIL, where one addition counts, and for those without, where a step of an atomic
count does (``core/counting.py``).
"""

from __future__ import annotations

from typing import Final

from resilix.attention import GIL

ADD: Final = """
        counter.n += 1.0
"""
TICK: Final = """
        number = counter.tick()
        if era.counter is not counter:
            overtaken(era, counter, number)
"""

TIMED: Final = """
era = core.quiet
if era is None and (era := look()) is None:
    if left := seconds_left():
        raise refusal(left)
    result = PLAIN
else:
    try:
        result = INNER
    except BaseException as error:
        failed(era, error)
        raise
    now = clock.now()
    counter = era.counter
    if counter is None or now >= counter.edge:
        succeeded(era)
    else:
        COUNT
"""
"""For a window in seconds: whether it must be rolled on is asked before."""

LAZY: Final = """
era = core.lazy
if era is None and (era := look()) is None:
    if left := seconds_left():
        raise refusal(left)
    result = PLAIN
else:
    try:
        result = INNER
    except BaseException as error:
        failed(era, error)
        raise
    COUNT
"""
"""For a window of calls: no time needs to be read."""

ADD_LAZILY: Final = """
    try:
        era.counter.n += 1.0
    except AttributeError:
        succeeded(era)
"""
"""Asking whether there is a counter would cost."""
TICK_LAZILY: Final = f"""
    counter = era.counter
    if counter is None:
        succeeded(era)
    else:{TICK}"""

SLOW: Final = """
era = core.slow
if era is None and (era := look()) is None:
    if left := seconds_left():
        raise refusal(left)
    result = PLAIN
else:
    began = clock.now()
    try:
        result = INNER
    except BaseException as error:
        failed(era, error, began)
        raise
    now = clock.now()
    counter = era.counter
    if counter is None or now >= counter.edge or now - began > core.slow_after:
        succeeded(era, began, now)
    else:
        COUNT
"""
"""For a breaker that looks at how long calls take."""


QUIET: Final = TIMED.replace("\n        COUNT\n", ADD if GIL else TICK)
QUIET_LAZY: Final = LAZY.replace("\n    COUNT\n", ADD_LAZILY if GIL else TICK_LAZILY)
QUIET_SLOW: Final = SLOW.replace("\n        COUNT\n", ADD if GIL else TICK)
