"""`paraphrase_arenas`: the questions of arenas in a teacher's words, certified again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from astra.arenas.opening import open_pipeline, require_arenas
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.sets import ArenaSet, open_arenas
from astra.arenas.synthesis.paraphrase import make_paraphrased, paraphrase_task
from astra.arenas.synthesize import ARENA, new_estimator
from astra.configs.arenas import ParaphraseArenasConfig
from astra.errors import ConfigError
from astra.teacher.cost import Estimate
from astra.teacher.opening import open_teacher
from astra.teacher.prompts.arenas import PARAPHRASE, WORDING, WordingIn
from astra.types import Arena, content_hash

_WORDING_TOKENS = 60


@dataclass(frozen=True, slots=True)
class ArenaToReword:
    """An arena as a candidate, without its distractors."""

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
    arenas = _rewordable(config)
    count = config.count or len(arenas)
    async with (
        open_pipeline(
            replace(config, count=count), {"arenas": content_hash(arenas.ids)}
        ) as pipeline,
        open_teacher(config, pipeline.folder, seed=config.seed) as teacher,
    ):
        await make_paraphrased(pipeline, teacher, lambda: _candidates(arenas), count)
    production = pipeline.production()
    pipeline.folder.record_unit_cost(ARENA, len(production.arenas))
    return production


def estimate_paraphrase(config: ParaphraseArenasConfig) -> Estimate:
    """The expected cost of rewording the arenas. Asks the teacher nothing."""
    estimator = new_estimator(config)
    arenas = _rewordable(config)
    for candidate in islice(_candidates(arenas), config.count):
        task = paraphrase_task(candidate.outcome)
        estimator.add(PARAPHRASE, task, reply_tokens=_WORDING_TOKENS)
        judged = WordingIn(
            language=task.language,
            question=task.question,
            wording=task.question,
            plan=tuple(goal.question for goal in candidate.outcome.goals),
        )
        estimator.add(WORDING, judged, reply_tokens=_WORDING_TOKENS)
    return estimator.result()


def _rewordable(config: ParaphraseArenasConfig) -> ArenaSet:
    """The arenas to reword. Raises ConfigError for those whose words are part of what is proven."""
    arenas = open_arenas(config.arenas, uncertified=config.uncertified)
    for arena in arenas:
        if arena.state is not None:
            raise ConfigError(
                f"arena {arena.id!r} asks for changes of a database: that its request has one "
                "right outcome is proven for these words only, and others would not be checked. "
                "Paraphrase a folder of arenas without a state"
            )
    return arenas


def _candidates(arenas: ArenaSet) -> Iterator[ArenaToReword]:
    for arena in arenas:
        # An arena that was made in Python may not say which item it comes from.
        provenance = {"key": arena.id, **arena.provenance}
        bare = arena.model_copy(update={"distractors": (), "provenance": provenance})
        yield ArenaToReword(bare.key, bare.with_content_id())
