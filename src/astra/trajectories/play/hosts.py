"""From a task's servers to the host of one episode: live, emulated, or some of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from astra.errors import HostError
from astra.hosts.emulator import EmulatedTool, EmulatorHost
from astra.hosts.joined import JoinedHost
from astra.hosts.live import LiveHost, LiveOptions, LiveTool
from astra.hosts.mcp_entries import read_entry
from astra.protocols import ToolHost
from astra.teacher.prompt import Teacher
from astra.trajectories.play.rollouts import EpisodeJob
from astra.trajectories.records import CollectedToolServer
from astra.trajectories.toolset import AgentTool, ToolSet


@dataclass(frozen=True, slots=True)
class EpisodeHosts:
    """Makes hosts for episodes. HostError for a task whose servers are not there, or no server's
    connection where a live one is asked for."""

    servers: Mapping[str, CollectedToolServer]
    failure_rate: float = 0.20
    """Share of emulated calls that fail."""
    seed: int = 0
    live: LiveOptions = field(default_factory=LiveOptions)
    """`allow` holds names as they are shown, of all servers together."""

    def __call__(self, job: EpisodeJob, teacher: Teacher) -> ToolHost:
        missing = [server for server in job.task.servers if server not in self.servers]
        if missing:
            raise HostError(
                f"the tools of server {missing[0]!r} are not in the folder of tools: give the one "
                "that the tasks were made from"
            )
        shown = ToolSet([self.servers[server] for server in job.task.servers])
        if job.host == "emulator":
            return self._emulated(job, [shown[name] for name in shown], teacher)
        hosts = [self._live(server, shown) for server in shown.servers]
        return hosts[0] if len(hosts) == 1 else JoinedHost(hosts, list(shown))

    def _emulated(self, job: EpisodeJob, tools: list[AgentTool], teacher: Teacher) -> ToolHost:
        return EmulatorHost(
            [
                EmulatedTool(
                    each.document,
                    output_schema=each.tool.output_schema,
                    read_only=each.tool.read_only,
                    service=_about(each.server),
                )
                for each in tools
            ],
            teacher,
            session=job.key,
            language=job.task.language,
            failure_rate=self.failure_rate,
            seed=self.seed,
        )

    def _live(self, server: CollectedToolServer, shown: ToolSet) -> ToolHost:
        if server.connection is None:
            raise HostError(
                f"server {server.name!r} is known from documents only: leave --hosts at auto"
            )
        entry = read_entry(Path(server.connection.file), server.connection.entry)
        tools = [
            LiveTool(each.document, each.tool.original_name, read_only=each.tool.read_only is True)
            for each in (shown[name] for name in shown)
            if each.server.id == server.id
        ]
        allow = self.live.allow
        if allow is not None:
            allow &= {tool.document.name for tool in tools}
        return LiveHost(entry, tools, replace(self.live, allow=allow))


def _about(server: CollectedToolServer) -> str:
    return f"{server.name}: {server.description}" if server.description else server.name
