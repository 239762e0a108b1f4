"""Evaluation of a model, or of a reference policy, on a set of arenas."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from astra.arenas.sets import ArenaSet, open_arenas
from astra.configs.evaluation import EvaluateConfig
from astra.configs.spelling import option_name
from astra.core.files import read_text_option
from astra.core.intervals import Interval
from astra.errors import ConfigError, StoreError
from astra.evaluation.arenas import (
    EvaluationSummary,
    EvaluationTally,
    PlayedEpisode,
    conversations,
    play,
    tallied,
)
from astra.evaluation.episode_opening import ModelFactory
from astra.evaluation.paired import MEASURES, PairedComparison
from astra.evaluation.paired import compare as compare_episodes
from astra.models.endpoint_model import EndpointModel
from astra.models.keys import api_key
from astra.models.openai import OpenAIModel
from astra.models.policies import Policy, policy
from astra.protocols import Model, Sampling
from astra.rewards import load_reward
from astra.rollouts.adapters import AdaptedModel, UserModel
from astra.rollouts.episodes import ConversingModel
from astra.rollouts.loop import RolloutLimits
from astra.runs.executor import Executor
from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog, to_line
from astra.runs.opening import open_run
from astra.runs.ray_cluster import executor_from
from astra.runs.repetitions import unique_rows
from astra.sandbox import sandbox_from
from astra.types import Arena

if TYPE_CHECKING:
    from pandas import DataFrame

EPISODES = "episodes"
AGENT_FILES = ("agent_runs", "conversations")
"""Of a program's episodes: its runs, and what its model said, as episodes with tokens."""
REPORT = "report.json"


@dataclass(frozen=True)
class EvaluationReport:
    """Means with intervals, pass^k, groups, stop reasons, failures; and the episodes."""

    folder: RunFolder
    summary: EvaluationSummary

    @classmethod
    def open(cls, path: Path | str) -> EvaluationReport:
        """The report in the run folder of an evaluation. Raises StoreError, ConfigError."""
        folder = RunFolder.open(path)
        if not folder.exists(REPORT):
            raise ConfigError(
                f"{str(path)!r} holds no finished evaluation: make one with `astra evaluate arenas`"
            )
        try:
            return cls(folder, EvaluationSummary.model_validate_json(folder.read(REPORT)))
        except ValidationError:
            raise StoreError(
                f"{str(folder.path / REPORT)!r} is damaged: delete it and evaluate again"
            ) from None

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def f1(self) -> Interval | None:
        """Mean F1 with its 95 % interval. None if no episode could be scored."""
        return self.summary.f1

    @cached_property
    def pass_k(self) -> dict[int, float]:
        """pass^k by k: the chance that k episodes of an arena all solve every goal."""
        return {int(k): value for k, value in self.summary.pass_k.items()}

    @property
    def infrastructure_failures(self) -> int:
        return self.summary.infrastructure_failures

    @property
    def episodes(self) -> Iterator[PlayedEpisode]:
        """The episodes, read as they are needed, in the order of the arenas."""
        return unique_rows(
            self.folder,
            EPISODES,
            PlayedEpisode,
            lambda episode: (episode.trajectory.task, episode.trajectory.sample),
        )

    def to_pandas(self) -> DataFrame:
        """One row per episode: arena, sample, stop reason, turns, scores."""
        import pandas

        rows: list[dict[str, Any]] = []
        for episode in self.episodes:
            trajectory, score = episode.trajectory, episode.score
            row = {"arena": trajectory.task, "sample": trajectory.sample}
            row |= {"stop": trajectory.stop.value, "turns": trajectory.turns}
            scores = (
                None if score is None else score.model_dump(exclude={"increments", "solved_by"})
            )
            rows.append(row | (scores or {}))
        return pandas.DataFrame(rows)


async def evaluate(
    config: EvaluateConfig, *, on_episode: Callable[[PlayedEpisode, int], None] | None = None
) -> EvaluationReport:
    """Play arenas and report. A stopped evaluation resumes at the first arena without all episodes.

    `on_episode` receives each episode and the number of all. Raises StageError if none of the first
    episodes could be scored.
    """
    arenas = open_arenas(config.arenas, config.split, uncertified=config.uncertified)
    arenas = arenas.with_distractors(
        config.distractors, per_band=config.distractors_per_band, seed=config.seed
    )[: config.limit]
    if config.user_model is not None and not any(a.state and a.state.turns for a in arenas):
        raise ConfigError(
            f"{option_name('user_model')} {config.user_model!r}: no user answers in these arenas; "
            "make some with `astra arenas make --actions --max-user-turns 2`"
        )
    # Before there is a folder: a file that is missing must not leave one behind.
    prompt = read_text_option(config.system_prompt, "system_prompt")
    inputs = {} if prompt is None else {"system_prompt": prompt}
    folder = open_run(config, config.out, inputs=inputs)
    total = len(arenas) * config.samples
    tally = EvaluationTally()
    # To the end: what another process finished in the meantime is read, and not played again.
    with folder.lock():
        if folder.exists(REPORT):
            return EvaluationReport.open(folder.path)
        with folder.append(EPISODES) as log:
            done = _keep_whole_arenas(folder, log, arenas, config.samples)
            for arena, episode in zip(
                (arena for arena in arenas[:done] for _ in range(config.samples)),
                folder.rows(EPISODES, PlayedEpisode),
                strict=True,
            ):
                tally.add(arena, episode)

            def store(episode: PlayedEpisode) -> None:
                log.append([to_line(episode)])
                if on_episode is not None:
                    on_episode(episode, total)

            async with AsyncExitStack() as stack:
                sandbox = await stack.enter_async_context(sandbox_from(config))
                executor = await stack.enter_async_context(executor_from(config))
                if config.agent is not None:
                    from astra.evaluation.by_agent import by_agent  # late: the extra `mcp`

                    logs = {name: stack.enter_context(folder.append(name)) for name in AGENT_FILES}
                    episodes = await by_agent(
                        *(config, arenas[done:], sandbox, prompt, stack, logs)
                    )
                else:
                    episodes = await _played(
                        config, arenas[done:], sandbox, executor, prompt, stack
                    )
                summary = await tallied(episodes, config.seed, store, tally=tally)
        report = summary.model_dump_json(indent=2).encode()
        folder.replace(REPORT, [report, b"\n"])
    return EvaluationReport(folder, summary)


