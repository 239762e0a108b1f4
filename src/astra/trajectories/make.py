"""`astra.make_trajectories`, and judging and exporting what it made."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path

from astra.configs.spelling import option_name
from astra.configs.trajectories import (
    ExportTrajectoriesConfig,
    ImportTrajectoriesConfig,
    JudgeTrajectoriesConfig,
    MakeTrajectoriesConfig,
)
from astra.errors import ConfigError
from astra.hosts.live import LiveOptions
from astra.hosts.mcp_options import McpSessionOptions
from astra.models.keys import api_key
from astra.runs.folder import RunFolder
from astra.runs.opening import open_run
from astra.runs.progress import progress_console
from astra.runs.runner import StageRunner
from astra.teacher.cache import AnswerCache
from astra.teacher.opening import model_price
from astra.teacher.prompt import Teacher
from astra.trajectories.export.dataset import ExportResult, export_dataset
from astra.trajectories.importing.stage import import_stage, imported_rollouts
from astra.trajectories.judge.stage import JUDGEMENTS, judgements_stage
from astra.trajectories.pipeline import TrajectoryAgent, TrajectoryPipeline
from astra.trajectories.play.hosts import EpisodeHosts
from astra.trajectories.play.recording_model import AGENT, RecordingModel
from astra.trajectories.play.rollouts import ROLLOUTS, system_prompts
from astra.trajectories.reading import read_rollouts
from astra.trajectories.records import Judgement
from astra.trajectories.sets import TrajectorySet
from astra.trajectories.tasks.personas import read_personas
from astra.trajectories.tasks.server_groups import require_servers
from astra.trajectories.teachers import trajectory_teacher

SCRIPTED = "scripted"
"""Name of the agent that follows each task's plan, without a model."""


async def make_trajectories(config: MakeTrajectoriesConfig) -> TrajectorySet:
    """Make tasks for collected tools, let an agent carry them out, and judge the conversations.

    Raises StoreError for a folder without tools, StageError if nothing works.
    """
    if config.dry_run:
        raise ConfigError("dry_run: call astra.trajectories.estimate.estimate_trajectories")
    require_servers(RunFolder.open(config.tools))
    # Wrong inputs are found before there is a run folder that names them.
    prompts = system_prompts(config.system_prompt)
    if config.personas is not None:
        read_personas(Path(config.personas))
    if config.observations is not None:
        RunFolder.open(config.observations)
    earlier = _earlier_run(config)
    folder = open_run(config, config.out, inputs={"system_prompts": dict(prompts)})
    with folder.lock():
        async with trajectory_teacher(config, folder, seed=config.seed, earlier=earlier) as teacher:
            await run_pipeline(config, folder, teacher)
    return TrajectorySet(folder.path, folder=folder)


def _earlier_run(config: MakeTrajectoriesConfig) -> RunFolder | None:
    """The run whose recorded answers are used. Raises ConfigError if it is the one to write."""
    if config.answers_from is None:
        return None
    if config.out is not None and Path(config.answers_from).resolve() == Path(config.out).resolve():
        raise ConfigError(
            f"{option_name('answers_from')} {str(config.answers_from)!r} is the folder to write: "
            "its own answers are used anyway, leave the option out"
        )
    return RunFolder.open(config.answers_from)


async def run_pipeline(config: MakeTrajectoriesConfig, folder: RunFolder, teacher: Teacher) -> None:
    """Run all stages in a folder, with hosts and agent as the config says."""
    tools = RunFolder.open(config.tools)
    servers = {server.id: server for server in require_servers(tools)}
    live = LiveOptions(
        read_only=config.read_only,
        allow=None if config.allowed_tools is None else frozenset(config.allowed_tools),
        session=McpSessionOptions(confined=config.confine_servers),
    )
    hosts = EpisodeHosts(servers, config.emulated_failure_rate, config.seed, live)
    console = progress_console(config.progress)
    async with _open_agent(config, folder) as agent:
        await TrajectoryPipeline(tools, folder, teacher, agent, hosts, config, console).run()


