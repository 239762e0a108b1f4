"""Anchor states of an arena: the calls and results that an episode has before each turn.

GiGPO and ACPO compare steps that were taken from the same state of the environment. An arena is
deterministic and its tools keep no state, so the set of earlier calls with their results, in any
order, is the exact state. The agent's own words are not part of it.
"""

from __future__ import annotations

from torch import Tensor

from astra.training.algorithm import ScoredBatch
from astra.training.credit.steps import pad_BK, step_count
from astra.types import Trajectory, canonical_json, content_hash


def anchor_states(trajectory: Trajectory, *, end: bool = False) -> list[str]:
    """The state before each assistant turn. Equal states are equal strings.

    `end`: also the one after the last turn.
    """
    seen: set[str] = set()
    states: list[str] = []
    for turn in range(trajectory.turns):
        states.append(content_hash(sorted(seen)))
        seen |= {
            canonical_json([call.tool, call.arguments, call.result])
            for call in trajectory.calls
            if call.turn == turn
        }
    return [*states, content_hash(sorted(seen))] if end else states


def numbered_states_BK(batch: ScoredBatch, history: int = 0) -> Tensor:
    """Long: number of the anchor state that each step was taken from. -1: no step, or no state.

    Equal states share a number within a group, and never across groups. With `history`, so many
    states before it are equal too, and steps with fewer before them have none (-1).
    """
    numbers: dict[tuple[int, tuple[str, ...]], int] = {}
    states: list[list[float]] = []
    for episode, group in zip(batch.episodes, batch.group_B.tolist(), strict=True):
        names = [] if episode.trajectory is None else anchor_states(episode.trajectory)
        contexts = [tuple(names[k - history : k + 1]) for k in range(history, len(names))]
        own = [numbers.setdefault((group, context), len(numbers)) for context in contexts]
        states.append([-1.0] * min(history, len(names)) + own)
    padded_BK = pad_BK(states, step_count(batch.step_BT), batch.step_BT.device)
    return padded_BK.nan_to_num(nan=-1.0).long()


def shared_BK(state_BK: Tensor) -> Tensor:
    """Bool: whether another step has the same number."""
    _, index_BK, counts = state_BK.unique(return_inverse=True, return_counts=True)
    return (counts[index_BK] > 1) & (state_BK >= 0)
