"""Fakes behind the ports: a model, a host, a sandbox that confines nothing, and a toy arena.

For tests only. `InProcessSandbox` runs tool code in the calling process with all its rights: it
keeps the contract of `Sandbox` and gives none of its protection.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

from astra.protocols import (
    CallFailure,
    CallOutcome,
    Reply,
    Sampling,
    SandboxEpisode,
    ToolResult,
)
from astra.sandbox.base import BaseSandbox, BaseSession
from astra.types import (
    Arena,
    FinishReason,
    Goal,
    GoldCall,
    Json,
    Matcher,
    Message,
    Scenario,
    Target,
    Tool,
    ToolSchema,
)

Speak = Callable[[Sequence[Message], Sequence[ToolSchema], Sampling], Reply | Message | Exception]
Act = Callable[[str, dict[str, Json]], Awaitable[ToolResult]]


def document(name: str, properties: Mapping[str, Json] | None = None, **more: Json) -> ToolSchema:
    """A tool document; every parameter is required, `more` goes into the schema."""
    wanted = dict(properties or {})
    schema = {"type": "object", "properties": wanted, "required": list(wanted), **more}
    return ToolSchema(name=name, description=f"Does {name}.", parameters=schema)


class FakeModel:
    """Answers by a function of the conversation; an exception that it returns is raised.

    `asked` keeps the conversations and options it was given.
    """

    def __init__(self, speak: Speak, *, name: str = "fake", delay: float = 0.0) -> None:
        self._speak = speak
        self._name = name
        self._delay = delay
        self.asked: list[tuple[Sequence[Message], Sequence[ToolSchema], Sampling]] = []

    @property
    def name(self) -> str:
        return self._name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        self.asked.append((messages, tools, sampling))
        await asyncio.sleep(self._delay)
        said = self._speak(messages, tools, sampling)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Message):
            return Reply(said, FinishReason.tool_calls if said.tool_calls else FinishReason.stop)
        return said


class FakeHost:
    """A host whose calls are answered by an async function; it records what happens to it."""

    def __init__(self, documents: Sequence[ToolSchema], act: Act) -> None:
        self._documents = documents
        self._act = act
        self.called: list[tuple[str, dict[str, Json]]] = []
        self.entered = self.left = 0
        self.running = self.most_running = 0
        """Calls under way now, and the most there ever were."""

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left += 1

    def tools(self) -> Sequence[ToolSchema]:
        return self._documents

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self.called.append((name, arguments))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._act(name, arguments)
        finally:
            self.running -= 1


class InProcessSandbox(BaseSandbox):
    """Runs tool code right here, unconfined. Tests only, and only with code of your own."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    @property
    def level(self) -> str:
        return "unsafe"

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> InProcessSession:
        self.opened += 1
        return InProcessSession(self, tools, episode)

    async def close(self) -> None:
        return None


class InProcessSession(BaseSession):
    """An episode of `InProcessSandbox`; calls that come at once are answered in turn."""

    def __init__(
        self, owner: InProcessSandbox, tools: Sequence[Tool], episode: SandboxEpisode
    ) -> None:
        self._owner = owner
        self._tools = {tool.name: tool for tool in tools}
        self._episode = episode
        self._modules: dict[str, dict[str, Any]] = {}
        self._turn = asyncio.Lock()

    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome:
        async with self._turn:
            start = time.perf_counter()
            before = random.getstate()
            random.seed(self._episode.seed)
            try:
                outcome = self._call(name, arguments)
            finally:
                random.setstate(before)
            return CallOutcome(outcome.value, outcome.failure, time.perf_counter() - start)

    def _call(self, name: str, arguments: dict[str, Json]) -> CallOutcome:
        if name not in self._tools:
            return CallOutcome(failure=CallFailure("missing", "NameError", f"no tool {name!r}"))
        try:
            function = self._module(name).get(name)
            if function is None:
                return CallOutcome(failure=CallFailure("missing", "NameError", f"no {name!r}"))
            try:
                inspect.signature(function).bind(**arguments)
            except TypeError as error:
                return CallOutcome(failure=CallFailure("arguments", "TypeError", str(error)))
            # Through JSON, as a real sandbox hands it over.
            return CallOutcome(json.loads(json.dumps(function(**arguments), allow_nan=False)))
        except Exception as error:  # noqa: BLE001 - becomes the recorded outcome
            failure = CallFailure("raised", type(error).__name__, str(error)[:2000])
            return CallOutcome(failure=failure)

    def _module(self, name: str) -> dict[str, Any]:
        if self._episode.stateful and name in self._modules:
            return self._modules[name]
        tool = self._tools[name]
        module: dict[str, Any] = {"__name__": name, "DATA": json.loads(json.dumps(tool.data))}
        exec(compile(tool.source, f"<{name}>", "exec"), module)
        self._modules[name] = module
        return module

    async def close(self) -> None:
        self._owner.closed += 1


# --- a toy arena -----------------------------------------------------------------------------

_SOURCE = """
def {name}(key):
    if key == "boom":
        raise RuntimeError("boom")
    if key not in DATA:
        return {{"error": {{"code": "unknown", "message": "no " + key}}}}
    return {{"key": key, "value": DATA[key]}}
"""


def toy_tool(name: str, data: Json = None, source: str | None = None) -> Tool:
    """A tool that looks `key` up in its data; "boom" makes it raise."""
    return Tool(
        document=document(name, {"key": {"type": "string"}}, additionalProperties=False),
        source=_SOURCE.format(name=name) if source is None else source,
        data={"a": 1, "b": 2, "c": 3} if data is None else data,
    )


def toy_arena(hops: int = 3, **fields: Any) -> Arena:
    """An arena of one tool per goal; every goal but the first needs the one before it.

    It is a shape to play, not a question with sense, and would not pass certification.
    """
    goals = tuple(
        Goal(
            id=f"g{i}",
            question=f"What is number {i}?",
            answer=i % 3 + 1,
            call=GoldCall(tool=f"look_{i}", arguments={"key": "abc"[i % 3]}),
            target=Target(matcher=Matcher.number, value=i % 3 + 1, field="value"),
            depends_on=(f"g{i - 1}",) if i else (),
        )
        for i in range(hops)
    )
    complete: dict[str, Any] = {
        "question": "What is the sum?",
        "answer": 6,
        "answer_target": Target(matcher=Matcher.number, value=6),
        "goals": goals,
        "tools": tuple(toy_tool(f"look_{i}") for i in range(hops)),
        "scenario": Scenario.multi_hop if hops > 1 else Scenario.single_hop,
        "language": "en",
        "domain": "test",
        "split": "test",
        "provenance": {"source": "test", "key": "k", "seed": 0},
    } | fields
    draft = Arena(id="", **complete)
    return draft.with_content_id()
