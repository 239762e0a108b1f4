"""`astra arenas evaluate`: play a run folder's arenas with a policy or a model, and report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.arenas.sets import load_arenas
from astra.cli.console import err, plain, print_json
from astra.cli.episodes import Episodes, api_key, label, print_report
from astra.cli.options import AsJson, KeyEnv, Run, SandboxLevel
from astra.errors import ConfigError
from astra.evaluation.arenas import EvaluationSummary, ModelFactory, evaluate_arenas
from astra.models.openai import OpenAIModel
from astra.models.policies import Policy, policy
from astra.protocols import Sampling
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox

_INTERRUPTED = 130


def evaluate_command(
    run: Run,
    policy_name: Annotated[
        Policy | None, typer.Option("--policy", help="A reference policy.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a model of an endpoint.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The OpenAI-compatible endpoint, e.g. http://host:8000/v1")
    ] = None,
    api_key_env: KeyEnv = None,
    split: Annotated[
        Literal["train", "test"] | None, typer.Option(help="Only arenas of this split.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Episodes per arena.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of policy, sandbox and bootstrap.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first arenas.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes at once.")] = 16,
    turns: Annotated[int, typer.Option(min=1, help="Most messages of the model an episode.")] = 32,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Of the model; default: the endpoint's.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one message.")
    ] = None,
    reward: Annotated[Reward, typer.Option(help="Which reward the episodes carry.")] = "f1",
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
    out_path: Annotated[
        Path | None,
        typer.Option("--out", help="File for the episodes; default: one in the run folder."),
    ] = None,
) -> None:
    """Play arenas with a reference policy or a model; print the scores, keep the episodes.

    Exit status 1 when no episode could be scored.

    \b
    Examples:
      astra arenas evaluate runs/world --policy random
      astra arenas evaluate runs/world --model NAME --base-url http://localhost:8000/v1
    """
    if (policy_name is None) == (model is None):
        raise ConfigError("say who plays: either --policy NAME, or --model NAME --base-url URL")
    arenas = load_arenas(run, split)[:limit]
    total = samples * len(arenas)
    path = out_path or run / f"episodes-{label(policy_name or model or '')}.jsonl"
    limits = RolloutLimits(
        turns=turns, sampling=Sampling(temperature=temperature, max_tokens=max_tokens)
    )

    async def main() -> EvaluationSummary:
        async with (
            _player(policy_name, model, base_url, api_key(api_key_env), seed) as player,
            open_sandbox(sandbox) as server,
        ):
            with Episodes(path, total, quiet=as_json) as episodes:
                return await evaluate_arenas(
                    arenas,
                    player,
                    server,
                    limits,
                    samples=samples,
                    seed=seed,
                    reward=reward,
                    concurrency=concurrency,
                    store=episodes.add,
                )

    try:
        report = asyncio.run(main())
    except KeyboardInterrupt:
        text = f"interrupted: {path} holds the episodes so far; the same command begins anew"
        err().print(plain(text), soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_report(report, path)
    if report.f1 is None:
        raise typer.Exit(1)


@asynccontextmanager
async def _player(
    name: Policy | None, model: str | None, base_url: str | None, key: str | None, seed: int
) -> AsyncGenerator[ModelFactory]:
    if name is not None:
        yield lambda arena, sample: policy(name, arena, seed + sample)
        return
    if model is None or base_url is None:
        raise ConfigError("--model needs --base-url, e.g. --base-url http://localhost:8000/v1")
    async with OpenAIModel(model, base_url, key) as endpoint:
        yield lambda arena, sample: endpoint
