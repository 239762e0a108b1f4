"""`astra demo`: from tables to arenas to the scores of reference policies."""

from __future__ import annotations

import asyncio
import time
from shlex import quote

from rich.table import Table

from astra.arenas.certificate import certify
from astra.arenas.make import produce_arenas
from astra.arenas.pipeline import ARENAS
from astra.cli.command import command_from
from astra.cli.console import out, plain
from astra.configs.arenas import DemoConfig, MakeArenasConfig
from astra.configs.base import paths
from astra.errors import ConfigError
from astra.evaluation.arenas import play, tallied
from astra.models.policies import Policy, policy
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import sandbox_from

_CERTIFIED_AGAIN = 10
_POLICIES: tuple[Policy, ...] = ("gold", "null", "random", "shuffled")


@command_from(DemoConfig, examples=["astra demo", "astra demo data/ --count 50 --out runs/mine"])
def command(config: DemoConfig) -> None:
    """Make, certify and play arenas in one go. No API key, GPU or download is needed."""
    for path in paths(config.tables):
        if not path.exists():
            raise ConfigError(
                f"{str(path)!r} does not exist: run this in a clone of the repository, or name "
                "your own tables"
            )
    asyncio.run(_demo(config))


async def _demo(config: DemoConfig) -> None:
    console, start = out(), time.perf_counter()
    production = await produce_arenas(
        MakeArenasConfig(
            config.tables,
            out=config.out,
            count=config.count,
            languages=["en", "zh"],
            seed=config.seed,
            sandbox=config.sandbox,
            sandbox_url=config.sandbox_url,
        ),
        lambda schema: console.print(
            f"tables: {len(schema.tables)}, rows: {sum(table.rows for table in schema.tables)}"
        ),
    )
    arenas, folder = production.arenas, production.arenas.path
    at = quote(str(folder))
    if not arenas:
        raise ConfigError(
            f"no arena could be made of these tables: `astra arenas stats {at}` says why"
        )
    resumed = production.reports[ARENAS].resumed
    console.print(
        plain(
            f"made {len(arenas)} certified arenas in {time.perf_counter() - start:.1f} s, "
            f"distractors mixed in (sandbox: {production.sandbox})"
            + (f"; {resumed} of them were in {folder} before" if resumed else "")
        ),
        soft_wrap=True,
    )
    async with sandbox_from(config) as sandbox:
        some = arenas[:_CERTIFIED_AGAIN]
        certificates = [await certify(arena, sandbox, seed=1) for arena in some]
        passed = sum(certificate.certified for certificate in certificates)
        console.print(
            f"certified again from the files with another seed: {passed} of {len(some)} pass"
        )
        reports = [
            (
                name,
                await tallied(
                    play(
                        arenas,
                        lambda arena, sample, name=name: policy(name, arena, config.seed + sample),
                        sandbox,
                        RolloutLimits(),
                        seed=config.seed,
                    ),
                    config.seed,
                ),
            )
            for name in _POLICIES
        ]
    table = Table("policy", "episodes", "F1", "95 % interval", "recall", "precision", "calls")
    for name, report in reports:
        if (f1 := report.f1) is None:
            table.add_row(name, str(report.episodes), "no score")
            continue
        table.add_row(
            name,
            str(report.episodes),
            f"{f1.mean:.3f}",
            f"{f1.low:.3f} to {f1.high:.3f}",
            f"{report.recall:.3f}",
            f"{report.precision:.3f}",
            f"{report.calls:.2f}",
        )
    console.print(table)
    first = arenas[0]
    console.print(plain(f"one of the questions: {first.question}", limit=300))
    console.print(
        plain(
            f"{time.perf_counter() - start:.1f} s in all. Next:\n"
            f"  astra arenas show {at} {quote(first.id)}\n"
            f"  astra arenas play {at} {quote(first.id)}\n"
            f"  astra arenas stats {at}\n"
            f"  astra evaluate arenas {at} --model NAME --base-url http://localhost:8000/v1"
        ),
        soft_wrap=True,
    )
