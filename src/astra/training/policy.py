"""A causal language model as `PolicyAccess`: what algorithms may ask of the policy that sampled.

Branches share what comes before them, and sequences of a group their prompt: all stand in one row,
each token seeing what it would have seen, at the position it would have had. One forward pass then
answers a group, and works through every token once. Attention kernels that take no such mask fall
back to a row per branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from astra.training.algorithm import Branch
from astra.training.attention import packing

TOKENS = 8_192
"""Most tokens of one forward pass, padding included (a single longer row is passed alone)."""
_MASKED = ("sdpa", "eager")

SequenceWithBranches = tuple[Sequence[int], Sequence[Branch]]


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
        rows: list[SequenceWithBranches] = [
            (ids[:1], [Branch(1, tuple(ids[1:]))]) for ids in input_ids if len(ids) > 1
        ]
        found = iter(self.branches(rows))
        return [[0.0, *next(found)[0]] if len(ids) > 1 else [0.0] * len(ids) for ids in input_ids]

    def branches(self, sequences: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        if self._model.config._attn_implementation in _MASKED:
            return self._evaluated(sequences)
        apart: list[SequenceWithBranches] = [
            (ids[: b.cut], [b]) for ids, bs in sequences for b in bs
        ]
        found = iter(self._evaluated(apart))
        return [[next(found)[0] for _ in branches] for _, branches in sequences]

    @torch.no_grad()
    def _evaluated(self, sequences: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """The answers in the order asked; without dropout and gradients."""
        if all(_plain(row) for row in sequences):
            batches, forward = _batches(sequences, self._tokens), self._padded
        else:
            batches, forward = _groups(sequences, self._tokens), self._grouped
        answers: dict[int, list[list[float]]] = {}
        training = self._model.training
        self._model.eval()
        try:
            for batch in batches:
                found = forward([sequences[index] for index in batch])
                answers.update(zip(batch, found, strict=True))
        finally:
            self._model.train(training)
        return [answers[index] for index in range(len(sequences))]

    def _grouped(self, group: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """Of sequences that are alike up to their first cut."""
        device = next(self._model.parameters()).device
        told = tree(group)
        with packing(self._model, told.lengths, told.seen_SS.to(device)) as more:
            logits_1NV = self._model(
                input_ids=told.ids_S[None].to(device),
                position_ids=told.positions_S[None].to(device),
                logits_to_keep=torch.tensor(told.places, device=device),
                use_cache=False,
                **more,
            ).logits
        own = [ids for _, branches in group for _, ids in branches]
        flat = iter(_told(logits_1NV[0], [token for ids in own for token in ids]))
        return [[[next(flat) for _ in ids] for _, ids in branches] for _, branches in group]

    def _padded(self, rows: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """Of sequences each with one branch at its end."""
        device = next(self._model.parameters()).device
        whole = [torch.tensor([*ids, *branches[0].ids]) for ids, branches in rows]
        ids_BL = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True).to(device)
        lengths_B = torch.tensor([len(ids) for ids in whole], device=device)
        first = min(len(ids) for ids, _ in rows) - 1
        logits_BLV = self._model(
            input_ids=ids_BL,
            # Causal, padded right: any kernel takes it.
            attention_mask=(
                torch.arange(ids_BL.shape[1], device=device) < lengths_B[:, None]
            ).long(),
            logits_to_keep=torch.arange(first, ids_BL.shape[1], device=device),
            use_cache=False,
        ).logits
        return [
            [_told(logits_LV[len(ids) - 1 - first :][: len(branches[0].ids)], branches[0].ids)]
            for (ids, branches), logits_LV in zip(rows, logits_BLV, strict=True)
        ]


class PrefixTree(NamedTuple):
    """Sequences that are alike up to their first cut, and their branches, as one of S tokens."""

    ids_S: Tensor
    positions_S: Tensor
    seen_SS: Tensor
    """Whether the token of a row sees that of a column."""
    lengths: list[int]
    """Tokens of what is alike, and of each sequence beyond it with its branches."""
    places: list[int]
    """Where the tokens of all branches are told, in their order."""


def tree(group: Sequence[SequenceWithBranches]) -> PrefixTree:
    """What all share, then for each sequence the rest of it and its branches, one after another."""
    alike = _first_cut(group[0])
    ids, positions = list(group[0][0][:alike]), list(range(alike))
    lengths, places = [alike], list[int]()
    seen: list[tuple[slice, slice]] = []
    """Rows and columns of what is seen besides: of a branch, its sequence up to the cut."""
    stretches: list[slice] = []
    """Tokens that follow each other; each sees those of its stretch before it, and itself."""
    for sequence, branches in group:
        start = len(ids)
        ids += sequence[alike:]
        positions += range(alike, len(sequence))
        stretches.append(slice(start, len(ids)))
        for cut, own in branches:
            stretch = slice(len(ids), len(ids) + len(own))
            # The first token is told by the last one before the cut.
            before = alike - 1 if cut == alike else start + cut - alike - 1
            places += [before, *range(stretch.start, stretch.stop - 1)][: len(own)]
            stretches.append(stretch)
            seen.append((stretch, slice(start, start + cut - alike)))
            ids += own
            positions += range(cut, cut + len(own))
        lengths.append(len(ids) - start)
    seen_SS = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    seen_SS[:, :alike] = True
    seen_SS[:alike, :alike].tril_()
    for rows, columns in seen:
        seen_SS[rows, columns] = True
    for stretch in stretches:
        seen_SS[stretch, stretch] = True
        seen_SS[stretch, stretch].tril_()
    kept = [length for length in lengths[1:] if length]
    return PrefixTree(torch.tensor(ids), torch.tensor(positions), seen_SS, [alike, *kept], places)


def _told(logits_NV: Tensor, ids: Sequence[int]) -> list[float]:
    wanted_N1 = torch.tensor(ids, dtype=torch.long, device=logits_NV.device).unsqueeze(-1)
    return logits_NV.float().log_softmax(-1).gather(-1, wanted_N1).squeeze(-1).tolist()


def _plain(row: SequenceWithBranches) -> bool:
    """Whether a row is an ordinary sequence: one branch, at its end."""
    return len(row[1]) == 1 and row[1][0].cut == len(row[0])


def _first_cut(row: SequenceWithBranches) -> int:
    return min((branch.cut for branch in row[1]), default=len(row[0]))


def _length(row: SequenceWithBranches) -> int:
    return len(row[0]) + sum(len(branch.ids) for branch in row[1])


def _batches(sequences: Sequence[SequenceWithBranches], tokens: int) -> Iterator[list[int]]:
    """Indices of rows that fit into one pass together, longest first."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: -_length(sequences[i])):
        if batch and (len(batch) + 1) * _length(sequences[batch[0]]) > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _groups(sequences: Sequence[SequenceWithBranches], tokens: int) -> Iterator[list[int]]:
    """Indices of rows that are alike up to their first cut and fit into one pass together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(sequences):
        groups.setdefault(tuple(row[0][: _first_cut(row)]), []).append(index)
    for alike, indices in groups.items():
        batch: list[int] = []
        size = len(alike)
        for index in indices:
            own = _length(sequences[index]) - len(alike)
            if batch and size + own > tokens:
                yield batch
                batch, size = [], len(alike)
            batch.append(index)
            size += own
        yield batch
