"""A causal language model as `PolicyAccess`: what algorithms may ask of the policy that sampled.

Branches of one sequence share its prefix: they stand behind it in one row, each seeing the prefix
up to its cut and itself, at the positions it would have had there. One forward pass then answers
them all. Attention kernels that take no such mask fall back to one row per branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from astra.training.algorithm import Branch

TOKENS = 8_192
"""Most tokens of one forward pass, padding included (a single longer row is passed alone)."""
_MASKED = ("sdpa", "eager")

Row = tuple[Sequence[int], Sequence[Branch]]


class ModelPolicy:
    """Answers with `model` and `tokenizer` as they are at the time; keeps no copy of either."""

    def __init__(self, model: Any, tokenizer: Any, *, tokens: int = TOKENS) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._tokens = tokens

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def logprobs(self, input_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        rows: list[Row] = [
            (ids[:1], [Branch(1, tuple(ids[1:]))]) for ids in input_ids if len(ids) > 1
        ]
        found = iter(self.branches(rows))
        return [[0.0, *next(found)[0]] if len(ids) > 1 else [0.0] * len(ids) for ids in input_ids]

    def branches(self, sequences: Sequence[Row]) -> list[list[list[float]]]:
        if self._model.config._attn_implementation in _MASKED:
            return self._in_batches(sequences)
        apart: list[Row] = [(ids[: b.cut], [b]) for ids, bs in sequences for b in bs]
        found = iter(self._in_batches(apart))
        return [[next(found)[0] for _ in branches] for _, branches in sequences]

    def _in_batches(self, sequences: Sequence[Row]) -> list[list[list[float]]]:
        """The answers in the order asked; rows of like length share a pass, gradients off."""
        answers: dict[int, list[list[float]]] = {}
        training = self._model.training
        self._model.eval()
        try:
            for batch in _batches(sequences, self._tokens):
                found = self._forward([sequences[index] for index in batch])
                answers.update(zip(batch, found, strict=True))
        finally:
            self._model.train(training)
        return [answers[index] for index in range(len(sequences))]

    @torch.no_grad()
    def _forward(self, sequences: Sequence[Row]) -> list[list[list[float]]]:
        model = self._model
        device = next(model.parameters()).device
        ids_BL, positions_BL, seen_BLL = (x.to(device) for x in tree(sequences))
        if all(_plain(row) for row in sequences):
            mask = (positions_BL >= 0).long()  # causal, padded right: any kernel takes it
        else:
            hidden = torch.full((), torch.finfo(model.dtype).min, dtype=model.dtype, device=device)
            mask = torch.where(seen_BLL, torch.zeros_like(hidden), hidden).unsqueeze(1)
        # Of a wide vocabulary's logits, only those that tell something are computed.
        kept = sorted({place for row in sequences for places in _places(row) for place in places})
        logits_BKV = model(
            input_ids=ids_BL,
            attention_mask=mask,
            position_ids=positions_BL.clamp(min=0),
            logits_to_keep=torch.tensor(kept, device=device),
        ).logits
        where = {place: index for index, place in enumerate(kept)}
        return [
            [
                _told(logits_KV[[where[place] for place in places]], branch.ids)
                for places, branch in zip(_places(row), row[1], strict=True)
            ]
            for row, logits_KV in zip(sequences, logits_BKV, strict=True)
        ]


def tree(sequences: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """ids_BL, positions_BL (-1: padding) and seen_BLL (row sees column) of rows with branches."""
    length = max(map(_length, sequences))
    ids_BL = torch.zeros(len(sequences), length, dtype=torch.long)
    positions_BL = torch.full((len(sequences), length), -1)
    seen_BLL = torch.eye(length, dtype=torch.bool).repeat(len(sequences), 1, 1)
    for ids_L, positions_L, seen_LL, (ids, branches) in zip(
        ids_BL, positions_BL, seen_BLL, sequences, strict=True
    ):
        end = len(ids)
        ids_L[:end] = torch.tensor(ids)
        positions_L[:end] = torch.arange(end)
        seen_LL[:end, :end] = torch.ones(end, end).tril().bool()
        for cut, own in branches:
            start, end = end, end + len(own)
            ids_L[start:end] = torch.tensor(own)
            positions_L[start:end] = torch.arange(cut, cut + len(own))
            seen_LL[start:end, :cut] = True
            seen_LL[start:end, start:end] = torch.ones(len(own), len(own)).tril().bool()
    return ids_BL, positions_BL, seen_BLL


def _places(row: Row) -> list[list[int]]:
    """Per branch: where its tokens are told, the first by the last token before its cut."""
    start = len(row[0])
    places: list[list[int]] = []
    for cut, ids in row[1]:
        places.append([cut - 1, *range(start, start + len(ids) - 1)])
        start += len(ids)
    return places


def _told(logits_NV: Tensor, ids: Sequence[int]) -> list[float]:
    wanted_N1 = torch.tensor(ids, device=logits_NV.device).unsqueeze(-1)
    return logits_NV.float().log_softmax(-1).gather(-1, wanted_N1).squeeze(-1).tolist()


def _plain(row: Row) -> bool:
    """Whether a row is an ordinary sequence: one branch, at its end."""
    return len(row[1]) == 1 and row[1][0].cut == len(row[0])


def _length(row: Row) -> int:
    return len(row[0]) + sum(len(branch.ids) for branch in row[1])


def _batches(sequences: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Indices of rows that fit into one pass together, longest first."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: -_length(sequences[i])):
        if batch and (len(batch) + 1) * _length(sequences[batch[0]]) > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
