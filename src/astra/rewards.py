"""Rewards: pure functions from calls and goals to a `Score`.

A goal is solved by a call to its tool whose result holds the goal's answer under the goal's
matcher. Each goal counts once and each call solves at most one goal, so that recall, precision
and F1 all lie in [0, 1].

What this does not guarantee: a plain-text result is matched by containment, which a tool that
prints everything it knows would satisfy. Structured results are matched under a named field and
beside the key of what was asked. The certificate says which kind an arena uses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from astra.text import (
    as_date,
    as_number,
    contains_text,
    normalise,
    numbers_in,
)
from astra.types import CallRecord, CallStatus, Goal, Json, Matcher, Scalar, Score, Target

Reward = Literal["f1", "recall", "precision"]

EPSILON = 1e-20
"""ε of the precision n̂ / (c + ε): small enough that a perfect episode scores exactly 1."""


# --- matching --------------------------------------------------------------------------------


def same_scalar(a: Json, b: Json, *, absolute: float = 0.0, relative: float = 1e-9) -> bool:
    """Equal as booleans, as numbers within tolerance, or as normalised text."""
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    x, y = as_number(a), as_number(b)
    if x is not None and y is not None:
        return abs(x - y) <= max(absolute, relative * max(abs(x), abs(y)))
    return isinstance(a, str) and isinstance(b, str) and normalise(a) == normalise(b)


def matches(target: Target, found: Json) -> bool:
    """Whether one value is the target's answer under its matcher."""
    wanted = target.value
    match target.matcher:
        case Matcher.exact:
            return same_scalar(wanted, found, relative=0.0)
        case Matcher.number:
            if as_number(wanted) is None or as_number(found) is None:
                return False
            return same_scalar(wanted, found, absolute=target.absolute, relative=target.relative)
        case Matcher.date:
            day = as_date(wanted)
            return day is not None and day == as_date(found)
        case Matcher.set:
            if not isinstance(found, list | tuple) or not isinstance(wanted, tuple):
                return False
            return _canonical_set(wanted) == _canonical_set(found)
        case Matcher.text:
            return isinstance(found, str | int | float) and contains_text(str(found), str(wanted))


def _canonical_set(values: Sequence[Json]) -> set[str] | None:
    """Normalised members; numbers by value, so that 3 and 3.0 are one."""
    members: set[str] = set()
    for value in values:
        number = as_number(value)
        if number is not None:
            members.add(repr(number))
        elif isinstance(value, str | bool):
            members.add(normalise(str(value)))
        else:
            return None
    return members


def stands_in_text(target: Target, text: str) -> bool:
    """Whether the answer stands in a text: every member of a set, a number as a number."""
    values = target.value if isinstance(target.value, tuple) else (target.value,)
    return bool(values) and all(_scalar_stands_in(target, value, text) for value in values)


def _scalar_stands_in(target: Target, value: Scalar, text: str) -> bool:
    number = as_number(value)
    if number is not None:
        return any(
            same_scalar(number, other, absolute=target.absolute, relative=target.relative)
            for other in numbers_in(text)
        )
    return contains_text(text, str(value))


def solves(target: Target, result: Json) -> bool:
    """Whether a call's result holds the answer where the target wants it."""
    if target.field is None:
        text = result if isinstance(result, str) else _flat_text(result)
        return stands_in_text(target, text)
    return any(
        target.field in node
        and all(name in context and same_scalar(context[name], v) for name, v in target.key.items())
        and matches(target, node[target.field])
        for node, context in _nodes(result, {})
    )


def _nodes(
    value: Json, context: Mapping[str, Json]
) -> Iterator[tuple[Mapping[str, Json], Mapping[str, Json]]]:
    """Every object in a JSON value, with the scalar fields of itself and of those above it."""
    if isinstance(value, dict):
        inner = dict(context)
        inner.update({k: v for k, v in value.items() if isinstance(v, str | int | float | bool)})
        yield value, inner
        for child in value.values():
            yield from _nodes(child, inner)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _nodes(child, context)


def _flat_text(value: Json) -> str:
    """The leaves of a JSON value, one per line, so that values never run together."""
    if isinstance(value, dict):
        return "\n".join(_flat_text(child) for child in value.values())
    if isinstance(value, list | tuple):
        return "\n".join(_flat_text(child) for child in value)
    return "" if value is None else str(value)


# --- scores ----------------------------------------------------------------------------------


def recall(solved: int, goals: int) -> float:
    """r = n̂ / n; 0 for no goals."""
    return solved / goals if goals else 0.0


def precision(solved: int, calls: int, epsilon: float = EPSILON) -> float:
    """p = n̂ / (c + ε)."""
    return solved / (calls + epsilon)


def f1(r: float, p: float) -> float:
    """2pr / (p + r); 0 when both are 0."""
    return 2 * p * r / (p + r) if p + r > 0 else 0.0


def _reward(kind: Reward, solved: int, goals: int, calls: int) -> float:
    r, p = recall(solved, goals), precision(solved, calls)
    return {"f1": f1(r, p), "recall": r, "precision": p}[kind]


def score(
    calls: Sequence[CallRecord],
    goals: Sequence[Goal],
    *,
    turns: int | None = None,
    reward: Reward = "f1",
    answer: str | None = None,
    answer_target: Target | None = None,
) -> Score:
    """Score an episode's calls against its goals.

    `turns`: number of assistant turns, for `increments`; None: up to the last call's turn.
    `answer`: the final text, judged against `answer_target` apart from the reward.
    Calls are taken in order; each solves the first unsolved goal that it answers.
    """
    wanted = [goal for goal in goals if goal.call is not None and goal.target is not None]
    solved_by: dict[str, str] = {}
    last = max((call.turn for call in calls), default=-1)
    rewards = [0.0]
    made = 0
    for turn in range(max(turns or 0, last + 1)):
        for call in calls:
            if call.turn != turn:
                continue
            made += 1
            if call.status is not CallStatus.ok:
                continue
            for goal in wanted:
                if goal.id not in solved_by and _is_solved_by(goal, call):
                    solved_by[goal.id] = call.id
                    break
        rewards.append(_reward(reward, len(solved_by), len(wanted), made))
    r, p = recall(len(solved_by), len(wanted)), precision(len(solved_by), len(calls))
    return Score(
        goals=len(wanted),
        solved=len(solved_by),
        calls=len(calls),
        recall=r,
        precision=p,
        f1=f1(r, p),
        reward=_reward(reward, len(solved_by), len(wanted), len(calls)),
        increments=tuple(b - a for a, b in itertools.pairwise(rewards)),
        solved_by=solved_by,
        answer_correct=(
            None
            if answer is None or answer_target is None
            else stands_in_text(answer_target, answer)
        ),
    )


def _is_solved_by(goal: Goal, call: CallRecord) -> bool:
    assert goal.call is not None and goal.target is not None
    return call.tool == goal.call.tool and solves(goal.target, call.result)
