"""retry: nonsense is refused where it is written, and explain() gets honest figures."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import tenacity
from tests.support.retry_calls import Scripted, async_call

from resilix import ConfigurationError, retry

# -- bad input -------------------------------------------------------------------------------------------------------


async def asynchronous(*args: Any) -> bool:
    return True


BAD: list[tuple[dict[str, Any], str]] = [
    ({"on": asynchronous}, "async"),
    ({"on": tenacity.retry_if_exception(asynchronous)}, "async"),  # type: ignore[arg-type]
    ({"on": tenacity.retry_any(tenacity.retry_if_result(asynchronous))}, "async"),  # type: ignore[arg-type]
    ({"on": tenacity.asyncio.retry_if_exception(asynchronous)}, "async"),
    ({"on_result": asynchronous}, "async"),
    ({"wait": asynchronous}, "async"),
    ({"stop": asynchronous}, "async"),
    ({"attempts": 0}, "at least 1"),
    ({"attempts": None}, "for ever"),
    ({"attempts": 2.5}, "whole number"),
    ({"attempts": True}, "whole number"),
    ({"wait": -1}, "zero or more"),
    ({"wait": math.nan}, "finite"),
    ({"wait": tenacity.wait_fixed}, "number of seconds"),
    ({"within": 0}, "more than zero"),
    ({"within": math.inf}, "finite"),
    ({"stop": 3}, "stop_after_delay"),
    ({"stop": tenacity.stop_after_attempt}, "stop_after_delay"),
    ({"on": 3}, "names exceptions"),
    ({"on": KeyboardInterrupt}, "interrupt"),
    ({"on": asyncio.CancelledError}, "cancellation"),
    ({"on": "OSError"}, "names exceptions"),
    ({"on_result": 3}, "function"),
    ({"budget": 3}, "RetryBudget"),
]


@pytest.mark.parametrize(("options", "says"), BAD)
def test_nonsense_is_refused_where_it_is_written(options: dict[str, Any], says: str) -> None:
    """With a ConfigurationError that says what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        retry(**{"on": OSError, **options})


def test_retry_needs_on() -> None:
    """Neither nothing nor the bare decorator will do."""
    with pytest.raises(ConfigurationError, match="retry"):
        retry()  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="without its options"):
        retry(lambda: 1)  # type: ignore[call-arg, misc]


# -- the worst case ---------------------------------------------------------------------------------------------------

LONGEST: list[tuple[dict[str, Any], float]] = [
    ({"attempts": 1}, 0.0),
    ({"attempts": 4, "wait": 2.0}, 6.0),
    ({"attempts": 3}, 0.1 + 0.2),
    ({"attempts": 10}, 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 6.4 + 10 + 10),
    ({"attempts": 10**9}, 12.7 + 10.0 * (10**9 - 8)),
    ({"attempts": None, "within": 5.0}, math.inf),
    ({"attempts": None, "within": 5.0, "wait": 1.0}, math.inf),
    ({"attempts": 3, "wait": lambda number: 1}, math.inf),
    ({"attempts": 3, "wait": tenacity.wait_exponential(max=4)}, 8.0),
    ({"attempts": 3, "wait": tenacity.wait_exponential(max=4, min=6)}, 12.0),
    ({"attempts": 3, "wait": tenacity.wait_exponential()}, math.inf),
    ({"attempts": 3, "stop": tenacity.stop_never}, 20.0),
    ({"attempts": 3, "wait": tenacity.wait_fixed(2)}, 4.0),
    ({"attempts": 3, "wait": tenacity.wait_random(1, 5)}, 10.0),
    ({"attempts": 3, "wait": tenacity.wait_chain(tenacity.wait_fixed(1))}, math.inf),
    ({"attempts": None, "within": 5.0, "wait": 0}, 0.0),
    ({"attempts": 3, "on": lambda error: True}, math.inf),
    ({"attempts": 3, "on_result": lambda result: True}, math.inf),
    ({"attempts": 3, "on": tenacity.retry_if_exception_type(OSError), "wait": 1}, 2.0),
]


@pytest.mark.parametrize(("options", "seconds"), LONGEST)
def test_the_longest_that_all_waits_can_take(options: dict[str, Any], seconds: float) -> None:
    """What explain() adds up; infinite where a function or a server may ask for any wait."""
    assert retry(**{"on": OSError, **options}).plan.longest_waits() == pytest.approx(seconds)


def test_repr_shows_the_options() -> None:
    """Without any value that could be a secret."""
    assert repr(retry(on=OSError, attempts=4, within=3)) == "retry(on=OSError, attempts=4, within=3)"
    assert repr(retry(on=(OSError, KeyError), attempts=None, within=3)) == "retry(on=(OSError, KeyError), within=3)"
    assert async_call(retry(on=OSError), Scripted(1)) == 1