def _keep_whole_arenas(folder: RunFolder, log: JsonlLog, arenas: ArenaSet, samples: int) -> int:
    """The number of arenas with all their episodes; those of one without are cut off.

    Raises StoreError for an episode that is not the next one, in the order of arenas and samples.
    """
    ids = arenas.ids
    number = begin = 0
    for offset, row in folder.values(EPISODES):
        trajectory = row.get("trajectory")
        stored = trajectory if isinstance(trajectory, dict) else {}
        task, sample = stored.get("task"), stored.get("sample")
        done, next_sample = divmod(number, samples)
        if done == len(ids) or (task, sample) != (ids[done], next_sample):
            now = task in ids[done : done + 1] and sample in range(next_sample)
            earlier = now or task in ids[:done]
            problem = "is repeated" if earlier else "is not the next of this run"
            raise folder.damaged(
                EPISODES, number + 1, f"episode {sample!r} of arena {task!r} {problem}"
            )
        if next_sample == 0:
            begin = offset
        number += 1
    if number % samples:
        log.cut(begin)
    return number // samples


async def _played(
    config: EvaluateConfig,
    arenas: ArenaSet,
    sandbox: Any,
    executor: Executor | None,
    prompt: str | None,
    stack: AsyncExitStack,
) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
    limits = RolloutLimits(
        turns=config.max_turns,
        episode_tokens=config.max_agent_tokens,
        seconds=config.episode_timeout,
        sampling=Sampling(temperature=config.temperature, max_tokens=config.max_tokens),
    )
    name, seed = config.policy, config.seed
    model: object = config.model
    player: ModelFactory | None = None
    in_waves = False
    if name is not None:
        player = ReferencePlayer(name, seed)
    elif config.base_url is not None:
        endpoint = (cast(str, model), config.base_url, config.api_key_env, config.timeout)
        model = await _endpoint(*endpoint, executor, stack)
    elif isinstance(model, str | Path):
        from astra.engines.local import LocalModel  # late: torch

        model = LocalModel(model, max_length=config.max_length, template_args=config.template_args)
    if isinstance(model, ConversingModel):
        in_waves = True
        player = conversations(model, seed)
    elif player is None:
        player = SameModel(
            cast(Model, model)
            if config.base_url is not None
            else AdaptedModel(cast(UserModel, model))
        )
    user: Model | None = None
    if config.user_url is not None:
        name_of_user = cast(str, config.user_model)
        endpoint = (name_of_user, config.user_url, config.user_key_env, config.user_timeout)
        user = await _endpoint(*endpoint, executor, stack)
    elif config.user_model is not None:
        user = AdaptedModel(cast(UserModel, config.user_model))
    return play(
        arenas,
        player,
        sandbox,
        limits,
        samples=config.samples,
        seed=seed,
        reward=load_reward(config.reward),
        system_prompt=prompt,
        concurrency=config.concurrency,
        in_waves=in_waves,
        user=user,
        executor=executor,
    )


async def _endpoint(
    name: str,
    base_url: str,
    key_variable: str | None,
    timeout: float,
    executor: Executor | None,
    stack: AsyncExitStack,
) -> Model:
    key = api_key(key_variable)
    if executor is not None:
        # The key is known to be set here, and stays here: workers look for their own.
        return EndpointModel(name, base_url, key_variable, timeout)
    return await stack.enter_async_context(OpenAIModel(name, base_url, key, timeout=timeout))


@dataclass(frozen=True, slots=True)
class ReferencePlayer:
    """A reference policy for each episode."""

    name: Policy
    seed: int

    def __call__(self, arena: Arena, sample: int) -> Model:
        return policy(self.name, arena, self.seed + sample)


@dataclass(frozen=True, slots=True)
class SameModel:
    """One model for all episodes."""

    model: Model

    def __call__(self, arena: Arena, sample: int) -> Model:
        return self.model


def compare(
    first: EvaluationReport | Path | str, second: EvaluationReport | Path | str, *, seed: int = 0
) -> DataFrame:
    """Differences of two evaluations, paired by arena, with 95 % intervals."""
    import pandas

    comparison = compare_reports(first, second, seed=seed)
    rows = {name: getattr(comparison, name).model_dump() for name in MEASURES}
    return pandas.DataFrame.from_dict(rows, orient="index")


def compare_reports(
    first: EvaluationReport | Path | str, second: EvaluationReport | Path | str, *, seed: int = 0
) -> PairedComparison:
    """The comparison as a record. Raises ConfigError if no arena is in both."""
    one, other = (
        report if isinstance(report, EvaluationReport) else EvaluationReport.open(report)
        for report in (first, second)
    )
    return compare_episodes(one.episodes, other.episodes, seed=seed)
