"""What the simulator says is what happens: three classic troubles, simulated and lived through over real sockets.

docs/simulation.md has the table of many runs, and what the bounds come from.
"""

from __future__ import annotations

import dataclasses

import pytest
from benchmarks.reality.cases import CASES, SECONDS, Case, figures, reach
from benchmarks.reality.live import live
from tests.support.machine import Lateness

from resilix.testing.simulation import Result

SEED = 5
MARGINS = {
    "success share": 0.03,
    "attempts per call": 0.05,
    "seconds to open": 0.2,
    "seconds to recover": 0.3,
    "requests for nobody": 0.03,
}
"""How far outside the simulator's reach a figure may lie: four times what was seen in ten runs of this seed."""

pytestmark = pytest.mark.real_time


@pytest.fixture(scope="module")
def lived() -> tuple[list[Result], float]:
    """All cases, lived through at once, and by how much the machine was late in all."""
    with Lateness() as machine:
        results = live(CASES, SEED)
    return results, machine.seconds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_happens_as_it_was_simulated(case: Case, lived: tuple[list[Result], float]) -> None:
    """Every figure lies where the simulator says it may lie, or next to it; what never happens does not happen."""
    results, late = lived
    real = figures(results[CASES.index(case)])
    for name, said in reach(case, SEED).items():
        found, known = real[name], [one for one in said if one is not None]
        told = (
            f"{name}: {found} for real, {min(known, default=None)} to {max(known, default=None)} simulated, {late=:.2f}"
        )
        if found is None:
            assert None in said, told
        else:
            assert known, told
            # For each second that it stood still: the calls of a second, and openings later by as much.
            margin = MARGINS[name] + late * (1.0 if name.startswith("seconds") else 1 / SECONDS)
            assert min(known) - margin <= found <= max(known) + margin, told


def test_a_simulator_that_models_it_wrongly_would_be_seen(lived: tuple[list[Result], float]) -> None:
    """One that spares a dependency the requests for nobody would have it recover from a stall, which it does not."""
    case, real = CASES[1], lived[0][1]
    spared = dataclasses.replace(case, notices=True)
    assert None in reach(case, SEED)["seconds to recover"]
    assert None not in reach(spared, SEED)["seconds to recover"]
    assert figures(real)["seconds to recover"] is None


def test_they_lead_to_the_same_decision(lived: tuple[list[Result], float]) -> None:
    """Retries alone make a lasting overload of a short stall, and a breaker and a budget end it: said, and true."""
    results = dict(zip((case.name for case in CASES), lived[0], strict=True))
    for case in CASES:
        assert results[case.name].calls == case.simulated(SEED).calls > 200
        assert results[case.name].recovered == case.simulated(SEED).recovered
    alone, guarded = results["stall, retries alone"], results["stall, guarded"]
    assert not alone.recovered
    assert guarded.recovered
    assert guarded.success_share > 2 * alone.success_share
