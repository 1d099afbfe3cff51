"""What the process that makes calls and the one that serves them tell each other."""

from __future__ import annotations

from typing import Literal, TypedDict

Event = Literal["arrived", "answered", "failed", "wasted"]


class Episode(TypedDict):
    """Trouble: when, how fast work goes meanwhile, and after how many seconds a request fails that is not worked on."""

    start: float
    end: float
    speed: float
    fails_after: float | None


class Plan(TypedDict):
    """A dependency: places, the least and most seconds a request takes, the script, and where chance begins."""

    capacity: int
    service: tuple[float, float]
    script: list[Episode]
    seed: int
