"""A causal language model as `PolicyAccess`: queries of algorithms to the policy that sampled.

Branches of a sequence share its tokens, and sequences of a group share their prompt. A group is
packed as one row: each token attends to what it would have seen in a row of its own, at the same
position. One forward pass then computes every token of a group once. Attention kernels that take no
such mask get a row per branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from astra.training.algorithm import Branch
from astra.training.attention import packing

TOKENS = 8_192
"""Maximum tokens of one forward pass, padding included. A longer row is passed alone."""
ROWS = 1_024
"""Tokens whose logits are normalized at once."""
_MASKED = ("sdpa", "eager")

SequenceWithBranches = tuple[Sequence[int], Sequence[Branch]]


class ModelPolicy:
    """Queries `model` and `tokenizer` as they are at the time of the call."""

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
        tails = iter(self.branches(rows))
        return [[0.0, *next(tails)[0]] if len(ids) > 1 else [0.0] * len(ids) for ids in input_ids]

    def branches(self, sequences: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        if self._model.config._attn_implementation in _MASKED:
            return self._evaluated(sequences)
        separate: list[SequenceWithBranches] = [
            (ids[: b.cut], [b]) for ids, bs in sequences for b in bs
        ]
        results = iter(self._evaluated(separate))
        return [[next(results)[0] for _ in branches] for _, branches in sequences]

    @torch.no_grad()
    def _evaluated(self, sequences: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """The results in the order of the sequences, without dropout and gradients."""
        # Ordinary sequences, with one branch at their end, need no mask of their own.
        if all(len(bs) == 1 and bs[0].cut == len(ids) for ids, bs in sequences):
            batches, forward = _batches(sequences, self._tokens), self._padded
        else:
            batches, forward = _groups(sequences, self._tokens), self._grouped
        answers: dict[int, list[list[float]]] = {}
        training = self._model.training
        self._model.eval()
        try:
            for batch in batches:
                results = forward([sequences[index] for index in batch])
                answers.update(zip(batch, results, strict=True))
        finally:
            self._model.train(training)
        return [answers[index] for index in range(len(sequences))]

    def _grouped(self, group: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """Of sequences with the same tokens up to their first cut."""
        device = next(self._model.parameters()).device
        packed = tree(group)
        with packing(self._model, packed.lengths, packed.visible_SS.to(device)) as arguments:
            logits_1NV = self._model(
                input_ids=packed.ids_S[None].to(device),
                position_ids=packed.positions_S[None].to(device),
                logits_to_keep=torch.tensor(packed.sources, device=device),
                use_cache=False,
                **arguments,
            ).logits
        own = [ids for _, branches in group for _, ids in branches]
        flat = iter(_logprobs(logits_1NV[0], [token for ids in own for token in ids]))
        return [[[next(flat) for _ in ids] for _, ids in branches] for _, branches in group]

    def _padded(self, rows: Sequence[SequenceWithBranches]) -> list[list[list[float]]]:
        """Of sequences that have one branch each, at their end."""
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
            [_logprobs(logits_LV[len(ids) - 1 - first :][: len(branches[0].ids)], branches[0].ids)]
            for (ids, branches), logits_LV in zip(rows, logits_BLV, strict=True)
        ]


class PrefixTree(NamedTuple):
    """Sequences with the same tokens up to their first cut, and their branches, as S tokens."""

    ids_S: Tensor
    positions_S: Tensor
    visible_SS: Tensor
    """Whether the token of a row attends to that of a column."""
    lengths: list[int]
    """Number of shared tokens, and of each sequence's own tokens with those of its branches."""
    sources: list[int]
    """Positions whose next tokens are those of all branches, in their order."""


def tree(group: Sequence[SequenceWithBranches]) -> PrefixTree:
    """Pack the shared tokens, then each sequence's rest and its branches, one after another."""
    shared = _first_cut(group[0])
    ids, positions = list(group[0][0][:shared]), list(range(shared))
    lengths, sources = [shared], list[int]()
    earlier: list[tuple[slice, slice]] = []
    """Rows and columns that a branch attends to beside the shared tokens: its sequence's own."""
    runs: list[slice] = []
    """Consecutive tokens, causal among themselves."""
    for sequence, branches in group:
        start = len(ids)
        ids += sequence[shared:]
        positions += range(shared, len(sequence))
        runs.append(slice(start, len(ids)))
        for cut, own in branches:
            run = slice(len(ids), len(ids) + len(own))
            # A branch's first token is predicted at the last token before the cut.
            before = shared - 1 if cut == shared else start + cut - shared - 1
            sources += [before, *range(run.start, run.stop - 1)][: len(own)]
            runs.append(run)
            earlier.append((run, slice(start, start + cut - shared)))
            ids += own
            positions += range(cut, cut + len(own))
        lengths.append(len(ids) - start)
    visible_SS = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    visible_SS[:, :shared] = True
    visible_SS[:shared, :shared].tril_()
    for rows, columns in earlier:
        visible_SS[rows, columns] = True
    for run in runs:
        visible_SS[run, run] = True
        visible_SS[run, run].tril_()
    # Packed attention takes no empty parts: a sequence may end at the shared tokens.
    parts = [shared, *(length for length in lengths[1:] if length)]
    return PrefixTree(torch.tensor(ids), torch.tensor(positions), visible_SS, parts, sources)


def _logprobs(logits_NV: Tensor, ids: Sequence[int]) -> list[float]:
    target_N1 = torch.tensor(ids, dtype=torch.long, device=logits_NV.device).unsqueeze(-1)
    # In parts: copies in float32 of 8,192 tokens × 150,000 words would take 10 GB.
    parts = zip(logits_NV.split(ROWS), target_N1.split(ROWS), strict=True)
    return [
        value
        for logits, target in parts
        for value in logits.float().log_softmax(-1).gather(-1, target).squeeze(-1).tolist()
    ]


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
    """Indices of rows with the same tokens up to their first cut, as many as fit into one pass."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(sequences):
        groups.setdefault(tuple(row[0][: _first_cut(row)]), []).append(index)
    for shared, indices in groups.items():
        batch: list[int] = []
        size = len(shared)
        for index in indices:
            own = _length(sequences[index]) - len(shared)
            if batch and size + own > tokens:
                yield batch
                batch, size = [], len(shared)
            batch.append(index)
            size += own
        yield batch
