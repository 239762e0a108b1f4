"""What arenas that change a database are drawn with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra.arenas.difficulty import NO_DIALS, ActionDials
from astra.arenas.stateful.mentions import TaskCall
from astra.configs.arenas import ConversationKind
from astra.types import Language


@dataclass(frozen=True, slots=True)
class StateSourceOptions:
    """What to draw."""

    hops: tuple[int, int] = (1, 5)
    languages: Mapping[Language, float] = field(default_factory=lambda: {"en": 1.0})
    test_share: float = 0.2
    seed: int = 0
    kinds: frozenset[str] | None = None
    """Kinds of tasks. None: all."""
    user_turns: tuple[int, int] = (1, 1)
    """Fewest and most turns of the user. A missing tool or a revision adds one, and so does what
    happens under a policy in the only turn."""
    conversations: tuple[ConversationKind, ...] = ()
    """What happens in conversations. As many arenas as of each have none of it."""
    service_policy: bool = False
    """Whether each arena has rules that the agent has to keep."""
    dials: ActionDials = NO_DIALS
    """Of all arenas, where there are no levels."""
    levels: Mapping[int, ActionDials] = field(default_factory=dict[int, ActionDials])
    """Level -> its dials. Levels are drawn evenly. Empty: no levels."""

    def at(self, level: int | None) -> StateSourceOptions:
        """What is drawn for a level, or without levels for all arenas."""
        dials = self.dials if level is None else self.levels[level]
        return replace(
            self,
            dials=dials,
            user_turns=dials.user_turns or self.user_turns,
            conversations=dials.conversations or self.conversations,
            service_policy=dials.service_policy or self.service_policy,
        )

    @property
    def talks(self) -> bool:
        """Whether arenas have a user who answers."""
        return self.user_turns[1] > 1 or bool(self.conversations) or self.service_policy

    def fits(self, calls: Sequence[Sequence[TaskCall]]) -> bool:
        """Whether turns take as many calls as there may be."""
        sizes = [len(of_turn) for of_turn in calls]
        if self.dials.hops is not None:
            low, high = self.dials.hops
            return low <= sum(sizes) <= high
        low, high = self.hops
        return all(low <= size <= high for size in sizes)
