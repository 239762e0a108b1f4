"""DRIFT: self-distillation where a task is hard, GRPO where it is within reach.

Source: "DRIFT: Difficulty Routing Self-Distillation with Rhythm-Gated Exploration and Success
Buffer Training" (arXiv 2606.30345), of which the abstract, summaries and the authors' page and
pseudocode could be read. *Given*, with its values: a task's pass rate comes from counts that decay
by 0.85 a step, a Beta(1, 1) prior and a pull to 0.5 while there are few; soft gates at 0.3 and 0.7
say how hard, medium and easy it is. Failures with a demonstration are distilled, with weight 1 if
hard, 0 if medium, 0.35 if easy; successes with one are reinforced, with weight 0.3, 1, 0.05.
Rollouts without one are reinforced as in GRPO. Tokens of medium successes that the student finds
likelier than the teacher weigh up to twice as much, gated by rhythm. Where a group has no success
to show, one of earlier steps is shown. A first stage is SDPO alone, and fills the buffer.
*Ours*: the length of the first stage, and no transition; the rhythm, whose formula is in none of
these texts: the gate opens where a token's entropy exceeds the episode's mean, and is wide open at
twice the mean, or everywhere if the engine tells no entropies. The buffer holds one success a task,
the best and of equals the latest, of the tasks solved last (theirs: four of 50,000 tasks). Pass
rates count what is trained on and are never reset. Distillation is that of `sdpo`.

A group that batch filling leaves out is neither distilled nor counted. All-failed groups, for which
the buffer is meant, come through without filling (`max_sampling_rounds=1`) or if rewards differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.sdpo import Demonstration, demonstrations, distilled, preference
from astra.training.credit.stepwise import StepSettings, StepwiseAlgorithm
from astra.training.rl.grpo import group_advantages

DECAY = 0.85
"""Of a task's counts, per step."""
CONFIDENCE = 8.0
"""Number of rollouts at which a pass rate is believed by half."""
HARD, EASY = 0.3, 0.7
"""Pass rates at which the gates of hard and of easy tasks are half open."""
TEMPERATURE = 0.08
"""Of the gates."""
DISTILLED = (1.0, 0.0, 0.35)
"""Weight of the distillation of failures, by difficulty: hard, medium, easy."""
REINFORCED = (0.3, 1.0, 0.05)
"""Weight of the reinforcement of successes, likewise."""
MARGIN, LARGEST = 0.2, 2.0
"""Nats by which the student has to exceed the teacher, and the largest weight of such a token."""
TASKS = 2_000
"""Tasks in the buffer. Checkpoints hold their tokens."""


