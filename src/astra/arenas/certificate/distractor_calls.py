"""Calls to a distractor that ask what the arena asks, as far as its parameters admit.

Parameters are read as slots: leaves of the schema, however deep in objects and lists. Slots take
gold arguments, names and numbers of the question, the question itself, any text, choices of an
enum, and pages. Not covered: texts that a tool takes for a command of its own, and more than two
choices that must come together where an enum has many.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from astra.arenas.certificate.parameters import accepts, types_of
from astra.core.kept import kept_by_identity
from astra.core.text import scalars
from astra.types import Arena, Json, Tool, ToolSchema


class Effort(NamedTuple):
    """How many calls are made to a distractor."""

    calls: int
    """For one goal, with its gold arguments."""
    texts: int
    """Texts of the question that are tried where a text fits."""
    text_calls: int
    """For one of these texts."""
    pages: int
    """Whole numbers that are tried where no argument fits."""
    options: bool
    """Whether optional parameters are set, too."""


USUAL = Effort(calls=8, texts=1, text_calls=1, pages=3, options=False)
DEEP = Effort(calls=200, texts=8, text_calls=50, pages=40, options=True)
"""For a distractor whose code or data hold an answer."""
ANY_TEXT = "a"
_OMITTED = object()
"""Choice of an optional parameter: its default."""
_NAME = re.compile(
    r"[\"“«「『]([^\"”»」』]{1,80})[\"”»」』]"
    r"|\b[A-ZÀ-ÖØ-Þ][\w.'’-]*(?: (?:of |de |the )?[A-ZÀ-ÖØ-Þ0-9][\w.'’-]*)*"
)
"""A quoted name, or words with capitals."""
Filled = dict[int, Json]
"""Values by the index of their slot."""


class Slot(NamedTuple):
    """A leaf of a tool's parameters."""

    path: tuple[str, ...]
    """Names of properties from the outside in. `[]` stands for the only element of a list."""
    schema: dict[str, Json]
    required: bool


@kept_by_identity(512)
def slots_of(document: ToolSchema) -> tuple[Slot, ...]:
    """The leaves of a tool's parameters, in the document's order."""

    def leaves(schema: dict[str, Json], path: tuple[str, ...], required: bool) -> Iterator[Slot]:
        kinds = types_of(schema)
        if "object" in kinds and schema.get("properties"):
            wanted = schema.get("required", [])
            for name, child in schema["properties"].items():
                yield from leaves(child, (*path, name), required and name in wanted)
        elif "array" in kinds and isinstance(schema.get("items"), dict):
            yield from leaves(schema["items"], (*path, "[]"), required)
        elif path:
            yield Slot(path, schema, required)

    return tuple(leaves(document.parameters, (), required=True))


def distractor_calls(tool: Tool, arena: Arena, held: Collection[str] = ()) -> list[dict[str, Json]]:
    """Arguments for another tool that ask what the arena's goals ask.

    `held`: ids of goals to which more calls are made, for the tool seems to know the answer.

    Gold arguments keep their name if the tool has it, else they go to the first free slot of their
    type, in their order and in reverse. Texts of the question go to every slot that takes a text.
    What is left is filled: enums by all pairs of choices, numbers by pages.
    """
    slots = slots_of(tool.document)
    calls: dict[str, dict[str, Json]] = {}

    def make(placings: Iterable[Filled], most: int, effort: Effort) -> None:
        fillings = itertools.chain.from_iterable(
            _fillings(slots, placed, most, effort) for placed in placings
        )
        for filled in itertools.islice(fillings, most):
            arguments = _arguments(tool, slots, filled)
            calls.setdefault(repr(arguments), arguments)

    for goal in arena.goals:
        if goal.call is not None:
            effort = DEEP if goal.id in held else USUAL
            make(_placed_arguments(slots, goal.call.arguments), effort.calls, effort)
    effort = DEEP if held else USUAL
    # The arguments of several goals together, as a tool may take that compares their answers.
    together = {
        f"{goal.id} {name}": argument
        for goal in arena.goals
        if goal.call is not None
        for name, argument in goal.call.arguments.items()
    }
    if len(arena.goals) > 1 and len(slots) > 1:
        make(_placed_arguments(slots, together), effort.text_calls, effort)
    for placed in _placed_texts(slots, arena, effort):
        make([placed], effort.text_calls if placed else effort.calls, effort)
    return list(calls.values())


def _placed_arguments(slots: Sequence[Slot], gold: Mapping[str, Json]) -> Iterator[Filled]:
    """The gold arguments in slots of their name, and the rest by type in both orders."""
    named: Filled = {}
    rest: list[Json] = []
    for name, argument in gold.items():
        index = next((i for i, slot in enumerate(slots) if slot.path == (name,)), None)
        if index is not None and accepts(slots[index].schema, argument):
            named[index] = argument
        else:
            rest += [leaf for leaf in scalars(argument) if leaf is not None]
    free = [i for i in range(len(slots)) if i not in named]
    free.sort(key=lambda i: not slots[i].required)
    for values in (rest, rest[::-1])[: len(rest) or 1]:
        placed, open_slots = dict(named), list(free)
        for value in values:
            index = next((i for i in open_slots if accepts(slots[i].schema, value)), None)
            if index is not None:
                placed[index] = value
                open_slots.remove(index)
        if placed:
            yield placed