@asynccontextmanager
async def _open_agent(
    config: MakeTrajectoriesConfig, folder: RunFolder
) -> AsyncGenerator[TrajectoryAgent]:
    if config.base_url is None:
        # Late: a fixture, which ships for trying out only.
        from astra.testing.rule_teacher.scripted_agent import ScriptedAgent

        yield TrajectoryAgent(
            SCRIPTED,
            lambda job: ScriptedAgent(job.task.plan, job.task.language, SCRIPTED, job.script),
        )
        return
    from astra.models.openai import OpenAIModel  # late: a second, which runs by rule can do without

    async with AsyncExitStack() as stack:
        key = api_key(config.api_key_env)
        endpoint = OpenAIModel(config.model, config.base_url, key, timeout=config.timeout)
        model = await stack.enter_async_context(endpoint)
        price = model_price(config.prices, config.model)
        earlier = _earlier_run(config)
        known = stack.enter_context(AnswerCache(earlier, AGENT)) if earlier else None
        record = (
            stack.enter_context(AnswerCache(folder, AGENT, earlier=known)) if config.cache else None
        )
        # A killed run may have recorded replies that its manifest does not count yet.
        paid = {} if record is None else record.stage_usage
        folder.recover_costs(config.model, paid, None if price is None else price.of)
        yield TrajectoryAgent(
            config.model, lambda job: RecordingModel(model, record, job.key, price)
        )


async def import_trajectories(config: ImportTrajectoriesConfig) -> TrajectorySet:
    """Read the conversations of another program into a run folder, to judge and export them.

    Nothing in the file is trusted; what is refused is a row with its place and the reason. Raises
    ConfigError for a file that does not hold conversations.
    """
    path = Path(config.file)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    rollouts = imported_rollouts(config)
    # A file that holds no conversations is found before there is a run folder of it.
    first = next(rollouts, None)
    if first is None:
        raise ConfigError(f"{str(path)!r} holds no conversations: give a file with some")
    folder = open_run(config, config.out, inputs={"sha256": digest})
    with folder.lock():
        runner = StageRunner(folder, config.concurrency, progress_console(config.progress))
        await runner.run(import_stage(), chain([first], rollouts))
    return TrajectorySet(folder.path, folder=folder)


async def judge_trajectories(config: JudgeTrajectoriesConfig) -> TrajectorySet:
    """Judge the rollouts of a run folder again, beside the judgements that it holds."""
    folder = RunFolder.open(config.run)
    if not folder.exists(f"{ROLLOUTS}.jsonl"):
        raise ConfigError(
            f"{str(config.run)!r} holds no rollouts: make some (astra trajectories make)"
        )
    name = judgements_name(config)
    if config.judgements is None and folder.config().get("command") == "import_trajectories":
        # Imported conversations come unjudged: who judges them first fills the file that `show`,
        # `stats` and `export` read.
        first = next(folder.rows(JUDGEMENTS, Judgement), None)
        name = JUDGEMENTS if first is None or first.judge == config.teacher else name
    with folder.lock():
        async with trajectory_teacher(config, folder, seed=config.seed) as teacher:
            runner = StageRunner(folder, config.concurrency, progress_console(config.progress))
            await runner.run(
                judgements_stage(teacher, config.judge_votes, name),
                read_rollouts(folder),
                total=sum(1 for _ in folder.values(ROLLOUTS)),
            )
    return TrajectorySet(config.run, judgements=name)


def judgements_name(config: JudgeTrajectoriesConfig) -> str:
    """Name of the file for the judgements: as asked for, or of the teacher."""
    label = re.sub(r"[^a-z0-9]+", "-", (config.judgements or config.teacher).lower()).strip("-")
    return label if label.startswith(JUDGEMENTS) else f"{JUDGEMENTS}-{label or 'model'}"


async def export_trajectories(config: ExportTrajectoriesConfig) -> ExportResult:
    """Write judged trajectories as a data set for SFT."""
    return export_dataset(config)
