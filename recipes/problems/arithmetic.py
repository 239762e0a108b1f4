"""Makes multi-step arithmetic problems in words, with exact answers and known steps.

Two kinds: what happens to one person's things, one event after the other; and several persons whose
numbers depend on each other, added up at the end. All numbers are whole and small. Whether a
problem is of the test split depends on its numbers and operations alone, so that the same sum in
other words never stands in both.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from astra.errors import ConfigError
from astra.types import content_hash
from recipes.problems.records import MathProblem, problem_id

MOST_STEPS = 8
LARGEST = 999
"""Of a problem's numbers, but for sums of persons' numbers, unless another is given."""
SMALLEST_LARGEST = 4
"""The least that `largest` may be: with smaller numbers some steps leave no way on."""
_TEST = 10
"""One skeleton in so many is of the test split."""
_TRIES = 400

_NAMES = tuple(
    "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jan Kira Leo Mia Nils Olga Paul Rosa Sam Tara Uma "
    "Vera Walt Yara Zoe".split()
)
_ITEMS = tuple(
    "apples books buttons cards coins cookies eggs flowers marbles pencils shells stamps stickers "
    "stones tickets toys".split()
)


class _Event(NamedTuple):
    """What an operation is called in words. `{n}` is its number, `{name}` who, `{items}` what."""

    sign: str
    texts: tuple[str, ...]


_EVENTS = {
    "+": _Event(
        "+",
        (
            "Then {name} buys {n} more.",
            "A friend gives {name} {n} more {items}.",
            "{name} finds another {n}.",
            "After that {name} gets {n} {items} as a present.",
        ),
    ),
    "-": _Event(
        "-",
        (
            "{name} gives {n} away.",
            "Then {name} loses {n} of them.",
            "{n} of the {items} are sold.",
            "{name} lends {n} {items} to a neighbour.",
        ),
    ),
    "*": _Event(
        "*",
        (
            "By the next week {name} has {n} times as many.",
            "Then the number of {items} grows to {n} times what it was.",
            "{name} trades every one of them for {n} others.",
        ),
    ),
    "/": _Event(
        "/",
        (
            "{name} shares them evenly among {n} boxes and keeps one box.",
            "Then {name} splits them into {n} equal piles and keeps one pile.",
            "{name} divides them equally among {n} friends; look at what one friend gets.",
        ),
    ),
}
_RELATIONS = {
    "+": "{other} has {n} more {items} than {name}.",
    "-": "{other} has {n} fewer {items} than {name}.",
    "*": "{other} has {n} times as many {items} as {name}.",
}
_ENDS = ("How many {items} are there in the end?", "How many {items} does {name} have now?")
_COMPUTE: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


def make_problems(
    count: int, steps: tuple[int, int], seed: int, largest: int = LARGEST
) -> Iterator[MathProblem]:
    """`count` different problems of `steps` (least and most). The same seed makes the same.

    No number is larger than `largest`, but for sums of persons' numbers. Raises ConfigError for
    impossible numbers of steps, and when no more different problems of so few steps are found.
    """
    least, most = steps
    if largest < SMALLEST_LARGEST:
        raise ConfigError(f"largest {largest!r} must be at least {SMALLEST_LARGEST}")
    if not 1 <= least <= most <= MOST_STEPS:
        raise ConfigError(f"steps {least!r}:{most!r} must lie within 1:{MOST_STEPS}")
    seen: set[str] = set()
    for number in range(count):
        for attempt in range(_TRIES):
            rng = random.Random(f"{seed}:{number}:{attempt}")
            problem = _make(rng, rng.randint(least, most), largest)
            if problem.id not in seen:
                break
        else:
            raise ConfigError(
                f"no {count!r} different problems of {least!r} to {most!r} steps were found "
                f"({number!r} were): ask for fewer, for more steps or larger numbers"
            )
        seen.add(problem.id)
        yield problem


def _make(rng: random.Random, steps: int, largest: int) -> MathProblem:
    # Every person but the first takes a step to find and another to add up.
    persons = steps % 2 == 0 and rng.random() < 0.6
    return (_persons if persons else _events)(rng, steps, largest)


def _events(rng: random.Random, steps: int, largest: int) -> MathProblem:
    """One person, one event after the other."""
    name, items = rng.choice(_NAMES), rng.choice(_ITEMS)
    value = rng.randint(2, min(60, largest))
    said = [f"{name} has {value} {items}."]
    lines: list[str] = []
    skeleton: list[object] = ["events", value]
    for _ in range(steps):
        sign, number = _operation(rng, value, "+-*/", largest)
        said.append(_filled(rng.choice(_EVENTS[sign].texts), name, items, number))
        value, line = _computed(value, sign, number)
        lines.append(line)
        skeleton += [sign, number]
    said.append(rng.choice(_ENDS).format(name=name, items=items))
    return _problem(said, lines, value, skeleton)


def _persons(rng: random.Random, steps: int, largest: int) -> MathProblem:
    """Several persons, each told by the one before, and their sum."""
    names, items = rng.sample(_NAMES, steps // 2 + 1), rng.choice(_ITEMS)
    values = [rng.randint(2, min(40, largest))]
    said = [f"{names[0]} has {values[0]} {items}."]
    lines: list[str] = []
    skeleton: list[object] = ["persons", values[0]]
    for name, other in itertools.pairwise(names):
        sign, number = _operation(rng, values[-1], "+-*", largest)
        said.append(_RELATIONS[sign].format(name=name, other=other, n=number, items=items))
        value, line = _computed(values[-1], sign, number)
        lines.append(f"{other}: {line}")
        values.append(value)
        skeleton += [sign, number]
    totals = list(itertools.accumulate(values))
    for total, value in zip(totals, values[1:], strict=False):
        lines.append(f"{total} + {value} = {total + value}.")
    together = f"{', '.join(names[:-1])} and {names[-1]}"
    said.append(f"How many {items} do {together} have together?")
    return _problem(said, lines, totals[-1], skeleton)


def _operation(rng: random.Random, value: int, signs: str, largest: int) -> tuple[str, int]:
    """An operation that leaves a whole number from 1 to `largest`."""
    while True:
        sign = rng.choice(signs)
        number = rng.randint(2, min(5 if sign in "*/" else 40, largest))
        result = _COMPUTE[sign](value, number)
        exact = sign != "/" or value % number == 0
        if exact and 1 <= result <= largest:
            return sign, number


def _computed(value: int, sign: str, number: int) -> tuple[int, str]:
    result = _COMPUTE[sign](value, number)
    return result, f"{value} {sign} {number} = {result}."


def _filled(template: str, name: str, items: str, number: int) -> str:
    text = template.format(name=name, items=items, n=number)
    return text[0].upper() + text[1:]


def _problem(
    said: Sequence[str], lines: Sequence[str], answer: int, skeleton: Sequence[object]
) -> MathProblem:
    question = " ".join(said)
    test = int(content_hash(list(skeleton)), 16) % _TEST == 0
    return MathProblem(
        id=problem_id(question, str(answer)),
        question=question,
        answer=str(answer),
        steps=tuple(lines),
        source=f"arithmetic/{skeleton[0]}",
        level=len(lines),
        split="test" if test else "train",
    )
