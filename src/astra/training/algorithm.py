"""The port of RL algorithms: from scored groups of rollouts to per-token credit.

An algorithm is pure: it sees what was sampled and how it was rewarded, and says how much each
token is to be pushed. Sampling, the loss and the optimiser are the trainer's. Axes: B rollouts,
T completion tokens (right-padded).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from astra.types import Score, Trajectory


@dataclass(frozen=True, slots=True)
class SampledEpisode:
    """One rollout with the very tokens that were sampled. T: completion tokens, tool tokens too."""

    task: str
    """Id of the arena or problem; rollouts of one task in a batch form a group."""
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    policy_mask: tuple[bool, ...]
    """T: whether the policy wrote the token."""
    logprobs: tuple[float, ...]
    """T: log-probability at sampling time; 0.0 where the policy did not write."""
    entropies: tuple[float, ...]
    """T: entropy in nats of the distribution the token was drawn from; 0.0 likewise."""
    steps: tuple[int, ...]
    """T: number of the step (assistant turn, or segment) that the token belongs to; -1: none."""
    reward: float
    trajectory: Trajectory | None = None
    """None for single-turn problems."""
    score: Score | None = None
    group: int = 0
    """Number of the group within the step that sampled it."""
    answer: str = ""
    """The right answer as text, for attribution by likelihood; "": not known."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Whole groups of rollouts, padded."""

    episodes: Sequence[SampledEpisode]
    """B."""
    group_B: Tensor
    """Long; rows of one group share a number."""
    rewards_B: Tensor
    policy_mask_BT: Tensor
    """Bool."""
    step_BT: Tensor
    """Long; -1 outside steps."""
    old_logprobs_BT: Tensor
    entropy_BT: Tensor


@dataclass(frozen=True, slots=True)
class Credit:
    """What an algorithm says of a batch."""

    advantages_BT: Tensor
    """Zero outside the policy's tokens."""
    entropy_bonus_BT: Tensor | None = None
    """Coefficient of each token's entropy in the objective; None: no bonus."""
    kl_coefficient: float = 0.0
    """Weight of KL(policy || reference) per token; 0: no reference is asked. The reference is the
    policy as it was when this first became positive."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """What is worth logging, by name."""


class Branch(NamedTuple):
    """A text that could have gone on from some place in a sequence."""

    cut: int
    """How many tokens of the sequence come before it; at least 1."""
    ids: tuple[int, ...]
    """Its tokens; at least 1."""


class PolicyAccess(Protocol):
    """The policy that sampled, for algorithms that ask it once more. No gradients."""

    def logprobs(self, input_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token of each sequence given those before it; the first: 0.0."""
        ...

    def branches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[Branch]]]
    ) -> list[list[list[float]]]:
        """Per sequence and branch: log-probabilities of the branch's tokens after the first `cut`
        tokens of the sequence. Each sequence is read once, however many branches it has."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special tokens left out; U+FFFD for bytes that are no character."""
        ...


class Algorithm(Protocol):
    """Gives credit. Its state goes into checkpoints."""

    @property
    def name(self) -> str: ...

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """Per-token advantages and loss terms. Deterministic, and free of gradients."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class ChoosesTasks(Protocol):
    """What an algorithm may have beside: a say in which tasks are sampled next."""

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Told of every group that was sampled and scored, whether or not it is trained on."""
        ...

    def choose(self, tasks: Sequence[str], count: int) -> list[str]:
        """`count` different ones of these tasks (all of them if there are fewer), in order."""
        ...
