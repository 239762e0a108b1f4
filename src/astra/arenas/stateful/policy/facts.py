"""What a rule makes an agent look up: the reads that show whether its conditions hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from astra.arenas.stateful.mentions import Mentions, TaskCall
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.tool_source import shown_row
from astra.arenas.stateful.tools import DatabaseTool
from astra.arenas.stateful.writes import stock_pair
from astra.databases import Cell
from astra.service_policies import AskedValue, Condition, CountCondition, ServiceOperation
from astra.targets import Matcher, Target
from astra.types import Json


class RuleFact(NamedTuple):
    """A condition's fact: the read that shows it, and what that read returns."""

    call: TaskCall
    shown: Target
    relies_on: frozenset[tuple[str, str]]
    """Table and column of what the fact is true by; "" for the rows there are."""


def request_of(mentions: Mentions, call: TaskCall) -> ServiceRequest:
    """A writing call as what rules are about."""
    table = mentions.tables[call.tool.table]
    operation = operation_of(call)
    if operation.kind == "create":
        references = {name: _known(call.arguments[name]) for name in table.references}
        return ServiceRequest(operation, references)
    if operation.kind == "transfer":
        pair = stock_pair(table)
        assert pair is not None
        kept, moved = pair
        thing, start = call.arguments[kept], call.arguments[f"from_{moved}"]
        rows = mentions.cut.database.table(table.name).rows_by_key.values()
        (row,) = (row for row in rows if (row[kept], row[moved]) == (thing, start))
        return ServiceRequest(operation, row)
    return ServiceRequest(operation, mentions.row(table.name, _known(call.arguments[table.key])))


def operation_of(call: TaskCall) -> ServiceOperation:
    """What a writing call does."""
    return operation_of_tool(call.tool)


def operation_of_tool(tool: DatabaseTool) -> ServiceOperation:
    """What a writing tool does."""
    return ServiceOperation.model_validate(
        {"kind": tool.operation, "table": tool.table, "column": tool.column}
    )


def _known(value: Json) -> str | int:
    """A value that is neither null nor a list: keys and tested columns hold no other."""
    assert isinstance(value, str | int)
    return value


def fact_of(
    mentions: Mentions, request: ServiceRequest, condition: Condition, known: Sequence[TaskCall]
) -> RuleFact | None:
    """The read of a condition, not made anew where a known call shows the row. None if the system
    prompt tells it already, or nothing can be read."""
    match condition.kind:
        case "role" | "weekday" | "hour":
            return None
        case "not_owner":
            *path, column = condition.path
        case "count":
            return _count(mentions, request, condition)
        case _:
            path, column = condition.path, condition.column
    return _column(mentions, request, path, column, known)


def asked_fact(
    mentions: Mentions, request: ServiceRequest, asked: AskedValue, known: Sequence[TaskCall]
) -> RuleFact | None:
    """The read of what the user is asked for, as it is stored."""
    return _column(mentions, request, asked.path, asked.column, known)


def _column(
    mentions: Mentions,
    request: ServiceRequest,
    path: Sequence[str],
    column: str,
    known: Sequence[TaskCall],
) -> RuleFact | None:
    row = PythonVerdicts(mentions.cut.database).row_at(request, path)
    if row is None or column not in row:
        return None
    table = mentions.tables[request.operation.table]
    walked: set[tuple[str, str]] = {(table.name, reference) for reference in path[:1]}
    for reference in path:
        table = mentions.tables[table.references[reference]]
    walked.add((table.name, column))
    shown = shown_row(table, {column: row[column]})[column]
    key = _known(row[table.key])
    assert isinstance(shown, str | int | float)
    target = Target(
        matcher=Matcher.number if isinstance(shown, float) else Matcher.exact,
        value=shown,
        field=column,
        key={table.key: key},
    )
    for call in known:
        if _shows(call, table, key):
            return RuleFact(call, target, frozenset(walked))
    text = mentions.words.read.format(
        row=mentions.words.by_key.format(singular=mentions.writer.singular(table), value=key)
    )
    call = TaskCall(
        mentions.tools["get", table.name, ""], {table.key: key}, text, column, shown,
        {table.key: key},
    )  # fmt: skip
    return RuleFact(call, target, frozenset(walked))


def _shows(call: TaskCall, table: WritableTable, key: Cell) -> bool:
    """Whether a read returns a row."""
    if call.tool.table != table.name:
        return False
    if call.tool.operation == "get":
        return call.arguments[table.key] == key
    return call.tool.operation == "find" and call.answer == key


def _count(
    mentions: Mentions, request: ServiceRequest, condition: CountCondition
) -> RuleFact | None:
    verdicts = PythonVerdicts(mentions.cut.database)
    row = verdicts.row_at(request, condition.path)
    if row is None:
        return None
    parent = mentions.tables[request.operation.table]
    for reference in condition.path:
        parent = mentions.tables[parent.references[reference]]
    table, key = mentions.tables[condition.table], _known(row[parent.key])
    filters: dict[str, Json] = {condition.reference: key}
    if condition.column:
        (filters[condition.column],) = condition.values
    children = [
        child
        for child in mentions.cut.database.table(table.name).rows_by_key.values()
        if all(child[name] == value for name, value in filters.items())
    ]
    words = mentions.words
    owner = words.by_key.format(singular=mentions.writer.singular(parent), value=key)
    text = words.find.format(
        row=words.by_parent.format(singular=mentions.writer.plural(table), parent=owner)
    )
    call = TaskCall(mentions.tools["find", table.name, ""], filters, text, "total", len(children))
    # One of those that count was returned: nobody learns the number without seeing them.
    shown = (
        Target(
            matcher=Matcher.exact,
            value=key,
            field=condition.reference,
            key={table.key: _known(children[0][table.key])},
        )
        if children
        else Target(matcher=Matcher.exact, value=0, field="total")
    )
    names = (
        ("", condition.reference, condition.column)
        if condition.column
        else ("", condition.reference)
    )
    return RuleFact(call, shown, frozenset((table.name, name) for name in names))
