"""`astra arenas evaluate`: play a run folder's arenas with a policy or a model, and report."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from astra.arenas.folder import ARENAS, read_arenas
from astra.cli.console import err, out, plain, print_json
from astra.cli.options import AsJson, Run, SandboxLevel
from astra.errors import ConfigError
from astra.evaluation.arenas import PlayedEpisode, Player, Report, Shown, evaluate
from astra.models.openai import OpenAIModel
from astra.models.policies import Policy, policy
from astra.ports import Sampling
from astra.rewards import Reward
from astra.rollout import RolloutLimits
from astra.sandbox import open_sandbox
from astra.store import RunFolder, to_line

_INTERRUPTED = 130
_GROUPS = (("scenario", "by_scenario"), ("hops", "by_hops"), ("language", "by_language"))


def evaluate_command(
    run: Run,
    policy_name: Annotated[
        Policy | None, typer.Option("--policy", help="A reference policy.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a model of an endpoint.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The OpenAI-compatible endpoint, e.g. http://host:8000/v1")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the endpoint's key.")
    ] = None,
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
    arenas = _at_least_one(islice(read_arenas(run, split), limit), run, split)
    total = samples * sum(1 for _ in islice(_of_split(run, split), limit))
    path = out_path or run / f"episodes-{_label(policy_name or model or '')}.jsonl"
    limits = RolloutLimits(
        turns=turns, sampling=Sampling(temperature=temperature, max_tokens=max_tokens)
    )

    async def main() -> Report:
        async with (
            _player(policy_name, model, base_url, _key(api_key_env), seed) as player,
            open_sandbox(sandbox) as server,
        ):
            with _Episodes(path, total, quiet=as_json) as episodes:
                return await evaluate(
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
        _print(report, path)
    if report.f1 is None:
        raise typer.Exit(1)


@asynccontextmanager
async def _player(
    name: Policy | None, model: str | None, base_url: str | None, key: str | None, seed: int
) -> AsyncGenerator[Player]:
    if name is not None:
        yield lambda arena, sample: policy(name, arena, seed + sample)
        return
    if model is None or base_url is None:
        raise ConfigError("--model needs --base-url, e.g. --base-url http://localhost:8000/v1")
    async with OpenAIModel(model, base_url, key) as endpoint:
        yield lambda arena, sample: endpoint


def _key(variable: str | None) -> str | None:
    """The key. No variable is read unless named, so that no endpoint gets another's key."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"the environment variable {variable!r} is not set: export the key in it")
    return key


def _label(name: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def _of_split(run: Path, split: str | None) -> Iterator[object]:
    """As many as there are arenas of the split; what does not fit is for the reading to say."""
    for _, row in RunFolder.open(run).values(ARENAS):
        if split in (None, row.get("split")):
            yield row


def _at_least_one(arenas: Iterator[Shown], run: Path, split: str | None) -> Iterator[Shown]:
    """The arenas; ConfigError when there are none, so that an empty report never looks fine."""
    first = next(arenas, None)
    if first is None:
        which = f"of split {split!r} " if split else ""
        raise ConfigError(
            f"{str(run)!r} holds no arenas {which}: make some, or name another folder"
        )
    return chain([first], arenas)


class _Episodes:
    """Writes the episodes as they come and shows how many there are."""

    def __init__(self, path: Path, total: int, *, quiet: bool) -> None:
        self._path = path
        self._progress = Progress(
            TextColumn("episodes"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=err(),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("episodes", total=total, failed=0)
        self._failed = 0

    def __enter__(self) -> _Episodes:
        with _named(self._path):
            self._file = self._path.open("wb")
        self._progress.start()
        return self

    def add(self, episode: PlayedEpisode) -> None:
        with _named(self._path):
            self._file.write(to_line(episode))
        self._failed += episode.score is None
        self._progress.update(self._task, advance=1, failed=self._failed)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        with _named(self._path):
            self._file.close()


@contextmanager
def _named(path: Path) -> Generator[None]:
    """What the operating system says of a file, with its name and what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"can't write {str(path)!r}: {error.strerror}. Choose another --out"
        ) from error


def _print(report: Report, path: Path) -> None:
    console = out()
    if report.f1 is None:
        console.print("No episode could be scored.")
    else:
        f1 = report.f1
        console.print(f"F1 {f1.mean:.3f}  (95 % interval {f1.low:.3f} to {f1.high:.3f})")
        table = Table("", "episodes", "F1", "recall", "precision")
        for title, field in _GROUPS:
            for name, group in getattr(report, field).items():
                table.add_row(
                    f"{title} {name}",
                    str(group.episodes),
                    *(_figure(v) for v in (group.f1, group.recall, group.precision)),
                )
        table.add_section()
        means = (report.f1.mean, report.recall, report.precision)
        table.add_row("all", str(report.episodes), *(_figure(v) for v in means))
        console.print(table)
        console.print(
            f"per episode: {_figure(report.solved)} goals solved, {_figure(report.calls)} calls, "
            f"{_figure(report.turns)} turns\n"
            f"final answers right: {_figure(report.answer_correct)} of the scored episodes"
        )
    stops = ", ".join(f"{count} {name}" for name, count in report.stop_reasons.items())
    console.print(f"{report.arenas} arenas, {report.episodes} episodes; ended by: {stops}")
    if report.infrastructure_failures:
        console.print(
            f"{report.infrastructure_failures} episodes ({report.failure_rate:.1%}) broke on our "
            "side or the endpoint's; they are not scored:"
        )
        for message, count in report.errors.items():
            console.print(plain(f"  {count} × {message}", "red", limit=600), soft_wrap=True)
    console.print(plain(f"episodes: {path}"), soft_wrap=True)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
