"""`astra trajectories make`: from a folder of tools to judged trajectories."""

from __future__ import annotations

import asyncio
from shlex import quote

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json, reasons
from astra.cli.estimate import print_estimate
from astra.cli.trajectories_report import mean_reward, print_agreement
from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.runs.folder import RunFolder
from astra.runs.manifest import StageCounts
from astra.trajectories.judge.agreement import agreements, ratings
from astra.trajectories.reading import read_judgements


@command_from(
    MakeTrajectoriesConfig,
    examples=[
        "astra trajectories make --tools runs/tools --teacher rules --model scripted "
        "--out runs/try",
        "astra trajectories make --tools runs/tools --count 200 --teacher NAME --teacher-url URL "
        "--model NAME --base-url URL --out runs/traj",
        "astra trajectories make @traj.toml --samples 4 --user simulated --judge-votes 3",
    ],
)
def command(config: MakeTrajectoriesConfig, *, as_json: bool) -> int:
    """Make tasks for collected tools, play them, judge the conversations.

    `--teacher rules --model scripted` needs no endpoint: it is for trying out and for test
    recordings, and gives no training data worth having. Run the same command again to resume:
    recorded answers are not paid for twice. Exit status 1 if nothing could be judged.
    """
    # Late: these take a second, and --help needs none of them.
    from astra.trajectories.estimate import estimate_trajectories
    from astra.trajectories.judge.stage import JUDGEMENTS
    from astra.trajectories.make import make_trajectories
    from astra.trajectories.play.rollouts import ROLLOUTS
    from astra.trajectories.tasks.task_maker import TASKS

    if config.dry_run:
        print_estimate(asyncio.run(estimate_trajectories(config)), as_json=as_json)
        return 0
    folder = RunFolder.open(asyncio.run(make_trajectories(config)).path)
    manifest = folder.manifest()
    stages, cost = manifest.stages, manifest.cost
    tasks, rollouts, judged = (
        stages.get(name, StageCounts()).accepted for name in (TASKS, ROLLOUTS, JUDGEMENTS)
    )
    reward = mean_reward(folder, JUDGEMENTS)
    if as_json:
        agreed = agreements(ratings(read_judgements(folder)))
        fields = {"accepted", "rejected", "errors", "seconds"}
        print_json(
            {
                "out": str(folder.path),
                "tasks": tasks,
                "rollouts": rollouts,
                "judged": judged,
                "reward": reward,
                "agreement": {name: each.model_dump() for name, each in agreed.items()},
                "cost": {"usage": cost.usage.model_dump(), "money": cost.dollars},
                "stages": {name: one.model_dump(include=fields) for name, one in stages.items()},
            }
        )
        return 0 if judged else 1
    console = out()
    summary = f"{judged} judged trajectories of {tasks} tasks in {folder.path}"
    summary += f", mean reward {reward:.3f}" if reward is not None else ""
    console.print(plain(summary), soft_wrap=True)
    for name, one in stages.items():
        if one.rejected or one.errors:
            line = f"  {name}: rejected {reasons(one.rejected, one.errors)}"
            console.print(plain(line), soft_wrap=True)
    print_agreement(read_judgements(folder))
    if cost.usage.prompt_tokens:
        tokens = f"{cost.usage.prompt_tokens} tokens in, {cost.usage.completion_tokens} out"
        money = f", money {cost.dollars:.4f}" if cost.dollars else ""
        console.print(plain(f"  cost: {tokens}{money}"))
    # A run may have judged nothing and still hold rollouts worth a look.
    if (first := next(folder.values(ROLLOUTS), None)) is not None:
        at, identifier = quote(str(folder.path)), quote(str(first[1]["id"]))
        console.print(
            plain(
                f"next: astra trajectories show {at} {identifier}\n"
                f"  or: astra trajectories replay {at}"
            ),
            soft_wrap=True,
        )
    return 0 if judged else 1
