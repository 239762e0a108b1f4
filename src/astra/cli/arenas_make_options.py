"""What the options of `astra arenas make` say, as values; ConfigError for what they can't."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from astra.arenas.scenarios import PAPER_SHARES
from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.source import PAPER_LANGUAGES
from astra.cli.arenas_make_model import TeacherOptions
from astra.cli.options import as_shares
from astra.errors import ConfigError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.protocols import Embedder
from astra.types import Language, Scenario


def check_finite(options: Mapping[str, float | None]) -> None:
    """No option is infinite, as a range without an upper end lets it be, or NaN."""
    for name, value in options.items():
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"--{name} {value!r}: write a finite number")


def teacher_options(
    model: str | None,
    base_url: str | None,
    *,
    api_key_env: str | None,
    seed: int,
    temperature: float | None,
    max_tokens: int | None,
    timeout: float,
    prices: Path | None,
    budget: float | None,
    cache: bool,
    prompts: Path | None,
) -> TeacherOptions | None:
    """The teacher that was asked for; None: none was."""
    if model is None and base_url is None:
        if api_key_env or budget is not None or prompts:
            raise ConfigError("--api-key-env, --budget and --prompts are of a teacher: add --model")
        return None
    if model is None or base_url is None:
        raise ConfigError("--model and --base-url go together: give both, or neither")
    return TeacherOptions(
        model=model,
        base_url=base_url,
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


def check_tables_options(
    questions: Path | None,
    corpus: Path | None,
    domains: Path | None,
    teacher: TeacherOptions | None,
    *,
    paraphrase: bool,
    dry: bool,
) -> None:
    """Nothing that is asked for beside tables is left undone without a word."""
    if questions or corpus or domains:
        raise ConfigError("give one of --tables, --questions, --corpus and --domains")
    if paraphrase and teacher is None:
        raise ConfigError("--paraphrase needs a teacher: add --model and --base-url")
    if teacher is not None and not paraphrase:
        raise ConfigError("tables need no teacher: add --paraphrase, or leave --model out")
    if dry and teacher is None:
        raise ConfigError("--dry-run is for what a teacher costs: tables alone cost nothing")


def as_languages(text: str) -> dict[Language, float]:
    """Languages with their shares."""
    shares = cast(dict[Language, float], as_shares(text, "--languages", get_args(Language)))
    if set(shares) == set(PAPER_LANGUAGES) and "=" not in text:
        return dict(PAPER_LANGUAGES)
    return {language: share for language, share in shares.items() if share > 0}


def as_scenarios(text: str | None) -> dict[Scenario, float]:
    """Scenarios with their shares; the paper's where none were given."""
    if text is None:
        return dict(PAPER_SHARES)
    shares = as_shares(text, "--scenarios", [scenario.value for scenario in Scenario])
    return {Scenario(name): share for name, share in shares.items()}


def as_operations(text: str | None) -> frozenset[str] | None:
    """`lookup,find` as the operations that are asked for; None: all of them."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown or not names:
        known = ", ".join(OPERATIONS)
        raise ConfigError(f"--operations {text!r}: {unknown or 'nothing'} is none of {known}")
    return frozenset(names)


def open_embedder(model: str | None, base_url: str | None, key_env: str | None) -> Embedder:
    """The embedder of the distractors."""
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
