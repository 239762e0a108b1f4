"""`astra trajectories replay`: every rollout again, offline, against its recording."""

from __future__ import annotations

import asyncio

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.trajectories import ReplayTrajectoriesConfig
from astra.trajectories.play.replay import replay_differences

_MOST_PRINTED = 20


@command_from(ReplayTrajectoriesConfig, examples=["astra trajectories replay runs/traj"])
def command(config: ReplayTrajectoriesConfig, *, as_json: bool) -> int:
    """Replay recorded tool calls offline and compare.

    Plays each rollout's recorded messages against its recorded calls, without model, server or
    network, and compares exactly. Exit status 1 if a rollout differs.
    """
    differences = asyncio.run(replay_differences(config.run))
    different = {rollout: where for rollout, where in differences.items() if where}
    total, same = len(differences), len(differences) - len(different)
    if as_json:
        print_json({"rollouts": total, "same": same, "different": different})
    else:
        console = out()
        console.print(f"{same} of {total} rollouts give identical results")
        for rollout, where in list(different.items())[:_MOST_PRINTED]:
            console.print(plain(f"  {rollout}: {where}", "red"), soft_wrap=True)
    return 1 if different else 0
