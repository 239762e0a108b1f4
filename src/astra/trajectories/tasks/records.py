"""The rows of the stages before `tasks.jsonl`: proposals, verified chains, drafts of tasks."""

from __future__ import annotations

from typing import Literal

from astra.teacher.prompts.chains import PlannedStep, ProposedChain
from astra.teacher.prompts.tasks import ProposedTask
from astra.trajectories.records import PlannedCall, TaskOrigin, TrajectoryTask
from astra.types import Language, Record


class ChainProposal(Record):
    """A row of `proposals.jsonl`: pairs that a teacher proposed for a server."""

    key: str
    """Server id and round."""
    server: str
    name: str
    """Name of the server."""
    pairs: tuple[ProposedChain, ...]
    """Pairs of known tools and allowed lengths."""
    dropped: tuple[str, ...] = ()
    """Why the others were dropped."""


class VerifiedChain(Record):
    """A row of `chains.jsonl`: a chain that passed its checks."""

    id: str
    """Content hash of servers and tools."""
    servers: tuple[str, ...]
    tools: tuple[str, ...]
    """Names as the agent sees them."""
    language: Language
    task: str
    request: str
    plan: tuple[PlannedCall, ...]
    votes: tuple[bool, ...] = ()
    """Verdicts. Empty if chains were not voted on."""
    agreements: tuple[bool, ...] = ()
    """Whether each back-translation led back to the chain. Empty without back-translation."""


class ServerTasks(Record):
    """A row of `server-tasks.jsonl`: tasks that a teacher proposed for a server."""

    key: str
    server: str
    tasks: tuple[ProposedTask, ...]


class TaskVariation(Record):
    """A row of `varied.jsonl`: a task in other words, whose intent was judged to be the same."""

    key: str
    """Axis, parent and number."""
    parent: str
    axis: TaskOrigin
    request: str
    persona: str | None = None


class DraftTask(Record):
    """A task before it is checked and scored."""

    key: str
    servers: tuple[str, ...]
    kind: Literal["chain", "server"]
    language: Language
    request: str
    steps: tuple[PlannedStep, ...] = ()
    """A teacher's plan, unchecked."""
    plan: tuple[PlannedCall, ...] = ()
    """The checked plan of a chain or a parent. Empty: `steps` have to be checked."""
    axis: TaskOrigin = TaskOrigin.original
    parent: str | None = None
    persona: str | None = None


class ScoredTask(Record):
    """A row of `scored.jsonl`: a task whose scores reach the thresholds."""

    key: str
    task: TrajectoryTask
