"""Writes the operations of a service as tools over a database of its resources.

Names, arguments and errors are those of the document. A tool changes nothing where what it is given
is wrong, and answers with a structured error of the documented status code.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from jinja2 import Template

from astra.arenas.openapi.fields import ApiField, snake_case
from astra.arenas.openapi.rows import is_updated
from astra.arenas.openapi.service import ApiService, Endpoint, Resource
from astra.arenas.openapi.tables import is_system_date
from astra.arenas.stateful.roles import WritableTable, is_final
from astra.arenas.stateful.tool_source import shown_row
from astra.arenas.stateful.tools import DatabaseTool, DatabaseToolWriter
from astra.arenas.stateful.writes import TODAY
from astra.arenas.tables.schema import Schema
from astra.arenas.tool_templates import tool_templates
from astra.types import Json, Language, Tool, ToolSchema

_TEMPLATES = {
    "list": "list", "get": "get", "create": "create", "change": "change", "act": "change",
    "delete": "delete",
}  # fmt: skip
_OPERATIONS = {
    "list": "find", "get": "get", "create": "create", "change": "set", "act": "act",
    "delete": "delete",
}  # fmt: skip


class ServiceToolWriter(DatabaseToolWriter):
    """Writes the tools of a service."""

    def __init__(
        self,
        service: ApiService,
        schema: Schema,
        tables: tuple[WritableTable, ...],
        language: Language,
    ) -> None:
        super().__init__(schema, tables, language)
        self.service = service

    def all(self) -> list[DatabaseTool]:
        """One tool for each operation; for each column that it sets, where it sets several."""
        tools: list[DatabaseTool] = []
        for table, resource in self.service.resources.items():
            for endpoint in resource.endpoints:
                tools += self._tools(self.tables[table], resource, endpoint)
        return tools

    def _tools(
        self, table: WritableTable, resource: Resource, endpoint: Endpoint
    ) -> list[DatabaseTool]:
        writes = endpoint.kind in ("create", "change", "delete", "act")
        if endpoint.kind == "create" and table.new_row is None:
            return []
        tool = Tool(
            document=ToolSchema(
                name=endpoint.tool,
                description=self._description(table, endpoint),
                parameters={
                    "type": "object",
                    "properties": self._properties(table, resource, endpoint),
                    "required": [n for n in endpoint.parameters if n in endpoint.required],
                    "additionalProperties": False,
                },
            ),
            source=self._source(table, resource, endpoint),
            domain=self.service.title,
            language=self.language,
        )
        arguments = {column: argument for argument, column in endpoint.keys.items()}
        arguments |= endpoint.body
        arguments |= {column: f.parameter for column, f in endpoint.filters.items()}
        changes = {(table.name, "")} if endpoint.kind in ("create", "delete") else set()
        if endpoint.kind in ("change", "act"):
            changes = {(table.name, c) for c in (*endpoint.body, endpoint.column) if c}
        base = DatabaseTool(
            tool,
            table.name,
            _OPERATIONS[endpoint.kind],
            writes=(table.name,) if writes else (),
            changes=frozenset(changes),
            arguments=arguments,
            lists=frozenset(f.parameter for f in endpoint.filters.values() if f.several),
            says=("status", endpoint.success) if writes and not endpoint.shown else None,
        )
        match endpoint.kind:
            case "change":
                return self._setters(table, endpoint, base)
            case "act":
                verb = snake_case(endpoint.operation.path.rsplit("/", 1)[-1]).replace("_", " ")
                return [_copy(base, column=endpoint.column, value=endpoint.value, verb=verb)]
            case "list":
                return [_copy(base, column=endpoint.tool)]
            case _:
                return [base]

    def _setters(
        self, table: WritableTable, endpoint: Endpoint, base: DatabaseTool
    ) -> list[DatabaseTool]:
        """The tool under each column that a request may ask it to set."""
        needed = [c for c, argument in endpoint.body.items() if argument in endpoint.required]
        setters: list[DatabaseTool] = []
        for column in endpoint.body:
            says = base.says
            if says is None and column not in endpoint.shown:
                continue
            if table.column(column).writable:
                brings = tuple(name for name in needed if name != column)
                setters.append(_copy(base, column=column, brings=brings, says=says))
        return setters or [base]

    def _properties(
        self, table: WritableTable, resource: Resource, endpoint: Endpoint
    ) -> dict[str, Json]:
        """The document of the arguments; what the document says nothing of is said."""
        columns = {argument: column for column, argument in endpoint.body.items()}
        columns |= {each.parameter: column for column, each in endpoint.filters.items()}
        columns |= endpoint.keys
        paging = endpoint.paging
        properties: dict[str, Json] = {}
        for name, schema in endpoint.parameters.items():
            said = ""
            if (column := columns.get(name)) is not None:
                said = self._said_of(table, resource, column)
            elif name == endpoint.search:
                said = f"Words that {self.plural(table)} hold."
            elif paging is not None and name == paging.size:
                said = f"Most {self.plural(table)} at once."
            elif paging is not None and name == paging.position:
                said = {
                    "page": f"Which page of the list, from {paging.first}.",
                    "offset": f"How many {self.plural(table)} to leave out at the beginning.",
                    "cursor": "What the page before named as next.",
                }[paging.style]
            properties[name] = {"description": said, **schema}
            if schema.get("type") in ("integer", "number") and name in endpoint.body.values():
                # A generated store knows no numbers below 0, unless the document does.
                low = _low(resource.fields[columns[name]])
                scale = resource.fields[columns[name]].scale
                properties[name]["minimum"] = low / 10**scale if scale else low
        return properties

    def _description(self, table: WritableTable, endpoint: Endpoint) -> str:
        """What the document says of an operation, what new rows get beside it, and its errors."""
        operation = endpoint.operation
        said = operation.description or f"{operation.method.upper()} {operation.path}"
        if endpoint.kind == "create" and table.new_row is not None:
            begins = [
                f"{self.label(table.column(column))} {shown_row(table, {column: value})[column]}"
                for column, value in table.new_row.fixed.items()
                if value != TODAY and column not in endpoint.body
            ]
            said += f"\nNew: {', '.join(begins)}." if begins else ""
        errors = [f"{code} {text}".strip() for code, text in sorted(endpoint.errors.items())]
        return f"{said}\nErrors: {'; '.join(errors)}" if errors else said

    def _said_of(self, table: WritableTable, resource: Resource, column: str) -> str:
        """What an argument is, where the document does not say it."""
        other = table.references.get(column, table.name if column == resource.key else None)
        if other is not None:
            return f"ID of the {self.singular(self.tables[other])}."
        form = {"date": ", as YYYY-MM-DD", "time": ", as YYYY-MM-DDTHH:MM:SSZ"}
        kind = resource.fields[column].kind
        return f"The {self.label(table.column(column))}{form.get(kind, '')}."

    def _source(self, table: WritableTable, resource: Resource, endpoint: Endpoint) -> str:
        near = [resource, *(self.service.resources[t] for t in resource.references.values())]
        invalid = 422 if 422 in endpoint.errors or 400 not in endpoint.errors else 400
        own = [argument for argument, column in endpoint.keys.items() if column == resource.key]
        parents = [
            (argument, column, other, self.singular(self.tables[other]))
            for argument, column in endpoint.keys.items()
            if (other := resource.references.get(column)) is not None
        ]
        status = table.status
        finals = [] if status is None else [c for c in status.choices if is_final(c)]
        refuses = endpoint.kind in ("change", "act") and 409 in endpoint.errors
        sets_status = status is not None and status.name in (*endpoint.body, endpoint.column)
        timed = [f for f in resource.fields.values() if is_system_date(f)]
        creates = endpoint.kind == "create"
        fixed = {} if table.new_row is None else table.new_row.fixed
        return _template(_TEMPLATES[endpoint.kind]).render(
            endpoint=endpoint,
            table=table.name,
            what=self.singular(table),
            fields={each.table: _fields(each) for each in near},
            keys={each.table: each.key for each in near},
            invalid=invalid,
            conflict=409 if 409 in endpoint.errors or endpoint.kind == "delete" else invalid,
            argument=own[0] if own else "",
            parents=parents,
            body=[self._taken(table, resource, endpoint, column) for column in endpoint.body],
            filters=[
                (column, each.parameter, resource.fields[column].kind)
                for column, each in endpoint.filters.items()
            ]
            + [(column, argument, "reference") for argument, column, _, _ in parents],
            paging=endpoint.paging,
            extras=list(endpoint.extras.items()),
            texts=[f.name for f in resource.fields.values() if f.kind == "text" and f.shown],
            finals=finals if refuses and sets_status else [],
            status=None if status is None else status.name,
            touched=[(f.name, f.kind) for f in timed if creates or is_updated(f.name)],
            fixed={column: value for column, value in fixed.items() if value != TODAY},
            children=[
                (child.name, column, self.plural(child))
                for child in self.tables.values()
                for column, parent in child.references.items()
                if parent == table.name
            ],
        )

    def _taken(
        self, table: WritableTable, resource: Resource, endpoint: Endpoint, column: str
    ) -> dict[str, Any]:
        """How a written field is checked."""
        field = resource.fields[column]
        kind = "number" if field.kind in ("integer", "decimal") else field.kind
        other = table.references.get(column, "")
        return {
            "column": column,
            "argument": endpoint.body[column],
            "required": endpoint.body[column] in endpoint.required,
            "kind": kind,
            "scale": field.scale,
            "choices": field.choices,
            "low": _low(field),
            "high": field.bound("maximum"),
            "unique": table.column(column).unique,
            "other": other,
            "what": self.singular(self.tables[other]) if other else "",
        }


def _copy(tool: DatabaseTool, **changes: Any) -> DatabaseTool:
    return replace(tool, **changes)


def _low(field: ApiField) -> int:
    """The least number that may be stored."""
    told = field.bound("minimum")
    return 0 if told is None else told


def _fields(resource: Resource) -> list[tuple[str, str, int, str]]:
    """Name, kind, scale, and the table of the row that stands in its place, of what is shown."""
    return [
        (f.name, f.kind, f.scale, f.refers_to if f.embedded else "")
        for f in resource.fields.values()
        if f.shown
    ]


_ENVIRONMENT = tool_templates("astra.arenas.openapi", "templates")


@cache
def _template(name: str) -> Template:
    return _ENVIRONMENT.get_template(f"{name}.py.j2")
