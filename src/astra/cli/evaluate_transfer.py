"""`astra evaluate transfer`: arenas beside the categories of the field's benchmarks."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.evaluation_report import figure
from astra.configs.base import paths
from astra.configs.benchmarks import TransferConfig
from astra.evaluation.transfer import TransferTable, transfer_table


@command_from(
    TransferConfig,
    examples=[
        "astra evaluate transfer runs/shop",
        "astra evaluate transfer runs/shop runs/eval-sft runs/bfcl runs/telecom",
    ],
)
def command(config: TransferConfig, *, as_json: bool) -> None:
    """Line up arenas with the categories of benchmarks.

    Shows which arenas of a run folder ask for what a category asks for, which options make more of
    them, and scores of evaluations side by side. That they ask for the like is our judgement: what
    training on them gives has to be measured.
    """
    evaluations = [] if config.evaluations is None else paths(config.evaluations)
    table = transfer_table(config.run, evaluations)
    if as_json:
        print_json(table.model_dump(mode="json"))
        return
    print_transfer(table, config.table)


def print_transfer(table: TransferTable, form: str) -> None:
    """The table, which options make more of the arenas, and what they lack."""
    names = list(table.lines[0].scores)
    head = ["benchmark", "categories", "asks for", "arenas", *(Path(name).name for name in names)]
    rows = [
        [
            line.benchmark,
            ", ".join(line.categories) or "all",
            line.asks,
            str(line.arenas),
            *("–" if (score := line.scores[name]) is None else figure(score) for name in names),
        ]
        for line in table.lines
    ]
    console = out()
    if form == "markdown":
        for row in (head, ["---"] * len(head), *rows):
            console.print(plain(f"| {' | '.join(row)} |"), soft_wrap=True)
        console.print()
    else:
        shown = Table()
        for title in head:
            shown.add_column(plain(title), overflow="fold")
        for row in rows:
            shown.add_row(*map(plain, row))
        console.print(shown)
    console.print(
        f"{table.arenas} arenas, {table.unmatched} of which resemble no category. An arena counts "
        "for each line that it resembles. More of them, by options of `astra arenas make`:"
    )
    for line in table.lines:
        made = line.make or "none are made"
        lacks = f"; not in arenas: {line.lacks}" if line.lacks else ""
        named = line.categories[0] if line.categories else "all"
        console.print(plain(f"- {line.benchmark} {named}: {made}{lacks}"), soft_wrap=True)
