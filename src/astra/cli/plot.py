"""`astra plot`: curves of the metrics of training runs, as PNG and CSV."""

from __future__ import annotations

from pathlib import Path

from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.configs.base import paths
from astra.configs.runs import PlotConfig
from astra.training.requirements import require_training


@command_from(
    PlotConfig,
    examples=[
        "astra plot runs/sft --out plots",
        "astra plot runs/a runs/b --metric loss --x-axis num_tokens --out plots",
    ],
)
def command(config: PlotConfig, *, as_json: bool) -> None:
    """Plot the metrics of training runs.

    One PNG per metric with a line per run, and the same numbers as CSV.
    """
    require_training()
    from astra.training.plots import plot

    metrics = list(config.metric) or None
    files = plot(paths(config.runs), Path(config.out), metrics, config.x_axis)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        out().print(f"{len(files)} files in {config.out}", markup=False)
