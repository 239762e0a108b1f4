"""Recall, precision and F1, and the reward that is chosen among them."""

from __future__ import annotations

from typing import Literal

Reward = Literal["f1", "recall", "precision", "strict"]

EPSILON = 1e-20
"""ε of the precision n̂ / (c + ε): small enough that a perfect episode scores exactly 1."""


def recall(solved: int, goals: int) -> float:
    """r = n̂ / n. 0 without goals."""
    return solved / goals if goals else 0.0


def precision(solved: int, calls: int, epsilon: float = EPSILON) -> float:
    """p = n̂ / (c + ε)."""
    return solved / (calls + epsilon)


def f1(r: float, p: float) -> float:
    """2pr / (p + r). 0 if both are 0."""
    return 2 * p * r / (p + r) if p + r > 0 else 0.0


def reward_of(kind: Reward, solved: int, goals: int, calls: int) -> float:
    r, p = recall(solved, goals), precision(solved, calls)
    strict = float(0 < goals == solved)
    return {"f1": f1(r, p), "recall": r, "precision": p, "strict": strict}[kind]
