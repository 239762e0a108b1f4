"""The part of `astra arenas make` that needs a teacher: from questions, a corpus or domains, and
table arenas in other words. `arenas_make` parses the options and calls `make_with_teacher`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from astra.arenas.folder import ARENAS
from astra.arenas.pipeline import Candidate, MixOptions
from astra.arenas.synthesis.decompose import DECOMPOSITIONS
from astra.arenas.synthesis.estimate import add_line
from astra.arenas.synthesis.implement import IMPLEMENTED
from astra.arenas.synthesis.line import Line, LineOptions
from astra.arenas.synthesis.merge import MERGED
from astra.arenas.synthesis.paraphrase import PARAPHRASED, make_paraphrased
from astra.arenas.synthesis.paraphrase import asked as paraphrase_input
from astra.arenas.synthesis.sources import (
    Material,
    items,
    read_corpus,
    read_domains,
    read_questions,
)
from astra.arenas.synthesis.validate import JUDGED
from astra.cli.console import out, print_json
from astra.errors import ConfigError
from astra.ports import Embedder, Sampling, Sandbox
from astra.stage import Meter, StageReport
from astra.store import RunFolder, StageCounts
from astra.teacher.arenas import (
    CALL,
    DECOMPOSE,
    DOCUMENT,
    EXTEND,
    GROUP,
    PARAPHRASE,
    PROPOSE,
    SCALE,
    TOOL,
)
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, Costs, Estimate, Estimator, Price, read_prices
from astra.teacher.model import ModelTeacher
from astra.teacher.prompt import Teacher
from astra.teacher.render import Templates
from astra.types import Arena, Json, Language, Usage, content_hash

ARENA = "arena"
"""What the manifest calls one finished item."""


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """Which model teaches, how it is asked, and what it may cost."""

    model: str
    base_url: str
    api_key_env: str | None = None
    """Environment variable that holds the endpoint's key; None: none is sent."""
    seed: int = 0
    """Sent with each request, raised by the index of the answer, so that verdicts on one point
    are independent also where the endpoint samples by seed alone."""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 300.0
    """Seconds for one reply."""
    prices: Path | None = None
    """TOML file with [prices."model-name"]."""
    budget: float | None = None
    """Most money that this run folder may cost, in the currency of the prices."""
    cache: bool = True
    """Whether answers are put on record and found again."""
    prompts: Path | None = None
    """Folder of templates that go before ours."""

    def config(self) -> dict[str, Json]:
        """What decides the answers, for `config.toml`; neither the key nor the address."""
        return {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "prompts": None if self.prompts is None else str(self.prompts),
        }

    def price(self) -> Price | None:
        """The model's price, where the user gave one; ConfigError when it is not in the file."""
        if self.prices is None:
            return None
        prices = read_prices(self.prices)
        if self.model not in prices:
            known = ", ".join(sorted(prices)) or "none"
            raise ConfigError(
                f'{str(self.prices)!r} has no [prices."{self.model}"] (it has {known}): add it'
            )
        return prices[self.model]

    def key(self) -> str | None:
        """The endpoint's key; ConfigError when its variable is not set."""
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise ConfigError(f"--api-key-env: no environment variable {self.api_key_env!r} is set")
        return key

    def templates(self) -> Templates:
        return Templates(self.prompts) if self.prompts else Templates()


_ASKED_IN: dict[str, str] = {
    **dict.fromkeys((PROPOSE.name, DECOMPOSE.name), DECOMPOSITIONS),
    **dict.fromkeys((DOCUMENT.name, SCALE.name, CALL.name, TOOL.name), IMPLEMENTED),
    **dict.fromkeys((GROUP.name, EXTEND.name), MERGED),
    PARAPHRASE.name: PARAPHRASED,
}
"""Prompt -> the stage that asks it; the others are asked by judges."""


class StageMeters:
    """Counts each reply of the teacher for the stage that runs. Stages run one after the other."""

    def __init__(self) -> None:
        self._current = Meter()
        self._owed: dict[str, Meter] = {}

    def __call__(self, stage: str) -> Meter:
        self._current = self._owed.pop(stage, Meter())
        return self._current

    def catch_up(self, folder: RunFolder, record: AnswerCache, price: Price | None) -> float:
        """Count what is on record but not in the manifest, which a killed run writes too late.

        Gives the money that is made up for.
        """
        paid: dict[str, Usage] = {}
        for prompt, usage in record.usage.items():
            stage = _ASKED_IN.get(prompt, JUDGED)
            paid[stage] = paid.get(stage, Usage()) + usage
        counted = folder.manifest().stages
        for stage, usage in paid.items():
            lost = _beyond(usage, counted.get(stage, StageCounts()).usage)
            meter = self._owed[stage] = Meter()
            meter.add(lost, 0.0 if price is None else price.of(lost))
        return sum(meter.dollars for meter in self._owed.values())

    def add(self, usage: Usage, money: float) -> None:
        """Count one reply."""
        self._current.add(usage, money)


