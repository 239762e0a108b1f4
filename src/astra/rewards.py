"""Rewards: pure functions from calls and goals to a `Score`.

A goal is solved by a call to its tool whose result holds the goal's answer under the goal's
matcher. Each goal counts once and each call solves at most one goal, so that recall, precision
and F1 all lie in [0, 1].

What this does not guarantee: a plain-text result is matched by containment, which a tool that
prints everything it knows would satisfy. Structured results are matched under a named field and
beside the key of what was asked. The certificate says which kind an arena uses. Where one call
could solve two goals, the number solved can depend on the order of the calls (each takes the
first goal that is still open); the certificate rejects arenas whose gold calls do so.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, cast, get_args

from astra.configs.spelling import option_name
from astra.core.plugins import load_object
from astra.core.text import as_date, as_number, contains_text, dates_in, normalise, numbers_in
from astra.episodes import Score
from astra.errors import ConfigError, StageError
from astra.types import (
    Arena,
    CallRecord,
    CallStatus,
    Goal,
    Json,
    Matcher,
    Scalar,
    Target,
    Trajectory,
    members_of,
)

Reward = Literal["f1", "recall", "precision", "strict"]
RewardFunction = Callable[[Arena, Trajectory], float]
"""A reward of one's own. Pure, and finite."""

EPSILON = 1e-20
"""ε of the precision n̂ / (c + ε): small enough that a perfect episode scores exactly 1."""


# --- matching --------------------------------------------------------------------------------


def same_scalar(a: Json, b: Json) -> bool:
    """Equal as booleans, as normalised texts, or as numbers.

    Two texts are compared as texts ("007" is not "7"); a number equals its text.
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, str) and isinstance(b, str):
        return normalise(a) == normalise(b)
    x, y = as_number(a), as_number(b)
    return x is not None and y is not None and x == y


def same_number(a: Json, b: Json, *, absolute: float, relative: float) -> bool:
    """Equal as finite numbers within a tolerance; numeric texts count as numbers."""
    x, y = as_number(a), as_number(b)
    if x is None or y is None:
        return False
    return x == y or math.isclose(x, y, abs_tol=absolute, rel_tol=relative)


def matches(target: Target, found: Json) -> bool:
    """Whether one value is the target's answer under its matcher."""
    wanted = target.value
    match target.matcher:
        case Matcher.exact:
            return same_scalar(wanted, found)
        case Matcher.number:
            return _same_number(target, wanted, found)
        case Matcher.date:
            day = as_date(wanted)
            return day is not None and day == as_date(found)
        case Matcher.set:
            return (
                isinstance(wanted, tuple)
                and isinstance(found, list | tuple)
                and _same_set(wanted, found)
            )
        case Matcher.text:
            return isinstance(found, str | int | float) and stands_in_text(target, _leaf(found))


def _same_number(target: Target, wanted: Json, found: Json) -> bool:
    return same_number(wanted, found, absolute=target.absolute, relative=target.relative)


def _same_set(wanted: Sequence[Scalar], found: Sequence[Json]) -> bool:
    """Whether the members are the same. An empty set is no answer."""
    numeric = all(_is_number(value) for value in wanted)
    members = [_member(value, numeric=numeric) for value in found]
    return (
        bool(wanted)
        and None not in members
        and set(members) == {_member(value, numeric=numeric) for value in wanted}
    )


def _member(value: Json, *, numeric: bool) -> tuple[str, Json] | None:
    """The comparable form of a set's member. None for a value that no set can have.

    `numeric`: all wanted members are numbers, so texts are read as numbers.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str) and not numeric:
        return ("text", normalise(value))
    number = as_number(value)
    return None if number is None else ("number", number)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def stands_in_text(target: Target, text: str) -> bool:
    """Whether the answer stands in a text: every member of a set, numbers and dates as such."""
    values = members_of(target.value)
    for value in values:
        if target.matcher is Matcher.date:
            found = as_date(value) in dates_in(text)
        elif target.matcher is Matcher.number or _is_number(value):
            found = any(_same_number(target, value, other) for other in numbers_in(text))
        else:
            found = contains_text(text, str(value))
        if not found:
            return False
    return bool(values)  # an empty set is never an answer


def solves(target: Target, result: Json) -> bool:
    """Whether a call's result holds the answer where the target wants it."""
    if target.field is None:
        return stands_in_text(target, _flat_text(result))
    return any(
        target.field in node
        and all(name in above and same_scalar(above[name], v) for name, v in target.key.items())
        and matches(target, node[target.field])
        for node, above in _nodes(result, target.key.keys())
    )


