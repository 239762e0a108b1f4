"""`astra evaluate maths`: a model on the user's problems with verifiable answers."""

from __future__ import annotations

from astra.cli.benchmark_report import evaluate_by
from astra.cli.command import command_from
from astra.configs.benchmarks import MathsConfig
from astra.evaluation.benchmarks.maths import MATHS


@command_from(
    MathsConfig,
    examples=[
        "astra evaluate maths --problems aime24.jsonl --policy gold",
        "astra evaluate maths --problems aime24.jsonl --model NAME "
        "--base-url http://localhost:8000/v1 --samples 32 --out runs/aime24",
    ],
)
def command(config: MathsConfig, *, as_json: bool) -> int:
    """Evaluate a model on problems of yours with verifiable answers.

    Needs `astra evaluate setup maths` once. Exit status 1 if an episode has no score.
    """
    return evaluate_by(MATHS, config, as_json=as_json)
