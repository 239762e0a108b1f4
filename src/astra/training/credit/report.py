"""Report of a credit assignment: metrics for the log, rows for `credit.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from astra.training.algorithm import PolicyAccess, ScoredBatch
from astra.training.credit.agreement import spearman
from astra.training.credit.attribution import Attribution
from astra.training.credit.measure import StepContributions, agreements
from astra.training.credit.phases import Phase
from astra.training.credit.records import CreditRow, CreditStep
from astra.training.credit.steps import sum_BK, tokens_BK
from astra.types import content_hash

INDICES = 8
"""Steps whose mean contribution is logged by index."""
CHARACTERS = 600
"""Maximum characters of a step's text that are stored."""


@dataclass(frozen=True, slots=True)
class CreditInputs:
    """A batch with all values that its credit was computed from."""

    batch: ScoredBatch
    contributions: StepContributions
    attribution: Attribution
    phase: Phase
    step: int
    """Number of earlier batches."""
    advantages_B: Tensor
    exists_BK: Tensor
    z_BK: Tensor
    weights_BK: Tensor
    crucial_BK: Tensor
    crucial_BT: Tensor


def credit_metrics(inputs: CreditInputs) -> dict[str, float]:
    """Contribution per step index, crucial steps, entropies, agreement, cost."""
    batch, contributions = inputs.batch, inputs.contributions
    known_BK = contributions.contribution_BK.isfinite() & inputs.exists_BK
    metrics = {
        "credit/attribution_seconds": contributions.seconds,
        "credit/steps": _mean(inputs.exists_BK.sum(1).float()),
        "credit/unattributed": 1 - _mean(known_BK.any(1).float()),
        "credit/crucial_share": _mean(inputs.crucial_BK[inputs.exists_BK].float()),
        "entropy/all": float(batch.entropy_BT[batch.policy_mask_BT].nanmean()),
        "entropy/crucial": float(batch.entropy_BT[inputs.crucial_BT].nanmean()),
    }
    for index in range(min(known_BK.shape[1], INDICES)):
        at_B = contributions.contribution_BK[:, index][known_BK[:, index]]
        metrics[f"contribution/step_{index}"] = _mean(at_B)
    for name, (value, count) in agreements(batch, contributions, inputs.attribution).items():
        metrics[f"agreement/{name}"] = math.nan if value is None else value
        metrics[f"agreement/{name}_trajectories"] = float(count)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _mean(values: Tensor) -> float:
    """The mean. NaN for an empty tensor."""
    return float(values.mean()) if values.numel() else math.nan


def credit_rows(inputs: CreditInputs, policy: PolicyAccess, count: int) -> Iterator[CreditRow]:
    """The first rollouts of the batch, step by step."""
    batch = inputs.batch
    tokens = tokens_BK(batch.step_BT, batch.policy_mask_BT)
    entropies = sum_BK(batch.entropy_BT, batch.step_BT, batch.policy_mask_BT) / tokens.clamp(min=1)
    measured_BK = inputs.contributions.contribution_BK
    replayed_BK = inputs.contributions.counterfactual_BK
    for b, episode in enumerate(batch.episodes[:count]):
        steps: list[CreditStep] = []
        for k in inputs.exists_BK[b].nonzero().flatten().tolist():
            own = zip(episode.completion_ids, episode.steps, episode.policy_mask, strict=True)
            text = policy.decode([token for token, step, written in own if step == k and written])
            # A model may write lone surrogates, which UTF-8 can't encode.
            text = text.encode(errors="replace").decode()
            steps.append(
                CreditStep(
                    text=text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…",
                    tokens=int(tokens[b, k]),
                    entropy=_known(entropies[b, k]),
                    contribution=_known(measured_BK[b, k]),
                    z=float(inputs.z_BK[b, k]),
                    weight=float(inputs.weights_BK[b, k]),
                    advantage=float(inputs.advantages_B[b] * inputs.weights_BK[b, k]),
                    crucial=bool(inputs.crucial_BK[b, k]),
                    counterfactual=None if replayed_BK is None else _known(replayed_BK[b, k]),
                )
            )
        agreement = None
        if replayed_BK is not None and replayed_BK is not measured_BK:
            agreement = spearman(measured_BK[b].tolist(), replayed_BK[b].tolist())
        yield CreditRow(
            id=content_hash([inputs.step, b, episode.task, list(episode.completion_ids)]),
            step=inputs.step,
            task=episode.task,
            reward=float(batch.rewards_B[b]),
            advantage=float(inputs.advantages_B[b]),
            phase=inputs.phase,
            attribution=inputs.attribution,
            steps=tuple(steps),
            agreement=agreement,
        )


def _known(value: Tensor) -> float | None:
    return float(value) if math.isfinite(float(value)) else None
