"""From a run folder of judged rollouts to a data set folder.

    OUT/train.jsonl, test.jsonl     rows, in the order of the rollouts
    OUT/train.parquet, …            the same, on demand
    OUT/excluded.jsonl              what was left out, one row each, with the check and the reason
    OUT/README.md                   the data card

What this guarantees: every row has a score from a judge, ends with an answer, survives being
rendered and read back in at least one family's chat template, and no test row shows a tool that a
training row shows. What it does not: that a high score means good training data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from astra.chat import DIALECTS
from astra.errors import ConfigError, Rejected
from astra.runs.store import FailureRow, RunFolder, to_line
from astra.trajectories.export.data_card import card
from astra.trajectories.export.parquet import write_parquet
from astra.trajectories.export.rows import RowFormat, conversation, row
from astra.trajectories.export.split import RowTools, split
from astra.trajectories.records import CollectedToolServer, Judgement, RecordedRollout
from astra.trajectories.statistics import TrajectoryTally
from astra.types import Json

ROLLOUTS = "rollouts"
EXCLUDED = "excluded"
SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What goes into a data set, and how it is written."""

    layout: RowFormat = "trl"
    min_score: float = 0.0
    """Least reward of a row."""
    per_task: int | None = None
    """Most rows per task, the best first; None: all."""
    test_share: float = 0.1
    """Share of the rows that are held out, by server."""
    seed: int = 0
    judgements: str = "judgements"
    """Which file of judgements counts."""
    license: str = "other"
    """Of the data, for the card: an identifier that the HuggingFace hub knows."""
    parquet: bool = False


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    rows: Mapping[str, int]
    """By split."""
    groups: int
    """Groups of servers that can't be parted: each is in one split as a whole."""
    excluded: Mapping[str, int]
    """Check id -> number of rollouts that were left out."""
    unrenderable: Mapping[str, int]
    """Family -> number of rows that its chat template can't express, of those written."""
    files: tuple[str, ...]


@dataclass(slots=True)
class _Selected:
    """What is known of the rows to come after the first reading."""

    uses: dict[str, RowTools] = field(default_factory=dict[str, RowTools])
    """By rollout id, in order."""
    ranks: dict[str, list[tuple[float, str]]] = field(
        default_factory=dict[str, list[tuple[float, str]]]
    )
    """Task id -> (-reward, rollout id)."""
    excluded: list[FailureRow] = field(default_factory=list[FailureRow])
    unrenderable: Counter[str] = field(default_factory=Counter[str])

    def leave_out(self, rollout: str, check: str, reason: str) -> None:
        self.excluded.append(
            FailureRow(key=rollout, stage="export", kind="rejected", check=check, message=reason)
        )


def export(run: RunFolder, out: Path, options: ExportOptions, servers: Path | None) -> ExportResult:
    """Write the data set; an existing one made with the same options is written anew.

    `servers`: the folder of collected tools, for domains on rows and card; None: none are known.
    Raises `ConfigError` when nothing is left to write, `StoreError` for a damaged folder.
    """
    judgements = {j.rollout: j for j in run.rows(options.judgements, Judgement)}
    if not judgements:
        raise ConfigError(
            f"{str(run.path)!r} holds no {options.judgements}.jsonl with rows: judge the rollouts "
            "first (astra trajectories judge)"
        )
    selected = _select(run, judgements, options)
    if not selected.uses:
        reasons = Counter(failure.check for failure in selected.excluded)
        raise ConfigError(
            f"no rollout of {str(run.path)!r} can be exported: {dict(reasons)}. Lower --min-score, "
            "or make more"
        )
    held, groups = split(selected.uses.values(), options.test_share, options.seed)
    domains = _domains(servers)
    folder = RunFolder.create(out, _config(run, options))
    tallies = {name: TrajectoryTally() for name in SPLITS}
    with folder.lock():
        for name in SPLITS:
            rows = _rows(run, judgements, selected, held, name, domains, options, tallies[name])
            folder.replace(f"{name}.jsonl", rows)
        folder.replace(f"{EXCLUDED}.jsonl", map(to_line, selected.excluded))
        files = _parquet(folder) if options.parquet else ()
        text = card(run, options, tallies, selected.unrenderable, len(selected.excluded), files)
        folder.replace("README.md", [text.encode()])
    written = (*(f"{name}.jsonl" for name in SPLITS), *files, f"{EXCLUDED}.jsonl", "README.md")
    return ExportResult(
        rows={name: tally.rows for name, tally in tallies.items()},
        groups=groups,
        excluded=dict(Counter(f.check or "" for f in selected.excluded).most_common()),
        unrenderable={name: selected.unrenderable[name] for name in DIALECTS},
        files=written,
    )


