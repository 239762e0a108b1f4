"""The options of `astra trajectories make` that say which tasks are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astra.cli.options import as_range, as_shares
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.records import TaskOrigin
from astra.trajectories.tasks.chains import ChainCheck, ChainOptions
from astra.trajectories.tasks.personas import read_personas
from astra.trajectories.tasks.pipeline import SHARES, TaskOptions

Axes = Annotated[
    str | None,
    typer.Option(
        help="Shares of the tasks, as in original=0.4,diversity=0.2,complexity=0.2,persona=0.2, "
        "the default."
    ),
]
ChainShare = Annotated[
    float,
    typer.Option(min=0, max=1, help="Share of the original tasks that come from chains."),
]
ChainLength = Annotated[str, typer.Option(help="Tools of a chain, least:most.")]
Acyclic = Annotated[bool, typer.Option("--acyclic", help="No tool twice in a chain.")]
Across = Annotated[
    bool, typer.Option("--across", help="Chains across servers whose fields fit, too.")
]
VerifyBy = Annotated[
    ChainCheck,
    typer.Option(help="How chains are verified: by votes, by back-translation, or by both."),
]
Personas = Annotated[
    Path | None,
    typer.Option(help="JSONL file of user profiles.  [default: 200 of ours]", show_default=False),
]
SeenIn = Annotated[
    Path | None,
    typer.Option(
        help="An earlier run folder: what its tools returned is known to be in their results.",
        show_default=False,
    ),
]


def task_options(
    *,
    count: int,
    axes: str | None,
    chain_share: float,
    chain_length: str,
    acyclic: bool,
    across: bool,
    verify: ChainCheck,
    votes: int,
    personas: Path | None,
    observed: Path | None,
    seed: int,
    concurrency: int,
) -> TaskOptions:
    """From the options of the command; ConfigError or StoreError for those that can't be, before
    there is a run folder with them."""
    shortest, longest = as_range(chain_length, "--chain-length")
    if not 2 <= shortest <= longest:
        raise ConfigError(f"--chain-length {chain_length!r}: give at least 2, the least first")
    if personas is not None:
        read_personas(personas)
    if observed is not None:
        RunFolder.open(observed)
    return TaskOptions(
        count=count,
        shares=dict(SHARES) if axes is None else _axes(axes),
        chain_share=chain_share,
        chains=ChainOptions(
            shortest=shortest,
            longest=longest,
            acyclic=acyclic,
            across=across,
            verify=verify,
            votes=votes,
            seed=seed,
        ),
        personas=personas,
        observed=observed,
        seed=seed,
        concurrency=concurrency,
    )


def _axes(text: str) -> dict[TaskOrigin, float]:
    shares = as_shares(text, "--axes", [axis.value for axis in TaskOrigin])
    return {TaskOrigin(name): share for name, share in shares.items()}
