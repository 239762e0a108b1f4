"""What the logs of other programs' viewers are made from: played episodes, without any goal."""

from __future__ import annotations

import re
from typing import NamedTuple

from astra.core.messages import read_arguments
from astra.episodes import Score
from astra.records import content_hash
from astra.types import Json, ToolCallRequest, ToolSchema, Trajectory

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Ids that can be names of files as they are."""


class LoggedRun(NamedTuple):
    """The evaluation that episodes are from."""

    id: str
    """The same for the same episodes."""
    version: str
    """Version of this package."""
    model: str
    """Model or policy that played."""
    dataset: str
    """Where the arenas are, as the run names it, or the name of a benchmark."""
    samples: int
    """Episodes an arena or a task."""
    created: str
    """ISO 8601, in UTC."""
    finished: bool


class LoggedScore(NamedTuple):
    """What an episode was worth."""

    reward: float
    values: dict[str, float]
    """By name, the reward included: what viewers show in columns."""
    details: dict[str, Json]

    @classmethod
    def of(cls, score: Score, reward: str) -> LoggedScore:
        """Of an arena. `reward`: its name."""
        values = {"f1": score.f1, "recall": score.recall, "precision": score.precision}
        if reward not in values:
            values["reward"] = score.reward
        return cls(score.reward, values, score.model_dump(mode="json"))


class LoggedEpisode(NamedTuple):
    """One episode, as its viewers may see it."""

    trajectory: Trajectory
    score: LoggedScore | None
    tools: tuple[ToolSchema, ...]
    """Those that the agent was shown. Empty if they are not known."""

    @property
    def name(self) -> str:
        """Arena or task, and sample; the name of a file."""
        task, sample = self.trajectory.task, self.trajectory.sample
        return f"{task if _PLAIN.fullmatch(task) else content_hash(task)}-{sample}"


def call_arguments(call: ToolCallRequest) -> dict[str, Json]:
    """The arguments as an object; broken ones stand under `malformed`."""
    arguments = read_arguments(call.arguments)
    return {"malformed": call.arguments} if arguments is None else arguments
