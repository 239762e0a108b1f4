"""`synthesize_arenas`: certified arenas from questions, a corpus or domains, with a teacher."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from astra.arenas.opening import open_pipeline, require_arenas
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.scenarios import PAPER_SHARES
from astra.arenas.sets import ArenaSet
from astra.arenas.synthesis.decompose import DecomposeOptions
from astra.arenas.synthesis.estimate import add_synthesis
from astra.arenas.synthesis.judge import QualityThreshold
from astra.arenas.synthesis.pipeline import ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.sources import (
    SourceMaterial,
    items,
    read_corpus,
    read_domains,
    read_questions,
)
from astra.configs.arenas import SynthesizeArenasConfig
from astra.configs.base import TeacherConfig, weights
from astra.errors import ConfigError
from astra.teacher.cost import Estimate, Estimator
from astra.teacher.opening import model_price, open_teacher
from astra.teacher.render import PromptTemplates
from astra.types import Language, Scenario, content_hash

ARENA = "arena"
"""What the manifest calls one finished item."""


async def synthesize_arenas(config: SynthesizeArenasConfig) -> ArenaSet:
    """Make certified arenas from questions, a corpus or domains, with a teacher.

    Warns if fewer than `count` are certified (`summary["missing"]`). Raises ConfigError for an
    unreadable source, BudgetExceeded when the budget is used up, StageError if no arena was made.
    """
    return require_arenas(await produce_synthesis(config), config.count)


async def produce_synthesis(config: SynthesizeArenasConfig) -> ArenaProduction:
    """As `synthesize_arenas`, with a report."""
    if config.dry_run:
        raise ConfigError("dry_run makes no arenas: call `estimate_synthesis`")
    material = _read_material(config)
    options = _options(config, material)
    fingerprint = content_hash([[m.mode, m.domain, m.language, m.text] for m in material])
    # The number itself, not "as many as there are": it may be lowered later.
    config = replace(config, count=options.count)
    async with (
        open_pipeline(config, {"material": fingerprint}) as pipeline,
        open_teacher(config, pipeline.folder, seed=config.seed) as teacher,
    ):
        synthesis = ArenaSynthesis(pipeline, teacher)
        await synthesis.make(items(material, _languages(config)), options)
    production = pipeline.production()
    pipeline.folder.record_unit_cost(ARENA, len(production.arenas))
    return production


def estimate_synthesis(config: SynthesizeArenasConfig) -> Estimate:
    """The expected cost of the first wave. Asks the teacher nothing."""
    material = _read_material(config)
    options = _options(config, material)
    estimator = new_estimator(config)
    wave = islice(items(material, _languages(config)), options.count)
    add_synthesis(estimator, wave, options.decompose, options.judge_votes)
    return estimator.result()


def new_estimator(config: TeacherConfig) -> Estimator:
    """An estimator with the teacher's templates and price."""
    folder = None if config.prompt_templates is None else Path(config.prompt_templates)
    return Estimator(PromptTemplates(folder), model_price(config.prices, config.teacher or ""))


def _read_material(config: SynthesizeArenasConfig) -> list[SourceMaterial]:
    if config.questions is not None:
        return read_questions(Path(config.questions))
    if config.corpus is not None:
        return read_corpus(Path(config.corpus))
    assert config.domains is not None  # see `SynthesizeArenasConfig.check`
    return read_domains(Path(config.domains))


def _options(config: SynthesizeArenasConfig, material: list[SourceMaterial]) -> SynthesisOptions:
    # A question is asked once, so there is no use in more arenas than questions.
    count = config.count or (len(material) if config.questions is not None else 100)
    shares = dict(PAPER_SHARES)
    if config.scenarios is not None:
        shares = {Scenario(name): share for name, share in weights(config.scenarios).items()}
    options = SynthesisOptions(
        count=count,
        decompose=DecomposeOptions(config.min_hops, config.max_hops, shares, config.seed),
        judge_votes=config.judge_votes,
        threshold=QualityThreshold(config.min_quality, config.quality_percentile),
        max_attempts=config.max_attempts,
        test_fraction=config.test_fraction,
    )
    options.decompose.allowed()
    return options


def _languages(config: SynthesizeArenasConfig) -> tuple[Language, ...]:
    return ("en", "zh") if config.languages is None else tuple(weights(config.languages))
