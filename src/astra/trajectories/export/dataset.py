"""From a run folder of judged rollouts to a data set folder.

    OUT/train.jsonl, test.jsonl     rows, in the order of the rollouts
    OUT/train.parquet, …            the same, on demand
    OUT/excluded.jsonl              rollouts that were left out, one row each, with the check
    OUT/README.md                   the data card

What this guarantees: every row has a score from a judge, ends with an answer, survives being
rendered and read back in at least one family's chat template, and no test row shows a tool that a
training row shows. What it does not: that a high score means good training data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from astra.chat import CHAT_FAMILIES
from astra.configs.base import identity
from astra.configs.spelling import option_name
from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.errors import ConfigError, Rejected
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.trajectories.export.data_card import data_card
from astra.trajectories.export.parquet import write_parquet
from astra.trajectories.export.rows import (
    conversation,
    dataset_row,
    sharegpt_problem,
    sharegpt_turns,
)
from astra.trajectories.export.split import RowTools, hold_out
from astra.trajectories.reading import ROLLOUTS, read_judgements, read_rollouts
from astra.trajectories.records import (
    CollectedToolServer,
    Judgement,
    RecordedRollout,
    TrajectoryScore,
)
from astra.trajectories.statistics import TrajectoryTally

EXCLUDED = "excluded"
SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    rows: Mapping[str, int]
    """By split."""
    groups: int
    """Groups of servers that have to be in one split."""
    excluded: Mapping[str, int]
    """Check id -> number of rollouts that were left out."""
    unrenderable: Mapping[str, int]
    """Family -> number of written rows that its chat template can't express."""
    files: tuple[str, ...]


@dataclass(slots=True)
class _Selection:
    """The rollouts that become rows, after the first reading."""

    tools: dict[str, RowTools] = field(default_factory=dict[str, RowTools])
    """By rollout id, in order."""
    excluded: list[FailureRow] = field(default_factory=list[FailureRow])
    unrenderable: Counter[str] = field(default_factory=Counter[str])

    def leave_out(self, rollout: str, check: str, reason: str) -> None:
        self.excluded.append(
            FailureRow(key=rollout, stage="export", kind="rejected", check=check, message=reason)
        )


def export_dataset(
    config: ExportTrajectoriesConfig, rollouts: Container[str] | None = None
) -> ExportResult:
    """Write the data set; one with the same options is written again.

    `rollouts`: ids of those that may become rows; None: all.
    Raises `ConfigError` when no row is left, `StoreError` for a damaged folder.
    """
    run = RunFolder.open(config.run)
    tools = config.tools or run.config().get("tools")
    if tools is not None and not Path(tools).is_dir():
        raise ConfigError(
            f"the run was made from the tools in {str(tools)!r}, which is not there: give "
            f"{option_name('tools')} a folder"
        )
    judgements = {
        judgement.rollout: judgement
        for judgement in read_judgements(run, config.judgements)
        if rollouts is None or judgement.rollout in rollouts
    }
    if not judgements:
        raise ConfigError(
            f"{str(run.path)!r} holds no {config.judgements}.jsonl with rows: judge the rollouts "
            "first (astra trajectories judge)"
        )
    selection = _select(run, judgements, config)
    if not selection.tools:
        reasons = Counter(failure.check for failure in selection.excluded)
        raise ConfigError(
            f"no rollout of {str(run.path)!r} can be exported: {dict(reasons)}. Lower "
            f"{option_name('min_score')}, or make more"
        )
    held_out, groups = hold_out(selection.tools.values(), config.test_fraction, config.seed)
    servers = RunFolder.open(tools).rows("servers", CollectedToolServer) if tools else ()
    domains = {server.id: server.domain for server in servers}
    tallies = {name: TrajectoryTally() for name in SPLITS}

    # Two readings, since the rows of a large run do not fit into memory.
    def lines(split: str) -> Iterator[bytes]:
        """The second reading: the rows of one split."""
        written: set[str] = set()
        for rollout in run.rows(ROLLOUTS, RecordedRollout):
            server = rollout.task.servers[0]
            if rollout.id not in selection.tools or (server in held_out) != (split == "test"):
                continue
            if rollout.id in written:  # told in the first reading
                continue
            written.add(rollout.id)
            judgement, domain = judgements[rollout.id], domains.get(server, "")
            tallies[split].add(rollout, judgement, domain)
            row = dataset_row(rollout, judgement, config, domain)
            yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    folder = RunFolder.create(config.out, {"from": run.path.name, **identity(config)})
    parquet_files: list[str] = []
    with folder.lock():
        for split in SPLITS:
            folder.replace(f"{split}.jsonl", lines(split))
        folder.replace(f"{EXCLUDED}.jsonl", map(to_line, selection.excluded))
        for split in SPLITS:
            if config.parquet and tallies[split].rows:
                write_parquet(
                    folder.path / f"{split}.jsonl",
                    folder.path / f"{split}.parquet",
                    json_columns=config.json_columns,
                )
                parquet_files.append(f"{split}.parquet")
        card = data_card(
            run,
            config,
            tallies,
            selection.unrenderable,
            excluded=len(selection.excluded),
            ending="parquet" if parquet_files else "jsonl",
        )
        folder.replace("README.md", [card.encode()])
    jsonl_files = [f"{split}.jsonl" for split in SPLITS]
    return ExportResult(
        rows={split: tally.rows for split, tally in tallies.items()},
        groups=groups,
        excluded=dict(Counter(f.check or "" for f in selection.excluded).most_common()),
        unrenderable={family: selection.unrenderable[family] for family in CHAT_FAMILIES},
        files=(*jsonl_files, *parquet_files, f"{EXCLUDED}.jsonl", "README.md"),
    )


