"""Means over the rollouts of a step, for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from astra.training.rl.batch import RolloutGroup
from astra.types import CallStatus, StopReason

TRUNCATED = (StopReason.length_limit, StopReason.turn_limit, StopReason.time_limit)
"""How an episode stops that a limit cut short."""


def rollout_means(groups: Sequence[RolloutGroup]) -> dict[str, float]:
    """Rewards and their parts, turns, calls, lengths, per rollout. Empty without rollouts."""
    episodes = [episode for group in groups for episode in group.episodes]
    if not episodes:
        return {}
    sums: Counter[str] = Counter()
    errors = entropy = 0.0
    for episode in episodes:
        row: dict[str, float] = {
            "reward": episode.reward,
            "prompt_tokens": len(episode.prompt_ids),
            "completion_tokens": len(episode.completion_ids),
            "policy_tokens": sum(episode.policy_mask),
        }
        entropy += sum(episode.entropies)
        if (score := episode.score) is not None:
            row |= {"f1": score.f1, "recall": score.recall, "precision": score.precision}
            row |= {"solved": score.solved, "answer_correct": float(score.answer_correct or False)}
        if (trajectory := episode.trajectory) is not None:
            row |= {"turns": trajectory.turns, "calls": len(trajectory.calls)}
            row["truncated_share"] = float(trajectory.stop in TRUNCATED)
            errors += sum(call.status is not CallStatus.ok for call in trajectory.calls)
        sums.update(row)
    means = {name: value / len(episodes) for name, value in sums.items()}
    # Per call and per token, not per rollout.
    means["tool_error_share"] = errors / sums["calls"] if sums["calls"] else 0.0
    means["sampling_entropy"] = entropy / sums["policy_tokens"] if sums["policy_tokens"] else 0.0
    return means
