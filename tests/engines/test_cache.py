"""The key-value cache by slots."""

from __future__ import annotations

import torch

from astra.engines.cache import SlotCache


def stored(cache: SlotCache, slot: int, token: float) -> torch.Tensor:
    """Write one token at the first position of a slot; returns the keys that a pass over all slots
    up to it reads."""
    cache.aim([slot], torch.zeros(1, 1, dtype=torch.long), 1, fresh=True)
    cache.update(torch.full((1, 1, 1, 2), token), torch.full((1, 1, 1, 2), token), 0)
    cache.aim(list(range(slot + 1)), torch.full((slot + 1, 1), -1), 1, fresh=False)
    nothing = torch.zeros(slot + 1, 1, 1, 2)
    return cache.update(nothing, nothing, 0)[0]


def test_slots_that_come_one_by_one_are_not_each_a_copy_of_all():
    cache = SlotCache()
    places: set[int] = set()
    for slot in range(64):
        cache.reserve(slot + 1, 8)
        keys = stored(cache, slot, float(slot))
        assert keys[:, 0, 0, 0].tolist() == [float(n) for n in range(slot + 1)]
        places.add(keys.data_ptr())
    assert len(places) <= 5
