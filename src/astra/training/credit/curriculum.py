"""Curriculum: draws the next prompts by their pass rates and the phase's preference.

*Given*: the curriculum over the phases goes by difficulty.
*Ours*: the pass rate p is an exponential moving average. Exploration prefers 0.1 ≤ p ≤ 0.8 and
widens this band, convergence prefers 0 < p ≤ 0.5. Other prompts keep a small weight, so that their
pass rates stay up to date. Prompts that were never sampled count as preferred.

A rollout passes if its reward equals the best one seen for the prompt. For rewards of 0 and 1 that
is the usual pass rate. For graded rewards a mean would not do: a prompt that always earns 0.5
teaches nothing, and one with a mean of 0.1 may teach much.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from astra.errors import ConfigError
from astra.training.credit.phases import Phase

CLOSE = 1e-9
"""Rewards that differ by less are equal."""
BINS = 5
"""Bins of the histogram of difficulty: p in [0, 0.2), …, [0.8, 1]."""


@dataclass(frozen=True, slots=True)
class CurriculumSettings:
    """The bands of difficulty."""

    smoothing: float = 0.3
    """Weight of the newest group in a pass rate, in (0, 1]."""
    easiest: float = 0.8
    hardest: float = 0.1
    """Exploration starts between them."""
    converging: float = 0.5
    """Convergence prefers pass rates above 0 and up to this."""
    others: float = 0.3
    """Weight of prompts that are not preferred, in (0, 1]. 1: no curriculum."""

    def __post_init__(self) -> None:
        if not (0 < self.smoothing <= 1 and 0 < self.others <= 1):
            raise ConfigError(f"curriculum {self!r}: smoothing and others must lie in (0, 1]")


class Curriculum:
    """Pass rates, and draws by them. The same seed and observations give the same draws."""

    def __init__(self, settings: CurriculumSettings | None = None, seed: int = 0) -> None:
        self._settings = settings or CurriculumSettings()
        self._seed = seed
        self._draws = 0
        self._rates: dict[str, float] = {}
        self._best: dict[str, float] = {}
        """The best reward seen of a prompt."""

    def observe(self, task: str, rewards: Sequence[float]) -> None:
        """Count a group of rollouts of a prompt, whether or not it is trained on."""
        if not rewards:
            return
        best = max(rewards)
        if task not in self._rates or best > self._best[task] + CLOSE:
            # A new best reward: by it, no earlier rollout passed.
            self._best[task] = best
            self._rates[task] = self._passed(task, rewards)
            return
        moved = self._passed(task, rewards) - self._rates[task]
        self._rates[task] += self._settings.smoothing * moved

    def _passed(self, task: str, rewards: Sequence[float]) -> float:
        best = self._best[task]
        return sum(reward > best - CLOSE for reward in rewards) / len(rewards) if best > 0 else 0.0

    def rate(self, task: str) -> float | None:
        """The pass rate, in [0, 1]. None: never sampled."""
        return self._rates.get(task)

    def weight(self, task: str, phase: Phase, progress: float) -> float:
        """Weight of a prompt in a draw. `progress` of exploration, in [0, 1], widens the band."""
        settings, rate = self._settings, self._rates.get(task)
        if rate is None:
            return 1.0
        if phase is Phase.convergence:
            preferred = 0 < rate <= settings.converging
        else:
            lowest = settings.hardest * (1 - progress)
            highest = settings.easiest + (1 - settings.easiest) * progress
            preferred = lowest <= rate <= highest
        return 1.0 if preferred else settings.others

    def choose(self, tasks: Sequence[str], count: int, phase: Phase, progress: float) -> list[str]:
        """Draw `count` different prompts, all of them if there are fewer. In random order."""
        rng = random.Random(f"{self._seed}:{self._draws}")
        self._draws += 1
        # The same distribution as drawing one after the other by weight, without replacement.
        keys = {task: rng.expovariate(self.weight(task, phase, progress)) for task in tasks}
        return sorted(keys, key=keys.__getitem__)[:count]

    def histogram(self) -> list[float]:
        """Shares of the prompts seen so far by pass rate, from hard to easy."""
        counts = [0] * BINS
        for rate in self._rates.values():
            counts[min(int(rate * BINS), BINS - 1)] += 1
        return [count / max(len(self._rates), 1) for count in counts]

    def state_dict(self) -> dict[str, Any]:
        return {"rates": dict(self._rates), "best": dict(self._best), "draws": self._draws}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rates, self._best = dict(state["rates"]), dict(state["best"])
        self._draws = state["draws"]
