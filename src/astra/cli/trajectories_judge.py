"""`astra trajectories judge`: judge the rollouts of a run again, from the files alone."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from astra.cli.console import err, out, plain, print_json
from astra.cli.options import (
    AsJson,
    Budget,
    Prices,
    PromptFolder,
    Run,
    TeacherKeyEnv,
    TeacherTemperature,
    TeacherUrl,
)
from astra.cli.teacher_options import TeacherOptions, any_teacher
from astra.cli.trajectories_report import mean_reward, print_agreement
from astra.cli.trajectories_teacher import teacher_of
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import StageReport
from astra.trajectories.judge.agreement import agreements, ratings
from astra.trajectories.judge.stage import JUDGEMENTS, judgements_name, judgements_stage
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import Judgement, RecordedRollout


def judge_command(
    run_folder: Run,
    teacher: Annotated[
        str,
        typer.Option(help="Who judges: a model of --teacher-url, or `rules`.", show_default=False),
    ],
    teacher_url: TeacherUrl = None,
    teacher_key_env: TeacherKeyEnv = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the file: judgements-NAME.jsonl.  [default: the teacher's]"),
    ] = None,
    judges: Annotated[int, typer.Option(min=1, help="How often each judge is asked.")] = 1,
    temperature: TeacherTemperature = None,
    prompts: PromptFolder = None,
    prices: Prices = None,
    budget: Budget = None,
    seed: Annotated[int, typer.Option(help="Sent to the teacher.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Rollouts judged at once.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Judge a run's rollouts by another teacher, beside the judgements that are there.

    Tells how far both agree. Run it again to go on after a stop. Ends with status 1 if nothing
    could be judged.

    \b
    Examples:
      astra trajectories judge runs/traj --teacher rules
      astra trajectories judge runs/traj --teacher NAME --teacher-url URL --judges 3
    """
    file = judgements_name(name or teacher)
    options = teacher_of(
        teacher,
        teacher_url,
        key_env=teacher_key_env,
        seed=seed,
        temperature=temperature,
        prices=prices,
        budget=budget,
        prompts=prompts,
    )
    folder = RunFolder.open(run_folder)
    if not folder.exists(f"{ROLLOUTS}.jsonl"):
        raise ConfigError(
            f"{str(run_folder)!r} holds no rollouts: make some (astra trajectories make)"
        )
    report = asyncio.run(_judge(folder, options, file, judges, concurrency))
    if as_json:
        print_json(_as_json(folder, file, report))
    else:
        _print(folder, file, report)
    if not report.accepted:
        raise typer.Exit(1)


async def _judge(
    folder: RunFolder, options: TeacherOptions, file: str, judges: int, concurrency: int
) -> StageReport:
    async with any_teacher(options, folder) as teacher:
        return await run(
            judgements_stage(teacher, judges, file),
            folder.rows(ROLLOUTS, RecordedRollout),
            folder,
            concurrency=concurrency,
            total=sum(1 for _ in folder.values(ROLLOUTS)),
            console=err(),
        )


def _as_json(folder: RunFolder, file: str, report: StageReport) -> dict[str, object]:
    both = ratings(folder.rows(JUDGEMENTS, Judgement), folder.rows(file, Judgement))
    return {
        "file": f"{file}.jsonl",
        "judged": report.accepted,
        "rejected": report.rejected,
        "errors": report.errors,
        "reward": mean_reward(folder, file),
        "agreement": {name: each.model_dump() for name, each in agreements(both).items()},
    }


def _print(folder: RunFolder, file: str, report: StageReport) -> None:
    console = out()
    reward = mean_reward(folder, file)
    said = f"{report.accepted} rollouts judged, in {folder.path / file}.jsonl"
    said += f", mean reward {reward:.3f}" if reward is not None else ""
    console.print(plain(said), soft_wrap=True)
    reasons = {**report.rejected, **report.errors}
    if reasons:
        listed = ", ".join(f"{number} by {why}" for why, number in sorted(reasons.items()))
        console.print(plain(f"  set aside {listed}"))
    print_agreement(folder.rows(JUDGEMENTS, Judgement), folder.rows(file, Judgement))