def _nodes(
    value: Json, names: AbstractSet[str]
) -> Iterator[tuple[Mapping[str, Json], Mapping[str, Json]]]:
    """Every object in a JSON value, with those named fields that it or an object above it has.

    Without recursion: a result may be nested deeper than Python's stack.
    """
    pending: list[tuple[Json, Mapping[str, Json]]] = [(value, {})]
    while pending:
        node, above = pending.pop()
        if isinstance(node, dict):
            own = {name: node[name] for name in names if name in node}
            above = {**above, **own} if own else above
            yield node, above
            pending.extend((child, above) for child in node.values())
        elif isinstance(node, list | tuple):
            pending.extend((child, above) for child in node)


def _flat_text(value: Json) -> str:
    """The leaves of a JSON value, one per line, so that values never run together."""
    lines: list[str] = []
    pending: list[Json] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(reversed(node.values()))
        elif isinstance(node, list | tuple):
            pending.extend(reversed(node))
        elif node is not None:
            lines.append(_leaf(node))
    return "\n".join(lines)


def _leaf(value: Scalar) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python prints
        return ""


# --- scores ----------------------------------------------------------------------------------


def recall(solved: int, goals: int) -> float:
    """r = n̂ / n. 0 without goals."""
    return solved / goals if goals else 0.0


def precision(solved: int, calls: int, epsilon: float = EPSILON) -> float:
    """p = n̂ / (c + ε)."""
    return solved / (calls + epsilon)


def f1(r: float, p: float) -> float:
    """2pr / (p + r). 0 if both are 0."""
    return 2 * p * r / (p + r) if p + r > 0 else 0.0


def _reward(kind: Reward, solved: int, goals: int, calls: int) -> float:
    r, p = recall(solved, goals), precision(solved, calls)
    strict = float(0 < goals == solved)
    return {"f1": f1(r, p), "recall": r, "precision": p, "strict": strict}[kind]


def load_reward(reward: str | RewardFunction) -> Reward | RewardFunction:
    """A reward by its name, as a function, or as `module:function`.

    Raises ConfigError for an unknown name, and for an object that is not a function.
    """
    if isinstance(reward, str) and ":" not in reward:
        for name in get_args(Reward):
            if reward == name:
                return name
        raise ConfigError(
            f"{option_name('reward')} {reward!r}: choose among {', '.join(get_args(Reward))}, or "
            "give module:function"
        )
    function: Any = load_object(reward, "reward") if isinstance(reward, str) else reward
    if not callable(function):
        raise ConfigError(
            f"{option_name('reward')} {reward!r} is not a function of an arena and a trajectory"
        )
    return cast(RewardFunction, function)


def score_trajectory(
    arena: Arena, trajectory: Trajectory, reward: Reward | RewardFunction = "f1"
) -> Score:
    """Score a trajectory in an arena. Raises StageError for an own reward that is not finite."""
    named: Reward = "f1" if callable(reward) else reward
    result = score(
        trajectory.calls,
        arena.goals,
        turns=trajectory.turns,
        reward=named,
        answer=trajectory.answer,
        answer_target=arena.answer_target,
    )
    if not callable(reward):
        return result
    value = float(reward(arena, trajectory))
    if not math.isfinite(value):
        raise StageError(f"the reward of arena {arena.id!r} is {value!r}: it must be finite")
    # Increments belong to rule-based rewards. An own reward is known at the end only.
    return result.model_copy(update={"reward": value, "increments": ()})


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

    `turns`: number of assistant turns, for `increments`. None: up to the last call's turn.
    `answer`: the final text, compared with `answer_target`. It does not affect the reward.
    Calls are matched in order. Each solves the first unsolved goal that it answers.
    """
    wanted = [goal for goal in goals if goal.call is not None and goal.target is not None]
    by_turn: dict[int, list[CallRecord]] = defaultdict(list)
    for call in calls:
        by_turn[call.turn].append(call)
    solved_by: dict[str, str] = {}
    rewards = [0.0]
    made = 0
    for turn in range(max(turns or 0, max(by_turn, default=-1) + 1)):
        for call in by_turn.get(turn, ()):
            made += 1
            # A failed call solves nothing, whatever its error text contains.
            for goal in wanted if call.status is CallStatus.ok else ():
                own = goal.call is not None and call.tool == goal.call.tool
                if goal.id in solved_by or goal.target is None or not own:
                    continue
                if solves(goal.target, call.result):
                    solved_by[goal.id] = call.id
                    break  # one goal a call
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
