"""Generates multi-step arithmetic problems in words, with exact answers and known steps.

There are two kinds. In *events*, the number of one person's things changes event by event. In
*persons*, each person's number depends on that of the person before, and all are added up. All
numbers are whole and small. The split depends on numbers and operations alone: the same sum in
other words never stands in both splits.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from astra.errors import ConfigError
from astra.types import content_hash
from recipes.problems.records import MathProblem, problem_id

MOST_STEPS = 8
LARGEST = 999
"""Default limit of all numbers except the totals of persons."""
SMALLEST_LARGEST = 4
"""Lowest limit: below it, no operation may be possible after some steps."""
_TEST_SHARE = 10
"""One sum in this many is of the test split."""
_ATTEMPTS = 400

_NAMES = (
    "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jan Kira Leo Mia Nils Olga Paul Rosa Sam Tara Uma "
    "Vera Walt Yara Zoe"
).split()
_ITEMS = (
    "apples books buttons cards coins cookies eggs flowers marbles pencils shells stamps stickers "
    "stones tickets toys"
).split()
_EVENTS = {
    "+": (
        "Then {name} buys {n} more.",
        "A friend gives {name} {n} more {items}.",
        "{name} finds another {n}.",
        "After that {name} gets {n} {items} as a present.",
    ),
    "-": (
        "{name} gives {n} away.",
        "Then {name} loses {n} of them.",
        "{n} of the {items} are sold.",
        "{name} lends {n} {items} to a neighbour.",
    ),
    "*": (
        "By the next week {name} has {n} times as many.",
        "Then the number of {items} grows to {n} times what it was.",
        "{name} trades every one of them for {n} others.",
    ),
    "/": (
        "{name} shares them evenly among {n} boxes and keeps one box.",
        "Then {name} splits them into {n} equal piles and keeps one pile.",
        "{name} divides them equally among {n} friends; look at what one friend gets.",
    ),
}
_RELATIONS = {
    "+": "{other} has {n} more {items} than {name}.",
    "-": "{other} has {n} fewer {items} than {name}.",
    "*": "{other} has {n} times as many {items} as {name}.",
}
_QUESTIONS = ("How many {items} are there in the end?", "How many {items} does {name} have now?")
_COMPUTE = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


def make_problems(
    count: int, steps: tuple[int, int], seed: int, largest: int = LARGEST
) -> Iterator[MathProblem]:
    """Yield `count` different problems with the fewest and most `steps`. Same seed, same problems.

    No number exceeds `largest`, except the totals of persons. Raises ConfigError for impossible
    numbers of steps, and if there are not enough different problems.
    """
    fewest, most = steps
    if largest < SMALLEST_LARGEST:
        raise ConfigError(f"largest {largest!r} must be at least {SMALLEST_LARGEST}")
    if not 1 <= fewest <= most <= MOST_STEPS:
        raise ConfigError(f"steps {fewest!r}:{most!r} must lie within 1:{MOST_STEPS}")
    ids: set[str] = set()
    for number in range(count):
        for attempt in range(_ATTEMPTS):
            rng = random.Random(f"{seed}:{number}:{attempt}")
            length = rng.randint(fewest, most)
            # Every person after the first takes two steps: their number, and adding it up.
            persons = length % 2 == 0 and rng.random() < 0.6
            problem = (_persons if persons else _events)(rng, length, largest)
            if problem.id not in ids:
                break
        else:
            raise ConfigError(
                f"only {number!r} of {count!r} different problems of {fewest!r} to {most!r} steps "
                "were found: ask for fewer, for more steps or for larger numbers"
            )
        ids.add(problem.id)
        yield problem


def _events(rng: random.Random, steps: int, largest: int) -> MathProblem:
    name, items = rng.choice(_NAMES), rng.choice(_ITEMS)
    value = rng.randint(2, min(60, largest))
    sentences = [f"{name} has {value} {items}."]
    worked: list[str] = []
    numbers: list[object] = ["events", value]
    for _ in range(steps):
        sign, n = _operation(rng, value, "+-*/", largest)
        sentence = rng.choice(_EVENTS[sign]).format(name=name, items=items, n=n)
        sentences.append(sentence[0].upper() + sentence[1:])
        result = _COMPUTE[sign](value, n)
        worked.append(f"{value} {sign} {n} = {result}.")
        value = result
        numbers += [sign, n]
    sentences.append(rng.choice(_QUESTIONS).format(name=name, items=items))
    return _problem(sentences, worked, value, numbers)


def _persons(rng: random.Random, steps: int, largest: int) -> MathProblem:
    names, items = rng.sample(_NAMES, steps // 2 + 1), rng.choice(_ITEMS)
    values = [rng.randint(2, min(40, largest))]
    sentences = [f"{names[0]} has {values[0]} {items}."]
    worked: list[str] = []
    numbers: list[object] = ["persons", values[0]]
    for name, other in itertools.pairwise(names):
        sign, n = _operation(rng, values[-1], "+-*", largest)
        sentences.append(_RELATIONS[sign].format(name=name, other=other, n=n, items=items))
        value = _COMPUTE[sign](values[-1], n)
        worked.append(f"{other}: {values[-1]} {sign} {n} = {value}.")
        values.append(value)
        numbers += [sign, n]
    totals = list(itertools.accumulate(values))
    for total, value in zip(totals, values[1:], strict=False):
        worked.append(f"{total} + {value} = {total + value}.")
    together = f"{', '.join(names[:-1])} and {names[-1]}"
    sentences.append(f"How many {items} do {together} have together?")
    return _problem(sentences, worked, totals[-1], numbers)


def _operation(rng: random.Random, value: int, signs: str, largest: int) -> tuple[str, int]:
    """Draw an operation that leaves a whole number from 1 to `largest`."""
    while True:
        sign = rng.choice(signs)
        n = rng.randint(2, min(5 if sign in "*/" else 40, largest))
        exact = sign != "/" or value % n == 0
        if exact and 1 <= _COMPUTE[sign](value, n) <= largest:
            return sign, n


def _problem(
    sentences: Sequence[str], steps: Sequence[str], answer: int, numbers: Sequence[object]
) -> MathProblem:
    question = " ".join(sentences)
    test = int(content_hash(list(numbers)), 16) % _TEST_SHARE == 0
    return MathProblem(
        id=problem_id(question, str(answer)),
        question=question,
        answer=str(answer),
        steps=tuple(steps),
        source=f"arithmetic/{numbers[0]}",
        level=len(steps),
        split="test" if test else "train",
    )
