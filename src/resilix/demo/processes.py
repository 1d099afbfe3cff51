"""Starts the four processes, hears what they say, and always stops them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Self

from resilix.demo.messages import SIDES, Done, Message, Ready, decode
from resilix.demo.settings import Settings

_BOOT = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(sys.argv[3:])"
)
"""Gives a process the import path of this one, and nothing from the working directory."""

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 2.0


class ProcessFailedError(Exception):
    """A process ended before its work was done, or never got ready."""


class Child:
    """One process, and the thread that reads what it says into a queue."""

    def __init__(self, label: str, module: str, arguments: list[str], heard: queue.Queue[tuple[str, Message]]) -> None:
        self.label = label
        self.done = False
        self._garbled = False
        self._heard = heard
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # A session of its own: Ctrl-C on the terminal is for us alone, and we stop the others in order.
            start_new_session=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        self._reader = threading.Thread(target=self._read, name=f"hear {label}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = decode(line.decode())
            except ValueError:
                self._garbled = True
                return
            self._heard.put((self.label, message))
            if isinstance(message, Done):
                self.done = True

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing happens when it has ended already."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # check() tells

    def check(self) -> None:
        """See whether it lives or has done its work.

        Raises:
            ProcessFailedError: Neither.
        """
        if self._garbled:
            raise ProcessFailedError(f"the {self.label} process said something that is no message")
        if self.process.poll() is None:
            return
        self._reader.join(SECONDS_TO_STOP)
        if not self.done:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise ProcessFailedError(
                f"the {self.label} process ended with status {self.process.returncode}: "
                f"{said[-1] if said else 'it said nothing'}"
            )

    def ask_to_stop(self) -> None:
        """Close its stdin: it ends by itself."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()

    def stop(self) -> None:
        """See that it has ended, by force in the end."""
        for force in (None, self.process.terminate, self.process.kill):
            if force is not None:
                force()
            try:
                self.process.wait(SECONDS_TO_STOP)
                break
            except subprocess.TimeoutExpired:
                continue
        self._reader.join(SECONDS_TO_STOP)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


def server_of(side: str) -> str:
    """The label of a side's server."""
    return f"{side} server"


class Cast:
    """All processes of a run; use it with ``with``.

    Each side has its own server and its own client process, so that neither side's load can hurt the other.

    Attributes:
        start: The start of the run, on the monotonic clock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard: queue.Queue[tuple[str, Message]] = queue.Queue()
        self._children: dict[str, Child] = {}
        self.start = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.ask_to_stop()
        for child in self._children.values():
            child.stop()

    def _add(self, label: str, module: str, *arguments: str) -> None:
        self._children[label] = Child(label, f"resilix.demo.{module}", list(arguments), self._heard)

    def begin(self) -> None:
        """Start everything, wait until all are ready, and give them the same moment to begin.

        Raises:
            ProcessFailedError: One does not get ready.
        """
        chosen = json.dumps(asdict(self._settings))
        for side in SIDES:
            self._add(server_of(side), "server", chosen)
        ports = {label: ready.port for label, ready in self._wait_ready().items()}
        for side in SIDES:
            self._add(side, "client", side, chosen, f"http://127.0.0.1:{ports[server_of(side)]}")
        self._wait_ready()
        self.start = time.monotonic() + 0.3
        for child in self._children.values():
            child.tell(repr(self.start))

    def _wait_ready(self) -> dict[str, Ready]:
        waiting = {label for label in self._children if label in SIDES} or set(self._children)
        ready: dict[str, Ready] = {}
        until = time.monotonic() + SECONDS_TO_START
        while set(ready) != waiting:
            ready.update({label: said for label, said in self.hear(0.1) if isinstance(said, Ready)})
            if time.monotonic() > until:
                missing = ", ".join(sorted(waiting - set(ready)))
                raise ProcessFailedError(f"not ready after {SECONDS_TO_START:g} s: {missing}")
        return ready

    def hear(self, patience: float) -> list[tuple[str, Message]]:
        """Everything said since the last time, waiting up to ``patience`` seconds for something.

        Raises:
            ProcessFailedError: A process has ended before its work was done.
        """
        heard: list[tuple[str, Message]] = []
        try:
            heard.append(self._heard.get(timeout=patience))
            while True:
                heard.append(self._heard.get_nowait())
        except queue.Empty:
            pass
        for child in self._children.values():
            child.check()
        return heard

    @property
    def clients_done(self) -> bool:
        """Whether both sides have ended all their requests."""
        return all(self._children[side].done for side in SIDES)

    def pids(self) -> dict[str, Any]:
        """The process ids, by label."""
        return {label: child.process.pid for label, child in self._children.items()}
