"""LLM SDKs in every way a policy gets into them, and a server that answers like their endpoints."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anthropic
import anyio.from_thread
import httpx
import httpx2
import openai
import pytest

import resilix.httpx
import resilix.httpx2
from resilix.testing import FaultServer, steps
from resilix.testing.fault_http import chunk_of, head_of
from resilix.testing.fault_steps import Step, Wire

PIECES = ("forty", "-", "two")
"""What the model says, as a stream brings it."""
SAID = "".join(PIECES)
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Sdk:
    """One SDK and what its endpoint says.

    Attributes:
        module: ``openai`` or ``anthropic``.
        classes: Its sync and its async client.
        prefix: What its ``base_url`` has after the origin.
        path: Where a question goes.
        answer: A whole answer.
        frames: The same as server-sent events.
    """

    module: Any
    classes: tuple[Any, Any]
    prefix: str
    path: str
    answer: dict[str, Any]
    frames: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.module.__name__)

    def question(self, client: Any) -> Callable[..., Any]:
        """The method that asks, with its arguments."""
        messages = [{"role": "user", "content": "?"}]
        if self.module is openai:
            return partial(client.chat.completions.create, model="m", messages=messages)
        return partial(client.messages.create, model="m", messages=messages, max_tokens=9)

    def text(self, reply: Any) -> str:
        """What a whole answer says."""
        return str(reply.choices[0].message.content if self.module is openai else reply.content[0].text)

    def piece(self, event: Any) -> str:
        """What one event of a stream adds to the answer."""
        if self.module is openai:
            return str(event.choices[0].delta.content or "")
        return str(event.delta.text) if event.type == "content_block_delta" else ""

    def failure(self, status: int) -> Any:
        """The class of its errors for a status."""
        known = {429: self.module.RateLimitError, 500: self.module.InternalServerError}
        return known.get(status, self.module.InternalServerError)


def _openai_chunk(text: str) -> bytes:
    chunk = {
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }  # fmt: skip
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _anthropic_event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


_USAGE = {"input_tokens": 1, "output_tokens": 1}
_MESSAGE: dict[str, Any] = {
    "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": _USAGE,
}  # fmt: skip
_CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SAID}}

OPENAI = Sdk(
    openai,
    (openai.OpenAI, openai.AsyncOpenAI),
    "/v1",
    "/v1/chat/completions",
    {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [_CHOICE]},
    (*map(_openai_chunk, PIECES), b"data: [DONE]\n\n"),
)
ANTHROPIC = Sdk(
    anthropic,
    (anthropic.Anthropic, anthropic.AsyncAnthropic),
    "",
    "/v1/messages",
    {**_MESSAGE, "content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn"},
    (
        _anthropic_event("message_start", message=_MESSAGE),
        _anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            _anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in PIECES
        ),
        _anthropic_event("content_block_stop", index=0),
        _anthropic_event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=_USAGE),
        _anthropic_event("message_stop"),
    ),
)


# -- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Events:
    """A step: server-sent events as they are, ended well or by a reset.

    Attributes:
        frames: The events.
        every: Seconds before each.
        dies: Reset the connection instead of ending the body.
    """

    frames: tuple[bytes, ...]
    every: float = 0.0
    dies: bool = False

    async def play(self, wire: Wire, *, head_only: bool) -> bool:
        """Send them."""
        kind = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
        await wire.send(head_of(200, kind))
        for frame in self.frames:
            await wire.pause(self.every)
            await wire.send(chunk_of(frame))
        if self.dies:
            await wire.pause(0.05)  # or the reset overtakes what was sent
            await wire.end(reset=True)
            return False
        await wire.send(chunk_of(b""), last=True)
        return True


def whole(sdk: Sdk) -> Step:
    """A whole answer."""
    return steps.reply(200, json.dumps(sdk.answer).encode(), headers=JSON)


def failing(status: int, **headers: str) -> Step:
    """An error as these services send it; an SDK that retries comes back after a millisecond."""
    body = json.dumps({"error": {"type": "some_error", "message": "no"}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return steps.reply(status, body, headers={**JSON, "retry-after-ms": "1", **named})


# -- the ways in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One SDK, one way to call it, and one way a policy gets in.

    Attributes:
        sdk: Which SDK.
        door: ``resilix.httpx2``, or ``resilix.httpx`` where the SDK takes such a client too.
        library: The same without us.
        backend: ``None`` for sync code, else "asyncio" or "trio".
        way: "http_client", "install", or "default" (the SDK's own default client, dressed before the SDK has it).
    """

    sdk: Sdk
    door: Any
    library: Any
    backend: str | None
    way: str

    def __str__(self) -> str:
        return f"{self.sdk.name}-{self.library.__name__}-{self.backend or 'sync'}-{self.way}"

    @property
    def is_async(self) -> bool:
        """Whether its calls are awaited."""
        return self.backend is not None

    def policy(self, **options: Any) -> Any:
        """A policy of the kind an SDK needs, with a name of its own and no waits."""
        chosen: dict[str, Any] = {"wait": 0, "idempotency_key": "bare", "on_reject": "response", "budget": None}
        return self.door.standard(f"{self}-{next(_numbers)}", **{**chosen, **options})

    def make(self, url: str, policy: Any, max_retries: int | None = 0) -> Any:
        """The SDK's client with the policy inside; ``None`` leaves its retries as they are by themselves."""
        options: dict[str, Any] = {"api_key": "test", "base_url": url + self.sdk.prefix}
        if max_retries is not None:
            options["max_retries"] = max_retries
        made = self.sdk.classes[self.is_async]
        if self.way == "http_client":
            ours = self.door.AsyncClient if self.is_async else self.door.Client
            return made(http_client=ours(policy=policy), **options)
        if self.way == "default":
            module = self.sdk.module
            plain = module.DefaultAsyncHttpxClient() if self.is_async else module.DefaultHttpxClient()
            return made(http_client=self.door.install(plain, policy), **options)
        if self.library is httpx:
            options["http_client"] = httpx.AsyncClient() if self.is_async else httpx.Client()
        return self.door.install(made(**options), policy)

    @contextmanager
    def session(self, url: str, policy: Any, max_retries: int | None = 0) -> Generator[Asking]:
        """Make the client where it belongs and close it in the end."""
        if self.backend is None:
            with self.make(url, policy, max_retries) as client:
                yield Asking(self, client, None)
            return
        with anyio.from_thread.start_blocking_portal(self.backend) as portal:

            async def make_there() -> Any:
                return self.make(url, policy, max_retries)

            client = portal.call(make_there)
            try:
                yield Asking(self, client, portal)
            finally:
                portal.call(client.close)


