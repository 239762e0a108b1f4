"""Counts what a run folder of arenas holds, what was set aside and why, and how long it took."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from pathlib import Path

from astra.arenas.difficulty import level_of
from astra.arenas.folder import ARENAS
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.manifest import StageCounts
from astra.runs.repetitions import unique_rows
from astra.types import ArenaRow, Json

GROUPS = ("scenario", "tasks", "level", "hops", "language", "domain", "split")
_FAILED = ".failed.jsonl"


def arena_statistics(run: Path | str) -> dict[str, Json]:
    """Arenas by each of `GROUPS` (`tasks`: kinds of changes that are asked for, several of one
    arena); per stage what was accepted and rejected, its time and cost.

    Right at any moment of a run: counts come from the rows, time and cost from the manifest, which
    is written at the end of a stage.
    """
    folder = RunFolder.open(run)
    manifest = folder.manifest()
    total = 0
    groups: dict[str, Counter[str]] = {name: Counter() for name in GROUPS}
    for arena in unique_rows(folder, ARENAS, ArenaRow, attrgetter("id")):
        total += 1
        for name, counts in groups.items():
            if name == "level":
                if (level := level_of(arena.provenance)) is not None:
                    counts[str(level)] += 1
            elif name != "tasks":
                counts[str(getattr(arena, name))] += 1
            elif arena.state is not None:
                kinds = arena.provenance.get("kinds")
                counts.update(map(str, kinds if isinstance(kinds, list) else ["unknown"]))
    failing = sorted(path.name.removesuffix(_FAILED) for path in folder.path.glob(f"*{_FAILED}"))
    stages: dict[str, Json] = {}
    for name in dict.fromkeys((*manifest.stages, *failing)):
        recorded = manifest.stages.get(name, StageCounts())
        rejected: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        for failure in unique_rows(folder, f"{name}.failed", FailureRow, to_line):
            if failure.kind == "rejected":
                rejected[failure.check or ""] += 1
            else:
                errors[failure.type or ""] += 1
        accepted = len({hash(line) for _, line in folder.lines(name)})
        seen = accepted + rejected.total() + errors.total()
        stages[name] = {
            "accepted": accepted,
            "rejected": dict(rejected.most_common()),
            "errors": dict(errors.most_common()),
            "yield": accepted / seen if seen else None,
            "seconds": recorded.seconds,
            "usage": recorded.usage.model_dump(),
            "dollars": recorded.dollars,
        }
    each = manifest.unit_cost(total)
    return {
        "arenas": total,
        **{name: dict(sorted(counts.items(), key=_order)) for name, counts in groups.items()},
        "stages": stages,
        "each": None if each is None else each.model_dump(mode="json"),
        "seeds": manifest.seeds,
        "version": manifest.version,
    }


def _order(item: tuple[str, int]) -> tuple[int, str]:
    """By value: ten hops come after nine."""
    value = item[0]
    return len(value) if value.isdecimal() else 0, value
