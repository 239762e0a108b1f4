"""The first mistake of an episode that is not right: what a model that plays it has yet to learn.

Told by rule from calls and gold calls, for arenas whose tools only read. The kind of a mistake is
that of the first call that helped nothing; where every call helped, how the episode ended. Not
told: why the model made it, and what it would have done next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from astra.episodes import Score
from astra.types import Arena, CallRecord, CallStatus, Goal, Json, StopReason, Trajectory


class Mistake(StrEnum):
    """Kind of the first mistake."""

    wrong_tool = "wrong_tool"
    """A tool that no goal needs, or that there is not."""
    copied_wrongly = "copied_wrongly"
    """The right tool with a part of the right value, with more than it, or with a value that
    belongs to another call."""
    wrong_argument = "wrong_argument"
    """The right tool with another value."""
    malformed = "malformed"
    """Arguments that are no JSON object, or against the tool's schema."""
    went_on = "went_on"
    """A tool whose goals were all solved."""
    stopped_early = "stopped_early"
    """Every call helped, and the model answered before all goals were solved."""
    cut_off = "cut_off"
    """Every call helped, and a limit ended the episode."""


def first_mistake(arena: Arena, trajectory: Trajectory, score: Score | None) -> Mistake | None:
    """The first mistake. None if there is none, without a score, and for arenas with a state."""
    if arena.state is not None or score is None:
        return None
    helped = {call_id: goal for goal, call_id in score.solved_by.items()}
    open_goals = {goal.id: goal for goal in arena.goals if goal.call is not None}
    for index, call in enumerate(trajectory.calls):
        if call.id in helped:
            open_goals.pop(helped[call.id], None)
        elif call.status is not CallStatus.transient:
            return _of_call(call, arena.goals, open_goals.values(), trajectory.calls[:index])
    if not open_goals:
        return None
    answered = trajectory.stop is StopReason.answered
    return Mistake.stopped_early if answered else Mistake.cut_off


def _of_call(
    call: CallRecord, goals: Sequence[Goal], left: Iterable[Goal], before: Sequence[CallRecord]
) -> Mistake:
    if call.status in (CallStatus.malformed_arguments, CallStatus.schema_violation):
        return Mistake.malformed
    if call.tool not in {goal.call.tool for goal in goals if goal.call is not None}:
        return Mistake.wrong_tool
    wanted = [goal.call for goal in left if goal.call is not None and goal.call.tool == call.tool]
    if not wanted:
        return Mistake.went_on
    given = call.arguments if isinstance(call.arguments, dict) else {}
    elsewhere = {
        _text(value)
        for other in (*before, *(goal.call for goal in goals))
        if other is not None and isinstance(other.arguments, dict)
        for value in other.arguments.values()
    }
    for gold in wanted:
        wrong = [
            (_text(given.get(name)), _text(gold.arguments.get(name)))
            for name in gold.arguments.keys() | given.keys()
            if _text(given.get(name)) != _text(gold.arguments.get(name))
        ]
        if all(
            value and (value in elsewhere or value in right or (right and right in value))
            for value, right in wrong
        ):
            return Mistake.copied_wrongly
    return Mistake.wrong_argument


def _text(value: Json) -> str:
    return "" if value is None else str(value).casefold().strip()
