"""Turns of the user, and what makes a conversation of them: a value that is held back, a tool that
is missing at first, a wish that changes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from astra.arenas.stateful.mentions import TaskCall
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.roles import WritableColumn, is_final
from astra.arenas.stateful.tools import DatabaseTool
from astra.arenas.stateful.values import NewValue
from astra.arenas.stateful.words import STATEMENT, request_text
from astra.arenas.stateful.writes import settable
from astra.configs.arenas import ConversationKind
from astra.states import HeldValue
from astra.types import Language
from astra.users.cues import value_names

_FEWEST_CHOICES = 4
"""Of a value that is held back: with fewer a guess would be right too often."""


@dataclass(frozen=True, slots=True)
class PlannedTurn:
    """What the user says at one turn, and what has to be done then."""

    text: str
    tasks: tuple[Task, ...] = ()
    held: HeldValue | None = None
    """What is held back. Its `goal` is not set yet."""
    ask: str = ""
    """How the agent asks for it."""
    cannot: str = ""
    """How the agent says that a tool is missing: all that it can do at this turn."""
    brings: tuple[str, ...] = ()
    overrides: bool = False
    """Whether it is another wish for what the turn before was about."""


def request(parts: TaskParts, tasks: Sequence[Task], number: int, rng: random.Random) -> str:
    """What the user says at a turn of that number."""
    texts = [task.text for task in tasks]
    if number == 0:
        return request_text(parts.words, texts, rng)
    first, *rest = (text.removeprefix(STATEMENT) for text in texts)
    said = rng.choice(parts.words.next).format(next=first)
    return said + "".join(rng.choice(parts.words.also).format(next=text) for text in rest)


def with_conversation(
    kind: ConversationKind, parts: TaskParts, turns: Sequence[PlannedTurn], rng: random.Random
) -> list[PlannedTurn] | None:
    """The turns with one thing that is not as it should be. None if it fits nowhere."""
    order = list(range(len(turns)))
    rng.shuffle(order)
    for number in order:
        if len(turns[number].tasks) != 1:
            continue
        made = _MAKERS[kind](parts, turns, number, rng)
        if made is not None:
            return [*turns[:number], *made, *turns[number + 1 :]]
    return None


def _missing_parameter(
    parts: TaskParts, turns: Sequence[PlannedTurn], number: int, rng: random.Random
) -> list[PlannedTurn] | None:
    """The new value is told only when it is asked for."""
    turn = turns[number]
    (task,) = turn.tasks
    found = task.update
    if found is None or not _is_open(parts, found.value, task):
        return None
    column, writer = found.value.column, parts.mentions.writer
    label, words = writer.label(column), parts.words
    text = rng.choice(words.set_open).format(label=label, row=found.mention.text)
    texts = request(parts, (replace(task, text=text),), number, rng)
    held = HeldValue(
        goal="",
        labels=names_in_questions(column, label, writer.language, found.mention.text),
        choices=column.choices,
        told=words.told.format(label=label, value=found.value.text),
    )
    ask = words.ask.format(label=label, row=found.mention.text)
    return [replace(turn, text=texts, held=held, ask=ask)]


def _is_open(parts: TaskParts, value: NewValue, task: Task) -> bool:
    """Whether nobody could guess a value, or find it in the database."""
    column = value.column
    if column.role == "flag":
        return False
    cells = [row for table in parts.cut.database.tables for row in table.rows]
    if column.role == "choice":
        (table, _) = next(iter(task.rows))
        options = settable(parts.tables[table], column)
        rows = parts.cut.database.table(table).rows_by_key.values()
        held = [row[column.name] for row in rows]
        most = max(set(held), key=lambda cell: (held.count(cell), str(cell)))
        return len(options) >= _FEWEST_CHOICES and value.stored not in (options[0], most)
    # An address is made from the name: it could be guessed.
    return "@" not in value.text and not any(value.stored in row for row in cells)


def names_in_questions(
    column: WritableColumn, label: str, language: Language, mention: str
) -> tuple[str, ...]:
    """What a value may be called in a question, but for words that the row is called by, too."""
    called = [*value_names(label, language), column.name.replace("_", " ")]
    for other, translated in column.column.labels.items():
        called += value_names(translated, other)
    row = mention.casefold()
    return tuple(
        dict.fromkeys(name for name in called if name == label or name.casefold() not in row)
    )


def _missing_tool(
    parts: TaskParts, turns: Sequence[PlannedTurn], number: int, rng: random.Random
) -> list[PlannedTurn] | None:
    """No tool does it at first. Then the user brings the one that does."""
    turn = turns[number]
    (task,) = turn.tasks
    writing = {call.tool.tool.name: call.tool for call in task.calls if call.tool.writes}
    elsewhere = {
        call.tool.tool.name
        for other in (*turns[:number], *turns[number + 1 :])
        for planned in other.tasks
        for call in planned.calls
    }
    if len(writing) != 1 or task.also or writing.keys() & elsewhere:
        return None
    ((name, tool),) = writing.items()
    words = parts.words
    document = json.dumps(tool.tool.document.openai(), ensure_ascii=False)
    brought = PlannedTurn(words.brings.format(document=document), turn.tasks, brings=(name,))
    return [replace(turn, tasks=(), cannot=words.cannot.format(what=_plain(task.text))), brought]


def _revision(
    parts: TaskParts, turns: Sequence[PlannedTurn], number: int, rng: random.Random
) -> list[PlannedTurn] | None:
    """When it is done, the user wants another value, or the old one back."""
    turn = turns[number]
    (task,) = turn.tasks
    found = task.update
    if found is None or is_final(str(found.value.stored)):
        return None
    ((name, key),) = task.rows
    table, column = parts.tables[name], found.value.column
    if any(other.set_with and other.set_with[0] == column.name for other in table.columns):
        return None  # what follows a status would have to go back, too
    old = parts.values.now(table, key, column)
    label, words = parts.mentions.writer.label(column), parts.words
    back = rng.random() < 1 / 3 and old is not None
    if back:
        value, frames = old, words.undo
    else:
        value, frames = parts.values.draw(table, key, column, rng), words.revise
    if value is None or value.stored == found.value.stored:
        return None
    said = rng.choice(frames).format(label=label, value=value.text, row=found.mention.text)
    call, statements = parts.values.write(table, key, value, said.rstrip(words.stop))
    again = Task("revision", said, (call,), ((said, statements),), task.rows, task.relies_on)
    return [turn, PlannedTurn(said, (again,), overrides=True)]


def _plain(text: str) -> str:
    return text.removeprefix(STATEMENT)


_MAKERS = {
    "missing_parameter": _missing_parameter,
    "missing_tool": _missing_tool,
    "revision": _revision,
}


def calls_of(turns: Sequence[PlannedTurn]) -> list[list[TaskCall]]:
    """The calls of each turn. A row that was looked up once is known from then on."""
    known: list[TaskCall] = []
    by_turn: list[list[TaskCall]] = []
    for turn in turns:
        calls: list[TaskCall] = []
        for call in (call for task in turn.tasks for call in task.calls):
            if call.tool.writes or not any(call.repeats(other) for other in known):
                calls.append(call)
                known.append(call)
        by_turn.append(calls)
    return by_turn


def asked_tools(turns: Sequence[PlannedTurn]) -> list[DatabaseTool]:
    """Tools of all that is asked for, done or not."""
    tasks = [task for turn in turns for task in turn.tasks]
    return [
        *(call.tool for task in tasks for call in task.calls),
        *(tool for task in tasks for tool in task.also),
    ]
