"""The tools of one episode in sandbox sessions, one process per group of tools.

Tools in one process reach each other: any of them can patch the runner, modules or builtins that
the others' results pass through. So an arena's own tools and its distractors, which come from other
arenas, are in different groups. Rollouts and certificates call tools through this class, one call
at a time, so that a tool finds the same messages in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from astra.errors import SandboxError
from astra.protocols import CallOutcome, Sandbox, SandboxEpisode, SandboxSession
from astra.types import DatabaseEpisode, Json, Tool

_NO_TOOL = "no tool"
"""A name that no tool has: a sandbox that is up answers that it is missing."""


class ToolProcesses:
    """Groups of tools, ready to be called in one episode. Use it as a context.

    The process of a group starts at its first call. A name that no group has goes to the first one.
    """

    def __init__(
        self,
        groups: Iterable[Sequence[Tool]],
        sandbox: Sandbox,
        episode: SandboxEpisode,
        database: DatabaseEpisode | None = None,
    ) -> None:
        """`database`: of the first group."""
        self._sandbox = sandbox
        own = replace(episode, database=database)
        self._groups = [
            _ToolGroup(tools, own if number == 0 else episode)
            for number, tools in enumerate(groups)
        ]
        self._group_of = {tool.name: group for group in self._groups for tool in group.tools}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for group in self._groups:
            if group.session is not None:
                session, group.session = group.session, None
                await session.close()

    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome:
        """Call a tool. Raises SandboxError."""
        session = await self._session(self._group_of.get(name, self._groups[0]))
        return await session.call(name, arguments)

    async def ping(self, name: str) -> None:
        """Call a tool without arguments, or nothing at all if that could write. Raises
        SandboxError."""
        group = self._group_of.get(name, self._groups[0])
        database = group.episode.database
        writes = database is not None and name in database.writes
        await (await self._session(group)).call(_NO_TOOL if writes else name, {})

    async def call_many(
        self, calls: Sequence[tuple[str, dict[str, Json]]]
    ) -> list[CallOutcome | SandboxError]:
        """Make calls, those of each group in their order; failures of tool code stand in place."""
        outcomes: dict[int, CallOutcome | SandboxError] = {}
        by_group: dict[int, list[int]] = {}
        for index, (name, _) in enumerate(calls):
            group = self._group_of.get(name, self._groups[0])
            by_group.setdefault(self._groups.index(group), []).append(index)
        for number, indices in by_group.items():
            session = await self._session(self._groups[number])
            results = await session.call_many([calls[index] for index in indices])
            outcomes.update(zip(indices, results, strict=True))
        return [outcomes[index] for index in range(len(calls))]

    async def _session(self, group: _ToolGroup) -> SandboxSession:
        async with group.opening:
            if group.session is None:
                group.session = await self._sandbox.open(group.tools, group.episode)
            return group.session


class _ToolGroup:
    def __init__(self, tools: Sequence[Tool], episode: SandboxEpisode) -> None:
        self.tools = tools
        self.episode = episode
        self.session: SandboxSession | None = None
        self.opening = asyncio.Lock()
