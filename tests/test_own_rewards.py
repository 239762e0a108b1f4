"""Rewards by name, as `module:function` and as functions; `strict`."""

from typing import Any

import pytest

from astra.errors import ConfigError, StageError
from astra.rewards import load_reward, score_trajectory
from astra.types import Arena, CallRecord, CallStatus, StopReason, Trajectory
from tests.support.fakes import toy_arena

ARENA = toy_arena(2)


def trajectory(arena: Arena, solved: int, wasted: int = 0) -> Trajectory:
    """Solves the first goals, and repeats its first call."""
    calls: list[CallRecord] = []
    for goal in arena.goals[:solved]:
        assert goal.call is not None and goal.target is not None
        result = {**goal.target.key, goal.target.field or "value": goal.target.value}
        calls.append(
            CallRecord(
                id=goal.id,
                turn=0,
                tool=goal.call.tool,
                arguments=goal.call.arguments,
                status=CallStatus.ok,
                result=result,
            )
        )
    calls += calls[:1] * wasted
    return Trajectory(
        task=arena.id, messages=(), calls=tuple(calls), stop=StopReason.answered, turns=2
    )


def calls_made(arena: Any, trajectory: Any) -> float:
    return -len(trajectory.calls)


def test_strict_needs_every_goal_and_forgives_further_calls() -> None:
    found = [
        score_trajectory(ARENA, trajectory(ARENA, *counts), "strict").reward
        for counts in ((2, 0), (2, 1), (1, 0), (0, 0))
    ]
    assert found == [1, 1, 0, 0]


def test_an_own_reward_replaces_the_selected_one() -> None:
    for reward in (load_reward(f"{__name__}:calls_made"), load_reward(calls_made)):
        score = score_trajectory(ARENA, trajectory(ARENA, 2), reward)
        assert (score.reward, score.f1, score.increments) == (-2.0, 1.0, ())


@pytest.mark.parametrize("text", ["f2", "no_such_module:x", f"{__name__}:nothing", ":x", "json:"])
def test_unknown_rewards_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="reward"):
        load_reward(text)


def test_a_reward_must_be_finite() -> None:
    with pytest.raises(StageError, match="must be finite"):
        score_trajectory(ARENA, trajectory(ARENA, 1), lambda arena, trajectory: float("nan"))
