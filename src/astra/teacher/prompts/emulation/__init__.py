"""The prompts of rollouts without the real thing: a service that is known from its documents, and
a user who says what they want piece by piece (ASTRA paper, rollouts; spec section 1.4).

Neither sees the other's side: the service never sees the conversation, the user never the calls.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from astra.teacher.prompt import Prompt, TeacherAnswer
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
    """How a simulated user goes about getting what they want."""

    missing_parameter = "missing_parameter"
    """Leaves something needed out, and gives it when asked."""
    changed_mind = "changed_mind"
    """Wants one thing otherwise after the first answer."""
    refusal = "refusal"
    """Says no when asked to confirm something, and settles for what can be had without it."""


class TalkMessage(Record):
    """A message as the user sees it: no calls, no results."""

    by: str
    """`user` or `assistant`."""
    text: str


class SimulateUserIn(Record):
    """What a user wants, and the talk so far."""

    language: Language
    behaviour: UserBehaviour
    request: str
    """All that the user wants, in one piece."""
    values: tuple[str, ...]
    """Values in the request that something has to be done with."""
    talk: tuple[TalkMessage, ...]
    """Empty: the user opens it."""


class UserTurn(TeacherAnswer):
    """What the user says next."""

    done: bool
    """Whether the user has what can be had; then nothing is said."""
    message: str
    """The user's words; "" when done."""


EMULATE_CALL = Prompt("emulate_call", 1, EmulateCallIn, EmulateCallOut)
SIMULATE_USER = Prompt("simulate_user", 1, SimulateUserIn, UserTurn)

ALL: tuple[Prompt[Any, Any], ...] = (EMULATE_CALL, SIMULATE_USER)
