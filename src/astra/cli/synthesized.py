"""What the commands that use a teacher for arenas print."""

from __future__ import annotations

from astra.arenas.pipeline import ArenaProduction
from astra.arenas.synthesize import ARENA
from astra.cli.arenas_make import print_production, production_report
from astra.cli.console import out, print_json
from astra.runs.folder import RunFolder
from astra.types import Json, Usage


def print_synthesized(production: ArenaProduction, count: int | None, *, as_json: bool) -> None:
    """Counts and failures of this run, and the teacher's cost over all runs of the folder."""
    teacher = _teacher_cost(RunFolder.open(production.arenas.path))
    if as_json:
        print_json({**production_report(production), "teacher": teacher})
        return
    print_production(production, count or len(production.arenas))
    money = f", money {teacher['money']:.4f}" if teacher["money"] else ""
    usage = teacher["usage"]
    out().print(
        f"  teacher: {usage['prompt_tokens']} tokens in, {usage['completion_tokens']} out{money}",
        markup=False,
    )


def _teacher_cost(folder: RunFolder) -> dict[str, Json]:
    """What a run folder's teacher has cost over all runs, per certified arena, too."""
    manifest = folder.manifest()
    each = manifest.unit_costs.get(ARENA)
    return {
        "usage": sum((s.usage for s in manifest.stages.values()), Usage()).model_dump(),
        "money": sum(stage.dollars for stage in manifest.stages.values()),
        "money_per_arena": each.dollars if each else None,
    }
