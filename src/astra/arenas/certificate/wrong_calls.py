"""Wrong calls: calls to a goal's tool that fit its document and must not solve the goal.

A call is wrong if it differs from the gold call in a *required* argument (values compared
normalised), if the source declared it a decoy, or if it is another goal's call to the same tool. A
change in optional arguments alone is not wrong: `limit`, `language` or `fields` may leave the
answer as it is. Only if a tool requires nothing do the optional arguments of the gold call count.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from datetime import date

from astra.arenas.certificate.arena_under_test import ArenaUnderTest, GoalStep, WrongCall
from astra.arenas.certificate.parameters import (
    accepts,
    defaults_of,
    parameters_of,
    required_of,
    types_of,
)
from astra.arenas.certificate.source_reading import compared_literals
from astra.core.text import as_date, as_number, normalise
from astra.types import Json, Tool, canonical_json

MOST_MUTANTS = 8
"""Wrong calls tried per goal, more only if the source declares more."""
WILDCARDS = ("*", "%", ".*", "all")
TEXTS = ("*", "all", "full")
"""Texts that may unlock something in an option, beside those that the source compares with."""
MOST_OPTIONS = 64
"""Changes of optional arguments tried per goal."""
MOST_PAIRS = 24
"""Changes of two optional arguments at once tried per goal."""
MOST_LITERALS = 12
"""Texts of a tool's source that are tried as words with a meaning of their own."""
NONCE = "qxzjkv vkjzxq"
ODD_NUMBER = 7919
_NONCE_LETTERS = "qxzjkv"
"""Letters that stand together in no name of any language: nothing has such text by chance."""
_NONCE = re.compile(f"[{_NONCE_LETTERS}]{{6}}", re.IGNORECASE)
_LEAST_INITIAL = 5
"""Characters of an argument from which its first letter alone must not do as a prefix search."""


# --- comparing calls -------------------------------------------------------------------------


def canonical_call(tool: Tool, arguments: dict[str, Json], names: list[str] | None = None) -> str:
    """One spelling per meaning of a call: defaults filled in, scalars normalised.

    `names`: only these arguments.
    """
    filled = {**defaults_of(tool), **arguments}
    return canonical_json(
        {name: _normalised(v) for name, v in filled.items() if names is None or name in names}
    )


