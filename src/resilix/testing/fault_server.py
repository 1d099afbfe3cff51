"""``FaultServer``: a real HTTP/1.1 server on a socket that misbehaves by script and remembers what it saw."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from resilix.core import options
from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.testing.fault_connection import Connection
from resilix.testing.fault_record import Record, Seen
from resilix.testing.fault_steps import Step
from resilix.testing.steps import as_step, reply

T = TypeVar("T")
Scripted: TypeAlias = int | Step | Callable[[Seen], int | Step]
"""One entry of a script: a status, a step, or a function of the request that gives one."""

PATIENCE = 5.0
"""Seconds the server's own thread has to react."""
FULL = 8
"""Connections that fill the backlog of the black hole."""


class FaultServer:
    """A local HTTP server that answers well, badly, slowly or not at all, as a test tells it.

    It runs in a thread of its own, so sync code, asyncio and trio can talk to it alike.

    Example::

        with FaultServer() as server:
            server.script("/quotes", 503, steps.reset("mid_body"), steps.reply(200, b"4217"))
            assert client.get(f"{server.url}/quotes").text == "4217"
            assert len(server.seen) == 3

    Args:
        host: The address to listen on.
        port: 0 for a free one.

    Attributes:
        default: What answers a request for which nothing else is scripted.
        errors: What functions in scripts raised; such a request is answered with 500.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._wanted_port = options.whole("FaultServer", "port", port, least=0, most=65535, why="it is a TCP port")
        self._port = 0
        self.default: Scripted = reply(200)
        self.errors: list[Exception] = []
        self._scripts: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._always: dict[str, Scripted] = {}
        self._first: deque[Step] = deque()
        self._records: list[Record] = []
        self._accepted = 0
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._going: asyncio.Event
        self._stopping: asyncio.Event
        self._hole: list[socket.socket] = []

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; ``with`` does it for you.

        Raises:
            OSError: The port is taken.
        """
        if self._thread is not None:
            raise RuntimeError("FaultServer.start(): it runs already; use one object for each server")
        ready = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._run(ready))
            except BaseException as error:
                failure.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name="fault-server", daemon=True)
        self._thread.start()
        ready.wait(PATIENCE)
        if failure:
            self._thread.join()
            self._thread = None
            raise failure[0]
        return self

    def stop(self) -> None:
        """End every connection, whatever it waits for, and stop listening."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        loop.call_soon_threadsafe(self._stopping.set)
        thread.join(PATIENCE)
        self._thread = self._loop = None
        hole, self._hole = self._hole, []
        for one in hole:
            one.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._going, self._stopping = asyncio.Event(), asyncio.Event()
        self._going.set()
        self._port = self._wanted_port
        await self._listen()
        ready.set()
        await self._stopping.wait()
        await self._deafen()

    async def _listen(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: Connection(self), self._host, self._port, backlog=1024)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _deafen(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = list(self._open)
        tasks = [connection.task for connection in connections if connection.task is not None]
        for connection in connections:
            connection.end(reset=False)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in connections:
            connection.drop()
        await asyncio.sleep(0)

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise RuntimeError("this FaultServer does not run: write with FaultServer() as server: …")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    # -- where -----------------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: It does not run.
        """
        if self._loop is None:
            raise RuntimeError(
                "this FaultServer does not run, so it has no port: write with FaultServer() as server: …"
            )
        return self._port

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://{self._host}:{self.port}"

    @property
    def blackhole_url(self) -> str:
        """A place where a connect neither succeeds nor fails: a listener whose backlog is full."""
        if not self._hole:
            hole = socket.socket()
            hole.bind((self._host, 0))
            hole.listen(0)
            self._hole.append(hole)
            for _ in range(FULL):
                one = socket.socket()
                one.setblocking(False)
                self._hole.append(one)
                with suppress(BlockingIOError):
                    one.connect(hole.getsockname())
        return f"http://{self._host}:{self._hole[0].getsockname()[1]}"

    # -- what happens ----------------------------------------------------------------------------------------

    def script(self, path: str, *steps: Scripted) -> None:
        """Add steps for a path: one for each request, then the default answers again.

        Example::

            server.script("/quotes", 503, 503, steps.reply(200, b"4217"))

        Args:
            path: Without a query.
            steps: Statuses, steps, or functions of the request that give one.
        """
        checked = [_checked(step) for step in steps]
        with self._lock:
            self._scripts[_path("script", path)].extend(checked)

    def always(self, path: str, step: Scripted) -> None:
        """Answer every request for a path in one way, once its script is used up.

        Example::

            server.always("/slow", steps.reply(200, delay=0.3))
        """
        self._always[_path("always", path)] = _checked(step)

    def next_connections(self, *steps: Step) -> None:
        """Play a step on each of the next connections before anything is read.

        Example::

            server.next_connections(steps.reset("connect"), steps.reset("connect"))
        """
        checked = [as_step(step) for step in steps]
        with self._lock:
            self._first.extend(checked)

    def refuse(self) -> None:
        """Refuse connections from now on and end the open ones, as a server does that dies; see :meth:`listen`."""
        self._in_loop(self._deafen())

    def listen(self) -> None:
        """Come back on the same port."""
        self._in_loop(self._listen())

    def stall(self, seconds: float | None = None) -> None:
        """Accept and read, but answer nothing until :meth:`resume`, or for so many seconds."""

        async def stall() -> None:
            self._going.clear()
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, self._going.set)

        self._in_loop(stall())

    def resume(self) -> None:
        """Answer again, what has come meanwhile included."""

        async def resume() -> None:
            self._going.set()

        self._in_loop(resume())

    def forget(self) -> None:
        """Clear what was seen and scripted."""
        with self._lock:
            self._records = []
            self._scripts.clear()
            self._always.clear()
            self._first.clear()

    # -- what happened ---------------------------------------------------------------------------------------

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request whose head has been read, in order of arrival."""
        return tuple(record.seen() for record in list(self._records))

    def attempts(self, request_id: str) -> tuple[Seen, ...]:
        """The requests with this X-Request-Id."""
        return tuple(one for one in self.seen if one.request_id == request_id)

    @property
    def connections(self) -> int:
        """Connections accepted since it was made."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self._open)

    # -- for its connections -----------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> Step | None:
        """A connection came."""
        self._accepted += 1
        connection.number = self._accepted
        self._open.add(connection)
        with self._lock:
            return self._first.popleft() if self._first else None

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)

    def next_number(self) -> int:
        """The number of the next request."""
        return len(self._records) + 1

    def arrived(self, record: Record) -> Step:
        """Count a request and say what answers it."""
        with self._lock:
            self._records.append(record)
            script = self._scripts.get(record.path)
            chosen = script.popleft() if script else self._always.get(record.path, self.default)
        try:
            return as_step(chosen(record.seen()) if callable(chosen) else chosen)
        except Exception as error:
            self.errors.append(error)
            return reply(500, f"{type(error).__name__}: {error}\n".encode())

    async def flowing(self) -> None:
        """Wait while it is stalled."""
        await self._going.wait()


def _path(owner: str, path: str) -> str:
    if not isinstance(path, str) or not path.startswith("/") or "?" in path:
        raise refuse(
            f"FaultServer.{owner}", "path", path, "it is the path of a URL without its query", 'write path="/quotes"'
        )
    return path


def _checked(step: Scripted) -> Scripted:
    if callable(step) and not isinstance(step, type):
        return step
    if isinstance(step, type):
        raise ConfigurationError(f"script(…, {step.__name__}): it is a class; write steps.reply(…)")
    return as_step(step)
