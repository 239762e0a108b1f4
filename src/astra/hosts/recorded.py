"""Recordings of a host's answers, and a host that replays them.

`RecordingHost` wraps any host. `RecordedHost` answers from such a recording: a call is
found by its tool, its arguments and how often it was made before, so that calls which were made
at once may come in any order.

What this does not guarantee: that a call which was never made before is answered; it is not.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, Self

from astra.errors import HostError
from astra.hosts.wrapped import WrappedHost
from astra.protocols import ToolHost, ToolResult
from astra.types import Json, RecordedCall, ToolSchema, canonical_json

Unrecorded = Literal["error", "raise", "wait"]
"""Outcome of a call that is not on record: a structured error that the agent sees, a
`HostError`, or no answer ever (as of a call that a time limit cut off)."""


class RecordingHost(WrappedHost):
    """Records what the wrapped host answers. `recording` may be read at any time."""

    def __init__(self, host: ToolHost) -> None:
        super().__init__(host)
        self._made: list[RecordedCall | None] = []

    @property
    def recording(self) -> tuple[RecordedCall, ...]:
        """The answered calls, in the order in which they were made."""
        return tuple(call for call in self._made if call is not None)

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        index = len(self._made)
        # Kept by when it was made: of like calls at once, each gets its own answer again.
        self._made.append(None)
        result = await self.host.call(name, arguments)
        self._made[index] = RecordedCall(
            tool=name, arguments=arguments, content=result.content, is_error=result.is_error
        )
        return result


class RecordedHost:
    """A host that answers from a recording. Entering it begins anew."""

    def __init__(
        self,
        documents: Sequence[ToolSchema],
        recording: Sequence[RecordedCall],
        *,
        unrecorded: Unrecorded = "error",
    ) -> None:
        self._documents = tuple(documents)
        self._unrecorded: Unrecorded = unrecorded
        self._answers: defaultdict[str, list[RecordedCall]] = defaultdict(list)
        for call in recording:
            self._answers[_key(call.tool, call.arguments)].append(call)
        self._served: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._served.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def tools(self) -> Sequence[ToolSchema]:
        return self._documents

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        key = _key(name, arguments)
        number = self._served[key]
        self._served[key] += 1
        answers = self._answers.get(key, [])
        if number < len(answers):
            return ToolResult(answers[number].content, answers[number].is_error)
        times = f"only {len(answers)} such calls are" if answers else "no such call is"
        message = f"{times} on record: {name}({canonical_json(arguments)[:200]})"
        if self._unrecorded == "wait":
            await asyncio.Event().wait()
        if self._unrecorded == "raise":
            raise HostError(f"{message}. Play what was recorded, or use the host itself")
        return ToolResult({"error": {"code": "not_recorded", "message": message}}, is_error=True)


def _key(tool: str, arguments: dict[str, Json]) -> str:
    return canonical_json([tool, arguments])