_numbers = itertools.count(1)


class Asking:
    """An SDK's client that is used as if it were sync."""

    def __init__(self, case: Case, client: Any, portal: Any) -> None:
        self.case = case
        self.client = client
        self.portal = portal

    def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call what is sync in sync cases and async in the others."""
        return fn(*args) if self.portal is None else self.portal.call(fn, *args)

    def ask(self, client: Any = None, **options: Any) -> str:
        """One question, one whole answer."""
        sdk = self.case.sdk
        return sdk.text(self.run(partial(sdk.question(client or self.client), **options)))

    def open(self) -> Any:
        """One question, its answer as a stream of events."""
        return self.run(partial(self.case.sdk.question(self.client), stream=True))

    def next(self, stream: Any) -> Any:
        """The next event of a stream."""
        return self.run(stream.__next__ if self.portal is None else stream.__anext__)

    def rest(self, stream: Any) -> str:
        """What the events of a stream say that have not been read yet."""
        piece = self.case.sdk.piece
        if self.portal is None:
            return "".join(piece(event) for event in stream)

        async def read() -> str:
            return "".join([piece(event) async for event in stream])

        return str(self.portal.call(read))

    def close(self, stream: Any) -> None:
        """Leave a stream before its end."""
        self.run(stream.close)


WAYS = ("http_client", "install")
CASES = [
    *(
        Case(sdk, resilix.httpx2, httpx2, backend, way)
        for sdk in (OPENAI, ANTHROPIC)
        for backend in (None, "asyncio", "trio")
        for way in (*WAYS, "default")
    ),
    *(Case(OPENAI, resilix.httpx, httpx, backend, way) for backend in (None, "asyncio") for way in WAYS),
]
"""Every way. Anthropic's SDK takes no client of httpx."""
FEW = [
    Case(OPENAI, resilix.httpx2, httpx2, None, "install"),
    Case(OPENAI, resilix.httpx2, httpx2, "asyncio", "http_client"),
    Case(OPENAI, resilix.httpx, httpx, None, "http_client"),
    Case(OPENAI, resilix.httpx, httpx, "asyncio", "install"),
    Case(ANTHROPIC, resilix.httpx2, httpx2, None, "http_client"),
    Case(ANTHROPIC, resilix.httpx2, httpx2, "asyncio", "install"),
]
"""Each SDK, library and kind of code at least once."""

every_way = pytest.mark.parametrize("case", CASES, ids=str)
few_ways = pytest.mark.parametrize("case", FEW, ids=str)


def breaker_of(policy: Any, server: FaultServer) -> Any:
    """The breaker of the only origin there is."""
    return policy.states()[server.url].breaker
