"""`astra arenas synthesize`: from tables, questions, a corpus or domains to certified arenas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.padding import Padding

from astra.arenas.distractors import DistractorMode
from astra.arenas.pipeline import DistractorOptions, make
from astra.arenas.sets import ArenaSet
from astra.arenas.synthesis.decompose import DecomposeOptions
from astra.arenas.synthesis.judge import QualityThreshold
from astra.arenas.synthesis.pipeline import SynthesisOptions
from astra.arenas.synthesis.sources import SourceMaterial
from astra.arenas.tables.load.options import read_options
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.descriptions import describe
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.arenas.tables.source import (
    TableSource,
    TableSourceOptions,
    fingerprint,
)
from astra.cli.arenas_make_model import (
    dry_run,
    dry_run_paraphrase,
    make_tables_paraphrased,
    make_with_teacher,
    material_fingerprint,
    print_estimate,
    read_material,
    spent,
)
from astra.cli.arenas_make_options import (
    as_languages,
    as_operations,
    as_scenarios,
    check_finite,
    check_tables_options,
    open_embedder,
    teacher_options,
)
from astra.cli.console import err, out, plain, print_json
from astra.cli.options import (
    AsJson,
    Budget,
    Level,
    Prices,
    PromptFolder,
    SandboxLevel,
    TeacherKeyEnv,
    TeacherTemperature,
    TeacherUrl,
    as_range,
)
from astra.cli.teacher_options import TeacherOptions
from astra.errors import ConfigError
from astra.protocols import Embedder
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.stage import StageReport
from astra.sandbox import open_sandbox
from astra.teacher.cost import Estimate
from astra.types import Json, Language


@dataclass(frozen=True, slots=True)
class MakeArenasJob:
    """What `make` was asked for."""

    tables: Sequence[Path]
    options: TablesOptions
    source: TableSourceOptions
    mix: DistractorOptions
    embedder: Embedder
    count: int
    out: Path
    concurrency: int
    sandbox: Level
    teacher: TeacherOptions | None = None
    """Puts questions into other words; None: they stay as the grammar made them."""


@dataclass(frozen=True, slots=True)
class MakeArenasResult:
    """What `make` has done."""

    reports: dict[str, StageReport]
    draws: dict[str, int]
    """How the planner's draws ended."""
    sandbox: str
    teacher: dict[str, Json] | None = None
    """What the run folder's teacher has cost so far; None: there was none."""

    @property
    def arenas(self) -> int:
        return self.reports["arenas"].accepted if "arenas" in self.reports else 0

    def as_json(self, out_folder: Path) -> Json:
        """The report as `--json` prints it."""
        return {
            "out": str(out_folder),
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
            **({"teacher": self.teacher} if self.teacher else {}),
        }


