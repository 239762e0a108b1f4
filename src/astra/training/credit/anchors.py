"""Anchor states of an arena: what an episode has found out before each of its turns.

GiGPO compares steps that were taken from the same state of the environment. An arena is
deterministic and its tools keep no state, so that its state is exact: the set of calls made so far
with what they returned, whatever their order. The agent's own words are not part of it.
"""

from __future__ import annotations

from astra.types import CallRecord, Trajectory, canonical_json, content_hash


def anchor_states(trajectory: Trajectory) -> list[str]:
    """One state per assistant turn, as it was before the turn; equal states are equal strings."""
    seen: set[str] = set()
    states: list[str] = []
    for turn in range(trajectory.turns):
        states.append(content_hash(sorted(seen)))
        seen.update(_canonical(call) for call in trajectory.calls if call.turn == turn)
    return states


def _canonical(call: CallRecord) -> str:
    return canonical_json([call.tool, call.arguments, call.result])
