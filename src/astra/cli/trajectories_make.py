"""`astra trajectories make`: from a folder of tools to judged trajectories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.cli.console import err, print_json
from astra.cli.options import (
    AsJson,
    Prices,
    PromptFolder,
    TeacherKeyEnv,
    TeacherTemperature,
    TeacherUrl,
)
from astra.cli.teacher_options import StageMeters, TeacherOptions, any_teacher
from astra.cli.trajectories_report import as_json_report, print_report
from astra.cli.trajectories_tasks import (
    Across,
    Acyclic,
    Axes,
    ChainLength,
    ChainShare,
    Personas,
    SeenIn,
    VerifyBy,
    task_options,
)
from astra.cli.trajectories_teacher import stage_of, teacher_of
from astra.errors import ConfigError
from astra.hosts.live import LiveOptions
from astra.hosts.mcp_session import McpSessionOptions
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.runs.stage import StageReport
from astra.teacher.cache import AnswerCache
from astra.testing.rule_teacher.scripted_agent import ScriptedAgent
from astra.trajectories.judge.stage import JUDGEMENTS
from astra.trajectories.pipeline import PlayingAgent, TrajectoryOptions, TrajectoryPipeline
from astra.trajectories.play.hosts import EpisodeHosts
from astra.trajectories.play.recording_model import AGENT, RecordingModel
from astra.trajectories.play.rollouts import SYSTEM_PROMPTS, HostChoice, RolloutOptions
from astra.trajectories.tasks.chains import require_servers
from astra.types import Json, Language

SCRIPTED = "scripted"
"""Name of the agent that carries out each task's plan, without a model."""


@dataclass(frozen=True, slots=True)
class MakeTrajectoriesJob:
    """What `make` was asked for."""

    tools: Path
    out: Path
    teacher: TeacherOptions
    agent: TeacherOptions
    line: TrajectoryOptions
    live: LiveOptions


