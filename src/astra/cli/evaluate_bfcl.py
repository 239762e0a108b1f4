"""`astra evaluate bfcl`: a model by BFCL's own data and checkers."""

from __future__ import annotations

from astra.cli.benchmark_report import evaluate_by
from astra.cli.command import command_from
from astra.configs.benchmarks import BfclConfig
from astra.evaluation.benchmarks.bfcl import BFCL


@command_from(
    BfclConfig,
    examples=[
        "astra evaluate bfcl --policy gold --categories multi_turn",
        "astra evaluate bfcl --model NAME --base-url http://localhost:8000/v1 --trials 4 "
        "--out runs/bfcl",
    ],
)
def command(config: BfclConfig, *, as_json: bool) -> int:
    """Evaluate a model by BFCL's own data and checkers.

    Needs `astra evaluate setup bfcl` once. Exit status 1 if an episode has no score.
    """
    return evaluate_by(BFCL, config, as_json=as_json)
