"""Writes the tools over a database: to find and read rows, and to change them.

Every tool checks what it is given, changes nothing where that is wrong, and says what it changed.
Values that the database stores as whole numbers (decimals, truth values) go in and out as people
write them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from astra.arenas.stateful.roles import Cancellation, WritableColumn, WritableTable, is_final
from astra.arenas.stateful.table_documents import TableDocuments
from astra.arenas.stateful.tool_source import (
    dates_set_with,
    shown_columns,
    template,
    value_kind,
)
from astra.arenas.stateful.writes import (
    TODAY,
    can_create,
    can_delete,
    creation,
    settable,
    stock_pair,
)
from astra.arenas.tables.schema import Schema
from astra.types import Json, Language, Tool, ToolSchema

MAX_FOUND = 20
"""Rows that a search returns at most, without a dial of difficulty."""


@dataclass(frozen=True, slots=True)
class DatabaseTool:
    """A tool with what it may change."""

    tool: Tool
    table: str
    operation: str
    """find, get, set, act, create, delete, transfer or cancel."""
    column: str = ""
    """Of `set` and `act`: the column."""
    writes: tuple[str, ...] = ()
    """Tables that it may write."""
    changes: frozenset[tuple[str, str]] = field(default_factory=frozenset[tuple[str, str]])
    """Table and column of what it may change. Rows that come or go: the table and ""."""
    value: str = ""
    """Of `act`: what it sets the column to."""
    verb: str = ""
    """Of `act`: what is done to the row, e.g. "cancel"."""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column -> argument, where the two are called differently."""
    lists: frozenset[str] = frozenset()
    """Arguments that take a list of values."""
    brings: tuple[str, ...] = ()
    """Of `set`: further columns that have to be given with it, as they are."""
    says: tuple[str, Json] | None = None
    """Field and value of every answer, where it does not hold the row."""

    def named(self, values: Mapping[str, Json]) -> dict[str, Json]:
        """Values by column, or by argument, as the arguments of a call."""
        arguments = {self.arguments.get(name, name): value for name, value in values.items()}
        return {n: [v] if n in self.lists else v for n, v in arguments.items()}


