"""`astra arenas describe`: what tables are read as, and what arenas with actions may write."""

from __future__ import annotations

from astra.arenas.make import described_tables
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.arenas import DescribeArenasConfig


@command_from(
    DescribeArenasConfig,
    examples=["astra arenas describe examples/shop", "astra arenas describe shop.db --json"],
)
def command(config: DescribeArenasConfig, *, as_json: bool) -> None:
    """Describe tables: keys, names, relations, and what may be written.

    What is inferred is shown with its evidence; `tables.toml` says otherwise.
    """
    described = described_tables(config)
    if as_json:
        print_json(described)
        return
    console = out()
    for heading, lines in (("tables", described["tables"]), ("writes", described["writes"])):
        console.print(heading, style="bold")
        for line in lines:
            console.print(plain(line), soft_wrap=True)
