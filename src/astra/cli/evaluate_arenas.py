"""`astra evaluate arenas`: a model or a reference policy on arenas."""

from __future__ import annotations

import asyncio
import sys

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from astra.cli.command import command_from
from astra.cli.console import err, print_json
from astra.cli.evaluation_report import print_report
from astra.configs.evaluation import EvaluateConfig
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.evaluate import evaluate


@command_from(
    EvaluateConfig,
    examples=[
        "astra evaluate arenas runs/world --policy shuffled",
        "astra evaluate arenas runs/world --model runs/rl/final --samples 4 --out runs/eval-rl",
        "astra evaluate arenas runs/world --model NAME --base-url http://localhost:8000/v1",
    ],
)
def command(config: EvaluateConfig, *, as_json: bool) -> int:
    """Evaluate a model, or a reference policy, on arenas.

    Exit status 1 if no episode could be scored.
    """
    hidden = config.progress is False or not sys.stderr.isatty()
    with Progress(
        TextColumn("episodes"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
        disable=hidden,
    ) as progress:
        bar = progress.add_task("episodes", total=None, failed=0)
        failed = 0

        def show(episode: PlayedEpisode, total: int) -> None:
            nonlocal failed
            failed += episode.score is None
            progress.update(bar, advance=1, total=total, failed=failed)

        report = asyncio.run(evaluate(config, on_episode=show))
    if as_json:
        print_json(report.summary.model_dump(mode="json"))
    else:
        print_report(report.summary, report.path if config.out is not None else None)
    return 1 if report.f1 is None else 0
