"""What every sandbox and session has in common, whoever runs the code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from astra.errors import SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.protocols import CallOutcome, SandboxEpisode, SandboxSession
from astra.types import Json, Tool


class _Closing(ABC):
    """An async context that closes itself."""

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class BaseSandbox(_Closing):
    """A `Sandbox` that opens sessions; a run is a session of its own."""

    @abstractmethod
    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> SandboxSession: ...

    async def run(
        self,
        tools: Sequence[Tool],
        calls: Sequence[tuple[str, dict[str, Json]]],
        episode: SandboxEpisode = SandboxEpisode(),
    ) -> list[CallOutcome]:
        async with await self.open(tools, episode) as session:
            return [await session.call(name, arguments) for name, arguments in calls]


class BaseSession(_Closing):
    """A `SandboxSession` that gains nothing from sending calls together."""

    @abstractmethod
    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome: ...

    async def call_many(
        self, calls: Sequence[tuple[str, dict[str, Json]]]
    ) -> list[CallOutcome | SandboxError]:
        """Make calls one after the other; failures of tool code stand in their place."""
        outcomes: list[CallOutcome | SandboxError] = []
        for name, arguments in calls:
            try:
                outcomes.append(await self.call(name, arguments))
            except (SandboxDied, SandboxLimit, SandboxBadResult) as error:
                outcomes.append(error)
        return outcomes
