"""What-if: real policies, a modelled dependency, an hour of traffic in seconds.

Example::

    from resilix.testing.simulation import Dependency, outage, poisson, simulate

    result = simulate(
        guard,
        load=poisson(70),
        dependency=Dependency(capacity=10, service=0.1, script=[outage(start=60, seconds=30)]),
        seconds=180,
    )
    print(result)
"""

from resilix.testing.durations import constant, exponential, lognormal, uniform
from resilix.testing.simulation.dependency import Dependency
from resilix.testing.simulation.load import Load, bursts, phases, poisson, steady
from resilix.testing.simulation.result import Change, Ending, Latency, Result, Step, Totals, table
from resilix.testing.simulation.run import simulate
from resilix.testing.simulation.trouble import (
    Episode,
    black_hole,
    brown_out,
    cold_start,
    flapping,
    outage,
    stall,
)

__all__ = [
    "Change", "Dependency", "Ending", "Episode", "Latency", "Load", "Result", "Step", "Totals", "black_hole",
    "brown_out", "bursts", "cold_start", "constant", "exponential", "flapping", "lognormal", "outage", "phases",
    "poisson", "simulate", "stall", "steady", "table", "uniform",
]  # fmt: skip
