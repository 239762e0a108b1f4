"""The teacher of a command: which model, how it is asked, what it may cost; or the rules.

Shared by the commands that need one. `open_teacher` gives a model's teacher, `any_teacher` also
the rule teacher of trajectories, which needs no endpoint.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from astra.errors import ConfigError
from astra.protocols import Sampling
from astra.runs.folder import RunFolder
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, CostTotals, Price, read_prices
from astra.teacher.model import ModelTeacher
from astra.teacher.prompt import Teacher
from astra.teacher.render import PromptTemplates
from astra.types import Json

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


@asynccontextmanager
async def open_teacher(options: TeacherOptions, folder: RunFolder) -> AsyncGenerator[ModelTeacher]:
    """The model as a teacher whose answers stand on record in the run folder."""
    from astra.models.openai import OpenAIModel  # late: a second, for those who have no teacher

    price = options.price()
    spent = sum(stage.dollars for stage in folder.manifest().stages.values())
    model = OpenAIModel(options.model, options.base_url, options.key(), timeout=options.timeout)
    async with model:
        with AnswerCache(folder) if options.cache else nullcontext() as cache:
            if cache is not None:
                spent += folder.recover_costs(cache.stage_usage, price.of if price else None)
            budget = Budget(money=options.budget, spent=spent)
            costs = CostTotals(price, budget)
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
async def any_teacher(options: TeacherOptions, folder: RunFolder) -> AsyncGenerator[Teacher]:
    """The rule teacher of trajectories for the model `rules` without an address; else as above."""
    if options.model == RULES and not options.base_url:
        from astra.testing.rule_teacher.trajectories import (
            TrajectoryRules,  # late: only for who asks for it
        )

        yield TrajectoryRules(seed=options.seed)
        return
    async with open_teacher(options, folder) as teacher:
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
