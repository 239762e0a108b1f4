"""`astra credit agreement`: how right each attribution is, by replaying fresh rollouts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.evaluation import CreditAgreementConfig
from astra.core.files import write_file
from astra.training.requirements import require_training


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
    from astra.training.credit.survey import survey_arenas

    console = err()
    report = asyncio.run(
        survey_arenas(config, lambda done, total: console.print(f"{done} of {total} episodes"))
    )
    if config.out is not None:
        path = Path(config.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, (json.dumps(report, indent=2) + "\n").encode())
    if as_json:
        print_json(report)
        return
    table = Table("attribution", "rank correlation with counterfactual", "trajectories", "arenas")
    for name, measured in report["with_counterfactual"].items():
        interval = measured["correlation"]
        shown = (
            "–"
            if interval is None
            else f"{interval['mean']:+.3f} ({interval['low']:+.3f} to {interval['high']:+.3f})"
        )
        table.add_row(name, shown, str(measured["trajectories"]), str(measured["arenas"]))
    console = out()
    console.print(table)
    console.print(plain(f"{report['trajectories']} episodes played by {report['model']}"))
    if report["failures"]:
        console.print(
            f"{report['failures']} rollouts had infrastructure failures; they were played again"
        )
