"""`astra evaluate arenas`: what a model is worth on arenas, alone and against another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from astra.arenas.sets import ArenaSet, DistractorSource, load_arenas
from astra.cli.console import out, plain, print_json
from astra.cli.episodes import Episodes, api_key, figure, label, print_report
from astra.cli.options import AsJson, KeyEnv, PerBand, Run, SandboxLevel
from astra.errors import ConfigError
from astra.evaluation.arenas import (
    EvaluationSummary,
    PlayedEpisode,
    play,
    tallied,
)
from astra.evaluation.paired import MEASURES, PairedComparison, compare
from astra.models.openai import OpenAIModel
from astra.protocols import Sampling, Sandbox
from astra.rewards import Reward
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.sandbox import open_sandbox
from astra.types import Arena

if TYPE_CHECKING:
    from astra.engines.transformers import TransformersEngine


class SamplingPass(NamedTuple):
    """One way of sampling."""

    name: str
    temperature: float
    samples: int


class PlayedPass(NamedTuple):
    """What a model did in one pass."""

    report: EvaluationSummary
    path: Path


def arenas_command(
    run: Run,
    model: Annotated[
        list[str],
        typer.Option(help="A model folder or HuggingFace id, or an endpoint's name; up to two."),
    ],
    base_url: Annotated[
        str | None, typer.Option(help="The OpenAI-compatible endpoint that has the model.")
    ] = None,
    api_key_env: KeyEnv = None,
    split: Annotated[Literal["train", "test"], typer.Option(help="Arenas to play.")] = "test",
    samples: Annotated[int, typer.Option(min=0, help="Sampled episodes per arena; 0: none.")] = 4,
    temperature: Annotated[float, typer.Option(min=0, help="Of the sampled episodes.")] = 1.0,
    greedy: Annotated[bool, typer.Option(help="Also one episode at temperature 0.")] = True,
    distractors: Annotated[
        DistractorSource, typer.Option(help="Irrelevant tools; stored: those of the folder.")
    ] = "stored",
    per_band: PerBand = None,
    against: Annotated[
        Path | None, typer.Option(help="Episodes of another model, to compare the last pass with.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first arenas.")] = None,
    turns: Annotated[int, typer.Option(min=1, help="Most messages of the model an episode.")] = 32,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one message.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Most tokens of an episode, for local models.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes at once.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of sampling, distractors and bootstrap.")] = 0,
    reward: Annotated[Reward, typer.Option(help="Which reward the episodes carry.")] = "f1",
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the episodes; default: RUN.")
    ] = None,
) -> None:
    """Play arenas with a model on this machine or of an endpoint; report, keep the episodes.

    With two models, or --against, the last pass is compared arena by arena. Exit status 1 when no
    episode could be scored.

    \b
    Examples:
      astra evaluate arenas runs/world --model runs/rl/final --samples 4
      astra evaluate arenas runs/world --model runs/rl/final --model runs/sft/final
      astra evaluate arenas runs/world --model NAME --base-url http://localhost:8000/v1
    """
    passes = [SamplingPass("greedy", 0.0, 1)] if greedy else []
    passes += [SamplingPass("sampled", temperature, samples)] if samples else []
    if not passes or len(model) > 2:
        raise ConfigError("give one or two models, and --samples of at least 1 or --greedy")
    _check_comparison(model, against)
    folder = out_folder or run
    folder.mkdir(parents=True, exist_ok=True)
    key = api_key(api_key_env)

    async def main() -> list[list[PlayedPass]]:
        arenas = load_arenas(run, split)[:limit]
        shown = arenas.with_distractors(distractors, per_band=per_band, seed=seed)
        async with open_sandbox(sandbox) as server:
            played: list[list[PlayedPass]] = []
            for name in model:
                async with _who(name, base_url, key, context, concurrency) as who:
                    played.append([])
                    for one in passes:
                        path = folder / f"episodes-{label(name)}-{one.name}.jsonl"
                        limits = RolloutLimits(
                            turns=turns,
                            sampling=Sampling(temperature=one.temperature, max_tokens=max_tokens),
                        )
                        episodes = who.play(shown, server, limits, one.samples, seed, reward)
                        report = await _kept(
                            episodes, path, len(shown) * one.samples, as_json, seed
                        )
                        played[-1].append(PlayedPass(report, path))
            return played

    played = asyncio.run(main())
    comparison = _compared(played, against, seed)
    _tell(model, passes, played, comparison, as_json=as_json)
    if all(one.report.f1 is None for each in played for one in each):
        raise typer.Exit(1)


# --- who plays -------------------------------------------------------------------------------


class _Endpoint:
    def __init__(self, model: OpenAIModel, concurrency: int) -> None:
        self._model = model
        self._concurrency = concurrency

    def play(
        self,
        shown: ArenaSet,
        sandbox: Sandbox,
        limits: RolloutLimits,
        samples: int,
        seed: int,
        reward: Reward,
    ) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
        return play(
            shown,
            lambda arena, sample: self._model,
            sandbox,
            limits,
            samples=samples,
            seed=seed,
            reward=reward,
            concurrency=self._concurrency,
        )


class _Local:
    def __init__(self, engine: TransformersEngine, wave: int) -> None:
        self._engine = engine
        self._wave = wave

    def play(
        self,
        shown: ArenaSet,
        sandbox: Sandbox,
        limits: RolloutLimits,
        samples: int,
        seed: int,
        reward: Reward,
    ) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
        from astra.evaluation.local import play_in_waves

        return play_in_waves(
            shown,
            self._engine,
            sandbox,
            limits,
            samples=samples,
            seed=seed,
            reward=reward,
            wave=self._wave,
        )


@asynccontextmanager
async def _who(
    name: str, base_url: str | None, key: str | None, context: int | None, concurrency: int
) -> AsyncGenerator[_Endpoint | _Local]:
    async with AsyncExitStack() as stack:
        if base_url is not None:
            endpoint = await stack.enter_async_context(OpenAIModel(name, base_url, key))
            yield _Endpoint(endpoint, concurrency)
        else:
            from astra.engines.loading import load_engine

            yield _Local(load_engine(name, max_length=context), concurrency)


# --- what comes of it ------------------------------------------------------------------------


async def _kept(
    episodes: AsyncGenerator[tuple[Arena, PlayedEpisode]],
    path: Path,
    total: int,
    quiet: bool,
    seed: int,
) -> EvaluationSummary:
    with Episodes(path, total, quiet=quiet) as file:
        return await tallied(episodes, seed, file.add)


def _read(path: Path) -> Iterator[PlayedEpisode]:
    if not path.is_file():
        raise ConfigError(f"there is no file {str(path)!r}: give episodes that a command kept")
    return RunFolder(path.parent).rows(path.name.removesuffix(".jsonl"), PlayedEpisode)


def _check_comparison(models: Sequence[str], against: Path | None) -> None:
    """Raise ConfigError where a comparison would be left out, or be of a model with itself."""
    if len(models) < 2:
        return
    first, second = models
    if against is not None:
        raise ConfigError(
            f"--model {first!r}, --model {second!r} and --against {str(against)!r}: two models "
            "are compared with each other; leave --against or one --model out"
        )
    if label(first) == label(second):
        raise ConfigError(
            f"--model {first!r} and --model {second!r} would keep their episodes in the same "
            f"files, 'episodes-{label(first)}-….jsonl': rename one, or play each with an --out of "
            "its own, the second with --against the episodes of the first"
        )


def _compared(
    played: Sequence[Sequence[PlayedPass]], against: Path | None, seed: int
) -> PairedComparison | None:
    other = played[1][-1].path if len(played) > 1 else against
    return other and compare(_read(played[0][-1].path), _read(other), seed=seed)


def _tell(
    models: Sequence[str],
    passes: Sequence[SamplingPass],
    played: Sequence[Sequence[PlayedPass]],
    comparison: PairedComparison | None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        names = [one.name for one in passes]
        reports = [
            {"model": name} | dict(zip(names, [x.report.model_dump() for x in each], strict=True))
            for name, each in zip(models, played, strict=True)
        ]
        print_json({"models": reports, "comparison": comparison and comparison.model_dump()})
        return
    for name, each in zip(models, played, strict=True):
        for one, result in zip(passes, each, strict=True):
            out().print(plain(f"{name}, {one.name} ({one.samples} per arena)", "bold"))
            print_report(result.report, result.path)
    if comparison is not None:
        _tell_difference(comparison, passes[-1].name)


def _tell_difference(comparison: PairedComparison, name: str) -> None:
    console = out()
    console.print(f"first less second, {name}, on the {comparison.arenas} arenas of both:")
    for measure in MEASURES:
        i = getattr(comparison, measure)
        spread = f"95 % interval {figure(i.low)} to {figure(i.high)}"
        console.print(f"  {measure} {i.mean:+.3f}  ({spread})")
    console.print(f"  F1 higher on {comparison.better} arenas, lower on {comparison.worse}")
