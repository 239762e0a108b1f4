"""Which rules of a policy hold for a request: computed in Python over the rows of a database.

`policy.sql` computes the same in DuckDB; arenas and their certificate need both to agree.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from astra.databases import Cell, Database
from astra.service_policies import (
    AmountCondition,
    ChoiceCondition,
    Comparison,
    Condition,
    CountCondition,
    DaysCondition,
    HourCondition,
    NotOwnerCondition,
    RoleCondition,
    ServiceOperation,
    ServicePolicy,
    ServiceRule,
    ServiceUser,
    WeekdayCondition,
)

FEWEST_DAYS_OFF = 3
LEAST_SHARE_OFF = 0.05
"""How far the value of a request lies off a threshold, at least."""


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """An operation that a user asks for."""

    operation: ServiceOperation
    row: Mapping[str, Cell]
    """The row as it is. Of a new row: what it will refer to. Of a transfer: where it starts."""


class ServiceVerdict(NamedTuple):
    """Numbers of the rules that hold for a request."""

    forbidden_by: tuple[int, ...]
    confirm_by: tuple[int, ...]
    ask_by: tuple[int, ...] = ()


class PythonVerdicts:
    """Applies rules by looking rows up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(
        self, policy: ServicePolicy, requests: Sequence[ServiceRequest], user: ServiceUser, now: str
    ) -> list[ServiceVerdict]:
        """One verdict a request. `user` and `now` stand for those of the policy and arena."""
        return [
            ServiceVerdict(
                *(
                    tuple(
                        number
                        for number, rule in enumerate(policy.rules, start=1)
                        if rule.effect == effect and self.holds(rule, request, user, now)
                    )
                    for effect in ("forbid", "confirm", "ask")
                )
            )
            for request in requests
        ]

    def holds(
        self, rule: ServiceRule, request: ServiceRequest, user: ServiceUser, now: str
    ) -> bool:
        """Whether a rule is about a request."""
        return rule.operation == request.operation and all(
            self.condition_holds(condition, request, user, now) for condition in rule.when
        )

    def is_stored(self, rule: ServiceRule, request: ServiceRequest, told: str) -> bool:
        """Whether what the user tells, asked by a rule, is what is stored."""
        assert rule.asks is not None
        row = self.row_at(request, rule.asks.path)
        return row is not None and row[rule.asks.column] == told

    def beyond_limits(
        self, policy: ServicePolicy, requests: Sequence[ServiceRequest]
    ) -> list[tuple[int, ...]]:
        """Of requests in the order in which they come, none of which another rule forbids: numbers
        of the limits that each is beyond."""
        done = Counter[ServiceOperation]()
        beyond: list[tuple[int, ...]] = []
        for request in requests:
            done[request.operation] += 1
            beyond.append(
                tuple(
                    number
                    for number, rule in enumerate(policy.rules, start=1)
                    if rule.operation == request.operation
                    and rule.most is not None
                    and done[request.operation] > rule.most
                )
            )
        return beyond

    def condition_holds(
        self, condition: Condition, request: ServiceRequest, user: ServiceUser, now: str
    ) -> bool:
        time = datetime.datetime.fromisoformat(now)
        match condition:
            case RoleCondition():
                return user.role in condition.roles
            case WeekdayCondition():
                return time.isoweekday() in condition.days
            case HourCondition():
                return (time.hour < condition.hour) == (condition.comparison == "below")
            case NotOwnerCondition():
                *path, last = condition.path
                row = self.row_at(request, path)
                return row is not None and row[last] is not None and row[last] != user.key
            case ChoiceCondition() | DaysCondition() | AmountCondition():
                row = self.row_at(request, condition.path)
                value = None if row is None else row[condition.column]
                if value is None:
                    return False
                if isinstance(condition, ChoiceCondition):
                    return value in condition.values
                if isinstance(condition, DaysCondition):
                    age = (time.date() - datetime.date.fromisoformat(str(value))).days
                    return _compares(age, condition.comparison, condition.days)
                return isinstance(value, int) and _compares(
                    value, condition.comparison, condition.amount
                )
            case CountCondition():
                row = self.row_at(request, condition.path)
                if row is None:
                    return False
                count = self.count(condition, row[self._keys(request, condition.path)])
                return _compares(count, condition.comparison, condition.count)

    def is_sure(self, condition: Condition, request: ServiceRequest, now: str) -> bool:
        """Whether a request lies so far off a threshold that no reading of it decides."""
        if not isinstance(condition, DaysCondition | AmountCondition):
            return True
        row = self.row_at(request, condition.path)
        value = None if row is None else row[condition.column]
        if value is None:
            return False
        if isinstance(condition, DaysCondition):
            today = datetime.date.fromisoformat(now[:10])
            age = (today - datetime.date.fromisoformat(str(value))).days
            return abs(age - condition.days) >= FEWEST_DAYS_OFF
        limit = condition.amount
        return isinstance(value, int) and abs(value - limit) >= LEAST_SHARE_OFF * abs(limit)

    def row_at(self, request: ServiceRequest, path: Sequence[str]) -> Mapping[str, Cell] | None:
        """The row at the end of references. None where one leads nowhere."""
        row, table = request.row, self._database.table(request.operation.table)
        for reference in path:
            table = self._database.table(table.references[reference])
            following = table.rows_by_key.get(row[reference])
            if following is None:
                return None
            row = following
        return row

    def count(self, condition: CountCondition, key: Cell) -> int:
        """How many rows refer to a row."""
        return sum(
            row[condition.reference] == key
            and (not condition.column or row[condition.column] in condition.values)
            for row in self._database.table(condition.table).rows_by_key.values()
        )

    def _keys(self, request: ServiceRequest, path: Sequence[str]) -> str:
        """Name of the key of the table at the end of references."""
        table = self._database.table(request.operation.table)
        for reference in path:
            table = self._database.table(table.references[reference])
        return table.key


def _compares(value: int, comparison: Comparison, limit: int) -> bool:
    return value > limit if comparison == "above" else value < limit
