"""An agent by rules for arenas that ask for changes: it knows all that is to be done, and nothing
of manners. It never asks, neither for a value nor for leave, does what rules forbid, and takes no
call again that met a fault.
"""

from __future__ import annotations

from astra.models.policies import gold_steps
from astra.models.scripted import ScriptedModel, calling
from astra.types import Arena, GoldCall, Message
from astra.users.script import ScriptedUser


def rash_agent(arena: Arena) -> ScriptedModel:
    """The agent for one arena."""
    assert arena.state is not None
    script = ScriptedUser(arena.state, arena.language) if arena.state.turns else None
    messages: list[Message | str] = []
    for step in gold_steps(arena):
        if step.calls:
            messages.append(calling(*step.calls))
            continue
        move = None if script is None else script.reply(step.text)
        if move is None or not (move.asked or move.kind == "agrees"):
            messages.append(step.text)
    forbidden = [
        GoldCall(tool=goal.refuses.tool, arguments=goal.refuses.arguments)
        for goal in arena.state.goals
        if goal.refuses is not None
    ]
    if forbidden:
        messages.insert(len(messages) - 1, calling(*forbidden))
    return ScriptedModel(messages, name="rash", afterwards="All is done.")
