"""Figures that several trajectory commands print."""

from __future__ import annotations

from collections.abc import Iterable

from astra.cli.console import out
from astra.runs.folder import RunFolder
from astra.trajectories.judge.agreement import agreements, ratings
from astra.trajectories.reading import read_judgements
from astra.trajectories.records import Judgement


def mean_reward(folder: RunFolder, name: str) -> float | None:
    """The mean reward of a file of judgements. None: it is empty."""
    rewards = [row.reward for row in read_judgements(folder, name)]
    return sum(rewards) / len(rewards) if rewards else None


def print_agreement(*files: Iterable[Judgement]) -> None:
    """Print how far judges agree, if points were judged more than once."""
    agreed = agreements(ratings(*files))
    if "all" in agreed:
        overall = agreed["all"]
        alpha = "–" if overall.alpha is None else f"{overall.alpha:.3f}"
        out().print(
            f"  judges: {overall.points} points judged several times, mean difference "
            f"{overall.difference:.3f}, Krippendorff's alpha {alpha}"
        )
