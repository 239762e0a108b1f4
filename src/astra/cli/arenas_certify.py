"""`astra arenas certify`: every check again, from a run folder's files alone."""

from __future__ import annotations

import asyncio
from collections import Counter

from rich.table import Column, Table

from astra.arenas.recertify import certify_arenas
from astra.cli.command import command_from
from astra.cli.console import counting, out, plain, print_json
from astra.configs.arenas import CertifyArenasConfig

_SHOWN = 20


@command_from(
    CertifyArenasConfig,
    examples=[
        "astra arenas certify runs/world",
        "astra arenas certify runs/world --json",
        "astra arenas certify runs/world --sandbox landlock --write",
    ],
)
def command(config: CertifyArenasConfig, *, as_json: bool) -> int:
    """Run the certificate's checks again, from the files alone.

    Also recomputes the content hash of every arena and of every tool that it shows. Exit status 1
    if an arena fails. Nothing is written without --write.
    """
    with counting("arenas") as show:
        report = asyncio.run(certify_arenas(config, on_arena=show))
    failed = report.failed
    if as_json:
        print_json(report.model_dump(mode="json"))
        return 1 if failed else 0
    console = out()
    if failed:
        table = Table("arena", "check", Column("reason", overflow="fold"))
        for arena in failed[:_SHOWN]:
            table.add_row(
                *(plain(text, limit=300) for text in (arena.id, arena.check, arena.reason))
            )
        console.print(table)
        if len(failed) > _SHOWN:
            console.print(f"… and {len(failed) - _SHOWN} more; --json lists all")
        checks = Counter(arena.check for arena in failed).most_common()
        console.print(plain("failed by check: " + ", ".join(f"{n} {check}" for check, n in checks)))
    line = f"{report.certified} of {report.arenas} arenas certified (sandbox: {report.sandbox})"
    console.print(plain(line, "red" if failed else "green"))
    return 1 if failed else 0
