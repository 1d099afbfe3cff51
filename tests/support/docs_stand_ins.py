"""What the code blocks of the documents take for granted; put in front of each of them before it is run."""

from __future__ import annotations

_answers: list[int | ConnectionError] = [ConnectionError("reset"), ConnectionError("reset"), 4217]


def fetch(symbol: str) -> int:
    """Stand in for a call over a network."""
    return {"ACME": 4217, "INIT": 99}[symbol]


async def afetch(symbol: str) -> int:
    """The same, async."""
    return fetch(symbol)


def drops_two_connections(symbol: str) -> int:
    """Fail twice, then answer."""
    answer = _answers.pop(0)
    if isinstance(answer, ConnectionError):
        raise answer
    return answer
