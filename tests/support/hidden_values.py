"""What an agent has to find out, and nobody may write down before it did."""

from __future__ import annotations

import json

from astra.hosts.arena import arena_messages, shown_tools
from astra.types import Arena, Json


def hidden_values(arena: Arena) -> set[str]:
    """Texts and long numbers of answers, gold calls and changes that the agent is not shown."""
    values: set[str] = set()

    def collect(value: Json) -> None:
        if isinstance(value, dict):
            for part in value.values():
                collect(part)
        elif isinstance(value, list | tuple):
            for part in value:
                collect(part)
        elif not isinstance(value, bool) and value is not None and len(str(value)) > 4:
            values.add(str(value))

    for goal in arena.goals:
        collect(goal.answer)
        collect(None if goal.call is None else goal.call.arguments)
    for goal in () if arena.state is None else arena.state.goals:
        for change in goal.changes:
            collect(change.after)
    shown = shown_text(arena)
    return {value for value in values if value not in shown}


def shown_text(arena: Arena) -> str:
    """What an agent is shown at the start, and what the user may say by and by."""
    messages = [message.content for message in arena_messages(arena)]
    documents = [document.model_dump() for document in shown_tools(arena)]
    turns = () if arena.state is None else arena.state.turns
    said = [[turn.text, *(value.told for value in turn.held)] for turn in turns]
    return json.dumps([messages, documents, said], ensure_ascii=False)