class DatabaseToolWriter(TableDocuments):
    """Writes tools in one language for all tables of a schema."""

    def __init__(
        self,
        schema: Schema,
        tables: Iterable[WritableTable],
        language: Language,
        page_rows: int = MAX_FOUND,
        long_results: int = 0,
    ) -> None:
        """`page_rows`: rows that a search returns at most. `long_results`: rows of other tables
        that a read returns beside what it is asked for, at most."""
        super().__init__(schema, tables, language, long_results)
        self.page_rows = page_rows

    def all(self) -> list[DatabaseTool]:
        """Every tool that the tables allow. No two change the same column of the same table."""
        tools: list[DatabaseTool] = []
        for table in self.tables.values():
            tools += [self.find(table), self.get(table)]
            for column in table.columns:
                if column.writable and column.name != table.stock:
                    tools.append(self.set(table, column))
            if can_create(table):
                tools.append(self.create(table))
            if can_delete(table):
                tools.append(self.delete(table))
            if (pair := stock_pair(table)) is not None:
                tools.append(self.transfer(table, *pair))
            if table.cancel is not None:
                tools.append(self.cancel(table, table.cancel))
        return tools

    def find(self, table: WritableTable) -> DatabaseTool:
        """Finds rows by name, by what they refer to, by choices."""
        filters = [
            column
            for column in table.columns
            if column.role in ("name", "reference", "choice")
            and (column.role != "name" or column.name == table.naming)
        ]
        name = self.tool_name("find", table)
        description = self.say(
            "Finds {plural}: all that match every given filter, at most {most} at once.",
            "查找{plural}：返回符合所有给定条件的记录，每次最多{most}条。",
            plural=self.plural(table),
            most=str(self.page_rows),
        )
        details = self.say(
            " Texts are compared as a whole, upper and lower case ignored.",
            "文本须完整匹配，不区分大小写。",
        )
        properties: dict[str, Json] = {}
        for column in filters:
            properties[column.name] = self._parameter(table, column)
        properties["skip"] = {
            "type": "integer",
            "minimum": 0,
            "description": self.say(
                "How many of the matches to leave out at the beginning.", "从第几条之后开始返回。"
            ),
        }
        source = template("find").render(
            name=name,
            table=table,
            parameters=[column.name for column in filters],
            nouns=self.nouns(table),
            most=self.page_rows,
            shown=shown_columns(table),
            **self.around(table),
        )
        return self._tool(
            table,
            "find",
            name,
            (description, details, *self.units(table), *self.included()),
            properties,
            [],
            source,
        )

    def get(self, table: WritableTable) -> DatabaseTool:
        """One row by its key."""
        name = self.tool_name("get", table)
        description = self.say(
            "Returns one {singular} with everything that is stored about it.",
            "返回一条{singular}记录的全部内容。",
            singular=self.singular(table),
        )
        source = template("get").render(
            name=name,
            table=table,
            noun=self.noun(table),
            shown=shown_columns(table),
            **self.around(table),
        )
        key = table.column(table.key)
        properties = {table.key: self._parameter(table, key)}
        description = (description, *self.units(table), *self.included())
        return self._tool(table, "get", name, description, properties, [table.key], source)

    def set(self, table: WritableTable, column: WritableColumn) -> DatabaseTool:
        """Sets one column of one row."""
        name = self.tool_name("set", table, column.name)
        follow = dates_set_with(table, column)
        finals = [choice for choice in column.choices if is_final(choice)]
        description = self.say(
            "Sets the {label} of one {singular}.",
            "修改一条{singular}记录的{label}。",
            label=self.label(column),
            singular=self.singular(table),
        )
        details = [
            self.say(
                " With {values} the {label} becomes today's date, otherwise it is emptied.",
                "当其为{values}时，{label}记为当天日期，否则清空。",
                label=self.label(other),
                values=(" or " if self.language == "en" else "或").join(values),
            )
            for other, values in follow
        ]
        source = template("set").render(
            name=name,
            table=table,
            column=column,
            choices=settable(table, column),
            stays=[choice for choice in column.choices if choice not in settable(table, column)],
            kind=value_kind(column),
            noun=self.noun(table),
            follow=[(other.name, values) for other, values in follow],
            finals=finals if column == table.status else [],
        )
        properties = {
            table.key: self._parameter(table, table.column(table.key)),
            column.name: self._value(column),
        }
        if column.role == "choice":
            properties[column.name]["enum"] = list(settable(table, column))
        required = [table.key, column.name]
        changes = {(table.name, c.name) for c in (column, *(other for other, _ in follow))}
        return self._tool(
            table, "set", name, (description, *details), properties, required, source, column.name,
            changes,
        )  # fmt: skip

    def cancel(self, table: WritableTable, how: Cancellation) -> DatabaseTool:
        """Gives a row the status of what is cancelled."""
        name = self.tool_name("cancel", table)
        column = table.column(how.column)
        description = self.say(
            "Cancels one {singular} whose {label} is {start}: its {label} becomes {to}.",
            "取消一条{label}为{start}的{singular}记录，其{label}改为{to}。",
            singular=self.singular(table),
            label=self.label(column),
            start=(" or " if self.language == "en" else "或").join(how.start),
            to=how.to,
        )
        follow = dates_set_with(table, column)
        source = template("cancel").render(
            name=name,
            table=table,
            how=how,
            noun=self.noun(table),
            follow=[(other.name, how.to in values) for other, values in follow],
        )
        properties = {table.key: self._parameter(table, table.column(table.key))}
        changes = {(table.name, c.name) for c in (column, *(other for other, _ in follow))}
        return self._tool(
            table, "cancel", name, (description,), properties, [table.key], source, "", changes
        )

    def create(self, table: WritableTable) -> DatabaseTool:
        """A new row."""
        name = self.tool_name("create", table)
        given, fixed = creation(table)
        description = self.say(
            "Creates a new {singular}.", "新建一条{singular}记录。", singular=self.singular(table)
        )
        details = [
            self.say(
                " It starts with the {label} {value}.",
                "初始{label}为{value}。",
                label=self.label(table.column(column)),
                value=value,
            )
            for column, value in fixed.items()
            if isinstance(value, str) and value != TODAY
        ]
        source = template("create").render(
            name=name,
            table=table,
            noun=self.noun(table),
            given=[(column, value_kind(column)) for column in given],
            fixed=fixed,
            today=TODAY,
            keys={name: other.key for name, other in self.tables.items()},
        )
        properties = {column.name: self._value(column, table) for column in given}
        changes = {(table.name, "")}
        return self._tool(
            table, "create", name, (description, *details), properties, list(properties), source,
            changes=changes,
        )  # fmt: skip

    def delete(self, table: WritableTable) -> DatabaseTool:
        """Takes one row away, unless others refer to it."""
        name = self.tool_name("delete", table)
        children = [
            (child, column)
            for child in self.tables.values()
            for column, parent in child.references.items()
            if parent == table.name
        ]
        description = self.say(
            "Deletes one {singular} for good.",
            "永久删除一条{singular}记录。",
            singular=self.singular(table),
        )
        among = dict.fromkeys(self.plural(child) for child, _ in children)
        stays = self.say(
            " One that {others} refer to stays.",
            "仍被{others}引用的不能删除。",
            others=(" or " if self.language == "en" else "或").join(among),
        )
        source = template("delete").render(
            name=name,
            table=table,
            noun=self.noun(table),
            children=[(child.name, column, self.nouns(child)) for child, column in children],
        )
        properties = {table.key: self._parameter(table, table.column(table.key))}
        return self._tool(
            table, "delete", name, (description, stays) if children else (description,), properties,
            [table.key], source,
            changes={(table.name, "")}, says=("deleted", True),
        )  # fmt: skip

    def transfer(self, table: WritableTable, kept: str, moved: str) -> DatabaseTool:
        """Moves a quantity from one row to another: of one thing, between two places."""
        assert table.stock is not None
        name = self.tool_name("transfer", table)
        place = self.tables[table.references[moved]]
        thing = self.tables[table.references[kept]]
        description = self.say(
            "Moves a quantity of one {thing} from one {place} to another.",
            "把某一{thing}的一定数量从一个{place}调拨到另一个{place}。",
            thing=self.singular(thing),
            place=self.singular(place),
        )
        start, end = f"from_{moved}", f"to_{moved}"
        source = template("transfer").render(
            name=name, table=table, kept=kept, moved=moved, start=start, end=end, stock=table.stock
        )
        by_key = self._parameter(table, table.column(moved))
        properties = {
            kept: self._parameter(table, table.column(kept)),
            start: by_key,
            end: by_key,
            "quantity": {
                "type": "integer",
                "minimum": 1,
                "description": self.say("How many to move.", "调拨数量。"),
            },
        }
        changes = {(table.name, table.stock)}
        return self._tool(
            table, "transfer", name, (description,), properties, list(properties), source,
            changes=changes,
        )  # fmt: skip

    # --- parts -------------------------------------------------------------------------------

    def _tool(
        self,
        table: WritableTable,
        operation: str,
        name: str,
        description: Sequence[str],
        properties: Mapping[str, Json],
        required: list[str],
        source: str,
        column: str = "",
        changes: set[tuple[str, str]] | None = None,
        says: tuple[str, Json] | None = None,
    ) -> DatabaseTool:
        """`description`: what the tool does, and details of that."""
        document = ToolSchema(
            name=name,
            description="".join(description),
            parameters={
                "type": "object",
                "properties": dict(properties),
                "required": required,
                "additionalProperties": False,
            },
        )
        tool = Tool(
            document=document,
            source=source,
            domain=table.table.domain,
            language=self.language,
        )
        writes = (table.name,) if changes else ()
        return DatabaseTool(
            tool, table.name, operation, column, writes, frozenset(changes or set()), says=says
        )