def _config(run: RunFolder, options: ExportOptions) -> dict[str, Json]:
    names = ("layout", "min_score", "per_task", "test_share", "seed", "judgements", "license")
    return {"from": run.path.name, **{name: getattr(options, name) for name in names}}


def _select(
    run: RunFolder, judgements: Mapping[str, Judgement], options: ExportOptions
) -> _Selected:
    """The first reading: which rollouts become rows."""
    selected = _Selected()
    for rollout in run.rows(ROLLOUTS, RecordedRollout):
        try:
            problems = _check(rollout, judgements.get(rollout.id), options)
        except Rejected as rejected:
            selected.leave_out(rollout.id, rejected.check, rejected.reason)
            continue
        selected.unrenderable.update(problems)
        selected.uses[rollout.id] = (rollout.task.servers, rollout.tools)
        reward = judgements[rollout.id].reward
        selected.ranks.setdefault(rollout.task.id, []).append((-reward, rollout.id))
    if options.per_task is not None:
        _keep_best(selected, options.per_task)
    return selected


def _check(
    rollout: RecordedRollout, judgement: Judgement | None, options: ExportOptions
) -> list[str]:
    """The families that can't express the rollout; `Rejected` when none can, or none wants it."""
    if judgement is None:
        raise Rejected("not_judged", "no judge gave it a score")
    if judgement.reward < options.min_score:
        raise Rejected("low_score", f"{judgement.reward:.3f} is below {options.min_score}")
    messages, tools = conversation(rollout)
    problems = {name: dialect.problem(messages, tools) for name, dialect in DIALECTS.items()}
    failed = [name for name, problem in problems.items() if problem]
    if len(failed) == len(problems):
        raise Rejected("unrenderable", f"no chat template can express it: {problems[failed[0]]}")
    return failed


def _keep_best(selected: _Selected, most: int) -> None:
    for ranked in selected.ranks.values():
        for _, rollout in sorted(ranked)[most:]:
            del selected.uses[rollout]
            selected.leave_out(rollout, "per_task", f"its task has {most} better ones")


def _rows(
    run: RunFolder,
    judgements: Mapping[str, Judgement],
    selected: _Selected,
    held: frozenset[str],
    name: str,
    domains: Mapping[str, str],
    options: ExportOptions,
    tally: TrajectoryTally,
) -> Iterator[bytes]:
    """The second reading: the lines of one split."""
    for rollout in run.rows(ROLLOUTS, RecordedRollout):
        if rollout.id not in selected.uses:
            continue
        if (rollout.task.servers[0] in held) != (name == "test"):
            continue
        messages, tools = conversation(rollout)
        judgement = judgements[rollout.id]
        domain = domains.get(rollout.task.servers[0], "")
        tally.add(rollout, judgement, domain)
        made = row(rollout, judgement, options.layout, messages, tools, domain)
        yield json.dumps(made, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _domains(servers: Path | None) -> dict[str, str]:
    if servers is None:
        return {}
    return {s.id: s.domain for s in RunFolder.open(servers).rows("servers", CollectedToolServer)}


def _parquet(folder: RunFolder) -> tuple[str, ...]:
    written: list[str] = []
    for name in SPLITS:
        if next(folder.lines(name), None) is not None:
            write_parquet(folder.path / f"{name}.jsonl", folder.path / f"{name}.parquet")
            written.append(f"{name}.parquet")
    return tuple(written)
