"""`astra arenas synthesize`: certified arenas from questions, a corpus or domains."""

from __future__ import annotations

import asyncio

from astra.arenas.synthesize import estimate_synthesis, produce_synthesis
from astra.cli.command import command_from
from astra.cli.estimate import print_estimate
from astra.cli.synthesized import print_synthesized
from astra.configs.arenas import SynthesizeArenasConfig


@command_from(
    SynthesizeArenasConfig,
    examples=[
        "astra arenas synthesize --questions q.jsonl --teacher M --teacher-url URL --out runs/q",
        "astra arenas synthesize --corpus notes/ --teacher M --teacher-url URL --out runs/notes",
        "astra arenas synthesize @synthesis.toml --budget 5 --dry-run",
    ],
)
def command(config: SynthesizeArenasConfig, *, as_json: bool) -> int:
    """Make certified arenas from questions, a corpus or domains, with a teacher.

    The same command resumes a stopped run: nothing is paid for twice. Exit status 1 if there are
    fewer arenas than --count.
    """
    if config.dry_run:
        print_estimate(estimate_synthesis(config), as_json=as_json)
        return 0
    production = asyncio.run(produce_synthesis(config))
    print_synthesized(production, config.count, as_json=as_json)
    return 1 if len(production.arenas) < (config.count or 1) else 0
