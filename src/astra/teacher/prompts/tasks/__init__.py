"""The prompts of tasks: proposed for a server, varied, compared and scored (ASTRA paper,
trajectory synthesis; spec section 1.3).

Field docstrings double as the descriptions in the JSON Schema that a model gets.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from astra.teacher.prompt import JudgeVerdict, Prompt, TeacherAnswer
from astra.teacher.prompts.chains import GroundedToolsIn, PlannedStep, ToolsIn
from astra.types import Json, Language, Record

UnitInterval = Annotated[float, Field(ge=0, le=1)]


class ProposeTasksIn(GroundedToolsIn):
    """Tools for which tasks are wanted."""

    wanted: int
    """Number of tasks."""
    fewest: int
    """Fewest tools in a task."""
    most: int
    number: int
    """Which of several rounds of proposals this is."""


class ProposedTask(TeacherAnswer):
    """A user's request, with the calls that its author has in mind."""

    request: str
    """The words of a user. They state every value that the plan takes from them, and name no
    tool."""
    plan: tuple[PlannedStep, ...]
    """In an order in which the calls can be made."""


class ProposedTasks(TeacherAnswer):
    """Tasks, as different from each other as the tools allow."""

    tasks: tuple[ProposedTask, ...]


class UserProfile(Record):
    """Who a request may come from."""

    age: int
    occupation: str
    education: str
    skills: tuple[str, ...]
    hobbies: tuple[str, ...]


class VaryIn(ToolsIn):
    """A request to be varied."""

    axis: Literal["diversity", "complexity", "persona"]
    request: str
    keep: tuple[str, ...]
    """The request's words for what calls need; they must stand in the new request."""
    profile: UserProfile | None = None
    """Who asks; only for the axis persona."""
    number: int
    """Which of several variations of this request on this axis."""
    finding: str = ""
    """What was wrong with the last try; "": this is the first."""


class VaryOut(TeacherAnswer):
    """The new request."""

    request: str


class IntentIn(Record):
    """Two requests to be compared."""

    language: Language
    axis: Literal["diversity", "complexity", "persona"]
    original: str
    varied: str


class MeantValue(Record):
    """An argument that a request says in other words, if at all."""

    tool: str
    parameter: str
    value: Json


class ScoreIn(ToolsIn):
    """A request to be scored."""

    other_tools: tuple[str, ...]
    """Names of the tools that the assistant has besides `tools`."""
    request: str
    values: tuple[MeantValue, ...] = ()
    """Arguments of which no rule can say whether the request states them."""


class TaskMarks(TeacherAnswer):
    """What a request is worth."""

    reason: str
    """Two or three sentences, before the scores."""
    question_quality: UnitInterval
    """From 0 to 1: clear, complete, free of contradictions; it can be carried out as it stands."""
    scenario_realism: UnitInterval
    """From 0 to 1: a person could well ask this, in such words."""
    tool_necessity: UnitInterval
    """From 0 to 1: it can't be answered well without calling these tools."""
    unfounded: tuple[str, ...]
    """Those of `values`, as tool.parameter, that the request does not say in any words."""


PROPOSE_TASKS = Prompt("propose_tasks", 2, ProposeTasksIn, ProposedTasks)
VARY_TASK = Prompt("vary_task", 2, VaryIn, VaryOut)
INTENT = Prompt("judge_intent", 1, IntentIn, JudgeVerdict)
SCORE_TASK = Prompt("score_task", 2, ScoreIn, TaskMarks)

ALL: tuple[Prompt[Any, Any], ...] = (PROPOSE_TASKS, VARY_TASK, INTENT, SCORE_TASK)
