"""`astra evaluate acebench`: a model by ACEBench's own agent tasks and checkers."""

from __future__ import annotations

from astra.cli.benchmark_report import evaluate_by
from astra.cli.command import command_from
from astra.configs.benchmarks import AceBenchConfig
from astra.evaluation.benchmarks.acebench import ACEBENCH


@command_from(
    AceBenchConfig,
    examples=[
        "astra evaluate acebench --data ACEBench --policy gold",
        "astra evaluate acebench --data ACEBench --model NAME "
        "--base-url http://localhost:8000/v1 --trials 4 --out runs/acebench",
        "astra evaluate acebench --data ACEBench --categories multi_turn --model NAME "
        "--base-url http://localhost:8000/v1 --user-model USER "
        "--user-url http://localhost:8001/v1 --out runs/acebench-turns",
    ],
)
def command(config: AceBenchConfig, *, as_json: bool) -> int:
    """Evaluate a model by ACEBench's own agent tasks and checkers.

    Needs `astra evaluate setup acebench` once, and a checkout of its repository. Exit status 1 if
    an episode has no score.
    """
    return evaluate_by(ACEBENCH, config, as_json=as_json)
