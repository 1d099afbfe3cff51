"""Clients with policies, and putting policies into a client that somebody else made."""

from __future__ import annotations

import types
import warnings
from contextvars import Token
from typing import Any, ClassVar

from resilix.clock import SYSTEM
from resilix.errors import ConfigurationError, ResilixWarning
from resilix.http.base import BaseTransport
from resilix.http.call import CLIENT_CALL, ClientCall
from resilix.http.extensions import INFINITE
from resilix.http.library import Library
from resilix.http.source import Source, source_of

DRESSED = "_resilix_source"
"""Where a client keeps its policies."""


def begin_call(client: Any, *, whole: bool) -> Token[ClientCall | None]:
    """One call of a client: one deadline and one idempotency key, however many requests it takes."""
    source: Source = getattr(client, DRESSED)
    within = source.conduct.within
    moment = INFINITE if within == INFINITE else SYSTEM.now() + within
    return CLIENT_CALL.set(ClientCall(source, whole, moment))


def end_call(token: Token[ClientCall | None]) -> None:
    """The call is over, or its head has come."""
    CLIENT_CALL.reset(token)


def dress(client: Any, policy: Any, owner: str, wrap: type[BaseTransport]) -> None:
    """Put the policy around every transport the client has: the main one, its proxies, its mounts.

    Replacing what it has keeps proxies from the environment, limits, verify and http2; passing ``transport=`` would
    lose them.
    """
    source = source_of(owner, policy)
    for name in ("_transport", "_mounts"):
        if not hasattr(client, name):
            raise ConfigurationError(
                f"{owner}: this {type(client).__name__} keeps its transports in another place than the versions of "
                f"the library that are known here; use a transport of ours: {type(client).__name__}(transport=…)"
            )
    make: Any = wrap
    client._transport = make(source, inner=client._transport)
    client._mounts = {
        pattern: None if inner is None else inner if isinstance(inner, BaseTransport) else make(source, inner=inner)
        for pattern, inner in client._mounts.items()
    }
    setattr(client, DRESSED, source)


class ClientPolicies:
    """The sync client's part; stands before the library's own class."""

    LIBRARY: ClassVar[Library]
    TRANSPORT: ClassVar[type[BaseTransport]]

    def __init__(self, *, policy: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dress(self, policy, type(self).__name__, self.TRANSPORT)

    def send(self, request: Any, *, stream: bool = False, **kwargs: Any) -> Any:
        """Send a request; redirects and auth round trips included, it is one call with one deadline."""
        token = begin_call(self, whole=not stream)
        try:
            # The class beside this one, the library's own, has it.
            return super().send(request, stream=stream, **kwargs)  # type: ignore[misc]
        finally:
            end_call(token)


class AsyncClientPolicies:
    """The async client's part."""

    LIBRARY: ClassVar[Library]
    TRANSPORT: ClassVar[type[BaseTransport]]

    def __init__(self, *, policy: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dress(self, policy, type(self).__name__, self.TRANSPORT)

    async def send(self, request: Any, *, stream: bool = False, **kwargs: Any) -> Any:
        """Send a request; redirects and auth round trips included, it is one call with one deadline."""
        token = begin_call(self, whole=not stream)
        try:
            # The class beside this one, the library's own, has it.
            return await super().send(request, stream=stream, **kwargs)  # type: ignore[misc]
        finally:
            end_call(token)


def _send(client: Any, request: Any, *, stream: bool = False, **kwargs: Any) -> Any:
    token = begin_call(client, whole=not stream)
    try:
        return type(client).send(client, request, stream=stream, **kwargs)
    finally:
        end_call(token)


async def _asend(client: Any, request: Any, *, stream: bool = False, **kwargs: Any) -> Any:
    token = begin_call(client, whole=not stream)
    try:
        return await type(client).send(client, request, stream=stream, **kwargs)
    finally:
        end_call(token)


def install(client: Any, policy: Any, *, sync: type[BaseTransport], awaited: type[BaseTransport]) -> Any:
    """Put a policy into a client somebody else made; see the doors."""
    library = sync.LIBRARY
    module = library.module
    inside = _http_client(client, module)
    if isinstance(inside, module.AsyncClient):
        wrap, send = awaited, _asend
    elif isinstance(inside, module.Client):
        wrap, send = sync, _send
    else:
        raise ConfigurationError(
            f"install({type(client).__name__}): it is no client of {library.name}, nor an SDK that holds one; "
            f"hand over the {library.name}.Client or {library.name}.AsyncClient itself"
            + _other_library(inside, library.name)
        )
    if hasattr(inside, DRESSED):
        raise ConfigurationError(
            f"install({type(client).__name__}): it has a policy already, and two would multiply their attempts; "
            "install one only, or make a client of its own"
        )
    dress(inside, policy, "install", wrap)
    inside.send = types.MethodType(send, inside)
    warn_of_sdk(client, inside, getattr(inside, DRESSED))
    return client


def _http_client(client: Any, module: Any) -> Any:
    """The HTTP client inside an SDK's client (openai and anthropic keep it in ``_client``), or what was given."""
    if isinstance(client, (module.Client, module.AsyncClient)):
        return client
    return getattr(client, "_client", client)


def _other_library(client: Any, name: str) -> str:
    other = {"httpx": "httpx2", "httpx2": "httpx"}[name]
    for kind in type(client).__mro__:
        made_by = kind.__module__.partition(".")[0]
        if made_by == other:
            return f". This one is of {other}: from resilix.{other} import install"
    return ""


def warn_of_sdk(client: Any, inside: Any, source: Source) -> None:
    """An SDK that retries too multiplies our attempts."""
    retries = getattr(client, "max_retries", None)
    if client is inside or not isinstance(retries, int) or retries < 1 or source.retries <= 1:
        return
    for transport in (inside._transport, *inside._mounts.values()):
        if isinstance(transport, BaseTransport):
            transport.told_of_sdk()
    warnings.warn(
        f"{type(client).__name__} retries too (max_retries={retries}): attempts multiply, up to "
        f"{(retries + 1) * source.retries:g} per call; make it with max_retries=0, or use attempts=1 here",
        ResilixWarning,
        stacklevel=4,
    )
