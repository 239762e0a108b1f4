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


def anchor_states(trajectory: Trajectory) -> list[str]:
    """The state before each assistant turn. Equal states are equal strings."""
    seen: set[str] = set()
    states: list[str] = []
    for turn in range(trajectory.turns):
        states.append(content_hash(sorted(seen)))
        seen |= {
            canonical_json([call.tool, call.arguments, call.result])
            for call in trajectory.calls
            if call.turn == turn
        }
    return states


def numbered_states_BK(batch: ScoredBatch) -> Tensor:
    """Long: number of the anchor state that each step was taken from. -1: no step, or no state.

    Equal states share a number within a group, and never across groups.
    """
    numbers: dict[tuple[int, str], int] = {}
    states: list[list[float]] = []
    for episode, group in zip(batch.episodes, batch.group_B.tolist(), strict=True):
        names = [] if episode.trajectory is None else anchor_states(episode.trajectory)
        states.append([numbers.setdefault((group, name), len(numbers)) for name in names])
    padded_BK = pad_BK(states, step_count(batch.step_BT), batch.step_BT.device)
    return padded_BK.nan_to_num(nan=-1.0).long()
