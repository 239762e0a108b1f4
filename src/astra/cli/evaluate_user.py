"""`astra evaluate user`: the mistakes of a model that plays the user of τ²."""

from __future__ import annotations

from astra.cli.benchmark_report import evaluate_by
from astra.cli.command import command_from
from astra.configs.benchmarks import ProbeTau2UserConfig
from astra.evaluation.benchmarks.tau2 import TAU2_USER


@command_from(
    ProbeTau2UserConfig,
    examples=[
        "astra evaluate user --model USER --base-url http://localhost:8001/v1 --trials 4 "
        "--out runs/user",
        "astra evaluate user --policy gold",
    ],
)
def command(config: ProbeTau2UserConfig, *, as_json: bool) -> int:
    """Measure the mistakes of a model that plays the user of τ².

    Shows it situations of τ²'s own tasks in which a mistake would show, one kind a category; the
    score is the share without one. Needs `astra evaluate setup tau2` once.
    """
    return evaluate_by(TAU2_USER, config, as_json=as_json)
