"""SDPO: the policy that was shown a success teaches the policy that was not, token by token.

Source: "Reinforcement Learning via Self-Distillation" (arXiv 2601.20802), of which the abstract,
the authors' settings and TRL's trainer could be read. *Given*: the teacher is the policy itself
with another successful rollout of the group in its context. It rates the tokens that the student
has sampled, and without a gradient through the teacher they get A_t = log π(y_t | demonstration, q,
y_<t) - log π(y_t | q, y_<t): the on-policy gradient of KL(student || teacher). Rewards only tell
which rollouts are successes. One without another success in its group gets no credit.
*Ours*: sampled tokens alone (TRL's default; the authors compare the 100 likeliest, by a
Jensen-Shannon divergence), and as the teacher the policy as it is (theirs: a moving average of its
weights). The demonstration is the best-rewarded other success, of equals the shortest, unless it
earned less than the student. For rewards of 0 and 1 that is any other success.

The demonstration stands before the episode as an earlier part of the same conversation: prompt,
demonstration, the prompt again, the student's tokens. These are the very tokens that were sampled,
calls and tool results included, so that any chat template will do. Quoted in the user's message, as
authors and TRL have it, an episode with tools would need a wording and lose its special tokens.
What the teacher reads is up to twice as long as the run's longest sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from astra.errors import StageError
from astra.training.algorithm import Branch, Credit, PolicyAccess, ScoredBatch
from astra.training.credit.stepwise import StepSettings

Demonstration = tuple[int, ...]
"""Tokens of a completion: the policy's and those of the tools."""


def sdpo(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """Log-probability of each token under the teacher minus that under the student. Two more passes
    over the rollouts that have a demonstration."""
    return distilled(batch, policy, demonstrations(batch, settings.success))


def demonstrations(batch: ScoredBatch, success: float) -> list[Demonstration | None]:
    """B: the completion that is shown to the teacher of each rollout. None: there is none."""
    groups, rewards = batch.group_B.tolist(), batch.rewards_B.tolist()
    ranked: dict[int, list[int]] = {}
    for row in sorted(range(len(rewards)), key=lambda row: preference(batch, row)):
        if rewards[row] > success:
            ranked.setdefault(groups[row], []).append(row)
    shown: list[Demonstration | None] = []
    for row, group in enumerate(groups):
        best = next((other for other in ranked.get(group, ()) if other != row), None)
        if best is None or rewards[best] < rewards[row]:
            shown.append(None)
        else:
            shown.append(batch.episodes[best].completion_ids)
    return shown


def preference(batch: ScoredBatch, row: int) -> tuple[float, int, Demonstration]:
    """Sorts rollouts from the best demonstration to the worst, whatever their order."""
    ids = batch.episodes[row].completion_ids
    return -float(batch.rewards_B[row]), len(ids), ids


def distilled(
    batch: ScoredBatch, policy: PolicyAccess, shown: Sequence[Demonstration | None]
) -> Credit:
    """Teacher minus student on the policy's tokens of rollouts with a demonstration, else 0.

    Raises StageError if a log-probability is not finite.
    """
    rows = [row for row, demonstration in enumerate(shown) if demonstration is not None]

    def logprobs(contexts: Sequence[Demonstration]) -> list[list[list[float]]]:
        own = (batch.episodes[row].completion_ids for row in rows)
        return policy.branches(
            [(ids, [Branch(len(ids), ending)]) for ids, ending in zip(contexts, own, strict=True)]
        )

    prompts = [batch.episodes[row].prompt_ids for row in rows]
    told = [(*ids, *(shown[row] or ()), *ids) for ids, row in zip(prompts, rows, strict=True)]
    # Not those of sampling: another engine, temperature or older weights would be taken for signal.
    student, teacher = logprobs(prompts), logprobs(told)
    difference_BT = torch.zeros_like(batch.old_logprobs_BT)
    for row, (before,), (after,) in zip(rows, student, teacher, strict=True):
        difference_T = torch.tensor(after) - torch.tensor(before)
        difference_BT[row, : len(after)] = difference_T.to(difference_BT)
    if not bool(difference_BT.isfinite().all()):
        raise StageError("the policy's log-probabilities of sampled tokens are not finite")
    difference_BT = difference_BT * batch.policy_mask_BT
    tokens = int(batch.policy_mask_BT[rows].sum())
    return Credit(
        advantages_BT=difference_BT,
        metrics={
            "demonstrated": len(rows) / len(shown),
            "teacher_minus_student": float(difference_BT.sum()) / max(tokens, 1),
        },
    )
