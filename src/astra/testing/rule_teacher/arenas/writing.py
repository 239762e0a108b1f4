"""The rule teacher's right answers on tools: documents, calls, implementations, merging."""

from __future__ import annotations

from collections.abc import Sequence

from astra.errors import TeacherError
from astra.teacher.prompts.arenas import (
    CallIn,
    CallOut,
    DocumentIn,
    DocumentOut,
    ExtendIn,
    ExtendOut,
    GroupIn,
    GroupOut,
    Implementation,
    ScaleIn,
    ToolIn,
)
from astra.testing.rule_teacher.arenas.catalogue import Catalogue, KnownStep
from astra.testing.rule_teacher.arenas.tools import (
    arguments_of,
    document_of,
    implementation_of,
    name_of,
    scaled,
)
from astra.types import Arena, Goal, Json, Scalar, canonical_json

Ask = tuple[str, Scalar | tuple[Scalar, ...], dict[str, Json] | None]
"""A sub-question, its answer, and its arguments where they are known."""


def write_document(catalogue: Catalogue, given: DocumentIn) -> DocumentOut:
    """The plain document of the step's tool."""
    arena, goal = known_step(catalogue, given.main_question, given.question)
    return document_of(arena, [goal], name_of(arena, goal, given.taken))


def scale_document(catalogue: Catalogue, given: ScaleIn) -> DocumentOut:
    """The document with the optional parameters of its operation."""
    wanted = set(given.document.parameters.get("properties", {}))
    for arena, goal in catalogue.named(given.question):
        if goal.call is not None and set(goal.call.arguments) <= wanted:
            return scaled(given.document, goal.operation, arena.language)
    raise _unknown(given.question)


def write_call(catalogue: Catalogue, given: CallIn) -> CallOut:
    """The arguments that the plan of the question has for the step."""
    _, goal = known_step(catalogue, given.main_question, given.question)
    return CallOut(arguments=arguments_of(goal))


def write_tool(catalogue: Catalogue, given: ToolIn) -> Implementation:
    """A module over records from the tables; it says what they say, whatever is expected."""
    arena, goal = known_step(catalogue, given.main_question, given.question)
    return _implemented(arena, [goal], given.document)


def group_steps(catalogue: Catalogue, given: GroupIn) -> GroupOut:
    """Steps that one table tool can serve."""
    asks: list[Ask] = [(step.question, step.answer, None) for step in given.steps]
    arena, goals = _together(catalogue, asks)
    groups: dict[str, list[str]] = {}
    for step, goal in zip(given.steps, goals, strict=True):
        if arena is not None and goal is not None and step.id in given.documents and goal.call:
            groups.setdefault(goal.call.tool, []).append(step.id)
    return GroupOut(groups=tuple(tuple(ids) for ids in groups.values() if len(ids) > 1))


def extend_tool(catalogue: Catalogue, given: ExtendIn) -> ExtendOut:
    """The tool over the records of all the steps that it serves and of the new one."""
    served = [*given.serves, given.adds]
    asks: list[Ask] = [(one.question, one.answer, one.arguments) for one in served]
    arena, found = _together(catalogue, asks)
    goals = [goal for goal in found if goal is not None and goal.call is not None]
    if arena is None or len(goals) < len(served):
        raise TeacherError("the rule teacher does not know these steps as steps of one question")
    try:
        union = document_of(arena, goals, given.document.name)
    except ValueError as error:
        raise TeacherError(f"these steps can't share a tool: {error}") from error
    options = {
        name: schema
        for document in (given.document, given.other_document)
        for name, schema in document.parameters["properties"].items()
        if name not in union.parameters["properties"]
    }
    properties = {**union.parameters["properties"], **options}
    document = union.model_copy(
        update={"parameters": union.parameters | {"properties": properties}}
    )
    return ExtendOut(
        document=document,
        implementation=_implemented(arena, goals, document),
        arguments=arguments_of(goals[-1]),
    )


def known_step(catalogue: Catalogue, main_question: str, question: str) -> KnownStep:
    """The step with its arena; raises TeacherError for one without a tool or unknown."""
    found = catalogue.step(main_question, question)
    if found is None:
        raise _unknown(question)
    if found.goal.call is None:
        raise TeacherError(f"the step {question[:200]!r} needs no tool")
    return found


def _implemented(arena: Arena, goals: Sequence[Goal], document: DocumentOut) -> Implementation:
    try:
        return implementation_of(arena, goals, document)
    except ValueError as error:
        raise TeacherError(f"the rule teacher has no code for this document: {error}") from error


def _together(catalogue: Catalogue, asks: Sequence[Ask]) -> tuple[Arena | None, list[Goal | None]]:
    """The arena that has most of the steps, and its goal for each; None where it has none."""
    by_arena: dict[str, tuple[Arena, dict[int, Goal]]] = {}
    for number, (question, answer, arguments) in enumerate(asks):
        for arena, goal in catalogue.named(question):
            # A template may withhold the answers: then they come empty.
            if answer in ("", goal.answer) and _same_call(goal, arguments):
                by_arena.setdefault(arena.id, (arena, {}))[1].setdefault(number, goal)
    if not by_arena:
        return None, [None] * len(asks)
    arena, goals = max(by_arena.values(), key=lambda pair: len(pair[1]))
    return arena, [goals.get(number) for number in range(len(asks))]


def _same_call(goal: Goal, arguments: dict[str, Json] | None) -> bool:
    if arguments is None or goal.call is None:
        return arguments is None
    gold = goal.call.arguments
    return canonical_json(gold) == canonical_json({k: arguments.get(k) for k in gold})


def _unknown(question: str) -> TeacherError:
    return TeacherError(
        f"the rule teacher does not know the step {question[:200]!r}: it knows only its tables"
    )
