"""Stages of `astra tools collect`.

`collected`: servers that were asked or read, and normalized. `servers`: those without duplicates,
each with a domain; every later step reads this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from rich.console import Console

from astra.configs.base import paths
from astra.configs.tools import CollectToolsConfig
from astra.errors import Rejected
from astra.hosts.mcp_options import McpSessionOptions
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.runs.runner import StageRunner
from astra.runs.stage import SideFile, Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tools import DOMAIN, DomainIn, ToolSummary
from astra.trajectories.collect.drafts import DraftServer, RawServer, ToolNote
from astra.trajectories.collect.duplicates import ServerDeduplicator
from astra.trajectories.collect.normalize import (
    NormalizedServer,
    normalize_server,
    with_id,
)
from astra.trajectories.collect.selection import ToolSelection
from astra.trajectories.collect.sources import all_drafts, source_files
from astra.trajectories.records import CollectedToolServer, Connection
from astra.types import Json, Record, content_hash

COLLECTED = "collected"
SERVERS = "servers"
NOTES = "notes"
SHOWN_TOOLS = 30
"""Tools that a teacher is shown to name the domain."""


class CollectedServer(Record):
    """A row of `collected.jsonl`."""

    key: str
    """The file and the server in it."""
    server: CollectedToolServer


async def collect(
    config: CollectToolsConfig,
    folder: RunFolder,
    teacher: Teacher | None = None,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """Run both stages over the servers of all sources; return the report of each.

    `teacher`: names missing domains. None: they stay empty.
    """
    runner = StageRunner(folder, config.concurrency, console)
    files = source_files(paths(config.sources))
    drafts = all_drafts(files, most_bytes=config.max_document_mib * 2**20)
    parts = _selected_parts(drafts, _selection(config), config.min_tools)
    collected = await runner.run(_collected_stage(config), parts)
    candidates = _candidates(row.server for row in folder.rows(COLLECTED, CollectedServer))
    await runner.run(_servers_stage(teacher), candidates, total=collected.accepted)
    return runner.reports


# --- collected --------------------------------------------------------------------------------


def _selection(config: CollectToolsConfig) -> ToolSelection:
    return ToolSelection(config.tags, config.include, config.exclude, config.max_tools)


def _selected_parts(
    drafts: Iterable[DraftServer], selection: ToolSelection, min_tools: int
) -> Iterator[DraftServer]:
    """The drafts, with the wanted tools, and with large documents in parts."""
    for draft in drafts:
        server = draft.content
        if not isinstance(server, RawServer):
            yield draft  # a live server's tools are known once it was asked
            continue
        try:
            server = selection.selected(server)
        except Rejected as rejected:
            yield DraftServer(draft.key, rejected)
            continue
        parts = [server]
        if server.source == "openapi":
            parts = selection.split(server, min_tools=min_tools)
        for part in parts:
            suffix = part.name.removeprefix(server.name)
            yield DraftServer(f"{draft.key}{suffix}", part)


def _collected_stage(
    config: CollectToolsConfig,
) -> Stage[DraftServer, tuple[str, NormalizedServer]]:
    session = McpSessionOptions(
        connect_seconds=config.start_timeout,
        call_seconds=config.tool_timeout,
        confined=config.confine_servers,
    )
    selection = _selection(config)

    async def work(draft: DraftServer) -> tuple[str, NormalizedServer]:
        match draft.content:
            case Rejected() as rejected:
                raise rejected
            case Connection() as connection:
                # Late: slow to import.
                from astra.trajectories.collect.mcp_servers import mcp_server

                asked = await mcp_server(connection, draft.overrides, session)
                raw = selection.selected(asked)
            case raw:
                pass
        return draft.key, normalize_server(raw, min_tools=config.min_tools, strict=config.strict)

    return Stage(
        COLLECTED,
        work,
        row=lambda result: CollectedServer(key=result[0], server=result[1].server),
        side_files=(SideFile(NOTES, lambda result: result[1].notes, owner="server"),),
        stored_id=lambda row: row["server"]["id"],
    )


# --- servers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CandidateServer:
    """A collected server, and what it repeats."""

    server: CollectedToolServer
    duplicate_of: str | None


def _candidates(servers: Iterable[CollectedToolServer]) -> Iterator[CandidateServer]:
    earlier = ServerDeduplicator()
    for server in servers:
        yield CandidateServer(server, earlier.duplicate_of(server))


def _key(row: Mapping[str, Json]) -> str:
    """A server's key: its content without what this stage adds."""
    # The id covers the domain, which a teacher may add.
    rest = {k: v for k, v in row.items() if k not in ("id", "domain", "connection")}
    return content_hash({**rest, "connection": row.get("connection")})


def _servers_stage(teacher: Teacher | None) -> Stage[CandidateServer, CollectedToolServer]:
    async def work(candidate: CandidateServer) -> CollectedToolServer:
        server = candidate.server
        if candidate.duplicate_of is not None:
            raise Rejected("duplicate", f"{server.name!r} has {candidate.duplicate_of}")
        if server.domain or teacher is None:
            return server
        answer = await teacher.ask(DOMAIN, domain_input(server))
        return with_id(server.model_copy(update={"domain": answer.domain.value}))

    return Stage(
        SERVERS,
        work,
        key=lambda candidate: _key(candidate.server.model_dump(mode="json")),
        stored_key=_key,
    )


def domain_input(server: CollectedToolServer) -> DomainIn:
    """What a teacher is shown of a server to name its domain."""
    return DomainIn(
        language=server.language,
        name=server.name,
        description=server.description[:500],
        tools=tuple(
            ToolSummary(name=tool.document.name, description=tool.document.description[:200])
            for tool in server.tools[:SHOWN_TOOLS]
        ),
        total=len(server.tools),
    )


def read_servers(folder: Path) -> list[CollectedToolServer]:
    """The servers of a tools folder, in its order."""
    run = RunFolder.open(folder)
    return list(unique_rows(run, SERVERS, CollectedToolServer, attrgetter("id")))


def read_notes(folder: Path) -> list[ToolNote]:
    """The notes on single tools of a tools folder."""
    return list(RunFolder.open(folder).rows(NOTES, ToolNote))
