"""`astra arenas stats`: what a run folder holds, what was set aside and why, how long it took."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from astra.arenas.statistics import GROUPS, arena_statistics
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json, shares
from astra.configs.arenas import ArenaStatsConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.repetitions import unique_rows


@command_from(
    ArenaStatsConfig,
    examples=["astra arenas stats runs/world", "astra arenas stats runs/world --json"],
)
def command(config: ArenaStatsConfig, *, as_json: bool) -> None:
    """Summarize a run folder of arenas.

    Counts by shape, hops, language and split; what each stage accepted and rejected, its time and
    cost.
    """
    report = arena_statistics(config.run)
    if as_json:
        print_json(report)
        return
    console = out()
    console.print(f"{report['arenas']} arenas", style="bold")
    for name in GROUPS:
        if report[name]:
            console.print(shares(name, "arenas", report[name], report["arenas"]))
    table = Table()
    for heading in ("stage", "accepted", "rejected", "errors", "yield", "time", "tokens", "cost"):
        table.add_column(heading, no_wrap=heading == "stage", overflow="fold")
    for name, stage in report["stages"].items():
        usage = stage["usage"]
        table.add_row(
            plain(name),
            str(stage["accepted"]),
            str(sum(stage["rejected"].values())),
            str(sum(stage["errors"].values())),
            "–" if stage["yield"] is None else f"{stage['yield']:.1%}",
            f"{stage['seconds']:.1f} s",
            str(usage["prompt_tokens"] + usage["completion_tokens"]),
            f"{stage['dollars']:.4f}" if stage["dollars"] else "–",
        )
    if report["stages"]:
        console.print(table)
    if cost := report["each"]:
        money = cost["dollars"]
        console.print(
            f"per certified arena: {cost['prompt_tokens']:,.0f} tokens in "
            f"({cost['cached_tokens']:,.0f} cached), {cost['completion_tokens']:,.0f} out, "
            f"{cost['seconds']:.1f} s, money "
            f"{'unknown (no --prices)' if money is None else f'{money:.4f}'}",
            markup=False,
            soft_wrap=True,
        )
    folder = RunFolder.open(config.run)
    for stage in report["stages"]:
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}
        for row in unique_rows(folder, f"{stage}.failed", FailureRow, to_line):
            rejected = row.kind == "rejected"
            reason = f"rejected by {row.check or ''}" if rejected else f"error {row.type or ''}"
            counts[reason] += 1
            first.setdefault(reason, row.message)
        for reason, count in counts.most_common():
            console.print(plain(f"{stage}: {count} {reason}, e.g. {first[reason]}", limit=300))
