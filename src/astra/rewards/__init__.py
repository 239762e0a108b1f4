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
from collections.abc import Callable, Sequence
from typing import Any, cast, get_args

from astra.configs.spelling import option_name
from astra.core.plugins import load_object
from astra.episodes import Score
from astra.errors import ConfigError, StageError
from astra.rewards.changes import score_changes
from astra.rewards.matching import matches as matches
from astra.rewards.matching import same_number as same_number
from astra.rewards.matching import same_scalar as same_scalar
from astra.rewards.matching import solves as solves
from astra.rewards.matching import stands_in_text as stands_in_text
from astra.rewards.parts import EPSILON as EPSILON
from astra.rewards.parts import Reward as Reward
from astra.rewards.parts import f1 as f1
from astra.rewards.parts import precision as precision
from astra.rewards.parts import recall as recall
from astra.rewards.parts import reward_of
from astra.types import Arena, CallRecord, CallStatus, Goal, Message, Target, Trajectory

RewardFunction = Callable[[Arena, Trajectory], float]
"""A reward of one's own. Pure, and finite."""


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
    result = score_calls(
        arena,
        trajectory.calls,
        turns=trajectory.turns,
        reward=named,
        answer=trajectory.answer,
        messages=trajectory.messages,
    )
    if not callable(reward):
        return result
    value = float(reward(arena, trajectory))
    if not math.isfinite(value):
        raise StageError(f"the reward of arena {arena.id!r} is {value!r}: it must be finite")
    # Increments belong to rule-based rewards. An own reward is known at the end only.
    return result.model_copy(update={"reward": value, "increments": ()})


def score_calls(
    arena: Arena,
    calls: Sequence[CallRecord],
    *,
    turns: int | None = None,
    reward: Reward = "f1",
    answer: str | None = None,
    messages: Sequence[Message] = (),
) -> Score:
    """Score an episode's calls, or a part of them, against an arena.

    `messages`: of the episode, for what is to be told. The rest as for `score`.
    """
    if arena.state is not None:
        return score_changes(arena, arena.state, calls, messages, turns=turns, reward=reward)
    return score(
        calls,
        arena.goals,
        turns=turns,
        reward=reward,
        answer=answer,
        answer_target=arena.answer_target,
    )


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
    # A call that met a passing fault did nothing, and making it again is not waste.
    calls = [call for call in calls if call.status is not CallStatus.transient]
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
        rewards.append(reward_of(reward, len(solved_by), len(wanted), made))
    r, p = recall(len(solved_by), len(wanted)), precision(len(solved_by), len(calls))
    return Score(
        goals=len(wanted),
        solved=len(solved_by),
        calls=len(calls),
        recall=r,
        precision=p,
        f1=f1(r, p),
        reward=reward_of(reward, len(solved_by), len(wanted), len(calls)),
        increments=tuple(b - a for a, b in itertools.pairwise(rewards)),
        solved_by=solved_by,
        answer_correct=(
            None
            if answer is None or answer_target is None
            else stands_in_text(answer_target, answer)
        ),
    )