def _normalised(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _normalised(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_normalised(child) for child in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return normalise(value) if isinstance(value, str) else value


def significant_arguments(tool: Tool, arguments: dict[str, Json]) -> list[str]:
    """The arguments whose change makes a call wrong."""
    defaults = defaults_of(tool)
    return required_of(tool) or [
        name
        for name, value in arguments.items()
        if name not in defaults or _normalised(value) != _normalised(defaults[name])
    ]


# --- making wrong calls ----------------------------------------------------------------------


def wrong_calls(under_test: ArenaUnderTest, step: GoalStep, rng: random.Random) -> list[WrongCall]:
    """Distinct wrong calls that fit the document; the source's decoys come first."""
    tool, gold = under_test.tools[step.call.tool], step.call.arguments
    names = significant_arguments(tool, gold)
    gold_key = canonical_call(tool, gold)
    gold_part = canonical_call(tool, gold, names)
    declared = [WrongCall("decoy", decoy) for decoy in step.goal.decoys]
    declared += [
        WrongCall("other_goal", other.call.arguments)
        for other in under_test.steps
        if other.goal.id != step.goal.id and other.call.tool == tool.name
    ]
    calls: dict[str, WrongCall] = {}
    for mutant in itertools.chain(declared, _changed_calls(tool, gold, names, rng)):
        if len(calls) >= max(MOST_MUTANTS, len(declared) + 2):
            break
        key = canonical_call(tool, mutant.arguments)
        # The source vouches for what it declares; a change of ours counts if it is significant.
        changed = mutant.kind not in ("decoy", "other_goal")
        right = key == gold_key or (
            changed and canonical_call(tool, mutant.arguments, names) == gold_part
        )
        if not right:
            calls.setdefault(key, mutant)
    return list(calls.values())


def planned_wrong_calls(under_test: ArenaUnderTest) -> dict[str, list[WrongCall]]:
    """The wrong calls of every goal, by its id. Drawn once, for all checks."""
    if not under_test.wrong_calls:
        rng = under_test.rng("mutants")
        under_test.wrong_calls = {
            step.goal.id: wrong_calls(under_test, step, rng) for step in under_test.steps
        }
    return under_test.wrong_calls


def shortcut_calls(under_test: ArenaUnderTest, step: GoalStep) -> list[WrongCall]:
    """Calls that ask for everything at once, for a part of a name, or for another entity with
    other options. None is the gold call in another spelling."""
    tool, gold = under_test.tools[step.call.tool], step.call.arguments
    schemas = parameters_of(tool)
    names = significant_arguments(tool, gold)
    free = [n for n in names if isinstance(gold.get(n), str) and "enum" not in schemas[n]]
    listed = [value for schema in schemas.values() for value in schema.get("enum", [])]
    special = [v for v in compared_literals(tool.source) if v not in listed]
    words = [v for v in special if isinstance(v, str) and v and v not in gold.values()]
    # Search tools often take a wildcard or a prefix, and then print every row, the answer among
    # them: one call that solves any goal.
    everything = [("everything", word) for word in WILDCARDS]
    # What the source compares with may also be another name of what is asked about.
    everything += [("word", word) for word in dict.fromkeys(words[:MOST_LITERALS])]
    changes = [(kind, dict.fromkeys(free, word)) for kind, word in everything]
    if len(free) > 1:
        changes += [(kind, {name: word}) for name in free[:2] for kind, word in everything]
    calls = [WrongCall(kind, gold | change) for kind, change in changes if change]
    for name in free:
        text = gold[name]
        # Cut inside a word, so that the part is not a name of something else.
        if len(text) >= _LEAST_INITIAL and not as_number(text) and as_date(text) is None:
            half = len(text) // 2
            # Never nearly the whole name: a search may well bear a slip of the pen.
            inner = text[len(text) // 4 :][: max(half, 3)]
            parts = (text[:1], text[: max(half, 3)], text[half:], inner)
            kinds = ("everything", "part", "part", "part")
            calls += [
                WrongCall(kind, gold | {name: part})
                for kind, part in zip(kinds, parts, strict=True)
                if part.strip() == part and not _is_word_of(part, text)
            ]
    # An option such as `limit` or `all` may do the same for a call about another entity.
    if step.goal.decoys:
        base = step.goal.decoys[0]
        values = {
            name: [
                value
                for value in _option_values(schema, special)
                if _normalised(base.get(name, schema.get("default"))) != _normalised(value)
            ]
            for name, schema in schemas.items()
            if name not in names
        }
        options = [
            WrongCall("option", base | {name: value})
            for name, choices in values.items()
            for value in choices
        ]
        pairs = [
            WrongCall("options", base | {first: one, second: other})
            for first, second in itertools.combinations(values, 2)
            for one in values[first][:3]
            for other in values[second][:3]
        ]
        # Only what `mutants` left out of a long list of choices.
        choices = [
            WrongCall("choice", base | {name: value})
            for name in names
            for value in schemas[name].get("enum", [])[MOST_MUTANTS:]
            if base.get(name) != value
        ]
        calls += [*options[:MOST_OPTIONS], *pairs[:MOST_PAIRS], *choices[:MOST_OPTIONS]]
    gold_key = canonical_call(tool, gold)
    return [
        mutant
        for mutant in calls
        if canonical_call(tool, mutant.arguments) != gold_key
        and all(accepts(schemas[name], value) for name, value in mutant.arguments.items())
    ]


def _is_word_of(part: str, text: str) -> bool:
    return part in text.split()


def is_made_up(value: Json) -> bool:
    """Whether an argument was invented here, so that no tool has it by chance."""
    if isinstance(value, str):
        return _NONCE.search(value) is not None
    return value == ODD_NUMBER


def _listed_values(schema: dict[str, Json]) -> list[Json]:
    return schema.get("enum") or ([True, False] if "boolean" in types_of(schema) else [])


def _option_values(schema: dict[str, Json], special: list[Json]) -> list[Json]:
    """Values of an optional parameter that may change what is returned.

    `special`: what the tool's source compares with.
    """
    kinds = types_of(schema)
    if listed := _listed_values(schema):
        return listed
    if "array" in kinds:
        return [inner] if (inner := _option_values(schema["items"], special)) else []
    if "string" in kinds:
        words = [value for value in special if isinstance(value, str) and value]
        return [NONCE, *TEXTS, *words[:MOST_LITERALS]]
    if {"integer", "number"} & {*kinds}:
        numbers = [v for v in special if isinstance(v, int) and not isinstance(v, bool)]
        near = [number + step for number in numbers[:3] for step in (0, 1)]
        return [ODD_NUMBER, 0, -1, 100, *near]
    return []


def _changed_calls(
    tool: Tool, gold: dict[str, Json], names: list[str], rng: random.Random
) -> Iterator[WrongCall]:
    """The gold call with one significant argument changed, in turns over the arguments; then with
    two swapped; then with an optional argument changed, too."""
    schemas = parameters_of(tool)
    set_names = [name for name in names if name in gold]
    lists = [
        [
            WrongCall(kind, gold | {name: value})
            for kind, value in other_values(schemas[name], gold[name], rng)
            if accepts(schemas[name], value)
        ]
        for name in set_names
    ]
    single = [m for turn in itertools.zip_longest(*lists) for m in turn if m is not None]
    yield from single[:MOST_MUTANTS]
    for a, b in itertools.combinations(set_names, 2):
        if accepts(schemas[a], gold[b]) and accepts(schemas[b], gold[a]):
            yield WrongCall("swap", gold | {a: gold[b], b: gold[a]})
    yield from single[MOST_MUTANTS:]
    for mutant in single:
        for name, schema in schemas.items():
            if name not in names:
                for value in _listed_values(schema):
                    yield WrongCall(mutant.kind, mutant.arguments | {name: value})


def other_values(
    schema: dict[str, Json], value: Json, rng: random.Random
) -> list[tuple[str, Json]]:
    """Values that could replace `value`, each with its kind; some may not fit the schema."""
    if schema.get("enum"):
        others = [other for other in schema["enum"] if _normalised(other) != _normalised(value)]
        return [("enum", other) for other in rng.sample(others, len(others))]
    if isinstance(value, bool):
        return [("flip", not value)]
    if isinstance(value, int | float):
        return [("number", other) for other in _other_numbers(schema, value)]
    if isinstance(value, str):
        day = as_date(value)
        if day is not None and len(value) == len("2000-01-01"):
            # From the year 1000: not every tool takes 0001-01-01 for a date. Near days and far ones
            # in turns: what is asked of a day often has the same answer a day later.
            first, last = date(1000, 1, 1).toordinal(), date.max.toordinal()
            days = (
                day.toordinal() + shift for shift in (1, 36525, -40, -36525, 3653, -5000, 31, 5000)
            )
            return [("date", date.fromordinal(d).isoformat()) for d in days if first <= d <= last]
        if (number := as_number(value)) is not None and number == int(number):
            numbers = _other_numbers({"type": "integer"}, int(number))
            return [("number", str(other)) for other in numbers]
        letters = [character for character in value if not character.isspace()]
        rng.shuffle(letters)
        nonce = "".join(rng.choice(_NONCE_LETTERS) for _ in range(6))
        # Forwards, backwards, before and after: a fuzzy search may match a part of the real name.
        other = nonce[::-1] + "".join(letters)
        mangled = [value[::-1] + nonce, nonce, other, f"{nonce} {nonce[::-1]}"]
        if value[:1].isupper():
            # A tool may look only at what is written as a name.
            mangled[1:] = [text.title() for text in mangled[1:]]
        return [("unknown", text) for text in [*mangled, nonce[::-1] + value[::-1]]]
    replacements: list[tuple[str, Json]] = []
    if isinstance(value, list):
        # One element dropped, or one replaced.
        for index, element in enumerate(value[:3]):
            before, after = value[:index], value[index + 1 :]
            if len(value) > 1:
                replacements.append(("list", before + after))
            for _, other in other_values(schema["items"], element, rng)[:2]:
                replacements.append(("list", [*before, other, *after]))
    return replacements


def _other_numbers(schema: dict[str, Json], value: int | float) -> list[int | float]:
    """Neighbours far enough away that no tolerance takes them for the same."""
    whole = isinstance(value, int) or "number" not in types_of(schema)
    far = abs(value) // 20 if isinstance(value, int) else abs(value) / 20
    step = 1 if abs(value) < 1_000_000 and whole else far or 1
    # Near ones and far ones in turns: a step function has one answer for all near ones.
    others = [value + step, value * 10, value - step, value * 3, -value, value + 7 * step]
    others += [value // 4 if whole else value / 4, value - 13 * step, value * 50]
    finite = [number for number in others if as_number(number) is not None]
    numbers = [round(number) for number in finite] if whole else finite
    return [number for number in numbers if number != value]
