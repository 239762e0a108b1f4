"""`astra arenas make`: from a user's tables to a run folder of certified arenas."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console
from rich.padding import Padding

from astra.arenas.distract import Mode
from astra.arenas.folder import read_arenas
from astra.arenas.pipeline import MixOptions, make
from astra.arenas.tables.load import load
from astra.arenas.tables.load_options import read_options
from astra.arenas.tables.profile import profile
from astra.arenas.tables.profile_describe import describe
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.arenas.tables.source import (
    PAPER_LANGUAGES,
    PAPER_SHARES,
    SourceOptions,
    TableSource,
    fingerprint,
)
from astra.cli.console import err, out, plain, print_json
from astra.cli.options import AsJson, Level, SandboxLevel
from astra.errors import ConfigError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.ports import Embedder
from astra.sandbox import open_sandbox
from astra.stage import StageReport
from astra.store import RunFolder
from astra.types import Json, Language, Scenario


@dataclass(frozen=True, slots=True)
class Job:
    """What `make` was asked for."""

    tables: Sequence[Path]
    options: TablesOptions
    source: SourceOptions
    mix: MixOptions
    embedder: Embedder
    count: int
    out: Path
    concurrency: int
    sandbox: Level


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` has done."""

    reports: dict[str, StageReport]
    draws: dict[str, int]
    """How the planner's draws ended."""
    sandbox: str

    @property
    def arenas(self) -> int:
        return self.reports["arenas"].accepted

    def as_json(self, job: Job) -> Json:
        """The report as `--json` prints it."""
        return {
            "out": str(job.out),
            "arenas": self.arenas,
            "sandbox": self.sandbox,
            "stages": {
                name: {
                    "accepted": report.accepted,
                    "rejected": report.rejected,
                    "errors": report.errors,
                    "resumed": report.resumed,
                    "seconds": round(report.seconds, 3),
                }
                for name, report in self.reports.items()
            },
            "draws": self.draws,
        }


