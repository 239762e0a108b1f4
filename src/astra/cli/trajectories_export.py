"""`astra trajectories export`: judged rollouts as a data set for training."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.trajectories import ExportTrajectoriesConfig

_TOLERANCE = 0.02
"""Difference of fractions up to which one counts as met."""


@command_from(
    ExportTrajectoriesConfig,
    examples=[
        "astra trajectories export runs/traj --min-score 0.8 --out sft/",
        "astra trajectories export runs/traj --format sharegpt --max-per-task 1 --out sharegpt/",
    ],
)
def command(config: ExportTrajectoriesConfig, *, as_json: bool) -> None:
    """Write judged conversations as a dataset for SFT.

    Writes rows, a train and test split, and a data card. A rollout is excluded, with the reason in
    excluded.jsonl, if it has no score or too low a one, does not end with an answer, or can't be
    expressed in any family's chat template.
    """
    # Late: these take a second, and --help needs none of them.
    from astra.trajectories.make import export_trajectories

    result = asyncio.run(export_trajectories(config))
    if as_json:
        print_json({"out": str(config.out), **asdict(result)})
    else:
        console = out()
        counts = ", ".join(f"{count} {split}" for split, count in result.rows.items())
        console.print(plain(f"{counts} rows in {config.out}"), soft_wrap=True)
        for check, count in result.excluded.items():
            console.print(plain(f"  {count} excluded by {check}"))
        for family, count in result.unrenderable.items():
            if count:
                line = f"  {count} rows can't be expressed in the template of {family}"
                console.print(plain(line))
    rows = sum(result.rows.values())
    fraction = result.rows["test"] / rows
    if abs(fraction - config.test_fraction) <= max(_TOLERANCE, 1 / rows):
        return
    reason = (
        "all servers are connected by tasks or by tools that they share"
        if result.groups == 1
        else f"the rows come from {result.groups} groups of servers, and each stays in one split, "
        "so that test tools are unseen"
    )
    err().print(
        f"--test-fraction {config.test_fraction:g} can't be met: {result.rows['test']} of {rows} "
        f"rows ({fraction:.1%}) are held out, since {reason}",
        soft_wrap=True,
        highlight=False,
    )
