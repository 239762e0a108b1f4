"""The whole line: from items to a run folder of certified arenas, wave by wave, resumable.

The first wave is as many items as arenas are wanted. Its stages run one after the other over all
its rows, so that a percentile has something to be one of. When it ends with fewer arenas than
wanted, the next wave begins, of twice as many items as are missing. Which items a wave holds
depends on the options and on the waves before it alone, so that a killed run ends with
the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from rich.console import Console

from astra.arenas.pipeline import CANDIDATES, DistractorOptions, certify_candidates, mix_distractors
from astra.arenas.synthesis.decompose import (
    DECOMPOSITIONS,
    DecomposeOptions,
    decompositions_stage,
)
from astra.arenas.synthesis.implement import IMPLEMENTED, implemented_stage
from astra.arenas.synthesis.merge import MERGED, merged_stage
from astra.arenas.synthesis.records import ImplementedItem, JudgedItem, MergedItem, SynthesisItem
from astra.arenas.synthesis.validate import (
    JUDGED,
    VALIDATED,
    QualityThreshold,
    candidates,
    judged_stage,
    thresholds,
    validated_stage,
)
from astra.protocols import Embedder, Sandbox
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import StageReport
from astra.teacher.prompt import Teacher
from astra.types import Arena, Json

STAGES = (DECOMPOSITIONS, JUDGED, VALIDATED, IMPLEMENTED, MERGED)
"""The stages before `candidates`, in order."""
MOST_WAVES = 10
"""After so many the teacher is not up to it."""
LEAST_WAVE = 4
BARREN = 20
"""Items in a row, in whole waves, without an arena, after which more would be wasted."""


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """What decides what comes out, beside the items and the teacher."""

    count: int
    """How many certified arenas are wanted."""
    decompose: DecomposeOptions = field(default_factory=DecomposeOptions)
    judges: int = 3
    """Independent verdicts per point."""
    threshold: QualityThreshold = field(default_factory=QualityThreshold)
    tries: int = 4
    """Calls written per step until its tool is verified, at most."""
    test_share: float = 0.2
    mix: DistractorOptions = field(default_factory=DistractorOptions)
    concurrency: int = 8
    """Instances worked on at once; how many requests a teacher sends at once is its own."""

    @property
    def seed(self) -> int:
        return self.decompose.seed

    def config(self, embedder: str) -> dict[str, Json]:
        """The options for `config.toml`; how fast is not among them."""
        threshold, asked = self.threshold, self.decompose
        return {
            "count": self.count,
            "hops": list(asked.hops),
            "scenarios": {scenario.value: share for scenario, share in asked.scenarios.items()},
            "judges": self.judges,
            "threshold": f"p{threshold.value:g}" if threshold.percentile else threshold.value,
            "tries": self.tries,
            "test_share": self.test_share,
            "seed": self.seed,
            "distractors": {
                "mode": self.mix.mode,
                "per_band": self.mix.per_band,
                "embedder": embedder,
            },
        }


@dataclass(frozen=True, slots=True)
class SynthesizedArena:
    """An arena as a candidate for `pipeline`."""

    key: str
    outcome: Arena


def _add(reports: dict[str, StageReport], wave: dict[str, StageReport]) -> None:
    """A wave's reports put into those so far; counts are of the folder, seconds of one run."""
    for name, report in wave.items():
        before = reports.get(name, report)
        earlier = before.seconds if name in reports else 0.0
        reports[name] = replace(report, seconds=earlier + report.seconds, resumed=before.resumed)


