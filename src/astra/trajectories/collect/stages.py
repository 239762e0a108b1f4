"""The stages of `astra tools collect`: `collected` (asked, read, normalised), then `servers`
(not there twice, with a domain), which is what everything after it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from astra.errors import Rejected
from astra.hosts.mcp_session import McpSessionOptions
from astra.runs.stage import SideFile, Stage, StageMeter, StageReport, run
from astra.runs.store import RunFolder
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.tools import DOMAIN, DomainIn, ToolSummary
from astra.trajectories.collect import mcp_servers
from astra.trajectories.collect.drafts import DraftServer, RawServer, ToolNote
from astra.trajectories.collect.duplicates import SeenServers
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
"""Tools that a teacher is shown to judge the domain by."""


class CollectedServer(Record):
    """A row of `collected.jsonl`."""

    key: str
    """The file and the server in it."""
    server: CollectedToolServer


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How servers are asked, and what is kept."""

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
    """Both stages over the services of all files. `teacher`: names domains; None: as given.

    `meter`: from the name of a stage, what counts its teacher's tokens.
    """
    found = await run(
        _collected_stage(options),
        all_drafts(files),
        folder,
        concurrency=options.concurrency,
        console=console,
    )
    kept = await run(
        _servers_stage(teacher, meter(SERVERS) if meter else StageMeter()),
        _once(row.server for row in folder.rows(COLLECTED, CollectedServer)),
        folder,
        concurrency=options.concurrency,
        total=found.accepted,
        console=console,
    )
    return {COLLECTED: found, SERVERS: kept}


# --- collected --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    key: str
    normalised: NormalizedServer


def _collected_stage(options: CollectOptions) -> Stage[DraftServer, _Found]:
    async def work(draft: DraftServer) -> _Found:
        raw = await _raw(draft.content, draft.extra, options.session)
        return _Found(draft.key, normalize_server(raw, options.keep))

    return Stage(
        name=COLLECTED,
        work=work,
        key=lambda draft: draft.key,
        stored_key=lambda row: row["key"],
        row=lambda found: CollectedServer(key=found.key, server=found.normalised.server),
        sides=(
            SideFile(
                name=NOTES,
                rows=lambda found: found.normalised.notes,
                owner=lambda row: row["server"],
            ),
        ),
        stored_id=lambda row: row["server"]["id"],
    )


async def _raw(
    content: RawServer | Connection | Rejected, given: Mapping[str, str], session: McpSessionOptions
) -> RawServer:
    match content:
        case Rejected():
            raise content
        case Connection():
            return await mcp_servers.collect(content, given, session)
        case RawServer():
            return content


# --- servers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Candidate:
    server: CollectedToolServer
    repeats: str | None


def _once(servers: Iterable[CollectedToolServer]) -> Iterator[_Candidate]:
    seen = SeenServers()
    for server in servers:
        yield _Candidate(server, seen.repeats(server))


def _key(row: Mapping[str, Json]) -> str:
    """A server's key: its content but for what this stage adds."""
    rest = {k: v for k, v in row.items() if k not in ("id", "domain", "connection")}
    return content_hash({**rest, "connection": row.get("connection")})


def _servers_stage(
    teacher: Teacher | None, meter: StageMeter
) -> Stage[_Candidate, CollectedToolServer]:
    async def work(candidate: _Candidate) -> CollectedToolServer:
        server = candidate.server
        if candidate.repeats is not None:
            raise Rejected("duplicate", f"{server.name!r} has {candidate.repeats}")
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
    """What a teacher is shown of a server."""
    shown = server.tools[:SHOWN_TOOLS]
    return DomainIn(
        language=server.language,
        name=server.name,
        description=server.description[:500],
        tools=tuple(
            ToolSummary(name=tool.document.name, description=tool.document.description[:200])
            for tool in shown
        ),
        total=len(server.tools),
    )


def read_servers(folder: Path) -> list[CollectedToolServer]:
    """The servers of a tools folder, in its order."""
    return list(RunFolder.open(folder).rows(SERVERS, CollectedToolServer))


def read_notes(folder: Path) -> list[ToolNote]:
    """What became of single tools."""
    return list(RunFolder.open(folder).rows(NOTES, ToolNote))