def _placed_texts(slots: Sequence[Slot], arena: Arena, effort: Effort) -> Iterator[Filled]:
    """A text of the question in every slot that takes one. Without such slots: nothing."""
    texts = [i for i, slot in enumerate(slots) if _takes_text(slot)]
    if not texts:
        yield {}
    for text in question_texts(arena)[: effort.texts] if texts else ():
        placed = {i: text for i in texts if accepts(slots[i].schema, text)}
        if placed:
            yield placed


def _takes_text(slot: Slot) -> bool:
    return "string" in types_of(slot.schema) and "enum" not in slot.schema


def question_texts(arena: Arena) -> list[str]:
    """The question, any text, the names in the question, and the goals' questions."""
    names = [(match[1] or match[0]).strip(" .'’-") for match in _NAME.finditer(arena.question)]
    spoken = [arena.question, ANY_TEXT, *names, *(goal.question for goal in arena.goals)]
    return list(dict.fromkeys(spoken))


def _fillings(slots: Sequence[Slot], placed: Filled, most: int, effort: Effort) -> Iterator[Filled]:
    """The placed values with the open slots filled, at most so many times."""
    indices = [
        i for i, slot in enumerate(slots) if i not in placed and (slot.required or effort.options)
    ]
    choices = [_choices(slots[i], list(placed.values()), effort.pages) for i in indices]
    for row in _covering(tuple(map(len, choices)), most):
        filled = dict(placed)
        for i, own, k in zip(indices, choices, row, strict=True):
            if own[k] is not _OMITTED:
                filled[i] = own[k]
        yield filled


def _choices(slot: Slot, values: list[Json], pages: int) -> list[Any]:
    """What an open slot may hold: its enum, pages, or one or two texts if it must hold any."""
    schema, omitted = slot.schema, [] if slot.required else [_OMITTED]
    kinds = types_of(schema)
    if schema.get("enum"):
        default = schema.get("default")
        return [*omitted, *(v for v in schema["enum"] if not omitted or v != default)]
    if "boolean" in kinds:
        return [*omitted, True, False]
    if {"integer", "number"} & {*kinds}:
        first = max(0, math.ceil(schema.get("minimum", 0)))
        numbers = [n for n in range(first, first + pages) if accepts(schema, n)]
        return [*omitted, *(schema.get("examples", [])[:1] or []), *numbers] or [first]
    if omitted:
        return omitted
    offered = [*schema.get("examples", []), *(v for v in values if accepts(schema, v))]
    return offered[:2] or [{"string": ANY_TEXT, "array": [], "object": {}}.get(kinds[0])]


@lru_cache(maxsize=512)
def _covering(sizes: tuple[int, ...], most: int) -> tuple[tuple[int, ...], ...]:
    """Choices by index: each one early, then all together, or all pairs if those are too many."""
    rows = dict.fromkeys(tuple(i % size for size in sizes) for i in range(max(sizes, default=1)))
    if math.prod(sizes) <= most:
        rows |= dict.fromkeys(itertools.product(*map(range, sizes)))
    else:
        for a, b in itertools.combinations(range(len(sizes)), 2):
            for number, (one, other) in enumerate(
                itertools.product(range(sizes[a]), range(sizes[b]))
            ):
                # The other slots go on by one each time, so that their pairs are met, too.
                row = [number % size for size in sizes]
                row[a], row[b] = one, other
                rows.setdefault(tuple(row))
                if len(rows) >= most:
                    return tuple(rows)
    return tuple(rows)[:most]


def _arguments(tool: Tool, slots: Sequence[Slot], filled: Filled) -> dict[str, Json]:
    """The call's arguments: objects and lists are built around the values of their slots."""
    arguments: dict[str, Json] = {
        name: [] if is_list else {} for name, is_list in _required_containers(tool.document)
    }
    for index, value in filled.items():
        *above, last = slots[index].path
        if not above:
            arguments[last] = value
            continue
        node: Any = arguments
        for name, child in itertools.pairwise([*above, last]):
            empty: Json = [] if child == "[]" else {}
            if name == "[]":
                node.append(empty) if not node else None
                node = node[0]
            else:
                node = node.setdefault(name, empty)
        if last == "[]":
            node.append(value)
        else:
            node[last] = value
    return arguments


@kept_by_identity(512)
def _required_containers(document: ToolSchema) -> list[tuple[str, bool]]:
    """Names of required parameters that are objects or lists, and whether they are lists."""
    parameters = document.parameters
    kinds = {n: types_of(parameters["properties"][n]) for n in parameters.get("required", [])}
    return [(n, "object" not in kind) for n, kind in kinds.items() if {"object", "array"} & {*kind}]
