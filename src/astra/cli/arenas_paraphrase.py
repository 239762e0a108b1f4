"""`astra arenas paraphrase`: the questions of arenas in a teacher's words."""

from __future__ import annotations

import asyncio

from astra.arenas.paraphrase import estimate_paraphrase, produce_paraphrase
from astra.cli.command import command_from
from astra.cli.estimate import print_estimate
from astra.cli.synthesized import print_synthesized
from astra.configs.arenas import ParaphraseArenasConfig


@command_from(
    ParaphraseArenasConfig,
    examples=[
        "astra arenas paraphrase runs/world --teacher M --teacher-url URL --out runs/words",
    ],
)
def command(config: ParaphraseArenasConfig, *, as_json: bool) -> int:
    """Reword the questions of arenas with a teacher, and certify them again.

    Distractors are drawn anew. Exit status 1 if there are fewer arenas than --count.
    """
    if config.dry_run:
        print_estimate(estimate_paraphrase(config), as_json=as_json)
        return 0
    production = asyncio.run(produce_paraphrase(config))
    print_synthesized(production, config.count, as_json=as_json)
    return 1 if len(production.arenas) < (config.count or 1) else 0
