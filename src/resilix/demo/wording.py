"""How figures are written, the same everywhere."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """A share as a percentage. Never rounded up to 100 % or down to 0 %."""
    if math.isnan(share):
        return "-"
    if 0.995 <= share < 1:
        return f"{math.floor(share * 1000) / 10:.1f}%"
    if 0 < share <= 0.005:
        return f"{math.ceil(share * 1000) / 10:.1f}%"
    return f"{share:.0%}"


def seconds(duration: float) -> str:
    """A duration, in milliseconds below a second."""
    if math.isnan(duration):
        return "-"
    if duration < 0.9995:
        return f"{duration * 1000:.0f} ms"
    return f"{duration:.2f} s"


def ratio(value: float) -> str:
    """A ratio with two decimals."""
    return "-" if math.isnan(value) else f"{value:.2f}"
