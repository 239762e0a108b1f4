"""Records of trajectory synthesis as run folders hold them (ASTRA paper, trajectory synthesis).

`servers.jsonl` holds `CollectedToolServer`, `tasks.jsonl` `TrajectoryTask`, `rollouts.jsonl`
`RecordedRollout`, and `judgements.jsonl` `Judgement`. An id is a hash of the content that
identifies the row.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from astra.teacher.prompts.emulation import UserBehaviour
from astra.types import Json, Language, Record, RecordedCall, ServerStart, ToolSchema, Trajectory

# --- tools -----------------------------------------------------------------------------------


class CollectedTool(Record):
    """A normalized tool of a server."""

    document: ToolSchema
    """The name is a valid identifier, unique within the server."""
    original_name: str
    """Name at the source, by which a live server is called."""
    output_schema: dict[str, Json] | None = None
    """JSON Schema of the result. None: not documented."""
    read_only: bool | None = None
    """Whether a call changes nothing, according to the source. None: it does not say."""
    examples: tuple[dict[str, Json], ...] = ()
    """Example arguments from the source."""


class Connection(Record):
    """File and name of a live server's entry. Never the entry itself: entries hold keys."""

    file: str
    """Absolute path of the `mcpServers` file."""
    entry: str
    """Name of the entry in the file."""


class CollectedToolServer(Record):
    """A service with its tools."""

    id: str
    """Hash of all other fields but `connection`."""
    name: str
    description: str = ""
    domain: str = ""
    language: Language = "en"
    source: Literal["mcp", "openapi", "functions", "astra"]
    """Kind of source: a live MCP server, an OpenAPI document, a list of OpenAI functions, or a row
    of the published layout."""
    tools: tuple[CollectedTool, ...]
    connection: Connection | None = None
    """None: known from documents only, so that it has to be emulated."""


# --- tasks -----------------------------------------------------------------------------------


class ArgumentSource(Record):
    """Origin of an argument of a planned call: either `value` or `call`."""

    value: Json = None
    """The value that the request states. Meaningless unless `call` is None."""
    call: str | None = None
    """Id of the earlier planned call whose result holds the argument."""
    field: str | None = None
    """Dotted path in that call's result, e.g. `items.0.id`. None: the whole result."""
    part_of: str | None = None
    """Parameter of whose value this is a part; the key is then a dotted path into it, as in
    `recipient.id`. None: the key is the parameter."""


class PlannedCall(Record):
    """One call of a verified chain."""

    id: str
    """c1, c2, … in the order of the chain."""
    tool: str
    """Name as the agent sees it."""
    arguments: dict[str, ArgumentSource] = {}
    depends_on: tuple[str, ...] = ()
    """Ids of the calls that have to come before this one."""


class TaskOrigin(StrEnum):
    """How a task was made (spec 1.3)."""

    original = "original"
    diversity = "diversity"
    """Paraphrased or in another context, with the same intent."""
    complexity = "complexity"
    """More constraints, the same goal."""
    persona = "persona"
    """Rewritten as a user of a given profile would ask."""


class TaskScores(Record):
    """Scores of a task, each in [0, 1] (spec 1.3)."""

    question_quality: float
    scenario_realism: float
    tool_necessity: float


class TrajectoryTask(Record):
    """A user's request to an agent that has the tools of some servers."""

    id: str
    """Hash of servers, request, plan and axis."""
    servers: tuple[str, ...]
    """Ids of the servers; several only for chains across servers."""
    kind: Literal["chain", "server"]
    """Made from a verified chain, or from the server's tools alone."""
    request: str
    """The user's words."""
    language: Language
    plan: tuple[PlannedCall, ...] = ()
    """The verified chain; for `server` tasks the proposer's plan, if it is valid."""
    axis: TaskOrigin = TaskOrigin.original
    parent: str | None = None
    """Id of the original task. None: this is an original."""
    persona: str | None = None
    scores: TaskScores | None = None
    failure: str = ""
    """The error that its plan met when it was tried on live servers: such tasks are kept only as
    far as `failing_fraction` allows. Empty: every call succeeded, or it was not tried."""


class UserWish(Record):
    """A further message of a simulated user."""

    behaviour: UserBehaviour
    message: str
    """What the user wants to say."""
    plan: tuple[PlannedCall, ...] = ()
    """The calls that it needs; their ids continue those of the task's plan."""


class UserScript(Record):
    """What a simulated user says in one episode."""

    opening: str
    wishes: tuple[UserWish, ...] = ()
    """In their order. Empty: the user speaks once."""


# --- rollouts --------------------------------------------------------------------------------


class RecordedRollout(Record):
    """One episode of a task, with everything that a replay needs."""

    id: str
    """Hash of task id, sample, and the names of model and host."""
    task: TrajectoryTask
    sample: int
    model: str
    host: Literal["live", "emulator", "recorded"]
    tools: tuple[ToolSchema, ...]
    """The tools that the agent saw, in their order."""
    trajectory: Trajectory
    recording: tuple[RecordedCall, ...]
    script: UserScript | None = None
    """What the simulated user wanted to say. None: the request is all that was said."""
    starts: tuple[ServerStart, ...] = ()
    """What each live server began with."""


# --- judgements ------------------------------------------------------------------------------


class TrajectoryScore(StrEnum):
    """The seven scores of a trajectory (spec 1.5)."""

    QU = "QU"
    """Query understanding, of the first assistant message of each user turn."""
    QP = "QP"
    """Query planning, of the same messages."""
    TCU = "TCU"
    """Tool-response understanding, mean over rounds 2..J."""
    TCP = "TCP"
    """Tool-response-conditioned planning, mean over rounds 2..J."""
    TCS = "TCS"
    """Tool-call status, mean over all calls."""
    TC = "TC"
    """Tool conciseness, mean over all calls."""
    FA = "FA"
    """The answer to each user turn: relevant to the request, and faithful to the trajectory."""


class JudgeFinding(Record):
    """One verdict behind a score."""

    measure: TrajectoryScore
    value: float
    reason: str
    place: str
    """The judged part: `message 2`, `call call_0_1`, `round 3`, `answer`."""
    by: Literal["teacher", "record"] = "teacher"
    """Judged by a teacher, or by rule from the record."""
    turn: int = 1
    """User turn, from 1."""


class Judgement(Record):
    """The scores of one rollout. Written only if no score is missing by an error."""

    rollout: str
    """Id of the rollout."""
    judge: str
    """Name of the teacher that judged."""
    scores: dict[TrajectoryScore, float]
    """Scores that exist for this rollout: TCU and TCP need two rounds, TCS and TC a call."""
    reward: float
    """Arithmetic mean of `scores`."""
    outcome: float | None = None
    """Whether every planned call that changes something succeeded, 0 or 1; not part of the reward,
    which is the paper's. None: the plan changes nothing, or there is none."""
    findings: tuple[JudgeFinding, ...]
