"""From what verl's trainer holds to a scored batch, and from there to advantages. Without verl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from astra.episodes import Score
from astra.errors import ConfigError, StageError
from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.rl.algorithms import make_algorithm
from astra.types import CallRecord, CallStatus, StopReason, Trajectory

KNOWN = ("grpo", "gigpo", "hgpo", "graphgpo")
REFUSED = {
    "igpo": "it asks the policy for log-probabilities, which verl's trainer gives no access to",
    "acpo": "it asks the policy for log-probabilities or replays calls",
    "counterfactual": "it replays calls, of which the agent loop tells hashes alone",
    "first_exposure": "it reads which call solved which goal, which the agent loop does not tell",
}


def credit(algorithm: str, batch: ScoredBatch) -> Credit:
    """Per-token advantages. Raises ConfigError where the loop tells too little."""
    if algorithm not in KNOWN:
        why = REFUSED.get(algorithm, f"known here: {', '.join(KNOWN)}")
        raise ConfigError(f"algorithm {algorithm!r} does not run in verl: {why}")
    # None of KNOWN asks the policy.
    return make_algorithm(algorithm, seed=0, arenas={}).credit(batch, cast(PolicyAccess, None))


def scored_batch(
    groups: Sequence[str],
    rewards_B: Tensor,
    lengths: Sequence[int],
    mask_BT: Tensor,
    logprobs_BT: Tensor,
    told: Sequence[str],
) -> ScoredBatch:
    """The batch as our algorithms see it.

    `groups`: verl's `uid` per rollout. `lengths`: tokens of each response. `told`: what the agent
    loop wrote to `extra_fields["astra"]`. Raises StageError where the mask is not the loop's.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    step_BT = torch.full(mask_BT.shape, -1)
    episodes: list[SampledEpisode] = []
    for row, (group, text, length) in enumerate(zip(groups, told, lengths, strict=True)):
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
