"""Choosing arenas by how often a model solves them: always and never teach nothing.

The model plays every arena several times (an evaluation in `OUT/played`, resumable as any). Arenas
whose strict pass rate is in the range are written to OUT with certificates and tools; all others
stand in `arenas.failed.jsonl` with their rates.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable

from astra.arenas.folder import ARENAS, TOOLS, write_arenas
from astra.arenas.sets import ArenaSet, open_arenas
from astra.configs.difficulty import pass_rates
from astra.configs.evaluation import EvaluateConfig, SelectArenasConfig
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.evaluate import evaluate
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.opening import open_run

PLAYED = "played"
"""Folder of the evaluation within that of the arenas."""


async def select_arenas(
    config: SelectArenasConfig, *, on_episode: Callable[[PlayedEpisode, int], None] | None = None
) -> ArenaSet:
    """Keep the arenas whose pass rate is in the range. A stopped selection resumes.

    Raises StageError if none of the first episodes could be scored.
    """
    arenas = open_arenas(config.arenas, config.split, uncertified=config.uncertified)
    arenas = arenas[: config.limit]
    folder = open_run(config, config.out)
    with folder.lock():
        names = {field.name for field in dataclasses.fields(EvaluateConfig)} - {"out", "if_exists"}
        options = {name: getattr(config, name) for name in names}
        played = EvaluateConfig(**options, out=folder.path / PLAYED)
        report = await evaluate(played, on_episode=on_episode)
        solved: dict[str, list[bool]] = defaultdict(list)
        for episode in report.episodes:
            if (score := episode.score) is not None:
                whole = score.solved == score.goals and not score.damage
                solved[episode.trajectory.task].append(whole)
        low, high = pass_rates(config.pass_rate)
        rates = {name: sum(own) / len(own) for name, own in solved.items()}
        kept = arenas.filter(lambda arena: low <= rates.get(arena.id, -1) <= high)
        _write(folder, arenas, kept, rates, high)
        return ArenaSet.of_run(folder)


def set_aside(arenas: ArenaSet) -> dict[str, int]:
    """Why arenas of a selection were not kept -> their number, the most frequent first."""
    rows = RunFolder.open(arenas.path).rows(f"{ARENAS}.failed", FailureRow)
    return dict(Counter(str(row.check) for row in rows).most_common())


def _write(
    folder: RunFolder, arenas: ArenaSet, kept: ArenaSet, rates: dict[str, float], high: float
) -> None:
    source = RunFolder.open(arenas.path)
    tools = (row for _, row in source.values(TOOLS))
    write_arenas(folder, kept, tools, kept.certificates())
    with folder.append(f"{ARENAS}.failed") as log:
        log.cut(0)
        for name in arenas.ids:
            if name in kept:
                continue
            rate = rates.get(name)
            check, message = "not_played", "no episode could be scored"
            if rate is not None:
                check = "too_easy" if rate > high else "too_hard"
                message = f"{rate:.0%} of the episodes solve everything"
            row = FailureRow(key=name, stage=ARENAS, kind="rejected", check=check, message=message)
            log.append([to_line(row)])
