"""Servers whose tools an agent gets together, and how a teacher sees them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.teacher.prompts.chains import ShownResult, ShownTool
from astra.trajectories.reading import read_rollouts
from astra.trajectories.records import CollectedToolServer
from astra.trajectories.tasks.dependencies import KnownFields, ObservedResults
from astra.trajectories.toolset import ToolSet
from astra.types import Json, Language, RecordedCall, canonical_json

SHOWN_TOOLS = 60
"""Most tools that a teacher is shown at once."""
STATE_CHARACTERS = 4_000
"""Characters of results that show a teacher what servers hold."""
RESULT_CHARACTERS = 800
_MOST_RESULTS = 20
"""Observed results per tool."""


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """One server, or several for chains across servers."""

    servers: tuple[CollectedToolServer, ...]
    tools: ToolSet
    fields: KnownFields
    probes: Mapping[str, Sequence[RecordedCall]] = field(
        default_factory=dict[str, Sequence[RecordedCall]]
    )
    """Server id -> what its reading tools returned at the start, by their collected names."""

    @property
    def state(self) -> tuple[ShownResult, ...]:
        """What the servers hold at the start, for a teacher: bounded, of each server as much."""
        names = {(t.server.id, t.tool.document.name): name for name, t in self.tools.items()}
        results: list[ShownResult] = []
        for server in self.servers:
            left = STATE_CHARACTERS // len(self.servers)
            for call in self.probes.get(server.id, ()):
                text = (
                    call.content if isinstance(call.content, str) else canonical_json(call.content)
                )
                text = text if len(text) <= RESULT_CHARACTERS else f"{text[:RESULT_CHARACTERS]}…"
                name = names.get((server.id, call.tool))
                if call.is_error or name is None or len(text) > left:
                    continue
                left -= len(text)
                results.append(ShownResult(tool=name, arguments=call.arguments, result=text))
        return tuple(results)

    @property
    def language(self) -> Language:
        return self.servers[0].language

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(server.id for server in self.servers)

    @property
    def service(self) -> str:
        """Names and descriptions of the servers, for a teacher."""
        return "; ".join(": ".join(filter(None, (s.name, s.description))) for s in self.servers)

    def shown_tools(self, names: Iterable[str]) -> tuple[ShownTool, ...]:
        """The tools of these names, each once, as a teacher sees them."""
        tools = [self.tools[name] for name in dict.fromkeys(names) if name in self.tools]
        return tuple(
            ShownTool(
                name=each.document.name,
                description=each.document.description,
                parameters=each.document.parameters,
                returns={field.path: field.kind for field in self.fields(each)},
                examples=each.tool.examples,
            )
            for each in tools
        )

    def other_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names of the tools that are not among these."""
        known = set(names)
        return tuple(name for name in self.tools if name not in known)

    def sample_tools(
        self, rng: random.Random, required: Sequence[str] = ()
    ) -> tuple[ShownTool, ...]:
        """At most SHOWN_TOOLS tools, the required ones among them, in their order."""
        names = list(self.tools)
        if len(names) > SHOWN_TOOLS:
            others = [name for name in names if name not in required]
            sample = {*required, *rng.sample(others, max(0, SHOWN_TOOLS - len(required)))}
            names = [name for name in names if name in sample]
        return self.shown_tools(names)


def group_of(
    servers: Sequence[CollectedToolServer],
    observed: ObservedResults | None = None,
    probes: Mapping[str, Sequence[RecordedCall]] | None = None,
) -> ServerGroup:
    """The servers as one group."""
    return ServerGroup(tuple(servers), ToolSet(servers), KnownFields(observed), probes or {})


def observed_results(folder: RunFolder, servers: Sequence[CollectedToolServer]) -> ObservedResults:
    """Results of calls that an earlier run recorded, some of each tool."""
    by_id = {server.id: server for server in servers}
    results: dict[tuple[str, str], list[Json]] = {}
    for rollout in read_rollouts(folder):
        if not all(server in by_id for server in rollout.task.servers):
            continue
        tools = ToolSet([by_id[server] for server in rollout.task.servers])
        # A call goes by the agent's name for the tool, which depends on the servers of its task.
        for call in rollout.recording:
            if call.is_error or (tool := tools.get(call.tool)) is None:
                continue
            of_tool = results.setdefault((tool.server.id, tool.tool.document.name), [])
            if len(of_tool) < _MOST_RESULTS:
                of_tool.append(call.content)
    return results


def require_servers(folder: RunFolder) -> list[CollectedToolServer]:
    """The servers of a tools folder. Raises StoreError if there are none."""
    servers = list(unique_rows(folder, "servers", CollectedToolServer, attrgetter("id")))
    if not servers:
        raise StoreError(
            f"{str(folder.path)!r} holds no servers: give a folder that `astra tools collect` wrote"
        )
    return servers
