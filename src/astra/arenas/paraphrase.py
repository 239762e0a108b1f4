"""`paraphrase_arenas`: the questions of arenas in a teacher's words, certified again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from astra.arenas.folder import ARENAS
from astra.arenas.make import open_embedder
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.sets import ArenaSet, load_arenas
from astra.arenas.synthesis.paraphrase import make_paraphrased, paraphrase_task
from astra.arenas.synthesize import ARENA, distractor_options, new_estimator, require_arenas
from astra.configs.arenas import ParaphraseArenasConfig
from astra.errors import ConfigError
from astra.runs.opening import open_run
from astra.runs.progress import progress_console
from astra.sandbox import sandbox_from
from astra.teacher.cost import Estimate
from astra.teacher.opening import open_teacher
from astra.teacher.prompts.arenas import PARAPHRASE
from astra.types import Arena, content_hash

_WORDING_TOKENS = 60


@dataclass(frozen=True, slots=True)
class ArenaToReword:
    """An arena of the run folder as a candidate, without the distractors that it has there."""

    key: str
    outcome: Arena


async def paraphrase_arenas(config: ParaphraseArenasConfig) -> ArenaSet:
    """Reword the questions of arenas with a teacher, and certify them again.

    Distractors are drawn anew. Raises StoreError if there are no arenas, StageError if none can
    be reworded.
    """
    return require_arenas(await produce_paraphrase(config), config.count)


async def produce_paraphrase(config: ParaphraseArenasConfig) -> ArenaProduction:
    """As `paraphrase_arenas`, with a report."""
    if config.dry_run:
        raise ConfigError("dry_run makes no arenas: call `estimate_paraphrase`")
    arenas = load_arenas(config.run)
    embedder = open_embedder(config)
    folder = open_run(config, config.out, inputs={"arenas": content_hash(arenas.ids)})
    async with (
        sandbox_from(config) as sandbox,
        open_teacher(config, folder, seed=config.seed) as teacher,
    ):
        reports = await make_paraphrased(
            lambda: _candidates(arenas),
            folder,
            teacher=teacher,
            count=config.count or len(arenas),
            sandbox=sandbox,
            embedder=embedder,
            mix=distractor_options(config, config.seed),
            concurrency=config.concurrency,
            console=progress_console(config.progress),
        )
    folder.record_unit_cost(ARENA, reports[ARENAS].accepted if ARENAS in reports else 0)
    return ArenaProduction(ArenaSet.of_run(folder), reports, {}, sandbox.level)


def estimate_paraphrase(config: ParaphraseArenasConfig) -> Estimate:
    """The expected cost of rewording the arenas. Asks the teacher nothing."""
    estimator = new_estimator(config)
    arenas = load_arenas(config.run)
    for candidate in islice(_candidates(arenas), config.count):
        task = paraphrase_task(candidate.outcome)
        estimator.add(PARAPHRASE, task, reply_tokens=_WORDING_TOKENS)
    return estimator.result()


def _candidates(arenas: ArenaSet) -> Iterator[ArenaToReword]:
    for arena in arenas:
        bare = arena.model_copy(update={"distractors": ()}).with_content_id()
        yield ArenaToReword(str(arena.provenance["key"]), bare)
