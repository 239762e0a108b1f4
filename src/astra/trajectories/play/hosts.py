"""From a task's servers to the tool host of one episode: live or emulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from astra.configs.spelling import option_name
from astra.errors import HostError
from astra.hosts.emulator import EmulatedTool, EmulatorHost
from astra.hosts.joined import JoinedHost
from astra.hosts.live import LiveHost, LiveOptions, LiveTool
from astra.hosts.mcp_entries import read_entry
from astra.protocols import ToolHost
from astra.teacher.prompt import Teacher
from astra.trajectories.play.rollouts import EpisodeJob
from astra.trajectories.records import CollectedToolServer
from astra.trajectories.toolset import ToolSet


@dataclass(frozen=True, slots=True)
class EpisodeHosts:
    """Makes the host of an episode. Raises HostError when a server is missing or not live."""

    servers: Mapping[str, CollectedToolServer]
    failure_rate: float = 0.20
    """Fraction of emulated calls that fail."""
    seed: int = 0
    live: LiveOptions = field(default_factory=LiveOptions)
    """`allow` holds names as the agent sees them, of all servers together."""

    def __call__(self, job: EpisodeJob, teacher: Teacher) -> ToolHost:
        missing = [server for server in job.task.servers if server not in self.servers]
        if missing:
            raise HostError(
                f"the tools of server {missing[0]!r} are not in the folder of tools: give the one "
                "that the tasks were made from"
            )
        tools = ToolSet([self.servers[server] for server in job.task.servers])
        if job.host == "live":
            hosts = [live_host(server, self.live, tools) for server in tools.servers]
            return hosts[0] if len(hosts) == 1 else JoinedHost(hosts, list(tools))
        emulated = [
            EmulatedTool(
                each.document,
                output_schema=each.tool.output_schema,
                read_only=each.tool.read_only,
                service=": ".join(filter(None, (each.server.name, each.server.description))),
            )
            for each in tools.values()
        ]
        return EmulatorHost(
            emulated,
            teacher,
            session=job.key,
            language=job.task.language,
            failure_rate=self.failure_rate,
            seed=self.seed,
        )


def live_host(
    server: CollectedToolServer,
    options: LiveOptions = LiveOptions(),
    tools: ToolSet | None = None,
) -> LiveHost:
    """A host on a live server for one episode.

    `tools`: the agent's tools of all servers; None: those of this one. Raises HostError for a
    server without a connection, ConfigError when its entry can't be read.
    """
    if server.connection is None:
        raise HostError(
            f"server {server.name!r} is known from documents only: use the emulator "
            f"({option_name('hosts')} auto)"
        )
    entry = read_entry(Path(server.connection.file), server.connection.entry)
    own = [
        LiveTool(each.document, each.tool.original_name, read_only=each.tool.read_only is True)
        for each in (tools or ToolSet([server])).values()
        if each.server.id == server.id
    ]
    # A LiveHost refuses allowed names that are not its own.
    if options.allow is not None:
        allow = options.allow & {tool.document.name for tool in own}
        options = replace(options, allow=allow)
    return LiveHost(entry, own, options)
