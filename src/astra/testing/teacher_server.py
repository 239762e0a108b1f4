"""A real HTTP server on the loopback that answers rendered prompts by a teacher, faults included.

It speaks the chat-completions API, so that the whole way of a prompt is tested: rendering,
request, reply, reading. What it is asked, it reads from the messages themselves. Any `Teacher`
can stand behind it; `RuleTeacher` needs no model. A request that carries `tools` goes to an agent,
any `Model`, where there is one.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError

from astra.errors import ModelError, TeacherError
from astra.models.wire import as_completion, read_request
from astra.protocols import Model, Sampling
from astra.teacher.catalogue import ALL
from astra.teacher.prompt import Prompt, Teacher
from astra.teacher.render import read_task
from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer, WireFault
from astra.testing.teacher_faults import FaultCounter, FaultPlan, TeacherServerFault
from astra.types import Json, Message, Record, ToolSchema, content_hash

HUGE = 10 * 2**20
"""Characters of a huge reply's content."""
_WIRE: dict[TeacherServerFault, WireFault] = {
    TeacherServerFault.reset: "reset",
    TeacherServerFault.timeout: "silent",
    TeacherServerFault.truncated: "truncated",
    TeacherServerFault.slow: "slow",
}

ServedReasoning = Literal["none", "field", "inline"]
"""Whether replies reason: not, in `reasoning_content`, or in a `<think>` block before them."""
_THOUGHT = 'A first draft would be {"reason": "?"}, but this can be looked up.'
FORMATS = ("json_schema", "json_object")
AGENT = "agent"
"""What requests with tools are counted under."""


@dataclass(frozen=True, slots=True)
class ServedCounts:
    """What the server has seen and done so far."""

    requests: int
    """Chat requests, those that went wrong too."""
    by_prompt: Mapping[str, int]
    """Requests by the prompt's name; "": no prompt of ours; "agent": with tools."""
    by_task: Mapping[str, int]
    """Requests by task: a hash of prompt, input and index, or of an agent's conversation."""
    answered: Mapping[str, int]
    """Whole right answers by task. Above 1: a client paid twice for the same."""
    faults: Mapping[str, int]
    refused: int
    """Tasks that the teacher could not answer."""
    most_at_once: int
    """Most requests that were under way together."""

    def as_json(self) -> Json:
        return {
            "requests": self.requests,
            "by_prompt": dict(sorted(self.by_prompt.items())),
            "tasks": len(self.by_task),
            "answered": len(self.answered),
            "answered_again": sum(count - 1 for count in self.answered.values()),
            "faults": dict(sorted(self.faults.items())),
            "refused": self.refused,
            "most_at_once": self.most_at_once,
        }


