"""Check `schema`: tool documents are sound, agree with the code, and the arena's calls fit them.

Only a plain part of JSON Schema is allowed (`KEYWORDS`): no references (a validator would fetch
them), no combinators, and patterns of fixed length only (others can take exponential time).
Distractors' documents are held to the same. Not covered: whether a description is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, CheckFinding, shortened
from astra.arenas.certificate.function_signature import BadSource, signature
from astra.arenas.certificate.parameters import accepts, has_type, misfit, types_of
from astra.core import json_schema
from astra.core.json_schema import UnusableSchema
from astra.core.kept import kept_by_identity
from astra.core.patterns import is_fixed
from astra.types import Json, Tool, ToolSchema, canonical_json

MAX_DECOYS = 32
"""Decoys of one goal; all are called."""
MAX_DATA = 2_000_000
"""Characters of one tool's data as canonical JSON."""
MAX_QUESTION = 20_000
"""Characters of the main question, or of a goal's."""
MAX_GOALS = 64
MAX_DISTRACTORS = 256
MAX_DOCUMENT = 16_000
"""Characters of one tool document as canonical JSON."""
MAX_PARAMETERS = 32
MAX_DEPTH = 8
"""Objects and arrays inside each other, in a parameter's schema."""

TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
KEYWORDS = frozenset(
    """type title description enum const default examples format minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf minLength maxLength pattern items minItems maxItems uniqueItems
    properties required additionalProperties""".split()
)
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _DocumentDefect(ValueError):
    """Something is wrong with a tool's document."""


# --- the check -------------------------------------------------------------------------------


def check_schema(under_test: ArenaUnderTest) -> dict[str, Json]:
    """Documents are valid and described, agree with the functions, and fit the arena's calls."""
    arena = under_test.arena
    for tool in [*arena.tools, *arena.distractors]:
        if problem := document_problem(tool):
            raise CheckFinding(f"tool {tool.name!r}: {problem}")
    for tool in arena.tools:
        size = len(canonical_json(tool.data))
        if size > MAX_DATA:
            raise CheckFinding(f"data of tool {tool.name!r}: {size} characters, at most {MAX_DATA}")
    # Every later check takes time that grows with these.
    if len(arena.goals) > MAX_GOALS or len(arena.distractors) > MAX_DISTRACTORS:
        raise CheckFinding(
            f"{len(arena.goals)} goals and {len(arena.distractors)} distractors: at most "
            f"{MAX_GOALS} and {MAX_DISTRACTORS}"
        )
    questions = {"the main question": arena.question}
    questions |= {f"the question of goal {goal.id!r}": goal.question for goal in arena.goals}
    for title, question in questions.items():
        if len(question) > MAX_QUESTION:
            raise CheckFinding(f"{title} has {len(question)} characters, at most {MAX_QUESTION}")
        if control := _CONTROL.search(question):
            raise CheckFinding(f"{title} holds the control character {control[0]!r}")
        if not question.strip():
            raise CheckFinding(f"{title} is empty")
    used: set[str] = set()
    for goal in arena.goals:
        if (goal.call is None) != (goal.target is None):
            raise CheckFinding(f"goal {goal.id!r} has a call without a target, or the reverse")
        if goal.call is None:
            continue
        tool = under_test.tools.get(goal.call.tool)
        if tool is None:
            raise CheckFinding(
                f"goal {goal.id!r} calls {goal.call.tool!r}, which is not a tool of the arena"
            )
        used.add(tool.name)
        if len(goal.decoys) > MAX_DECOYS:
            raise CheckFinding(
                f"goal {goal.id!r} has {len(goal.decoys)} decoys, at most {MAX_DECOYS}"
            )
        calls = [("gold call", goal.call.arguments), *(("decoy", d) for d in goal.decoys)]
        for kind, arguments in calls:
            if problem := misfit(tool, arguments):
                raise CheckFinding(
                    f"a {kind} of goal {goal.id!r} does not fit the document of {tool.name!r}: "
                    f"{problem[:300]}",
                    arguments=shortened(arguments),
                )
    if not used:
        raise CheckFinding("no goal has a call: there is nothing to reward")
    # It would be neither examined as a goal's tool nor called as a distractor. With a state every
    # tool is called, for all of them reach the same database.
    unused = sorted(set(under_test.tools) - used) if under_test.arena.state is None else []
    if unused:
        raise CheckFinding(f"no goal uses the tools {unused!r}: an unused tool is a distractor")
    return {"documents": len(arena.tools) + len(arena.distractors)}


