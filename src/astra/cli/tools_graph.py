"""`astra tools graph`: which tool followed which in the chains that were proposed for a server."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.tools import ToolGraphConfig
from astra.core.files import write_file
from astra.trajectories.tasks.chain_proposals import proposed_graph
from astra.trajectories.tasks.graph_svg import svg


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
    name, graph = proposed_graph(config.run, config.server)
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