def synthesize_command(
    out_folder: Annotated[
        Path, typer.Option("--out", help="The run folder to write.", show_default=False)
    ],
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            "--tables",
            help="A folder or file: CSV, TSV, JSON(L), Parquet, SQLite, DuckDB. Repeatable.",
            show_default=False,
        ),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="JSONL of {question, domain}. Needs --model.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Folder of .txt/.md, or JSONL of {domain, knowledge_corpus}. --model."),
    ] = None,
    domains: Annotated[
        Path | None, typer.Option(help="JSONL of {domain, knowledge_corpus}. Needs --model.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many certified arenas.  [default: 100, or all questions]"),
    ] = None,
    hops: Annotated[
        str, typer.Option(help="Sub-questions per arena, answer nodes included: least:most.")
    ] = "1:5",
    languages: Annotated[
        str | None,
        typer.Option(
            help="en, zh, or both; of tables with shares as in en=0.5,zh=0.5.  "
            "[default: en of tables, all of other sources]"
        ),
    ] = None,
    scenarios: Annotated[
        str | None,
        typer.Option(help="Shares, as in single_hop=1,multi_hop=3; default: the paper's."),
    ] = None,
    operations: Annotated[
        str | None,
        typer.Option(
            help="What calls to tools of tables may do, as in lookup,find,rank.  [default: all]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of arenas and entities kept for test.")
    ] = 0.2,
    max_rows: Annotated[
        int, typer.Option(min=6, max=200, help="Rows of the largest group asked about.")
    ] = 24,
    distractors: Annotated[
        DistractorMode, typer.Option(help="Irrelevant tools beside the arena's.")
    ] = ("banded"),
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
    model: Annotated[str | None, typer.Option(help="The teacher: a model of the endpoint.")] = None,
    base_url: TeacherUrl = None,
    api_key_env: TeacherKeyEnv = None,
    temperature: TeacherTemperature = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one reply.  [default: the endpoint's]")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for one reply of the teacher.")
    ] = 300.0,
    paraphrase: Annotated[
        bool, typer.Option("--paraphrase", help="Let the teacher reword questions of tables.")
    ] = False,
    judges: Annotated[int, typer.Option(min=1, help="Verdicts per point of validation.")] = 3,
    threshold: Annotated[
        str, typer.Option(help="Least quality score, as in 0.9, or a percentile, as in p90.")
    ] = "0.9",
    tries: Annotated[int, typer.Option(min=1, help="Tries per tool, the first included.")] = 4,
    prompts: PromptFolder = None,
    prices: Prices = None,
    budget: Budget = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask again what was already answered.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Estimate the teacher's cost and ask nobody.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Arenas worked on at once.")] = 8,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Make certified arenas from tables, or with a teacher from questions, a corpus or domains.

    Run it again to go on after a stop: nothing is paid for twice.

    \b
    Examples:
      astra arenas synthesize --questions q.jsonl --model NAME --base-url URL --out runs/q
      astra arenas synthesize --corpus notes/ --hops 3:5 --model M --base-url U --out runs/notes
      astra arenas synthesize --tables data/ --paraphrase --model M --base-url U --out runs/words
    """
    check_finite(
        {
            "test-share": test_share,
            "temperature": temperature,
            "timeout": timeout,
            "budget": budget,
        }
    )
    teacher = teacher_options(
        model,
        base_url,
        api_key_env=api_key_env,
        seed=seed,
        temperature=temperature,
        max_tokens=max_tokens,
        timeout=timeout,
        prices=prices,
        budget=budget,
        cache=not no_cache,
        prompts=prompts,
    )
    mix = DistractorOptions(distractors, per_band, seed)
    embedder = open_embedder(embed_model, embed_base_url, embed_api_key_env)
    if not tables:
        if teacher is None or paraphrase:
            raise ConfigError(
                "give --tables; or --questions, --corpus or --domains with --model and --base-url"
                + (" and without --paraphrase, which is for tables" if paraphrase else "")
            )
        material = read_material(questions, corpus, domains)
        wanted = count or (len(material) if questions else 100)
        low, high = as_range(hops, "--hops")
        percentile = threshold.removeprefix("p") if threshold.startswith("p") else None
        line = SynthesisOptions(
            count=wanted,
            decompose=DecomposeOptions(low, high, as_scenarios(scenarios), seed),
            judge_votes=judges,
            threshold=QualityThreshold(percentile=float(percentile))
            if percentile
            else QualityThreshold(float(threshold)),
            max_attempts=tries,
            test_fraction=test_share,
            mix=mix,
            concurrency=concurrency,
        )
        spoken = list(as_languages(languages or ",".join(get_args(Language))))
        if dry:
            print_estimate(dry_run(material, spoken, line, teacher), as_json=as_json)
            return
        config = {
            "source": str(questions or corpus or domains),
            "fingerprint": material_fingerprint(material),
            "languages": spoken,
            "count": wanted,
            "hops": [low, high],
            "scenarios": dict(line.decompose.scenarios),
            "judge_votes": judges,
            "threshold": threshold,
            "max_attempts": tries,
            "test_fraction": test_share,
            "seed": seed,
            "distractors": {"mode": mix.mode, "per_band": mix.per_band, "embedder": embedder.name},
            "teacher": teacher.config(),
        }
        made = asyncio.run(
            _with_teacher(material, spoken, line, teacher, config, out_folder, embedder, sandbox)
        )
        _finish(made, out_folder, wanted, as_json=as_json)
        if made.arenas < (wanted if count else 1):
            raise typer.Exit(1)
        return
    check_tables_options(questions, corpus, domains, teacher, paraphrase=paraphrase, dry=dry)
    job = MakeArenasJob(
        tables=tables,
        options=read_options(tables_config, section="table_options")
        if tables_config
        else TablesOptions(),
        source=TableSourceOptions(
            hops=as_range(hops, "--hops"),
            languages=as_languages(languages or "en"),
            scenarios=as_scenarios(scenarios),
            operations=as_operations(operations),
            test_share=test_share,
            seed=seed,
            max_rows=max_rows,
        ),
        mix=mix,
        embedder=embedder,
        count=count or 100,
        out=out_folder,
        concurrency=concurrency,
        sandbox=sandbox,
        teacher=teacher,
    )
    if dry and teacher is not None:
        print_estimate(_estimate_words(job, teacher), as_json=as_json)
        return
    made = asyncio.run(make_from_tables(job, err(), _print_schema))
    _finish(made, job.out, job.count, as_json=as_json)
    if made.arenas < job.count:
        raise typer.Exit(1)


def _finish(made: MakeArenasResult, out_folder: Path, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json(made.as_json(out_folder))
    else:
        _print(made, out_folder, count)


async def _with_teacher(
    material: list[SourceMaterial],
    languages: list[Language],
    line: SynthesisOptions,
    teacher: TeacherOptions,
    config: dict[str, Json],
    out_folder: Path,
    embedder: Embedder,
    level: Level,
) -> MakeArenasResult:
    folder = RunFolder.create(out_folder, config, seeds={"seed": line.mix.seed})
    async with open_sandbox(level) as sandbox:
        reports = await make_with_teacher(
            folder,
            material,
            languages,
            line,
            teacher,
            sandbox=sandbox,
            embedder=embedder,
            console=err(),
        )
        return MakeArenasResult(reports, {}, sandbox.level, spent(folder))


async def make_from_tables(
    job: MakeArenasJob, console: Console, show: Callable[[Console, Schema], None]
) -> MakeArenasResult:
    """Load, profile, show what was found, plan, certify, mix. Raises what each of them raises."""
    with load(job.tables, job.options) as tables:
        schema = profile(tables, job.options)
        show(console, schema)
        source = TableSource(tables, schema, job.source)
        folder = RunFolder.create(
            job.out, _config(job, fingerprint(tables, schema)), seeds={"seed": job.source.seed}
        )
        async with open_sandbox(job.sandbox) as sandbox:
            if job.teacher is not None:
                reports = await make_tables_paraphrased(
                    folder,
                    lambda: TableSource(tables, schema, job.source).candidates(),
                    job.teacher,
                    count=job.count,
                    sandbox=sandbox,
                    embedder=job.embedder,
                    mix=job.mix,
                    concurrency=job.concurrency,
                    console=console,
                )
                return MakeArenasResult(reports, {}, sandbox.level, spent(folder))
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
            return MakeArenasResult(reports, dict(source.draws), sandbox.level)


def _estimate_words(job: MakeArenasJob, teacher: TeacherOptions) -> Estimate:
    """What rewording the questions of these tables would cost; asks nobody."""
    with load(job.tables, job.options) as tables:
        source = TableSource(tables, profile(tables, job.options), job.source)
        return dry_run_paraphrase(source.candidates(), job.count, teacher)


def _print_schema(console: Console, schema: Schema) -> None:
    """What was read and guessed; without a terminal only what was doubtful."""
    for line in describe(schema):
        text = line.lstrip()
        if console.is_terminal or text.startswith("note: "):
            console.print(Padding(plain(text), (0, 0, 0, len(line) - len(text)), expand=False))


def _config(job: MakeArenasJob, tables: str) -> dict[str, Json]:
    """The options that decide what comes out, for `config.toml`."""
    source = job.source
    return {
        "tables": [str(path) for path in job.tables],
        "tables_fingerprint": tables,
        "count": job.count,
        "hops": list(source.hops),
        "languages": dict(source.languages),
        "scenarios": {scenario.value: share for scenario, share in source.scenarios.items()},
        "operations": None if source.operations is None else sorted(source.operations),
        "test_share": source.test_share,
        "max_rows": source.max_rows,
        "seed": source.seed,
        "paraphrase": None if job.teacher is None else job.teacher.config(),
        "distractors": {
            "mode": job.mix.mode,
            "per_band": job.mix.per_band,
            "embedder": job.embedder.name,
        },
    }


def _print(made: MakeArenasResult, out_folder: Path, count: int) -> None:
    console = out()
    seconds = sum(report.seconds for report in made.reports.values())
    console.print(
        f"{made.arenas} certified arenas in {out_folder} "
        f"(sandbox: {made.sandbox}; {seconds:.1f} s this time)",
        markup=False,
        soft_wrap=True,
    )
    for name, report in made.reports.items():
        if report.rejected or report.errors:
            reasons = {**report.rejected, **report.errors}
            listed = ", ".join(f"{number} by {why}" for why, number in sorted(reasons.items()))
            said = f"  {name}: set aside {listed} (`stats` says more)"
            console.print(said, markup=False, soft_wrap=True)
        if report.errors:
            console.print(plain(f"    {_an_error(out_folder, name)}", limit=400), soft_wrap=True)
    if made.teacher is not None:
        console.print(f"  teacher: {made.teacher['said']}", markup=False, soft_wrap=True)
    if made.arenas < count:
        console.print(
            f"  {count} were asked for: `astra arenas stats {out_folder}` says why the others "
            "fell out",
            markup=False,
            soft_wrap=True,
        )
    for arena in ArenaSet(out_folder)[:1]:
        console.print(
            f"next: astra arenas show {out_folder} {arena.id}\n"
            f"  or: astra evaluate arenas {out_folder} --policy gold",
            markup=False,
            soft_wrap=True,
        )


def _an_error(out_folder: Path, stage: str) -> str:
    """What broke, in the words of the last row: people must not have to look for it."""
    rows = RunFolder.open(out_folder).rows(f"{stage}.failed", FailureRow)
    broken = [row for row in rows if row.kind == "error"][-1:]
    return f"e.g. {broken[0].type}: {broken[0].message}" if broken else "tried again since"
