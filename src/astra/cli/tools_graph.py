"""`astra tools graph`: which tool followed which in the chains that were proposed for a server."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from astra.cli.console import out, plain, print_json
from astra.cli.options import AsJson
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.tasks.chains import PROPOSALS
from astra.trajectories.tasks.graph_svg import svg
from astra.trajectories.tasks.records import ChainProposal
from astra.trajectories.tasks.transition_graph import Graph, transition_graph


def graph_command(
    run: Annotated[Path, typer.Argument(help="Run folder of `astra trajectories make`.")],
    server: Annotated[str, typer.Argument(help="Name or id of the server.")],
    file: Annotated[
        Path | None, typer.Option("--out", help="SVG file to write; default: none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a server's transition graph: how often one tool followed another in proposed chains.

    With --out it is drawn. The run folder holds it as GraphML, too.

    \b
    Examples:
      astra tools graph runs/traj calendar
      astra tools graph runs/traj calendar --out calendar.svg
    """
    name, graph = _graph(RunFolder.open(run), server)
    edges = sorted(graph.edges(data="weight"), key=lambda edge: (-edge[2], edge[0], edge[1]))
    if file is not None:
        file.write_text(svg(graph, name), encoding="utf-8")
    if as_json:
        print_json(
            {
                "server": name,
                "tools": len(graph),
                "transitions": [{"from": a, "to": b, "weight": w} for a, b, w in edges],
            }
        )
        return
    table = Table("tool", "next tool", "times", title=plain(name))
    for first, second, weight in edges:
        table.add_row(plain(first), plain(second), str(weight))
    out().print(table)


def _graph(folder: RunFolder, server: str) -> tuple[str, Graph]:
    rows = list(folder.rows(PROPOSALS, ChainProposal))
    found = {row.server: row.name for row in rows if server in (row.server, row.name)}
    if len(found) != 1:
        raise ConfigError(_which(server, rows, found))
    [(identity, name)] = found.items()
    chains = [pair.chain for row in rows if row.server == identity for pair in row.pairs]
    return name, transition_graph((), chains)


def _which(server: str, rows: list[ChainProposal], found: dict[str, str]) -> str:
    if found:
        return f"several servers are named {server!r}: give one of the ids {', '.join(found)}"
    if not rows:
        return "this run holds no proposals: give a folder that `astra trajectories make` wrote"
    names = sorted({row.name for row in rows})
    near = difflib.get_close_matches(server, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:20])}"
    return f"there is no server {server!r} in this run: {hint}"
