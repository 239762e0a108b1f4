"""Which rule answers which prompt. A module of rules has `RULES` and, if it can, `DEFECTS`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from astra.testing.rule_teacher.faults import Planter, Planters
from astra.testing.rule_teacher.trajectories import chains, domain, emulation, judging, tasks
from astra.types import Record

Rule = Callable[[Any, random.Random], Record]
"""(input, chance) -> answer. The chance is drawn by seed, prompt, input and index; TeacherError
for what can't be answered."""

RULES: Mapping[str, Rule] = {
    **domain.RULES,
    **chains.RULES,
    **tasks.RULES,
    **emulation.RULES,
    **judging.RULES,
}
"""Prompt -> its rule. Each module adds one line here."""
DEFECTS: Planters = {
    **domain.DEFECTS,
    **chains.DEFECTS,
    **tasks.DEFECTS,
    **judging.DEFECTS,
}


def defects_of(prompt: str) -> Mapping[str, Planter]:
    """The defects that answers to a prompt can have."""
    return DEFECTS.get(prompt, {})


def all_defects() -> tuple[str, ...]:
    """The names of all defects, each once."""
    return tuple(dict.fromkeys(name for able in DEFECTS.values() for name in able))
