"""`astra tools collect`: from MCP servers, OpenAPI documents and lists of functions to a folder."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import islice
from shlex import quote

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.estimate import print_estimate
from astra.configs.tools import CollectToolsConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.manifest import StageCounts

_MOST_REASONS = 5
"""Of a stage, printed at its end; `tools show` lists all."""
_LONG = 300


@command_from(
    CollectToolsConfig,
    examples=[
        "astra tools collect mcp.json openapi.yaml tools.json --out runs/tools",
        "astra tools collect specs/ --min-tools 5 --teacher rules --out runs/tools",
        "astra tools collect mcp.json --teacher NAME --teacher-url URL --out runs/tools",
    ],
)
def command(config: CollectToolsConfig, *, as_json: bool) -> int:
    """Collect tools from MCP servers, OpenAPI documents and lists of functions.

    Asks live servers, reads documents, normalizes, filters and names domains. Run it again to
    resume, and to ask again servers that could not be reached. Exit status 1 if no server is kept.
    """
    # Late: these take a second, and --help needs none of them.
    from astra.trajectories.collect.stages import COLLECTED, SERVERS, read_notes, read_servers
    from astra.trajectories.collect_tools import collect_tools
    from astra.trajectories.estimate import estimate_collection

    if config.dry_run:
        print_estimate(asyncio.run(estimate_collection(config)), as_json=as_json)
        return 0
    folder = RunFolder.open(asyncio.run(collect_tools(config)))
    stages = folder.manifest().stages
    counts = {name: stages.get(name, StageCounts()) for name in (COLLECTED, SERVERS)}
    kept = counts[SERVERS].accepted
    kept_tools = sum(len(server.tools) for server in read_servers(folder.path))
    left_out = Counter(note.check for note in read_notes(folder.path) if not note.kept)
    if as_json:
        fields = {"accepted", "rejected", "errors"}
        listed = {name: one.model_dump(include=fields) for name, one in counts.items()}
        print_json(
            {
                "out": str(folder.path),
                "servers": kept,
                "tools": kept_tools,
                "tools_left_out": dict(sorted(left_out.items())),
                "stages": listed,
            }
        )
        return 0 if kept else 1
    console = out()
    console.print(plain(f"{kept} servers with {kept_tools} tools in {folder.path}"))
    if left_out:
        reasons = ", ".join(f"{check} {n}" for check, n in sorted(left_out.items()))
        console.print(plain(f"  tools left out of kept servers: {reasons}"))
    for name, one in counts.items():
        if one.rejected:
            reasons = ", ".join(f"{check} {n}" for check, n in sorted(one.rejected.items()))
            console.print(plain(f"  {name}: rejected: {reasons}"))
        if one.errors:
            failed = sum(one.errors.values())
            console.print(plain(f"  {name}: failed, tried again by the same command: {failed}"))
        for failure in islice(folder.rows(f"{name}.failed", FailureRow), _MOST_REASONS):
            line = f"    {failure.key}: {failure.message}"
            console.print(plain(line, limit=_LONG), soft_wrap=True)
    see = f"  see: astra tools show {quote(str(config.out))}"
    console.print(plain(see), soft_wrap=True)
    return 0 if kept else 1
