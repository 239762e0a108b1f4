"""One column of one row gets a new value."""

from __future__ import annotations

import random

from astra.arenas.stateful.operations.base import Task, TaskParts, UpdateParts


def update(parts: TaskParts, rng: random.Random) -> Task | None:
    found = parts.target(rng, lambda table: bool(parts.values.columns(table)))
    if found is None:
        return None
    table, key = found
    mention = parts.mentions.of(table, key, rng)
    change = parts.values.draw(table, key, rng.choice(parts.values.columns(table)), rng)
    if mention is None or change is None:
        return None
    if (table.name, change.column.name) in mention.relies_on:
        return None
    frames, _ = parts.values.frames(change)
    text = rng.choice(frames).format(
        label=parts.mentions.writer.label(change.column),
        row=mention.text,
        value=change.text,
        verb=change.verb,
    )
    call, statements = parts.values.write(table, key, change, text)
    # What has to be given along has to be known.
    brings = call.tool.brings
    looks = parts.mentions.look(table, key, brings[0], mention) if brings else ()
    if looks is None:
        return None
    return Task(
        "update",
        text,
        (*mention.calls, *looks, call),
        ((text, statements),),
        frozenset({(table.name, key)}),
        mention.relies_on,
        UpdateParts(mention, change),
    )
