"""What a ``FaultServer`` was told to do: the scripts, and which step is next."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from resilix.core import options
from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.locks import Lock
from resilix.testing.fault_record import Record, Seen
from resilix.testing.fault_steps import Cut, Step
from resilix.testing.steps import reply

Scripted: TypeAlias = int | Step | Callable[[Seen], int | Step]
"""One entry of a script: a status, a step, or a function of the request that gives one."""

CONNECT: Final = (
    "before anything is read there is no path yet; "
    'write server.next_connections(steps.reset("connect")), or reset("request")'
)


class Plan:
    """The scripts. Any thread writes, the server's thread reads.

    Attributes:
        default: What answers when nothing else is scripted.
        errors: What functions in scripts raised, and steps of the user's own.
    """

    def __init__(self) -> None:
        self.default: Scripted = reply(200)
        self.errors: list[BaseException] = []
        self._lock = Lock()
        self._scripts: defaultdict[str, deque[tuple[Scripted, bool]]] = defaultdict(deque)
        self._always: dict[str, Scripted] = {}
        self._first: deque[Step] = deque()

    def script(self, path: str, steps: tuple[Scripted, ...], *, repeat: bool) -> None:
        """Add steps for a path, for once or again and again."""
        again = options.flag("FaultServer.script", "repeat", repeat)
        path = _path("script", path)
        checked = [(entry("script", step), again) for step in steps]
        with self._lock:
            self._scripts[path].extend(checked)

    def always(self, path: str, step: Scripted) -> None:
        """Set what answers a path once its script is used up."""
        path, step = _path("always", path), entry("always", step)
        with self._lock:
            self._always[path] = step

    def on_connect(self, steps: tuple[int | Step, ...]) -> None:
        """Add steps for connections that come."""
        checked = [_step("next_connections", step) for step in steps]
        with self._lock:
            self._first.extend(checked)

    def forget(self) -> None:
        """Clear all but the default."""
        with self._lock:
            self._scripts.clear()
            self._always.clear()
            self._first.clear()
            self.errors.clear()

    def first(self) -> Step | None:
        """Take what happens on a new connection before anything is read."""
        with self._lock:
            return self._first.popleft() if self._first else None

    def take(self, record: Record) -> Step:
        """Take what answers a request."""
        with self._lock:
            script = self._scripts.get(record.path)
            if script:
                chosen, again = script.popleft()
                if again:
                    script.append((chosen, again))
            else:
                chosen = self._always.get(record.path, self.default)
        try:
            return _on_path("script", _step("script", chosen(record.seen()) if callable(chosen) else chosen))
        except BaseException as error:  # pytest.fail() and SystemExit too: here they would end the server's thread
            self.errors.append(error)
            return reply(500, f"{type(error).__name__}: {error}\n".encode())


def entry(owner: str, step: Any) -> Scripted:
    """Check what was written as an entry of a script.

    Raises:
        ConfigurationError: It is neither a status, nor a step, nor a function.
    """
    if callable(step) and not isinstance(step, type):
        return step  # type: ignore[no-any-return]
    return _on_path(owner, _step(owner, step))


def _step(owner: str, value: Any) -> Step:
    if isinstance(value, int) and not isinstance(value, bool):
        return reply(value)
    if hasattr(value, "play") and not isinstance(value, type):
        return value  # type: ignore[no-any-return]
    hint = "write a status (503), steps.reply(…), steps.reset(…), …"
    raise refuse(f"FaultServer.{owner}", "step", value, "it is neither a status nor a step", hint)


def _on_path(owner: str, step: Step) -> Step:
    if isinstance(step, Cut) and step.at == "connect":
        raise ConfigurationError(f"FaultServer.{owner}(…, {step!r}): {CONNECT}")
    return step


def _path(owner: str, path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path:
        why = "it is the path of a URL, from its first slash, without a query"
        raise refuse(f"FaultServer.{owner}", "path", path, why, 'write path="/quotes"')
    return path
