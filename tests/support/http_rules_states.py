"""A map of states that notes what is made and forgotten, and threads that start at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from resilix.http.states import KeyedStates


class State:
    """The state of a key: it is busy when a test says so."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.busy = False


class Map:
    """A map of such states that notes what is made and forgotten."""

    def __init__(self, limit: int, make: Callable[[str], State] = State) -> None:
        self.made: list[State] = []
        self.gone: list[State] = []
        self.asked = 0

        def note(key: str) -> State:
            state = make(key)
            self.made.append(state)
            return state

        def busy(state: State) -> bool:
            self.asked += 1
            return state.busy

        self.states: KeyedStates[State] = KeyedStates(note, limit=limit, busy=busy, evicted=self.gone.append)
        self.get = self.states.get

    def keys(self) -> list[str]:
        """The keys that are remembered."""
        return [key for key, _ in self.states]


def threads(*work: Callable[[], object]) -> None:
    """Run these at once, to their end; an error in one of them is an error."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        try:
            start.wait(10)
            one()
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(30)
    assert not any(thread.is_alive() for thread in started), "one of them hangs"
    assert errors == []
