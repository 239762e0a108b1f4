"""Difficulty as a dial: what a level from 1 to 5 means, in one place.

Each dial is one idea. An arena keeps its level and its dials in its provenance, so that its id
covers them. What each dial is worth has been measured: docs/difficulty.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from astra.configs.arenas import ConversationKind
from astra.configs.difficulty import LEVELS
from astra.errors import Rejected
from astra.types import Arena, Json

MAX_LEVEL_FAILURES = 40
"""Candidates of a level in a row that no draw filled, after which it is left out: fewer than end a
source, so that the other levels go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """What makes arenas of either kind harder."""

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


@dataclass(frozen=True, slots=True)
class DialSettings(Dials):
    """How an arena that asks a question is made harder. None and 0: not at all."""

    hops: tuple[int, int] | None = None
    """Least and most sub-questions. None: those of the run."""
    distractors_per_band: int | None = None
    """Most distractors of a band of similarity. None: those of the run."""
    near_tools: int = 0
    """Tools for each of the arena's own that are called alike and serve other attributes."""
    short_names: float = 0.0
    """Share of the rows one call away from the question that it calls by a part of their name,
    which a search tool completes."""
    other_values: int = 0
    """Values of other attributes that a look-up returns beside the one that is asked for."""


@dataclass(frozen=True, slots=True)
class ActionDials(Dials):
    """How an arena that asks for changes is made harder. None, 0 and empty: not at all."""

    hops: tuple[int, int] | None = None
    """Least and most calls, of all turns together. None: as the run says of each turn."""
    parts: tuple[int, int] | None = None
    """Least and most things that one message asks for. None: mostly one, and three at most."""
    tasks: Mapping[str, int] = field(default_factory=dict[str, int])
    """Kind of task -> weight. Empty: all kinds alike."""
    lookup_depth: int | None = None
    """Most other rows by which a row is named: "the ticket of the customer of …" has two, as it is
    without the dial."""
    tools: tuple[int, int] | None = None
    """Fewest and most tools in view, where the tables have so many."""
    page_rows: int | None = None
    """Rows that a search returns at once."""
    long_results: int = 0
    """Rows of other tables that a read returns beside what it is asked for."""
    other_units: bool = False
    """Whether tools give and take a smaller unit than requests speak of."""
    user_turns: tuple[int, int] | None = None
    """Fewest and most turns of the user. None: as the run says."""
    conversations: tuple[ConversationKind, ...] = ()
    """What happens in conversations, beside as many in which nothing does."""
    service_policy: bool = False
    """Whether there are rules that the agent has to keep."""


UNSET = DialSettings()
NO_DIALS = ActionDials()
SETTINGS: dict[int, DialSettings] = {
    1: DialSettings((1, 2), 1),
    2: DialSettings((2, 4), 3, near_tools=1),
    3: DialSettings(
        (3, 6), 5, near_tools=2, short_names=0.2, other_values=2, terse_documents=True
    ),
    4: DialSettings(
        (5, 8), 8, near_tools=3, short_names=0.4, other_values=3, terse_documents=True,
        fault_rate=0.1,
    ),
    5: DialSettings(
        (6, 12), 16, near_tools=4, short_names=0.4, other_values=4, terse_documents=True,
        fault_rate=0.2,
    ),
}  # fmt: skip
"""Level -> its dials."""
_ONE_WRITE = {"update": 2, "create": 1, "cancel": 1, "delete": 1}
_ALL_TASKS = {**_ONE_WRITE, "transfer": 1, "tell": 1, "conditional": 2, "compute": 1, "bulk": 1}
_HARD_TASKS = {**_ALL_TASKS, "update": 1, "conditional": 3, "compute": 3, "bulk": 6}
ACTION_SETTINGS: dict[int, ActionDials] = {
    1: ActionDials((1, 3), (1, 1), _ONE_WRITE, lookup_depth=1, tools=(8, 12)),
    2: ActionDials((2, 6), (1, 2), _ALL_TASKS, lookup_depth=2, tools=(12, 20)),
    3: ActionDials(
        (4, 10), (1, 3), _ALL_TASKS, lookup_depth=2, tools=(16, 24), user_turns=(2, 2),
        conversations=("missing_parameter", "revision"), terse_documents=True,
    ),
    4: ActionDials(
        (6, 16), (1, 3), _HARD_TASKS, lookup_depth=3, tools=(20, 32), page_rows=3,
        user_turns=(2, 3), conversations=("missing_parameter", "missing_tool", "revision"),
        terse_documents=True, fault_rate=0.1,
    ),
    5: ActionDials(
        (9, 24), (1, 4), _HARD_TASKS, lookup_depth=3, tools=(28, 44), page_rows=2,
        user_turns=(2, 4), conversations=("missing_parameter", "missing_tool", "revision"),
        service_policy=True, terse_documents=True, fault_rate=0.2,
    ),
}  # fmt: skip
"""Level -> the dials of arenas that ask for changes."""
assert tuple(SETTINGS) == tuple(ACTION_SETTINGS) == LEVELS


class LevelDraw:
    """Chooses the level of each candidate so that as many arenas are built of each."""

    def __init__(self, levels: Iterable[int]) -> None:
        """`levels`: empty: candidates have no level."""
        self._built = Counter[int | None](dict.fromkeys([*levels] or [None], 0))
        self._failures = Counter[int | None]()

    def next(self) -> int | None:
        """The level of which fewest arenas are built: harder plans are found less often."""
        return min(self._built, key=lambda level: (self._built[level], level))

    def draw(self, drawn: Callable[[int | None], Arena], draws: Counter[str]) -> Arena:
        """An arena of the next level. `draws`: counts the levels that are left out from here on.

        Raises Rejected, as `drawn` does.
        """
        level = self.next()
        try:
            arena = drawn(level)
        except Rejected:
            if self._failed(level):
                draws[f"level {level} given up"] += 1
            raise
        self._built[level] += 1
        self._failures[level] = 0
        return arena

    def _failed(self, level: int | None) -> bool:
        """Whether the level is left out from here on, for the tables hold no more of it."""
        self._failures[level] += 1
        if self._failures[level] < MAX_LEVEL_FAILURES or len(self._built) == 1:
            return False
        del self._built[level]
        return True


def level_of(provenance: dict[str, Json]) -> int | None:
    """The level that an arena was drawn for. None without levels."""
    level = provenance.get("level")
    return level if isinstance(level, int) else None


def dial_of(provenance: dict[str, Json], name: str) -> Any:
    """The setting of one dial of an arena. None if it was not set."""
    dials = provenance.get("dials")
    return dials.get(name) if isinstance(dials, dict) else None
