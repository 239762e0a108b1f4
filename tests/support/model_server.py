"""A real HTTP server on the loopback that speaks `/v1/chat/completions`, faults included.

A callable decides what each request is answered: a message, or a `ModelServerFault` to commit.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Literal

from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer
from astra.types import Json, Message, Usage

FaultKind = Literal[
    "rate_limited",
    "status",
    "reset",
    "silent",
    "trickle",
    "truncated",
    "not_json",
    "html",
    "no_choices",
    "huge",
]


@dataclass(frozen=True, slots=True)
class ModelServerFault:
    """What goes wrong with an answer.

    `rate_limited`: 429 with `Retry-After: {seconds}`. `status`: the status code, with `text` as
    the error. `reset`, `silent`, `truncated`: as of `WireFault`. `trickle`: a thousand bytes, one
    every 50 ms. `not_json`: half a body, announced as whole. `html`: a page of a proxy, status 200.
    `no_choices`: an empty list. `huge`: a reply of `size` bytes.
    """

    kind: FaultKind
    seconds: float = 30.0
    status: int = 500
    text: str = "injected"
    code: str | None = None
    size: int = 10 * 2**20


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it arrived."""

    headers: Mapping[str, str]
    body: Json


ServerAnswer = Message | ModelServerFault | dict[str, Json]
"""A message, a fault, or the whole JSON of an answer."""
Respond = Callable[[int, Json], ServerAnswer | Awaitable[ServerAnswer]]
"""From the request's index (from 0) and body to the answer."""


def completion(message: Message, *, usage: Usage | None = None) -> dict[str, Json]:
    """A message as the JSON of a chat-completions answer."""
    entry: dict[str, Json] = {"role": "assistant", "content": message.content or None}
    if message.reasoning:
        entry["reasoning_content"] = message.reasoning
    if message.tool_calls:
        # Not by `models.wire`, which repairs arguments: broken ones must arrive as they are.
        entry["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.tool, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    finish = "tool_calls" if message.tool_calls else "stop"
    spent = usage or Usage(prompt_tokens=10, completion_tokens=5)
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": "test",
        "choices": [{"index": 0, "message": entry, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_tokens": spent.prompt_tokens + spent.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
        },
    }


def in_turn(*answers: ServerAnswer) -> Respond:
    """Gives the answers one after the other, and the last one for ever."""
    return lambda index, body: answers[min(index, len(answers) - 1)]


class ModelServer(LoopbackServer):
    """The server, as a context: `url` is the base URL to give to a client."""

    def __init__(self, respond: Respond | Sequence[ServerAnswer]) -> None:
        super().__init__()
        self._answer = respond if callable(respond) else in_turn(*respond)
        self.seen: list[SeenRequest] = []

    @property
    def url(self) -> str:
        return f"{super().url}/v1"

    async def respond(self, request: HttpRequest) -> HttpReply:
        """Record a request and answer it."""
        if request.path != "/v1/chat/completions":
            return HttpReply(404, {"error": {"message": f"no {request.path}"}})
        body = json.loads(request.body)
        self.seen.append(SeenRequest(request.headers, body))
        answer = self._answer(len(self.seen) - 1, body)
        if isawaitable(answer):
            answer = await answer
        match answer:
            case ModelServerFault():
                return _faulty(answer)
            case Message():
                return HttpReply(200, completion(answer))
            case _:
                return HttpReply(200, answer)


def _faulty(fault: ModelServerFault) -> HttpReply:
    whole = completion(Message(role="assistant", content="whole"))
    error = {"error": {"message": fault.text, "code": fault.code}}
    match fault.kind:
        case "rate_limited":
            return HttpReply(429, error, {"retry-after": f"{fault.seconds:g}"})
        case "status":
            return HttpReply(fault.status, error)
        case "reset" | "silent" | "truncated":
            return HttpReply(200, whole, fault=fault.kind, seconds=fault.seconds)
        case "trickle":
            return HttpReply(200, b"{" + b" " * 999, fault="trickle")
        case "not_json":
            text = json.dumps(whole).encode()
            return HttpReply(200, text[: len(text) // 2])
        case "html":
            page = b"<html><body>502 Bad Gateway</body></html>"
            return HttpReply(200, page, {"content-type": "text/html"})
        case "no_choices":
            return HttpReply(200, {"choices": []})
        case "huge":
            return HttpReply(200, completion(Message(role="assistant", content="x" * fault.size)))