class Drift:
    """Difficulty routing with a success buffer.

    `warm_up`: steps of the first stage. `replay`: replays episodes for the agreement. None: it is
    not logged.
    """

    name = "drift"

    def __init__(
        self, settings: StepSettings, *, warm_up: int = 20, replay: Counterfactual | None = None
    ) -> None:
        self._settings = settings
        self._warm_up = warm_up
        self._measured = StepwiseAlgorithm(self.name, self._rule, replay)
        self._steps = 0
        self._counts: dict[str, tuple[float, float, int]] = {}
        """By task: successes, failures and the step that saw it last."""
        self._buffer: dict[str, tuple[float, Demonstration]] = {}
        """By task, in the order of the last success: reward and completion."""

    def credit(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        """SDPO's credit in the first stage, then both by difficulty. Two more passes."""
        return self._measured.credit(batch, policy)

    def _rule(self, batch: ScoredBatch, policy: PolicyAccess) -> Credit:
        passed_B = batch.rewards_B > self._settings.success
        rate_B = self._observed(batch, passed_B)
        shown = [
            self._earlier(batch, row) if sibling is None else sibling
            for row, sibling in enumerate(demonstrations(batch, self._settings.success))
        ]
        self._keep(batch, passed_B)
        teaching = distilled(batch, policy, shown)
        warming = self._steps < self._warm_up
        self._steps += 1
        metrics = {
            **teaching.metrics,
            "pass_rate": float(rate_B.mean()),
            "buffer": float(len(self._buffer)),
            "stage": 1.0 if warming else 2.0,
        }
        if warming:
            return replace(teaching, metrics=metrics)
        shown_B = torch.tensor([each is not None for each in shown], device=passed_B.device)
        difficulty_3B = difficulties(rate_B)
        distilled_B = _weight(DISTILLED, difficulty_3B) * (shown_B & ~passed_B)
        reinforced_B = _weight(REINFORCED, difficulty_3B) * passed_B
        reinforced_B = torch.where(shown_B, reinforced_B, 1.0)
        # `teaching` is 0 without a demonstration: such tokens have no bonus.
        bonus_BT = exploration_BT(teaching.advantages_BT, batch)
        bonus_BT = bonus_BT * (passed_B * difficulty_3B[1]).unsqueeze(1)
        advantage_B = group_advantages(batch.rewards_B, batch.group_B, scale=self._settings.scale)
        reinforced_BT = (reinforced_B * advantage_B).unsqueeze(1) * (1 + bonus_BT)
        return Credit(
            advantages_BT=distilled_B.unsqueeze(1) * teaching.advantages_BT
            + reinforced_BT * batch.policy_mask_BT,
            metrics={
                **metrics,
                "distilled": float(distilled_B.mean()),
                "reinforced": float(reinforced_B.mean()),
                "exploration": float(bonus_BT[batch.policy_mask_BT].mean()),
            },
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self._steps,
            "counts": {task: list(counts) for task, counts in self._counts.items()},
            "buffer": {task: [reward, list(ids)] for task, (reward, ids) in self._buffer.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._steps = int(state["steps"])
        self._counts = {
            task: (float(successes), float(failures), int(step))
            for task, (successes, failures, step) in state["counts"].items()
        }
        self._buffer = {
            task: (float(reward), tuple(map(int, ids)))
            for task, (reward, ids) in state["buffer"].items()
        }

    # --- parts -----------------------------------------------------------------------------

    def _observed(self, batch: ScoredBatch, passed_B: Tensor) -> Tensor:
        """The pass rate of each rollout's task, with this batch."""
        seen: dict[str, list[bool]] = {}
        for episode, passed in zip(batch.episodes, passed_B.tolist(), strict=True):
            seen.setdefault(episode.task, []).append(passed)
        for task, passed in seen.items():
            successes, failures, step = self._counts.get(task, (0.0, 0.0, self._steps))
            kept = DECAY ** (self._steps - step)
            new = sum(passed)
            self._counts[task] = (
                kept * successes + new,
                kept * failures + len(passed) - new,
                self._steps,
            )
        rates = [pass_rate(*self._counts[episode.task][:2]) for episode in batch.episodes]
        return torch.tensor(rates, device=passed_B.device)

    def _earlier(self, batch: ScoredBatch, row: int) -> Demonstration | None:
        """The success of earlier steps, unless it is worse than this rollout, or the same."""
        reward, ids = self._buffer.get(batch.episodes[row].task, (0.0, None))
        own = batch.episodes[row].completion_ids
        return None if reward < float(batch.rewards_B[row]) or ids == own else ids

    def _keep(self, batch: ScoredBatch, passed_B: Tensor) -> None:
        best: dict[str, int] = {}
        rows = passed_B.nonzero().flatten().tolist()
        for row in sorted(rows, key=lambda row: preference(batch, row)):
            best.setdefault(batch.episodes[row].task, row)
        for task, row in best.items():
            reward = float(batch.rewards_B[row])
            kept = self._buffer.pop(task, (reward, ()))
            new = (reward, batch.episodes[row].completion_ids)
            self._buffer[task] = new if reward >= kept[0] else kept
        while len(self._buffer) > TASKS:
            del self._buffer[next(iter(self._buffer))]


def pass_rate(successes: float, failures: float) -> float:
    """Smoothed pass rate, in (0, 1): nearer to 0.5 the fewer rollouts it is of."""
    count = successes + failures
    belief = count / (count + CONFIDENCE)
    return belief * (successes + 1) / (count + 2) + (1 - belief) * 0.5


def difficulties(rate_B: Tensor) -> Tensor:
    """(3, B): how hard, medium and easy a task with this pass rate is. They sum to 1."""
    hard_B = torch.sigmoid((HARD - rate_B) / TEMPERATURE)
    easy_B = torch.sigmoid((rate_B - EASY) / TEMPERATURE)
    gates_3B = torch.stack([hard_B, (1 - hard_B) * (1 - easy_B), easy_B])
    return gates_3B / gates_3B.sum(0)


def exploration_BT(difference_BT: Tensor, batch: ScoredBatch) -> Tensor:
    """Further weight of tokens that the student finds likelier than the teacher, in [0, 1].

    `difference_BT`: log-probability under the teacher minus that under the student.
    """
    excess_BT = (-difference_BT - MARGIN).clamp(min=0)
    bonus_BT = excess_BT.exp().clamp(max=LARGEST) - 1
    mask_BT = batch.policy_mask_BT
    entropy_BT = batch.entropy_BT.where(mask_BT, 0.0)
    mean_B1 = entropy_BT.sum(1, keepdim=True) / mask_BT.sum(1, keepdim=True).clamp(min=1)
    gate_BT = (entropy_BT / mean_B1.clamp(min=1e-6) - 1).clamp(0, 1)
    return bonus_BT * gate_BT.nan_to_num(1.0) * mask_BT


def _weight(weights: tuple[float, float, float], difficulty_3B: Tensor) -> Tensor:
    return torch.tensor(weights).to(difficulty_3B) @ difficulty_3B
