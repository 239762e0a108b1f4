"""`astra evaluate compare`: two evaluations, paired by arena."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.cli.evaluation_report import figure
from astra.configs.evaluation import CompareConfig
from astra.evaluation.evaluate import compare_reports
from astra.evaluation.paired import MEASURES


@command_from(CompareConfig, examples=["astra evaluate compare runs/eval-rl runs/eval-sft"])
def command(config: CompareConfig, *, as_json: bool) -> None:
    """Compare two evaluations, paired by item, with intervals.

    Prints the first minus the second, over the arenas that both have scored episodes of.
    """
    comparison = compare_reports(config.first, config.second, seed=config.seed)
    if as_json:
        print_json(comparison.model_dump(mode="json"))
        return
    console = out()
    console.print(f"first minus second, on the {comparison.arenas} arenas of both:")
    for measure in MEASURES:
        i = getattr(comparison, measure)
        interval = f"95 % interval {figure(i.low)} to {figure(i.high)}"
        console.print(f"  {measure} {i.mean:+.3f}  ({interval})")
    console.print(f"  F1 higher on {comparison.better} arenas, lower on {comparison.worse}")
