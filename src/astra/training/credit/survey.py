"""Accuracy of all attributions for one model, on the same fresh rollouts.

*Ours.* Training logs the accuracy of the attribution in use; this measures every surrogate at once,
on rollouts of a model that is not trained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice

from astra.arenas.sets import open_arenas
from astra.configs.evaluation import CreditAgreementConfig
from astra.core.intervals import bootstrap
from astra.core.loop import on_caller
from astra.engines.loading import load_engine
from astra.engines.transformers import TransformersEngine
from astra.protocols import Sampling, Sandbox
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import sandbox_from
from astra.sandbox.opening import kept_sandbox
from astra.training.algorithm import ScoredBatch
from astra.training.credit.agreement import spearman
from astra.training.credit.attribution import Attribution, entropy_BK, likelihood, verified_BK
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.measure import replayed
from astra.training.policy import ModelPolicy
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.batch import scored_batch
from astra.training.rl.prompts import PromptDraw
from astra.training.rl.rollouts import GroupPlayer, require_completed
from astra.types import Arena, Json

SURROGATES = (Attribution.likelihood, Attribution.entropy, Attribution.verified)
GROUPS_AT_ONCE = 8


@dataclass(slots=True)
class AttributionSurvey:
    """Rank correlations with the counterfactual, a list per arena."""

    trajectories: int = 0
    failures: int = 0
    """Infrastructure failures. Such rollouts are played again, and left out if they fail again."""
    correlations: dict[Attribution, dict[str, list[float]]] = field(
        default_factory=lambda: {name: defaultdict(list) for name in SURROGATES}
    )
    """By attribution and arena. Trajectories without two different steps have none."""

    def add(self, batch: ScoredBatch, engine: TransformersEngine, replay: Counterfactual) -> None:
        """Count a batch. Raises what `likelihood` raises."""
        true = replayed(batch, replay).tolist()
        policy = ModelPolicy(engine.model, engine.chat.tokenizer)
        sides = {
            Attribution.likelihood: likelihood(batch, policy).contribution_BK,
            Attribution.entropy: entropy_BK(batch),
            Attribution.verified: verified_BK(batch),
        }
        for name, side_BK in sides.items():
            for episode, own, truth in zip(batch.episodes, side_BK.tolist(), true, strict=True):
                value = spearman(own, truth)
                if value is not None:
                    self.correlations[name][episode.task].append(value)
        self.trajectories += len(batch.episodes)


async def survey(
    arenas: Mapping[str, Arena],
    player: GroupPlayer,
    engine: TransformersEngine,
    names: Sequence[str],
    on_progress: Callable[[int], None] = lambda _: None,
    sandbox: Callable[[], AbstractAsyncContextManager[Sandbox]] | None = None,
) -> AttributionSurvey:
    """Play a group in each of these arenas and correlate. `on_progress`: trajectories so far.

    `sandbox`: where calls are made again in arenas with a state.

    Raises StageError if no rollout was completed.
    """
    done, replay = AttributionSurvey(), Counterfactual(arenas, sandbox=sandbox)
    draws = [PromptDraw(name, 0, number) for number, name in enumerate(names)]
    for start in range(0, len(draws), GROUPS_AT_ONCE):
        played = await player.play(draws[start : start + GROUPS_AT_ONCE], 0)
        require_completed([played])
        done.failures += played.failures
        if played.groups:  # none if every group had a rollout that kept failing
            # Not on the loop: calls that are made again run there.
            batch = scored_batch(played.groups)
            await on_caller(partial(done.add, batch, engine, replay))
        on_progress(done.trajectories)
    return done


async def survey_arenas(
    config: CreditAgreementConfig,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Json]:
    """The survey of a model on the arenas that the config names, as plain JSON.

    Correlations have 95 % intervals, arenas resampled; None where no trajectory has a correlation.
    `on_progress` receives the number of episodes so far and of all.
    """
    arenas = open_arenas(config.arenas, config.split, uncertified=config.uncertified)
    arenas = arenas.with_distractors(
        config.distractors, per_band=config.distractors_per_band, seed=config.seed
    )
    engine = load_engine(
        str(config.model), max_length=config.max_length, template_args=config.template_args
    )
    tasks = list(islice(cycle(arenas.ids), -(-config.min_episodes // config.group_size)))
    limits = RolloutLimits(turns=config.max_turns)
    async with ArenaRollouts(arenas, lambda: sandbox_from(config), limits) as environment:
        player = GroupPlayer(
            environment,
            engine,
            group_size=config.group_size,
            seed=config.seed,
            sampling=Sampling(temperature=config.temperature, max_tokens=config.max_tokens),
        )
        total = len(tasks) * config.group_size
        found = await survey(
            *(environment.arenas, player, engine, tasks),
            lambda done: on_progress(done, total),
            lambda: kept_sandbox(config),
        )
    correlations: dict[str, Json] = {}
    for name, by_arena in found.correlations.items():
        interval = bootstrap(list(by_arena.values()), config.seed)
        correlations[name.value] = {
            "correlation": interval and interval.model_dump(),
            "trajectories": sum(map(len, by_arena.values())),
            "arenas": len(by_arena),
        }
    return {
        "model": str(config.model),
        "trajectories": found.trajectories,
        "failures": found.failures,
        "with_counterfactual": correlations,
    }
