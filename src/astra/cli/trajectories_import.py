"""`astra trajectories import`: conversations of other programs to a run folder."""

from __future__ import annotations

import asyncio
from itertools import islice
from shlex import quote

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.trajectories import ImportTrajectoriesConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow

_SHOWN = 5
"""Refused conversations whose reasons are printed."""


@command_from(
    ImportTrajectoriesConfig,
    examples=[
        "astra trajectories import rows.jsonl --from openai --out runs/mine",
        "astra trajectories import logs/eval.json --from inspect --out runs/eval",
        "astra trajectories import rows.jsonl --tools runs/tools --out runs/mine",
    ],
)
def command(config: ImportTrajectoriesConfig, *, as_json: bool) -> int:
    """Read conversations from another format.

    They are then judged, shown, counted and exported as those of `astra trajectories make`. Nothing
    in the file is trusted: what can't be read is refused, one by one, with line and reason. Exit
    status 1 if a conversation was refused.
    """
    from astra.trajectories.make import import_trajectories  # late: it takes a second

    trajectories = asyncio.run(import_trajectories(config))
    folder = RunFolder.open(trajectories.path)
    counts = folder.manifest().stages["rollouts"]
    refused = sum(counts.rejected.values()) + sum(counts.errors.values())
    if as_json:
        print_json(
            {
                "out": str(trajectories.path),
                "conversations": counts.accepted,
                "rejected": counts.rejected,
                "errors": counts.errors,
            }
        )
        return 1 if refused else 0
    console = out()
    said = f"{counts.accepted} conversations in {trajectories.path}"
    console.print(plain(said), soft_wrap=True)
    if refused:
        console.print(plain(f"  {refused} refused, all in rollouts.failed.jsonl:"))
        for row in islice(folder.rows("rollouts.failed", FailureRow), _SHOWN):
            reason = f"    {row.check or row.type}: {row.message}"
            console.print(plain(reason, limit=400), soft_wrap=True)
    if counts.accepted:
        at = quote(str(trajectories.path))
        console.print(plain(f"next: astra trajectories judge {at} --teacher rules"), soft_wrap=True)
    return 1 if refused else 0
