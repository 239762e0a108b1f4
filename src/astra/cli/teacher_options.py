"""The teacher of a command: which model, how it is asked, what it may cost; or the rules.

Shared by the commands that need one. `open_teacher` gives a model's teacher, `any_teacher` also
the rule teacher of trajectories, which needs no endpoint.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.runs.cost import StageMeter, bill
from astra.runs.folder import RunFolder
from astra.runs.manifest import StageCounts
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, CostTotals, Price, read_prices
from astra.teacher.model import ModelTeacher
from astra.teacher.prompt import Teacher
from astra.teacher.render import PromptTemplates
from astra.types import Json, Usage

RULES = "rules"
"""Name of the teacher that needs no endpoint."""


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

    def templates(self) -> PromptTemplates:
        return PromptTemplates(self.prompts) if self.prompts else PromptTemplates()


class StageMeters:
    """Counts each reply of the teacher for the stage that runs. Stages run one after the other."""

    def __init__(self, stage_of: Callable[[str], str]) -> None:
        """`stage_of`: from the name of a prompt, the stage that asks it."""
        self._stage_of = stage_of
        self._current = StageMeter()
        self._owed: dict[str, StageMeter] = {}

    def __call__(self, stage: str) -> StageMeter:
        self._current = self._owed.pop(stage, StageMeter())
        return self._current

    def catch_up(self, folder: RunFolder, record: AnswerCache, price: Price | None) -> float:
        """Count what is on record but not in the manifest, which a killed run writes too late.

        Gives the money that is made up for.
        """
        paid: dict[str, Usage] = {}
        for prompt, usage in record.usage.items():
            stage = self._stage_of(prompt)
            paid[stage] = paid.get(stage, Usage()) + usage
        counted = folder.manifest().stages
        for stage, usage in paid.items():
            lost = _beyond(usage, counted.get(stage, StageCounts()).usage)
            meter = self._owed[stage] = StageMeter()
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
    options: TeacherOptions, folder: RunFolder, meters: StageMeters | None = None
) -> AsyncGenerator[ModelTeacher]:
    """The model as a teacher whose answers stand on record in the run folder."""
    from astra.models.openai import OpenAIModel  # late: a second, for those who have no teacher

    price = options.price()
    spent = sum(stage.dollars for stage in folder.manifest().stages.values())
    model = OpenAIModel(options.model, options.base_url, options.key(), timeout=options.timeout)
    async with model:
        with AnswerCache(folder) if options.cache else nullcontext() as cache:
            if cache is not None and meters is not None:
                spent += meters.catch_up(folder, cache, price)
            elif cache is not None:
                spent += folder.recover_costs(cache.stage_usage, price.of if price else None)
            budget = Budget(money=options.budget, spent=spent)
            costs = CostTotals(price, budget, bill if meters is None else meters.add)
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


def greet(console: Console | None, teacher: Teacher, options: TeacherOptions) -> None:
    """Say who teaches, on a terminal."""
    if console is not None and console.is_terminal:
        host = urlsplit(options.base_url).hostname
        console.print(f"teacher: {teacher.name} at {host}", markup=False)


@asynccontextmanager
async def any_teacher(
    options: TeacherOptions, folder: RunFolder, meters: StageMeters | None = None
) -> AsyncGenerator[Teacher]:
    """The rule teacher of trajectories for the model `rules` without an address; else as above."""
    if options.model == RULES and not options.base_url:
        from astra.testing.rule_teacher.trajectories import (
            TrajectoryRules,  # late: only for who asks for it
        )

        yield TrajectoryRules(seed=options.seed)
        return
    async with open_teacher(options, folder, meters) as teacher:
        yield teacher


def teacher_options(
    name: str | None,
    base_url: str | None,
    *,
    api_key_env: str | None = None,
    seed: int = 0,
    temperature: float | None = None,
    max_tokens: int | None = None,
    timeout: float = 300.0,
    prices: Path | None = None,
    budget: float | None = None,
    cache: bool = True,
    prompts: Path | None = None,
) -> TeacherOptions | None:
    """The options of `--teacher`; None: none was asked for. ConfigError for half of one."""
    if name is None:
        if base_url is not None:
            raise ConfigError("--base-url is the address of a teacher: name its --teacher, too")
        return None
    if base_url is None and name != RULES:
        raise ConfigError(f"--teacher {name!r} needs --base-url; `rules` alone needs none")
    return TeacherOptions(
        model=name,
        base_url=base_url or "",
        api_key_env=api_key_env,
        seed=seed,
        temperature=temperature,
        max_tokens=max_tokens,
        timeout=timeout,
        prices=prices,
        budget=budget,
        cache=cache,
        prompts=prompts,
    )
