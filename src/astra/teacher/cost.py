"""Costs of a teacher: tokens, seconds and money, per prompt and in total; a budget; an estimate.

Tokens are the endpoint's own count. Where it reports none, none are counted, and `unreported` says
for how many requests. Money comes from the user's table of prices only: without a price it is
unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from astra.configs.files import read_toml
from astra.configs.spelling import option_name
from astra.errors import BudgetExceeded, ConfigError
from astra.runs.cost import bill
from astra.teacher.prompt import Prompt
from astra.teacher.render import PromptTemplates
from astra.types import Record, Usage

_MILLION = 1_000_000


class Price(Record):
    """Money per million tokens of one model, in whatever currency the table is in."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Price of input tokens that the endpoint had cached. None: the same as `input`."""

    def of(self, usage: Usage) -> float:
        """Money that these tokens cost."""
        # Endpoints count cached tokens within the prompt's; some report more than the prompt has.
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        rate = self.input if self.cached is None else self.cached
        fresh = (usage.prompt_tokens - cached) * self.input
        return (fresh + cached * rate + usage.completion_tokens * self.output) / _MILLION


def read_prices(path: Path) -> dict[str, Price]:
    """The `[prices."model-name"]` sections of a TOML file; ConfigError says what is wrong."""
    table = read_toml(path).get("prices", {})
    if not isinstance(table, Mapping):
        raise ConfigError(f'{str(path)!r}: prices must be sections [prices."model-name"]')
    prices: dict[str, Price] = {}
    for name, value in table.items():
        try:
            prices[str(name)] = Price.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"{str(path)!r}: the price of {name!r} is wrong: {where}: {first['msg']}; write "
                "input = 0.15, output = 0.60 and perhaps cached = 0.075, per million tokens"
            ) from error
    return prices


class Cost(Record):
    """Cost of one prompt, or of all prompts."""

    answers: int = 0
    """Number of answers that were paid for."""
    replayed: int = 0
    """Number of answers from the record, which cost nothing."""
    failed: int = 0
    """Number of times that a prompt got no usable answer, retries included."""
    requests: int = 0
    """Number of replies of the model, unusable ones included."""
    unreported: int = 0
    """Number of replies without a count of tokens."""
    usage: Usage = Usage()
    seconds: float = 0.0
    """Time spent waiting for replies, summed over concurrent requests."""
    money: float | None = None
    """None if the model has no price."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            answers=self.answers + other.answers,
            replayed=self.replayed + other.replayed,
            failed=self.failed + other.failed,
            requests=self.requests + other.requests,
            unreported=self.unreported + other.unreported,
            usage=self.usage + other.usage,
            seconds=self.seconds + other.seconds,
            money=None if self.money is None or other.money is None else self.money + other.money,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper bounds of money and tokens. None: no bound.

    `spent` and `spent_tokens` were used before this process started.
    """

    money: float | None = None
    tokens: int | None = None
    spent: float = 0.0
    spent_tokens: int = 0

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return self.money is not None or self.tokens is not None

    def check(self, cost: Cost) -> None:
        """Raise `BudgetExceeded` if nothing is left. Call it before each request."""
        # Requests in flight are not counted yet: together they may exceed the budget.
        money = self.spent + (cost.money or 0.0)
        tokens = self.spent_tokens + cost.usage.prompt_tokens + cost.usage.completion_tokens
        if self.money is not None and money >= self.money:
            self._stop(f"{money:.4f} of the {self.money:g} that may be spent")
        if self.tokens is not None and tokens >= self.tokens:
            self._stop(f"{tokens} of the {self.tokens} tokens that may be used")

    def _stop(self, what: str) -> None:
        raise BudgetExceeded(
            f"the budget is used up: {what}. What was done is on record; give a larger budget to "
            "the same command to go on"
        )


