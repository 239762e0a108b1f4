"""`astra credit agreement`: how right each attribution is, by replaying fresh rollouts."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from astra.arenas.sets import load_arenas
from astra.cli.console import err, out, plain, print_json
from astra.cli.options import AsJson, PerBand, Run, SandboxLevel, require_training
from astra.core.intervals import bootstrap
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import open_sandbox
from astra.types import Json

if TYPE_CHECKING:
    from astra.training.credit.survey import AttributionSurvey


def agreement_command(
    run: Run,
    model: Annotated[str, typer.Option(help="A model folder, or a HuggingFace id.")],
    trajectories: Annotated[int, typer.Option(min=1, help="Rollouts to play, at least.")] = 500,
    samples: Annotated[int, typer.Option(min=1, help="Rollouts of an arena at once.")] = 4,
    split: Annotated[Literal["train", "test"], typer.Option(help="Arenas to play.")] = "test",
    turns: Annotated[int, typer.Option(min=1, help="Most messages an episode.")] = 6,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one message.")] = 64,
    context: Annotated[int, typer.Option(min=2, help="Most tokens of an episode.")] = 768,
    temperature: Annotated[float, typer.Option(min=0, help="Of the rollouts.")] = 1.0,
    per_band: PerBand = None,
    seed: Annotated[int, typer.Option(help="Seed of sampling, distractors and bootstrap.")] = 0,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="A JSON file to write, too.")
    ] = None,
    sandbox: SandboxLevel = "auto",
    as_json: AsJson = False,
) -> None:
    """Play arenas and compare likelihood, entropy and verified with the counterfactual.

    Spearman's rank correlation over the turns of each trajectory, then the mean; there is none
    where a side is flat or an episode has one turn. 95 % intervals, arenas resampled. --turns and
    --context are those of RL's nano preset, --max-tokens is 64 where it has 48: set them as in the
    training of your model.

    \b
    Examples:
      astra credit agreement runs/world --model runs/sft/final
      astra credit agreement runs/world --model runs/sft/final --trajectories 100 --json
    """
    require_training()
    from astra.engines.loading import load_engine
    from astra.training.credit.survey import survey
    from astra.training.rl.arenas import ArenaRollouts
    from astra.training.rl.rollouts import GroupPlayer

    limits = RolloutLimits(
        turns=turns, sampling=Sampling(temperature=temperature, max_tokens=max_tokens)
    )
    console = err()

    async def main() -> AttributionSurvey:
        arenas = load_arenas(run, split).with_distractors("banded", per_band=per_band, seed=seed)
        engine = load_engine(model, max_length=context)
        names = list(islice(cycle(arenas.ids), -(-trajectories // samples)))
        environment = ArenaRollouts(arenas, lambda: open_sandbox(sandbox), limits)
        async with environment:
            player = GroupPlayer(environment, engine, group_size=samples, seed=seed)
            return await survey(
                *(environment.arenas, player, engine, names),
                lambda done: console.print(f"{done} of {len(names) * samples} trajectories"),
            )

    found = _report(asyncio.run(main()), model, seed)
    if out_path is not None:
        out_path.parent.mkdir(parents=True, exist_ok=True)
        out_path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _report(found: AttributionSurvey, model: str, seed: int) -> dict[str, Json]:
    """JSON of what was found; null where no trajectory has a correlation."""
    correlations: dict[str, Json] = {}
    for name, by_arena in found.found.items():
        interval = bootstrap(list(by_arena.values()), seed)
        correlations[name.value] = {
            "correlation": interval and interval.model_dump(),
            "trajectories": sum(map(len, by_arena.values())),
            "arenas": len(by_arena),
        }
    return {
        "model": model,
        "trajectories": found.trajectories,
        "failures": found.failures,
        "with_counterfactual": correlations,
    }


def _print(found: dict[str, Json]) -> None:
    table = Table("attribution", "rank correlation with counterfactual", "trajectories", "arenas")
    for name, told in found["with_counterfactual"].items():
        value = told["correlation"]
        shown = "–" if value is None else f"{value['mean']:+.3f} "
        if value is not None:
            shown += f"({value['low']:+.3f} to {value['high']:+.3f})"
        table.add_row(name, shown, str(told["trajectories"]), str(told["arenas"]))
    console = out()
    console.print(table)
    console.print(plain(f"{found['trajectories']} trajectories played by {found['model']}"))
    if found["failures"]:
        console.print(f"{found['failures']} rollouts broke on our side; they were played again")
