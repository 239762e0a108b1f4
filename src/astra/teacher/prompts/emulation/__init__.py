"""The prompts of rollouts without the real thing: a service that is known from its documents, and
a user who says what they want piece by piece (ASTRA paper, rollouts; spec section 1.4).

Neither sees the other's side: the service never sees the conversation, the user never the calls.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from astra.teacher.prompt import Prompt, TeacherAnswer
from astra.teacher.prompts.chains import PlannedStep, ToolsIn
from astra.types import Json, Language, Record, ToolSchema


class EmulatedExchange(Record):
    """A call that was answered."""

    tool: str
    arguments: dict[str, Json]
    result: Json
    is_error: bool


class AskedCall(Record):
    """A call without its result."""

    tool: str
    arguments: dict[str, Json]


class EmulateCallIn(Record):
    """A call to a service, with all that the session has seen of it."""

    language: Language
    service: str
    """Name of the service, and what it is."""
    tool: ToolSchema
    output_schema: dict[str, Json] | None
    """JSON Schema of the result; None: not documented."""
    arguments: dict[str, Json]
    history: tuple[EmulatedExchange, ...]
    """All earlier calls of the session, in their order."""
    at_once: tuple[AskedCall, ...]
    """Calls that came with this one and are answered after it."""
    facts: dict[str, dict[str, Json]]
    """Entity -> field -> value, as far as the session has said and nothing changed it."""
    finding: str = ""
    """What was wrong with the last try; "": this is the first."""


class EmulateCallOut(TeacherAnswer):
    """What the service returns."""

    is_error: bool
    """Whether the service refuses the call, e.g. because nothing has that id."""
    result: Json = Field(
        description="The result, as the output schema wants it. Of an error: an object with the "
        "key error, which holds code and message."
    )


class UserBehaviour(StrEnum):
    """Why a user speaks again."""

    missing_parameter = "missing_parameter"
    """Left something needed out, and gives it when asked."""
    follow_up = "follow_up"
    """Wants one thing more, which the same tools can do."""
    changed_mind = "changed_mind"
    """Wants one thing otherwise after an answer."""
    refusal = "refusal"
    """Says no when asked to confirm something, and settles for what can be had without it."""


class PlanTalkIn(ToolsIn):
    """A request that is to become a talk in several turns."""

    request: str
    """All that the user wants at first, in one piece."""
    steps: tuple[PlannedStep, ...]
    """The calls that the request needs."""
    withheld: str
    """The words of the request that its first message leaves out. Empty: it says everything."""
    behaviours: tuple[UserBehaviour, ...]
    """What the user does in the further messages, one after the other."""
    finding: str = ""
    """What was wrong with the last try. Empty: this is the first."""


class PlannedWish(TeacherAnswer):
    """A further message of the user."""

    message: str
    """The user's words."""
    plan: tuple[PlannedStep, ...]
    """The calls that it needs; their numbers continue those of `steps` and of earlier wishes."""


class PlannedTalk(TeacherAnswer):
    """What a user says, one message after the other."""

    opening: str
    """The first message."""
    wishes: tuple[PlannedWish, ...]
    """One per behaviour, in their order."""


class TalkMessage(Record):
    """A message as the user sees it: no calls, no results."""

    by: str
    """`user` or `assistant`."""
    text: str


class SimulateUserIn(Record):
    """What a user wants, and the talk so far, in which the assistant asks something."""

    language: Language
    request: str
    """All that the user wanted at first, in one piece."""
    behaviour: UserBehaviour | None
    """Why the user speaks again. None: only because they are asked something."""
    wish: str
    """What they want to say next. Empty: nothing of their own."""
    talk: tuple[TalkMessage, ...]


class UserTurn(TeacherAnswer):
    """What the user says next."""

    done: bool
    """Whether the user has nothing to say: nothing is asked that they could answer."""
    message: str
    """The user's words. Empty when done."""
    wish_said: bool
    """Whether the message says the wish; false when it only answers a question."""


def _other_number(task: PlanTalkIn, answer: PlannedTalk) -> str:
    if len(answer.wishes) == len(task.behaviours):
        return ""
    return f"{len(task.behaviours)} wishes are wanted, one per behaviour, not {len(answer.wishes)}"


EMULATE_CALL = Prompt("emulate_call", 1, EmulateCallIn, EmulateCallOut)
PLAN_TALK = Prompt("plan_talk", 1, PlanTalkIn, PlannedTalk, problem=_other_number)
SIMULATE_USER = Prompt("simulate_user", 2, SimulateUserIn, UserTurn)

ALL: tuple[Prompt[Any, Any], ...] = (EMULATE_CALL, PLAN_TALK, SIMULATE_USER)
