"""Comparisons by name: their arms, and the options in which the arms differ.

An option of an arm is a field of `TrainRLConfig`; `credit` holds those of `CreditConfig`.
Everything else is the same for all arms of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astra.arenas.sets import DistractorSource
from astra.errors import ConfigError
from astra.types import Json
from recipes.reproduce.trials import Arm

CURVES = ("f1", "reward", "turns", "calls", "sampling_entropy", "entropy")
"""Metrics of a run that every comparison records, as far as they are logged."""


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Arms that differ in one thing, and the measurements to compare."""

    name: str
    about: str
    place: str
    """Source of the claim: paper and section."""
    baseline: str
    """The arm that the others are compared with. It runs first."""
    arms: tuple[Arm, ...]
    """Those that run unless some are named."""
    headline: tuple[str, ...]
    """Final measurements that the table in the terminal shows."""
    curves: tuple[str, ...] = CURVES
    played_with: DistractorSource = "stored"
    """Distractors of the evaluation, the same for all arms. stored: those of the arenas, with which
    all comparisons but that of distractors train."""
    equal_tokens: bool = False
    """Whether arms stop at the baseline's number of sampled tokens instead of its steps."""
    common: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Options of all arms."""
    further: tuple[Arm, ...] = ()
    """Arms that run if they are named."""
    ablations: tuple[Arm, ...] = ()
    whole: str = ""
    """Name of the arm that the ablations are compared with. Empty without ablations."""

    def chosen(self, names: Sequence[str] | None, *, ablations: bool) -> list[Arm]:
        """The baseline and the arms of these names (None: all but `further`), in their order.

        With ablations, also the arm that these are compared with. Raises ConfigError.
        """
        if ablations and not self.ablations:
            raise ConfigError(f"{self.name!r} has no ablations, only 'credit' does")
        more = self.ablations if ablations else ()
        if names is None:
            return [*self.arms, *more]
        every = [*self.arms, *self.further, *more]
        known = [arm.name for arm in every]
        if unknown := sorted(set(names) - set(known)):
            raise ConfigError(f"no arm {unknown[0]!r}: choose among {', '.join(known)}")
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

_DISTILLING = ("sdpo", "drift")
_FURTHER = ("hgpo", "graphgpo", "igpo", "first_exposure", "counterfactual", *_DISTILLING)

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
        played_with="banded",
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
        "GRPO, GiGPO, ACPO with each attribution, and others by name, at equal rollouts",
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
        further=(
            *(Arm(name, {"algorithm": name}) for name in _FURTHER),
            # With ω = 1 both advantages are of one size: a right call in a failure comes to some 0.
            Arm(
                "counterfactual-2", {"algorithm": "counterfactual", "credit": {"step_weight": 2.0}}
            ),
        ),
        headline=("f1", "solved", "turns", "calls"),
        curves=(
            *CURVES,
            *("acpo/credit/attribution_seconds", "acpo/entropy/crucial", "acpo/credit/phase"),
            *("acpo/agreement/likelihood", "acpo/agreement/entropy", "acpo/agreement/verified"),
            *(f"{name}/agreement/credit" for name in ("acpo", "gigpo", *_FURTHER)),
        ),
        # With filling, an arm with more zero-variance groups would get more rollouts a step.
        common={"max_sampling_rounds": 1},
        ablations=_ABLATIONS,
        whole="acpo-verified",
    ),
}


def of_problems(comparison: ArmComparison) -> ArmComparison:
    """The comparison `credit` for single-turn problems.

    They have no turns, so no anchor states and no replays; self-distillation needs neither. The
    ablations are those of ACPO by likelihood.
    """
    kept = ("grpo", "acpo-likelihood", "acpo-entropy")
    by_likelihood = {"attribution": "likelihood"}
    return replace(
        comparison,
        further=tuple(arm for arm in comparison.further if arm.name in _DISTILLING),
        arms=tuple(arm for arm in comparison.arms if arm.name in kept),
        ablations=tuple(
            Arm(arm.name, {**arm.options, "credit": {**arm.options["credit"], **by_likelihood}})
            for arm in comparison.ablations
        ),
        whole="acpo-likelihood",
        headline=("solved", "tokens"),
    )
