"""`astra trajectories show`: a run's rollouts, or one conversation with its scores."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.trajectories import ShowTrajectoriesConfig
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.reading import read_judgements, read_rollouts
from astra.trajectories.records import Judgement, RecordedRollout
from astra.trajectories.sets import TrajectorySet
from astra.types import CallStatus, Json

_LONG = 1500
_COLOURS = {"system": "dim", "user": "bold cyan", "assistant": "bold green", "tool": "bold yellow"}


@command_from(
    ShowTrajectoriesConfig,
    examples=[
        "astra trajectories show runs/traj",
        "astra trajectories show runs/traj 3f2a",
        "astra trajectories show runs/traj 3f2a --json",
    ],
)
def command(config: ShowTrajectoriesConfig, *, as_json: bool) -> None:
    """Show one conversation with its scores.

    The calls are listed with their outcome, each score with its reasons. Without ROLLOUT: a list of
    the run's rollouts.
    """
    folder = RunFolder.open(config.run)
    if config.rollout is None:
        _print_list(folder, config.judgements, config.limit, as_json=as_json)
        return
    judged = TrajectorySet(config.run, judgements=config.judgements).find(config.rollout)
    rollout, judgement = judged.rollout, judged.judgement
    if as_json:
        value = None if judgement is None else judgement.model_dump(mode="json")
        print_json({"rollout": rollout.model_dump(mode="json"), "judgement": value})
        return
    console = out()
    _print_conversation(console, rollout)
    _print_scores(console, judgement)


# --- the list ----------------------------------------------------------------------------------


def _print_list(folder: RunFolder, judgements: str, limit: int, *, as_json: bool) -> None:
    rewards = {row.rollout: row.reward for row in read_judgements(folder, judgements)}
    rows: list[dict[str, Json]] = [
        {
            "id": row.id,
            "reward": rewards.get(row.id),
            "stop": row.trajectory.stop.value,
            "calls": len(row.trajectory.calls),
            "host": row.host,
            "request": row.task.request,
        }
        for row in read_rollouts(folder)
    ]
    if not rows:
        raise ConfigError(f"{str(folder.path)!r} holds no rollouts: make some first")
    if as_json:
        print_json(rows[:limit])
        return
    request = Column("request", overflow="fold")
    table = Table(Column("id", no_wrap=True), "reward", "end", "calls", "host", request)
    for row in rows[:limit]:
        reward = "–" if row["reward"] is None else f"{row['reward']:.3f}"
        table.add_row(
            plain(row["id"]),
            reward,
            plain(row["stop"]),
            str(row["calls"]),
            plain(row["host"]),
            plain(row["request"], limit=160),
        )
    console = out()
    console.print(table)
    if len(rows) > limit:
        console.print(f"{len(rows) - limit} more: --limit shows them")


# --- one rollout -------------------------------------------------------------------------------


def _print_conversation(console: Console, rollout: RecordedRollout) -> None:
    task, trajectory = rollout.task, rollout.trajectory
    console.print(plain(f"rollout {rollout.id}", "bold"))
    facts = [
        f"task {task.id}",
        task.kind,
        task.axis.value,
        task.language,
        f"agent {rollout.model}",
        f"{rollout.host} tools",
        f"ended by {trajectory.stop.value}",
        f"{trajectory.turns} turns, {len(trajectory.calls)} calls",
    ]
    console.print(plain(" · ".join(facts), "dim"))
    for start in rollout.starts:
        files = f"files {start.files[:12]}" if start.files else "no files"
        began = f"{start.server} began {start.state}, with {files} and {len(start.calls)} calls"
        console.print(plain(began, "dim"))
    calls = {call.id: call for call in trajectory.calls}
    number = 0
    for message in trajectory.messages:
        number += message.role != "system"
        title = message.role if message.role == "system" else f"{message.role}, message {number}"
        console.print(plain(f"\n{title}", _COLOURS[message.role]))
        if message.reasoning:
            console.print(plain(message.reasoning, "dim italic", limit=_LONG))
        if message.content:
            console.print(plain(message.content, limit=_LONG))
        for request in message.tool_calls:
            record = calls.get(request.id)
            arguments = request.arguments if record is None else record.arguments
            shown = (
                ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in arguments.items())
                if isinstance(arguments, dict)
                else str(arguments)
            )
            text = plain(f"→ {request.tool}({shown})", "yellow", limit=_LONG)
            if record is not None and record.status is not CallStatus.ok:
                text.append_text(plain(f"  {record.status.value}", "red"))
            console.print(text.append_text(plain(f"  [{request.id}]", "dim")))


def _print_scores(console: Console, judgement: Judgement | None) -> None:
    if judgement is None:
        console.print(plain("\nnot judged", "bold red"))
        return
    console.print(plain(f"\nreward {judgement.reward:.3f}, judged by {judgement.judge}", "bold"))
    table = Table("score", "", "value", "by", "place", Column("reason", overflow="fold"))
    for measure, score in judgement.scores.items():
        table.add_section()
        table.add_row(Text(measure.value, style="bold"), f"{score:.3f}", "", "", "", "")
        for finding in judgement.findings:
            if finding.measure is measure:
                style = "green" if finding.value == 1 else "red" if finding.value == 0 else "yellow"
                table.add_row(
                    "",
                    "",
                    Text(f"{finding.value:g}", style=style),
                    finding.by,
                    plain(finding.place),
                    plain(finding.reason, limit=600),
                )
    console.print(table)
