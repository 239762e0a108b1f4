"""ACPO: step-level credit by attribution, in two phases.

Source: "Pinpointing crucial steps: Attribution-based Credit Assignment for Verifiable
Reinforcement Learning" (arXiv 2510.08899), of which the abstract and public summaries could be
read. *Given*: segmentation, attribution, a factored reward, entropy regulation while exploring, a
reference policy and confidence-weighted rewards while converging, and a curriculum by difficulty.
*Ours*: every formula, as documented in the modules `segment`, `attribution`, `counterfactual`,
`factor`, `phases` and `curriculum`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.credit.agreement import credit_agreement
from astra.training.credit.anchors import numbered_states_BK
from astra.training.credit.attribution import CUE, Attribution, confidence
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.curriculum import Curriculum, CurriculumSettings
from astra.training.credit.factor import (
    CreditBaseline,
    factored_advantages,
    standardized_BK,
    standardized_by_state_BK,
)
from astra.training.credit.measure import StepContributions, measure_contributions
from astra.training.credit.phases import (
    EntropyControl,
    EntropyTarget,
    Phase,
    PhaseClock,
    PhaseSwitch,
    confidence_weights_B,
    crucial_BK,
)
from astra.training.credit.records import CreditRow
from astra.training.credit.report import CreditInputs, credit_metrics, credit_rows
from astra.training.credit.segment import Segmentation, segment
from astra.training.credit.steps import spread_BT, tokens_BK
from astra.training.rl.grpo import group_advantages


@dataclass(frozen=True, slots=True)
class ACPOSettings:
    """Settings of ACPO. Each part can be switched off."""

    attribution: Attribution = Attribution.verified
    alpha: float = 0.9
    """Of the factored advantage, |α| < 1. 0: no step-level credit."""
    baseline: CreditBaseline = CreditBaseline.state
    """What a step's contribution is compared with."""
    segmentation: Segmentation = field(default_factory=Segmentation)
    """Of free reasoning. In arenas a step is a turn."""
    entropy: EntropyTarget = field(default_factory=EntropyTarget)
    switch: PhaseSwitch = field(default_factory=PhaseSwitch)
    kl: float = 0.01
    """β in the convergence phase."""
    confidence_gamma: float = 0.3
    """γ of the confidence weights, in [0, 1). 0: none."""
    success: float = 0.5
    """A rollout is a success if its reward is above this."""
    curriculum: CurriculumSettings = field(default_factory=CurriculumSettings)
    cue: str = CUE
    """Text that the right answer is appended to."""
    agreement: bool = True
    """Compare with the counterfactual attribution where episodes can be replayed."""
    log_rollouts: int = 8
    """Rollouts of each batch that are stored in `credit.jsonl`."""

    def __post_init__(self) -> None:
        if not abs(self.alpha) < 1:
            raise ConfigError(f"alpha {self.alpha!r} must lie between -1 and 1")
        if not 0 <= self.confidence_gamma < 1:
            raise ConfigError(f"confidence_gamma {self.confidence_gamma!r} must lie in [0, 1)")
        if self.kl < 0:
            raise ConfigError(f"kl {self.kl!r} must not be negative")


