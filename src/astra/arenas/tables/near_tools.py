"""The dial of near synonyms: tools that are called like an arena's own and do something else.

`get_city` has the population and `fetch_city_info` the elevation of the same cities: which one a
question needs, only the documents say. A near tool works, and never serves what its arena asks for.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection
from dataclasses import replace

from astra.arenas.difficulty import DialSettings
from astra.arenas.tables.planner import QuestionPlan
from astra.arenas.tables.slices import MAX_OTHER_ATTRIBUTES, MAX_OTHER_GROUPS, TableSlice
from astra.arenas.tables.tools import ToolJob, ToolWriter
from astra.arenas.tables.views import RowGroup
from astra.types import Distractor

_STEM = 5
"""Characters of a word that others of its family have, too: founded, founding."""
_SUFFIXES = ("info", "details", "data", "record")


def near_tools(
    writer: ToolWriter,
    job: ToolJob,
    slice_: TableSlice,
    plan: QuestionPlan,
    rng: random.Random,
    *,
    taken: Collection[str],
    dials: DialSettings,
) -> list[Distractor]:
    """Up to `dials.near_tools` tools like that of a job over `slice_`; fewer where the table has no
    more attributes. `taken`: names that they can't have."""
    if not job.table:
        return []
    plain = writer.names(job)
    names = [*plain, *(f"{name}_{suffix}" for name in plain for suffix in _SUFFIXES)]
    names = [name for name in dict.fromkeys(names) if name not in taken]
    rng.shuffle(names)
    slicer = writer.slicer(plan, rng)
    tools: list[Distractor] = []
    slices = _other_slices(writer, job, slice_, plan, dials.near_tools, rng)
    for own, name in zip(slices, names, strict=False):
        if slice_.languages:
            slicer.translate(own, job.table)
        options = writer.options(job, plan, own, rng)
        beside, terse = writer.beside(job, plan, own, dials), dials.terse_documents
        tool = writer.tool(job, own, options, name, terse=terse, beside=beside)
        tools.append(Distractor.of(tool, "near"))
    return tools


def related(name: str, other: str) -> bool:
    """Whether attributes may tell the same: a founding date tells the founding year.

    By the beginning of a word that both names have, in Chinese two characters in a row.
    """
    return bool(_parts(name) & _parts(other))


def _parts(name: str) -> set[str]:
    words = re.findall(r"[^\W_]+", name.casefold())
    pairs = {word[i : i + 2] for word in words if not word.isascii() for i in range(len(word) - 1)}
    # Shorter ones are units, such as the m of elevation_m.
    return pairs | {word[:_STEM] for word in words if len(word) > 2}


def _other_slices(
    writer: ToolWriter,
    job: ToolJob,
    slice_: TableSlice,
    plan: QuestionPlan,
    count: int,
    rng: random.Random,
) -> list[TableSlice]:
    """Slices of the same table, no two of which and none of `slice_` share what they serve."""
    view, world = writer.world.views[job.table], writer.world
    asked = {
        name for step in job.steps for a in (step.attribute, step.by) if a for name in [a.name]
    }
    strange = [a for a in view.attributes if not any(related(a.name, name) for name in asked)]
    others = [a for a in strange if a not in slice_.attributes and job.operation.fits(a)]
    if others:
        rng.shuffle(others)
        parts = [others[i::count][:MAX_OTHER_ATTRIBUTES] for i in range(count)]
        return [
            replace(
                slice_,
                attributes=tuple(a for a in view.attributes if a in part),
                translations={},
            )
            for part in parts
            if part
        ]
    # Tools that only count or list rows differ in what rows are grouped by.
    slices: list[TableSlice] = []
    for attribute in strange if slice_.groups and not slice_.attributes else ():
        pool = world.groups.get((job.table, attribute.name), {}).get(plan.split, [])
        named = [g for g in pool if not view.named or world.member_names(g) is not None]
        groups: list[RowGroup] = rng.sample(named, min(len(named), MAX_OTHER_GROUPS))
        if attribute in slice_.by or not groups:
            continue
        rows = {row["__row"]: row for group in groups for row in world.members(group)}
        slices.append(
            TableSlice(
                by=(attribute,),
                rows=[rows[number] for number in sorted(rows)],
                groups=sorted(groups, key=lambda group: group.value),
            )
        )
    return rng.sample(slices, min(len(slices), count))
