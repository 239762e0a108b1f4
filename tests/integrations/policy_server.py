"""A chat-completions endpoint that plays a reference policy in whatever arena it is asked about."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from astra.core.messages import message_from_openai, tool_from_openai
from astra.hosts.arena import arena_messages
from astra.models.policies import Policy, policy
from astra.protocols import Sampling
from astra.rollouts.user_tool import USER_TOOL
from astra.types import Arena, Message
from tests.support.model_server import completion
from tests.support.user_calls import said_by_tool


class PolicyServer:
    """Which arena is played follows from the question. A context manager; `url` ends in /v1."""

    def __init__(self, name: Policy, arenas: Iterable[Arena]) -> None:
        self._name: Policy = name
        self._by_question = {arena_messages(arena)[1].content: arena for arena in arenas}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                whole = completion(asyncio.run(owner.answer(body)))
                if body.get("stream"):
                    kind, content = "text/event-stream", events(whole)
                else:
                    kind, content = "application/json", json.dumps(whole).encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    async def answer(self, body: Any) -> Message:
        """The policy's next message in a conversation."""
        messages = [message_from_openai(message) for message in body["messages"]]
        question = next(m.content for m in messages if m.role == "user")
        tools = [tool_from_openai(tool) for tool in body.get("tools") or ()]
        model = policy(self._name, self._by_question[question])
        if any(tool.name == USER_TOOL.name for tool in tools):
            message = await said_by_tool(model, messages)
        else:
            message = (await model.generate(messages, tools, Sampling())).message
        # Ids of calls are unique in a conversation, as those of endpoints are.
        turn = sum(earlier.role == "assistant" for earlier in messages)
        calls = tuple(
            call.model_copy(update={"id": f"call_{turn}_{index}"})
            for index, call in enumerate(message.tool_calls)
        )
        return message.model_copy(update={"tool_calls": calls})

    def __enter__(self) -> PolicyServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def events(whole: dict[str, Any]) -> bytes:
    """A completion as the one chunk of a stream, with its end."""
    (choice,) = whole["choices"]
    calls = choice["message"].get("tool_calls") or []
    delta = choice["message"] | {"tool_calls": [{"index": i} | c for i, c in enumerate(calls)]}
    finish = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    first = {"index": 0, "delta": delta, "finish_reason": None}
    base = whole | {"object": "chat.completion.chunk"}
    chunks = [base | {"choices": [first], "usage": None}, base | {"choices": [finish]}]
    lines = [*map(json.dumps, chunks), "[DONE]"]
    return "".join(f"data: {line}\n\n" for line in lines).encode()
