"""What can be wrong with answers about arenas, by prompt."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ArenaDefect(StrEnum):
    """What can be wrong with an answer."""

    unnecessary_dependency = "unnecessary_dependency"
    """A step lists an earlier step that it can do without."""
    non_atomic_step = "non_atomic_step"
    """A step asks for two things, the second by the first."""
    missing_step = "missing_step"
    """A step that the question needs is left out."""
    inner_step_without_tool = "inner_step_without_tool"
    """A step that others depend on is said to need no tool."""
    wrong_answer = "wrong_answer"
    """The answer of a step is another than the records say."""
    leak = "leak"
    """An answer stands in the main question, or in a tool document."""
    verdict_flipped = "verdict_flipped"
    """A judgement says the opposite."""
    wrong_call = "wrong_call"
    """The arguments ask for something else."""
    hard_coded_tool = "hard_coded_tool"
    """The tool returns its answer whatever it is asked."""
    broken_code = "broken_code"
    """The code is no Python, or every call of it raises."""


_DECOMPOSED = (
    ArenaDefect.unnecessary_dependency,
    ArenaDefect.non_atomic_step,
    ArenaDefect.missing_step,
    ArenaDefect.inner_step_without_tool,
    ArenaDefect.wrong_answer,
    ArenaDefect.leak,
)
DEFECTS: Mapping[str, tuple[ArenaDefect, ...]] = {
    "propose": _DECOMPOSED,
    "decompose": _DECOMPOSED,
    "judge_necessity": (ArenaDefect.verdict_flipped,),
    "judge_dependency": (ArenaDefect.verdict_flipped,),
    "judge_atomicity": (ArenaDefect.verdict_flipped,),
    "judge_rationality": (ArenaDefect.verdict_flipped,),
    "judge_completeness": (ArenaDefect.verdict_flipped,),
    "judge_wording": (ArenaDefect.verdict_flipped,),
    "write_document": (ArenaDefect.leak,),
    "write_call": (ArenaDefect.wrong_call,),
    "write_tool": (ArenaDefect.hard_coded_tool, ArenaDefect.broken_code),
    "extend_tool": (ArenaDefect.hard_coded_tool, ArenaDefect.broken_code),
}
"""Prompt -> the defects that its answers can have. The prompts that are not here have none."""
