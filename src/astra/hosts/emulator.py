"""A service that is known from its documents alone, played by a teacher.

One host is one session. The teacher is shown every call that was made before, those that came at
once too, and what was said so far of each entity; never the conversation. Calls are answered one
after the other, in the order in which they were made. A result has to fit the tool's output schema
and may not contradict what was said (`consistency`); otherwise the teacher is asked again with the
finding, and after a few tries the session breaks: a result is never mended or made up here.

Failures are drawn per call, by seed, session and number: explicit results that change nothing, so
that the same call may succeed when it is made again.

What this does not guarantee: that a result is what the real service would have returned.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from astra.core.json_schema import UnusableSchema, violation
from astra.errors import HostError, TeacherError
from astra.hosts.consistency import FactLedger, may_change
from astra.protocols import ToolResult
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.emulation import EMULATE_CALL, AskedCall, EmulateCallIn, EmulatedExchange
from astra.types import Json, Language, RecordedCall, ToolSchema, canonical_json

FAILURE_RATE = 0.20
"""Share of calls that fail (ASTRA paper, emulated calls)."""
ATTEMPTS = 3

_FAILURES: Mapping[str, tuple[str, ...]] = {
    "timeout": ("The request timed out after 30 s.", "Gateway time-out (504)."),
    "unreachable": ("Connection refused.", "The host could not be reached."),
    "rate_limited": ("Too many requests (429): try again later.",),
    "server_error": ("Internal server error (500).", "Service unavailable (503)."),
}


@dataclass(frozen=True, slots=True)
class EmulatedTool:
    """A tool as its documents describe it."""

    document: ToolSchema
    output_schema: dict[str, Json] | None = None
    """JSON Schema of the result; None: not documented."""
    read_only: bool | None = None
    """Whether a call changes nothing; None: judged by its name."""
    service: str = ""
    """The service that it belongs to, and what that is."""


class EmulatorHost:
    """One session with emulated tools; ConfigError is for the caller, HostError for what breaks.

    `session`: decides, with the seed, which calls fail. `failure_rate`: share of calls, in [0, 1].
    `attempts`: how often the teacher is asked for one result.
    """

    def __init__(
        self,
        tools: Sequence[EmulatedTool],
        teacher: Teacher,
        *,
        session: str,
        language: Language = "en",
        failure_rate: float = FAILURE_RATE,
        seed: int = 0,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._tools = {tool.document.name: tool for tool in tools}
        if len(self._tools) < len(tools):
            raise HostError("several emulated tools have one name: rename all but one")
        self._teacher = teacher
        self._session = session
        self._language: Language = language
        self._rate = failure_rate
        self._seed = seed
        self._attempts = attempts
        self._turn = asyncio.Lock()
        self._begin()

    def _begin(self) -> None:
        self._facts = FactLedger()
        self._history: list[EmulatedExchange] = []
        self._waiting: deque[AskedCall] = deque()
        self._made = 0

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def tools(self) -> Sequence[ToolSchema]:
        return [tool.document for tool in self._tools.values()]

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        """Answer a call in its turn. `HostError` when no result could be had that holds."""
        tool = self._tools.get(name)
        if tool is None:
            raise HostError(f"there is no emulated tool {name!r}: call one of {list(self._tools)}")
        number, asked = self._made, AskedCall(tool=name, arguments=arguments)
        self._made += 1
        self._waiting.append(asked)
        # Calls that were made at once get in line before the first is answered.
        await asyncio.sleep(0)
        async with self._turn:
            self._waiting.popleft()
            # By number, so that the failures of a session do not depend on what is called.
            rng = random.Random(f"{self._seed}:{self._session}:{number}")
            if rng.random() < self._rate:
                code = rng.choice(list(_FAILURES))
                error = {"code": code, "message": rng.choice(_FAILURES[code]), "retryable": True}
                result = ToolResult({"error": error}, is_error=True)
            else:
                result = await self._result(tool, arguments)
            content, is_error = result.content, result.is_error
            call = RecordedCall(tool=name, arguments=arguments, content=content, is_error=is_error)
            self._facts.note(call, changes=_changes(tool))
            self._history.append(
                EmulatedExchange(tool=name, arguments=arguments, result=content, is_error=is_error)
            )
            return result

    async def _result(self, tool: EmulatedTool, arguments: dict[str, Json]) -> ToolResult:
        name, changes = tool.document.name, _changes(tool)
        before = None if changes else self._facts.repeated(name, arguments)
        if before is not None:
            return ToolResult(before.value)
        finding = ""
        for attempt in range(self._attempts):
            result = await self._ask(tool, arguments, finding, attempt)
            found = result_problem(tool, result)
            if not found and not result.is_error:
                said = self._facts.check(name, arguments, result.content, changes=changes)
                found = "; ".join(str(each) for each in said[:5])
            if not found:
                return result
            finding = found
        raise HostError(
            f"no result of {name!r} could be had in {self._attempts} tries; the last: {finding}"
        )

    async def _ask(
        self, tool: EmulatedTool, arguments: dict[str, Json], finding: str, attempt: int
    ) -> ToolResult:
        given = EmulateCallIn(
            language=self._language,
            service=tool.service,
            tool=tool.document,
            output_schema=tool.output_schema,
            arguments=arguments,
            history=tuple(self._history),
            at_once=tuple(self._waiting),
            facts=self._facts.facts(),
            finding=finding,
        )
        try:
            answer = await self._teacher.ask(EMULATE_CALL, given, index=attempt)
        except TeacherError as error:
            raise HostError(f"{tool.document.name!r} can't be emulated: {error}") from error
        # In one order of keys, whichever way the answer came.
        return ToolResult(json.loads(canonical_json(answer.result)), answer.is_error)


def _changes(tool: EmulatedTool) -> bool:
    return may_change(tool.document.name, tool.read_only)


def result_problem(tool: EmulatedTool, result: ToolResult) -> str:
    """What of a result does not fit the tool's output schema. Empty if it fits.

    HostError for a schema that can't be used.
    """
    content = result.content
    if result.is_error:
        error = content.get("error") if isinstance(content, dict) else None
        right = isinstance(error, dict) and isinstance(error.get("message"), str)
        return "" if right else 'an error reads {"error": {"code": …, "message": …}}'
    if tool.output_schema is None:
        return ""
    try:
        problem = violation(content, tool.output_schema)
    except UnusableSchema as error:
        raise HostError(
            f"the output schema of {tool.document.name!r} can't be used: {str(error)[:300]}"
        ) from error
    if problem is None:
        return ""
    where = problem.path or "the result"
    return f"it does not fit the output schema: {where}: {problem.message[:300]}"
