"""Options of difficulty, for the commands that make arenas."""

from dataclasses import dataclass
from typing import Annotated

from astra.configs.base import Config, at_least, at_most
from astra.configs.spelling import option_name
from astra.errors import ConfigError

LEVELS = (1, 2, 3, 4, 5)
"""Levels of difficulty, from the easiest."""


@dataclass(frozen=True, kw_only=True)
class DifficultyConfig(Config):
    """Difficulty."""

    difficulty: str | None = None
    """Levels of difficulty, drawn evenly: 1:5, or a single one. A level sets the hops, the number
    of distractors, with --actions conversations and rules, and the options below. None: no
    levels."""
    near_tools: Annotated[int | None, at_least(0), at_most(6)] = None
    """Tools per tool of an arena that are called alike and serve other attributes. None: as the
    level says; 0 without one."""
    terse_documents: bool | None = None
    """Documents of tools leave out what names already say. None: as the level says; false without
    one."""

    fault_rate: Annotated[float | None, at_least(0), at_most(0.5)] = None
    """Share of calls that meet a time-out or a rate limit the first time they are made. None: as
    the level says; 0 without one."""
    short_names: Annotated[float | None, at_least(0), at_most(1)] = None
    """Share of the rows one call away from a question that it calls by a part of their name, which
    a search tool completes. None: as the level says; 0 without one."""
    other_values: Annotated[int | None, at_least(0), at_most(4)] = None
    """Values of other attributes that a look-up returns beside the one that is asked for. None: as
    the level says; 0 without one."""
    max_parts: Annotated[int | None, at_least(1), at_most(4)] = None
    """actions: maximum things that one message asks for. None: as the level says; 3 without one."""
    lookup_depth: Annotated[int | None, at_least(0), at_most(4)] = None
    """actions: maximum other rows by which a row is named: 2 for the ticket of the customer of an
    order. None: as the level says; 2 without one."""
    shown_tools: Annotated[int | None, at_least(4)] = None
    """actions: maximum tools in view, if no more are needed. None: as the level says; 20 without
    one."""
    page_rows: Annotated[int | None, at_least(2), at_most(20)] = None
    """actions: rows that a search returns at once. None: as the level says; 20 without one."""
    long_results: Annotated[int, at_least(0), at_most(100)] = 0
    """actions: rows of other tables that a read returns beside what it is asked for."""
    other_units: bool = False
    """actions: tools give and take a smaller unit than requests speak of, as cents for EUR."""

    def check(self) -> None:
        super().check()
        self.levels()

    def levels(self) -> tuple[int, ...]:
        """The levels that are drawn. Empty without any."""
        if self.difficulty is None:
            return ()
        low, _, high = self.difficulty.partition(":")
        try:
            first, last = int(low), int(high or low)
        except ValueError:
            first, last = 0, 0
        if not LEVELS[0] <= first <= last <= LEVELS[-1]:
            raise ConfigError(
                f"{option_name('difficulty')} {self.difficulty!r}: write a level from {LEVELS[0]} "
                f"to {LEVELS[-1]}, or two of them, the lower first, such as 1:5"
            )
        return tuple(range(first, last + 1))


def pass_rates(text: str) -> tuple[float, float]:
    """The least and the most of a range such as 0.2:0.8. Raises ConfigError for anything else."""
    low, _, high = text.partition(":")
    try:
        least, most = float(low), float(high)
    except ValueError:
        least, most = 1.0, 0.0
    if not 0 <= least <= most <= 1:
        raise ConfigError(
            f"{option_name('pass_rate')} {text!r}: write two numbers from 0 to 1, the lower first, "
            "such as 0.2:0.8"
        )
    return least, most
