"""The part of `astra arenas make` that needs a teacher: from questions, a corpus or domains, and
table arenas in other words. `arenas_make` parses the options and calls `make_with_teacher`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from rich.console import Console

from astra.arenas.folder import ARENAS
from astra.arenas.pipeline import CandidateArena, DistractorOptions
from astra.arenas.synthesis.estimate import add_synthesis
from astra.arenas.synthesis.paraphrase import make_paraphrased, paraphrase_task
from astra.arenas.synthesis.pipeline import ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.sources import (
    SourceMaterial,
    items,
    read_corpus,
    read_domains,
    read_questions,
)
from astra.cli.console import out, print_json
from astra.cli.teacher_options import TeacherOptions, greet, open_teacher
from astra.errors import ConfigError
from astra.protocols import Embedder, Sandbox
from astra.runs.folder import RunFolder
from astra.runs.stage import StageReport
from astra.teacher.cost import Estimate, Estimator
from astra.teacher.prompts.arenas import (
    PARAPHRASE,
)
from astra.types import Arena, Json, Language, Usage, content_hash

ARENA = "arena"
"""What the manifest calls one finished item."""


# --- sources ----------------------------------------------------------------------------------


def read_material(
    questions: Path | None, corpus: Path | None, domains: Path | None
) -> list[SourceMaterial]:
    """What the one source that was given holds; ConfigError for none or several."""
    readers: list[tuple[Path | None, Callable[[Path], list[SourceMaterial]]]] = [
        (questions, read_questions),
        (corpus, read_corpus),
        (domains, read_domains),
    ]
    given = [(path, reader) for path, reader in readers if path is not None]
    if len(given) != 1:
        raise ConfigError("give one of --tables, --questions, --corpus and --domains")
    path, reader = given[0]
    return reader(path)


def dry_run(
    material: list[SourceMaterial],
    languages: list[Language],
    line: SynthesisOptions,
    teacher: TeacherOptions,
) -> Estimate:
    """What the first wave would cost; asks nobody."""
    estimator = Estimator(teacher.templates(), teacher.price())
    wave = islice(items(material, languages), line.count)
    add_synthesis(estimator, wave, line.decompose, line.judge_votes)
    return estimator.result()


def dry_run_paraphrase(
    candidates: Iterable[CandidateArena], count: int, teacher: TeacherOptions
) -> Estimate:
    """What putting so many table arenas into other words would cost; asks nobody."""
    estimator = Estimator(teacher.templates(), teacher.price())
    arenas = (made.outcome for made in candidates if isinstance(made.outcome, Arena))
    for arena in islice(arenas, count):
        estimator.add(PARAPHRASE, paraphrase_task(arena), reply_tokens=_WORDING_TOKENS)
    return estimator.result()


_WORDING_TOKENS = 60


def material_fingerprint(material: list[SourceMaterial]) -> str:
    """A hash of all sources, so that a run resumes only on those it was begun with."""
    return content_hash([[m.mode, m.domain, m.language, m.text] for m in material])


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """What a dry run found."""
    if as_json:
        print_json(estimate.model_dump(mode="json"))
        return
    usage = estimate.usage
    money = "unknown, give --prices" if estimate.money is None else f"{estimate.money:.2f}"
    console = out()
    console.print(
        f"about {estimate.requests} requests, {usage.prompt_tokens} tokens in, "
        f"{usage.completion_tokens} out, money: {money}",
        markup=False,
    )
    console.print(f"  {estimate.note}", markup=False)


def spent(folder: RunFolder) -> dict[str, Json]:
    """What a run folder's teacher has cost over all runs, per certified arena too."""
    manifest = folder.manifest()
    stages = manifest.stages
    usage = sum((stage.usage for stage in stages.values()), Usage())
    money = sum(stage.dollars for stage in stages.values())
    each = manifest.unit_costs.get(ARENA)
    said = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
    if each is not None:
        tokens = each.prompt_tokens + each.completion_tokens
        said += f" ({tokens:,.0f} and {each.seconds:.1f} s per arena)"
    if money:
        said += f", money {money:.4f}"
        said += f" ({each.dollars:.4f} per arena)" if each and each.dollars else ""
    return {
        "usage": usage.model_dump(),
        "money": money,
        "money_per_arena": each.dollars if each else None,
        "each": None if each is None else each.model_dump(mode="json"),
        "said": said,
    }


# --- making -----------------------------------------------------------------------------------


async def make_with_teacher(
    folder: RunFolder,
    material: list[SourceMaterial],
    languages: list[Language],
    line: SynthesisOptions,
    teacher: TeacherOptions,
    *,
    sandbox: Sandbox,
    embedder: Embedder,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """The line over a source; the report of each stage."""
    async with open_teacher(teacher, folder) as asked:
        greet(console, asked, teacher)
        reports = await ArenaSynthesis(folder, asked, sandbox, embedder, console).make(
            items(material, languages), line
        )
    _record_cost(folder, reports)
    return reports


async def make_tables_paraphrased(
    folder: RunFolder,
    candidates: Callable[[], Iterable[CandidateArena]],
    teacher: TeacherOptions,
    *,
    count: int,
    sandbox: Sandbox,
    embedder: Embedder,
    mix: DistractorOptions,
    concurrency: int,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """Table arenas in other words. `candidates` gives the same ones each time it is called."""
    async with open_teacher(teacher, folder) as asked:
        greet(console, asked, teacher)
        reports = await make_paraphrased(
            candidates,
            folder,
            teacher=asked,
            count=count,
            sandbox=sandbox,
            embedder=embedder,
            mix=mix,
            concurrency=concurrency,
            console=console,
        )
    _record_cost(folder, reports)
    return reports


def _record_cost(folder: RunFolder, reports: Mapping[str, StageReport]) -> None:
    folder.record_unit_cost(ARENA, reports[ARENAS].accepted if ARENAS in reports else 0)
