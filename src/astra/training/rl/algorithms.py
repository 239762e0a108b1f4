"""The algorithm of a run: by name, `module:Class`, or an object of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from astra.configs.training import AlgorithmLike, CreditConfig
from astra.core.plugins import load_object
from astra.errors import ConfigError
from astra.protocols import Sandbox
from astra.rewards import Reward, RewardFunction
from astra.training.algorithm import Algorithm
from astra.training.credit.acpo import ACPO
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.counterfactual_steps import counterfactual
from astra.training.credit.drift import Drift
from astra.training.credit.first_exposure import first_exposure
from astra.training.credit.gigpo import gigpo
from astra.training.credit.graphgpo import graphgpo
from astra.training.credit.hgpo import hgpo
from astra.training.credit.igpo import igpo
from astra.training.credit.options import acpo_settings
from astra.training.credit.records import CreditRow
from astra.training.credit.sdpo import sdpo
from astra.training.credit.stepwise import Rule, StepSettings, StepwiseAlgorithm
from astra.training.rl.grpo import GRPO
from astra.types import Arena

RULES = {
    "gigpo": gigpo,
    "hgpo": hgpo,
    "graphgpo": graphgpo,
    "igpo": igpo,
    "first_exposure": first_exposure,
    "sdpo": sdpo,
}


def make_algorithm(
    algorithm: str | AlgorithmLike,
    credit: CreditConfig | None = None,
    *,
    seed: int,
    arenas: Mapping[str, Arena],
    reward: Reward | RewardFunction = "f1",
    scale: bool = True,
    keep: Callable[[CreditRow], None] | None = None,
    sandbox: Callable[[], AbstractAsyncContextManager[Sandbox]] | None = None,
) -> Algorithm:
    """The algorithm with its options.

    `arenas`: those that rollouts can be replayed in, empty for other environments. `scale`: divide
    by the standard deviation of the group's rewards (acpo always does).
    `keep`: receives the rows of `credit.jsonl`. `sandbox`: for replays that make calls
    again. Raises ConfigError.
    """
    credit = CreditConfig() if credit is None else credit
    if not isinstance(algorithm, str):
        return algorithm
    # A rule-based reward can be computed again without some calls; an own one may read anything.
    replay = None
    if arenas and not callable(reward):
        replay = Counterfactual(arenas, reward=reward, sandbox=sandbox)
    why = "an own reward" if arenas else "an environment without goals"
    settings = StepSettings(
        step_weight=credit.step_weight,
        discount=credit.discount,
        scale=scale,
        history=2 if credit.history is None else credit.history,
        alpha=credit.alpha,
        success=credit.success,
    )
    compared = replay if credit.agreement else None
    match algorithm:
        case "grpo":
            return GRPO(scale=scale)
        case "acpo":
            if not scale:
                raise ConfigError(
                    "acpo has no scale_rewards='none': leave it at 'group', or take grpo"
                )
            if credit.attribution in ("verified", "counterfactual") and replay is None:
                raise ConfigError(
                    f"attribution {credit.attribution!r} reads the goals of arenas, which {why} "
                    "does not follow: set credit.attribution to 'likelihood'"
                )
            return ACPO(acpo_settings(credit), replay=replay, keep=keep, seed=seed)
        case "drift":
            return Drift(settings, warm_up=credit.warm_up_steps, replay=compared)
        case "counterfactual":
            if replay is None:
                raise ConfigError(
                    f"algorithm 'counterfactual' reads the goals of arenas, which {why} does not "
                    "follow: take igpo, which reads the right answer"
                )
            rule: Rule = partial(counterfactual, settings=settings, replay=replay)
        case _ if algorithm in RULES:
            rule = partial(RULES[algorithm], settings=settings)
        case _:
            own: Any = load_object(algorithm, "algorithm")
            if isinstance(own, type):
                own = own()
            if not (hasattr(own, "name") and hasattr(own, "credit")):
                raise ConfigError(
                    f"algorithm {algorithm!r} lacks `name` or `credit`: see "
                    "astra.training.Algorithm"
                )
            return own
    return StepwiseAlgorithm(algorithm, rule, compared)
