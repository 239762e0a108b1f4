"""`astra arenas select`: the arenas that a model solves sometimes."""

from __future__ import annotations

import asyncio

from astra.arenas.sets import ArenaSet
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.evaluation_report import counting_episodes
from astra.configs.evaluation import SelectArenasConfig
from astra.evaluation.select import select_arenas, set_aside
from astra.types import Json


@command_from(
    SelectArenasConfig,
    examples=[
        "astra arenas select runs/world --model runs/sft/final --out runs/chosen",
        "astra arenas select runs/world --model NAME --base-url http://localhost:8000/v1 "
        "--pass-rate 0.1:0.9 --samples 8 --out runs/chosen",
    ],
)
def command(config: SelectArenasConfig, *, as_json: bool) -> int:
    """Keep the arenas that a model solves sometimes.

    The model plays each arena several times; arenas that it solves too often or too rarely are set
    aside. Exit status 1 if none is kept.
    """
    with counting_episodes(config.progress) as count:
        arenas = asyncio.run(select_arenas(config, on_episode=count))
    if as_json:
        print_json(selection_report(arenas))
    else:
        print_selection(arenas)
    return 0 if arenas else 1


def selection_report(arenas: ArenaSet) -> dict[str, Json]:
    """What `--json` prints of a selection."""
    return {"out": str(arenas.path), "arenas": len(arenas), "set_aside": set_aside(arenas)}


def print_selection(arenas: ArenaSet) -> None:
    """Print how many arenas are kept, and why others are not."""
    aside = set_aside(arenas)
    told = ", ".join(f"{n} {check.replace('_', ' ')}" for check, n in aside.items())
    text = f"{len(arenas)} arenas kept in {arenas.path}; set aside: {told or 'none'}"
    out().print(plain(text), soft_wrap=True)
