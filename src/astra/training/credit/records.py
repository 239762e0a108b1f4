"""What is kept of a credit assignment: `credit.jsonl` of a run folder."""

from __future__ import annotations

from astra.training.credit.attribution import Attribution
from astra.training.credit.phases import Phase
from astra.types import Record


class CreditStep(Record):
    """One step of a trajectory and what it was given."""

    text: str
    """What the policy wrote, cut."""
    tokens: int
    """Of the policy's."""
    entropy: float | None
    """Mean, in nats, as sampled; None: the engine could not tell."""
    contribution: float | None
    """c_k; None: not known."""
    z: float
    """c_k standardised: in arenas, unless `beside=response`, over the group's steps from the same
    state; else over the response."""
    weight: float
    """w_k after rescaling."""
    advantage: float
    """Of each of the step's tokens."""
    crucial: bool
    counterfactual: float | None = None
    """Reward minus the reward without the step's calls; None: not replayed."""


class CreditRow(Record):
    """One rollout, step by step."""

    id: str
    """Content hash of training step, task and tokens."""
    step: int
    """Batches that the algorithm had seen before."""
    task: str
    reward: float
    advantage: float
    """Of the outcome, before it is factorised."""
    phase: Phase
    attribution: Attribution
    steps: tuple[CreditStep, ...]
    agreement: float | None = None
    """Rank correlation of the contributions with the counterfactual ones; None: there is none."""
