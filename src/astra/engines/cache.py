"""Key-value cache of many conversations, one slot each, kept while their tools run.

`aim` names the slots of the next forward pass and the positions of its tokens. The model writes
through `update` and receives what those slots hold. Rows of unequal length are never copied into
equal ones: a mask hides what lies beyond a row's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

_GRAIN = 128
"""Tokens by which slots grow."""
_SLOTS_AT_ONCE = 16
"""Slots by which the cache grows: each time, all of it is copied."""


class SlotCache(Cache):
    """Axes of the stored tensors: S slots, H key-value heads, C + 1 tokens, D head dimension.

    The last token position is a bin: padding is written there and never read.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._slots = self._capacity = 0
        self._target: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self._read: Tensor | slice | None = None
        self._span = 0

    def reserve(self, slots: int, tokens: int) -> None:
        """Make room for `slots` slots of `tokens` tokens each. Contents stay."""
        if slots > self._slots > 0:
            slots = -(-slots // _SLOTS_AT_ONCE) * _SLOTS_AT_ONCE
        slots, tokens = max(slots, self._slots), max(-(-tokens // _GRAIN) * _GRAIN, self._capacity)
        if (slots, tokens) == (self._slots, self._capacity):
            return
        old_capacity = self._capacity
        for stored in (self._keys, self._values):
            for layer, tensor in enumerate(stored):
                grown = tensor.new_zeros(slots, tensor.shape[1], tokens + 1, tensor.shape[3])
                grown[: tensor.shape[0], :, :old_capacity] = tensor[:, :, :old_capacity]
                stored[layer] = grown
        self._slots, self._capacity = slots, tokens

    def aim(self, slots: Sequence[int], positions_BQ: Tensor, span: int, *, fresh: bool) -> None:
        """Set where the next forward pass writes; it reads `span` tokens of each slot.

        A position of -1 is padding. `fresh`: the slots are empty, and the pass attends to its own
        tokens only.
        """
        device = positions_BQ.device
        rows_B = torch.tensor(slots, device=device)
        spots_BQ = torch.where(positions_BQ < 0, self._capacity, positions_BQ)
        self._target = (rows_B[:, None], spots_BQ)
        if fresh:
            self._read = None
        elif list(slots) == list(range(len(slots))):
            self._read = slice(0, len(slots))  # a view: no copy of the cache
        else:
            self._read = rows_B
        self._span = span

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (BHQD); returns what the pass attends to."""
        kind = key_states.device.type
        if torch.is_autocast_enabled(kind):
            # Attention rounds them anyway; norms of keys leave them in the type of the weights.
            key_states, value_states = (
                states.to(torch.get_autocast_dtype(kind)) for states in (key_states, value_states)
            )
        if layer_idx == len(self._keys):
            shape = (self._slots, key_states.shape[1], self._capacity + 1)
            self._keys.append(key_states.new_zeros(*shape, key_states.shape[3]))
            self._values.append(value_states.new_zeros(*shape, value_states.shape[3]))
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        rows_B1, spots_BQ = self._target
        keys[rows_B1, :, spots_BQ] = key_states.transpose(1, 2)
        values[rows_B1, :, spots_BQ] = value_states.transpose(1, 2)
        if self._read is None:
            return key_states, value_states
        return keys[self._read, :, : self._span], values[self._read, :, : self._span]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Always 0: rows differ in length, so the engine passes positions and masks itself."""
        return 0

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of a slot into another."""
        for tensor in (*self._keys, *self._values):
            tensor[target, :, :tokens] = tensor[source, :, :tokens]

    def swap(self, a: int, b: int, tokens: int) -> None:
        """Exchange the first tokens of two slots."""
        for tensor in (*self._keys, *self._values):
            first = tensor[a, :, :tokens].clone()
            tensor[a, :, :tokens] = tensor[b, :, :tokens]
            tensor[b, :, :tokens] = first

    def drop(self) -> None:
        """Empty the cache and free its memory."""
        self._keys.clear()
        self._values.clear()
        self._slots = self._capacity = 0
