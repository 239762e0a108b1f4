"""A real HTTP server on the loopback that speaks `/v1/chat/completions`, faults included.

A callable decides what each request is answered: a message, or a `ModelServerFault` to commit.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

from astra.types import Json, Message, Usage

FaultKind = Literal[
    "rate_limited",
    "status",
    "reset",
    "slow",
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
    the error. `reset`: the connection is torn down. `slow`: nothing for `seconds`. `trickle`: a
    byte now and then, for ever. `truncated`: half of the announced body. `not_json`: half a
    body, announced as whole. `html`: a page of a proxy, status 200. `no_choices`: an empty list.
    `huge`: a reply of `size` bytes.
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

    path: str
    headers: Mapping[str, str]
    body: Json


ServerAnswer = Message | ModelServerFault | dict[str, Json]
"""A message, a fault, or the whole JSON of an answer."""
Respond = Callable[[int, Json], ServerAnswer]
"""From the request's index (from 0) and body to the answer."""


def completion(
    message: Message, *, finish: str | None = None, usage: Usage | None = None
) -> dict[str, Json]:
    """A message as the JSON of a chat-completions answer."""
    entry: dict[str, Json] = {"role": "assistant", "content": message.content or None}
    if message.reasoning:
        entry["reasoning_content"] = message.reasoning
    if message.tool_calls:
        entry["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.tool, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    reason = finish or ("tool_calls" if message.tool_calls else "stop")
    spent = usage or Usage(prompt_tokens=10, completion_tokens=5)
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": "test",
        "choices": [{"index": 0, "message": entry, "finish_reason": reason}],
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


class ModelServer:
    """The server, as a context: `url` is the base URL to give to a client."""

    def __init__(self, respond: Respond | Sequence[ServerAnswer]) -> None:
        self._respond = respond if callable(respond) else in_turn(*respond)
        self.seen: list[SeenRequest] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def answer(self, seen: SeenRequest) -> ServerAnswer:
        """Record a request and decide on its answer."""
        with self._lock:
            self.seen.append(seen)
            return self._respond(len(self.seen) - 1, seen.body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away while they are answered are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http  # pyright: ignore[reportIncompatibleVariableOverride] - the only one we serve

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": f"no {self.path}"}})
            return
        answer = self.server.owner.answer(SeenRequest(self.path, headers, json.loads(body)))
        match answer:
            case ModelServerFault():
                self._commit(answer)
            case Message():
                self._send(200, completion(answer))
            case _:
                self._send(200, answer)

    def _send(self, status: int, value: Json, headers: Mapping[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(value).encode(), headers)

    def _send_bytes(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        content_type: str = "application/json",
        announced: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body) if announced is None else announced))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _commit(self, fault: ModelServerFault) -> None:
        whole = json.dumps(completion(Message(role="assistant", content="whole"))).encode()
        error = {"error": {"message": fault.text, "code": fault.code}}
        stopping = self.server.owner.stopping
        match fault.kind:
            case "rate_limited":
                self._send(429, error, {"retry-after": f"{fault.seconds:g}"})
            case "status":
                self._send(fault.status, error)
            case "reset":
                # Zero linger: the kernel sends a reset in place of an orderly end.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
            case "slow":
                stopping.wait(fault.seconds)
                self.close_connection = True
            case "trickle":
                self._send_bytes(200, b"{", announced=1000)
                while not stopping.wait(0.05):
                    self.wfile.write(b" ")
            case "truncated":
                self._send_bytes(200, whole[: len(whole) // 2], announced=len(whole))
                self.close_connection = True
            case "not_json":
                self._send_bytes(200, whole[: len(whole) // 2])
            case "html":
                page = b"<html><body>502 Bad Gateway</body></html>"
                self._send_bytes(200, page, content_type="text/html")
            case "no_choices":
                self._send(200, {"choices": []})
            case "huge":
                self._send(200, completion(Message(role="assistant", content="x" * fault.size)))
