"""The stages of `astra tools collect`: `collected` (asked, read, normalised), then `servers`
(not there twice, with a domain), which is what everything after it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from astra.errors import Rejected
from astra.hosts.mcp_session import SessionOptions
from astra.stage import Meter, Side, Stage, StageReport, run
from astra.store import RunFolder
from astra.teacher.prompt import Teacher
from astra.teacher.tools import DOMAIN, DomainIn, ToolSummary
from astra.trajectories.collect import live
from astra.trajectories.collect.duplicates import SeenServers
from astra.trajectories.collect.normalise import Filter, Normalised, normalise, with_id
from astra.trajectories.collect.raw import Draft, RawServer, ToolNote
from astra.trajectories.collect.read import all_drafts
from astra.trajectories.records import Connection, Server
from astra.types import Json, Record, content_hash

COLLECTED = "collected"
SERVERS = "servers"
NOTES = "notes"
SHOWN_TOOLS = 30
"""Tools that a teacher is shown to judge the domain by."""


class Collected(Record):
    """A row of `collected.jsonl`."""

    key: str
    """The file and the server in it."""
    server: Server


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How servers are asked, and what is kept."""

    keep: Filter = Filter()
    session: SessionOptions = SessionOptions()
    concurrency: int = 4


async def collect(
    files: Sequence[Path],
    folder: RunFolder,
    options: CollectOptions,
    *,
    teacher: Teacher | None = None,
    meter: Callable[[str], Meter] | None = None,
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
        _servers_stage(teacher, meter(SERVERS) if meter else Meter()),
        _once(row.server for row in folder.rows(COLLECTED, Collected)),
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
    normalised: Normalised


def _collected_stage(options: CollectOptions) -> Stage[Draft, _Found]:
    async def work(draft: Draft) -> _Found:
        raw = await _raw(draft.content, draft.extra, options.session)
        return _Found(draft.key, normalise(raw, options.keep))

    return Stage(
        name=COLLECTED,
        work=work,
        key=lambda draft: draft.key,
        stored_key=lambda row: row["key"],
        row=lambda found: Collected(key=found.key, server=found.normalised.server),
        sides=(
            Side(
                name=NOTES,
                rows=lambda found: found.normalised.notes,
                owner=lambda row: row["server"],
            ),
        ),
        stored_id=lambda row: row["server"]["id"],
    )


async def _raw(
    content: RawServer | Connection | Rejected, given: Mapping[str, str], session: SessionOptions
) -> RawServer:
    match content:
        case Rejected():
            raise content
        case Connection():
            return await live.collect(content, given, session)
        case RawServer():
            return content


# --- servers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Candidate:
    server: Server
    repeats: str | None


def _once(servers: Iterable[Server]) -> Iterator[_Candidate]:
    seen = SeenServers()
    for server in servers:
        yield _Candidate(server, seen.repeats(server))


def _key(row: Mapping[str, Json]) -> str:
    """A server's key: its content but for what this stage adds."""
    rest = {k: v for k, v in row.items() if k not in ("id", "domain", "connection")}
    return content_hash({**rest, "connection": row.get("connection")})


def _servers_stage(teacher: Teacher | None, meter: Meter) -> Stage[_Candidate, Server]:
    async def work(candidate: _Candidate) -> Server:
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


def domain_input(server: Server) -> DomainIn:
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


def read_servers(folder: Path) -> list[Server]:
    """The servers of a tools folder, in its order."""
    return list(RunFolder.open(folder).rows(SERVERS, Server))


def read_notes(folder: Path) -> list[ToolNote]:
    """What became of single tools."""
    return list(RunFolder.open(folder).rows(NOTES, ToolNote))
