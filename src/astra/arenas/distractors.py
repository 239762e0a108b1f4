"""Irrelevant tools that an arena shows beside its own: how they are drawn, and the arena with them.

`astra.arenas.distractor_pool` draws them. Playing an arena needs this module alone, without NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from astra.errors import Rejected
from astra.types import Arena, Distractor

DistractorMode = Literal["none", "random", "banded"]
PER_BAND = 3
"""Most distractors of a band, unless the user says otherwise (ASTRA 3.2)."""
ARITHMETIC = "arithmetic"
"""Domain of tools that calculate with answers. They are never distractors: whether such a call is
needed or wasted must not depend on what was drawn."""


class DistractorDraw(NamedTuple):
    """How distractors are drawn."""

    mode: DistractorMode = "banded"
    per_band: int = PER_BAND
    seed: int = 0


def near_tools_of(arena: Arena) -> list[Distractor]:
    """The distractors that were written for the arena, and stay when others are drawn."""
    return [distractor for distractor in arena.distractors if distractor.band == "near"]


def with_distractors(arena: Arena, distractors: Sequence[Distractor]) -> Arena:
    """The arena with these distractors in place of any it had, under its new content hash.

    Raises Rejected for two tools of one name: a tool is never overwritten.
    """
    names = [tool.name for tool in arena.tools] + [distractor.name for distractor in distractors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Rejected("names", f"tools and distractors share the names {twice!r}; draw again")
    mixed = arena.model_copy(update={"distractors": tuple(distractors)}).with_content_id()
    # All draws of one arena have this in common: it is hashed once.
    vars(mixed)["bare_id"] = arena.bare_id if arena.distractors else arena.content_id
    return mixed
