"""`astra trajectories judge`: judge the rollouts of a run again, from the files alone."""

from __future__ import annotations

import asyncio

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json, reasons
from astra.cli.estimate import print_estimate
from astra.cli.trajectories_report import mean_reward, print_agreement
from astra.configs.trajectories import JudgeTrajectoriesConfig
from astra.runs.folder import RunFolder
from astra.trajectories.judge.agreement import agreements, ratings
from astra.trajectories.reading import read_judgements


@command_from(
    JudgeTrajectoriesConfig,
    examples=[
        "astra trajectories judge runs/traj --teacher rules",
        "astra trajectories judge runs/traj --teacher NAME --teacher-url URL --judge-votes 3",
    ],
)
def command(config: JudgeTrajectoriesConfig, *, as_json: bool) -> int:
    """Judge recorded conversations again.

    The new judgements are kept beside the first ones, and the agreement of both is printed. Run it
    again to resume. Exit status 1 if nothing could be judged.
    """
    # Late: these take a second, and --help needs none of them.
    from astra.trajectories.estimate import estimate_judging
    from astra.trajectories.judge.stage import JUDGEMENTS
    from astra.trajectories.make import judge_trajectories

    if config.dry_run:
        print_estimate(asyncio.run(estimate_judging(config)), as_json=as_json)
        return 0
    file = asyncio.run(judge_trajectories(config)).judgements
    folder = RunFolder.open(config.run)
    counts = folder.manifest().stages[file]
    reward = mean_reward(folder, file)
    files = [read_judgements(folder, name) for name in dict.fromkeys((JUDGEMENTS, file))]
    if as_json:
        both = ratings(*files)
        print_json(
            {
                "file": f"{file}.jsonl",
                "judged": counts.accepted,
                "rejected": counts.rejected,
                "errors": counts.errors,
                "reward": reward,
                "agreement": {name: each.model_dump() for name, each in agreements(both).items()},
            }
        )
    else:
        summary = f"{counts.accepted} rollouts judged, in {folder.path / file}.jsonl"
        summary += f", mean reward {reward:.3f}" if reward is not None else ""
        out().print(plain(summary), soft_wrap=True)
        if counts.rejected or counts.errors:
            out().print(plain(f"  rejected {reasons(counts.rejected, counts.errors)}"))
        print_agreement(*files)
    return 0 if counts.accepted else 1
