"""ACPO's settings from the options of a run."""

from __future__ import annotations

from typing import Any

import pytest

from astra.configs.training import CreditConfig
from astra.errors import ConfigError
from astra.training.credit.acpo import ACPOSettings
from astra.training.credit.attribution import Attribution
from astra.training.credit.options import acpo_settings
from astra.training.rl.algorithms import make_algorithm
from astra.training.rl.grpo import GRPO


def test_settings_are_read():
    found = acpo_settings(
        CreditConfig(
            attribution="likelihood",
            alpha=0.3,
            explore_steps=50,
            success=0.4,
            stall_steps=None,
            options={"log_rollouts": 0, "switch.smoothing": 0.2},
        )
    )
    assert found.attribution is Attribution.likelihood
    assert (found.alpha, found.log_rollouts, found.success) == (0.3, 0, 0.4)
    assert (found.switch.after, found.switch.stalled, found.switch.smoothing) == (50, None, 0.2)
    assert acpo_settings(CreditConfig()) == ACPOSettings()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alhpa": 0.3}, "alhpa"),
        ({"switch": 3}, "switch.smoothing"),
        ({"switch.after": 3}, "switch.after"),
        ({"alpha": 0.5}, "'alpha'"),
        ({"success": 0.4}, "'success'"),
        ({"log_rollouts": "many"}, "many"),
        ({"segmentation.most": 0}, "at least 1"),
    ],
)
def test_unknown_and_impossible_settings_are_refused(options: dict[str, Any], match: str):
    with pytest.raises(ConfigError, match=match):
        acpo_settings(CreditConfig(options=options))


def test_attribution_by_goals_needs_arenas_and_their_reward():
    with pytest.raises(ConfigError, match="'likelihood'"):
        make_algorithm("acpo", seed=0, arenas={})
    arenas: Any = {"a": None}
    with pytest.raises(ConfigError, match="an own reward"):
        make_algorithm("acpo", seed=0, arenas=arenas, reward=lambda arena, trajectory: 1.0)
    make_algorithm("acpo", CreditConfig(attribution="likelihood"), seed=0, arenas={})


class Own:
    name = "own"

    def credit(self, batch: Any, policy: Any) -> Any:
        raise NotImplementedError


def test_own_algorithms_are_taken_by_name_and_as_objects():
    assert make_algorithm(f"{__name__}:Own", seed=0, arenas={}).name == "own"
    own = Own()
    assert make_algorithm(own, seed=0, arenas={}) is own
    assert isinstance(make_algorithm("grpo", seed=0, arenas={}), GRPO)
    with pytest.raises(ConfigError, match="`name` or `credit`"):
        make_algorithm("json:JSONDecoder", seed=0, arenas={})
