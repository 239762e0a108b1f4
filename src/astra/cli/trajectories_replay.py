"""`astra trajectories replay`: every rollout again, offline, against its recording."""

from __future__ import annotations

import asyncio

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.trajectories import ReplayTrajectoriesConfig
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.play.replay import difference, replay
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import RecordedRollout

_MOST_PRINTED = 20


@command_from(ReplayTrajectoriesConfig, examples=["astra trajectories replay runs/traj"])
def command(config: ReplayTrajectoriesConfig, *, as_json: bool) -> int:
    """Replay recorded tool calls offline and compare.

    Plays each rollout's recorded messages against its recorded calls, without model, server or
    network, and compares bit for bit. Exit status 1 if a rollout differs.
    """
    folder = RunFolder.open(config.run)
    differences = asyncio.run(_differences(folder))
    if not differences:
        raise ConfigError(f"{str(config.run)!r} holds no rollouts: make some first")
    different = {rollout: where for rollout, where in differences.items() if where}
    total, same = len(differences), len(differences) - len(different)
    if as_json:
        print_json({"rollouts": total, "same": same, "different": different})
    else:
        console = out()
        console.print(f"{same} of {total} rollouts come out the same, bit for bit")
        for rollout, where in list(different.items())[:_MOST_PRINTED]:
            console.print(plain(f"  {rollout}: {where}", "red"), soft_wrap=True)
    return 1 if different else 0


async def _differences(folder: RunFolder) -> dict[str, str]:
    """Rollout id -> where its replay first differs. Empty text: nowhere."""
    return {
        recorded.id: difference(recorded.trajectory, await replay(recorded))
        for recorded in folder.rows(ROLLOUTS, RecordedRollout)
    }
