"""Policies for httpx: transports and clients that survive what networks do.

Example::

    from resilix.httpx import Client, standard

    with Client(policy=standard("quotes"), base_url="https://quotes.example.com") as client:
        print(client.get("/ACME").json())

What happens to which request, and why, is in ``docs/http.md``. ``resilix.httpx2`` offers the same for httpx2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

try:
    import httpx
except ImportError as missing:  # pragma: no cover - tested in an interpreter of its own
    raise ImportError("resilix.httpx needs httpx: pip install 'resilix-toolkit[httpx]'") from missing

from resilix import errors
from resilix.http import base, clients, faults, transports
from resilix.http.library import Library
from resilix.http.recipe import KeyState
from resilix.http.rules import Exchange, Failure, Ruling, classify
from resilix.http.standard import Standard, standard
from resilix.policies.base import Policy

__all__ = [
    "AsyncClient", "AsyncFaultTransport", "AsyncTransport", "BulkheadFullError", "CircuitOpenError", "Client",
    "DeadlineExpiredError", "Exchange", "Failure", "FaultTransport", "KeyState", "RejectedError", "Ruling",
    "Standard", "Transport", "classify", "install", "standard",
]  # fmt: skip

C = TypeVar("C")


class RejectedError(errors.RejectedError, httpx.TransportError):
    """A refusal by a policy, which is a transport error of httpx too."""


class CircuitOpenError(errors.CircuitOpenError, RejectedError):
    """The circuit breaker is open; nothing was sent."""


class BulkheadFullError(errors.BulkheadFullError, RejectedError):
    """All places are taken; nothing was sent."""


class DeadlineExpiredError(errors.DeadlineExpiredError, RejectedError, httpx.TimeoutException):
    """No time was left to start; nothing was sent."""


LIBRARY = Library(
    httpx,
    {
        errors.CircuitOpenError: CircuitOpenError,
        errors.BulkheadFullError: BulkheadFullError,
        errors.DeadlineExpiredError: DeadlineExpiredError,
        errors.RejectedError: RejectedError,
    },
)


class Transport(transports.SyncTransport, httpx.BaseTransport):
    """A policy around a sync transport of httpx.

    Example::

        client = httpx.Client(mounts={"https://quotes.example.com": Transport(standard("quotes"))})

    A client of httpx that is given ``transport=`` no longer looks at ``limits``, ``verify``, ``http2`` and the proxies
    of the environment: give them to the inner transport, or use :class:`Client`, which keeps them.

    Args:
        policy: ``standard(…)``, or any policy or pipeline. With your own pipeline its options say what is retried and
            what counts; a request that is not safe to repeat is not repeated all the same.
        inner: The transport that sends; ``None`` for a new ``httpx.HTTPTransport()``.

    Raises:
        ConfigurationError: ``policy`` is none, or ``inner`` is of another library or kind, or cannot be held to the
            time limits that the policy sets.
    """

    LIBRARY: ClassVar[Library] = LIBRARY


class AsyncTransport(transports.AsyncTransport, httpx.AsyncBaseTransport):
    """A policy around an async transport of httpx, on asyncio and trio; otherwise as :class:`Transport`.

    Example::

        client = httpx.AsyncClient(transport=AsyncTransport(standard("quotes")))
    """

    LIBRARY: ClassVar[Library] = LIBRARY


class FaultTransport(faults.SyncFaults, httpx.BaseTransport):
    """A fault plan in place of a network that fails: what it lets pass is sent by the transport inside.

    Example::

        plan = faults.sequence(ConnectionError, 503, faults.ok)
        client = Client(policy=standard("quotes"), transport=FaultTransport(plan))
        client = httpx.Client(transport=FaultTransport(plan))

    Statuses become responses, errors those of httpx; a wait that is longer than the read timeout of the request ends
    with ``httpx.ReadTimeout`` when that is over. Nothing befalls while faults are switched off.

    Args:
        plan: Made by the functions of ``resilix.testing.faults``.
        inner: The transport that sends; ``None`` for a new ``httpx.HTTPTransport()``.

    Raises:
        ConfigurationError: ``plan`` is none, or ``inner`` is no transport for this kind of client.
    """

    LIBRARY: ClassVar[Library] = LIBRARY


class AsyncFaultTransport(faults.AsyncFaults, httpx.AsyncBaseTransport):
    """The same for an async client, on asyncio and trio; otherwise as :class:`FaultTransport`.

    Example::

        client = AsyncClient(policy=standard("quotes"), transport=AsyncFaultTransport(faults.hang()))
    """

    LIBRARY: ClassVar[Library] = LIBRARY


class Client(clients.ClientPolicies, httpx.Client):
    """``httpx.Client`` with a policy; everything else is as there, proxies, limits and mounts included.

    Example::

        with Client(policy=standard("quotes"), timeout=5.0) as client:
            client.get("https://quotes.example.com/ACME")

    A call is one call: its deadline (``within``) holds over redirects, auth round trips, retries, and the body. A body
    that dies is retried like any other failure, unless it is streamed.

    Args:
        policy: As for :class:`Transport`.
        kwargs: Whatever ``httpx.Client`` takes.

    Raises:
        ConfigurationError: As :class:`Transport`.
    """

    TRANSPORT: ClassVar[type[base.BaseTransport]] = Transport

    if TYPE_CHECKING:

        def send(self, request: httpx.Request, *, stream: bool = False, **kwargs: Any) -> httpx.Response:
            """Send a request made before."""
            ...


class AsyncClient(clients.AsyncClientPolicies, httpx.AsyncClient):
    """``httpx.AsyncClient`` with a policy; otherwise as :class:`Client`.

    Example::

        async with AsyncClient(policy=standard("quotes")) as client:
            await client.get("https://quotes.example.com/ACME")
    """

    TRANSPORT: ClassVar[type[base.BaseTransport]] = AsyncTransport

    if TYPE_CHECKING:

        async def send(self, request: httpx.Request, *, stream: bool = False, **kwargs: Any) -> httpx.Response:
            """Send a request made before."""
            ...


def install(client: C, policy: Standard | Policy[Any]) -> C:
    """Put a policy into a client that somebody else made, an SDK's say; it is changed in place and returned.

    Example::

        llm = openai.OpenAI(max_retries=0)
        install(llm, standard("openai", on_reject="response"))

    Args:
        client: A client of httpx, sync or async, in use or not; or an SDK's client that keeps one in ``_client``.
        policy: As for :class:`Transport`.

    Raises:
        ConfigurationError: It is no such client, or has a policy already.
    """
    clients.install(client, policy, sync=Transport, awaited=AsyncTransport)
    return client