def make_command(
    tools: Annotated[
        Path,
        typer.Option(help="Folder that `astra tools collect` wrote.", show_default=False),
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    teacher: Annotated[
        str,
        typer.Option(
            help="Who proposes, emulates and judges: a model of --teacher-url, or `rules`.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="The agent: a model of --base-url, or `scripted`, which follows each plan.",
            show_default=False,
        ),
    ],
    teacher_url: TeacherUrl = None,
    teacher_key_env: TeacherKeyEnv = None,
    base_url: Annotated[
        str | None, typer.Option(help="The agent's OpenAI-compatible endpoint, up to /v1.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the agent's key.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many tasks.")] = 100,
    axes: Axes = None,
    chain_share: ChainShare = 0.7,
    chain_length: ChainLength = "2:5",
    acyclic: Acyclic = False,
    across: Across = False,
    verify: VerifyBy = "vote",
    personas: Personas = None,
    observed: SeenIn = None,
    samples: Annotated[int, typer.Option(min=1, help="Rollouts per task.")] = 1,
    hosts: Annotated[
        HostChoice, typer.Option(help="Where tools run. auto: live where a server can be reached.")
    ] = "auto",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Of live servers, show tools that only read.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Of live servers, show these tools alone. Repeatable."),
    ] = None,
    unconfined: Annotated[
        bool,
        typer.Option(
            "--unconfined", help="Start servers with all your rights on files. See docs/tools.md."
        ),
    ] = False,
    user: Annotated[
        Literal["none", "simulate"],
        typer.Option(help="simulate: the teacher plays a user who says things piece by piece."),
    ] = "none",
    judges: Annotated[int, typer.Option(min=1, help="How often each judge is asked.")] = 1,
    votes: Annotated[int, typer.Option(min=1, help="Verdicts on each chain.")] = 3,
    failure_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of emulated calls that fail.")
    ] = 0.2,
    system: Annotated[
        str | None,
        typer.Option(help="File with the agent's system message, or `none`.  [default: ours]"),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="Most messages of the agent.")] = 32,
    episode_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of the agent in a rollout.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Longest rollout.")] = 3600.0,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one message of the agent.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="The agent's.  [default: the endpoint's]")
    ] = None,
    teacher_temperature: TeacherTemperature = None,
    prompts: PromptFolder = None,
    prices: Prices = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="Most that the run folder's teacher may cost, by --prices."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask again what was already answered.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Items worked on at once.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Make tasks for the tools, let an agent carry them out, and judge how it went.

    `--teacher rules --model scripted` needs no endpoint: to try the line out, and to make
    recordings for tests. It makes no training data worth having. Run the same command again to go
    on after a stop: nothing is paid for twice. Ends with status 1 if nothing could be judged.

    \b
    Examples:
      astra trajectories make --tools runs/tools --teacher rules --model scripted --out runs/try
      astra trajectories make --tools runs/tools --count 200 --teacher NAME --teacher-url URL
          --model NAME --base-url URL --out runs/traj
      astra trajectories make @traj.toml --samples 4 --user simulate --judges 3
    """
    asked = MakeTrajectoriesJob(
        tools=tools,
        out=out_folder,
        teacher=teacher_of(
            teacher,
            teacher_url,
            key_env=teacher_key_env,
            seed=seed,
            temperature=teacher_temperature,
            prices=prices,
            budget=budget,
            cache=not no_cache,
            prompts=prompts,
        ),
        agent=_agent(model, base_url, api_key_env, seed, prices, cache=not no_cache),
        line=TrajectoryOptions(
            tasks=task_options(
                count=count,
                axes=axes,
                chain_share=chain_share,
                chain_length=chain_length,
                acyclic=acyclic,
                across=across,
                verify=verify,
                votes=votes,
                personas=personas,
                observed=observed,
                seed=seed,
                concurrency=concurrency,
            ),
            rollouts=RolloutOptions(
                samples=samples,
                hosts=hosts,
                system=_system(system),
                limits=RolloutLimits(
                    turns=turns,
                    episode_tokens=episode_tokens,
                    seconds=seconds,
                    sampling=Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed),
                ),
                simulate=user == "simulate",
                failure_rate=failure_rate,
                seed=seed,
            ),
            judges=judges,
            concurrency=concurrency,
        ),
        live=LiveOptions(
            read_only=read_only,
            allow=frozenset(allow) if allow else None,
            session=McpSessionOptions(confined=not unconfined),
        ),
    )
    reports, folder = asyncio.run(_make(asked))
    if as_json:
        print_json(as_json_report(reports, folder))
    else:
        print_report(reports, folder)
    if not reports[JUDGEMENTS].accepted:
        raise typer.Exit(1)


def _agent(
    name: str,
    base_url: str | None,
    key_env: str | None,
    seed: int,
    prices: Path | None,
    *,
    cache: bool,
) -> TeacherOptions:
    if name == SCRIPTED and base_url is None:
        return TeacherOptions(name, "", seed=seed)
    if base_url is None:
        raise ConfigError(f"--model {name!r} needs --base-url; `scripted` alone needs none")
    return TeacherOptions(
        name, base_url, api_key_env=key_env, seed=seed, prices=prices, cache=cache
    )


def _system(given: str | None) -> dict[Language, str]:
    """The system message of each language."""
    if given is None:
        return dict(SYSTEM_PROMPTS)
    if given == "none":
        return {}
    try:
        text = Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--system: can't read {given!r} ({error}): give a text file") from error
    return {"en": text, "zh": text}


async def _make(asked: MakeTrajectoriesJob) -> tuple[dict[str, StageReport], RunFolder]:
    source, line = RunFolder.open(asked.tools), asked.line
    servers = {server.id: server for server in require_servers(source)}
    config: dict[str, Json] = {
        "tools": str(asked.tools),
        "tasks": line.tasks.config(),
        "rollouts": line.rollouts.config(),
        "judges": line.judges,
        "live": {
            "read_only": asked.live.read_only,
            "allow": sorted(asked.live.allow) if asked.live.allow else None,
        },
        "teacher": asked.teacher.config(),
        "model": asked.agent.config(),
    }
    folder = RunFolder.create(asked.out, config, seeds={"seed": line.tasks.seed})
    meters = StageMeters(stage_of)
    async with (
        any_teacher(asked.teacher, folder, meters) as teacher,
        _player(asked.agent, folder) as agent,
    ):
        hosting = EpisodeHosts(
            servers, failure_rate=line.rollouts.failure_rate, seed=line.rollouts.seed
        )
        making = TrajectoryPipeline(source, folder, teacher, agent, hosting, err(), meters)
        return await making.make(line), folder


@asynccontextmanager
async def _player(endpoint: TeacherOptions, folder: RunFolder) -> AsyncGenerator[PlayingAgent]:
    if not endpoint.base_url:
        yield PlayingAgent(
            SCRIPTED, lambda job: ScriptedAgent(job.task.plan, job.task.language, SCRIPTED)
        )
        return
    from astra.models.openai import OpenAIModel  # late: a second, for those who have no model

    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            OpenAIModel(endpoint.model, endpoint.base_url, endpoint.key())
        )
        price = endpoint.price()
        if not endpoint.cache:
            yield PlayingAgent(endpoint.model, lambda job: model, price)
            return
        record = stack.enter_context(AnswerCache(folder, AGENT))
        yield PlayingAgent(
            endpoint.model, lambda job: RecordingModel(model, record, job.key), price
        )
