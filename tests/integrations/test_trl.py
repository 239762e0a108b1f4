"""TRL: its own trainer on published arenas, many in one step, policies at known rewards."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.sets import ArenaSet
from astra.exports.published import PublishedArenas
from tests.integrations.conftest import (
    assert_nothing_is_told,
    exported,
    told,
    with_user_as_tool,
)
from tests.support.trl_rollouts import trained

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PROMPTS = 4


@pytest.fixture(scope="module", autouse=True)
def told_that_it_ran() -> None:
    """TRL is in the environment of the tests."""
    told.append(f"reader that ran: trl: trl=={version('trl')}")


@pytest.fixture(scope="module")
def folder(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(arenas, "trl", tmp_path_factory.mktemp("trl") / "published")


def test_a_nano_model_takes_a_step(arenas: ArenaSet, folder: Path, tmp_path: Path) -> None:
    rewards = trained(folder, tmp_path / "out", None, prompts=PROMPTS)
    assert len(rewards) == PROMPTS and set(rewards.values()) == {0.0}


@pytest.mark.parametrize("name", ["gold", "null", "shuffled"])
def test_policies_have_the_rewards_of_our_own_rollouts(
    arenas: ArenaSet, folder: Path, name: Any, tmp_path: Path
) -> None:
    published = PublishedArenas(folder)
    assert set(published.arenas.ids) == with_user_as_tool(arenas)
    # Prompts are drawn without replacement, so that this many steps meet nearly every arena.
    steps = len(published) // PROMPTS
    rewards = trained(folder, tmp_path / "out", name, prompts=PROMPTS, steps=steps)
    expected = {
        key: astra.rollout(arena, astra.reference_policy(name, arena)).reward
        for key in rewards
        if (arena := published[key])
    }
    assert len(rewards) == PROMPTS * steps and rewards == pytest.approx(expected, abs=1e-6)
    known = {"gold": {1.0}, "null": {0.0}}
    assert name not in known or set(rewards.values()) == known[name]
    assert name != "shuffled" or any(0 < value < 1 for value in rewards.values())
    if name == "null":
        assert_nothing_is_told(arenas, tmp_path / "out")
