"""All prompts of the package."""

from __future__ import annotations

from astra.teacher.prompt import Prompt
from astra.teacher.prompts import arenas, chains, emulation, judging, tasks, tools
from astra.types import Record

ALL: tuple[Prompt[Record, Record], ...] = (
    *arenas.ALL,
    *tools.ALL,
    *chains.ALL,
    *tasks.ALL,
    *emulation.ALL,
    *judging.ALL,
)