class CostTotals:
    """Costs of one run's teacher, per prompt and in total. Each reply is billed to its stage."""

    def __init__(
        self, price: Price | None = None, budget: Budget | None = None, *, model: str = ""
    ) -> None:
        if budget is not None and budget.money is not None and price is None:
            raise ConfigError(
                'a budget of money needs the model\'s price: give [prices."model-name"] with '
                "input and output per million tokens, or a budget of tokens"
            )
        self._price = price
        self._model = model
        self._budget = budget or Budget()
        self._none = Cost(money=None if price is None else 0.0)
        self._total = self._none
        self._prompts: dict[str, Cost] = {}

    @property
    def total(self) -> Cost:
        return self._total

    @property
    def prompts(self) -> Mapping[str, Cost]:
        """Per name of a prompt, in the order of first use."""
        return dict(self._prompts)

    def check(self) -> None:
        """Raise `BudgetExceeded` if the budget is used up, or can't be measured."""
        self._budget.check(self._total)
        blind = 0 < self._total.requests == self._total.unreported
        if blind and self._budget.bounded:
            raise BudgetExceeded(
                "no budget can be kept: the endpoint reports no tokens. Leave the budget out, and "
                f"limit {option_name('count')} instead"
            )

    def request(self, prompt: str, usage: Usage, seconds: float) -> None:
        """Count one reply, usable or not."""
        money = None if self._price is None else self._price.of(usage)
        # An endpoint without counts sends none, which the client reads as zeros.
        unreported = int(usage == Usage())
        self._add(
            prompt,
            Cost(requests=1, unreported=unreported, usage=usage, seconds=seconds, money=money),
        )
        bill(usage, money, model=self._model)

    def answered(self, prompt: str) -> None:
        """Count an answer that was paid for."""
        self._add(prompt, self._none.model_copy(update={"answers": 1}))

    def replayed(self, prompt: str) -> None:
        """Count an answer from the record."""
        self._add(prompt, self._none.model_copy(update={"replayed": 1}))

    def failed(self, prompt: str) -> None:
        """Count a prompt that could not be answered."""
        self._add(prompt, self._none.model_copy(update={"failed": 1}))

    def _add(self, prompt: str, cost: Cost) -> None:
        self._total += cost
        self._prompts[prompt] = self._prompts.get(prompt, self._none) + cost


# --- before spending ---------------------------------------------------------------------------

REPLY_TOKENS = 400
"""Assumed length of a reply, where nothing better is known."""


class Estimate(Record):
    """Estimated cost of prompts, for `--dry-run`."""

    requests: int = 0
    usage: Usage = Usage()
    money: float | None = None
    note: str = (
        "an estimate: a token is taken for four characters (one, where they are not ASCII), "
        "nothing for reasoning, for asking again, or for what the endpoint has cached"
    )


class Estimator:
    """Adds up estimates over prompts that would be sent."""

    def __init__(self, templates: PromptTemplates, price: Price | None = None) -> None:
        self._templates = templates
        self._price = price
        self._requests = 0
        self._usage = Usage()

    def add(
        self,
        prompt: Prompt[Any, Any],
        given: Record,
        *,
        times: int = 1,
        reply_tokens: int = REPLY_TOKENS,
    ) -> None:
        """Count a prompt that is sent `times` times."""
        messages = self._templates.messages(prompt, given)
        tokens = sum(estimated_tokens(message.content) for message in messages)
        self._requests += times
        self._usage += Usage(prompt_tokens=tokens * times, completion_tokens=reply_tokens * times)

    def result(self) -> Estimate:
        """The sum of what was added."""
        money = None if self._price is None else self._price.of(self._usage)
        return Estimate(requests=self._requests, usage=self._usage, money=money)


def estimated_tokens(text: str) -> int:
    """Approximate number of tokens of a text."""
    # Four characters a token in ASCII; Chinese takes about a token a character.
    plain = sum(map(str.isascii, text))
    return (plain + 3) // 4 + len(text) - plain
