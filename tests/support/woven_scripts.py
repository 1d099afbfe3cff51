"""Random scripts of calls and of what happens before, between and in the middle of them.

A script is played by one of the ways of ``woven_ways.py``: sync, asyncio, trio. The same seed is the same script.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.woven_policies import Nouns, policies

from resilix import BulkheadFullError, CircuitOpenError, calls

ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: ConnectionError("down"),
    lambda: ConnectionError("down"),
    lambda: ConnectionError("down"),
    lambda: TimeoutError("slow"),
    lambda: ValueError("bad"),
    lambda: KeyError("odd"),
    lambda: TypeError("quote() missing 1 required positional argument: 'symbol'"),
    lambda: CircuitOpenError("elsewhere", retry_after=1.0, reason="test"),
    lambda: BulkheadFullError("elsewhere", limit=1),
    lambda: KeyboardInterrupt("from within"),
    lambda: GeneratorExit("from within"),
    lambda: SystemExit(3),
)
VALUES: tuple[Any, ...] = ("fine", "fine", "fine", "fine", "odd", None, 7, 1.5, ["list"], random.Random)
"""Results of many types: a woven function remembers the type."""
RECONFIGURED: tuple[dict[str, Any], ...] = (
    {"window": calls(3)},
    {"window": calls(50)},
    {"window": 10.0},
    {"window": 2.0},
    {"consecutive": 1},
    {"consecutive": 4},
    {"failure_rate": 0.3, "min_calls": 1},
    {"on_result": lambda result: result == "fine"},
    {"on_result": None},
    {"slow_after": 0.1, "slow_rate": 0.5},
    {"slow_after": None, "slow_rate": None},
    {"on": ValueError},
    {"open_for": 1.0},
)
FORMS = ("pipeline", "pipeline", "stack", "stack", "foreign", "call")
"""How the policies are put around the function."""
ACTIONS = (
    "tick", "tick", "tick", "hold", "let go", "open", "close", "close", "force_open", "disable", "observe", "observe",
    "reconfigure", "reconfigure", "step", "listen", "listen", "listen", "deaf", "first deadline",
)  # fmt: skip


class Attempt:
    """What a function does when it is called once more.

    Attributes:
        steps: What it does first.
        end: What it returns; or makes, to raise it.
    """

    def __init__(self, dice: random.Random, *, depth: int) -> None:
        self.steps = [self._step(dice, depth) for _ in range(dice.choice([0, 0, 1, 1, 2, 3]))]
        self.end: Any = dice.choice(ERRORS) if dice.random() < 0.4 else dice.choice(VALUES)

    def _step(self, dice: random.Random, depth: int) -> tuple[str, Any]:
        what = dice.choice(["suspend", "suspend", "suspend", "work", "work", "act", "act", "again", "hang"])
        if what == "work":
            return what, dice.choice([0.1, 0.7, 1.5, 6.0])
        if what == "act":
            return action(dice)
        if what == "hang" and dice.random() < 0.5:
            return what, None
        if what == "again" and depth:
            return what, Planned(dice, depth=depth - 1)
        return "suspend", None


class Planned:
    """One call: which arguments, what its attempts do, and the deadline around it.

    Attributes:
        draw: The seed of the arguments, which depend on the function.
        attempts: What the function does, time after time; after that it is fine.
        limit: Seconds of the deadline, if there is one.
    """

    def __init__(self, dice: random.Random, *, depth: int = 2) -> None:
        self.draw = dice.random()
        self.attempts = [Attempt(dice, depth=depth) for _ in range(dice.choice([1, 2, 5]))]
        self.limit = dice.choice([None] * 6 + [0.0, 1.0, 5.0, 1000.0])


def action(dice: random.Random) -> tuple[str, Any]:
    """Something that happens beside the calls."""
    what = dice.choice(ACTIONS)
    if what == "tick":
        return what, dice.choice([0.3, 0.7, 2.0, 12.0])
    if what == "step":
        return what, dice.choice([-5.0, 3.0, 100.0])
    if what == "reconfigure":
        return what, (dice.random(), dice.choice(RECONFIGURED))
    if what == "listen":
        return what, dice.choice(["calm", "calm", "broken", "deaf", "caller"])
    return what, dice.random()


class Script:
    """What a seed stands for.

    Attributes:
        seed: It.
        moves: What happens, one after the other: calls, and what comes between them.
        form: How the policies are put around the function.
        listens: Whether somebody listens from the beginning.
        deadlines_used: Whether there have been deadlines before.
        held_used: Whether there have been sync timeouts before.
    """

    def __init__(self, seed: int, *, is_async: bool) -> None:
        dice = random.Random(f"{seed} {is_async}")
        self.seed = seed
        self.is_async = is_async
        self.form = dice.choice(FORMS)
        self.function_draw = dice.random()
        self.deadlines_used = dice.random() < 0.3
        self.listens = dice.random() < 0.2
        self.held_used = dice.random() < 0.15
        # Two of five begin with nothing but calls, so that the quiet path is what they are about.
        calm = dice.random() < 0.4
        self.moves = [self._move(dice, calm) for _ in range(dice.randint(4, 14))]

    def _move(self, dice: random.Random, calm: bool) -> tuple[str, Any]:
        among = ["call"] * (12 if calm else 6) + ["act"] * (1 if calm else 4)
        if self.is_async:
            among += ["go", "go", "go", "cancel", "hand"]
        what = dice.choice(among)
        if what in ("call", "hand"):
            return what, Planned(dice)
        return action(dice) if what == "act" else (what, dice.random())

    def policies(self, recorder: Any) -> tuple[Nouns, list[Any]]:
        """Fresh policies."""
        dice = random.Random(f"policies {self.seed}")
        nouns = Nouns(dice, recorder)
        return nouns, policies(dice, recorder, nouns, threads=not self.is_async)
