"""``FaultServer``: a real HTTP/1.1 server on a socket that misbehaves by script and remembers what it saw."""

from __future__ import annotations

import ipaddress
import socket
from types import TracebackType
from typing import Any, Self

from resilix.core import options
from resilix.core.options import refuse
from resilix.locks import Lock
from resilix.testing.fault_engine import Engine
from resilix.testing.fault_hole import BlackHole
from resilix.testing.fault_plan import Plan, Scripted, entry
from resilix.testing.fault_record import Records, Seen
from resilix.testing.fault_steps import Step

HINT = "write with FaultServer() as server: …"


class FaultServer:
    """A local HTTP server that answers well, badly, slowly or not at all, as a test tells it.

    It runs in a thread of its own, so sync code, asyncio and trio can talk to it alike.

    Example::

        with FaultServer() as server:
            server.script("/quotes", 503, steps.reset("mid_body"), steps.reply(200, b"4217"))
            assert client.get(f"{server.url}/quotes").text == "4217"
            assert len(server.seen) == 3

    Functions in scripts run in the server's thread: while one blocks, nothing is answered.

    Args:
        host: The IP address to listen on.
        port: 0 for a free one.
        name: Of its thread, to tell servers apart where threads are listed.

    Raises:
        ConfigurationError: ``host`` is no IP address, ``port`` no port, or ``name`` is empty.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, name: str = "faults") -> None:
        self._host, self._family = host, _family(host)
        self._wanted = options.whole("FaultServer", "port", port, least=0, most=65535, why="it is a TCP port")
        self._name = options.name_of("FaultServer", name)
        self._plan = Plan()
        self._records = Records()
        self._lock = Lock()
        self._engine: Engine | None = None
        self._last: Engine | None = None
        self._hole = BlackHole(host, self._family)

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; ``with`` and ``async with`` do it for you.

        Raises:
            OSError: The port is taken, or the address is not this machine's.
            RuntimeError: It runs already.
        """
        with self._lock:
            if self._engine is not None:
                raise RuntimeError("FaultServer.start(): it runs already; use one object for each server")
            engine = Engine(self._host, self._wanted, self._plan, self._records, self._name)
            engine.start()
            self._engine = self._last = engine
        return self

    def stop(self) -> None:
        """End every connection, whatever it waits for, and stop listening. What was seen stays.

        Raises:
            RuntimeError: A function in a script called it, or blocks the server.
        """
        if self._engine is not None and self._engine.inside:
            raise RuntimeError("FaultServer.stop(): a function in a script cannot end the server that runs it")
        with self._lock:
            engine, self._engine = self._engine, None
            self._hole.close()
            if engine is not None:
                engine.stop()

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

    def _running(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise RuntimeError(f"this FaultServer does not run, so it has no port and no connections: {HINT}")
        return engine

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
        return self._running().port

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end.

        Raises:
            RuntimeError: It does not run.
        """
        return self._url(self.port)

    @property
    def blackhole_url(self) -> str:
        """A place where a connect neither succeeds nor fails: a listener whose backlog is full.

        Raises:
            RuntimeError: The server does not run.
        """
        self._running()
        return self._url(self._hole.port)

    def _url(self, port: int) -> str:
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    # -- what happens ----------------------------------------------------------------------------------------

    @property
    def default(self) -> Scripted:
        """What answers a request for which nothing else is scripted; at first, an empty 200."""
        return self._plan.default

    @default.setter
    def default(self, step: Scripted) -> None:
        self._plan.default = entry("default", step)

    def script(self, path: str, *steps: Scripted, repeat: bool = False) -> None:
        """Add steps for a path: one for each request, then ``always`` or the default answers again.

        Example::

            server.script("/quotes", 503, 503, steps.reply(200, b"4217"))

        Args:
            path: Without a query.
            steps: Statuses, steps, or functions of the request that give one. They come after what is left of earlier
                scripts of the path.
            repeat: These steps begin again when they are used up, so that the default never answers.

        Raises:
            ConfigurationError: The path is none, or a step is none.
        """
        self._plan.script(path, steps, repeat=repeat)

    def always(self, path: str, step: Scripted) -> None:
        """Answer every request for a path in one way, once its script is used up.

        Example::

            server.always("/slow", steps.reply(200, delay=0.3))

        Raises:
            ConfigurationError: The path is none, or the step is none.
        """
        self._plan.always(path, step)

    def next_connections(self, *steps: int | Step) -> None:
        """Play a step on each of the next connections before anything is read, and then close it.

        Example::

            server.next_connections(steps.reset("connect"), steps.reset("connect"))

        Raises:
            ConfigurationError: A step is none.
        """
        self._plan.on_connect(steps)

    def refuse(self) -> None:
        """Refuse connections from now on and end the open ones, as a server does that dies; see :meth:`listen`."""
        engine = self._running()
        engine.call(engine.refuse)

    def listen(self) -> None:
        """Come back on the same port.

        Raises:
            OSError: Somebody else has taken it meanwhile.
        """
        engine = self._running()
        engine.call(engine.listen)

    def stall(self, seconds: float | None = None) -> None:
        """Accept and read, but answer nothing until :meth:`resume`; what is being sent is sent to its end.

        Args:
            seconds: Resume by itself after so many.

        Raises:
            ConfigurationError: ``seconds`` is no duration above zero.
        """
        length = None if seconds is None else options.duration("FaultServer.stall", "seconds", seconds)
        engine = self._running()
        engine.call(lambda: engine.stall(length))

    def resume(self) -> None:
        """Answer again, what has come meanwhile included."""
        engine = self._running()
        engine.call(engine.resume)

    def forget(self) -> None:
        """Clear what was seen and scripted, and the errors. The default stays."""
        self._plan.forget()
        self._records.forget()

    # -- what happened ---------------------------------------------------------------------------------------

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request whose head has been read, in order of arrival."""
        return self._copies(None)

    def attempts(self, request_id: str) -> tuple[Seen, ...]:
        """The requests with this X-Request-Id, in order of arrival."""
        return self._copies(request_id)

    def _copies(self, request_id: str | None) -> tuple[Seen, ...]:
        self._settled()
        return tuple(record.seen() for record in self._records.some(request_id))

    def _settled(self) -> Engine | None:
        """The engine that runs or ran last, once what clients have done by now is accounted for."""
        if self._engine is not None:
            self._engine.settle()
        return self._last

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """What functions in scripts raised (such a request is answered with 500), and steps of your own."""
        return tuple(self._plan.errors)

    @property
    def connections(self) -> int:
        """Connections accepted since it was started."""
        engine = self._settled()
        return 0 if engine is None else engine.accepted

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        engine = self._settled()
        return 0 if engine is None else len(engine.open)


def _family(host: Any) -> socket.AddressFamily:
    try:
        if not isinstance(host, str):
            raise ValueError(host)
        version = ipaddress.ip_address(host).version
    except ValueError:
        hint = 'write host="127.0.0.1"'
        raise refuse("FaultServer", "host", host, "it is an IP address of this machine", hint) from None
    return socket.AF_INET if version == 4 else socket.AF_INET6
