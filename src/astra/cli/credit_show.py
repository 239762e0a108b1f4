"""`astra credit show`: how a training run gave credit to a rollout, step by step."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.evaluation import CreditShowConfig
from astra.training.credit.log import find_credit, read_credit
from astra.training.credit.records import CreditRow

_LISTED = 20


@command_from(
    CreditShowConfig,
    examples=[
        "astra credit show runs/acpo",
        "astra credit show runs/acpo 3f2a",
        "astra credit show runs/acpo 3f2a --json",
    ],
)
def command(config: CreditShowConfig, *, as_json: bool) -> None:
    """Show an episode with the credit of each step.

    Contribution, advantage and entropy of each step of an ACPO run. Green helped, red did harm; a
    crucial step is marked with *.
    """
    if config.episode is None:
        rows = list(deque(read_credit(Path(config.run)), maxlen=_LISTED))
        if as_json:
            print_json([row.model_dump(mode="json") for row in rows])
            return
        table = Table("id", "step", "task", "reward", "advantage", "steps", "agreement")
        for row in rows:
            table.add_row(
                plain(row.id),
                str(row.step),
                plain(row.task),
                f"{row.reward:.3f}",
                _signed(row.advantage),
                str(len(row.steps)),
                "" if row.agreement is None else f"{row.agreement:.2f}",
            )
        out().print(table)
        return
    row = find_credit(Path(config.run), config.episode)
    if as_json:
        print_json(row.model_dump(mode="json"))
    else:
        _print(out(), row)


def _print(console: Console, row: CreditRow) -> None:
    console.print(plain(f"rollout {row.id} of task {row.task}", "bold"))
    facts = (f"training step {row.step}", row.phase.value, f"by {row.attribution.value}")
    console.print(plain(" · ".join(facts), "dim"))
    console.print(
        Text.assemble("reward ", f"{row.reward:.3f}", "  advantage ", _signed(row.advantage))
    )
    if row.agreement is not None:
        console.print(plain(f"rank correlation with the counterfactual {row.agreement:.2f}"))
    largest = max((abs(step.contribution or 0.0) for step in row.steps), default=0.0)
    for number, step in enumerate(row.steps):
        title = f"step {number}{'*' if step.crucial else ''}"
        line = Text.assemble((title, "bold cyan"), "  contribution ", _signed(step.contribution))
        if step.counterfactual is not None:
            line.append_text(Text.assemble("  counterfactual ", _signed(step.counterfactual)))
        line.append_text(
            Text.assemble(f"  weight {step.weight:.2f}  advantage ", _signed(step.advantage))
        )
        if step.entropy is not None:
            line.append(f"  entropy {step.entropy:.2f}")
        line.append(f"  {step.tokens} tokens", "dim")
        console.print(line)
        shade = ""
        if step.contribution:
            shade = "green" if step.contribution > 0 else "red"
            if abs(step.contribution) > largest / 2:
                shade = f"bold {shade}"
        console.print(Padding(plain(step.text, shade), (0, 0, 0, 4)))


def _signed(value: float | None) -> Text:
    if value is None:
        return Text("unknown", "dim")
    return Text(f"{value:+.3f}", "green" if value > 0 else "red" if value < 0 else "dim")
