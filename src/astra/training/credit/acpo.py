"""ACPO: step-level credit by attribution, in two phases.

Source: "Pinpointing crucial steps: Attribution-based Credit Assignment for Verifiable
Reinforcement Learning" (arXiv 2510.08899), of which the abstract and public summaries could be
read. *Given*: segmentation, attribution, a factorised reward, entropy regulation while exploring,
a reference policy and confidence-weighted rewards while converging, and a curriculum that looks at
difficulty. *Ours*: every formula; the modules beside this one say which (`segment`, `attribution`,
`counterfactual`, `factor`, `phases`, `curriculum`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from astra.errors import ConfigError
from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch, group_mean_B
from astra.training.credit.anchors import numbered_states_BK
from astra.training.credit.attribution import CUE, Attribution, confidence
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.curriculum import Curriculum, CurriculumSettings
from astra.training.credit.factor import CreditBaseline, factorised, standardised_BK, unusual_BK
from astra.training.credit.measure import StepContributions, measured
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
from astra.training.credit.report import CreditInputs, figures, rows
from astra.training.credit.segment import Segmentation, segment
from astra.training.credit.steps import spread_BT, tokens_BK
from astra.training.rl.grpo import group_advantages


@dataclass(frozen=True, slots=True)
class ACPOSettings:
    """What can be chosen; each part can be switched off."""

    attribution: Attribution = Attribution.verified
    alpha: float = 0.9
    """Of the factorised advantage, |α| < 1; 0: no step-level credit."""
    beside: CreditBaseline = CreditBaseline.state
    """What a step's contribution is measured against."""
    segmentation: Segmentation = field(default_factory=Segmentation)
    """Of free reasoning; in arenas a step is a turn."""
    entropy: EntropyTarget = field(default_factory=EntropyTarget)
    switch: PhaseSwitch = field(default_factory=PhaseSwitch)
    kl: float = 0.01
    """β in the convergence phase."""
    gamma: float = 0.3
    """γ of the confidence weights, in [0, 1); 0: none."""
    success: float = 0.5
    """A rollout is a success when its reward is above this."""
    curriculum: CurriculumSettings = field(default_factory=CurriculumSettings)
    cue: str = CUE
    """What the right answer is read after."""
    agreement: bool = True
    """Compare with the counterfactual attribution where episodes can be replayed."""
    rows: int = 8
    """Rollouts of each batch that are kept in `credit.jsonl`."""

    def __post_init__(self) -> None:
        if not abs(self.alpha) < 1:
            raise ConfigError(f"alpha {self.alpha!r} must lie between -1 and 1")
        if not 0 <= self.gamma < 1:
            raise ConfigError(f"gamma {self.gamma!r} must lie in [0, 1)")
        if self.kl < 0:
            raise ConfigError(f"kl {self.kl!r} must not be negative")


