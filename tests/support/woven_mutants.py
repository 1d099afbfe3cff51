"""Mistakes that somebody could make in the quiet lines or in the weaver, planted one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from resilix.attention import GIL
from resilix.core import retry_plan
from resilix.policies import base, breaker_calls, bulkhead_calls, fallback, retry, target, timeout, weave, weave_text
from resilix.policies.weave import LOOM
from resilix.policies.weave_text import Shape

Plant = Callable[[pytest.MonkeyPatch], None]


def line(module: Any, old: str, new: str, name: str = "QUIET") -> Plant:
    """Write something else in quiet lines."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        text: str = getattr(module, name)
        assert old in text, f"{module.__name__}.{name} has changed: plant something else"
        patch.setattr(module, name, text.replace(old, new))

    return plant


def answer(owner: Any, name: str, fn: Callable[..., Any]) -> Plant:
    """Have a function answer something else."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, fn)

    return plant


def _without_defaults(*args: Any, **options: Any) -> Any:
    woven = weave.weave(*args, **options)
    woven.__defaults__ = (None,) * len(woven.__defaults__ or ())
    return woven


def _without_names(fn: Any) -> Shape | None:
    shape = weave_text.shape_of(fn)
    return shape and shape._replace(packed=shape.packed.rpartition(", {")[0] + ", {}")


def _without_awaiting(depth: int, unless: str = "") -> list[str]:
    return []


def _idle(self: Any) -> int:
    queue = self._queue
    if queue.kept:
        queue.kept -= 1
        queue.free += 1
    return int(queue.free)


SUCCESS_ONLY = "    except ZeroDivisionError:\n        pass\n    else:\n"
BREAKER, BULKHEAD = breaker_calls.BreakerCalls, bulkhead_calls.BulkheadCalls

MUTANTS: dict[str, Plant] = {
    "a breaker counts no failure": line(breaker_calls, "failed(era, error)", "pass", "QUIET_LAZY"),
    "a breaker with a time window counts no failure": line(breaker_calls, "failed(era, error)", "pass"),
    "a breaker forgets that a success may matter": line(breaker_calls, "succeeded(era)", "pass", "QUIET_LAZY"),
    "a time window is not moved on": line(breaker_calls, "now >= counter.edge", "now < -counter.edge"),
    "a breaker forgets an event": answer(BREAKER, "_look", lambda self: self._core.calm),
    "a breaker lets calls through when a deadline has passed": line(
        breaker_calls, "(era := look())", "(era := core.calm)", "QUIET_LAZY"
    ),
    "a refusal of a breaker is not told": answer(
        BREAKER, "_seconds_left", lambda self: max(0.0, self._core.era.until - self._clock.now())
    ),
    "a bulkhead gives nothing back after an error": line(bulkhead_calls, "    finally:\n", SUCCESS_ONLY),
    "a bulkhead refuses who may wait": answer(
        BULKHEAD, "_refuses", lambda self: self._queue.free + self._queue.kept < 1
    ),
    "a retry ignores the deadline": line(retry, "deadline.used and over()", "None"),
    "a retry pays nothing back": line(retry, "budget.give(1)", "pass", "REFILL"),
    "a retry forgets when it began": line(retry, "begin(error, STARTED, CALL)", "begin(error, 0.0, CALL)"),
    "a retry swallows the last error": line(retry, "            raise", "            result = None"),
    "a fallback answers everything": line(fallback, "not answers(error, CALL)", "None"),
    "a timeout is never armed": line(timeout, "page.arm()", "pass"),
    "a timeout lets the cancellation out": line(timeout, "raise expired(CALL) from error", "raise"),
    "a timeout forgets the task that enters again": line(timeout, "task is None or task in live", "task is None"),
    "defaults are lost": answer(base, "weave", _without_defaults),
    "arguments by name are lost": answer(base, "shape_of", _without_names),
    "arguments look different": answer(retry_plan, "_sees_state", lambda strategy: False),
    "what a sync function hands back is no result yet": answer(weave_text, "_go_on", _without_awaiting),
    "wrong arguments reach the policies": answer(base, "shape_of", lambda fn: weave_text.GENERIC),
    "a function that comes along is not checked": answer(target, "MANY_THROUGH", weave_text.MANY),
}

MUTANTS |= (
    {
        "a bulkhead forgets who waits": line(bulkhead_calls, "places.give_back()", "places.kept += 1"),
        "a bulkhead forgets that somebody listens": line(bulkhead_calls, "if not places.busy:", "if True:"),
        "a bulkhead forgets an event": answer(BULKHEAD, "_lend", _idle),
    }
    if GIL
    else {
        "a bulkhead forgets who waits or listens": line(bulkhead_calls, "if places.busy:", "if False:"),
        "a bulkhead forgets an event": answer(BULKHEAD, "_lend_token", lambda self: self._queue.lend()),
    }
)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have the mistake in the block; nothing woven with it is kept, and no text."""
    with pytest.MonkeyPatch.context() as patch:
        _forget()
        MUTANTS[name](patch)
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    LOOM.forget()
    weave_text.forget()
