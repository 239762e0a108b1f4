"""Contributions of a batch's steps under the selected attribution."""

from __future__ import annotations

import time
from typing import NamedTuple

from torch import Tensor

from astra.training.algorithm import PolicyAccess, ScoredBatch
from astra.training.credit.agreement import mean_agreement
from astra.training.credit.attribution import Attribution, entropy_BK, likelihood, verified_BK
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.steps import pad_BK, step_count


class StepContributions(NamedTuple):
    """Contributions of the steps of a batch, and what measuring them took."""

    contribution_BK: Tensor
    """NaN where it is not known."""
    confidence_B: Tensor | None
    """Of the right answer. None: not measured by this attribution."""
    counterfactual_BK: Tensor | None
    """None if nothing was replayed."""
    seconds: float
    """Time of the attribution, without replays made only for comparison."""


def measure_contributions(
    batch: ScoredBatch,
    policy: PolicyAccess,
    attribution: Attribution,
    cue: str,
    replay: Counterfactual | None,
    *,
    compare: bool,
) -> StepContributions:
    """Measure contributions. `compare`: also replay the episodes, if that is possible.

    Raises what `likelihood` and `Counterfactual.contributions` raise.
    """
    started = time.perf_counter()
    confidence_B = replayed_BK = None
    match attribution:
        case Attribution.likelihood:
            contribution_BK, _, confidence_B = likelihood(batch, policy, cue)
        case Attribution.entropy:
            contribution_BK = entropy_BK(batch)
        case Attribution.verified:
            contribution_BK = verified_BK(batch)
        case Attribution.counterfactual:
            assert replay is not None
            contribution_BK = replayed_BK = replayed(batch, replay)
    seconds = time.perf_counter() - started
    if replayed_BK is None and compare and replay is not None:
        replayed_BK = replayed(batch, replay)
    return StepContributions(contribution_BK, confidence_B, replayed_BK, seconds)


def replayed(batch: ScoredBatch, replay: Counterfactual) -> Tensor:
    """Counterfactual contributions. NaN for episodes that can't be replayed."""
    rows = [replay.contributions(episode) for episode in batch.episodes]
    return pad_BK(rows, step_count(batch.step_BT), batch.step_BT.device)


def agreements(
    batch: ScoredBatch, contributions: StepContributions, attribution: Attribution
) -> dict[str, tuple[float | None, int]]:
    """By attribution: mean rank correlation with the counterfactual, and the number of
    trajectories.

    For the attribution in use and those that cost nothing. Empty if nothing was replayed.
    """
    if contributions.counterfactual_BK is None:
        return {}
    sides = {Attribution.entropy: entropy_BK(batch), Attribution.verified: verified_BK(batch)}
    sides[attribution] = contributions.contribution_BK
    sides.pop(Attribution.counterfactual, None)
    true = contributions.counterfactual_BK.tolist()
    return {name.value: mean_agreement(side.tolist(), true) for name, side in sides.items()}
