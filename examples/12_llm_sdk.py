"""An LLM SDK with a policy inside: its own error types, a breaker, and no hidden multiplication of retries.

Run it with: python examples/12_llm_sdk.py
"""

import json

import openai

from resilix.httpx2 import install, standard
from resilix.testing import FaultServer, steps

ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "42"}}],
}  # fmt: skip


def ask(client: openai.OpenAI) -> str:
    """One question to the model."""
    reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
    return str(reply.choices[0].message.content)


def main() -> None:
    with FaultServer() as server:
        json_type = {"Content-Type": "application/json"}
        server.default = steps.reply(200, json.dumps(ANSWER).encode(), headers=json_type)
        # A chat request is a POST: it is retried because it carries a key. The SDK's own retries are off, because
        # 3 of theirs times 3 of ours would be 9 requests.
        llm = openai.OpenAI(api_key="test", base_url=f"{server.url}/v1", max_retries=0)
        policy = standard("llm", wait=0, idempotency_key="bare", on_reject="response", breaker={"consecutive": 6})
        install(llm, policy)

        server.script("/v1/chat/completions", 503, 503)
        print(f"the model says {ask(llm)} after {policy.attempts_total} requests")

        server.script("/v1/chat/completions", steps.reply(429, headers={"Retry-After": "3600"}))
        try:
            ask(llm)
        except openai.RateLimitError as error:
            print(f"a real 429 reaches you as {type(error).__name__}, at once: an hour is too long to wait")

        server.always("/v1/chat/completions", steps.reply(500))
        for _ in range(2):
            try:
                ask(llm)
            except openai.InternalServerError as error:
                print(f"{type(error).__name__}: {error.status_code}")
        before = len(server.seen)
        try:
            ask(llm)
        except openai.InternalServerError as error:
            print(f"refused by the breaker: {error.status_code}, {len(server.seen) - before} requests made")


if __name__ == "__main__":
    main()
