"""Stages of `astra tools collect`.

`collected`: servers that were asked or read, and normalized. `servers`: those without duplicates,
each with a domain; every later step reads this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from astra.errors import Rejected
from astra.hosts.mcp_session import McpSessionOptions
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import SideFile, Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tools import DOMAIN, DomainIn, ToolSummary
from astra.trajectories.collect.drafts import DraftServer, ToolNote
from astra.trajectories.collect.duplicates import ServerDeduplicator
from astra.trajectories.collect.mcp_servers import mcp_server
from astra.trajectories.collect.normalize import (
    NormalizedServer,
    ToolFilter,
    normalize_server,
    with_id,
)
from astra.trajectories.collect.sources import all_drafts
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


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How servers are asked, and which tools are kept."""

    keep: ToolFilter = ToolFilter()
    session: McpSessionOptions = McpSessionOptions()
    concurrency: int = 4


async def collect(
    files: Sequence[Path],
    folder: RunFolder,
    options: CollectOptions,
    *,
    teacher: Teacher | None = None,
    meter: Callable[[str], StageMeter] | None = None,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """Run both stages over the servers of all files; return the report of each.

    `teacher`: names missing domains; None: they stay empty. `meter`: counts the teacher's tokens
    for a stage.
    """
    collected = await run(
        _collected_stage(options),
        all_drafts(files),
        folder,
        concurrency=options.concurrency,
        console=console,
    )
    servers = await run(
        _servers_stage(teacher, meter(SERVERS) if meter else StageMeter()),
        _candidates(row.server for row in folder.rows(COLLECTED, CollectedServer)),
        folder,
        concurrency=options.concurrency,
        total=collected.accepted,
        console=console,
    )
    return {COLLECTED: collected, SERVERS: servers}


# --- collected --------------------------------------------------------------------------------


def _collected_stage(options: CollectOptions) -> Stage[DraftServer, tuple[str, NormalizedServer]]:
    async def work(draft: DraftServer) -> tuple[str, NormalizedServer]:
        match draft.content:
            case Rejected() as rejected:
                raise rejected
            case Connection() as connection:
                raw = await mcp_server(connection, draft.overrides, options.session)
            case raw:
                pass
        return draft.key, normalize_server(raw, options.keep)

    return Stage(
        name=COLLECTED,
        work=work,
        key=lambda draft: draft.key,
        stored_key=lambda row: row["key"],
        row=lambda result: CollectedServer(key=result[0], server=result[1].server),
        side_files=(SideFile(name=NOTES, rows=lambda result: result[1].notes, owner="server"),),
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
    rest = {k: v for k, v in row.items() if k not in ("id", "domain", "connection")}
    return content_hash({**rest, "connection": row.get("connection")})


def _servers_stage(
    teacher: Teacher | None, meter: StageMeter
) -> Stage[CandidateServer, CollectedToolServer]:
    async def work(candidate: CandidateServer) -> CollectedToolServer:
        server = candidate.server
        if candidate.duplicate_of is not None:
            raise Rejected("duplicate", f"{server.name!r} has {candidate.duplicate_of}")
        if server.domain or teacher is None:
            return server
        answer = await teacher.ask(DOMAIN, domain_input(server))
        return with_id(server.model_copy(update={"domain": answer.domain.value}))

    return Stage(
        name=SERVERS,
        work=work,
        key=lambda candidate: _key(candidate.server.model_dump(mode="json")),
        stored_key=_key,
        meter=meter,
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
    return list(RunFolder.open(folder).rows(SERVERS, CollectedToolServer))


def read_notes(folder: Path) -> list[ToolNote]:
    """The notes on single tools of a tools folder."""
    return list(RunFolder.open(folder).rows(NOTES, ToolNote))
