"""`astra evaluate tau2`: a model by τ²'s own tasks, environments and evaluator."""

from __future__ import annotations

from astra.cli.benchmark_report import evaluate_by
from astra.cli.command import command_from
from astra.configs.benchmarks import Tau2Config
from astra.evaluation.benchmarks.tau2 import TAU2


@command_from(
    Tau2Config,
    examples=[
        "astra evaluate tau2 --policy gold --categories telecom,retail,airline",
        "astra evaluate tau2 --model NAME --base-url http://localhost:8000/v1 --trials 4 "
        "--out runs/telecom",
        "astra evaluate tau2 --categories retail --model NAME --base-url http://localhost:8000/v1 "
        "--user-model USER --user-url http://localhost:8001/v1 --out runs/retail",
    ],
)
def command(config: Tau2Config, *, as_json: bool) -> int:
    """Evaluate a model by τ²'s own tasks, environments and evaluator.

    Needs `astra evaluate setup tau2` once. Exit status 1 if an episode has no score.
    """
    return evaluate_by(TAU2, config, as_json=as_json)
