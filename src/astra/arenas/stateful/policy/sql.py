"""Which rules of a policy hold for requests: computed by DuckDB, apart from `policy.verdicts`."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from astra.arenas.stateful.policy.verdicts import ServiceRequest, ServiceVerdict
from astra.arenas.tables.sql import quoted
from astra.databases import Cell, Database
from astra.service_policies import (
    Condition,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
    ServiceUser,
)

_SIGNS = {"above": ">", "below": "<"}


class SqlVerdicts:
    """Applies rules by queries over a database that DuckDB holds already."""

    def __init__(self, database: Database, connection: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._connection = connection

    def of(
        self, policy: ServicePolicy, requests: Sequence[ServiceRequest], user: ServiceUser, now: str
    ) -> list[ServiceVerdict]:
        """One verdict a request."""
        held: dict[str, list[set[int]]] = {
            effect: [set() for _ in requests] for effect in ("forbid", "confirm", "ask")
        }
        for number, rule in enumerate(policy.rules, start=1):
            if rule.effect == "limit":
                continue
            at = [n for n, each in enumerate(requests) if each.operation == rule.operation]
            if not at:
                continue
            rows = [requests[n].row for n in at]
            parameters: list[Cell] = []
            source = self._requests(rule.operation, rows, parameters)
            conditions = [
                self._condition(rule.operation.table, condition, user, now, parameters)
                for condition in rule.when
            ]
            where = " AND ".join(f"coalesce({condition}, false)" for condition in conditions)
            sql = f"SELECT request.position FROM {source} WHERE {where or 'true'}"
            for (position,) in self._connection.execute(sql, parameters).fetchall():
                held[rule.effect][at[position]].add(number)
        return [
            ServiceVerdict(*(tuple(sorted(numbers)) for numbers in of_request))
            for of_request in zip(held["forbid"], held["confirm"], held["ask"], strict=True)
        ]

    def is_stored(self, rule: ServiceRule, request: ServiceRequest, told: str) -> bool:
        """Whether what the user tells, asked by a rule, is what is stored."""
        assert rule.asks is not None
        parameters: list[Cell] = []
        source = self._requests(rule.operation, [request.row], parameters)
        value = self._value(rule.operation.table, rule.asks.path, rule.asks.column)
        sql = f"SELECT coalesce({value} = ?, false) FROM {source}"
        return self._connection.execute(sql, [told, *parameters]).fetchall() == [(True,)]

    def beyond_limits(
        self, policy: ServicePolicy, requests: Sequence[ServiceRequest]
    ) -> list[tuple[int, ...]]:
        """Of requests in the order in which they come, none of which another rule forbids: numbers
        of the limits that each is beyond."""
        limits = [
            (number, *_identity(rule.operation), rule.most)
            for number, rule in enumerate(policy.rules, start=1)
            if rule.effect == "limit"
        ]
        beyond: list[tuple[int, ...]] = [() for _ in requests]
        if not limits or not requests:
            return beyond
        asked = [(n, *_identity(request.operation)) for n, request in enumerate(requests)]
        sql = f"""
            WITH asked(position, kind, name, part) AS (VALUES {_lines(asked)}),
                limits(number, kind, name, part, most) AS (VALUES {_lines(limits)}),
                counted AS (
                    SELECT position, number, most,
                        row_number() OVER (PARTITION BY number ORDER BY position) AS place
                    FROM asked JOIN limits USING (kind, name, part)
                )
            SELECT position, list(number ORDER BY number) FROM counted
            WHERE place > most GROUP BY position
        """
        cells = [cell for line in (*asked, *limits) for cell in line]
        for position, numbers in self._connection.execute(sql, cells).fetchall():
            beyond[position] = tuple(numbers)
        return beyond

    def _requests(
        self, operation: ServiceOperation, rows: Sequence[object], parameters: list[Cell]
    ) -> str:
        """A relation with a line for each request: its position, and the columns of its row."""
        table = self._database.table(operation.table)
        names = [
            table.key if operation.kind != "create" else "",
            *([] if operation.kind != "create" else table.references),
        ]
        given = [name for name in names if name]
        lines: list[str] = []
        for position, row in enumerate(rows):
            assert isinstance(row, dict)
            lines.append(f"({position}, {', '.join('?' for _ in given)})")
            parameters += [row[name] for name in given]
        columns = ", ".join(quoted(name) for name in given)
        values = f"(VALUES {', '.join(lines)}) AS asked(position, {columns})"
        if operation.kind == "create":
            return f"(SELECT * FROM {values}) AS request"
        return (
            f"(SELECT asked.position, own.* FROM {values} JOIN {quoted(table.name)} AS own "
            f"USING ({quoted(table.key)})) AS request"
        )

    def _condition(
        self, table: str, condition: Condition, user: ServiceUser, now: str, parameters: list[Cell]
    ) -> str:
        match condition.kind:
            case "role":
                parameters += [user.role, *condition.roles]
                return f"? IN ({_places(condition.roles)})"
            case "weekday":
                parameters.append(now)
                return f"isodow(CAST(? AS TIMESTAMP)) IN ({', '.join(map(str, condition.days))})"
            case "hour":
                parameters.append(now)
                sign = "<" if condition.comparison == "below" else ">="
                return f"hour(CAST(? AS TIMESTAMP)) {sign} {condition.hour}"
            case "not_owner":
                *path, last = condition.path
                parameters.append(user.key)
                return f"{self._value(table, path, last)} <> ?"
            case "choice":
                parameters += condition.values
                value = self._value(table, condition.path, condition.column)
                return f"{value} IN ({_places(condition.values)})"
            case "days":
                parameters.append(now[:10])
                value = self._value(table, condition.path, condition.column)
                age = f"date_diff('day', CAST({value} AS DATE), CAST(? AS DATE))"
                return f"{age} {_SIGNS[condition.comparison]} {condition.days}"
            case "amount":
                value = self._value(table, condition.path, condition.column)
                return f"{value} {_SIGNS[condition.comparison]} {condition.amount}"
            case "count":
                name = self._table(table, condition.path)
                key = self._value(table, condition.path, self._database.table(name).key)
                only = ""
                if condition.column:
                    parameters += condition.values
                    only = (
                        f" AND counted.{quoted(condition.column)} IN ({_places(condition.values)})"
                    )
                count = (
                    f"(SELECT count(*) FROM {quoted(condition.table)} AS counted "
                    f"WHERE counted.{quoted(condition.reference)} = {key}{only})"
                )
                return f"{count} {_SIGNS[condition.comparison]} {condition.count}"

    def _table(self, table: str, path: Sequence[str]) -> str:
        """Name of the table at the end of references."""
        for reference in path:
            table = self._database.table(table).references[reference]
        return table

    def _value(self, table: str, path: Sequence[str], column: str) -> str:
        """SQL for a column of the row at the end of references."""
        if not path:
            return f"request.{quoted(column)}"
        *before, last = path
        parent = self._database.table(self._table(table, path))
        reference = self._value(table, before, last)
        level = f"parent{len(path)}"
        return (
            f"(SELECT {level}.{quoted(column)} FROM {quoted(parent.name)} AS {level} "
            f"WHERE {level}.{quoted(parent.key)} = {reference})"
        )


def _identity(operation: ServiceOperation) -> tuple[str, str, str]:
    return operation.kind, operation.table, operation.column


def _lines(rows: Sequence[Sequence[object]]) -> str:
    return ", ".join(f"({_places(row)})" for row in rows)


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" for _ in values)
