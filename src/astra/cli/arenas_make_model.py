"""The part of `astra arenas make` that needs a teacher: from questions, a corpus or domains, and
table arenas in other words. `arenas_make` parses the options and calls `make_with_teacher`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from astra.arenas.pipeline import Candidate, MixOptions
from astra.arenas.synthesis.estimate import add_line
from astra.arenas.synthesis.line import Line, LineOptions
from astra.arenas.synthesis.paraphrase import PARAPHRASED, make_paraphrased
from astra.arenas.synthesis.sources import (
    Material,
    items,
    read_corpus,
    read_domains,
    read_questions,
)
from astra.cli.console import out, print_json
from astra.errors import ConfigError
from astra.ports import Embedder, Sampling, Sandbox
from astra.stage import Meter, StageReport
from astra.store import RunFolder
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, Costs, Estimate, Estimator, Price, read_prices
from astra.teacher.model import ModelTeacher
from astra.teacher.prompt import Teacher
from astra.teacher.render import Templates
from astra.types import Json, Language, Usage, content_hash


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


class StageMeters:
    """Counts each reply of the teacher for the stage that runs. Stages run one after the other."""

    def __init__(self) -> None:
        self._current = Meter()

    def __call__(self, stage: str) -> Meter:
        del stage
        self._current = Meter()
        return self._current

    def add(self, usage: Usage, money: float) -> None:
        """Count one reply."""
        self._current.add(usage, money)


@asynccontextmanager
async def open_teacher(
    options: TeacherOptions, folder: RunFolder, meters: StageMeters
) -> AsyncGenerator[ModelTeacher]:
    """The model as a teacher whose answers stand on record in the run folder."""
    from astra.models.openai import OpenAIModel  # late: a second, for those who have no teacher

    spent = sum(stage.dollars for stage in folder.manifest().stages.values())
    costs = Costs(options.price(), Budget(money=options.budget, spent=spent), meters.add)
    model = OpenAIModel(options.model, options.base_url, options.key())
    async with model:
        with AnswerCache(folder) if options.cache else nullcontext() as cache:
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
    stages = folder.manifest().stages
    usage = sum((stage.usage for stage in stages.values()), Usage())
    money = sum(stage.dollars for stage in stages.values())
    arenas = stages["arenas"].accepted if "arenas" in stages else 0
    said = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
    if money:
        said += f", money {money:.4f}"
        said += f" ({money / arenas:.4f} per arena)" if arenas else ""
    return {
        "usage": usage.model_dump(),
        "money": money,
        "money_per_arena": money / arenas if arenas else None,
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
        return await Line(folder, asked, sandbox, embedder, console, meters).make(
            items(material, languages), line
        )


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
        return await make_paraphrased(
            candidates,
            folder,
            teacher=asked,
            count=count,
            sandbox=sandbox,
            embedder=embedder,
            mix=mix,
            concurrency=concurrency,
            console=console,
            meter=meters(PARAPHRASED),
        )


def _greet(console: Console | None, teacher: Teacher, options: TeacherOptions) -> None:
    if console is not None and console.is_terminal:
        host = urlsplit(options.base_url).hostname
        console.print(f"teacher: {teacher.name} at {host}", markup=False)
