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
from astra.training.credit.records import CreditRow, CreditStep

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
    run, row_id = Path(config.run), config.episode
    if row_id is None:
        rows = list(deque(read_credit(run), maxlen=_LISTED))
        if as_json:
            print_json([row.model_dump(mode="json") for row in rows])
        else:
            _print_list(out(), rows)
        return
    row = find_credit(run, row_id)
    if as_json:
        print_json(row.model_dump(mode="json"))
    else:
        _print(out(), row)


def _print_list(console: Console, rows: list[CreditRow]) -> None:
    table = Table("id", "step", "task", "reward", "advantage", "steps", "agreement")
    for row in rows:
        table.add_row(
            plain(row.id),
            str(row.step),
            plain(row.task),
            f"{row.reward:.3f}",
            _signed(row.advantage),
            str(len(row.steps)),
            _number(row.agreement),
        )
    console.print(table)


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
        console.print(_told(number, step))
        console.print(Padding(plain(step.text, _shade(step, largest)), (0, 0, 0, 4)))


def _told(number: int, step: CreditStep) -> Text:
    told = Text.assemble(
        (f"step {number}{'*' if step.crucial else ''}", "bold cyan"),
        "  contribution ",
        _signed(step.contribution),
    )
    if step.counterfactual is not None:
        told.append_text(Text.assemble("  counterfactual ", _signed(step.counterfactual)))
    told.append_text(
        Text.assemble(f"  weight {step.weight:.2f}  advantage ", _signed(step.advantage))
    )
    if step.entropy is not None:
        told.append(f"  entropy {step.entropy:.2f}")
    told.append(f"  {step.tokens} tokens", "dim")
    return told


def _shade(step: CreditStep, largest: float) -> str:
    """A colour for the text: the stronger, the more the step contributed."""
    if not step.contribution or not largest:
        return ""
    colour = "green" if step.contribution > 0 else "red"
    return f"bold {colour}" if abs(step.contribution) > largest / 2 else colour


def _signed(value: float | None) -> Text:
    if value is None:
        return Text("unknown", "dim")
    return Text(f"{value:+.3f}", "green" if value > 0 else "red" if value < 0 else "dim")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
