"""The classic cases: files that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

CASES: Final = (
    "total-outage",
    "brown-out",
    "metastable-stall",
    "slow-dependency",
    "flapping",
    "one-bad-shard",
    "cold-start-herd",
)
"""In the order in which they are worth reading."""

REPLAYED: Final = "candidates.toml"
"""What is tried on a recording, unless a file says otherwise."""


def read(name: str) -> bytes:
    """A case, as its file is."""
    return files("resilix.whatif").joinpath("cases", f"{name}.toml").read_bytes()


def candidates() -> bytes:
    """The candidates for recordings."""
    return files("resilix.whatif").joinpath(REPLAYED).read_bytes()
