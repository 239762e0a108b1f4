"""The comparisons by name: which arms there are, and what sets them apart.

An option of an arm is a field of `TrainRLConfig`; `credit` holds those of `CreditConfig`.
Everything else is the same for all arms of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra.errors import ConfigError
from astra.types import Json
from recipes.reproduce.trials import Arm

CURVES = ("f1", "reward", "turns", "calls", "sampling_entropy", "entropy")
"""What every comparison takes from a run's metrics, as far as it is there."""


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Arms that differ in one thing, and what to look at."""

    name: str
    about: str
    place: str
    """Where the claim stands."""
    baseline: str
    """The arm that the others are compared with; it runs first."""
    arms: tuple[Arm, ...]
    headline: tuple[str, ...]
    """Measurements of the end that the table in the terminal shows."""
    curves: tuple[str, ...] = CURVES
    equal_tokens: bool = False
    """Whether arms stop at the baseline's sampled tokens, rather than at its steps."""
    common: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Options of all arms."""
    ablations: tuple[Arm, ...] = ()
    whole: str = ""
    """The arm that the ablations leave a part out of."""

    def chosen(self, names: Sequence[str] | None, *, ablations: bool) -> list[Arm]:
        """The arms that are asked for (None: all) and the baseline, in their order.

        With ablations, also the arm that these are compared with. Raises ConfigError.
        """
        if ablations and not self.ablations:
            raise ConfigError(f"{self.name!r} has no ablations, only 'credit' does")
        every = [*self.arms, *(self.ablations if ablations else ())]
        known = [arm.name for arm in every]
        if names is None:
            return every
        if strangers := sorted(set(names) - set(known)):
            raise ConfigError(f"no arm {strangers[0]!r}: choose among {', '.join(known)}")
        kept = {*names, self.baseline, *([self.whole] if ablations else ())}
        return [arm for arm in every if arm.name in kept]


def _acpo(name: str, attribution: str, **credit: Json) -> Arm:
    return Arm(name, {"algorithm": "acpo", "credit": {"attribution": attribution, **credit}})


_ABLATIONS = (
    _acpo("acpo-no-credit", "verified", alpha=0.0),
    _acpo("acpo-no-entropy", "verified", options={"entropy.largest": 0.0}),
    _acpo("acpo-no-phases", "verified", explore_steps=None, stall_steps=None),
    _acpo("acpo-no-curriculum", "verified", options={"curriculum.others": 1.0}),
    _acpo("acpo-no-confidence", "verified", confidence_gamma=0.0),
)

COMPARISONS: dict[str, ArmComparison] = {
    "reward": ArmComparison(
        "reward",
        "F1 as the reward, against recall alone and precision alone",
        "ASTRA, figures 7 and 8",
        baseline="f1",
        arms=tuple(Arm(name, {"reward": name}) for name in ("f1", "recall", "precision")),
        headline=("f1", "turns", "calls", "recall", "precision"),
    ),
    "distractors": ArmComparison(
        "distractors",
        "training without irrelevant tools, with random and with banded ones; played with banded",
        "ASTRA, figure 6",
        baseline="none",
        arms=tuple(Arm(name, {"distractors": name}) for name in ("none", "random", "banded")),
        headline=("f1", "recall", "precision", "calls"),
    ),
    "filling": ArmComparison(
        "filling",
        "adaptive batch filling off and on, at equal sampled tokens",
        "ASTRA, section 3.2",
        baseline="off",
        arms=(Arm("off", {"max_sampling_rounds": 1}), Arm("on", {"max_sampling_rounds": 8})),
        headline=("f1", "solved", "turns", "calls"),
        curves=(*CURVES, "filling/valid_share", "filling/rounds", "filling/zero_variance"),
        equal_tokens=True,
    ),
    "credit": ArmComparison(
        "credit",
        "GRPO, GiGPO and ACPO with each attribution, at equal rollouts",
        "ACPO (arXiv 2510.08899)",
        baseline="grpo",
        arms=(
            Arm("grpo", {"algorithm": "grpo"}),
            Arm("gigpo", {"algorithm": "gigpo"}),
            _acpo("acpo-verified", "verified"),
            _acpo("acpo-likelihood", "likelihood"),
            _acpo("acpo-entropy", "entropy"),
            _acpo("acpo-counterfactual", "counterfactual"),
        ),
        headline=("f1", "solved", "turns", "calls"),
        curves=(
            *CURVES,
            *("acpo/credit/attribution_seconds", "acpo/entropy/crucial", "acpo/credit/phase"),
            *("acpo/agreement/likelihood", "acpo/agreement/entropy", "acpo/agreement/verified"),
        ),
        # With filling, an arm with more flat groups would get more rollouts a step.
        common={"max_sampling_rounds": 1},
        ablations=_ABLATIONS,
        whole="acpo-verified",
    ),
}


def of_problems(comparison: ArmComparison) -> ArmComparison:
    """What of `credit` can be compared on single-turn problems.

    These have no turns to anchor in, and can't be replayed. The ablations are those of the
    attribution that is left.
    """
    kept = ("grpo", "acpo-likelihood", "acpo-entropy")
    arms = tuple(arm for arm in comparison.arms if arm.name in kept)
    return replace(
        comparison,
        arms=arms,
        ablations=tuple(_with_likelihood(arm) for arm in comparison.ablations),
        whole="acpo-likelihood",
        headline=("solved", "tokens"),
    )


def _with_likelihood(arm: Arm) -> Arm:
    credit = {**arm.options["credit"], "attribution": "likelihood"}
    return Arm(arm.name, {**arm.options, "credit": credit})
