"""Tools: those that arenas are made of, servers that were collected, and what follows what."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from astra.arenas.folder import ToolRow
from astra.errors import AstraError
from astra.trajectories.records import CollectedToolServer
from astra.viewer.pages.asked import Asked, NoSuchPageError, Row, Shown
from astra.viewer.shelf import Run

_TRANSITIONS = 500


def tool_page(asked: Asked, row: Row) -> Shown:
    """`RUN/tools/ID.html`."""
    stored = row.record(ToolRow)
    return "tool.html", {"title": f"Tool {stored.tool.name}", "row": row, "stored": stored}


def server_page(asked: Asked, row: Row) -> Shown:
    """`RUN/servers/ID.html`."""
    server = row.record(CollectedToolServer)
    graph = None
    if row.run.folder.exists("proposals.jsonl"):
        try:
            graph = _graph(row.run, server.id)
        except AstraError:
            graph = None  # no chain was proposed for this server
    return "server.html", {
        "title": f"Server {server.name}",
        "row": row,
        "server": server,
        "graph": graph,
    }


def tool_graph_page(asked: Asked, run: Run) -> Shown:
    """`RUN/tool-graph.html`: the transitions of every server that chains were proposed for."""
    if not run.folder.exists("proposals.jsonl"):
        raise NoSuchPageError(f"{run.name!r} holds no proposed chains")
    servers = {str(row.get("server")): None for _, row in run.folder.values("proposals")}
    return "tool_graph.html", {
        "title": f"Transitions of {run.name}",
        "run": run,
        "graphs": [_graph(run, server) for server in servers],
    }


def _graph(run: Run, server: str) -> dict[str, Any]:
    # They need networkx, which takes as long to import as the rest of the pages.
    from astra.trajectories.tasks.chain_proposals import proposed_graph
    from astra.trajectories.tasks.graph_svg import svg

    name, graph = proposed_graph(run.path, server)
    edges = sorted(graph.edges(data="weight"), key=lambda edge: (-edge[2], edge[0], edge[1]))
    return {
        "name": name,
        "tools": len(graph),
        # Its template escapes the names.
        "svg": Markup(svg(graph, name)),
        "transitions": edges[:_TRANSITIONS],
    }
