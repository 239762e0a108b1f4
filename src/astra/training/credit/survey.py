"""How right the attributions are for one model: all of them on the same fresh rollouts.

*Ours.* What training logs of the attribution in use, measured for every surrogate at once on
rollouts of a model that stands still.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from astra.engines.transformers import TransformersEngine
from astra.training.algorithm import ScoredBatch
from astra.training.credit.agreement import spearman
from astra.training.credit.attribution import Attribution, entropy_BK, likelihood, verified_BK
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.measure import replayed
from astra.training.policy import ModelPolicy
from astra.training.rl.batch import scored_batch
from astra.training.rl.prompts import PromptDraw
from astra.training.rl.rollouts import GroupPlayer, require_completed
from astra.types import Arena

SURROGATES = (Attribution.likelihood, Attribution.entropy, Attribution.verified)
GROUPS_AT_ONCE = 8


@dataclass(slots=True)
class AttributionSurvey:
    """Rank correlations with the counterfactual, a list per arena."""

    trajectories: int = 0
    failures: int = 0
    """Rollouts that broke on our side; played again, and left out when they broke again."""
    found: dict[Attribution, dict[str, list[float]]] = field(
        default_factory=lambda: {name: defaultdict(list) for name in SURROGATES}
    )
    """By attribution and arena: of trajectories where there is one (two steps that differ)."""

    def add(self, batch: ScoredBatch, engine: TransformersEngine, replay: Counterfactual) -> None:
        """Count a batch. Raises what `likelihood` raises."""
        true = replayed(batch, replay).tolist()
        policy = ModelPolicy(engine.model, engine.chat.tokenizer)
        told = {
            Attribution.likelihood: likelihood(batch, policy).contribution_BK,
            Attribution.entropy: entropy_BK(batch),
            Attribution.verified: verified_BK(batch),
        }
        for name, side_BK in told.items():
            for episode, own, truth in zip(batch.episodes, side_BK.tolist(), true, strict=True):
                value = spearman(own, truth)
                if value is not None:
                    self.found[name][episode.task].append(value)
        self.trajectories += len(batch.episodes)


async def survey(
    arenas: Mapping[str, Arena],
    player: GroupPlayer,
    engine: TransformersEngine,
    names: Sequence[str],
    told: Callable[[int], None] = lambda _: None,
) -> AttributionSurvey:
    """Play a group in each of these arenas and correlate. `told`: trajectories so far.

    Raises StageError when not one rollout worked.
    """
    done, replay = AttributionSurvey(), Counterfactual(arenas)
    draws = [PromptDraw(name, 0, number) for number, name in enumerate(names)]
    for start in range(0, len(draws), GROUPS_AT_ONCE):
        played = await player.play(draws[start : start + GROUPS_AT_ONCE], 0)
        require_completed([played])
        done.failures += played.failures
        if played.groups:  # else rollouts of every one of them kept breaking
            done.add(scored_batch(played.groups), engine, replay)
        told(done.trajectories)
    return done
