"""Arena synthesis: from questions, a corpus or domains to a run folder of certified arenas.

The work goes in waves. The first wave has as many items as arenas are wanted. Its stages run one
after the other over all its rows, because a quality percentile needs all scores of a wave. If it
ends with fewer arenas than wanted, the next wave has as many items as are missing. The items
of a wave depend only on the options and the waves before it, so that a killed run ends with the
same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from astra.arenas.pipeline import CANDIDATES, ArenaPipeline
from astra.arenas.synthesis.decompose import DECOMPOSITIONS, DecomposeOptions, decompositions_stage
from astra.arenas.synthesis.implement import IMPLEMENTED, implemented_stage
from astra.arenas.synthesis.judge import (
    JUDGED,
    VALIDATED,
    QualityThreshold,
    decomposition_candidates,
    judged_stage,
    validated_stage,
    wave_thresholds,
)
from astra.arenas.synthesis.merge import MERGED, merged_stage
from astra.arenas.synthesis.records import ImplementedItem, JudgedItem, MergedItem, SynthesisItem
from astra.runs.stage import StageReport
from astra.teacher.prompt import Teacher

STAGES = (DECOMPOSITIONS, JUDGED, VALIDATED, IMPLEMENTED, MERGED)
"""The stages before `candidates`, in order."""
MOST_WAVES = 50
"""Stop after this many waves: the teacher cannot produce enough valid items."""
MOST_FRUITLESS = 20
"""Stop after whole waves of this many items in a row without an arena."""


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """Options of arena synthesis, apart from the items, the teacher and the pipeline."""

    count: int
    """Number of certified arenas wanted."""
    decompose: DecomposeOptions = field(default_factory=DecomposeOptions)
    judge_votes: int = 3
    """Independent verdicts per point."""
    threshold: QualityThreshold = field(default_factory=QualityThreshold)
    max_attempts: int = 4
    """Calls written per step until its tool is verified, at most."""
    test_fraction: float = 0.2


@dataclass(frozen=True, slots=True)
class ArenaSynthesis:
    """Makes candidates in waves until enough are certified, then mixes distractors in."""

    pipeline: ArenaPipeline
    teacher: Teacher

    async def make(
        self, items: Iterable[SynthesisItem], options: SynthesisOptions
    ) -> dict[str, StageReport]:
        """Make certified arenas, `options.count` if possible. Returns the report of each stage."""
        options.decompose.allowed()
        remaining = iter(items)
        size, certified, fruitless = options.count, 0, 0
        keys: set[str] = set()
        for _ in range(MOST_WAVES):
            wave = list(islice(remaining, size))
            if not wave:
                break
            await self._run_wave(wave, options, keys)
            keys.update(item.key for item in wave)
            # Not the report's number: after a kill it counts rows of later waves, too.
            before, certified = (
                certified,
                sum(
                    row["provenance"]["key"] in keys
                    for _, row in self.pipeline.folder.values(CANDIDATES)
                ),
            )
            fruitless = 0 if certified > before else fruitless + len(wave)
            if certified >= options.count or fruitless >= MOST_FRUITLESS:
                break
            size = options.count - certified
        return await self.pipeline.mix() if keys else {}

    async def _run_wave(
        self, wave: list[SynthesisItem], options: SynthesisOptions, earlier: set[str]
    ) -> None:
        """All stages over one wave. `earlier`: keys of the waves before it."""
        teacher, pipeline = self.teacher, self.pipeline
        folder, runner, sandbox = pipeline.folder, pipeline.runner, pipeline.sandbox
        seed = options.decompose.seed
        # Failed rows of other waves are tried again by the next run, not by each wave.
        keys = {item.key for item in wave}
        decomposed = await runner.run(
            decompositions_stage(teacher, options.decompose), wave, total=len(wave), retry=keys
        )
        judged = await runner.run(
            judged_stage(teacher, options.judge_votes),
            # All decompositions are read: duplicates are found across waves.
            (row for row in decomposition_candidates(folder) if row.key in keys),
            total=decomposed.accepted,
            retry=keys,
        )
        # A percentile of two or three scores says little: those of earlier waves count, too.
        thresholds = wave_thresholds(folder, keys | earlier, options.threshold)
        validated = await runner.run(
            validated_stage(thresholds),
            (row for row in folder.rows(JUDGED, JudgedItem) if row.key in keys),
            total=judged.accepted,
            retry=keys,
        )
        implemented = await runner.run(
            implemented_stage(teacher, sandbox, max_attempts=options.max_attempts, seed=seed),
            (row for row in folder.rows(VALIDATED, JudgedItem) if row.key in keys),
            total=validated.accepted,
            retry=keys,
        )
        await runner.run(
            merged_stage(
                teacher,
                sandbox,
                test_fraction=options.test_fraction,
                max_attempts=options.max_attempts,
                seed=seed,
            ),
            (row for row in folder.rows(IMPLEMENTED, ImplementedItem) if row.key in keys),
            total=implemented.accepted,
            retry=keys,
        )
        merged = (row for row in folder.rows(MERGED, MergedItem) if row.key in keys)
        await pipeline.certify(merged, options.count, retry=keys)
