"""Draws the rules for a request that was drawn already, so that they allow or forbid it.

The request comes first and the verdict is drawn apart from it, so that its words do not tell
whether it is refused. A rule that decides holds for other rows of the same operation and not for
this one, or the other way round, well off every threshold. The other rules each matter for some
row, and leave the verdicts of the arena's requests as they are.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from astra.arenas.stateful.mentions import Mentions
from astra.arenas.stateful.policy.probes import idle_parts, requests_of
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.policy.words import ROLES, WORDINGS, RuleWords
from astra.arenas.stateful.roles import WritableColumn, WritableTable, is_final
from astra.arenas.stateful.tools import stock_pair
from astra.databases import Cell
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
_RULES = (3, 5)
_TRIES = 40
_DAYS = (7, 14, 30, 45, 60, 90, 120, 180, 270, 365, 540, 730, 1095, 1460)
_LONGEST_PATH = 2
_MOST_COUNTED = 6
_PERSON = ("email", "mail", "phone", "mobile", "邮箱", "电话", "手机")


class DrawnPolicy(NamedTuple):
    """A policy, and the rule that decides about the first of its requests."""

    policy: ServicePolicy
    deciding: int
    """Its number."""


@dataclass(frozen=True, slots=True)
class _RowCondition:
    """A condition with the rows of the operation that it holds for."""

    condition: Condition
    holds: frozenset[int]
    """Positions among the requests of the operation."""
    sure: frozenset[int]
    """Positions of those whose value is well off the threshold."""


class PolicyDrawer:
    """Draws policies over one database."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._database = mentions.cut.database
        self._now = mentions.cut.now
        self._verdicts = PythonVerdicts(self._database)
        self._words = RuleWords(mentions.writer)
        self._operations = [
            ServiceOperation.model_validate(
                {"kind": tool.operation, "table": tool.table, "column": tool.column}
            )
            for tool in mentions.tools.values()
            if tool.writes
        ]

    def draw(
        self,
        requests: Sequence[ServiceRequest],
        told: frozenset[tuple[str, str]],
        rng: random.Random,
        *,
        forbid: bool,
    ) -> DrawnPolicy | None:
        """Rules under which the first request is forbidden, or just allowed, and all others are
        allowed. None if this draw led to none.

        `told`: table and column of what the words of the first request tell; no rule is about it.
        """
        focal = requests[0]
        user = self._user(focal, rng)
        deciding = self._deciding(focal, user, told, rng, forbid=forbid)
        if deciding is None:
            return None
        rules = [deciding]
        size = rng.randint(*_RULES)
        used = {request.operation for request in requests}
        for _ in range(_TRIES):
            if len(rules) == size:
                break
            operation = rng.choice(self._operations)
            # Most of the other rules are about what is asked for too: all have to be read.
            if rng.random() < 0.5:
                operation = rng.choice([o for o in self._operations if o in used])
            rule = self._other(operation, user, rng)
            if rule is None:
                continue
            if rule.effect == "forbid" and any(
                self._verdicts.holds(rule, request, user, self._now) for request in requests
            ):
                continue
            if any(idle_parts(self._policy(user, [*rules, rule]), self._database, self._now)):
                continue
            if not all(self._is_sure(rule, request) for request in requests):
                continue
            rules.append(rule)
        if len(rules) < _RULES[0]:
            return None
        rng.shuffle(rules)
        policy = self._written(user, rules, rng)
        if len({rule.text for rule in policy.rules}) < len(rules):
            return None
        return DrawnPolicy(policy, rules.index(deciding) + 1)

    def _policy(self, user: ServiceUser, rules: Sequence[ServiceRule]) -> ServicePolicy:
        return ServicePolicy(user=user, rules=tuple(rules))

    def _written(
        self, user: ServiceUser, rules: Sequence[ServiceRule], rng: random.Random
    ) -> ServicePolicy:
        row = self._mentions.row(user.table, user.key) if user.table else None
        return ServicePolicy(
            user=user.model_copy(update={"text": self._words.user(user, row)}),
            rules=tuple(
                rule.model_copy(update={"text": self._words.rule(rule, rng.randrange(WORDINGS))})
                for rule in rules
            ),
        )

    # --- the user ----------------------------------------------------------------------------

    def _user(self, focal: ServiceRequest, rng: random.Random) -> ServiceUser:
        """Somebody with a role, or a person that rows belong to."""
        people = [path for path in self._paths(focal.operation) if self._is_person(focal, path)]
        if people and rng.random() < 0.3:
            path = rng.choice(people)
            table = self._table(focal.operation, path)
            row = self._verdicts.row_at(focal, path)
            keys = list(self._database.table(table.name).rows_by_key)
            own = None if row is None else row[table.key]
            # Half of the users ask for what is theirs.
            key = own if own is not None and rng.random() < 0.5 else rng.choice(keys)
            return ServiceUser(table=table.name, key=key)
        return ServiceUser(role=rng.choice(ROLES[self._mentions.writer.language]))

    def _is_person(self, focal: ServiceRequest, path: Sequence[str]) -> bool:
        if not path:
            return False
        table = self._table(focal.operation, path)
        reachable = any(word in c.name.lower() for c in table.columns for word in _PERSON)
        return table.naming is not None and reachable

    # --- rules -------------------------------------------------------------------------------

    def _deciding(
        self,
        focal: ServiceRequest,
        user: ServiceUser,
        told: frozenset[tuple[str, str]],
        rng: random.Random,
        *,
        forbid: bool,
    ) -> ServiceRule | None:
        requests = self._possible(focal.operation)
        if focal.row not in [request.row for request in requests]:
            requests.append(focal)
        position = [request.row for request in requests].index(focal.row)
        for _ in range(_TRIES):
            conditions = [
                c
                for _ in range(rng.choices((1, 2), (2, 1))[0])
                if (c := self._row_condition(requests, user, rng)) is not None
            ]
            if not conditions or not all(position in c.sure for c in conditions):
                continue
            if len({c.condition.kind for c in conditions}) < len(conditions):
                continue
            if any(self._about(focal.operation, c.condition) & told for c in conditions):
                continue
            holding = frozenset.intersection(*(c.holds for c in conditions))
            sure = frozenset.intersection(*(c.sure for c in conditions))
            # The twin: another row, for which the verdict is the opposite.
            twins = (sure - holding) if forbid else (sure & holding)
            if (position in holding) != forbid or not twins:
                continue
            when = [c.condition for c in conditions]
            if rng.random() < 0.35 and len(when) < 3:
                when.insert(0, self._standing(user, rng, holds=True))
            rule = ServiceRule(effect="forbid", operation=focal.operation, when=tuple(when))
            if not any(idle_parts(self._policy(user, [rule]), self._database, self._now)):
                return rule
        return None

    def _other(
        self, operation: ServiceOperation, user: ServiceUser, rng: random.Random
    ) -> ServiceRule | None:
        """A rule about an operation, whatever it holds for."""
        requests = self._possible(operation)
        if not requests:
            return None
        condition = self._row_condition(requests, user, rng)
        when = [] if condition is None else [condition.condition]
        effect = rng.choices(("forbid", "confirm"), (3, 1))[0]
        if effect == "confirm" and rng.random() < 0.6:
            when = []
        elif rng.random() < 0.4:
            when.insert(0, self._standing(user, rng, holds=rng.random() < 0.3))
        if effect == "forbid" and not when:
            return None
        return ServiceRule(
            effect="forbid" if effect == "forbid" else "confirm",
            operation=operation,
            when=tuple(when),
        )

    def _standing(self, user: ServiceUser, rng: random.Random, *, holds: bool) -> Condition:
        """A condition on the user or the time."""
        time = datetime.datetime.fromisoformat(self._now)
        if user.role and rng.random() < 0.6:
            roles = ROLES[self._mentions.writer.language]
            others = [role for role in roles if role != user.role]
            chosen = [user.role] if holds else [rng.choice(others)]
            return RoleCondition(roles=tuple(chosen))
        if rng.random() < 0.6:
            today = time.isoweekday()
            other = rng.choice([day for day in range(1, 8) if day != today])
            return WeekdayCondition(days=(today if holds else other,))
        comparison: Comparison = rng.choice(("above", "below"))
        if holds == (comparison == "below"):
            return HourCondition(comparison=comparison, hour=rng.randint(time.hour + 2, 18))
        return HourCondition(comparison=comparison, hour=rng.randint(6, time.hour - 1))

    # --- conditions on rows --------------------------------------------------------------------

    def _possible(self, operation: ServiceOperation) -> list[ServiceRequest]:
        """Requests of an operation that its tool would carry out."""
        table = self._mentions.tables[operation.table]
        status = table.status
        return [
            request
            for request in requests_of(self._database, operation)
            if operation.kind == "create"
            or status is None
            or not is_final(str(request.row[status.name]))
        ]

    def _row_condition(
        self, requests: Sequence[ServiceRequest], user: ServiceUser, rng: random.Random
    ) -> _RowCondition | None:
        """A condition that holds for some of the requests and not for others."""
        operation = requests[0].operation
        path = rng.choice(self._paths(operation))
        table = self._table(operation, path)
        ways: list[Callable[[], _RowCondition | None]] = []
        if path and user.table == table.name:
            ways += [lambda: self._not_owner(requests, path, user)] * 3
        plain = bool(path) or operation.kind == "set"
        for column in table.columns if plain else ():
            if column.column.nulls or (not path and column.name == operation.column):
                continue
            if column.role == "choice":
                ways.append(lambda c=column: self._choice(requests, path, c, rng))
            elif column.system_date:
                ways.append(lambda c=column: self._days(requests, path, c, rng))
            elif column.role == "number" and column.column.quantity:
                ways.append(lambda c=column: self._amount(requests, path, c, rng))
        for child in self._mentions.tables.values() if plain else ():
            references = [name for name, of in child.references.items() if of == table.name]
            if len(references) == 1 and child.name != table.name:
                reference = references[0]
                ways.append(lambda c=child, r=reference: self._count(requests, path, c, r, rng))
        found = rng.choice(ways)() if ways else None
        if found is None or not found.holds or len(found.holds) == len(requests):
            return None
        return found

    def _paths(self, operation: ServiceOperation) -> list[tuple[str, ...]]:
        """Ways from the row of an operation to rows that conditions can be about."""
        found: list[tuple[str, ...]] = [] if operation.kind != "set" else [()]
        ahead: list[tuple[str, ...]] = [()]
        for _ in range(_LONGEST_PATH):
            further: list[tuple[str, ...]] = []
            for path in ahead:
                table = self._table(operation, path)
                for reference, parent in self._leading(operation, path).items():
                    # Were there two, "the customer of the order" would not say which.
                    once = list(table.references.values()).count(parent) == 1
                    if once and parent != operation.table:
                        further.append((*path, reference))
            ahead = further
            found += further
        return found

    def _leading(self, operation: ServiceOperation, path: Sequence[str]) -> dict[str, str]:
        """The references of the row at the end of a path that rules may follow."""
        table = self._table(operation, path)
        pair = stock_pair(table) if operation.kind == "transfer" and not path else None
        # Of the two places of a transfer "the warehouse" would be either.
        return {n: of for n, of in table.references.items() if pair is None or n == pair[0]}

    def _table(self, operation: ServiceOperation, path: Sequence[str]) -> WritableTable:
        return self._words.table(operation, path)

    def _values(
        self, requests: Sequence[ServiceRequest], path: Sequence[str], column: str
    ) -> list[Cell]:
        rows = [self._verdicts.row_at(request, path) for request in requests]
        return [None if row is None else row[column] for row in rows]

    def _found(
        self,
        requests: Sequence[ServiceRequest],
        condition: Condition,
        user: ServiceUser,
        sure: Sequence[int] | None = None,
    ) -> _RowCondition:
        holds = [
            n
            for n, request in enumerate(requests)
            if self._verdicts.condition_holds(condition, request, user, self._now)
        ]
        return _RowCondition(
            condition,
            frozenset(holds),
            frozenset(range(len(requests)) if sure is None else sure),
        )

    def _not_owner(
        self, requests: Sequence[ServiceRequest], path: tuple[str, ...], user: ServiceUser
    ) -> _RowCondition:
        return self._found(requests, NotOwnerCondition(path=path), user)

    def _choice(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> _RowCondition | None:
        held = sorted({str(v) for v in self._values(requests, path, column.name) if v is not None})
        if len(held) < 2:
            return None
        size = rng.randint(1, min(2, len(held) - 1))
        values = tuple(sorted(rng.sample(held, size)))
        condition = ChoiceCondition(path=path, column=column.name, values=values)
        return self._found(requests, condition, ServiceUser())

    def _days(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> _RowCondition | None:
        today = datetime.date.fromisoformat(self._now[:10])
        ages = [
            None if v is None else (today - datetime.date.fromisoformat(str(v))).days
            for v in self._values(requests, path, column.name)
        ]
        known = [age for age in ages if age is not None]
        limits = [days for days in _DAYS if known and min(known) < days < max(known)]
        if not limits:
            return None
        days = rng.choice(limits)
        comparison: Comparison = rng.choice(("above", "below"))
        condition = DaysCondition(
            path=path, column=column.name, comparison=comparison, days=days
        )
        sure = [n for n, a in enumerate(ages) if a is not None and days_off(a, days)]
        return self._found(requests, condition, ServiceUser(), sure)

    def _amount(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        column: WritableColumn,
        rng: random.Random,
    ) -> _RowCondition | None:
        amounts = self._values(requests, path, column.name)
        known = [amount for amount in amounts if isinstance(amount, int)]
        if not known or max(known) <= 0:
            return None
        step = 10**column.scale
        limit = _round(rng.choice(known) * rng.uniform(0.7, 1.3) / step) * step
        if not min(known) < limit < max(known):
            return None
        comparison: Comparison = rng.choice(("above", "below"))
        condition = AmountCondition(
            path=path, column=column.name, comparison=comparison, amount=limit
        )
        sure = [n for n, a in enumerate(amounts) if isinstance(a, int) and amount_off(a, limit)]
        return self._found(requests, condition, ServiceUser(), sure)

    def _count(
        self,
        requests: Sequence[ServiceRequest],
        path: tuple[str, ...],
        child: WritableTable,
        reference: str,
        rng: random.Random,
    ) -> _RowCondition | None:
        choices = [c for c in child.columns if c.role == "choice" and not c.column.nulls]
        column, values = "", ()
        if choices and rng.random() < 0.6:
            chosen = rng.choice(choices)
            column, values = chosen.name, (rng.choice(chosen.choices),)
        draft = CountCondition(
            path=path,
            table=child.name,
            reference=reference,
            column=column,
            values=values,
            comparison="above",
            count=0,
        )
        parent = self._table(requests[0].operation, path)
        keys = self._values(requests, path, parent.key)
        counts = [0 if key is None else self._verdicts.count(draft, key) for key in keys]
        limits = [n for n in range(1, _MOST_COUNTED) if min(counts) <= n < max(counts)]
        if not limits:
            return None
        return self._found(
            requests, replace_count(draft, rng.choice(limits)), ServiceUser(),
        )  # fmt: skip

    # --- what conditions are about -----------------------------------------------------------

    def _about(
        self, operation: ServiceOperation, condition: Condition
    ) -> frozenset[tuple[str, str]]:
        """Table and column that a condition reads."""
        match condition.kind:
            case "role" | "weekday" | "hour":
                return frozenset()
            case "not_owner":
                *path, last = condition.path
                return frozenset({(self._table(operation, path).name, last)})
            case "count":
                return frozenset({(condition.table, condition.reference)})
            case _:
                table = self._table(operation, condition.path)
                return frozenset({(table.name, condition.column)})

    def _is_sure(self, rule: ServiceRule, request: ServiceRequest) -> bool:
        """Whether the values of a request lie well off the thresholds of a rule."""
        if rule.operation != request.operation:
            return True
        today = datetime.date.fromisoformat(self._now[:10])
        for condition in rule.when:
            if not isinstance(condition, DaysCondition | AmountCondition):
                continue
            row = self._verdicts.row_at(request, condition.path)
            value = None if row is None else row[condition.column]
            if isinstance(condition, DaysCondition) and value is not None:
                age = (today - datetime.date.fromisoformat(str(value))).days
                if not days_off(age, condition.days):
                    return False
            if isinstance(condition, AmountCondition) and isinstance(value, int):
                if not amount_off(value, condition.amount):
                    return False
        return True


def replace_count(condition: CountCondition, count: int) -> CountCondition:
    """The condition with another threshold."""
    return condition.model_copy(update={"count": count})


def days_off(age: int, days: int) -> bool:
    """Whether an age is so far off a threshold that no reading of it decides."""
    return abs(age - days) >= FEWEST_DAYS_OFF


def amount_off(amount: int, limit: int) -> bool:
    """Whether an amount is so far off a threshold that no reading of it decides."""
    return abs(amount - limit) >= LEAST_SHARE_OFF * abs(limit)


def _round(value: float) -> int:
    """A number as people choose thresholds: with one or two digits that are not 0."""
    if value < 20:
        return round(value)
    digits = len(str(int(value)))
    step = 5 * 10 ** max(0, digits - 2)
    return max(step, round(value / step) * step)
