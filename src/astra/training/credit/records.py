"""Records of `credit.jsonl`, the log of a run's credit assignment."""

from __future__ import annotations

from astra.training.credit.attribution import Attribution
from astra.training.credit.phases import Phase
from astra.types import Record


class CreditStep(Record):
    """One step of a trajectory and its credit."""

    text: str
    """Text of the policy, cut at 600 characters."""
    tokens: int
    """Number of tokens that the policy wrote."""
    entropy: float | None
    """Mean at sampling time, in nats. None: the engine does not report it."""
    contribution: float | None
    """c_k. None: not known."""
    z: float
    """c_k standardized: with `baseline=state` over the group's steps from the same state, else over
    the episode."""
    weight: float
    """w_k after rescaling."""
    advantage: float
    """Of each of the step's tokens."""
    crucial: bool
    counterfactual: float | None = None
    """Reward minus the reward without the step's calls. None: not replayed."""


class CreditRow(Record):
    """One rollout, step by step."""

    id: str
    """Content hash of training step, task and tokens."""
    step: int
    """Number of batches before this one."""
    task: str
    reward: float
    advantage: float
    """Of the outcome, before it is factored."""
    phase: Phase
    attribution: Attribution
    steps: tuple[CreditStep, ...]
    agreement: float | None = None
    """Rank correlation of the contributions with the counterfactual ones. None: there is none."""
