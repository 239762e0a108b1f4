"""`astra evaluate compare`: two evaluations, paired by arena."""

from __future__ import annotations

from astra.cli.benchmark_report import print_comparison
from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.cli.evaluation_report import figure
from astra.configs.evaluation import CompareConfig
from astra.errors import ConfigError
from astra.evaluation.benchmarks.report import compare_benchmarks
from astra.evaluation.benchmarks.run import SOURCES, episodes_of
from astra.evaluation.evaluate import compare_reports
from astra.evaluation.paired import MEASURES
from astra.runs.folder import RunFolder


@command_from(CompareConfig, examples=["astra evaluate compare runs/eval-rl runs/eval-sft"])
def command(config: CompareConfig, *, as_json: bool) -> None:
    """Compare two evaluations, paired by item, with intervals.

    Prints the first minus the second, over the arenas, or the tasks of a benchmark, that both have
    scored episodes of.
    """
    folders = RunFolder.open(config.first), RunFolder.open(config.second)
    of_benchmarks = [folder.exists(SOURCES) for folder in folders]
    if all(of_benchmarks):
        first, second = (str(folder.config().get("command")) for folder in folders)
        if first != second:
            raise ConfigError(f"these are runs of two benchmarks, {first!r} and {second!r}")
        difference = compare_benchmarks(*map(episodes_of, folders), seed=config.seed)
        if as_json:
            print_json(difference.model_dump(mode="json"))
        else:
            print_comparison(difference, (str(config.first), str(config.second)), config.table)
        return
    if any(of_benchmarks):
        raise ConfigError("one of these runs is of a benchmark, and the other is not")
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
