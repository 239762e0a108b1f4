"""`astra arenas select`: the arenas that a model solves sometimes."""

from __future__ import annotations

import asyncio
from collections import Counter

from astra.arenas.folder import ARENAS
from astra.cli.command import command_from
from astra.cli.console import counting, out, plain, print_json
from astra.configs.evaluation import SelectArenasConfig
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.select import select_arenas
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow


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
    failed = 0
    with counting("episodes", shown=config.progress is not False) as show:

        def count(episode: PlayedEpisode, total: int) -> None:
            nonlocal failed
            failed += episode.score is None
            show(total, failed)

        arenas = asyncio.run(select_arenas(config, on_episode=count))
    folder = RunFolder.open(arenas.path)
    rows = folder.rows(f"{ARENAS}.failed", FailureRow)
    aside = Counter(str(row.check) for row in rows)
    if as_json:
        print_json({"out": str(arenas.path), "arenas": len(arenas), "set_aside": dict(aside)})
    else:
        told = ", ".join(f"{n} {check.replace('_', ' ')}" for check, n in aside.most_common())
        text = f"{len(arenas)} arenas kept in {arenas.path}; set aside: {told or 'none'}"
        out().print(plain(text), soft_wrap=True)
    return 0 if arenas else 1
