"""Algorithms whose credit differs from step to step: a rule for each, and one class for all.

A rule is a function from a batch to its credit. The class adds what all of them log: the seconds
that the rule took and, in arenas, the rank correlation of its credit with the counterfactual.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.agreement import credit_agreement
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.measure import replayed
from astra.training.credit.steps import spread_BT
from astra.training.rl.grpo import group_advantages

Rule = Callable[[ScoredBatch, PolicyAccess], Credit]
"""Credit of a batch. Deterministic."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """Settings of the rules. Each reads those that it has."""

    step_weight: float = 1.0
    """ω: weight of the step-level advantage."""
    discount: float = 0.95
    """γ of the returns, in [0, 1]."""
    scale: bool = True
    """Divide by the deviation of the group. False: compare by the difference alone."""
    history: int = 2
    """Earlier states that steps of a group share, at most."""
    alpha: float = 0.9
    """Of the factored advantage, |α| < 1."""
    success: float = 0.5
    """A rollout is a success if its reward is above this."""

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ConfigError(f"discount {self.discount!r} must lie in [0, 1]")
        if self.history < 0:
            raise ConfigError(f"history {self.history!r} must not be negative")


class StepwiseAlgorithm:
    """An algorithm by a rule. It has no state: who gives a rule that has one stores it, as `Drift`.

    `replay`: replays episodes for the agreement. None: it is not logged.
    """

    def __init__(self, name: str, rule: Rule, replay: Counterfactual | None = None) -> None:
        self._name = name
        self._rule = rule
        self._replay = replay

    @property
    def name(self) -> str:
        return self._name

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """The rule's credit, with what it cost and how far it agrees with the counterfactual."""
        started = time.perf_counter()
        credit = self._rule(batch, policy)
        measured = {"credit/seconds": time.perf_counter() - started}
        if self._replay is not None:
            started = time.perf_counter()
            true_BK = replayed(batch, self._replay)
            measured |= credit_agreement(credit.advantages_BT, batch, true_BK)
            measured["agreement/seconds"] = time.perf_counter() - started
        return replace(credit, metrics={**credit.metrics, **measured})


def episode_and_steps(
    batch: ScoredBatch, step_BK: Tensor, settings: StepSettings, metrics: Mapping[str, float]
) -> Credit:
    """A^E + ω·A^S on the tokens of each step, A^E on the policy's tokens outside steps.

    A^E is the episode's group-relative advantage, A^S the step's (0 where there is none).
    """
    episode_B = group_advantages(batch.rewards_B, batch.group_B, scale=settings.scale)
    steps_BT = settings.step_weight * spread_BT(step_BK, batch.step_BT, 0.0)
    total_BT = (episode_B.unsqueeze(1) + steps_BT) * batch.policy_mask_BT
    return Credit(advantages_BT=total_BT, metrics=metrics)