# --- one document ----------------------------------------------------------------------------


def document_problem(tool: Tool) -> str:
    """What is wrong with a tool's document, or with its agreement with the source. Empty if nothing
    is."""
    return _document_problem(_document_json(tool.document), tool.source)


@kept_by_identity(512)
def _document_json(document: ToolSchema) -> str:
    return canonical_json(document.model_dump())


def form_problem(document: ToolSchema) -> str:
    """What is wrong with a document on its own, before there is a source. Empty if nothing is."""
    try:
        _check_form(canonical_json(document.model_dump()))
    except _DocumentDefect as error:
        return str(error)
    return ""


# Tables share documents and sources over hundreds of arenas.
@lru_cache(maxsize=2048)
def _document_problem(document_json: str, source: str) -> str:
    try:
        document = _check_form(document_json)
        _check_agreement(document, source)
    except _DocumentDefect as error:
        return str(error)
    except BadSource as error:
        return f"its source {error}"
    return ""


def _check_form(document_json: str) -> ToolSchema:
    if len(document_json) > MAX_DOCUMENT:
        raise _DocumentDefect(
            f"its document has {len(document_json)} characters; at most {MAX_DOCUMENT}"
        )
    document = ToolSchema.model_validate_json(document_json)
    if not document.description.strip():
        raise _DocumentDefect("it has no description")
    schema = dict(document.parameters)
    if (draft := schema.pop("$schema", _DRAFT)) != _DRAFT:
        raise _DocumentDefect(f"$schema is {draft!r}: only draft 2020-12 is allowed")
    if schema.get("type") != "object":
        raise _DocumentDefect(f"type of the parameters is {schema.get('type')!r}, not 'object'")
    _check_schema("parameters", schema, 0)
    if len(schema.get("properties", {})) > MAX_PARAMETERS:
        raise _DocumentDefect(f"it has more than {MAX_PARAMETERS} parameters")
    for where, part in _parts("parameters", schema):
        try:
            json_schema.check_schema(part)
        except UnusableSchema as error:
            raise _DocumentDefect(
                f"schema of {where} is not a valid JSON Schema: {str(error)[:300]}"
            ) from error
    _check_values("parameters", schema)
    return document


