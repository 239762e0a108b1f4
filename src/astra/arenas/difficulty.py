"""Difficulty as a dial: what a level from 1 to 5 means, in one place.

Each dial is one idea, and can be set by itself. An arena keeps its level and its dials in its
provenance, so that its id covers them. What each dial is worth has been measured:
docs/difficulty.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from astra.configs.difficulty import LEVELS
from astra.types import Json


@dataclass(frozen=True, slots=True)
class DialSettings:
    """How an arena is made harder. None and 0: not at all."""

    hops: tuple[int, int] | None = None
    """Least and most sub-questions. None: those of the run."""
    distractors_per_band: int | None = None
    """Most distractors of a band of similarity. None: those of the run."""
    near_tools: int = 0
    """Tools for each of the arena's own that are called alike and serve other attributes."""
    terse_documents: bool = False
    """Whether documents leave out what names already say."""
    fault_rate: float = 0.0
    """Share of calls that meet a time-out or a rate limit the first time."""

    def provenance(self) -> dict[str, Json]:
        """The dials that are set, as they stand in an arena."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value
        }


UNSET = DialSettings()
SETTINGS: dict[int, DialSettings] = {
    1: DialSettings((1, 2), 1),
    2: DialSettings((2, 4), 3, near_tools=1),
    3: DialSettings((3, 6), 5, near_tools=2, terse_documents=True),
    4: DialSettings((5, 8), 8, near_tools=3, terse_documents=True, fault_rate=0.1),
    5: DialSettings((6, 12), 16, near_tools=4, terse_documents=True, fault_rate=0.2),
}
"""Level -> its dials."""
assert tuple(SETTINGS) == LEVELS


def level_of(provenance: dict[str, Json]) -> int | None:
    """The level that an arena was drawn for. None without levels."""
    level = provenance.get("level")
    return level if isinstance(level, int) else None


def dial_of(provenance: dict[str, Json], name: str) -> Any:
    """The setting of one dial of an arena. None if it was not set."""
    dials = provenance.get("dials")
    return dials.get(name) if isinstance(dials, dict) else None
