"""The interface of RL algorithms: from scored groups of rollouts to per-token credit.

An algorithm is pure: it sees what was sampled and how it was rewarded, and returns per-token
advantages. The trainer samples, computes the loss and optimizes. Axes: B rollouts, T completion
tokens (right-padded), G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from astra.episodes import Score
from astra.types import Trajectory

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class SampledEpisode:
    """One rollout with the exact tokens that were sampled. T: completion and tool tokens."""

    task: str
    """Id of the task. Rollouts of one task in a batch form a group."""
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    policy_mask: tuple[bool, ...]
    """T: whether the policy wrote the token."""
    logprobs: tuple[float, ...]
    """T: log-probability at sampling time. 0.0 where the policy did not write."""
    entropies: tuple[float, ...]
    """T: entropy in nats of the distribution that the token was drawn from. 0.0 likewise."""
    steps: tuple[int, ...]
    """T: number of the step (assistant turn, or segment) that the token belongs to. -1: none."""
    reward: float
    trajectory: Trajectory | None = None
    """None for single-turn tasks."""
    score: Score | None = None
    group: int = 0
    """Index of the group within the step that sampled it."""
    answer: str = ""
    """The right answer as text, for attribution by likelihood. Empty if it is not known."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Whole groups of rollouts, padded."""

    episodes: Sequence[SampledEpisode]
    """B."""
    group_B: Tensor
    """Long: rows of one group share a number."""
    rewards_B: Tensor
    policy_mask_BT: Tensor
    """Bool."""
    step_BT: Tensor
    """Long: -1 outside steps."""
    old_logprobs_BT: Tensor
    entropy_BT: Tensor

    def group_mean_B(self, values_B: Tensor) -> Tensor:
        """For each rollout the mean of its group."""
        return group_mean_B(values_B, self.group_B)

    def group_size_B(self) -> Tensor:
        """For each rollout the number of rollouts in its group, as float."""
        _, index_B, counts_G = self.group_B.unique(return_inverse=True, return_counts=True)
        return counts_G[index_B].to(self.rewards_B.dtype)


@dataclass(frozen=True, slots=True)
class Credit:
    """The result of an algorithm for a batch."""

    advantages_BT: Tensor
    """Zero outside the policy's tokens."""
    entropy_bonus_BT: Tensor | None = None
    """Coefficient of each token's entropy in the objective. None: no bonus."""
    kl_coefficient: float = 0.0
    """Weight of KL(policy || reference) per token. 0: no reference is computed. The reference is
    the policy as it was when this first became positive."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """Values to log, by name."""

    @classmethod
    def per_episode(cls, batch: ScoredBatch, advantages_B: Tensor) -> Credit:
        """The same advantage for all tokens that the policy wrote in an episode."""
        return cls(advantages_B[:, None] * batch.policy_mask_BT)


class Branch(NamedTuple):
    """A continuation of a sequence from one of its positions."""

    cut: int
    """Tokens of the sequence before the branch, at least 1."""
    ids: tuple[int, ...]
    """Tokens of the branch, at least 1."""


class PolicyAccess(Protocol):
    """The policy that sampled, for algorithms that query it once more. Without gradients."""

    def logprobs(self, input_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token of each sequence given those before it. The first: 0.0."""
        ...

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        """Per sequence and branch: log-probabilities of the branch's tokens after the first `cut`
        tokens of the sequence. Each sequence is computed once, whatever its number of branches."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens. U+FFFD for incomplete characters."""
        ...


class Algorithm(Protocol):
    """Credit assignment. `name` and `credit` suffice; see `HasState` and `ChoosesTasks`."""

    @property
    def name(self) -> str: ...

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """Per-token advantages and loss terms. Deterministic, without gradients."""
        ...


@runtime_checkable
class HasState(Protocol):
    """An algorithm with a state, which is stored in checkpoints."""

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class ChoosesTasks(Protocol):
    """An algorithm that decides which tasks are sampled next."""

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Called with every group that was sampled, whether or not it is trained on."""
        ...

    def choose(self, tasks: Sequence[str], count: int) -> list[str]:
        """`count` different ones of these tasks (all if there are fewer), in order."""
        ...


def group_mean_B(values_B: Tensor, group_B: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """For each row the (weighted) mean of its group. 0 where all weights are 0."""
    weight_B = torch.ones_like(values_B) if weight_B is None else weight_B
    groups, index_B = group_B.unique(return_inverse=True)
    zeros_G = torch.zeros(len(groups), dtype=values_B.dtype, device=values_B.device)
    total_G = zeros_G.scatter_add(0, index_B, values_B * weight_B)
    weight_G = zeros_G.scatter_add(0, index_B, weight_B.to(values_B.dtype))
    return (total_G / weight_G.clamp(min=_EPSILON))[index_B]
