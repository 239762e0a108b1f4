"""Counterfactual credit without the lock on signs: a right call in a failed episode is rewarded.

*Ours*: A = A^E + ω·A^C. A^E is the episode's group-relative advantage. A^C compares the exact
contribution of a step, the reward minus the reward without the step's calls (`counterfactual`),
with those of the steps that other episodes of the group took from the same state (`anchors`).
ACPO multiplies by the contribution and keeps every sign, so that a right call in a failed episode
is at best blamed less. GiGPO compares what came after a step, of which later steps are a part.
"""

from __future__ import annotations

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.anchors import numbered_states_BK
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.gigpo import state_metrics, step_advantages
from astra.training.credit.measure import replayed
from astra.training.credit.stepwise import StepSettings, episode_and_steps


def counterfactual(
    batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings, replay: Counterfactual
) -> Credit:
    """A^E + ω·A^C. Steps from a state that no other step started from have A^C = 0.

    Raises what `Counterfactual.contributions` raises.
    """
    del policy
    state_BK = numbered_states_BK(batch)
    step_BK = step_advantages(replayed(batch, replay), state_BK, scale=settings.scale)
    credit = episode_and_steps(batch, step_BK, settings, state_metrics(state_BK))
    worse_B = batch.rewards_B < batch.group_mean_B(batch.rewards_B)
    against_BT = worse_B.unsqueeze(1) & batch.policy_mask_BT
    rewarded = float((credit.advantages_BT[against_BT] > 0).sum()) / max(1, int(against_BT.sum()))
    return Credit(
        credit.advantages_BT, metrics={**credit.metrics, "rewarded_in_failures": rewarded}
    )
