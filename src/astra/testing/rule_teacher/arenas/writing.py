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
from astra.types import Arena, Goal


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
    groups: dict[str, list[str]] = {}
    for step in given.steps:
        found = catalogue.step(given.question, step.question)
        if found is not None and found.goal.call is not None:
            groups.setdefault(found.goal.call.tool, []).append(step.id)
    return GroupOut(groups=tuple(tuple(ids) for ids in groups.values() if len(ids) > 1))


def extend_tool(catalogue: Catalogue, given: ExtendIn) -> ExtendOut:
    """The tool over the records of all the steps that it serves and of the new one."""
    questions = [*(call.question for call in given.serves), given.adds.question]
    steps = [known_step(catalogue, given.main_question, question) for question in questions]
    arena, goals = steps[0].arena, [step.goal for step in steps]
    try:
        union = document_of(arena, goals, given.document.name)
    except ValueError as error:
        raise TeacherError(f"these steps can't share a tool: {error}") from error
    # Options of the old document stay; what the table tool requires may have got more choices.
    properties = given.document.parameters["properties"] | union.parameters["properties"]
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


def _unknown(question: str) -> TeacherError:
    return TeacherError(
        f"the rule teacher does not know the step {question[:200]!r}: it knows only its tables"
    )
