"""Draws conditions that hold for some requests of an operation and not for others."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from astra.arenas.stateful.mentions import Mentions
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.policy.words import ROLES
from astra.arenas.stateful.roles import WritableColumn, WritableTable
from astra.arenas.stateful.writes import stock_pair
from astra.databases import Cell
from astra.service_policies import (
    AmountCondition,
    AskedValue,
    ChoiceCondition,
    Comparison,
    Condition,
    CountCondition,
    DaysCondition,
    HourCondition,
    NotOwnerCondition,
    RoleCondition,
    ServiceOperation,
    ServiceRule,
    ServiceUser,
    WeekdayCondition,
)

_DAYS = (7, 14, 30, 45, 60, 90, 120, 180, 270, 365, 540, 730, 1095, 1460)
_LONGEST_PATH = 2
_MOST_COUNTED = 6
_FEWEST_ASKED = 4
"""Different values of what a user is asked for, so that nobody guesses it."""
_PERSON = ("email", "mail", "phone", "mobile", "邮箱", "电话", "手机")
"""Columns that people have."""


@dataclass(frozen=True, slots=True)
class RowCondition:
    """A condition with the requests that it holds for."""

    condition: Condition
    holds: frozenset[int]
    """Positions among the requests."""
    sure: frozenset[int]
    """Positions of those whose value is well off the threshold."""


class ConditionDrawer:
    """Draws conditions over one database."""

    def __init__(self, mentions: Mentions) -> None:
        self._tables = mentions.tables
        self._roles = ROLES[mentions.writer.language]
        self._now = mentions.cut.now
        self._today = datetime.date.fromisoformat(self._now[:10])
        self._database = mentions.cut.database
        self._verdicts = PythonVerdicts(self._database)

    def standing(self, user: ServiceUser, rng: random.Random, *, holds: bool) -> Condition:
        """A condition on the user or the time."""
        time = datetime.datetime.fromisoformat(self._now)
        if user.role and rng.random() < 0.6:
            others = [role for role in self._roles if role != user.role]
            return RoleCondition(roles=(user.role if holds else rng.choice(others),))
        if rng.random() < 0.6:
            today = time.isoweekday()
            other = rng.choice([day for day in range(1, 8) if day != today])
            return WeekdayCondition(days=(today if holds else other,))
        comparison: Comparison = rng.choice(("above", "below"))
        later = holds == (comparison == "below")
        hour = rng.randint(time.hour + 2, 18) if later else rng.randint(6, time.hour - 1)
        return HourCondition(comparison=comparison, hour=hour)

    def row(
        self, requests: Sequence[ServiceRequest], user: ServiceUser, rng: random.Random
    ) -> RowCondition | None:
        """A condition that holds for some of the requests and not for others."""
        operation = requests[0].operation
        paths = self.paths(operation)
        own = [p for p in paths if self.may_own(operation, p) and self._is_user(operation, p, user)]
        path = rng.choice(own if own and rng.random() < 0.5 else paths)
        table = self.table(operation, path)
        ways: list[Callable[[], Condition | None]] = []
        if user.table == table.name and self.may_own(operation, path):
            ways += [lambda: NotOwnerCondition(path=path)] * 3
        for column in table.columns:
            # "The status of the order" in a rule about setting it could be the old or the new one.
            if column.column.nulls or (not path and column.name == operation.column):
                continue
            if column.role == "choice":
                ways.append(lambda c=column: self._choice(requests, path, c, rng))
            elif column.system_date:
                ways.append(lambda c=column: self._days(requests, path, c, rng))
            elif column.role == "number" and column.column.quantity:
                ways.append(lambda c=column: self._amount(requests, path, c, rng))
        for child in self._tables.values():
            references = [name for name, of in child.references.items() if of == table.name]
            if len(references) == 1 and child.name != table.name:
                reference = references[0]
                ways.append(lambda c=child, r=reference: self._count(requests, path, c, r, rng))
        condition = rng.choice(ways)() if ways else None
        if condition is None:
            return None
        holds = frozenset(
            n
            for n, request in enumerate(requests)
            if self._verdicts.condition_holds(condition, request, user, self._now)
        )
        if not holds or len(holds) == len(requests):
            return None
        sure = [n for n, request in enumerate(requests) if self.is_sure(condition, request)]
        return RowCondition(condition, holds, frozenset(sure))

    def paths(self, operation: ServiceOperation) -> list[tuple[str, ...]]:
        """Ways from the row of an operation to rows that conditions can be about."""
        named = operation.kind in ("set", "cancel", "delete")
        found: list[tuple[str, ...]] = [()] if named else []
        ahead: list[tuple[str, ...]] = [()]
        for _ in range(_LONGEST_PATH):
            further: list[tuple[str, ...]] = []
            for path in ahead:
                table = self.table(operation, path)
                pair = stock_pair(table) if operation.kind == "transfer" and not path else None
                for reference, parent in table.references.items():
                    # "The customer of the order" has to say which: not one of two, nor one of the
                    # two places of a transfer.
                    once = list(table.references.values()).count(parent) == 1
                    leads = pair is None or reference == pair[0]
                    if once and leads and parent != operation.table:
                        further.append((*path, reference))
            ahead = further
            found += further
        return found

    def may_own(self, operation: ServiceOperation, path: Sequence[str]) -> bool:
        """Whether a rule may ask for the owner at the end of a path: a person, and not one that
        the request for a new row names itself."""
        if not path or (operation.kind == "create" and len(path) == 1):
            return False
        table = self.table(operation, path)
        reachable = any(word in c.name.lower() for c in table.columns for word in _PERSON)
        return table.naming is not None and reachable

    def _is_user(self, operation: ServiceOperation, path: Sequence[str], user: ServiceUser) -> bool:
        return self.table(operation, path).name == user.table

    def table(self, operation: ServiceOperation, path: Sequence[str]) -> WritableTable:
        """The table at the end of references."""
        table = self._tables[operation.table]
        for reference in path:
            table = self._tables[table.references[reference]]
        return table

    def about(
        self, operation: ServiceOperation, condition: Condition
    ) -> frozenset[tuple[str, str]]:
        """Table and column that a condition reads."""
        match condition.kind:
            case "role" | "weekday" | "hour":
                return frozenset()
            case "not_owner":
                *path, last = condition.path
                return frozenset({(self.table(operation, path).name, last)})
            case "count":
                return frozenset({(condition.table, condition.reference)})
            case _:
                return frozenset({(self.table(operation, condition.path).name, condition.column)})

    def asked(self, request: ServiceRequest, rng: random.Random) -> AskedValue | None:
        """What a user could be asked for before a request is met: a text or a date that many rows
        have, each its own."""
        operation = request.operation
        found: list[AskedValue] = []
        for path in self.paths(operation):
            row = self._verdicts.row_at(request, path)
            if row is None:
                continue
            table = self.table(operation, path)
            for column in table.columns:
                known = column.role in ("text", "date") or column.system_date
                own = not path and column.name == operation.column
                rows = self._database.table(table.name).rows_by_key.values()
                many = len({other[column.name] for other in rows} - {None}) >= _FEWEST_ASKED
                if known and not own and many and isinstance(row[column.name], str):
                    found.append(AskedValue(path=path, column=column.name))
        return rng.choice(found) if found else None

    def is_sure(self, condition: Condition, request: ServiceRequest) -> bool:
        """Whether a request lies so far off the threshold that no reading of it decides."""
        return self._verdicts.is_sure(condition, request, self._now)

    # --- of a column ---------------------------------------------------------------------------

    def _values(
        self, requests: Sequence[ServiceRequest], path: Sequence[str], column: str
    ) -> list[Cell]:
        rows = [self._verdicts.row_at(request, path) for request in requests]
        return [row[column] for row in rows if row is not None and row[column] is not None]

    def _choice(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> Condition | None:
        held = sorted({str(value) for value in self._values(requests, path, column.name)})
        if len(held) < 2:
            return None
        size = rng.randint(1, min(2, len(held) - 1))
        values = tuple(sorted(rng.sample(held, size)))
        return ChoiceCondition(path=path, column=column.name, values=values)

    def _days(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> Condition | None:
        ages = [
            (self._today - datetime.date.fromisoformat(str(value))).days
            for value in self._values(requests, path, column.name)
        ]
        limits = [days for days in _DAYS if ages and min(ages) < days < max(ages)]
        if not limits:
            return None
        comparison: Comparison = rng.choice(("above", "below"))
        return DaysCondition(
            path=path, column=column.name, comparison=comparison, days=rng.choice(limits)
        )

    def _amount(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> Condition | None:
        held = self._values(requests, path, column.name)
        amounts = [amount for amount in held if isinstance(amount, int)]
        if not amounts:
            return None
        step = 10**column.scale
        limit = _rounded(rng.choice(amounts) * rng.uniform(0.7, 1.3) / step) * step
        if not min(amounts) < limit < max(amounts):
            return None
        comparison: Comparison = rng.choice(("above", "below"))
        return AmountCondition(path=path, column=column.name, comparison=comparison, amount=limit)

    def _count(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        child: WritableTable,
        reference: str,
        rng: random.Random,
    ) -> Condition | None:
        choices = [c for c in child.columns if c.role == "choice" and not c.column.nulls]
        only: dict[str, object] = {}
        if choices and rng.random() < 0.6:
            chosen = rng.choice(choices)
            only = {"column": chosen.name, "values": (rng.choice(chosen.choices),)}
        draft = CountCondition(
            path=path, table=child.name, reference=reference, comparison="above", count=0
        ).model_copy(update=only)
        key = self.table(requests[0].operation, path).key
        counts = [self._verdicts.count(draft, k) for k in self._values(requests, path, key)]
        limits = [n for n in range(1, _MOST_COUNTED) if counts and min(counts) <= n < max(counts)]
        return draft.model_copy(update={"count": rng.choice(limits)}) if limits else None


def rule_is_sure(conditions: ConditionDrawer, rule: ServiceRule, request: ServiceRequest) -> bool:
    """Whether a request lies well off every threshold of a rule, or is of another operation."""
    return rule.operation != request.operation or all(
        conditions.is_sure(condition, request) for condition in rule.when
    )


def _rounded(value: float) -> int:
    """A number as people choose thresholds: with one or two digits that are not 0."""
    if value < 20:
        return round(value)
    step = 5 * 10 ** max(0, len(str(int(value))) - 2)
    return max(step, round(value / step) * step)
