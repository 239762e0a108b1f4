"""Statistics of rollouts: messages, calls, tools, domains and scores (ASTRA paper)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.reading import read_judgements, read_rollouts
from astra.trajectories.records import (
    CollectedToolServer,
    Judgement,
    RecordedRollout,
    TrajectoryScore,
)
from astra.types import Json, content_hash


class TrajectoryTally:
    """Counts rollouts into a report. Holds counts only, so that any number of rollouts fits."""

    def __init__(self) -> None:
        self.rows = 0
        self.languages: Counter[str] = Counter()
        self.messages: Counter[int] = Counter()
        """Messages of a conversation, without the system prompt -> rollouts."""
        self.calls: Counter[int] = Counter()
        """Calls of a conversation -> rollouts."""
        self.user_turns: Counter[int] = Counter()
        """Messages of the user in a conversation -> rollouts."""
        self.judges: Counter[str] = Counter()
        self.called: Counter[str] = Counter()
        """Calls by tool."""
        self._shown: set[str] = set()
        self._servers: set[str] = set()
        self._domains: Counter[str] = Counter()
        self._axes: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
        self.scores: defaultdict[TrajectoryScore, list[float]] = defaultdict(list)
        self._turn_scores: defaultdict[tuple[int, TrajectoryScore], list[float]] = defaultdict(list)
        self.rewards: list[float] = []

    @property
    def multi_turn(self) -> int:
        """Rollouts in which the user speaks more than once."""
        return sum(count for turns, count in self.user_turns.items() if turns > 1)

    def add(self, rollout: RecordedRollout, judgement: Judgement | None, domain: str = "") -> None:
        """Count one rollout."""
        trajectory = rollout.trajectory
        self.rows += 1
        self.languages[rollout.task.language] += 1
        self.messages[sum(m.role != "system" for m in trajectory.messages)] += 1
        self.calls[len(trajectory.calls)] += 1
        self.user_turns[sum(m.role == "user" for m in trajectory.messages)] += 1
        self.called.update(call.tool for call in trajectory.calls)
        self._shown.update(content_hash(tool.model_dump()) for tool in rollout.tools)
        self._servers.update(rollout.task.servers)
        self._domains[domain] += 1
        self._axes[rollout.task.axis.value] += 1
        self._hosts[rollout.host] += 1
        self._models[rollout.model] += 1
        self._stops[trajectory.stop.value] += 1
        if judgement is not None:
            self.rewards.append(judgement.reward)
            self.judges[judgement.judge] += 1
            for turn, scores in scores_by_turn(judgement).items():
                for measure, value in scores.items():
                    self._turn_scores[turn, measure].append(value)
            for measure, value in judgement.scores.items():
                self.scores[measure].append(value)

    def report(self) -> dict[str, Json]:
        """The statistics. Means are None if there are no rows."""
        return {
            "rows": self.rows,
            "messages": _mean_of(self.messages),
            "calls": _mean_of(self.calls),
            "user_turns": _mean_of(self.user_turns),
            "tools_called": len(self.called),
            "tools_shown": len(self._shown),
            "servers": len(self._servers),
            "reward": _mean(self.rewards),
            "scores": {
                measure.value: {"mean": _mean(values), "count": len(values)}
                for measure in TrajectoryScore
                if (values := self.scores.get(measure))
            },
            "turn_scores": {
                str(turn): {
                    measure.value: {"mean": _mean(values), "count": len(values)}
                    for measure in TrajectoryScore
                    if (values := self._turn_scores.get((turn, measure)))
                }
                for turn in sorted({turn for turn, _ in self._turn_scores})
            },
            "multi_turn": self.multi_turn,
            "judges": _ordered(self.judges),
            "languages": _ordered(self.languages),
            "domains": _ordered(self._domains),
            "axes": _ordered(self._axes),
            "hosts": _ordered(self._hosts),
            "models": _ordered(self._models),
            "stop_reasons": _ordered(self._stops),
            "messages_histogram": {str(k): self.messages[k] for k in sorted(self.messages)},
            "user_turns_histogram": {str(k): self.user_turns[k] for k in sorted(self.user_turns)},
            "calls_histogram": {str(k): self.calls[k] for k in sorted(self.calls)},
        }


def scores_by_turn(judgement: Judgement) -> dict[int, dict[TrajectoryScore, float]]:
    """The scores of each user turn, as far as they exist for it."""
    verdicts: defaultdict[tuple[int, TrajectoryScore, str], list[float]] = defaultdict(list)
    for finding in judgement.findings:
        verdicts[finding.turn, finding.measure, finding.place].append(finding.value)
    points: defaultdict[tuple[int, TrajectoryScore], list[float]] = defaultdict(list)
    for (turn, measure, _), values in verdicts.items():
        points[turn, measure].append(math.fsum(values) / len(values))
    scores: defaultdict[int, dict[TrajectoryScore, float]] = defaultdict(dict)
    for (turn, measure), values in points.items():
        scores[turn][measure] = math.fsum(values) / len(values)
    return dict(scores)


def trajectory_statistics(run: Path | str, judgements: str = "judgements") -> dict[str, Json]:
    """The report on all rollouts of a run folder, with `judged`, the number of scored ones, and
    `tokens`, what one of these took: in all, and by stage. Tokens are None if none were counted.

    `judgements`: name of the file of judgements. Raises ConfigError if there are no rollouts.
    """
    folder = RunFolder.open(run)
    scores = {row.rollout: row for row in read_judgements(folder, judgements)}
    tools = folder.config().get("tools")
    domains: dict[str, str] = {}
    # The folder of tools may be elsewhere by now: then rollouts have no domain.
    if tools is not None and Path(tools).is_dir():
        servers = RunFolder.open(tools).rows("servers", CollectedToolServer)
        domains = {server.id: server.domain for server in servers}
    tally = TrajectoryTally()
    for rollout in read_rollouts(folder):
        domain = domains.get(rollout.task.servers[0], "")
        tally.add(rollout, scores.get(rollout.id), domain)
    if not tally.rows:
        raise ConfigError(f"{str(run)!r} holds no rollouts: make some (astra trajectories make)")
    judged = len(tally.rewards)
    used = {
        name: stage.usage.prompt_tokens + stage.usage.completion_tokens
        for name, stage in folder.manifest().stages.items()
    }
    tokens = {name: count / judged for name, count in used.items() if count and judged}
    return {
        **tally.report(),
        "judged": judged,
        "tokens": {"all": math.fsum(tokens.values()), **tokens} if tokens else None,
    }


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _mean_of(counts: Counter[int]) -> float | None:
    total = counts.total()
    return sum(value * count for value, count in counts.items()) / total if total else None
