"""`astra trajectories replay`: every rollout again, offline, against its recording."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import typer

from astra.cli.console import out, plain, print_json
from astra.cli.options import AsJson, Run
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.play.replay import difference, replay
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import RecordedRollout

_SHOWN = 20


def replay_command(run_folder: Run, as_json: AsJson = False) -> None:
    """Play each rollout's recorded messages against its recorded calls; compare bit for bit.

    No model, no server and no network is asked. Ends with status 1 if one comes out otherwise.

    \b
    Examples:
      astra trajectories replay runs/traj
    """
    folder = RunFolder.open(run_folder)
    wrong, total = asyncio.run(_replayed(folder))
    if not total:
        raise ConfigError(f"{str(run_folder)!r} holds no rollouts: make some first")
    if as_json:
        print_json({"rollouts": total, "same": total - len(wrong), "otherwise": wrong})
    else:
        console = out()
        console.print(f"{total - len(wrong)} of {total} rollouts come out the same, bit for bit")
        for name, where in list(wrong.items())[:_SHOWN]:
            console.print(plain(f"  {name}: {where}", "red"), soft_wrap=True)
    if wrong:
        raise typer.Exit(1)


async def _replayed(folder: RunFolder) -> tuple[dict[str, str], int]:
    """Rollout id -> where it differs, and how many there are."""
    wrong: dict[str, str] = {}
    total = 0
    async for name, where in _compared(folder):
        total += 1
        if where:
            wrong[name] = where
    return wrong, total


async def _compared(folder: RunFolder) -> AsyncIterator[tuple[str, str]]:
    for recorded in folder.rows(ROLLOUTS, RecordedRollout):
        yield recorded.id, difference(recorded.trajectory, await replay(recorded))
