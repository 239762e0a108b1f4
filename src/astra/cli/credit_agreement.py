"""`astra credit agreement`: how right each attribution is, by replaying fresh rollouts."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.cli.requirements import require_training
from astra.configs.evaluation import CreditAgreementConfig
from astra.core.files import write_file
from astra.core.intervals import bootstrap
from astra.protocols import Sampling
from astra.rollouts.loop import RolloutLimits
from astra.sandbox import sandbox_from
from astra.types import Json

if TYPE_CHECKING:
    from astra.training.credit.survey import AttributionSurvey


@command_from(
    CreditAgreementConfig,
    examples=[
        "astra credit agreement runs/world --model runs/sft/final",
        "astra credit agreement runs/world --model runs/sft/final --min-episodes 100 --json",
    ],
)
def command(config: CreditAgreementConfig, *, as_json: bool) -> None:
    """Measure how well each attribution finds the steps that mattered.

    Plays arenas and compares likelihood, entropy and verified with the counterfactual: Spearman's
    rank correlation over the turns of each episode, then the mean, with 95 % intervals (arenas
    resampled). Episodes of one turn, or with a constant side, have no correlation. Set --max-turns,
    --max-tokens and --max-length as in the training of the model.
    """
    require_training()
    from astra.engines.loading import load_engine
    from astra.training.credit.survey import survey
    from astra.training.rl.arenas import ArenaRollouts
    from astra.training.rl.rollouts import GroupPlayer

    sampling = Sampling(temperature=config.temperature, max_tokens=config.max_tokens)
    limits = RolloutLimits(turns=config.max_turns)
    console = err()

    async def main() -> AttributionSurvey:
        split = None if config.split == "all" else config.split
        arenas = (
            config.arenas
            if isinstance(config.arenas, ArenaSet)
            else load_arenas(str(config.arenas))
        )
        arenas = arenas if split is None else arenas.split(split)
        arenas = arenas.with_distractors(
            config.distractors, per_band=config.distractors_per_band, seed=config.seed
        )
        engine = load_engine(str(config.model), max_length=config.max_length)
        tasks = list(islice(cycle(arenas.ids), -(-config.min_episodes // config.group_size)))
        environment = ArenaRollouts(arenas, lambda: sandbox_from(config), limits)
        async with environment:
            player = GroupPlayer(
                environment,
                engine,
                group_size=config.group_size,
                seed=config.seed,
                sampling=sampling,
            )
            total = len(tasks) * config.group_size
            return await survey(
                *(environment.arenas, player, engine, tasks),
                lambda done: console.print(f"{done} of {total} episodes"),
            )

    report = _report(asyncio.run(main()), str(config.model), config.seed)
    if config.out is not None:
        path = Path(config.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, (json.dumps(report, indent=2) + "\n").encode())
    if as_json:
        print_json(report)
    else:
        _print(report)


def _report(survey: AttributionSurvey, model: str, seed: int) -> dict[str, Json]:
    """The result as JSON. Null where no trajectory has a correlation."""
    correlations: dict[str, Json] = {}
    for name, by_arena in survey.correlations.items():
        interval = bootstrap(list(by_arena.values()), seed)
        correlations[name.value] = {
            "correlation": interval and interval.model_dump(),
            "trajectories": sum(map(len, by_arena.values())),
            "arenas": len(by_arena),
        }
    return {
        "model": model,
        "trajectories": survey.trajectories,
        "failures": survey.failures,
        "with_counterfactual": correlations,
    }


def _print(report: dict[str, Json]) -> None:
    table = Table("attribution", "rank correlation with counterfactual", "trajectories", "arenas")
    for name, entry in report["with_counterfactual"].items():
        value = entry["correlation"]
        shown = "–" if value is None else f"{value['mean']:+.3f} "
        if value is not None:
            shown += f"({value['low']:+.3f} to {value['high']:+.3f})"
        table.add_row(name, shown, str(entry["trajectories"]), str(entry["arenas"]))
    console = out()
    console.print(table)
    console.print(plain(f"{report['trajectories']} episodes played by {report['model']}"))
    if report["failures"]:
        console.print(
            f"{report['failures']} rollouts had infrastructure failures; they were played again"
        )
