"""`astra demo`: from tables to arenas to the scores of reference policies."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from astra.arenas.certificate import certify
from astra.arenas.pipeline import DistractorOptions
from astra.arenas.sets import ArenaSet
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.arenas.tables.source import PAPER_LANGUAGES, TableSourceOptions
from astra.cli.arenas_make import MakeArenasJob, make_from_tables
from astra.cli.console import err, out, plain
from astra.cli.options import Level
from astra.errors import ConfigError
from astra.evaluation.arenas import EvaluationReport, evaluate
from astra.models.embed_tfidf import TfidfEmbedder
from astra.models.policies import Policy, policy
from astra.protocols import Sandbox
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox


def demo_policies(tables: Path, folder: Path, count: int, seed: int, sandbox: Level) -> None:
    """Tables to certified arenas to scores, with the reference policies as players."""
    job = MakeArenasJob(
        tables=[tables],
        options=TablesOptions(),
        source=TableSourceOptions(languages=PAPER_LANGUAGES, seed=seed),
        mix=DistractorOptions(seed=seed),
        embedder=TfidfEmbedder(),
        count=count,
        out=folder,
        concurrency=8,
        sandbox=sandbox,
    )
    asyncio.run(_demo(job))


async def _demo(job: MakeArenasJob) -> None:
    console, start = out(), time.perf_counter()
    made = await make_from_tables(job, err(), _print_size)
    if not made.arenas:
        raise ConfigError(
            f"no arena could be made from these tables: `astra arenas stats {job.out}` says why"
        )
    before = made.reports["arenas"].resumed
    console.print(
        f"made {made.arenas} certified arenas in {time.perf_counter() - start:.1f} s, "
        f"distractors mixed in (sandbox: {made.sandbox})"
        + (f"; {before} of them stood in {job.out} before" if before else ""),
        markup=False,
        soft_wrap=True,
    )
    async with open_sandbox(job.sandbox) as sandbox:
        console.print(await _certified_again(job, sandbox))
        console.print(
            _table([(name, await _play(job, name, sandbox)) for name in get_args(Policy)])
        )
    _next_steps(console, job.out, time.perf_counter() - start)


def _print_size(console: Console, schema: Schema) -> None:
    rows = sum(table.rows for table in schema.tables)
    console.print(f"tables: {len(schema.tables)}, rows: {rows}")


async def _certified_again(job: MakeArenasJob, sandbox: Sandbox) -> str:
    """Certify from the files alone, a few arenas, as anyone else could."""
    arenas = ArenaSet(job.out)[:10]
    certificates = [await certify(arena, sandbox, seed=1) for arena in arenas]
    passed = sum(certificate.certified for certificate in certificates)
    return f"certified again from the files with another seed: {passed} of {len(arenas)} pass"


async def _play(job: MakeArenasJob, name: Policy, sandbox: Sandbox) -> EvaluationReport:
    return await evaluate(
        ArenaSet(job.out),
        lambda arena, sample: policy(name, arena, job.source.seed + sample),
        sandbox,
        RolloutLimits(),
        seed=job.source.seed,
    )


def _table(reports: list[tuple[str, EvaluationReport]]) -> Table:
    table = Table("policy", "episodes", "F1", "95 % interval", "recall", "precision", "calls")
    for name, report in reports:
        if report.f1 is None:
            table.add_row(name, str(report.episodes), "no score")
            continue
        f1 = report.f1
        table.add_row(
            name,
            str(report.episodes),
            f"{f1.mean:.3f}",
            f"{f1.low:.3f} to {f1.high:.3f}",
            f"{report.recall:.3f}",
            f"{report.precision:.3f}",
            f"{report.calls:.2f}",
        )
    return table


def _next_steps(console: Console, folder: Path, seconds: float) -> None:
    first = ArenaSet(folder)[0]
    console.print(plain(f"one of the questions: {first.question}", limit=300))
    console.print(
        f"{seconds:.1f} s in all. Next:\n"
        f"  astra arenas show {folder} {first.id}\n"
        f"  astra arenas play {folder} {first.id}\n"
        f"  astra arenas stats {folder}\n"
        f"  astra arenas evaluate {folder} --model NAME --base-url http://localhost:8000/v1",
        markup=False,
        soft_wrap=True,
    )
