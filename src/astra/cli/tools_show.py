"""`astra tools show`: the servers and tools of a folder, and why others were rejected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich.table import Column, Table
from rich.text import Text

from astra.cli.arenas_show import document_tree
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.tools import ShowToolsConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.trajectories.collect.drafts import ToolNote
from astra.trajectories.collect.stages import COLLECTED, NOTES, SERVERS, CollectedServer
from astra.trajectories.records import CollectedToolServer
from astra.trajectories.toolset import find_server

_LONG = 300
_MOST_NOTES = 30


@command_from(
    ShowToolsConfig,
    examples=[
        "astra tools show runs/tools",
        "astra tools show runs/tools weather",
        "astra tools show runs/tools --json",
    ],
)
def command(config: ShowToolsConfig, *, as_json: bool) -> None:
    """Show collected servers and tools, and why others were rejected.

    With SERVER, show that server's tools.
    """
    folder = RunFolder.open(config.run)
    servers = list(folder.rows(SERVERS, CollectedToolServer))
    contents = {r.server.id: _content(r.server) for r in folder.rows(COLLECTED, CollectedServer)}
    notes: defaultdict[tuple[str, str], list[ToolNote]] = defaultdict(list)
    for note in folder.rows(NOTES, ToolNote):
        notes[contents.get(note.server, ("", ""))].append(note)
    if config.server is not None:
        server = find_server(servers, config.server)
        if as_json:
            rows = [note.model_dump(mode="json") for note in notes[_content(server)]]
            print_json({"server": server.model_dump(mode="json"), "notes": rows})
        else:
            _print_one(server, notes[_content(server)])
        return
    failures = [
        failure
        for stage in (COLLECTED, SERVERS)
        for failure in folder.rows(f"{stage}.failed", FailureRow)
    ]
    if not as_json:
        _print_all(servers, notes, failures)
        return
    rows = [
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
    ]
    rejected = [note for several in notes.values() for note in several if not note.kept]
    print_json(
        {
            "servers": rows,
            "tools": sum(len(one.tools) for one in servers),
            "domains": dict(Counter(one.domain for one in servers).most_common()),
            "rejected_servers": [each.model_dump(exclude_none=True) for each in failures],
            "rejected_tools": [note.model_dump(mode="json") for note in rejected],
        }
    )


def _content(server: CollectedToolServer) -> tuple[str, str]:
    """Identifies a server in both stages: the domain that the second adds changes its id."""
    return server.name, ",".join(tool.document.name for tool in server.tools)


# --- printing ---------------------------------------------------------------------------------


def _print_all(
    servers: Sequence[CollectedToolServer],
    notes: Mapping[tuple[str, str], list[ToolNote]],
    failures: Sequence[FailureRow],
) -> None:
    console = out()
    total = sum(len(one.tools) for one in servers)
    console.print(plain(f"{len(servers)} servers, {total} tools", "bold"))
    if servers:
        table = Table("server", "id", "from", "domain", "tools", "rejected")
        for one in servers:
            rejected = sum(not note.kept for note in notes.get(_content(one), []))
            source = f"{one.source}{', live' if one.connection else ''}"
            table.add_row(
                plain(one.name, limit=50),
                one.id,
                source,
                plain(one.domain or "–", limit=30),
                str(len(one.tools)),
                str(rejected or ""),
            )
        console.print(table)
    if failures:
        table = Table(Column("rejected", overflow="fold"), "by", Column("reason", overflow="fold"))
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
        facts: list[str] = []
        if tool.read_only is not None:
            facts.append("only reads" if tool.read_only else "may change something")
        if tool.output_schema is not None:
            facts.append("result documented")
        if tool.examples:
            facts.append(f"{len(tool.examples)} examples")
        if facts:
            tree.add(Text("; ".join(facts), style="dim"))
        console.print(tree)
    for note in notes[:_MOST_NOTES]:
        word = "changed" if note.kept else f"rejected ({note.check})"
        console.print(plain(f"{note.tool}: {word}: {note.reason}", "dim"))
    if len(notes) > _MOST_NOTES:
        console.print(plain(f"… {len(notes) - _MOST_NOTES} more notes: see notes.jsonl", "dim"))
