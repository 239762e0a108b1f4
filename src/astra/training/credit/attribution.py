"""Contribution of each step to the outcome: surrogates that need no replay.

*Given*: attribution measures a step's contribution to the final answer, by a light-weight surrogate
of the mutual information of step and answer.
*Ours*: three surrogates; `counterfactual` is a fourth. A value is NaN where it is not known (no
right answer, no score): the steps of such a response share the credit evenly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from astra.errors import StageError
from astra.training.algorithm import Branch, PolicyAccess, ScoredBatch
from astra.training.credit.steps import pad_BK, step_count, sum_BK, tokens_BK

CUE = "\nThe answer is"
"""Text after which the likelihood of the right answer is measured."""


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
    """Likelihood of the right answer under the policy. NaN where no answer is known."""

    contribution_BK: Tensor
    gain_BK: Tensor
    """By each step: increase of the exp of the mean log-probability of the answer's tokens."""
    confidence_B: Tensor
    """exp of the mean log-probability of the answer's tokens after the whole response."""


def likelihood(batch: ScoredBatch, policy: PolicyAccess, cue: str = CUE) -> AnswerLikelihood:
    """Contributions by the likelihood of the right answer. Every response is computed once.

    The answer stands after everything before the next step's first token, tool results included.
    Raises StageError if the contributions do not telescope.
    """
    cue_ids = policy.encode(cue)
    known = [index for index, episode in enumerate(batch.episodes) if episode.answer]
    sequences: list[tuple[list[int], list[Branch]]] = []
    for episode in (batch.episodes[index] for index in known):
        answer = (*cue_ids, *policy.encode(f" {episode.answer}"))
        starts, end = step_starts(episode.steps), len(episode.completion_ids)
        # The last branch stands before the special tokens that close the completion: after its
        # end of turn a model expects a user, and no answer.
        while end and not policy.decode(episode.completion_ids[end - 1 : end]):
            end -= 1
        ends = [*starts, max(end, *starts[-1:])] if starts else [end]
        branches = [Branch(len(episode.prompt_ids) + end, answer) for end in ends]
        sequences.append(([*episode.prompt_ids, *episode.completion_ids], branches))
    contributions: list[list[float]] = [[] for _ in batch.episodes]
    gains: list[list[float]] = [[] for _ in batch.episodes]
    confidence = [math.nan] * len(batch.episodes)
    for index, logprobs in zip(known, policy.branches(sequences), strict=True):
        answers = [values[len(cue_ids) :] for values in logprobs]
        totals = [math.fsum(values) for values in answers]
        steps = contributions[index] = [after - before for before, after in pairwise(totals)]
        whole = totals[-1] - totals[0]
        if not math.isclose(math.fsum(steps), whole, rel_tol=1e-6, abs_tol=1e-6):
            raise StageError(
                f"the contributions {steps!r} do not sum to {whole!r}: the policy's "
                "log-probabilities of the answer are not finite"
            )
        likely = [math.exp(total / len(answers[-1])) for total in totals]
        gains[index] = [after - before for before, after in pairwise(likely)]
        confidence[index] = likely[-1]
    device, count = batch.step_BT.device, step_count(batch.step_BT)
    return AnswerLikelihood(
        pad_BK(contributions, count, device),
        pad_BK(gains, count, device),
        torch.tensor(confidence, device=device),
    )


def confidence(batch: ScoredBatch, policy: PolicyAccess, cue: str = CUE) -> Tensor:
    """confidence_B alone: one branch per response."""
    episodes = [
        dataclasses.replace(episode, steps=tuple(min(step, 0) for step in episode.steps))
        for episode in batch.episodes
    ]
    one_step = dataclasses.replace(batch, episodes=episodes, step_BT=batch.step_BT.clamp(max=0))
    return likelihood(one_step, policy, cue).confidence_B


def entropy_BK(batch: ScoredBatch) -> Tensor:
    """Contributions by entropy: mean before the step minus mean after it, policy's tokens only.

    The response's mean replaces an empty side.
    """
    mask_BT = batch.policy_mask_BT
    total_BK = sum_BK(batch.entropy_BT, batch.step_BT, mask_BT)
    count_BK = tokens_BK(batch.step_BT, mask_BT)
    mean_B1 = total_BK.sum(1, keepdim=True) / count_BK.sum(1, keepdim=True).clamp(min=1)
    before_BK = _mean(total_BK.cumsum(1) - total_BK, count_BK.cumsum(1) - count_BK, mean_B1)
    after_BK = _mean(_rest(total_BK), _rest(count_BK), mean_B1)
    return before_BK - after_BK


def verified_BK(batch: ScoredBatch) -> Tensor:
    """Increments of the arena's score, turn by turn. NaN without a score."""
    rows = [list(e.score.increments) if e.score is not None else [] for e in batch.episodes]
    return pad_BK(rows, step_count(batch.step_BT), batch.step_BT.device)


# --- parts -----------------------------------------------------------------------------------


def step_starts(steps: Sequence[int]) -> list[int]:
    """Position of each step's first token. A step without tokens starts where the next one does."""
    starts = [-1] * (max(steps, default=-1) + 1)
    for place, step in enumerate(steps):
        if step >= 0 and starts[step] < 0:
            starts[step] = place
    following = len(steps)
    for step in range(len(starts) - 1, -1, -1):
        following = starts[step] = following if starts[step] < 0 else starts[step]
    return starts


def _rest(values_BK: Tensor) -> Tensor:
    """Sums over the steps after each."""
    return values_BK.sum(1, keepdim=True) - values_BK.cumsum(1)


def _mean(total_BK: Tensor, count_BK: Tensor, otherwise_B1: Tensor) -> Tensor:
    return torch.where(count_BK > 0, total_BK / count_BK.clamp(min=1), otherwise_B1)
