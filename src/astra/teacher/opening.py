"""The teacher that a command's options name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from astra.configs.base import TeacherConfig
from astra.errors import ConfigError
from astra.models.keys import api_key
from astra.protocols import Sampling
from astra.runs.folder import RunFolder
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Budget, CostTotals, Price, read_prices
from astra.teacher.model import ModelTeacher
from astra.teacher.render import PromptTemplates

RULES = "rules"
"""Name of the teacher that needs no endpoint; each pipeline has its own."""


@asynccontextmanager
async def open_teacher(
    config: TeacherConfig, folder: RunFolder, *, seed: int, earlier: RunFolder | None = None
) -> AsyncGenerator[ModelTeacher]:
    """A model as the teacher, its answers recorded unless `cache` is off.

    `seed`: sent with each request, raised by the index of the answer, so that several verdicts on
    one point are independent even if the endpoint samples by seed alone. `earlier`: another run,
    whose recorded answers are used where the same is asked.
    """
    from astra.models.openai import OpenAIModel  # late: a second, which runs by rule can do without

    name, url = config.teacher, config.teacher_url
    assert name is not None and url is not None  # see `TeacherConfig.check`
    price = model_price(config.prices, name)
    spent = sum(stage.dollars for stage in folder.manifest().stages.values())
    key = api_key(config.teacher_key_env)
    model = OpenAIModel(name, url, key, timeout=config.teacher_timeout)
    templates = Path(config.prompt_templates) if config.prompt_templates else None
    async with model:
        before = nullcontext() if earlier is None else AnswerCache(earlier)
        with (
            before as known,
            AnswerCache(folder, earlier=known) if config.cache else nullcontext() as cache,
        ):
            # A killed run may have recorded answers that its manifest does not count yet.
            paid = {} if cache is None else cache.stage_usage
            spent += folder.recover_costs(name, paid, price.of if price else None)
            yield ModelTeacher(
                model,
                templates=PromptTemplates(templates) if templates else PromptTemplates(),
                cache=cache,
                costs=CostTotals(price, Budget(money=config.budget, spent=spent), model=name),
                sampling=Sampling(
                    seed=seed,
                    temperature=config.teacher_temperature,
                    max_tokens=config.teacher_max_tokens,
                ),
            )


def model_price(prices: Path | str | None, model: str) -> Price | None:
    """A model's price from a file of prices. Raises ConfigError if the file lacks the model."""
    if prices is None:
        return None
    known = read_prices(Path(prices))
    if model not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigError(f'{str(prices)!r} has no [prices."{model}"] (it has {names}): add it')
    return known[model]
