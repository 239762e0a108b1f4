"""`astra tools show`: the servers and tools of a folder; what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from astra.cli.arenas_show import document_tree
from astra.cli.console import out, plain, print_json
from astra.cli.options import AsJson, Run
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.trajectories.collect.drafts import ToolNote
from astra.trajectories.collect.stages import COLLECTED, NOTES, SERVERS, CollectedServer
from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.types import Json

_LONG = 300
_MOST_NOTES = 30


def show_command(
    run: Run,
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVER]", help="A server's name or id, or its beginning.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show collected servers with their domains, and what was left out; or one with its tools.

    \b
    Examples:
      astra tools show runs/tools
      astra tools show runs/tools weather
      astra tools show runs/tools --json
    """
    folder = RunFolder.open(run)
    servers = list(folder.rows(SERVERS, CollectedToolServer))
    notes = _notes(folder)
    if server is not None:
        one = _find(servers, server)
        mine = notes.get(_content(one), [])
        if as_json:
            said = [note.model_dump(mode="json") for note in mine]
            print_json({"server": one.model_dump(mode="json"), "notes": said})
        else:
            _print_one(one, mine)
        return
    failures = [
        failure
        for stage in (COLLECTED, SERVERS)
        for failure in folder.rows(f"{stage}.failed", FailureRow)
    ]
    if as_json:
        print_json(_as_json(servers, notes, failures))
    else:
        _print_all(servers, notes, failures)


def _find(servers: Sequence[CollectedToolServer], wanted: str) -> CollectedToolServer:
    called = {one.id: (one.name, one.connection.entry if one.connection else "") for one in servers}
    same = [one for one in servers if wanted in (one.id, *called[one.id])]
    begins = [
        one
        for one in servers
        if one.id.startswith(wanted)
        or any(name.casefold().startswith(wanted.casefold()) for name in called[one.id] if name)
    ]
    found = same or begins
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{one.name} ({one.id})" for one in found[:5])
        raise ConfigError(f"{wanted!r} is the beginning of several servers: {names}: give an id")
    names = ", ".join(one.name for one in servers[:10]) or "none"
    raise ConfigError(f"there is no server {wanted!r}: there are {names}")


def _content(server: CollectedToolServer) -> tuple[str, str]:
    """What a server is called in both stages; the domain of the second changes its id."""
    return server.name, ",".join(tool.document.name for tool in server.tools)


def _notes(folder: RunFolder) -> dict[tuple[str, str], list[ToolNote]]:
    names = {row.server.id: _content(row.server) for row in folder.rows(COLLECTED, CollectedServer)}
    notes: dict[tuple[str, str], list[ToolNote]] = {}
    for note in folder.rows(NOTES, ToolNote):
        notes.setdefault(names.get(note.server, ("", "")), []).append(note)
    return notes


def _as_json(
    servers: Sequence[CollectedToolServer],
    notes: dict[tuple[str, str], list[ToolNote]],
    failures: Sequence[FailureRow],
) -> Json:
    return {
        "servers": [
            {
                "id": one.id,
                "name": one.name,
                "source": one.source,
                "domain": one.domain,
                "language": one.language,
                "live": one.connection is not None,
                "tools": [tool.document.name for tool in one.tools],
            }
            for one in servers
        ],
        "tools": sum(len(one.tools) for one in servers),
        "domains": dict(Counter(one.domain for one in servers).most_common()),
        "set_aside": [failure.model_dump(exclude_none=True) for failure in failures],
        "tools_left_out": [
            note.model_dump(mode="json")
            for listed in notes.values()
            for note in listed
            if not note.kept
        ],
    }


# --- printing ---------------------------------------------------------------------------------


def _print_all(
    servers: Sequence[CollectedToolServer],
    notes: dict[tuple[str, str], list[ToolNote]],
    failures: Sequence[FailureRow],
) -> None:
    console = out()
    total = sum(len(one.tools) for one in servers)
    console.print(plain(f"{len(servers)} servers, {total} tools", "bold"))
    if servers:
        table = Table("server", "id", "from", "domain", "tools", "left out")
        for one in servers:
            left = sum(not note.kept for note in notes.get(_content(one), []))
            source = f"{one.source}{', live' if one.connection else ''}"
            table.add_row(
                plain(one.name, limit=50),
                one.id,
                source,
                plain(one.domain or "–", limit=30),
                str(len(one.tools)),
                str(left or ""),
            )
        console.print(table)
    if failures:
        table = Table(Column("set aside", overflow="fold"), "by", Column("reason", overflow="fold"))
        for failure in failures:
            table.add_row(
                plain(failure.key, limit=60),
                plain(failure.check or failure.type or ""),
                plain(failure.message, limit=_LONG),
            )
        console.print(table)


def _print_one(server: CollectedToolServer, notes: Sequence[ToolNote]) -> None:
    console = out()
    console.print(plain(f"{server.name} ({server.id})", "bold"))
    facts = [server.source, server.domain or "no domain", server.language]
    facts.append("live" if server.connection else "from documents")
    console.print(plain(" · ".join(facts), "dim"))
    if server.description:
        console.print(plain(server.description, limit=_LONG))
    for tool in server.tools:
        tree = document_tree(tool.document)
        if facts := _facts(tool):
            tree.add(Text(facts, style="dim"))
        console.print(tree)
    for note in notes[:_MOST_NOTES]:
        word = "changed" if note.kept else f"left out ({note.check})"
        console.print(plain(f"{note.tool}: {word}: {note.reason}", "dim"))
    if len(notes) > _MOST_NOTES:
        console.print(plain(f"… {len(notes) - _MOST_NOTES} more notes: see notes.jsonl", "dim"))


def _facts(tool: CollectedTool) -> str:
    facts: list[str] = []
    if tool.read_only is not None:
        facts.append("only reads" if tool.read_only else "may change something")
    if tool.output_schema is not None:
        facts.append("result documented")
    if tool.examples:
        facts.append(f"{len(tool.examples)} examples")
    return "; ".join(facts)
