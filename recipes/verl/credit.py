"""From what verl's trainer holds to a scored batch, and from there to advantages. Without verl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from astra.configs.base import Config
from astra.configs.training import CreditConfig
from astra.episodes import Score
from astra.errors import ConfigError, StageError
from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.rl.algorithms import make_algorithm
from astra.types import CallRecord, CallStatus, StopReason, Trajectory

KNOWN = ("grpo", "gigpo", "hgpo", "graphgpo")
REFUSED = {
    "igpo": "it asks the policy for log-probabilities, which verl's trainer gives no access to",
    "sdpo": "it asks the policy for log-probabilities",
    "drift": "it asks the policy for log-probabilities",
    "acpo": "it asks the policy for log-probabilities or replays calls",
    "counterfactual": "it replays calls, of which the agent loop tells hashes alone",
    "first_exposure": "it reads which call solved which goal, which the agent loop does not tell",
}


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig(Config):
    """What `trainer.v1.astra` of verl's settings may say."""

    algorithm: str
    credit: CreditConfig = field(default_factory=CreditConfig)
    scale: bool = True
    """Divide by the standard deviation of the group's rewards."""

    def check(self) -> None:
        if self.algorithm not in KNOWN:
            why = REFUSED.get(self.algorithm, f"known here: {', '.join(KNOWN)}")
            raise ConfigError(f"algorithm {self.algorithm!r} does not run in verl: {why}")


def credit(config: AdvantageConfig, batch: ScoredBatch) -> Credit:
    """Per-token advantages."""
    algorithm = make_algorithm(
        config.algorithm, config.credit, seed=0, arenas={}, scale=config.scale
    )
    # None of KNOWN asks the policy.
    return algorithm.credit(batch, cast(PolicyAccess, None))


def scored_batch(
    groups: Sequence[str],
    rewards_B: Tensor,
    lengths: Sequence[int],
    mask_BT: Tensor,
    logprobs_BT: Tensor,
    told: Sequence[str | None],
) -> ScoredBatch:
    """The batch as our algorithms see it.

    `groups`: verl's `uid` per rollout. `lengths`: tokens of each response. `told`: what the agent
    loop wrote to `extra_fields["astra"]`. Raises StageError where the mask is not the loop's.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    step_BT = torch.full(mask_BT.shape, -1)
    episodes: list[SampledEpisode] = []
    for row, (group, text, length) in enumerate(zip(groups, told, lengths, strict=True)):
        if not text:
            raise StageError(f"rollout {row} was played by another agent loop than astra_arena")
        about: dict[str, Any] = json.loads(text)
        steps, mask_T = about["steps"], mask_BT[row].bool()
        if len(steps) == length:
            step_BT[row, :length] = torch.tensor(steps, dtype=torch.long)
        if len(steps) != length or not torch.equal(step_BT[row] >= 0, mask_T):
            raise StageError(
                f"rollout {row} of arena {about['arena']!r}: response_mask is not the mask of the "
                f"turns that the agent loop played ({len(steps)} of its tokens, {length} of verl's)"
            )
        reward = float(rewards_B[row])
        episodes.append(
            SampledEpisode(
                task=about["arena"],
                prompt_ids=(),
                completion_ids=(),
                policy_mask=tuple(mask_T[:length].tolist()),
                logprobs=tuple(logprobs_BT[row, :length].tolist()),
                entropies=(0.0,) * length,
                steps=tuple(steps),
                reward=reward,
                trajectory=_trajectory(about),
                score=_score(about["increments"], reward),
                group=numbers[group],
            )
        )
    return ScoredBatch(
        episodes=episodes,
        group_B=torch.tensor([episode.group for episode in episodes]),
        rewards_B=rewards_B.float(),
        policy_mask_BT=mask_BT.bool(),
        step_BT=step_BT,
        old_logprobs_BT=logprobs_BT,
        entropy_BT=torch.zeros_like(logprobs_BT),
    )


def _trajectory(about: dict[str, Any]) -> Trajectory:
    """Calls by their hashes: anchor states ask only which calls with their results are equal."""
    calls = [
        CallRecord(id=str(n), turn=turn, tool=name, arguments={}, status=CallStatus.ok)
        for n, (turn, name) in enumerate(about["calls"])
    ]
    return Trajectory(
        task=about["arena"],
        messages=(),
        calls=tuple(calls),
        stop=StopReason.answered,
        turns=about["turns"],
    )


def _score(increments: Sequence[float], reward: float) -> Score:
    """Of a score, KNOWN read the increments alone; what the loop does not tell is 0."""
    return Score(
        goals=0,
        solved=0,
        calls=0,
        recall=0.0,
        precision=0.0,
        f1=0.0,
        reward=reward,
        increments=tuple(increments),
    )
