"""pass^k and pass@k: how often all, and how often any, of k episodes of a task are solved."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pass_hat(solved: Sequence[Sequence[float]]) -> dict[str, float]:
    """pass^k (τ-bench): mean over tasks of C(solved, k) / C(samples, k), for every k there is.

    `solved`: per task, 1.0 for each episode that solved it, else 0.0.
    """
    samples = min(map(len, solved), default=0)
    return {
        str(k): math.fsum(math.comb(int(sum(own)), k) / math.comb(len(own), k) for own in solved)
        / len(solved)
        for k in range(1, samples + 1)
    }


def pass_at(solved: Sequence[Sequence[float]]) -> dict[str, float]:
    """pass@k (Codex paper, unbiased): mean over tasks of 1 - C(failed, k) / C(samples, k).

    `solved`: as for `pass_hat`.
    """
    # That not all of k episodes fail.
    failed = [[1.0 - value for value in own] for own in solved]
    return {k: 1.0 - value for k, value in pass_hat(failed).items()}
