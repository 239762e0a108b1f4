"""`astra arenas stats`: what a run folder holds, what was set aside and why, how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.table import Table

from astra.arenas.folder import ARENAS
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.arenas import ArenaStatsConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.manifest import StageCounts
from astra.types import ArenaRow, Json

_GROUPS = ("scenario", "hops", "language", "domain", "split")
_FAILED = ".failed.jsonl"


@command_from(
    ArenaStatsConfig,
    examples=["astra arenas stats runs/world", "astra arenas stats runs/world --json"],
)
def command(config: ArenaStatsConfig, *, as_json: bool) -> None:
    """Summarize a run folder of arenas.

    Counts by shape, hops, language and split; what each stage accepted and rejected, its time and
    cost.
    """
    folder = RunFolder.open(config.run)
    manifest = folder.manifest()
    counted = _count(folder.rows(ARENAS, ArenaRow))
    each = manifest.unit_cost(counted["arenas"])
    report: dict[str, Json] = {
        **counted,
        "stages": {
            name: _stage(folder, name, manifest.stages.get(name, StageCounts()))
            for name in dict.fromkeys((*manifest.stages, *sorted(_with_failures(folder))))
        },
        "each": None if each is None else each.model_dump(mode="json"),
        "seeds": manifest.seeds,
        "version": manifest.version,
    }
    if as_json:
        print_json(report)
    else:
        _print(report)
        for name in report["stages"]:
            _print_failures(folder, name)


def _count(arenas: Iterable[ArenaRow]) -> dict[str, Json]:
    total = 0
    groups: dict[str, Counter[str]] = {name: Counter() for name in _GROUPS}
    for arena in arenas:
        total += 1
        for name, counts in groups.items():
            counts[str(getattr(arena, name))] += 1
    in_order = {name: dict(sorted(counts.items())) for name, counts in groups.items()}
    return {"arenas": total, **in_order}


def _with_failures(folder: RunFolder) -> Iterator[str]:
    for path in folder.path.glob(f"*{_FAILED}"):
        yield path.name.removesuffix(_FAILED)


def _stage(folder: RunFolder, name: str, recorded: StageCounts) -> dict[str, Json]:
    """Counts from the rows, which are right at any moment; time and cost from the manifest."""
    rejected: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for failure in folder.rows(f"{name}.failed", FailureRow):
        if failure.kind == "rejected":
            rejected[failure.check or ""] += 1
        else:
            errors[failure.type or ""] += 1
    accepted = sum(1 for _ in folder.lines(name))
    seen = accepted + rejected.total() + errors.total()
    return {
        "accepted": accepted,
        "rejected": dict(rejected.most_common()),
        "errors": dict(errors.most_common()),
        "yield": accepted / seen if seen else None,
        "seconds": recorded.seconds,
        "usage": recorded.usage.model_dump(),
        "dollars": recorded.dollars,
    }


def _print(report: dict[str, Json]) -> None:
    console = out()
    console.print(f"{report['arenas']} arenas", style="bold")
    for name in _GROUPS:
        if report[name]:
            table = Table(name, "arenas", "share")
            for value, count in report[name].items():
                share = f"{count / report['arenas']:.1%}"
                table.add_row(plain(value, limit=80), str(count), share)
            console.print(table)
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
    if report["each"]:
        console.print(f"per certified arena: {_each(report['each'])}", markup=False, soft_wrap=True)


def _each(cost: dict[str, Json]) -> str:
    said = (
        f"{cost['prompt_tokens']:,.0f} tokens in ({cost['cached_tokens']:,.0f} cached), "
        f"{cost['completion_tokens']:,.0f} out, {cost['seconds']:.1f} s"
    )
    money = cost["dollars"]
    return f"{said}, money {'unknown (no --prices)' if money is None else f'{money:.4f}'}"


def _print_failures(folder: RunFolder, stage: str) -> None:
    """Each reason with its number and the first message that gave it."""
    counts: Counter[tuple[str, str]] = Counter()
    messages: dict[tuple[str, str], str] = {}
    for failure in folder.rows(f"{stage}.failed", FailureRow):
        rejected = failure.kind == "rejected"
        reason = ("rejected by", failure.check or "") if rejected else ("error", failure.type or "")
        counts[reason] += 1
        messages.setdefault(reason, failure.message)
    for (kind, name), count in counts.most_common():
        line = f"{stage}: {count} {kind} {name}, e.g. {messages[kind, name]}"
        out().print(plain(line, limit=300))
