"""The teacher of the trajectory commands, and what a run of theirs has cost."""

from __future__ import annotations

from pathlib import Path

from astra.cli.teacher_options import RULES, TeacherOptions
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.teacher.prompts import chains, emulation, judging
from astra.teacher.prompts.tasks import INTENT, PROPOSE_TASKS, VARY_TASK
from astra.trajectories.judge.stage import JUDGEMENTS
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.tasks.chains import CHAINS, PROPOSALS
from astra.trajectories.tasks.scoring import SCORED, SERVER_TASKS
from astra.trajectories.tasks.variations import VARIED
from astra.types import Json, Usage

_STAGES: dict[str, str] = {
    **{prompt.name: CHAINS for prompt in chains.ALL},
    **{prompt.name: ROLLOUTS for prompt in emulation.ALL},
    **{prompt.name: JUDGEMENTS for prompt in judging.ALL},
    chains.PROPOSE_CHAINS.name: PROPOSALS,
    PROPOSE_TASKS.name: SERVER_TASKS,
    VARY_TASK.name: VARIED,
    INTENT.name: VARIED,
}


def stage_of(prompt: str) -> str:
    """The stage that asks a prompt; those that are named nowhere score tasks."""
    return _STAGES.get(prompt, SCORED)


def teacher_of(
    name: str,
    url: str | None,
    *,
    key_env: str | None = None,
    seed: int = 0,
    temperature: float | None = None,
    prices: Path | None = None,
    budget: float | None = None,
    cache: bool = True,
    prompts: Path | None = None,
) -> TeacherOptions:
    """From the options of a command; ConfigError for a model without an address."""
    if url is None and name != RULES:
        raise ConfigError(f"--teacher {name!r} needs --teacher-url; {RULES!r} alone needs none")
    return TeacherOptions(
        model=name,
        base_url=url or "",
        api_key_env=key_env,
        seed=seed,
        temperature=temperature,
        prices=prices,
        budget=budget,
        cache=cache,
        prompts=prompts,
    )


def spent(folder: RunFolder) -> dict[str, Json]:
    """What a run folder has cost over all runs."""
    stages = folder.manifest().stages.values()
    usage = sum((stage.usage for stage in stages), Usage())
    money = sum(stage.dollars for stage in stages)
    said = f"cost: {usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
    return {
        "usage": usage.model_dump(),
        "money": money,
        "said": said + (f", money {money:.4f}" if money else ""),
    }
