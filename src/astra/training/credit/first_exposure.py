"""First exposure: the credit of a goal goes to the step that first showed its result.

Source: "STAMP: Provenance-Guided Credit Assignment for Deep Search Agents" (arXiv 2607.11172), of
which the abstract and public summaries could be read. *Given*: what is supported in the answer is
traced back to the action that first surfaced it; this credit enters by a modulation that keeps the
sign of the episode's advantage and redistributes it over the steps. It amplifies credited steps of
successes, and shields those of failures.
*Ours*: goals take the place of cited documents, and the rule-based score that of the verifier. The
step of a solved goal is the first that made the solving call with the same result. The modulation
is the factored advantage (`factor`) with z_k = number of goals that step k exposed first.
"""

from __future__ import annotations

from functools import partial

from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.credit.factor import factored_advantages
from astra.training.credit.steps import pad_BK, step_count
from astra.training.credit.stepwise import StepSettings
from astra.training.rl.grpo import group_advantages
from astra.types import CallRecord, canonical_json


def first_exposure(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """A·w_k. GRPO's advantages where no goal was solved, or nothing was scored by goals."""
    del policy
    rows = [exposures(episode) for episode in batch.episodes]
    exposed_BK = pad_BK(rows, step_count(batch.step_BT), batch.step_BT.device).nan_to_num(0.0)
    advantages_B = group_advantages(batch.rewards_B, batch.group_B, scale=settings.scale)
    factored = factored_advantages(
        advantages_B, exposed_BK, batch.step_BT, batch.policy_mask_BT, settings.alpha
    )
    credited = float((exposed_BK > 0).any(1).float().mean())
    return Credit(factored.advantages_BT, metrics={"credited_episodes": credited})


def exposures(episode: SampledEpisode) -> list[float]:
    """Per turn: number of solved goals whose result it was the first to show."""
    if episode.trajectory is None or episode.score is None:
        return []
    counts = [0.0] * episode.trajectory.turns
    calls = episode.trajectory.calls
    solving = {call.id: call for call in reversed(calls)}
    for name in episode.score.solved_by.values():
        if (call := solving.get(name)) is not None:
            counts[next(filter(partial(_shows_the_same, call), calls)).turn] += 1
    return counts


def _shows_the_same(one: CallRecord, other: CallRecord) -> bool:
    def key(call: CallRecord) -> str:
        return canonical_json([call.tool, call.status, call.arguments, call.result])

    return key(one) == key(other)
