"""Records of trajectory synthesis as run folders hold them (ASTRA paper, trajectory synthesis).

`servers.jsonl` holds `CollectedToolServer`, `tasks.jsonl` `TrajectoryTask`, `rollouts.jsonl`
`RecordedRollout`, and `judgements.jsonl` `Judgement`. An id is a hash of the content that
identifies the row.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from astra.types import Json, Language, Record, RecordedCall, ToolSchema, Trajectory

# --- tools -----------------------------------------------------------------------------------


class CollectedTool(Record):
    """A tool of a server, normalised."""

    document: ToolSchema
    """Its name is a valid identifier and unique within the server."""
    original_name: str
    """The name at the source: what a live server is asked for."""
    output_schema: dict[str, Json] | None = None
    """JSON Schema of the result; None: not documented."""
    read_only: bool | None = None
    """Whether the source says that a call changes nothing; None: it does not say."""
    examples: tuple[dict[str, Json], ...] = ()
    """Arguments that the source gives as examples."""


class Connection(Record):
    """Where the entry of a live server stands. Never the entry itself: entries hold keys."""

    file: str
    """Absolute path of the `mcpServers` file."""
    entry: str
    """Name of the entry in it."""


class CollectedToolServer(Record):
    """A service with its tools."""

    id: str
    """Content hash of everything else but `connection`."""
    name: str
    description: str = ""
    domain: str = ""
    language: Language = "en"
    source: Literal["mcp", "openapi", "functions", "astra"]
    """What it was collected from: a live MCP server, an OpenAPI document, a list of OpenAI
    functions, or the published layout."""
    tools: tuple[CollectedTool, ...]
    connection: Connection | None = None
    """None: it is known from documents only and has to be emulated."""


# --- tasks -----------------------------------------------------------------------------------


class ArgumentSource(Record):
    """Where an argument of a planned call comes from: exactly one of `value` and `call`."""

    value: Json = None
    """What the request states; meaningful only when `call` is None."""
    call: str | None = None
    """Id of the earlier planned call whose result holds it."""
    field: str | None = None
    """Dotted path in that call's result, e.g. `items.0.id`; None: the whole result."""


class PlannedCall(Record):
    """One call of a verified chain."""

    id: str
    """c1, c2, … in the order of the chain."""
    tool: str
    """Name as it is shown to the agent."""
    arguments: dict[str, ArgumentSource] = {}
    depends_on: tuple[str, ...] = ()
    """Ids of the calls that must come before this one."""


class TaskOrigin(StrEnum):
    """How a task came about (spec 1.3)."""

    original = "original"
    diversity = "diversity"
    """Paraphrase, another context, the same intent."""
    complexity = "complexity"
    """More constraints, the same goal."""
    persona = "persona"
    """Rewritten for a user profile."""


class TaskScores(Record):
    """What a task is worth, each in [0, 1] (spec 1.3)."""

    question_quality: float
    scenario_realism: float
    tool_necessity: float


class TrajectoryTask(Record):
    """What a user asks of an agent that has the tools of some servers."""

    id: str
    """Content hash of servers, request, plan and axis."""
    servers: tuple[str, ...]
    """Ids; several only for chains across servers."""
    kind: Literal["chain", "server"]
    """Made from a verified chain, or from the server's tools alone."""
    request: str
    """The user's words."""
    language: Language
    plan: tuple[PlannedCall, ...] = ()
    """The verified chain; for `server` tasks what the proposer had in mind, or nothing."""
    axis: TaskOrigin = TaskOrigin.original
    parent: str | None = None
    """Id of the task that this one was made from; None: an original."""
    persona: str | None = None
    scores: TaskScores | None = None


# --- rollouts --------------------------------------------------------------------------------


class RecordedRollout(Record):
    """One episode of a task, with everything that is needed to serve it again."""

    id: str
    """Content hash of task id, sample and the names of model and host."""
    task: TrajectoryTask
    sample: int
    model: str
    host: Literal["live", "emulator", "recorded"]
    tools: tuple[ToolSchema, ...]
    """What the agent was shown, in that order."""
    trajectory: Trajectory
    recording: tuple[RecordedCall, ...]


# --- judgements ------------------------------------------------------------------------------


class TrajectoryScore(StrEnum):
    """The seven scores of a trajectory (spec 1.5)."""

    QU = "QU"
    """Query understanding, of the first assistant message."""
    QP = "QP"
    """Query planning, of the same message."""
    TCU = "TCU"
    """Tool-response understanding, mean over rounds 2..J."""
    TCP = "TCP"
    """Tool-response-conditioned planning, mean over rounds 2..J."""
    TCS = "TCS"
    """Tool-call status, mean over all calls."""
    TC = "TC"
    """Tool conciseness, mean over all calls."""
    FA = "FA"
    """Final answer: relevant to the request, and faithful to the trajectory."""


class JudgeFinding(Record):
    """One judgement behind a score."""

    measure: TrajectoryScore
    value: float
    reason: str
    place: str
    """What it speaks of: `message 2`, `call call_0_1`, `round 3`, `answer`."""
    by: Literal["teacher", "record"] = "teacher"
    """Judged by a teacher, or read off the record mechanically."""


class Judgement(Record):
    """The scores of one rollout. Written only when every score that exists could be had."""

    rollout: str
    """Id."""
    judge: str
    """Name of the teacher that judged."""
    scores: dict[TrajectoryScore, float]
    """Without those that do not exist for this rollout: TCU and TCP for J < 2."""
    reward: float
    """Arithmetic mean of `scores`."""
    findings: tuple[JudgeFinding, ...]
