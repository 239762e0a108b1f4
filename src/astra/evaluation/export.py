"""Episodes of an evaluation as the logs of other programs' viewers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from astra.arenas.sets import ArenaSet, load_arenas
from astra.configs.evaluation import ExportEvaluationConfig
from astra.configs.spelling import option_name
from astra.core.files import replace_folder, temporary_folder, write_file
from astra.errors import AstraError, ConfigError
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.benchmarks.logged import logged_benchmark
from astra.evaluation.benchmarks.run import SOURCES
from astra.evaluation.evaluate import EPISODES, REPORT
from astra.exports.atif import atif_document
from astra.exports.eval_log import EvalLogWriter
from astra.exports.logged_episodes import LoggedEpisode, LoggedRun, LoggedScore
from astra.hosts.arena import shown_tools
from astra.records import content_hash
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.types import CallStatus, ToolSchema, Trajectory

_SUFFIXES = {"inspect": ".eval", "atif": ".json"}


class ExportedEpisodes(NamedTuple):
    """What was written."""

    path: Path
    episodes: int
    without_tools: int
    """Episodes whose tools the logs do not tell, since their arenas were not found. Those of
    benchmarks are not counted: their runs keep no tools."""


def export_evaluation(config: ExportEvaluationConfig) -> ExportedEpisodes:
    """Write the episodes of an evaluation as a folder of logs.

    Raises ConfigError for a run without episodes, and for a folder of something else.
    """
    folder, out = RunFolder.open(config.run), Path(config.out)
    if not folder.exists(f"{EPISODES}.jsonl"):
        raise ConfigError(
            f"{str(config.run)!r} holds no episodes: give the run folder of an evaluation"
        )
    suffix = _SUFFIXES[config.format]
    others = [] if not out.is_dir() else [p.name for p in out.iterdir() if p.suffix != suffix]
    if out.is_file() or others:
        holds = f" (it holds {others[0]!r})" if others else ""
        raise ConfigError(f"{str(out)!r} is not a folder of such logs{holds}: choose another")
    if out.exists() and config.if_exists == "fail":
        raise ConfigError(
            f"{str(out)!r} exists: choose another {option_name('out')}, or add "
            f"{option_name('if_exists')} overwrite"
        )
    run, counts = _run(folder), _Counts()
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as new:
        episodes = _episodes(folder, counts)
        if config.format == "inspect":
            # Inspect orders and names logs by the parts of such a file name.
            day = run.created.replace(":", "-")
            with EvalLogWriter(new / f"{day}_astra_{run.id}{suffix}", run) as log:
                for episode in episodes:
                    log.add(episode)
        else:
            for episode in episodes:
                text = json.dumps(atif_document(episode, run), ensure_ascii=False, indent=2)
                write_file(new / f"{episode.name}{suffix}", text.encode() + b"\n")
        if not counts.episodes:
            raise ConfigError(f"{str(config.run)!r} holds no episodes: evaluate to the end")
        new.chmod(0o755)  # a temporary folder is nobody else's
        replace_folder(new, out)
    return ExportedEpisodes(out, counts.episodes, counts.without_tools)


class _Counts:
    """Counts episodes as they are read."""

    episodes = 0
    without_tools = 0


def _run(folder: RunFolder) -> LoggedRun:
    config = folder.config()
    options = {name: value for name, value in config.items() if name != "runtime"}
    finished = folder.exists(REPORT)
    ended = (folder.path / (REPORT if finished else f"{EPISODES}.jsonl")).lstat().st_mtime
    played = config.get("model") or config.get("policy") or config.get("agent") or "unknown"
    report = folder.read(REPORT).decode("utf-8", "replace") if finished else ""
    return LoggedRun(
        id=content_hash([options, report]),
        version=version("astra-arenas"),
        model=str(played),
        dataset=_place(config) or str(config.get("command", "")),
        samples=int(config.get("samples", config.get("trials", 1))),
        # No time is on record elsewhere.
        created=datetime.fromtimestamp(int(ended), UTC).isoformat(),
        finished=finished,
    )


def _place(config: Mapping[str, Any]) -> str:
    """The folder of the arenas. A part of one is stored as its path and what was chosen."""
    arenas = config.get("arenas", "")
    return str(arenas["path"] if isinstance(arenas, dict) else arenas)


def _arenas(config: Mapping[str, Any]) -> ArenaSet | None:
    """The arenas as they were shown. None if they are not there any more."""
    stored = config.get("arenas")
    draw = stored if isinstance(stored, dict) and "mode" in stored else None
    try:
        arenas = load_arenas(_place(config), uncertified=True)
        if draw is not None:
            arenas = arenas.with_distractors(
                draw["mode"], per_band=draw["per_band"], seed=draw["seed"]
            )
        elif (mode := config.get("distractors", "stored")) != "stored":
            most, seed = config.get("distractors_per_band"), config.get("seed", 0)
            arenas = arenas.with_distractors(mode, per_band=most, seed=seed)
    except AstraError:
        return None
    return arenas


def _episodes(folder: RunFolder, counts: _Counts) -> Iterator[LoggedEpisode]:
    if folder.exists(SOURCES):
        for episode in logged_benchmark(folder):
            counts.episodes += 1
            yield episode
        return
    config = folder.config()
    arenas, reward = _arenas(config), str(config.get("reward", "f1"))
    rows = unique_rows(
        folder, EPISODES, PlayedEpisode, lambda e: (e.trajectory.task, e.trajectory.sample)
    )
    for number, played in enumerate(rows, start=1):
        trajectory = played.trajectory
        if not re.fullmatch(r"[0-9a-f]{16}", trajectory.task):  # it becomes the name of a file
            raise folder.damaged(EPISODES, number, f"{trajectory.task!r:.100} is no arena's id")
        tools = _shown(arenas, trajectory)
        counts.episodes += 1
        counts.without_tools += not tools
        score = None if played.score is None else LoggedScore.of(played.score, reward)
        yield LoggedEpisode(trajectory, score, tools)


def _shown(arenas: ArenaSet | None, trajectory: Trajectory) -> tuple[ToolSchema, ...]:
    """The tools that the agent saw, those that came later only if it called them."""
    try:
        arena = None if arenas is None else arenas[trajectory.task]
    except (AstraError, KeyError):
        return ()
    if arena is None:
        return ()
    shown = shown_tools(arena)
    names = {document.name for document in shown}
    called = {c.tool for c in trajectory.calls if c.status is not CallStatus.unknown_tool}
    later = [tool.document for tool in arena.tools if tool.name in called - names]
    return (*shown, *later)
