"""Checks of a tool document and of a call before there is code.

Not covered: whether a description is true, or says what the code does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from astra.arenas.certificate.containment import document_text, offered, stands_in
from astra.arenas.certificate.leak import leaks
from astra.arenas.certificate.names import IDENTIFIER, name_problem
from astra.arenas.certificate.parameters import parameters_of, validator
from astra.arenas.certificate.schema import MAX_DOCUMENT, form_problem
from astra.arenas.certificate.spelling import missed_form
from astra.core.language import in_script
from astra.core.spellings import says
from astra.core.text import scalars
from astra.core.untrusted import json_problem
from astra.rewards import same_scalar
from astra.teacher.prompts.arenas import DecompositionStep, DocumentOut
from astra.types import Answer, Json, Language, Tool, ToolSchema

MAX_ARGUMENTS = 8_000
"""Characters of one call's arguments as canonical JSON."""


def tool_of(
    document: DocumentOut, source: str = "", *, domain: str = "", language: Language = "en"
) -> Tool:
    """A document with a source as a tool."""
    plain = ToolSchema.model_validate(document.model_dump())
    return Tool(document=plain, source=source, domain=domain, language=language)


def document_problem(
    document: DocumentOut, language: Language, answers: Sequence[Answer], taken: Collection[str]
) -> str:
    """Why a document can't be used in an arena with these answers. Empty if it can."""
    if problem := name_problem(document.name):
        return problem
    if document.name.casefold() in {name.casefold() for name in taken}:
        return f"the name {document.name!r} is taken by another tool"
    if problem := json_problem("the document", document.model_dump(), MAX_DOCUMENT):
        return problem
    if problem := form_problem(tool_of(document).document):
        return problem
    for name in document.parameters.get("properties", {}):
        if not IDENTIFIER.fullmatch(name):
            return f"parameter {name!r:.80} is not an identifier of ASCII characters"
    if not in_script(document.description, language):
        return f"the description is not in {language!r}: {document.description[:200]!r}"
    text = document_text(tool_of(document))
    for answer in answers:
        if leaks(answer, text):
            return f"the document contains {answer!r:.100}, which is an answer"
    return ""


def call_problem(
    document: DocumentOut,
    arguments: dict[str, Json],
    question: str,
    needed: Sequence[DecompositionStep],
) -> str:
    """Why a call can't be the gold call of a step. Empty if it can.

    `needed`: the steps that the step declares to depend on; each must supply an argument.
    """
    tool = tool_of(document)
    if problem := json_problem("the call", arguments, MAX_ARGUMENTS):
        return problem
    for error in validator(tool).iter_errors(arguments):
        return f"the call does not fit the document of {tool.name!r}: {error.message[:300]}"
    schemas = parameters_of(tool)
    answers = {step.id: list(scalars(step.answer)) for step in needed}
    used: set[str] = set()
    for name, argument in arguments.items():
        schema = schemas.get(name)
        if schema is None:
            return f"the call sets {name!r}, which the document does not have"
        # The certificate finds this, too, but only after the code was blamed for it.
        free = isinstance(argument, str) and "enum" not in schema
        if free and (form := missed_form(schema, argument)):
            return f"argument {name!r} = {argument!r:.100}, but the document asks for {form}"
        element_schema = schema.get("items", schema)
        for value in scalars(argument):
            suppliers = [
                step_id
                for step_id, leaves in answers.items()
                if any(same_scalar(value, leaf) for leaf in leaves)
            ]
            # A value that can be had otherwise proves no dependency.
            if (
                stands_in(value, question)
                or says(value, question, str(schema.get("description", "")))
                or offered(schema, value)
                or offered(element_schema, value)
            ):
                continue
            used.update(suppliers)
            if not suppliers and not offered(schema, argument):
                return (
                    f"argument {name!r} = {value!r:.100} stands neither in the question nor among "
                    "the known answers, and the document does not offer it"
                )
    for step in needed:
        if step.id not in used:
            return (
                f"the step depends on {step.id!r} ({step.question!r:.200}), but no argument is "
                f"its answer {step.answer!r:.100}"
            )
    return ""
