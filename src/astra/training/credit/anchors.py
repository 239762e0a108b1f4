"""Anchor states of an arena: what an episode has seen and brought about before each turn.

GiGPO and ACPO compare steps that were taken from the same state of the environment. An arena is
deterministic, so its state follows from what went before: the set of calls with their results, in
any order, and what the user has said. Where tools change a database, its rows belong to it, and the
number of changes, by which its clock runs. The agent's own words do not.
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
    database, changes = "", 0
    said = _said(trajectory)
    states: list[str] = []
    for turn in range(trajectory.turns + 1):
        so_far = said[min(turn, len(said) - 1)]
        states.append(content_hash([sorted(seen), so_far, database, changes]))
        for call in trajectory.calls:
            if call.turn == turn:
                seen.add(canonical_json([call.tool, call.arguments, call.result]))
                if call.effect is not None:
                    database, changes = call.effect.state, changes + 1
    return states if end else states[:-1]


def _said(trajectory: Trajectory) -> list[list[str]]:
    """What the user has said before each assistant message, and at the end."""
    said: list[list[str]] = [[]]
    for message in trajectory.messages:
        if message.role == "user":
            said[-1].append(message.content)
        elif message.role == "assistant":
            said.append([*said[-1]])
    return said


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
