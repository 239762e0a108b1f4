"""Sampled episodes as padded tensors: for algorithms, and for the trainer's loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from astra.episodes import Score
from astra.training.algorithm import SampledEpisode, ScoredBatch
from astra.types import Trajectory


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The rollouts of one draw."""

    episodes: tuple[SampledEpisode, ...]
    step: int
    """Optimizer steps that had made the weights which sampled them."""

    @property
    def rewards(self) -> tuple[float, ...]:
        return tuple(episode.reward for episode in self.episodes)


def scored_batch(groups: Sequence[RolloutGroup]) -> ScoredBatch:
    """Groups as an algorithm sees them; they are numbered by their place."""
    episodes = [
        replace(episode, group=number)
        for number, group in enumerate(groups)
        for episode in group.episodes
    ]
    return ScoredBatch(
        episodes=episodes,
        group_B=torch.tensor([episode.group for episode in episodes]),
        rewards_B=torch.tensor([episode.reward for episode in episodes]),
        policy_mask_BT=_right([e.policy_mask for e in episodes], False),
        step_BT=_right([e.steps for e in episodes], -1),
        old_logprobs_BT=_right([e.logprobs for e in episodes], 0.0),
        entropy_BT=_right([e.entropies for e in episodes], 0.0),
    )


def loss_inputs(episodes: Sequence[SampledEpisode], padding: int) -> dict[str, Tensor]:
    """What TRL's loss reads of the rollouts: prompts padded left, completions right."""
    # Left padding by reversing twice: TRL takes the completion as the last columns of a row.
    prompts = [tuple(reversed(episode.prompt_ids)) for episode in episodes]
    return {
        "prompt_ids": _right(prompts, padding).flip(1),
        "prompt_mask": _right([[1] * len(ids) for ids in prompts], 0).flip(1),
        "completion_ids": _right([e.completion_ids for e in episodes], padding),
        "completion_mask": _right([[1] * len(e.completion_ids) for e in episodes], 0),
        "tool_mask": _right([[int(m) for m in e.policy_mask] for e in episodes], 0),
        "old_per_token_logps": _right([e.logprobs for e in episodes], 0.0),
    }


def _right(rows: Sequence[Sequence[Any]], padding: Any) -> Tensor:
    """Rows of unequal length as one tensor, padded on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])


# --- checkpoints ------------------------------------------------------------------------------


def to_json(group: RolloutGroup) -> dict[str, Any]:
    """A group as JSON values. Floats keep all their bits."""
    episodes: list[dict[str, Any]] = []
    for episode in group.episodes:
        # `asdict` knows no pydantic records: it would deep-copy them as they are.
        records = {"trajectory": episode.trajectory, "score": episode.score}
        dumped = {name: x and x.model_dump(mode="json") for name, x in records.items()}
        episodes.append({**asdict(replace(episode, trajectory=None, score=None)), **dumped})
    return {"step": group.step, "episodes": episodes}


def from_json(value: dict[str, Any]) -> RolloutGroup:
    """The inverse of `to_json`."""
    lists = ("prompt_ids", "completion_ids", "policy_mask", "logprobs", "entropies", "steps")
    episodes: list[SampledEpisode] = []
    for row in value["episodes"]:
        fields: dict[str, Any] = {n: tuple(x) if n in lists else x for n, x in row.items()}
        trajectory, score = fields.pop("trajectory"), fields.pop("score")
        episodes.append(
            SampledEpisode(
                **fields,
                trajectory=trajectory and Trajectory.model_validate(trajectory),
                score=score and Score.model_validate(score),
            )
        )
    return RolloutGroup(tuple(episodes), value["step"])
