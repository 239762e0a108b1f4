"""What episodes earn that a limit cut short."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.configs.training import TrainRLConfig, TruncatedReward
from astra.errors import ConfigError
from astra.models.policies import policy
from astra.rollouts.loop import RolloutLimits
from astra.training.environment import RolloutOutcome
from astra.training.rl.arenas import ArenaRollouts
from astra.training.rl.train import open_environment
from astra.types import StopReason
from tests.support.fakes import InProcessSandbox, toy_arena
from tests.support.policy_episode import PolicyEpisode

ARENA = toy_arena(2)


async def played(turns: int, truncated: TruncatedReward | None) -> RolloutOutcome:
    limits = RolloutLimits(turns=turns)
    rollouts = ArenaRollouts(
        ArenaSet.of([ARENA]),
        lambda: nullcontext(InProcessSandbox()),
        limits,
        truncated=truncated,
    )
    model: Any = PolicyEpisode(policy("gold", ARENA))
    async with rollouts:
        return await rollouts.play(ARENA.id, model, seed=0, epoch=0)


async def test_a_cut_episode_keeps_its_score_unless_told_otherwise() -> None:
    for truncated in (None, "score"):
        outcome = await played(2, truncated)
        assert outcome.trajectory and outcome.trajectory.stop is StopReason.turn_limit
        assert outcome.reward > 0


async def test_zero_takes_back_what_a_cut_episode_earned() -> None:
    outcome, kept = await played(2, "zero"), await played(2, "score")
    assert outcome.score and kept.score
    assert outcome.reward == outcome.score.reward == 0
    assert outcome.score.f1 == kept.score.f1 > 0  # what is logged stays what happened
    assert outcome.score.increments[:-1] == kept.score.increments[:-1]
    assert sum(outcome.score.increments) == 0


async def test_zero_leaves_an_episode_alone_that_ended_by_itself() -> None:
    outcome, kept = await played(9, "zero"), await played(9, "score")
    assert outcome.trajectory and outcome.trajectory.stop is StopReason.answered
    assert outcome.reward == kept.reward == 1
    assert outcome.score == kept.score


def test_an_environment_of_ones_own_is_not_told_its_rewards(tmp_path: Path) -> None:
    class Own:
        def tasks(self) -> list[str]:
            return ["a"]

        async def play(self, task: str, model: Any, *, seed: int, epoch: int) -> Any: ...

    with pytest.raises(ConfigError, match="truncated 'zero' is for arenas"):
        open_environment(TrainRLConfig(model="m", arenas=Own(), out=tmp_path, truncated="zero"))