def disproof(judgement: Judgement) -> str:
    """What the record says against a rollout, however a teacher judged it. Empty: nothing."""
    if judgement.outcome == 0:
        return "a planned call that changes something never succeeded"
    return next(
        (
            finding.reason
            for finding in judgement.findings
            if finding.by == "record"
            and finding.value == 0
            and finding.measure is TrajectoryScore.FA
        ),
        "",
    )


def _select(
    run: RunFolder, judgements: Mapping[str, Judgement], config: ExportTrajectoriesConfig
) -> _Selection:
    """The first reading: which rollouts become rows."""
    selection = _Selection()
    ranks: dict[str, list[tuple[float, str]]] = {}
    for rollout in read_rollouts(run):
        try:
            judgement = judgements.get(rollout.id)
            if judgement is None:
                raise Rejected("not_judged", "no judge gave it a score")
            if judgement.reward < config.min_score:
                reason = f"{judgement.reward:.3f} is below {config.min_score}"
                raise Rejected("low_score", reason)
            for name, least in config.min_scores.items():
                score = judgement.scores.get(TrajectoryScore(name))
                if score is not None and score < least:
                    raise Rejected("low_score", f"{name} {score:.3f} is below {least}")
            if not config.keep_disproved and (reason := disproof(judgement)):
                raise Rejected("disproved", reason)
            messages, _ = conversation(rollout)
            problems = {
                name: family.problem(messages, rollout.tools)
                for name, family in CHAT_FAMILIES.items()
            }
            failed = [name for name, problem in problems.items() if problem]
            if len(failed) == len(problems):
                reason = f"no chat template can express it: {problems[failed[0]]}"
                raise Rejected("unrenderable", reason)
            if config.format == "sharegpt":
                _, turns = sharegpt_turns(messages)
                if problem := sharegpt_problem(turns):
                    raise Rejected("unrenderable", f"as ShareGPT: {problem}")
        except Rejected as rejected:
            selection.leave_out(rollout.id, rejected.check, rejected.reason)
            continue
        selection.unrenderable.update(failed)
        selection.tools[rollout.id] = (rollout.task.servers, rollout.tools)
        ranks.setdefault(rollout.task.id, []).append((-judgement.reward, rollout.id))
    if (most := config.max_per_task) is not None:
        for ranked in ranks.values():
            # By reward, ties by id, so that the same run gives the same rows.
            for _, rollout_id in sorted(ranked)[most:]:
                del selection.tools[rollout_id]
                selection.leave_out(rollout_id, "per_task", f"its task has {most} better ones")
    return selection
