"""What the logs of other programs' viewers are made from: played episodes, without any goal."""

from __future__ import annotations

from typing import NamedTuple

from astra.core.messages import read_arguments
from astra.episodes import Score
from astra.types import Json, ToolCallRequest, ToolSchema, Trajectory


class LoggedRun(NamedTuple):
    """The evaluation that episodes are from."""

    id: str
    """The same for the same episodes."""
    version: str
    """Version of this package."""
    model: str
    """Model or policy that played."""
    arenas: str
    """Where the arenas are, as the run names it."""
    reward: str
    """Name of the reward, e.g. `f1`."""
    samples: int
    """Episodes an arena."""
    created: str
    """ISO 8601, in UTC."""
    finished: bool


class LoggedEpisode(NamedTuple):
    """One episode, as its viewers may see it."""

    trajectory: Trajectory
    score: Score | None
    tools: tuple[ToolSchema, ...]
    """Those that the agent was shown. Empty if they are not known."""

    @property
    def name(self) -> str:
        """Arena and sample; the name of a file."""
        return f"{self.trajectory.task}-{self.trajectory.sample}"


def call_arguments(call: ToolCallRequest) -> dict[str, Json]:
    """The arguments as an object; broken ones stand under `malformed`."""
    arguments = read_arguments(call.arguments)
    return {"malformed": call.arguments} if arguments is None else arguments