class ACPO:
    """`replay` is needed for the counterfactual attribution and for agreement with it.

    `keep` is handed a row for some rollouts of each batch. `seed`: of the curriculum's draws.
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
        """The phase that the next batch is credited in."""
        return self._clock.phase

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """Advantages A·w_k; while exploring an entropy bonus, while converging a KL coefficient."""
        settings = self.settings
        batch = _cut(batch, policy, settings.segmentation)
        told = measured(
            batch,
            policy,
            settings.attribution,
            settings.cue,
            self._replay,
            compare=settings.agreement,
        )
        advantages_B = group_advantages(self._rewards(batch, told, policy), batch.group_B)
        exists_BK = tokens_BK(batch.step_BT, batch.policy_mask_BT) > 0
        z_BK = self._z(batch, told, exists_BK)
        factored = factorised(
            advantages_B, z_BK, batch.step_BT, batch.policy_mask_BT, settings.alpha
        )
        steps_BK = crucial_BK(z_BK, exists_BK)
        given = CreditInputs(
            batch=batch,
            told=told,
            attribution=settings.attribution,
            phase=self.phase,
            step=self._clock.steps,
            advantages_B=advantages_B,
            exists_BK=exists_BK,
            z_BK=z_BK,
            weights_BK=factored.weights_BK,
            crucial_BK=steps_BK,
            crucial_BT=spread_BT(steps_BK, batch.step_BT, False) & batch.policy_mask_BT,
        )
        credit = Credit(
            advantages_BT=factored.advantages_BT,
            entropy_bonus_BT=self._bonus(given),
            kl_coefficient=settings.kl if self.phase is Phase.convergence else 0.0,
            metrics={**figures(given), **self._state()},
        )
        if self._keep is not None:
            for row in rows(given, policy, settings.rows):
                self._keep(row)
        self._clock.advance(float(batch.rewards_B.mean()))
        return credit

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Count a group of rollouts in its prompt's pass rate."""
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

    # --- parts -------------------------------------------------------------------------------

    def _z(self, batch: ScoredBatch, told: StepContributions, exists_BK: Tensor) -> Tensor:
        z_BK = standardised_BK(told.contribution_BK, exists_BK)
        if self.settings.beside is CreditBaseline.response:
            return z_BK
        state_BK = numbered_states_BK(batch).where(exists_BK, -1)
        stateful_B1 = (state_BK >= 0).any(1, keepdim=True)
        return torch.where(stateful_B1, unusual_BK(told.contribution_BK, state_BK), z_BK)

    def _rewards(self, batch: ScoredBatch, told: StepContributions, policy: PolicyAccess) -> Tensor:
        """The rewards; in the convergence phase those of successes weighted by confidence."""
        if self.phase is Phase.exploration or not self.settings.gamma:
            return batch.rewards_B
        confidence_B = told.confidence_B
        if confidence_B is None:
            confidence_B = confidence(batch, policy, self.settings.cue)
        weights_B = confidence_weights_B(
            confidence_B.to(batch.rewards_B),
            batch.rewards_B > self.settings.success,
            batch.group_B,
            self.settings.gamma,
        )
        # Of rewards that are all equal nothing is left but the weights, which dividing by their
        # deviation would blow up to the size of a success against a failure.
        apart_B = group_advantages(batch.rewards_B, batch.group_B, scale=False).abs()
        differ_B = group_mean_B(apart_B, batch.group_B) > 0
        return torch.where(differ_B, batch.rewards_B * weights_B, batch.rewards_B)

    def _bonus(self, given: CreditInputs) -> Tensor | None:
        """The coefficient of the entropy of crucial tokens; None where it is 0."""
        if self.phase is Phase.convergence or not self.settings.entropy.largest:
            return None
        entropy_BT, crucial_BT = given.batch.entropy_BT, given.crucial_BT
        told_BT = crucial_BT & entropy_BT.isfinite()  # NaN: the engine could not tell
        if bool(told_BT.any()):
            self._control.update(float(entropy_BT[told_BT].mean()))
        if not self._control.coefficient:
            return None  # so that groups without advantage need no gradient
        return crucial_BT.to(entropy_BT.dtype) * self._control.coefficient

    def _state(self) -> dict[str, float]:
        shares = self._curriculum.histogram()
        return {
            "credit/phase": float(self.phase is Phase.convergence),
            "credit/entropy_coefficient": self._control.coefficient,
            **{f"difficulty/{i}_of_{len(shares)}": share for i, share in enumerate(shares, 1)},
        }


def _cut(batch: ScoredBatch, policy: PolicyAccess, settings: Segmentation) -> ScoredBatch:
    """The batch with episodes that have no turns cut into steps by entropy."""
    if all(episode.trajectory is not None for episode in batch.episodes):
        return batch
    episodes = [_cut_episode(episode, policy, settings) for episode in batch.episodes]
    step_BT = torch.full_like(batch.step_BT, -1)
    for steps_T, episode in zip(step_BT, episodes, strict=True):
        steps_T[: len(episode.steps)] = torch.tensor(episode.steps)
    return dataclasses.replace(batch, episodes=episodes, step_BT=step_BT)


def _cut_episode(
    episode: SampledEpisode, policy: PolicyAccess, settings: Segmentation
) -> SampledEpisode:
    if episode.trajectory is not None:
        return episode
    steps = segment(episode.completion_ids, episode.entropies, policy.decode, settings)
    return dataclasses.replace(episode, steps=tuple(steps))
