"""`astra runs plot`: curves of what training runs logged, as PNG and CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astra.cli.console import out, print_json
from astra.cli.options import AsJson, require_training


def plot_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Run folders.", show_default=False)
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the files.", show_default=False)
    ],
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Only these.  [default: all]")
    ] = None,
    over: Annotated[str, typer.Option(help="The horizontal axis: a logged number.")] = "step",
    as_json: AsJson = False,
) -> None:
    """Draw one PNG per metric, a line per run, and write the same numbers as CSV.

    \b
    Examples:
      astra runs plot runs/sft --out plots
      astra runs plot runs/a runs/b --metric loss --over num_tokens --out plots
    """
    require_training()
    from astra.training.plots import plot

    files = plot(runs, out_folder, metrics or None, over)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        out().print(f"{len(files)} files in {out_folder}", markup=False)
