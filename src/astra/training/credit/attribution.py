"""What each step contributed to the outcome: surrogates that need no replay.

*Given*: attribution measures a step's contribution to the final answer, by a light-weight surrogate
of the mutual information of step and answer.
*Ours*: three ways to have one, and `counterfactual` for a fourth. A value is NaN where it can't be
told (no right answer known, no score): such a response is credited evenly, never guessed at.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor

from astra.errors import StageError
from astra.training.algorithm import Branch, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.credit.steps import pad_BK, step_count, sum_BK, tokens_BK

CUE = "\nThe answer is"
"""What the right answer is read after."""


class Attribution(StrEnum):
    """How the contribution c_k of step k is measured."""

    likelihood = "likelihood"
    """log π(a* | q, s_≤k) - log π(a* | q, s_<k), the answer teacher-forced after a fixed cue by the
    policy that sampled: the pointwise mutual information of step and answer. One more pass."""
    entropy = "entropy"
    """Mean token entropy before the step minus that after it. No pass."""
    verified = "verified"
    """Reward after turn k minus reward before it, from the arena itself. Arenas only."""
    counterfactual = "counterfactual"
    """Reward minus the reward without the calls of turn k. Arenas only."""


class AnswerLikelihood(NamedTuple):
    """What the policy thinks of the right answer. NaN where none is known."""

    contribution_BK: Tensor
    confidence_B: Tensor
    """exp of the mean log-probability of the answer's tokens after the whole response."""


def likelihood(batch: ScoredBatch, policy: PolicyAccess, cue: str = CUE) -> AnswerLikelihood:
    """Contributions by the likelihood of the right answer, every response read once.

    The answer is told after everything that came before the next step's first token, results of
    tools included. Raises StageError if the contributions do not telescope.
    """
    asked = [index for index, episode in enumerate(batch.episodes) if episode.answer]
    branched = [_branches(batch.episodes[index], policy, cue) for index in asked]
    found = policy.branches(
        [
            ([*batch.episodes[index].prompt_ids, *batch.episodes[index].completion_ids], branches)
            for index, (branches, _) in zip(asked, branched, strict=True)
        ]
    )
    contributions: list[list[float]] = [[] for _ in batch.episodes]
    confidence = [math.nan] * len(batch.episodes)
    for index, (_, cue_length), told in zip(asked, branched, found, strict=True):
        answers = [values[cue_length:] for values in told]
        contributions[index] = _differences([math.fsum(values) for values in answers])
        confidence[index] = math.exp(math.fsum(answers[-1]) / len(answers[-1]))
    device = batch.step_BT.device
    return AnswerLikelihood(
        pad_BK(contributions, step_count(batch.step_BT), device),
        torch.tensor(confidence, device=device),
    )


def confidence(batch: ScoredBatch, policy: PolicyAccess, cue: str = CUE) -> Tensor:
    """confidence_B alone: one branch per response."""
    whole = dataclasses.replace(
        batch,
        episodes=[_one_step(episode) for episode in batch.episodes],
        step_BT=batch.step_BT.clamp(max=0),
    )
    return likelihood(whole, policy, cue).confidence_B


def entropy_BK(batch: ScoredBatch) -> Tensor:
    """Contributions by entropy: mean before the step minus mean after it, policy's tokens only.

    Where nothing comes before or after a step, the response's mean stands in.
    """
    mask_BT = batch.policy_mask_BT
    total_BK = sum_BK(batch.entropy_BT, batch.step_BT, mask_BT)
    count_BK = tokens_BK(batch.step_BT, mask_BT)
    mean_B1 = total_BK.sum(1, keepdim=True) / count_BK.sum(1, keepdim=True).clamp(min=1)
    before_BK = _mean(total_BK.cumsum(1) - total_BK, count_BK.cumsum(1) - count_BK, mean_B1)
    after_BK = _mean(_rest(total_BK), _rest(count_BK), mean_B1)
    return before_BK - after_BK


def verified_BK(batch: ScoredBatch) -> Tensor:
    """Contributions as the arena scored them, turn by turn; NaN without a score."""
    rows = [list(e.score.increments) if e.score is not None else [] for e in batch.episodes]
    return pad_BK(rows, step_count(batch.step_BT), batch.step_BT.device)


# --- parts -----------------------------------------------------------------------------------


def step_starts(steps: Sequence[int]) -> list[int]:
    """Where each step's first token stands; a step without tokens starts where the next does."""
    starts = [-1] * (max(steps, default=-1) + 1)
    for place, step in enumerate(steps):
        if step >= 0 and starts[step] < 0:
            starts[step] = place
    following = len(steps)
    for step in range(len(starts) - 1, -1, -1):
        following = starts[step] = following if starts[step] < 0 else starts[step]
    return starts


def _branches(episode: SampledEpisode, policy: PolicyAccess, cue: str) -> tuple[list[Branch], int]:
    """The answer after each step, before the first one too; and the number of the cue's tokens."""
    cue_ids, answer_ids = policy.encode(cue), policy.encode(f" {episode.answer}")
    own = (*cue_ids, *answer_ids)
    ends = [*step_starts(episode.steps), _end(episode, policy)]
    return [Branch(len(episode.prompt_ids) + end, own) for end in ends], len(cue_ids)


def _end(episode: SampledEpisode, policy: PolicyAccess) -> int:
    """Length of the completion without the special tokens that close it."""
    ids = episode.completion_ids
    end = len(ids)
    while end and not policy.decode(ids[end - 1 : end]):
        end -= 1
    last = step_starts(episode.steps)[-1:]
    return max(end, *last) if last else end


def _differences(told: Sequence[float]) -> list[float]:
    steps = [after - before for before, after in itertools.pairwise(told)]
    if not math.isclose(math.fsum(steps), told[-1] - told[0], rel_tol=1e-6, abs_tol=1e-6):
        raise StageError(
            f"the contributions {steps!r} do not sum to {told[-1] - told[0]!r}: the policy's "
            "log-probabilities of the answer are not finite"
        )
    return steps


def _one_step(episode: SampledEpisode) -> SampledEpisode:
    return dataclasses.replace(episode, steps=tuple(min(step, 0) for step in episode.steps))


def _rest(values_BK: Tensor) -> Tensor:
    """Sums over the steps after each."""
    return values_BK.sum(1, keepdim=True) - values_BK.cumsum(1)


def _mean(total_BK: Tensor, count_BK: Tensor, otherwise_B1: Tensor) -> Tensor:
    return torch.where(count_BK > 0, total_BK / count_BK.clamp(min=1), otherwise_B1)
