"""`astra tools graph`: which tool followed which in the chains that were proposed for a server."""

from __future__ import annotations

import difflib
from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.tools import ToolGraphConfig
from astra.core.files import write_file
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.tasks.chain_proposals import PROPOSALS
from astra.trajectories.tasks.graph_svg import svg
from astra.trajectories.tasks.records import ChainProposal
from astra.trajectories.tasks.transition_graph import transition_graph


@command_from(
    ToolGraphConfig,
    examples=[
        "astra tools graph runs/traj calendar",
        "astra tools graph runs/traj calendar --out calendar.svg",
    ],
)
def command(config: ToolGraphConfig, *, as_json: bool) -> None:
    """Show which tools' outputs feed which inputs.

    Counts how often one tool followed another in the proposed chains of a server. The run folder
    also holds the graph as GraphML.
    """
    rows = list(RunFolder.open(config.run).rows(PROPOSALS, ChainProposal))
    matching = {r.server: r.name for r in rows if config.server in (r.server, r.name)}
    if len(matching) != 1:
        raise ConfigError(_not_one_server(config.server, rows, list(matching)))
    [(server, name)] = matching.items()
    chains = [pair.chain for row in rows if row.server == server for pair in row.pairs]
    graph = transition_graph((), chains)
    edges = sorted(graph.edges(data="weight"), key=lambda edge: (-edge[2], edge[0], edge[1]))
    if config.out is not None:
        write_file(Path(config.out), svg(graph, name).encode())
    if as_json:
        transitions = [{"from": a, "to": b, "weight": weight} for a, b, weight in edges]
        print_json({"server": name, "tools": len(graph), "transitions": transitions})
        return
    table = Table("tool", "next tool", "times", title=plain(name))
    for first, second, weight in edges:
        table.add_row(plain(first), plain(second), str(weight))
    out().print(table)


def _not_one_server(server: str, rows: list[ChainProposal], ids: list[str]) -> str:
    if ids:
        return f"several servers are named {server!r}: give one of the ids {', '.join(ids)}"
    if not rows:
        return "this run holds no proposals: give a folder that `astra trajectories make` wrote"
    names = sorted({row.name for row in rows})
    near = difflib.get_close_matches(server, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:20])}"
    return f"there is no server {server!r} in this run: {hint}"