def _parts(where: str, schema: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The schema taken apart: each object, list and leaf on its own, with its place in words.

    The check against the metaschema is slow, and nearly every part is one of other documents, too:
    what any draft allows to be anything is left out, and names are numbered.
    """
    part = {k: v for k, v in schema.items() if k not in ("default", "const", "properties", "items")}
    for name in ("enum", "examples"):
        if isinstance(part.get(name), list):
            part[name] = []
    for name in ("title", "description"):
        if isinstance(part.get(name), str):
            part[name] = ""
    if "required" in part:
        part["required"] = [str(part["required"].index(name)) for name in schema["required"]]
    yield where, part
    for child_where, child in _children(where, schema):
        yield from _parts(child_where, child)


def _check_schema(where: str, schema: Json, depth: int) -> None:
    if not isinstance(schema, dict):
        raise _DocumentDefect(f"schema of {where} is {schema!r}, not an object")
    if depth > MAX_DEPTH:
        raise _DocumentDefect(f"schema of {where} is nested more than {MAX_DEPTH} deep")
    if unknown := sorted(set(schema) - KEYWORDS):
        raise _DocumentDefect(
            f"schema of {where} uses {unknown!r}: only {', '.join(sorted(KEYWORDS))}"
        )
    kinds: list[Json] = types_of(schema) if isinstance(schema.get("type"), str | list) else []
    if not kinds or any(not isinstance(kind, str) or kind not in TYPES for kind in kinds):
        raise _DocumentDefect(f"schema of {where} has type {schema.get('type')!r}: name JSON types")
    # `robust` expects an unknown argument to be refused; the document must say the same.
    if schema.get("additionalProperties", False) is not False:
        raise _DocumentDefect(
            f"schema of {where} allows additional properties: say false or nothing"
        )
    pattern = schema.get("pattern", "")
    if not isinstance(pattern, str) or not is_fixed(pattern):
        raise _DocumentDefect(
            f"pattern of {where} is {pattern!r}: only patterns of fixed length are allowed"
        )
    for child_where, child in _children(where, schema):
        description = child.get("description") if isinstance(child, dict) else None
        described = isinstance(description, str) and bool(description.strip())
        # The description of a list says what its items are.
        if not described and not child_where.endswith("[]"):
            raise _DocumentDefect(f"{child_where} has no description")
        _check_schema(child_where, child, depth + 1)


def _children(where: str, schema: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """The schemas directly inside a schema, each with its place in words."""
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise _DocumentDefect(f"properties of {where} are {properties!r}, not an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or any(
        not isinstance(name, str) or name not in properties for name in required
    ):
        raise _DocumentDefect(f"{where} requires {required!r}, of which some are not properties")
    for name, child in properties.items():
        yield f"{where}.{name}", child
    if "items" in schema:
        yield f"{where}[]", schema["items"]
    elif "array" in types_of(schema):
        raise _DocumentDefect(f"schema of {where} is an array without items")


def _check_values(where: str, schema: dict[str, Json]) -> None:
    """The enums, defaults and examples of a valid schema fit it."""
    for child_where, child in _children(where, schema):
        _check_values(child_where, child)
    enum = schema.get("enum", [])
    if "enum" in schema and len({canonical_json(value) for value in enum}) != (len(enum) or -1):
        raise _DocumentDefect(f"enum of {where} is {enum!r}: list at least one value, each once")
    for value in enum:
        if not has_type(schema, value):
            raise _DocumentDefect(f"enum value {value!r} of {where} does not fit its own schema")
    offered = [("example", value) for value in schema.get("examples", [])]
    offered += [(name, schema[name]) for name in ("default", "const") if name in schema]
    for kind, value in offered:
        if not accepts(schema, value):
            raise _DocumentDefect(f"{kind} {value!r} of {where} does not fit its own schema")


def _check_agreement(document: ToolSchema, source: str) -> None:
    """The document and the function name the same parameters, required ones and defaults."""
    function = signature(source, document.name)
    documented = document.parameters.get("properties", {})
    names = {parameter.name for parameter in function}
    if names != set(documented):
        raise _DocumentDefect(
            f"the document has parameters {sorted(documented)!r}, the function {sorted(names)!r}"
        )
    required = document.parameters.get("required", [])
    for parameter in function:
        schema = documented[parameter.name]
        # A call that fits the document must never fail on the function's signature.
        if parameter.required != (parameter.name in required):
            raise _DocumentDefect(
                f"{parameter.name!r} is {'' if parameter.name in required else 'not '}required in "
                f"the document and has {'no' if parameter.required else 'a'} default in the code"
            )
        if "default" not in schema:
            continue
        if parameter.required or not parameter.literal:
            raise _DocumentDefect(
                f"{parameter.name!r} has a default in the document, but no literal in the code"
            )
        if not _equal(schema["default"], parameter.default):
            raise _DocumentDefect(
                f"default of {parameter.name!r} is {schema['default']!r} in the document and "
                f"{parameter.default!r} in the code"
            )


def _equal(a: Json, b: Json) -> bool:
    """Equal as JSON: 1 equals 1.0, but not true as in Python."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    try:
        return canonical_json(a) == canonical_json(b)
    except (TypeError, ValueError):
        return False