def _beyond(whole: Usage, counted: Usage) -> Usage:
    """The tokens of one that the other lacks."""
    return Usage(
        prompt_tokens=max(0, whole.prompt_tokens - counted.prompt_tokens),
        completion_tokens=max(0, whole.completion_tokens - counted.completion_tokens),
        cached_tokens=max(0, whole.cached_tokens - counted.cached_tokens),
    )


@asynccontextmanager
async def open_teacher(
    options: TeacherOptions, folder: RunFolder, meters: StageMeters
) -> AsyncGenerator[ModelTeacher]:
    """The model as a teacher whose answers stand on record in the run folder."""
    from astra.models.openai import OpenAIModel  # late: a second, for those who have no teacher

    price = options.price()
    spent = sum(stage.dollars for stage in folder.manifest().stages.values())
    model = OpenAIModel(options.model, options.base_url, options.key(), timeout=options.timeout)
    async with model:
        with AnswerCache(folder) if options.cache else nullcontext() as cache:
            if cache is not None:
                spent += meters.catch_up(folder, cache, price)
            costs = Costs(price, Budget(money=options.budget, spent=spent), meters.add)
            yield ModelTeacher(
                model,
                templates=options.templates(),
                cache=cache,
                costs=costs,
                sampling=Sampling(
                    seed=options.seed,
                    temperature=options.temperature,
                    max_tokens=options.max_tokens,
                ),
            )


# --- sources ----------------------------------------------------------------------------------


def read_material(
    questions: Path | None, corpus: Path | None, domains: Path | None
) -> list[Material]:
    """What the one source that was given holds; ConfigError for none or several."""
    readers: list[tuple[Path | None, Callable[[Path], list[Material]]]] = [
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
    material: list[Material], languages: list[Language], line: LineOptions, teacher: TeacherOptions
) -> Estimate:
    """What the first wave would cost; asks nobody."""
    estimator = Estimator(teacher.templates(), teacher.price())
    wave = islice(items(material, languages), line.count)
    add_line(estimator, wave, line.decompose, line.judges)
    return estimator.result()


def dry_run_paraphrase(
    candidates: Iterable[Candidate], count: int, teacher: TeacherOptions
) -> Estimate:
    """What putting so many table arenas into other words would cost; asks nobody."""
    estimator = Estimator(teacher.templates(), teacher.price())
    arenas = (made.outcome for made in candidates if isinstance(made.outcome, Arena))
    for arena in islice(arenas, count):
        estimator.add(PARAPHRASE, paraphrase_input(arena), reply_tokens=_WORDING_TOKENS)
    return estimator.result()


_WORDING_TOKENS = 60


def material_fingerprint(material: list[Material]) -> str:
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
    each = manifest.each.get(ARENA)
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
    material: list[Material],
    languages: list[Language],
    line: LineOptions,
    teacher: TeacherOptions,
    *,
    sandbox: Sandbox,
    embedder: Embedder,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """The line over a source; the report of each stage."""
    meters = StageMeters()
    async with open_teacher(teacher, folder, meters) as asked:
        _greet(console, asked, teacher)
        reports = await Line(folder, asked, sandbox, embedder, console, meters).make(
            items(material, languages), line
        )
    _record_cost(folder, reports)
    return reports


async def make_tables_paraphrased(
    folder: RunFolder,
    candidates: Callable[[], Iterable[Candidate]],
    teacher: TeacherOptions,
    *,
    count: int,
    sandbox: Sandbox,
    embedder: Embedder,
    mix: MixOptions,
    concurrency: int,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """Table arenas in other words. `candidates` gives the same ones each time it is called."""
    meters = StageMeters()
    async with open_teacher(teacher, folder, meters) as asked:
        _greet(console, asked, teacher)
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
            meter=meters,
        )
    _record_cost(folder, reports)
    return reports


def _record_cost(folder: RunFolder, reports: Mapping[str, StageReport]) -> None:
    folder.record_each(ARENA, reports[ARENAS].accepted if ARENAS in reports else 0)


def _greet(console: Console | None, teacher: Teacher, options: TeacherOptions) -> None:
    if console is not None and console.is_terminal:
        host = urlsplit(options.base_url).hostname
        console.print(f"teacher: {teacher.name} at {host}", markup=False)