class ACPO:
    """Attribution-based credit in two phases.

    `replay`: needed for the counterfactual attribution and for agreement with it. `keep` receives a
    row for some rollouts of each batch. `seed`: of the curriculum's draws.
    """

    name = "acpo"

    def __init__(
        self,
        settings: ACPOSettings | None = None,
        *,
        replay: Counterfactual | None = None,
        keep: Callable[[CreditRow], None] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings or ACPOSettings()
        if self.settings.attribution is Attribution.counterfactual and replay is None:
            raise ConfigError(
                f"attribution {self.settings.attribution.value!r} replays episodes of arenas: "
                "without arenas choose 'likelihood' or 'entropy'"
            )
        self._replay = replay
        self._keep = keep
        self._clock = PhaseClock(self.settings.switch)
        self._control = EntropyControl(self.settings.entropy)
        self._curriculum = Curriculum(self.settings.curriculum, seed)

    @property
    def phase(self) -> Phase:
        """The phase of the next batch."""
        return self._clock.phase

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """Advantages A·w_k. While exploring also an entropy bonus, while converging a KL
        coefficient."""
        settings = self.settings
        batch = _segmented(batch, policy, settings.segmentation)
        contributions = measure_contributions(
            batch,
            policy,
            settings.attribution,
            settings.cue,
            self._replay,
            compare=settings.agreement,
        )
        # Replays that only compare are no cost of the credit.
        started = time.perf_counter() - contributions.seconds
        advantages_B = group_advantages(self._rewards(batch, contributions, policy), batch.group_B)
        exists_BK = tokens_BK(batch.step_BT, batch.policy_mask_BT) > 0
        contribution_BK = contributions.contribution_BK
        z_BK = standardized_BK(contribution_BK, exists_BK)
        if settings.baseline is CreditBaseline.state:
            state_BK = numbered_states_BK(batch).where(exists_BK, -1)
            # Free reasoning has no states: there the steps of the episode are compared.
            stateful_B1 = (state_BK >= 0).any(1, keepdim=True)
            by_state_BK = standardized_by_state_BK(contribution_BK, state_BK)
            z_BK = torch.where(stateful_B1, by_state_BK, z_BK)
        factored = factored_advantages(
            advantages_B, z_BK, batch.step_BT, batch.policy_mask_BT, settings.alpha
        )
        crucial = crucial_BK(z_BK, exists_BK)
        inputs = CreditInputs(
            batch=batch,
            contributions=contributions,
            attribution=settings.attribution,
            phase=self.phase,
            step=self._clock.steps,
            advantages_B=advantages_B,
            exists_BK=exists_BK,
            z_BK=z_BK,
            weights_BK=factored.weights_BK,
            crucial_BK=crucial,
            crucial_BT=spread_BT(crucial, batch.step_BT, False) & batch.policy_mask_BT,
        )
        bonus_BT: Tensor | None = None
        if self.phase is Phase.exploration and settings.entropy.largest:
            # NaN where the engine does not know the entropy, as vLLM.
            known_BT = inputs.crucial_BT & batch.entropy_BT.isfinite()
            if bool(known_BT.any()):
                self._control.update(float(batch.entropy_BT[known_BT].mean()))
            # Not a tensor of zeros: without a bonus, zero-advantage rows need no gradient.
            if self._control.coefficient:
                bonus_BT = inputs.crucial_BT.to(batch.entropy_BT.dtype) * self._control.coefficient
        shares = self._curriculum.histogram()
        metrics = credit_metrics(inputs)
        if (true_BK := contributions.counterfactual_BK) is not None:
            metrics |= credit_agreement(factored.advantages_BT, batch, true_BK)
        credit = Credit(
            advantages_BT=factored.advantages_BT,
            entropy_bonus_BT=bonus_BT,
            kl_coefficient=settings.kl if self.phase is Phase.convergence else 0.0,
            metrics={
                **metrics,
                "credit/seconds": time.perf_counter() - started,
                "credit/phase": float(self.phase is Phase.convergence),
                "credit/entropy_coefficient": self._control.coefficient,
                **{f"difficulty/{i}_of_{len(shares)}": share for i, share in enumerate(shares, 1)},
            },
        )
        if self._keep is not None:
            for row in credit_rows(inputs, policy, settings.log_rollouts):
                self._keep(row)
        self._clock.advance(float(batch.rewards_B.mean()))
        return credit

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Update the pass rate of a prompt with a group of rollouts."""
        self._curriculum.observe(task, rewards)

    def choose(self, tasks: Sequence[str], count: int) -> list[str]:
        """Draw the next prompts, as the phase prefers."""
        return self._curriculum.choose(tasks, count, self.phase, self._clock.progress)

    def state_dict(self) -> dict[str, Any]:
        return {
            "clock": self._clock.state_dict(),
            "entropy": self._control.state_dict(),
            "curriculum": self._curriculum.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._clock.load_state_dict(state["clock"])
        self._control.load_state_dict(state["entropy"])
        self._curriculum.load_state_dict(state["curriculum"])

    def _rewards(
        self, batch: ScoredBatch, contributions: StepContributions, policy: PolicyAccess
    ) -> Tensor:
        """The rewards. In the convergence phase successes are weighted by confidence."""
        if self.phase is Phase.exploration or not self.settings.confidence_gamma:
            return batch.rewards_B
        confidence_B = contributions.confidence_B
        if confidence_B is None:
            confidence_B = confidence(batch, policy, self.settings.cue)
        weights_B = confidence_weights_B(
            confidence_B.to(batch.rewards_B),
            batch.rewards_B > self.settings.success,
            batch.group_B,
            self.settings.confidence_gamma,
        )
        # In zero-variance groups only the weights would differ, and dividing by their small
        # deviation would blow them up to the size of a success against a failure.
        distance_B = group_advantages(batch.rewards_B, batch.group_B, scale=False).abs()
        has_variance_B = batch.group_mean_B(distance_B) > 0
        return torch.where(has_variance_B, batch.rewards_B * weights_B, batch.rewards_B)


def _segmented(batch: ScoredBatch, policy: PolicyAccess, settings: Segmentation) -> ScoredBatch:
    """The batch with single-turn episodes split into steps by entropy."""
    if all(episode.trajectory is not None for episode in batch.episodes):
        return batch
    episodes: list[SampledEpisode] = []
    for episode in batch.episodes:
        if episode.trajectory is None:
            steps = segment(episode.completion_ids, episode.entropies, policy.decode, settings)
            episode = dataclasses.replace(episode, steps=tuple(steps))
        episodes.append(episode)
    step_BT = torch.full_like(batch.step_BT, -1)
    for steps_T, episode in zip(step_BT, episodes, strict=True):
        steps_T[: len(episode.steps)] = torch.tensor(episode.steps)
    return dataclasses.replace(batch, episodes=episodes, step_BT=step_BT)
