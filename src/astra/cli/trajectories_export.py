"""`astra trajectories export`: judged rollouts as a data set for training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from astra.cli.console import err, out, plain, print_json
from astra.cli.options import AsJson, Run
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.export.dataset import ExportResult, export_dataset
from astra.trajectories.export.options import ExportOptions
from astra.trajectories.export.rows import RowFormat

_NEAR = 0.02
"""Difference of shares up to which one counts as met."""


def export_command(
    run: Run,
    out_path: Annotated[
        Path, typer.Option("--out", help="Folder of the data set.", show_default=False)
    ],
    form: Annotated[
        RowFormat,
        typer.Option(
            "--format",
            help="Layout of the rows. trl: messages and tools, as SFTTrainer takes them; "
            "sharegpt: from/value pairs; astra: that of the published data.",
        ),
    ] = "trl",
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Least reward of a row.")] = 0.0,
    per_task: Annotated[
        int | None, typer.Option(min=1, help="Most rows per task, the best.  [default: all]")
    ] = None,
    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of rows held out, by server.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Which servers are held out.")] = 0,
    judgements: Annotated[
        str, typer.Option(help="Which judgements count, e.g. judgements-strict.")
    ] = "judgements",
    tools: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the collected tools, for the domains.  [default: as the run says]",
            show_default=False,
        ),
    ] = None,
    license_: Annotated[
        str, typer.Option("--license", help="Of the data, for the card, e.g. cc-by-4.0.")
    ] = "other",
    parquet: Annotated[bool, typer.Option("--parquet", help="Write Parquet files, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write judged rollouts as a data set: rows, train and test split, data card.

    A row is left out, with its reason in excluded.jsonl, when it has no score or too low a one,
    does not end with an answer, or can't be expressed in any family's chat template.

    \b
    Examples:
      astra trajectories export runs/traj --min-score 0.8 --out sft/
      astra trajectories export runs/traj --format sharegpt --per-task 1 --out sharegpt/
    """
    folder = RunFolder.open(run)
    options = ExportOptions(
        format=form,
        min_score=min_score,
        max_per_task=per_task,
        test_fraction=test_share,
        seed=seed,
        judgements=judgements,
        license=license_,
        parquet=parquet,
    )
    done = export_dataset(folder, out_path, options, tools or _tools(folder))
    if as_json:
        print_json({"out": str(out_path), **asdict(done)})
    else:
        _print(done, out_path)
    _tell_share(done, test_share)


def _tools(folder: RunFolder) -> Path | None:
    """The folder of tools that the run was made from, where it still is."""
    named = folder.config().get("tools")
    if named is None:
        return None
    if not Path(named).is_dir():
        raise ConfigError(
            f"the run was made from the tools in {named!r}, which is not there: give --tools FOLDER"
        )
    return Path(named)


def _print(done: ExportResult, path: Path) -> None:
    console = out()
    counts = ", ".join(f"{count} {split}" for split, count in done.rows.items())
    console.print(plain(f"{counts} rows in {path}"), soft_wrap=True)
    for check, count in done.excluded.items():
        console.print(plain(f"  {count} left out by {check}"))
    for family, count in done.unrenderable.items():
        if count:
            console.print(plain(f"  {count} rows can't be expressed in the template of {family}"))


def _tell_share(done: ExportResult, wanted: float) -> None:
    """Say on stderr when the share of test rows is not the one that was asked for."""
    rows = sum(done.rows.values())
    got = done.rows["test"] / rows
    if abs(got - wanted) <= max(_NEAR, 1 / rows):
        return
    whole = (
        "all servers hang together, by tasks or by tools that they share"
        if done.groups == 1
        else f"the rows come from {done.groups} groups of servers, and each stays whole, so that "
        "test tools are unseen"
    )
    err().print(
        f"--test-share {wanted:g} can't be met: {done.rows['test']} of {rows} rows "
        f"({got:.1%}) are held out, since {whole}",
        soft_wrap=True,
        highlight=False,
    )
