"""What a credit assignment says of itself: figures for the log, rows for `credit.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from astra.training.algorithm import PolicyAccess, SampledEpisode, ScoredBatch
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
"""Most text of a step that is kept."""


@dataclass(frozen=True, slots=True)
class CreditInputs:
    """A batch with everything that its credit came from."""

    batch: ScoredBatch
    told: StepContributions
    attribution: Attribution
    phase: Phase
    step: int
    """Batches seen before."""
    advantages_B: Tensor
    exists_BK: Tensor
    z_BK: Tensor
    weights_BK: Tensor
    crucial_BK: Tensor
    crucial_BT: Tensor


def figures(given: CreditInputs) -> dict[str, float]:
    """Contribution per step index, crucial steps, entropies, agreement, cost."""
    batch, told = given.batch, given.told
    known_BK = told.contribution_BK.isfinite() & given.exists_BK
    found = {
        "credit/attribution_seconds": told.seconds,
        "credit/steps": _mean(given.exists_BK.sum(1).float()),
        "credit/unattributed": 1 - _mean(known_BK.any(1).float()),
        "credit/crucial_share": _mean(given.crucial_BK[given.exists_BK].float()),
        "entropy/all": float(batch.entropy_BT[batch.policy_mask_BT].nanmean()),
        "entropy/crucial": float(batch.entropy_BT[given.crucial_BT].nanmean()),
    }
    for index in range(min(known_BK.shape[1], INDICES)):
        at_B = told.contribution_BK[:, index][known_BK[:, index]]
        found[f"contribution/step_{index}"] = _mean(at_B)
    for name, (value, count) in agreements(batch, told, given.attribution).items():
        found[f"agreement/{name}"] = math.nan if value is None else value
        found[f"agreement/{name}_trajectories"] = float(count)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _mean(values: Tensor) -> float:
    """NaN of nothing."""
    return float(values.mean()) if values.numel() else math.nan


def rows(given: CreditInputs, policy: PolicyAccess, most: int) -> Iterator[CreditRow]:
    """The first rollouts of the batch, step by step."""
    batch = given.batch
    tokens = tokens_BK(batch.step_BT, batch.policy_mask_BT)
    entropies = sum_BK(batch.entropy_BT, batch.step_BT, batch.policy_mask_BT) / tokens.clamp(min=1)
    for b, episode in enumerate(batch.episodes[:most]):
        steps = tuple(
            CreditStep(
                text=_text(episode, k, policy),
                tokens=int(tokens[b, k]),
                entropy=_known(entropies[b, k]),
                contribution=_known(given.told.contribution_BK[b, k]),
                z=float(given.z_BK[b, k]),
                weight=float(given.weights_BK[b, k]),
                advantage=float(given.advantages_B[b] * given.weights_BK[b, k]),
                crucial=bool(given.crucial_BK[b, k]),
                counterfactual=_counterfactual(given.told, b, k),
            )
            for k in range(given.exists_BK.shape[1])
            if bool(given.exists_BK[b, k])
        )
        yield CreditRow(
            id=content_hash([given.step, b, episode.task, list(episode.completion_ids)]),
            step=given.step,
            task=episode.task,
            reward=float(batch.rewards_B[b]),
            advantage=float(given.advantages_B[b]),
            phase=given.phase,
            attribution=given.attribution,
            steps=steps,
            agreement=_agreement(given.told, b),
        )


def _text(episode: SampledEpisode, step: int, policy: PolicyAccess) -> str:
    own = zip(episode.completion_ids, episode.steps, episode.policy_mask, strict=True)
    text = policy.decode([token for token, at, written in own if at == step and written])
    # A model may write halves of surrogate pairs, which no file can hold.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _known(value: Tensor) -> float | None:
    return float(value) if math.isfinite(float(value)) else None


def _counterfactual(told: StepContributions, b: int, k: int) -> float | None:
    return None if told.counterfactual_BK is None else _known(told.counterfactual_BK[b, k])


def _agreement(told: StepContributions, b: int) -> float | None:
    if told.counterfactual_BK is None or told.counterfactual_BK is told.contribution_BK:
        return None
    return spearman(told.contribution_BK[b].tolist(), told.counterfactual_BK[b].tolist())
