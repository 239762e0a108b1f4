"""The algorithms by name, wired for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from astra.errors import ConfigError
from astra.rewards import Reward
from astra.training.algorithm import Algorithm
from astra.training.credit.acpo import ACPO
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.gigpo import GiGPO, GiGPOSettings
from astra.training.credit.options import acpo_settings
from astra.training.credit.records import CreditRow
from astra.training.rl.grpo import GRPO
from astra.types import Arena

Algorithms = Literal["grpo", "gigpo", "acpo"]


def make_algorithm(
    name: Algorithms,
    *,
    seed: int,
    arenas: Mapping[str, Arena],
    reward: Reward = "f1",
    settings: Sequence[str] = (),
    scale: bool = True,
    keep: Callable[[CreditRow], None] | None = None,
) -> Algorithm:
    """An algorithm. `arenas`: that rollouts can be replayed in; empty for problems.

    `settings`: of ACPO, as `name=value`; the attribution is `verified` in arenas and `likelihood`
    for problems unless one is set. `scale`: of grpo and gigpo, divide by the standard deviation of
    the group's rewards; acpo always does. `keep`: is handed the rows of `credit.jsonl`.
    """
    if name != "acpo":
        if settings:
            raise ConfigError(f"{settings[0]!r}: only the algorithm acpo has settings, not {name}")
        return GRPO(scale=scale) if name == "grpo" else GiGPO(GiGPOSettings(scale=scale))
    if not scale:
        raise ConfigError("acpo has no scale_rewards='none': leave it at 'group', or take grpo")
    attribution = "verified" if arenas else "likelihood"
    return ACPO(
        acpo_settings(settings, attribution=attribution),
        replay=Counterfactual(arenas, reward=reward) if arenas else None,
        keep=keep,
        seed=seed,
    )
