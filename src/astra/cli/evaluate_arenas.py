"""`astra evaluate arenas`: a model or a reference policy on arenas."""

from __future__ import annotations

import asyncio

from astra.cli.command import command_from
from astra.cli.console import print_json
from astra.cli.evaluation_report import counting_episodes, print_report
from astra.configs.evaluation import EvaluateConfig
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
    with counting_episodes(config.progress) as count:
        report = asyncio.run(evaluate(config, on_episode=count))
    if as_json:
        print_json(report.summary.model_dump(mode="json"))
    else:
        print_report(report.summary, report.path if config.out is not None else None)
    return 1 if report.f1 is None else 0
