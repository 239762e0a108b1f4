"""HGPO: a step among those with the same state, and with the same states before it.

Source: "Hierarchy-of-Groups Policy Optimization for Long-Horizon Agentic Tasks" (arXiv 2602.22817),
read in public summaries. *Given*: steps of a group form groups by their state and the k states
before it, for k = 0 to K = 2. A step's advantage is the mean of its advantages A_k in them, with
weights in proportion to (k + 1)^α, α = 1.
*Ours*: a step that is alone in its k-th group leaves it out, so that the others' weights sum to 1;
the episode's advantage is added as in GiGPO, so that the two differ in the groups alone.

An arena's state is the set of what was found, so that the states before a step tell in which order.
"""

from __future__ import annotations

import torch

from astra.training.algorithm import Credit, PolicyAccess, ScoredBatch
from astra.training.credit.anchors import numbered_states_BK, shared_BK
from astra.training.credit.gigpo import state_metrics, step_advantages, step_returns_BK
from astra.training.credit.stepwise import StepSettings, episode_and_steps


def hgpo(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """The hierarchy's credit. With `history` 0 it is GiGPO's."""
    del policy
    returns_BK = step_returns_BK(batch, settings.discount)
    total_BK, weight_BK = torch.zeros_like(returns_BK), torch.zeros_like(returns_BK)
    state_BK = numbered_states_BK(batch)
    metrics = state_metrics(state_BK)
    for k in range(settings.history + 1):
        context_BK = numbered_states_BK(batch, history=k)
        total_BK += (k + 1) * step_advantages(returns_BK, context_BK, scale=settings.scale)
        weight_BK += (k + 1) * shared_BK(context_BK)
        if k:
            shared = float(shared_BK(context_BK).sum()) / max(1, int((state_BK >= 0).sum()))
            metrics[f"shared_steps_{k}"] = shared
    return episode_and_steps(batch, total_BK / weight_BK.clamp(min=1), settings, metrics)
