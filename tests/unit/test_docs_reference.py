"""The tables in the documents say what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import resilix
from resilix import (
    BreakerSnapshot,
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExpiredError,
    ResilixError,
    TimeoutExceededError,
    calls,
    deadline,
    events,
    retry,
    timeout,
)
from resilix.policies.base import BoundPolicy
from resilix.testing import faults, virtual_time

DOCS = Path(__file__).parents[2] / "docs"


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of a page, without its head."""
    text = (DOCS / page).read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1]
    rows = re.findall(r"^\|(.*)\|$", text.split("\n## ", 1)[0], flags=re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    end = next((n for n, row in enumerate(cells) if n > 1 and set(row[0]) <= set("-") and row[0]), None)
    return cells[2 : None if end is None else end - 1]


def names_in(cell: str) -> set[str]:
    """What stands in backticks in a cell."""
    return set(re.findall(r"`(\w+)`", cell))


def leaves_of(base: type) -> set[type]:
    """The classes below ``base`` that the library itself defines and nothing of it inherits from."""
    below = {one for one in base.__subclasses__() if one.__module__.startswith("resilix.")}
    return {base} if not below else set().union(*(leaves_of(one) for one in below))


def test_every_event_and_each_of_its_fields_is_in_the_table() -> None:
    """A new event, or a new field, has to be written down."""
    written = {row[0].strip("`"): names_in(row[2]) for row in table("reference.md", "Events")}
    there = {
        kind.__name__: {field.name for field in dataclasses.fields(kind)} - {"policy", "name"}
        for kind in list(vars(events).values())
        if inspect.isclass(kind) and issubclass(kind, events.Event) and kind not in (events.Event, events.ErrorEvent)
    }
    assert written == there


SILENT = {"pipeline", "timed"}
"""Policies that tell nothing by themselves."""


def test_the_kinds_of_policy_an_event_can_carry_are_written_down() -> None:
    """Those of our policies that tell anything, and the transport of HTTP requests."""
    source = Path(resilix.__file__).parent
    told = re.compile(r'(?:hook_failed|refuse_deadline|check_deadline)\(\s*"(\w+)"')
    by_name = {kind for path in source.rglob("*.py") for kind in told.findall(path.read_text(encoding="utf-8"))}
    carried = by_name | {str(one.kind) for one in leaves_of(BoundPolicy)} - SILENT
    assert carried >= {"breaker", "http", faults.Plan.kind}
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    listed = page.split("All have `policy` (", 1)[1].split(")", 1)[0]
    assert set(re.findall(r'"(\w+)"', listed)) == carried


def test_every_error_and_each_of_its_attributes_is_in_the_table() -> None:
    """A new error, or a new attribute, has to be written down."""
    written = {row[0].strip("`"): row[2] for row in table("reference.md", "Errors")}
    assert set(written) == {one.__name__ for one in leaves_of(ResilixError)}
    made = {
        "CircuitOpenError": CircuitOpenError("quotes", retry_after=1.0, reason="manual"),
        "BulkheadFullError": BulkheadFullError("quotes", limit=1),
        "DeadlineExpiredError": DeadlineExpiredError("price"),
        "TimeoutExceededError": TimeoutExceededError(1.0),
        "ConfigurationError": ConfigurationError("nonsense"),
    }
    for name, error in made.items():
        attributes = {one for one in names_in(written[name]) if one != "None"}
        kept = {one for one, what in vars(type(error)).items() if isinstance(what, property)}
        assert attributes == kept | set(vars(error)), name


def test_the_tree_of_errors_is_the_one_in_the_code() -> None:
    """The drawing names each exported error once, under the class it derives from."""
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    drawing = text.split("```\n", 2)[1]
    stack: list[tuple[int, str]] = []
    drawn: dict[str, str | None] = {}
    for match in re.finditer(r"^([│ ├└─]*)(\w+Error)", drawing, flags=re.MULTILINE):
        depth = len(match[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        drawn[match[2]] = stack[-1][1] if stack else None
        stack.append((depth, match[2]))
    exported = {name for name in resilix.__all__ if name.endswith("Error")}
    assert set(drawn) == exported
    for name, parent in drawn.items():
        bases = [base.__name__ for base in getattr(resilix, name).__bases__]
        assert (parent or "Exception") in bases, name


def test_every_field_of_a_snapshot_is_in_the_table() -> None:
    """A new figure has to be explained."""
    written = set().union(*(names_in(row[0]) for row in table("reference.md", "The snapshot of a breaker")))
    assert written == {field.name for field in dataclasses.fields(BreakerSnapshot)}


def breaker(**options: Any) -> CircuitBreaker:
    """A breaker with some option."""
    return CircuitBreaker("zero and none", **options)


REFUSED: list[tuple[str, Any, dict[str, Any]]] = [
    ("retry", retry, {"on": OSError, "attempts": 0}),
    ("retry", retry, {"on": OSError, "attempts": None}),
    ("retry", retry, {"on": OSError, "within": 0}),
    ("timeout", timeout, {"seconds": 0}),
    ("timeout", timeout, {"seconds": None}),
    ("Bulkhead", Bulkhead, {"name": "zero", "limit": 0}),
    ("Bulkhead", Bulkhead, {"name": "none", "limit": None}),
    ("deadline", deadline, {"seconds": None}),
    *[
        ("CircuitBreaker", breaker, {option: value})
        for option, values in {
            "open_for": (0, None),
            "consecutive": (0,),
            "failure_rate": (0,),
            "slow_rate": (0,),
            "window": (0, None),
            "min_calls": (0, None),
            "probes": (0, None),
            "probe_lease": (0, None),
            "slow_after": (0,),
            "probe_failures": (None,),
        }.items()
        for value in values
    ],
]


@pytest.mark.parametrize(("owner", "make", "options"), REFUSED, ids=lambda one: str(one) if type(one) is dict else "")
def test_what_the_table_of_zero_and_none_calls_refused_is_refused(
    owner: str, make: Any, options: dict[str, Any]
) -> None:
    """Where the guide says refused, the mistake is an error where it is written."""
    with pytest.raises(ConfigurationError, match=owner):
        make(**options)


def test_zero_and_none_mean_what_the_guide_says() -> None:
    """The rows of the table that are not refusals."""
    with virtual_time() as time:

        @retry(on=lambda error: 0, attempts=2, wait=99.0)
        def at_once() -> None:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            at_once()
        assert time.sleeps == [0.0]
        for slots in (Bulkhead("max_wait 0", limit=1), Bulkhead("queue 0", limit=1, max_wait=5.0, queue=0)):
            with slots.acquire(), pytest.raises(BulkheadFullError) as refused:
                slots.acquire()
            assert (refused.value.waited, time.now()) == (0.0, 0.0)
        with deadline(0), pytest.raises(DeadlineExpiredError):
            at_once()
        probing = CircuitBreaker("open_for 0", consecutive=1, open_for=lambda opening: 0)
        with pytest.raises(ZeroDivisionError):
            probing.call(lambda: 1 / 0)
        assert (probing.state, probing.snapshot().retry_after) == ("open", 0.0)
        by_hand = CircuitBreaker("for_ None", open_for=7.0)
        by_hand.open()
        assert by_hand.snapshot().retry_after == 7.0
    one_rule = CircuitBreaker("rules off", consecutive=None, slow_rate=None, slow_after=None, window=calls(20))
    assert one_rule.snapshot().slow_rate is None
    assert retry(on=OSError, wait=0, attempts=None, within=1.0).plan.attempts == float("inf")
