"""Log-probabilities of rollouts that compute each group's common prompt once.

The rollouts of a group begin with the same tokens. TRL feeds each rollout separately and pads all
to the longest. Here a group is one sequence: its prompt, then all its completions, whose tokens
attend to the prompt and to their own completion. The results are those of separate rows up to
rounding. A group's mask is dense, so this is for sequences of a few thousand tokens.

The prompt's last token predicts the first one of every completion. It stands before each of them,
so that each token has one next token, as TRL's fused head takes them: that computes logits in
chunks, and never holds those of all tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from astra.training.attention import packing

_NO_TARGET = -100


@dataclass(frozen=True, slots=True)
class _PackedGroup:
    """A group as one sequence of S tokens."""

    ids_S: Tensor
    positions_S: Tensor
    lengths: list[int]
    """Tokens of the prompt, without its last one, and of each non-empty completion."""
    row_S: Tensor
    """Which rollout of the group a token belongs to. -1: the prompt."""
    target_S: Tensor
    """The next token, if it is in a completion."""


def shared_logprobs(
    model: Any,
    ids_BT: Tensor,
    mask_BT: Tensor,
    width: int,
    *,
    zero_advantage_rows_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities_BW and entropies_BW of the last `width` tokens. 0 where the mask is 0.

    `model`: with TRL's fused head (`trl.trainer.utils.add_fused_lm_head`), whose temperature
    holds; entropies stay 0 if the head computes none. `ids_BT`: prompts padded left, then
    completions padded right, W wide. Rows with the same prompt are a group. Both results have a
    gradient, except for groups whose rows are all in `zero_advantage_rows_B`: their gradient is
    known to be 0 and is not computed.
    """
    logprobs = torch.zeros(len(ids_BT), width, device=ids_BT.device)
    entropies = torch.zeros_like(logprobs)
    completions_BW = mask_BT[:, -width:].bool()
    # By prompt, not by position: TRL shuffles the rows of a batch.
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, (ids, mask) in enumerate(zip(ids_BT[:, :-width], mask_BT[:, :-width], strict=True)):
        rows_of.setdefault(tuple(ids[mask.bool()].tolist()), []).append(row)
    for prompt, rows in rows_of.items():
        group = _pack(prompt, ids_BT, mask_BT, rows, width)
        members_BW = torch.zeros_like(completions_BW)
        members_BW[rows] = completions_BW[rows]
        visible_SS = (group.row_S[:, None] == group.row_S) | (group.row_S == -1)
        skip = zero_advantage_rows_B is not None and bool(zero_advantage_rows_B[rows].all())
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and not skip),
            packing(model, group.lengths, visible_SS.tril()) as arguments,
        ):
            output = model(
                input_ids=group.ids_S[None],
                position_ids=group.positions_S[None],
                shift_labels=group.target_S[None],
                fused_lm_head=True,
                **arguments,
            )
        written_S = group.row_S >= 0
        logprobs = logprobs.masked_scatter(members_BW, output.log_probs[0][written_S])
        if output.entropy is not None:
            entropies = entropies.masked_scatter(members_BW, output.entropy[0][written_S])
    return logprobs, entropies


def zero_advantage_rows_B(advantages_BT: Tensor) -> Tensor | None:
    """Rows that the policy term has no gradient for. None if that holds for all: `backward` needs
    one."""
    rows_B = (advantages_BT == 0).flatten(1).all(1)
    return None if bool(rows_B.all()) else rows_B


def _pack(
    prompt: tuple[int, ...], ids_BT: Tensor, mask_BT: Tensor, rows: list[int], width: int
) -> _PackedGroup:
    pieces = [
        ids[mask.bool()]
        for ids, mask in zip(ids_BT[rows, -width:], mask_BT[rows, -width:], strict=True)
    ]
    device = ids_BT.device
    lengths = torch.tensor([len(piece) for piece in pieces])
    last = torch.tensor(prompt[-1:], device=device)
    before = len(prompt) - 1
    return _PackedGroup(
        ids_S=torch.cat(
            [
                torch.tensor(prompt[:-1], dtype=torch.long, device=device),
                *(torch.cat([last, piece[:-1]]) for piece in pieces if len(piece)),
            ]
        ),
        positions_S=torch.cat(
            [torch.arange(before), *(before + torch.arange(len(piece)) for piece in pieces)]
        ).to(device),
        lengths=[before, *(n for n in lengths.tolist() if n)],
        row_S=torch.cat(
            [torch.full((before,), -1), torch.arange(len(pieces)).repeat_interleave(lengths)]
        ).to(device),
        target_S=torch.cat([torch.full((before,), _NO_TARGET, device=device), *pieces]),
    )