class TeacherServer(LoopbackServer):
    """The server, as a context; it runs in a thread of its own. `url` is for clients.

    `latency`: seconds before each answer. `takes`: forms of `response_format` that are not
    refused. `extra`: what `/stats` tells beside the server's own counts. `agent`: what answers
    requests with tools, under the teacher's name; None: they are read as prompts.
    """

    def __init__(
        self,
        teacher: Teacher,
        *,
        faults: float | FaultPlan = 0.0,
        seed: int = 0,
        latency: float = 0.0,
        port: int = 0,
        prompts: Sequence[Prompt[Any, Any]] = ALL,
        takes: Sequence[str] = FORMATS,
        reasoning: ServedReasoning = "none",
        extra: Callable[[], dict[str, Json]] = dict,
        agent: Model | None = None,
    ) -> None:
        super().__init__(port)
        plan = faults if isinstance(faults, FaultPlan) else FaultPlan(faults, seed=seed)
        self._teacher = teacher
        self._prompts = {prompt.name: prompt for prompt in prompts}
        self._latency = latency
        self._takes = takes
        self._reasoning: ServedReasoning = reasoning
        self._extra = extra
        self._agent = agent
        self._plan = plan
        self._lock = threading.Lock()
        self._faults = FaultCounter(plan)
        self._by_prompt: Counter[str] = Counter()
        self._by_task: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._refused = self._at_once = self._most_at_once = 0

    @property
    def url(self) -> str:
        """The base URL, up to `/v1`."""
        return f"{super().url}/v1"

    def served(self) -> ServedCounts:
        """The counts so far; may be asked at any time."""
        with self._lock:
            return ServedCounts(
                requests=self._by_prompt.total(),
                by_prompt=dict(self._by_prompt),
                by_task=dict(self._by_task),
                answered=dict(self._answered),
                faults={fault.value: n for fault, n in self._faults.committed.items()},
                refused=self._refused,
                most_at_once=self._most_at_once,
            )

    # --- answering ---------------------------------------------------------------------------

    async def respond(self, request: HttpRequest) -> HttpReply:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                with self._lock:
                    self._at_once += 1
                    self._most_at_once = max(self._most_at_once, self._at_once)
                try:
                    return await self._chat(request.body)
                finally:
                    with self._lock:
                        self._at_once -= 1
            case "GET", "/v1/models":
                entry = {"id": self._teacher.name, "object": "model", "owned_by": "astra"}
                return HttpReply(200, {"object": "list", "data": [entry]})
            case "GET", "/stats":
                return HttpReply(200, self.served().as_json() | self._extra())
            case "GET", "/stats/tasks":
                served = self.served()
                return HttpReply(200, {"asked": served.by_task, "answered": served.answered})
            case method, path:
                return _error(404, f"there is no {method} {path}")

    async def _chat(self, content: bytes) -> HttpReply:
        try:
            body = json.loads(content)
            if self._agent is not None and isinstance(body, dict) and body.get("tools"):
                asked = read_conversation(body)
            else:
                asked = read_asked(body, self._prompts)
        except (ValueError, RecursionError) as error:
            with self._lock:
                self._by_prompt[""] += 1
            return _error(400, f"not answered: {error}")
        with self._lock:
            self._by_prompt[asked.about] += 1
            self._by_task[asked.task] += 1
        if body.get("model") != self._teacher.name:
            return _error(404, f"the model {body.get('model')!r} does not exist")
        form = (body.get("response_format") or {}).get("type", "text")
        if form != "text" and form not in self._takes:
            return _error(400, f"response_format {form!r} is not supported")
        with self._lock:
            fault = self._faults.next(asked.task)
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is TeacherServerFault.rate_limited:
            return _error(429, "slow down", {"retry-after": f"{self._plan.retry_after:g}"})
        if fault is TeacherServerFault.server_error:
            return _error(500, "injected")
        try:
            choices = await self._choices(asked, fault, form)
        except (ModelError, TeacherError) as error:
            if fault is None:
                with self._lock:
                    self._refused += 1
            return self._completion(asked, [_choice(0, refusal=str(error))], fault)
        # A reply that is torn or spoilt is not counted: the client has to ask again.
        if fault in (None, TeacherServerFault.slow):
            with self._lock:
                self._answered[asked.task] += 1
        return self._completion(asked, choices, fault)

    async def _choices(
        self,
        asked: TeacherQuestion | AgentQuestion,
        fault: TeacherServerFault | None,
        form: str,
    ) -> list[dict[str, Json]]:
        """The agent's next message, or the teacher's answers. Raises ModelError, TeacherError."""
        if isinstance(asked, AgentQuestion):
            assert self._agent is not None
            reply = await self._agent.generate(asked.messages, asked.tools, asked.sampling)
            choice = as_completion(reply)
            text = choice["message"]["content"] or json.dumps(choice["message"].get("tool_calls"))
            return [_spoilt(0, text, fault) or choice]
        answers = [
            await self._teacher.ask(asked.prompt, asked.given, index=asked.index + number)
            for number in range(asked.choices)
        ]
        texts = [json.dumps(a.model_dump(mode="json"), ensure_ascii=False) for a in answers]
        return [
            _spoilt(number, text, fault) or self._choice(number, text, form)
            for number, text in enumerate(texts)
        ]

    def _choice(self, number: int, text: str, form: str) -> dict[str, Json]:
        if form == "text":
            text = f"Here is the answer.\n\n```json\n{text}\n```\n"
        if self._reasoning == "inline":
            text = f"<think>\n{_THOUGHT}\n</think>\n\n{text}"
        choice = _choice(number, text)
        if self._reasoning == "field":
            choice["message"]["reasoning_content"] = _THOUGHT
        return choice

    def _completion(
        self,
        asked: TeacherQuestion | AgentQuestion,
        choices: list[dict[str, Json]],
        fault: TeacherServerFault | None,
    ) -> HttpReply:
        written = sum(_tokens(json.dumps(choice["message"])) for choice in choices)
        body = {
            "id": f"chatcmpl-{asked.task}",
            "object": "chat.completion",
            "created": 0,
            "model": self._teacher.name,
            "choices": choices,
            "usage": {
                "prompt_tokens": asked.tokens,
                "completion_tokens": written,
                "total_tokens": asked.tokens + written,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        }
        wire = None if fault is None else _WIRE.get(fault)
        return HttpReply(200, body, fault=wire, seconds=self._plan.hold)


# --- what is asked ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TeacherQuestion:
    """What a request asks of the teacher."""

    prompt: Prompt[Any, Any]
    given: Record
    index: int
    """The request's `seed`, by which clients tell several answers apart."""
    choices: int
    task: str
    tokens: int
    """Of the messages; a token is taken to be four bytes."""

    @property
    def about(self) -> str:
        """What is counted under."""
        return self.prompt.name


@dataclass(frozen=True, slots=True)
class AgentQuestion:
    """What a request asks of the agent."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    sampling: Sampling
    task: str
    tokens: int
    about: str = AGENT


def read_conversation(body: dict[str, Json]) -> AgentQuestion:
    """The conversation in a request body that carries tools; ValueError when it can't be read."""
    messages, tools, sampling = read_request(body)
    return AgentQuestion(
        messages=messages,
        tools=tools,
        sampling=sampling,
        task=content_hash([AGENT, body["messages"], body["tools"], sampling.seed]),
        tokens=sum(_tokens(message.content) for message in messages),
    )


def read_asked(body: Json, prompts: Mapping[str, Prompt[Any, Any]]) -> TeacherQuestion:
    """What a request body asks; ValueError when no prompt of ours stands in its messages."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ValueError("the body has no list of messages")
    task = read_task(messages)
    if task is None or task.prompt not in prompts:
        raise ValueError("this server answers rendered prompts alone, and the messages hold none")
    prompt, index, choices = prompts[task.prompt], body.get("seed") or 0, body.get("n") or 1
    if not isinstance(index, int) or not isinstance(choices, int) or not 1 <= choices <= 128:
        raise ValueError("`seed` and `n` must be integers, `n` from 1 to 128")
    schema = _schema(prompt.input_type)
    try:
        given = prompt.input_type.model_validate(
            _filled(task.fields, schema, schema.get("$defs", {}))
        )
    except ValidationError as error:
        raise ValueError(f"the input of {prompt.name!r} can't be read: {error}") from None
    return TeacherQuestion(
        prompt=prompt,
        given=given,
        index=index,
        choices=choices,
        task=content_hash([prompt.name, task.fields, index]),
        tokens=sum(_tokens(str(message.get("content"))) for message in messages),
    )


@cache
def _schema(record: type[Record]) -> dict[str, Json]:
    return record.model_json_schema()


def _filled(value: Json, schema: dict[str, Json], types: Mapping[str, Json]) -> Json:
    """The value with empty ones for the fields that a template withholds."""
    if "$ref" in schema:
        schema = types[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [_filled(item, schema.get("items", {}), types) for item in value]
    if not isinstance(value, dict):
        return value
    if "properties" not in schema:
        inner = schema.get("additionalProperties")
        inner = inner if isinstance(inner, dict) else {}
        return {name: _filled(item, inner, types) for name, item in value.items()}
    known = schema["properties"]
    full = {name: _filled(item, known.get(name, {}), types) for name, item in value.items()}
    missing = [name for name in schema.get("required", []) if name not in value]
    return full | {name: _nothing(known[name], types) for name in missing}


def _nothing(schema: dict[str, Json], types: Mapping[str, Json]) -> Json:
    if "$ref" in schema:
        return _nothing(types[schema["$ref"].rpartition("/")[2]], types)
    if "anyOf" in schema:
        return _nothing(schema["anyOf"][0], types)
    if "enum" in schema:
        return schema["enum"][0]
    kinds = {"array": [], "object": {}, "boolean": False, "integer": 0, "number": 0}
    return kinds.get(schema.get("type", "string"), "")


# --- replies ---------------------------------------------------------------------------------


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> HttpReply:
    error = {"message": text, "type": "invalid_request_error", "code": None}
    return HttpReply(status, {"error": error}, headers or {})


def _choice(number: int, text: str = "", refusal: str | None = None) -> dict[str, Json]:
    message = {"role": "assistant", "content": text or None, "refusal": refusal}
    return {"index": number, "message": message, "finish_reason": "stop"}


def _spoilt(number: int, text: str, fault: TeacherServerFault | None) -> dict[str, Json] | None:
    """The choice of a whole answer that can't be used; None: the fault is not of that sort."""
    match fault:
        case TeacherServerFault.malformed_json:
            return _choice(number, text[: len(text) // 2])
        case TeacherServerFault.wrong_schema:
            return _choice(number, json.dumps({"answer": "See above.", "confidence": 0.9}))
        case TeacherServerFault.empty:
            return _choice(number)
        case TeacherServerFault.refusal:
            return _choice(number, refusal="I'm sorry, I can't help with that.")
        case TeacherServerFault.huge:
            return _choice(number, "x" * HUGE)
        case _:
            return None


def _tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // 4 + 1
