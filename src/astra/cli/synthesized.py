"""What the commands that use a teacher for arenas print."""

from __future__ import annotations

from astra.arenas.pipeline import ArenaProduction
from astra.arenas.synthesize import ARENA
from astra.cli.arenas_make import print_production, production_report
from astra.cli.console import out, print_json
from astra.runs.folder import RunFolder
from astra.types import Json


def print_synthesized(production: ArenaProduction, count: int | None, *, as_json: bool) -> None:
    """Counts and failures of this run, and the teacher's cost over all runs of the folder."""
    manifest = RunFolder.open(production.arenas.path).manifest()
    each = manifest.unit_costs.get(ARENA)
    usage, money = manifest.cost.usage, manifest.cost.dollars
    if as_json:
        teacher: dict[str, Json] = {
            "usage": usage.model_dump(),
            "money": money,
            "money_per_arena": each.dollars if each else None,
        }
        print_json({**production_report(production), "teacher": teacher})
        return
    print_production(production, count or len(production.arenas))
    out().print(
        f"  teacher: {usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
        + (f", money {money:.4f}" if money else ""),
        markup=False,
    )
