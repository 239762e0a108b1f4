"""The prompts of chains: proposed, judged by votes, and told there and back (ASTRA paper,
trajectory synthesis; spec section 1.2).

Field docstrings double as the descriptions in the JSON Schema that a model gets.
"""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from astra.teacher.prompt import Prompt, TeacherAnswer
from astra.types import Json, Language, Record


class ShownTool(Record):
    """A tool as a teacher sees it."""

    name: str
    description: str
    parameters: dict[str, Json]
    """JSON Schema of the arguments."""
    returns: dict[str, str]
    """Fields that its result is known to have: dotted path -> kind of value. `0` stands for the
    first item of a list. Empty: the result is not documented."""
    examples: tuple[dict[str, Json], ...] = ()
    """Arguments that the source gives as examples."""


class ToolsIn(Record):
    """Base of what is asked about the tools of a server, or of several."""

    language: Language
    """Of the task and the request."""
    service: str
    """Name and description of where the tools come from."""
    tools: tuple[ShownTool, ...]


class ShownResult(Record):
    """What a call returned before anything was changed."""

    tool: str
    arguments: dict[str, Json]
    result: str
    """Its text, or JSON; a long one is cut."""


class GroundedToolsIn(ToolsIn):
    """Base of what is asked for that names what a service holds."""

    state: tuple[ShownResult, ...] = ()
    """What calls that only read returned before the first task. Empty: nothing is known of it."""

    @model_serializer(mode="wrap")
    def _serialized(self, handler: SerializerFunctionWrapHandler) -> dict[str, Json]:
        fields: dict[str, Json] = handler(self)
        # Left out where there is none, so that other tasks ask as ever: answers are on record.
        return fields if self.state else {k: v for k, v in fields.items() if k != "state"}


class ProposeChainsIn(GroundedToolsIn):
    """Tools for which tasks with chains are wanted."""

    wanted: int
    """Number of pairs."""
    shortest: int
    """Fewest tools in a chain."""
    longest: int
    number: int
    """Which of several rounds of proposals this is."""


class ProposedChain(TeacherAnswer):
    """A task, and the tools that carry it out one after the other."""

    task: str
    """What a user wants done, in one sentence."""
    chain: tuple[str, ...]
    """Names of the tools, in the order of the calls."""


class ProposedChains(TeacherAnswer):
    """Tasks with their chains, as different from each other as the tools allow."""

    pairs: tuple[ProposedChain, ...]


class ChainIn(GroundedToolsIn):
    """A chain to be judged or told; `tools` holds those of the chain, each once."""

    chain: tuple[str, ...]
    """Names of the tools, in the order of the calls."""


class PlannedArgument(TeacherAnswer):
    """Where an argument comes from: the request, or an earlier step."""

    value: Json = None
    """The value that the request states; null when it comes from an earlier step."""
    step: int | None = None
    """Number of the earlier step, from 1; null when the request states the value."""
    field: str | None = None
    """Dotted path in that step's result, e.g. items.0.id; null for the whole result."""


class PlannedStep(TeacherAnswer):
    """One call of a plan."""

    tool: str
    arguments: dict[str, PlannedArgument]
    """One entry per argument that is given, or per part of one: recipient.id, attendees.0."""
    needs: tuple[int, ...]
    """Numbers of the earlier steps, from 1, that must have been made before this one, for their
    results or for what they do."""


class ToldChain(TeacherAnswer):
    """A task that needs just this chain; texts of "" and an empty plan when there is none."""

    task: str
    """What is to be done, in one sentence."""
    request: str
    """The words of a user who wants it done. They state every value that the plan takes from the
    request, and name no tool."""
    plan: tuple[PlannedStep, ...]
    """One step per tool of the chain, in its order."""


class ChainVerdict(ToldChain):
    """Whether a chain makes sense, and a task that shows it."""

    reason: str
    """One or two sentences."""
    holds: bool
    """Whether there is a sensible task that needs just these calls. If not: task and request are
    "" and the plan is empty."""


class RecoverIn(ToolsIn):
    """A request, to be turned into calls. `tools` are all that there are."""

    request: str


class RecoveredStep(TeacherAnswer):
    """A call that the request needs."""

    tool: str
    needs: tuple[int, ...]
    """Numbers of the earlier steps, from 1, that must have been made before this one, for their
    results or for what they do."""


class RecoveredChain(TeacherAnswer):
    """The calls that a request needs, in an order in which they can be made."""

    steps: tuple[RecoveredStep, ...]


PROPOSE_CHAINS = Prompt("propose_chains", 1, ProposeChainsIn, ProposedChains)
JUDGE_CHAIN = Prompt("judge_chain", 2, ChainIn, ChainVerdict)
TELL_CHAIN = Prompt("tell_chain", 2, ChainIn, ToldChain)
RECOVER_CHAIN = Prompt("recover_chain", 1, RecoverIn, RecoveredChain)

ALL: tuple[Prompt[Any, Any], ...] = (PROPOSE_CHAINS, JUDGE_CHAIN, TELL_CHAIN, RECOVER_CHAIN)
