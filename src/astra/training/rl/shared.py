"""Log-probabilities of rollouts in which each group's prompt is worked through once.

The rollouts of a group begin with the same tokens. TRL feeds each rollout whole and pads all to the
longest; here a group is one sequence, its prompt and then all its completions, whose tokens attend
to the prompt and to their own completion. The numbers are those of separate rows up to rounding. A
group's mask is kept whole, so this is for sequences of some thousand tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astra.training.attention import packing


@dataclass(frozen=True, slots=True)
class _Packed:
    """A group as one sequence of S tokens."""

    rows: list[int]
    """Ascending."""
    ids_S: Tensor
    positions_S: Tensor
    lengths: list[int]
    """Tokens of the prompt and of each completion that has any."""
    row_S: Tensor
    """Which rollout of the group a token belongs to; -1: the prompt."""
    asked_N: Tensor
    """Where the next token is one of a completion's. N: tokens of all completions."""
    target_N: Tensor
    """Those tokens."""


def shared_logprobs(
    model: Any,
    ids_BT: Tensor,
    mask_BT: Tensor,
    width: int,
    *,
    temperature: float,
    still_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies_BW of the last `width` tokens; 0 where the mask is 0.

    `ids_BT`: prompts padded left, then completions padded right, W wide. Rows with the same prompt
    are a group. The gradient flows through both, but not for groups all of whose rows
    are `still_B`: whose gradient is known to be 0 and is not worked out.
    """
    logprobs = torch.zeros(len(ids_BT), width, device=ids_BT.device)
    entropies = torch.zeros_like(logprobs)
    completions_BW = mask_BT[:, -width:].bool()
    for group in _groups(ids_BT, mask_BT, width):
        found = torch.zeros_like(completions_BW)
        found[group.rows] = completions_BW[group.rows]
        still = still_B is not None and bool(still_B[group.rows].all())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not still):
            logp_N, entropy_N = _of_group(model, group, temperature)
        logprobs = logprobs.masked_scatter(found, logp_N)
        entropies = entropies.masked_scatter(found, entropy_N)
    return logprobs, entropies


def _of_group(model: Any, group: _Packed, temperature: float) -> tuple[Tensor, Tensor]:
    same_SS = group.row_S[:, None] == group.row_S[None, :]
    prompt_S = group.row_S == -1
    seen_SS = (same_SS | prompt_S[None, :]).tril()
    with packing(model, group.lengths, seen_SS) as more:
        logits_1NV = model(
            input_ids=group.ids_S[None],
            position_ids=group.positions_S[None],
            logits_to_keep=group.asked_N,
            use_cache=False,
            **more,
        ).logits
    logp_NV = (logits_1NV[0].float() / temperature).log_softmax(-1)
    entropy_N = -(logp_NV.exp() * logp_NV).sum(-1)
    return logp_NV.gather(1, group.target_N[:, None])[:, 0], entropy_N


def _groups(ids_BT: Tensor, mask_BT: Tensor, width: int) -> Iterator[_Packed]:
    # Wherever they stand: TRL shuffles the rows of a batch.
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, mask) in enumerate(_prompts(ids_BT, mask_BT, width)):
        rows_of.setdefault(tuple(ids[mask.bool()].tolist()), []).append(row)
    for prompt, rows in rows_of.items():
        yield _packed(prompt, ids_BT, mask_BT, rows, width)


def _prompts(ids_BT: Tensor, mask_BT: Tensor, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(ids_BT[:, :-width], mask_BT[:, :-width], strict=True)


def _packed(
    prompt: tuple[int, ...], ids_BT: Tensor, mask_BT: Tensor, rows: list[int], width: int
) -> _Packed:
    pieces = [
        ids[mask.bool()]
        for ids, mask in zip(ids_BT[rows, -width:], mask_BT[rows, -width:], strict=True)
    ]
    device = ids_BT.device
    lengths = torch.tensor([len(piece) for piece in pieces])
    own = [torch.arange(len(piece)) for piece in pieces]
    starts = len(prompt) + lengths.cumsum(0) - lengths
    # A completion's first token follows the prompt, each later one its neighbour on the left.
    asked = [
        torch.cat([torch.tensor([len(prompt) - 1]), start + place[:-1]])[: len(place)]
        for start, place in zip(starts.tolist(), own, strict=True)
    ]
    return _Packed(
        rows=rows,
        ids_S=torch.cat([torch.tensor(prompt, device=device), *pieces]),
        positions_S=torch.cat([torch.arange(len(prompt)), *(len(prompt) + p for p in own)]).to(
            device
        ),
        lengths=[len(prompt), *(n for n in lengths.tolist() if n)],
        row_S=torch.cat(
            [torch.full((len(prompt),), -1), torch.arange(len(pieces)).repeat_interleave(lengths)]
        ).to(device),
        asked_N=torch.cat(asked).to(device),
        target_N=torch.cat(pieces),
    )