def make_command(
    tables: Annotated[
        list[Path],
        typer.Option(
            "--tables",
            help="A folder or file: CSV, TSV, JSON(L), Parquet, SQLite, DuckDB. Repeatable.",
            show_default=False,
        ),
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    count: Annotated[int, typer.Option(min=1, help="How many certified arenas.")] = 100,
    hops: Annotated[
        str, typer.Option(help="Sub-questions per arena, answer nodes included: least:most.")
    ] = "1:5",
    languages: Annotated[
        str, typer.Option(help="en, zh, or both; with shares as in en=0.5,zh=0.5.")
    ] = "en",
    scenarios: Annotated[
        str | None,
        typer.Option(help="Shares, as in single_hop=1,multi_hop=3; default: the paper's."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of arenas and entities kept for test.")
    ] = 0.2,
    max_rows: Annotated[
        int, typer.Option(min=6, max=200, help="Rows of the largest group asked about.")
    ] = 24,
    distractors: Annotated[Mode, typer.Option(help="Irrelevant tools beside the arena's.")] = (
        "banded"
    ),
    per_band: Annotated[int, typer.Option(min=0, max=20, help="Most distractors per band.")] = 3,
    embed_model: Annotated[
        str | None, typer.Option(help="Embedding model of an endpoint; default: TF-IDF, offline.")
    ] = None,
    embed_base_url: Annotated[
        str | None, typer.Option(help="Its OpenAI-compatible endpoint, up to /v1.")
    ] = None,
    embed_api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the endpoint's key.")
    ] = None,
    tables_config: Annotated[
        Path | None, typer.Option(help="TOML file whose [tables.*] describe the tables.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Arenas certified at once.")] = 8,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Make certified arenas from tables. Run it again to go on after a stop.

    \b
    Examples:
      astra arenas make --tables examples/world --count 100 --out runs/world
      astra arenas make --tables sales.csv --tables shops.db --hops 2:4 --out runs/sales
      astra arenas make --tables data/ --languages en,zh --distractors none --out runs/both
      astra arenas make @arenas.toml --count 1000
    """
    job = Job(
        tables=tables,
        options=read_options(tables_config, alone=False) if tables_config else TablesOptions(),
        source=SourceOptions(
            hops=_hops(hops),
            languages=_languages(languages),
            scenarios=_scenarios(scenarios),
            test_share=test_share,
            seed=seed,
            max_rows=max_rows,
        ),
        mix=MixOptions(distractors, per_band, seed),
        embedder=_embedder(embed_model, embed_base_url, embed_api_key_env),
        count=count,
        out=out_folder,
        concurrency=concurrency,
        sandbox=sandbox,
    )
    made = asyncio.run(make_from_tables(job, err(), _print_schema))
    if as_json:
        print_json(made.as_json(job))
    else:
        _print(made, job)
    if made.arenas < count:
        raise typer.Exit(1)


async def make_from_tables(
    job: Job, console: Console, show: Callable[[Console, Schema], None]
) -> Made:
    """Load, profile, show what was found, plan, certify, mix. Raises what each of them raises."""
    with load(job.tables, job.options) as tables:
        schema = profile(tables, job.options)
        show(console, schema)
        source = TableSource(tables, schema, job.source)
        folder = RunFolder.create(
            job.out, _config(job, fingerprint(tables, schema)), seeds={"seed": job.source.seed}
        )
        async with open_sandbox(job.sandbox) as sandbox:
            reports = await make(
                source.candidates(),
                folder,
                count=job.count,
                sandbox=sandbox,
                embedder=job.embedder,
                mix=job.mix,
                concurrency=job.concurrency,
                console=console,
            )
            return Made(reports, dict(source.draws), sandbox.level)


def _print_schema(console: Console, schema: Schema) -> None:
    """What was read and guessed; without a terminal only what was doubtful."""
    for line in describe(schema):
        text = line.lstrip()
        if console.is_terminal or text.startswith("note: "):
            console.print(Padding(plain(text), (0, 0, 0, len(line) - len(text))))


def _config(job: Job, tables: str) -> dict[str, Json]:
    """The options that decide what comes out, for `config.toml`."""
    source = job.source
    return {
        "tables": [str(path) for path in job.tables],
        "tables_fingerprint": tables,
        "count": job.count,
        "hops": list(source.hops),
        "languages": dict(source.languages),
        "scenarios": {scenario.value: share for scenario, share in source.scenarios.items()},
        "test_share": source.test_share,
        "max_rows": source.max_rows,
        "seed": source.seed,
        "distractors": {
            "mode": job.mix.mode,
            "per_band": job.mix.per_band,
            "embedder": job.embedder.name,
        },
    }


def _print(made: Made, job: Job) -> None:
    console = out()
    seconds = sum(report.seconds for report in made.reports.values())
    console.print(
        f"{made.arenas} certified arenas in {job.out} "
        f"(sandbox: {made.sandbox}; {seconds:.1f} s this time)",
        markup=False,
    )
    for name, report in made.reports.items():
        if report.rejected or report.errors:
            reasons = {**report.rejected, **report.errors}
            listed = ", ".join(f"{number} by {why}" for why, number in sorted(reasons.items()))
            console.print(f"  {name}: set aside {listed} (`stats` says more)", markup=False)
    if made.arenas < job.count:
        console.print(
            f"  {job.count} were asked for: `astra arenas stats {job.out}` says why the others "
            "fell out",
            markup=False,
        )
    for arena, _ in islice(read_arenas(job.out), 1):
        console.print(
            f"next: astra arenas show {job.out} {arena.id}\n"
            f"  or: astra arenas evaluate {job.out} --policy gold",
            markup=False,
            soft_wrap=True,
        )


# --- reading options -------------------------------------------------------------------------


def _hops(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise ConfigError(f"--hops {text!r}: write least:most, as in 1:5") from None


def _shares(text: str, option: str, known: Sequence[str]) -> dict[str, float]:
    """name=share pairs; a name alone has share 1."""
    shares: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, share = part.partition("=")
        if name not in known:
            raise ConfigError(f"{option} {name!r}: choose among {', '.join(known)}")
        try:
            shares[name] = float(share or 1)
        except ValueError:
            raise ConfigError(f"{option} {part!r}: a share is a number, as in 0.5") from None
        if not 0 <= shares[name] < float("inf"):
            raise ConfigError(f"{option} {part!r}: a share is not negative")
    if not any(shares.values()):
        raise ConfigError(f"{option} {text!r}: name at least one with a share above 0")
    return shares


def _languages(text: str) -> dict[Language, float]:
    shares = cast(dict[Language, float], _shares(text, "--languages", get_args(Language)))
    if set(shares) == set(PAPER_LANGUAGES) and "=" not in text:
        return dict(PAPER_LANGUAGES)
    return {language: share for language, share in shares.items() if share > 0}


def _scenarios(text: str | None) -> dict[Scenario, float]:
    if text is None:
        return dict(PAPER_SHARES)
    shares = _shares(text, "--scenarios", [scenario.value for scenario in Scenario])
    return {Scenario(name): share for name, share in shares.items()}


def _embedder(model: str | None, base_url: str | None, key_env: str | None) -> Embedder:
    if model is None and base_url is None:
        return TfidfEmbedder()
    if model is None or base_url is None:
        raise ConfigError("--embed-model and --embed-base-url go together: give both, or neither")
    key = None
    if key_env is not None:
        key = os.environ.get(key_env)
        if key is None:
            raise ConfigError(f"--embed-api-key-env: no environment variable {key_env!r} is set")
    from astra.models.embed_openai import OpenAIEmbedder  # late: a second, for few users

    return OpenAIEmbedder(model, base_url, key)