@dataclass(frozen=True, slots=True)
class ArenaSynthesis:
    """The parts that the line needs."""

    folder: RunFolder
    teacher: Teacher
    sandbox: Sandbox
    embedder: Embedder
    console: Console | None = None
    meter: Callable[[str], StageMeter] = lambda _stage: StageMeter()
    """Stage name -> where what the teacher costs in it is counted."""

    async def make(
        self, items: Iterable[SynthesisItem], options: SynthesisOptions
    ) -> dict[str, StageReport]:
        """Certified arenas, `options.count` if there can be so many; the report of each stage."""
        options.decompose.allowed()
        reports: dict[str, StageReport] = {}
        endless = iter(items)
        size, done, fruitless = options.count, 0, 0
        seen: set[str] = set()
        for _ in range(MOST_WAVES):
            wave = list(islice(endless, max(size, LEAST_WAVE)))
            if not wave:
                break
            _add(reports, await self._wave(wave, options))
            seen.update(item.key for item in wave)
            # Not the report's number, which after a kill counts later waves too.
            before, done = done, self._certified(seen)
            fruitless = 0 if done > before else fruitless + len(wave)
            if done >= options.count or fruitless >= BARREN:
                break
            size = min(options.count, 2 * (options.count - done))
        if CANDIDATES not in reports:
            return reports
        return reports | await mix_distractors(
            self.folder,
            sandbox=self.sandbox,
            embedder=self.embedder,
            mix=options.mix,
            concurrency=options.concurrency,
            console=self.console,
        )

    async def _wave(
        self, wave: list[SynthesisItem], options: SynthesisOptions
    ) -> dict[str, StageReport]:
        folder, teacher, sandbox = self.folder, self.teacher, self.sandbox
        at_once, bar = options.concurrency, self.console
        # Rows of other waves that broke are tried again by the next run, not by each wave.
        keys = {item.key for item in wave}
        reports: dict[str, StageReport] = {}
        reports[DECOMPOSITIONS] = await run(
            decompositions_stage(teacher, options.decompose, self.meter(DECOMPOSITIONS)),
            wave,
            folder,
            concurrency=at_once,
            retry=keys,
            total=len(wave),
            console=bar,
        )
        reports[JUDGED] = await run(
            judged_stage(teacher, options.judges, self.meter(JUDGED)),
            (row for row in candidates(folder) if row.instance.key in keys),
            folder,
            concurrency=at_once,
            retry=keys,
            total=reports[DECOMPOSITIONS].accepted,
            console=bar,
        )
        leasts = thresholds(folder, keys, options.threshold)
        reports[VALIDATED] = await run(
            validated_stage(leasts, self.meter(VALIDATED)),
            (row for row in folder.rows(JUDGED, JudgedItem) if row.key in leasts),
            folder,
            concurrency=at_once,
            retry=keys,
        )
        reports[IMPLEMENTED] = await run(
            implemented_stage(
                teacher,
                sandbox,
                self.meter(IMPLEMENTED),
                tries=options.tries,
                seed=options.seed,
            ),
            (row for row in folder.rows(VALIDATED, JudgedItem) if row.key in keys),
            folder,
            concurrency=at_once,
            retry=keys,
            total=reports[VALIDATED].accepted,
            console=bar,
        )
        reports[MERGED] = await run(
            merged_stage(
                teacher,
                sandbox,
                self.meter(MERGED),
                test_share=options.test_share,
                seed=options.seed,
            ),
            (row for row in folder.rows(IMPLEMENTED, ImplementedItem) if row.key in keys),
            folder,
            concurrency=at_once,
            retry=keys,
            total=reports[IMPLEMENTED].accepted,
            console=bar,
        )
        reports[CANDIDATES] = await certify_candidates(
            self._made(keys),
            folder,
            count=options.count,
            sandbox=sandbox,
            seed=options.mix.seed,
            concurrency=at_once,
            console=bar,
            retry=keys,
        )
        return reports

    def _made(self, keys: Collection[str]) -> Iterator[SynthesizedArena]:
        for row in self.folder.rows(MERGED, MergedItem):
            if row.key in keys:
                yield SynthesizedArena(row.key, row.arena)

    def _certified(self, keys: Collection[str]) -> int:
        """How many of these items have become certified candidates."""
        rows = self.folder.values(CANDIDATES)
        return sum(row["provenance"]["key"] in keys for _, row in rows)
